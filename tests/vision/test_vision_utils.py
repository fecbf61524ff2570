"""Drawing key points and boxes, grids, and image files."""

import io

import numpy as np
import pytest
from PIL import Image

from flambeau.vision.utils import draw_bounding_boxes, draw_keypoints, make_grid, save_image

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
