"""Drawing key points and boxes, grids, and image files."""

import io

import numpy as np
import pytest
from PIL import Image

import flambeau
from flambeau.vision.utils import (
    draw_bounding_boxes,
    draw_keypoints,
    draw_segmentation_masks,
    flow_to_image,
    make_grid,
    save_image,
)

POINTS = np.array([[20.5, 10.5], [40.5, 30.5]])


class FakeTensor:
    """Has just what tensors are asked for."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


@pytest.mark.parametrize("background", [0, 128, 255])
def test_points_are_seen_on_any_background(background):
    image = np.full((3, 50, 60), background, np.uint8)
    drawn = draw_keypoints(image, POINTS, colors=(255, 96, 64))
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert drawn[:, 10, 20].tolist() == [255, 96, 64] == drawn[:, 30, 40].tolist()
    assert (abs(drawn[:, 10, 18:23].astype(int) - background).max(axis=0) > 60).all()
    assert (drawn[:, 40:] == background).all() and (image == background).all()


def test_every_kind_of_image_keeps_its_kind():
    pixels = np.zeros((50, 60), np.uint8)
    as_pil = draw_keypoints(Image.fromarray(pixels), POINTS)
    assert isinstance(as_pil, Image.Image) and as_pil.mode == "RGB" and as_pil.size == (60, 50)
    expected = np.asarray(as_pil)
    np.testing.assert_array_equal(draw_keypoints(pixels, POINTS), expected)
    np.testing.assert_array_equal(
        draw_keypoints(np.zeros((50, 60, 3), np.uint8), POINTS), expected
    )
    np.testing.assert_array_equal(
        draw_keypoints(np.zeros((1, 50, 60), np.uint8), POINTS), expected.transpose(2, 0, 1)
    )
    floats = draw_keypoints(np.zeros((3, 50, 60), np.float32), POINTS)
    assert floats.dtype == np.float32 and floats.min() >= 0 and floats.max() <= 1
    np.testing.assert_allclose(floats * 255, expected.transpose(2, 0, 1), atol=0.51)


def test_tensors_are_read_by_their_numpy_method():
    tensor = FakeTensor(np.zeros((2, 1, 4, 4), np.float32))
    stream = io.BytesIO()
    drawn = draw_keypoints(np.zeros((50, 60), np.uint8), FakeTensor(POINTS))
    assert drawn.any()
    flambeau = pytest.importorskip("flambeau")
    if hasattr(flambeau, "from_numpy"):
        save_image(tensor, stream, format="PNG")
        assert Image.open(stream).size == (14, 8)


def test_points_off_the_image_and_nan_are_left_out():
    image = np.zeros((50, 60), np.uint8)
    away = np.array([[-500, 20], [1e9, 1e9], [np.nan, 3], [30, np.inf]])
    assert not draw_keypoints(image, away, truth=away).any()
    assert not draw_keypoints(image, POINTS, visibility=[False, False]).any()


def test_truth_lines_and_instances():
    image = np.zeros((50, 60), np.uint8)
    with_truth = draw_keypoints(image, POINTS, truth=POINTS + (10, 0))
    assert (
        with_truth[10, 30, 1] > 200 and with_truth[10, 25, 1] > 100
    )  # green, and the line to it
    joined = draw_keypoints(image, POINTS, connectivity=[(0, 1)], colors="white")
    assert joined[20, 30].min() > 200
    two = draw_keypoints(image, np.stack([POINTS, POINTS + (0, 9)]), colors=["red", "#0000ff"])
    assert two[10, 20].tolist() == [255, 0, 0] and two[19, 20].tolist() == [0, 0, 255]


def test_boxes_fills_and_labels():
    image = np.zeros((3, 50, 60), np.uint8)
    plain = draw_bounding_boxes(image, [(10, 10, 40, 40)], colors="yellow", width=2)
    assert plain[:, 10, 25].tolist() == [255, 255, 0] and not plain[:, 25, 25].any()
    assert draw_bounding_boxes(image, [(10, 10, 40, 40)], fill=True)[:, 25, 25].any()
    labelled = draw_bounding_boxes(image, [(10, 30, 40, 40), (1, 1, 9, 9)], ["face", None])
    assert (labelled != draw_bounding_boxes(image, [(10, 30, 40, 40), (1, 1, 9, 9)])).any()
    assert not draw_bounding_boxes(image, np.zeros((0, 4))).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_keypoints(np.zeros((4, 5, 6)), POINTS), r"wanted an image \(C, H, W\)"),
        (
            lambda: draw_keypoints(np.zeros((5, 6)), np.zeros(4)),
            "keypoints must have the shape",
        ),
        (
            lambda: draw_keypoints(np.zeros((5, 6)), POINTS, truth=POINTS[:1]),
            "truth has the shape",
        ),
        (lambda: draw_bounding_boxes(np.zeros((5, 6)), [(3, 3, 1, 1)]), "x1 <= x2"),
        (lambda: draw_bounding_boxes(np.zeros((5, 6)), [(1, 1, 3, 3)], ["a", "b"]), "2 labels"),
        (
            lambda: draw_bounding_boxes(np.zeros((5, 6)), np.ones((3, 4)), colors=["red"]),
            "1 colors",
        ),
        (lambda: make_grid(np.zeros(3)), "make_grid takes"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_images_of_integers_are_refused():
    with pytest.raises(TypeError, match="not int64"):
        draw_keypoints(np.zeros((5, 6), np.int64), POINTS)


def test_grids():
    images = np.arange(5, dtype=np.float32)[:, None, None, None] * np.ones(
        (5, 1, 3, 4), np.float32
    )
    grid = make_grid(images, nrow=3, padding=1, pad_value=9)
    assert grid.shape == (3, 2 * 4 + 1, 3 * 5 + 1)
    assert grid[0, 1:4, 11:15].tolist() == [[2] * 4] * 3
    assert grid[1, 5:8, 6:10].tolist() == [[4] * 4] * 3
    assert (grid[:, 5:8, 11:15] == 9).all() and (grid[:, 0] == 9).all()
    assert make_grid(images[0]).shape == (3, 3, 4)  # a single image gets no border
    assert make_grid(list(images), normalize=True).max() == 1
    each = make_grid(images + np.arange(4), normalize=True, scale_each=True, padding=0)
    np.testing.assert_allclose(each[0, 0, :4], [0, 1 / 3, 2 / 3, 1])
    limited = make_grid(images, normalize=True, value_range=(0, 2), padding=0)
    np.testing.assert_allclose(limited[0, 0, ::4], [0, 0.5, 1, 1, 1])


def test_saving(tmp_path):
    image = np.zeros((3, 4, 6), np.float32)
    image[0] = 0.5
    save_image(image, tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").getpixel((0, 0)) == (128, 0, 0)
    save_image(Image.new("L", (3, 2)), tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").size == (3, 2)


# --- Tensors are drawn on as torchvision draws: without smooth edges


def test_boxes_on_tensors():
    image = flambeau.zeros(3, 20, 30, dtype=flambeau.uint8)
    drawn = draw_bounding_boxes(image, flambeau.tensor([[2.0, 3, 10, 12]]), colors="red")
    expected = np.zeros((20, 30), bool)
    expected[3:13, [2, 10]] = True
    expected[[3, 12], 2:11] = True
    np.testing.assert_array_equal(drawn.numpy(), expected * np.array([255, 0, 0], np.uint8)[:, None, None])
    assert not image.any()
    filled = draw_bounding_boxes(image, flambeau.tensor([[2, 3, 10, 12]]), colors=(0, 255, 0), fill=True)
    assert filled[:, 7, 7].tolist() == [0, 100, 0]
    labelled = draw_bounding_boxes(
        image, flambeau.tensor([[2, 3, 28, 18]]), ["a"], "red", label_colors="white", fill_labels=True
    )
    assert (labelled[1, 4:17, 4:27] > 100).any() and (labelled[0, 4:17, 4:27] == 255).any()
    grey = draw_bounding_boxes(flambeau.zeros(1, 20, 30), flambeau.tensor([[2, 3, 10, 12]]), colors="white")
    assert grey.shape == (3, 20, 30) and grey.dtype == flambeau.float32 and grey.max() == 1
    with pytest.warns(UserWarning, match="No box was drawn"):
        assert draw_bounding_boxes(image, flambeau.zeros(0, 4)) is image


def test_turned_boxes_have_a_dashed_side():
    image = flambeau.zeros(3, 30, 30, dtype=flambeau.uint8)
    drawn = draw_bounding_boxes(image, flambeau.tensor([[5, 5, 25, 5, 25, 20, 5, 20]]), colors="white")[0]
    assert (drawn[20, 5:26] == 255).all() and (drawn[5:21, 25] == 255).all()
    assert 0 < (drawn[5, 7:24] == 255).sum() < 17


def test_keypoints_on_tensors():
    image = flambeau.zeros(3, 20, 30)
    points = flambeau.tensor([[[5, 5], [20, 5], [20, 15]]])
    drawn = draw_keypoints(image, points, [(0, 1), (1, 2)], "red", radius=1, width=1,
                           visibility=flambeau.tensor([[True, True, False]]))  # fmt: skip
    assert drawn[:, 6, 5].tolist() == [1, 0, 0] and drawn[:, 5, 12].tolist() == [1, 1, 1]
    assert not drawn[:, 10:].any()
    assert (draw_keypoints(image, points, colors="red") != draw_keypoints(image, points[:, :2], colors="red")).any()
    with pytest.raises(NotImplementedError, match="truth"):
        draw_keypoints(image, points, truth=points)


def test_masks():
    image = flambeau.full((3, 4, 4), 100, dtype=flambeau.uint8)
    masks = flambeau.zeros(2, 4, 4, dtype=flambeau.bool)
    masks[0, 0] = True
    masks[1, :, 0] = True
    drawn = draw_segmentation_masks(image, masks, alpha=0.5, colors=["red", "blue"])
    assert drawn.dtype == flambeau.uint8
    shades = [drawn[:, y, x].tolist() for y, x in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert shades == [[50, 50, 50], [177, 50, 50], [50, 50, 177], [100, 100, 100]]
    floats = draw_segmentation_masks(image / 255.0, masks[0], alpha=1, colors=(0, 255, 0))
    assert floats[:, 0, 2].tolist() == [0, 1, 0]
    with pytest.warns(UserWarning, match="No mask was drawn"):
        assert draw_segmentation_masks(image, masks[:0]) is image


def test_flow():
    flow = flambeau.zeros(2, 3, 3)
    flow[0, 0, 0], flow[0, 0, 1], flow[1, 0, 2] = 2.0, -2.0, 1.0
    drawn = flow_to_image(flow)
    assert drawn.shape == (3, 3, 3) and drawn.dtype == flambeau.uint8
    assert (drawn[:, 1:] == 255).all()  # what does not move is white
    right, left, down = (drawn[:, 0, x].tolist() for x in range(3))
    assert right[0] == 255 and right[1] < 20 and left[0] < 20 and left[2] == 255 and 100 < min(down) < 255
    assert flow_to_image(flow[None]).shape == (1, 3, 3, 3)
    with pytest.raises(ValueError, match="Flow should be of dtype torch.float"):
        flow_to_image(flow.double())
    with pytest.raises(ValueError, match="Input flow should have shape"):
        flow_to_image(flow[:1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: draw_bounding_boxes(x[None], flambeau.ones(1, 4)), ValueError, "Pass individual images"),
        (lambda x: draw_bounding_boxes(x.int(), flambeau.ones(1, 4)), ValueError, "dtype must be uint8 or float"),
        (lambda x: draw_bounding_boxes(x, flambeau.tensor([[3, 3, 1, 1]])), ValueError, "Boxes need to be in"),
        (lambda x: draw_bounding_boxes(x, flambeau.ones(1, 4), ["a", "b"]), ValueError, "Number of boxes"),
        (lambda x: draw_bounding_boxes(x, flambeau.ones(2, 4), colors=["red"]), ValueError, "Number of colors"),
        (lambda x: draw_bounding_boxes(x, flambeau.ones(2, 4), colors=(1, 2)), ValueError, "RGB triplet"),
        (lambda x: draw_bounding_boxes(x[:2], flambeau.ones(2, 4)), ValueError, "Only grayscale and RGB"),
        (lambda x: draw_keypoints(x, flambeau.ones(2, 2)), ValueError, "keypoints must be of shape"),
        (lambda x: draw_keypoints(x, flambeau.ones(1, 2, 2), visibility=flambeau.ones(2)), ValueError, "Got ndim=1"),
        (lambda x: draw_keypoints(x[:1], flambeau.ones(1, 2, 2)), ValueError, "Pass an RGB image"),
        (lambda x: draw_segmentation_masks(x, flambeau.ones(4, 4)), ValueError, "must be of dtype bool"),
        (lambda x: draw_segmentation_masks(x, flambeau.ones(3, 4) > 0), ValueError, "same height and width"),
        (lambda x: draw_segmentation_masks(x.numpy(), flambeau.ones(3, 4) > 0), TypeError, "must be a tensor"),
    ],
    ids=["batch", "dtype", "order", "labels", "colours", "triplet", "channels", "points", "visibility", "grey", "masks",
         "size", "array"],
)  # fmt: skip
def test_wrong_tensors(call, error, message):
    with pytest.raises(error, match=message):
        call(flambeau.zeros(3, 4, 4))


@pytest.mark.parametrize("nothing", [[], flambeau.empty(0, 3, 4, 4)], ids=["list", "tensor"])
def test_a_grid_of_nothing(nothing: object) -> None:
    with pytest.raises(ValueError, match="make_grid got no images"):
        make_grid(nothing)
