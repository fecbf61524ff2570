"""Boxes, losses, regions, dropped blocks, fake data, folders and grids beside torchvision's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision_oracle import oracle  # type: ignore[import-not-found]

import flambeau
from flambeau.vision import datasets, ops

pytestmark = pytest.mark.parity

torchvision: Any = oracle()
import torch


def boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 30
    return np.concatenate([corner, corner + rng.random((count, 2)) * 30], 1).astype(np.float32)


OVERLAPS = ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"]


@pytest.mark.parametrize("name", [*OVERLAPS, *(f"{name}_loss" for name in OVERLAPS[1:])])
def test_overlaps_and_losses_with_gradients(name: str) -> None:
    theirs = torch.tensor(boxes(20, 0), requires_grad=True)
    ours = flambeau.tensor(boxes(20, 0), requires_grad=True)
    expected = getattr(torchvision.ops, name)(theirs, torch.tensor(boxes(20, 1)))
    found = getattr(ops, name)(ours, flambeau.tensor(boxes(20, 1)))
    expected.sum().backward()
    found.sum().backward()
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("formats", [("xyxy", "xywh", "cxcywh"), ("xywhr", "cxcywhr", "xyxyxyxy")])
def test_formats(formats: tuple[str, ...], whole: bool) -> None:
    source = torch.tensor(boxes(9, 2))
    if len(formats[0]) == 5:
        source = torch.cat((source, torch.linspace(-170, 170, 9)[:, None]), 1)
    for before in formats:
        converted = torchvision.ops.box_convert(source, formats[0], before)
        converted = (converted * 3).round().long() if whole else converted
        for after in formats:
            expected = torchvision.ops.box_convert(converted, before, after)
            found = ops.box_convert(flambeau.tensor(converted.numpy()), before, after)
            assert str(found.dtype).rpartition(".")[2] == str(expected.dtype).rpartition(".")[2]
            # Whole numbers are rounded at other steps.
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1 if whole else 1e-4)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 2])
def test_roi_align(ratio: int, aligned: bool) -> None:
    from torchvision.ops.roi_align import _roi_align

    images = np.random.default_rng(3).standard_normal((2, 4, 30, 40)).astype(np.float32)
    # Inside the map: torchvision's two versions differ outside.
    regions = np.concatenate([np.arange(12)[:, None] % 2, boxes(12, 4)], 1).astype(np.float32)
    expected = _roi_align(torch.tensor(images), torch.tensor(regions), 0.5, 7, 5, ratio, aligned)
    found = ops.roi_align(flambeau.tensor(images), flambeau.tensor(regions), (7, 5), 0.5, ratio, aligned)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [("drop_block2d", (2, 3, 12, 13)), ("drop_block3d", (2, 3, 8, 9, 10))])
def test_drop_block_draws_the_same_blocks(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    torch.manual_seed(3)
    flambeau.manual_seed(3)
    expected = getattr(torchvision.ops, name)(torch.tensor(x), 0.3, 3)
    np.testing.assert_allclose(getattr(ops, name)(flambeau.tensor(x), 0.3, 3).numpy(), expected.numpy(), atol=1e-5)


def test_focal_loss() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((4, 5)), (rng.random((4, 5)) < 0.5).astype(float)
    expected = torchvision.ops.sigmoid_focal_loss(torch.tensor(x), torch.tensor(y), 0.3, 1.5, "mean")
    found = ops.sigmoid_focal_loss(flambeau.tensor(x), flambeau.tensor(y), 0.3, 1.5, "mean")
    np.testing.assert_allclose(found.item(), expected.item())


def test_masks_to_boxes() -> None:
    masks = np.random.default_rng(7).random((5, 9, 8)) > 0.9
    masks[2] = False
    expected = torchvision.ops.masks_to_boxes(torch.tensor(masks))
    np.testing.assert_array_equal(ops.masks_to_boxes(flambeau.tensor(masks)).numpy(), expected.numpy())


def test_pyramid_and_pooler() -> None:
    theirs = torchvision.ops.FeaturePyramidNetwork([3, 5], 4, torchvision.ops.feature_pyramid_network.LastLevelMaxPool())
    ours = ops.FeaturePyramidNetwork([3, 5], 4, ops.feature_pyramid_network.LastLevelMaxPool())
    ours.load_state_dict({key: flambeau.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    rng = np.random.default_rng(8)
    x = {"a": rng.standard_normal((2, 3, 9, 7)), "b": rng.standard_normal((2, 5, 4, 3))}
    expected = theirs({key: torch.tensor(value, dtype=torch.float32) for key, value in x.items()})
    found = ours({key: flambeau.tensor(value, dtype=flambeau.float32) for key, value in x.items()})
    assert list(found) == list(expected)
    for key in found:
        np.testing.assert_allclose(found[key].detach().numpy(), expected[key].detach().numpy(), atol=1e-5)
    sizes = np.array([[0, 0, 2**k, 2**k] for k in range(3, 10)], np.float32)
    mappers = (module.poolers.LevelMapper(2, 5) for module in (torchvision.ops, ops))
    levels = [mapper([kind(sizes)]).tolist() for mapper, kind in zip(mappers, (torch.tensor, flambeau.tensor), strict=True)]
    assert levels[0] == levels[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_fake_data_is_the_same_byte_for_byte(channels: int) -> None:
    arguments = {"size": 5, "image_size": (channels, 9, 7), "num_classes": 100, "random_offset": 3}
    theirs, ours = torchvision.datasets.FakeData(**arguments), datasets.FakeData(**arguments)  # type: ignore[arg-type]
    for (image, label), (our_image, our_label) in zip((theirs[i] for i in range(5)), (ours[i] for i in range(5)), strict=True):
        assert label == our_label and image.mode == our_image.mode
        np.testing.assert_array_equal(np.asarray(image), np.asarray(our_image))
    assert repr(theirs) == repr(ours)


def test_image_folder(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.jpg", "a/x/3.PNG", "a/4.webp", "a/5.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("")
        else:
            Image.new("RGB", (4, 4), (len(name), 8, 9)).save(path)
    theirs = torchvision.datasets.ImageFolder(str(tmp_path), transform=np.asarray)
    ours = datasets.ImageFolder(str(tmp_path), transform=np.asarray)
    assert (ours.samples, ours.classes, ours.targets) == (theirs.samples, theirs.classes, theirs.targets)
    assert repr(ours) == repr(theirs)
    for place in range(len(ours)):
        np.testing.assert_array_equal(ours[place][0], theirs[place][0])


# --- Drawing


def pictures(dtype: str) -> tuple[Any, Any]:
    pixels = np.random.default_rng(9).integers(0, 256, (3, 40, 50), dtype=np.uint8)
    array = pixels if dtype == "uint8" else (pixels / 255).astype(dtype)
    return torch.tensor(array), flambeau.tensor(array)


BOXES = np.array([[3.0, 4, 20, 18], [10, 10, 45, 35], [0, 0, 5, 5]])
TURNED = np.array([[10.0, 5, 30, 12, 26, 30, 6, 22]])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("boxes_of", "options"),
    [
        (BOXES, {}),
        (BOXES, {"colors": "red", "width": 2, "fill": True}),
        (BOXES, {"colors": ["red", (0, 9, 200), "#00ff00"], "labels": ["a", None, "cat"], "fill_labels": True}),
        (BOXES, {"labels": ["a", "b", "c"], "label_colors": "yellow", "fill_labels": True, "label_background_colors": "blue"}),
        (TURNED, {"colors": "white", "width": 2, "fill": True}),
    ],
    ids=["plain", "filled", "labels", "label colours", "turned"],
)
def test_boxes_are_drawn_alike(boxes_of: np.ndarray, options: dict[str, Any], dtype: str) -> None:
    from flambeau.vision import utils

    theirs, ours = pictures(dtype)
    expected = torchvision.utils.draw_bounding_boxes(theirs, torch.tensor(boxes_of), **options)
    found = utils.draw_bounding_boxes(ours, flambeau.tensor(boxes_of), **options)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_keypoints_and_masks_are_drawn_alike(dtype: str) -> None:
    from flambeau.vision import utils

    theirs, ours = pictures(dtype)
    points, seen = np.array([[[5.0, 6], [20, 30], [44, 8]]]), np.array([[True, True, False]])
    for options in ({}, {"colors": "red", "radius": 4, "connectivity": [(0, 1), (1, 2)], "width": 2}):
        expected = torchvision.utils.draw_keypoints(theirs, torch.tensor(points), visibility=torch.tensor(seen), **options)
        found = utils.draw_keypoints(ours, flambeau.tensor(points), visibility=flambeau.tensor(seen), **options)
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    masks = np.random.default_rng(1).random((3, 40, 50)) > 0.6
    for options in ({}, {"alpha": 0.3, "colors": ["red", "blue", (1, 2, 3)]}, {"colors": "green"}):
        expected = torchvision.utils.draw_segmentation_masks(theirs, torch.tensor(masks), **options)
        found = utils.draw_segmentation_masks(ours, flambeau.tensor(masks), **options)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("batched", [False, True])
def test_flow_is_drawn_alike(batched: bool) -> None:
    from flambeau.vision import utils

    flow = np.random.default_rng(2).standard_normal((3, 2, 20, 30) if batched else (2, 20, 30)).astype(np.float32)
    expected = torchvision.utils.flow_to_image(torch.tensor(flow)).numpy().astype(int)
    found = utils.flow_to_image(flambeau.tensor(flow)).numpy().astype(int)
    assert found.shape == expected.shape and abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    "options",
    [{}, {"nrow": 2, "padding": 3, "pad_value": 0.5}, {"normalize": True}, {"normalize": True, "scale_each": True},
     {"normalize": True, "value_range": (-1, 1)}],
    ids=["plain", "padding", "normalized", "each", "range"],
)  # fmt: skip
def test_grids(options: dict[str, Any], tmp_path: Path) -> None:
    from flambeau.vision import utils

    rng = np.random.default_rng(3)
    for shape in ((5, 3, 6, 7), (1, 3, 6, 7), (4, 1, 6, 7), (3, 6, 7), (1, 6, 7), (6, 7)):
        images = rng.standard_normal(shape).astype(np.float32)
        expected = torchvision.utils.make_grid(torch.tensor(images), **options)
        found = utils.make_grid(flambeau.tensor(images), **options)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)
        torchvision.utils.save_image(torch.tensor(images), tmp_path / "theirs.png", **options)
        utils.save_image(flambeau.tensor(images), tmp_path / "ours.png", **options)
        files = (Image.open(tmp_path / name) for name in ("theirs.png", "ours.png"))
        np.testing.assert_array_equal(*(np.asarray(file) for file in files))
    several = [rng.standard_normal((3, 4, 4)).astype(np.float32) for _ in range(3)]
    expected = torchvision.utils.make_grid([torch.tensor(image) for image in several], **options)
    found = utils.make_grid([flambeau.tensor(image) for image in several], **options)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


# --- Data sets of the same files


def test_mnist_and_cifar_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from flambeau.vision.datasets.idx import write_idx
    from flambeau.vision.datasets.published import md5_of

    rng = np.random.default_rng(4)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 6), ("t10k", 3)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", rng.integers(0, 10, count, dtype=np.uint8))
    for name, (base, keys) in {"CIFAR10": ("cifar-10-batches-py", "labels"), "CIFAR100": ("cifar-100-python", "fine_labels")}.items():
        (tmp_path / base).mkdir()
        kind = getattr(torchvision.datasets, name)
        lists = {}
        for part in ("train_list", "test_list"):
            lists[part] = []
            for file, _ in getattr(kind, part):
                path = tmp_path / base / file
                batch = {"data": rng.integers(0, 256, (2, 3072), dtype=np.uint8), keys: [1, 0]}
                path.write_bytes(pickle.dumps(batch, protocol=2))
                lists[part].append([file, md5_of(path)])
        path = tmp_path / base / kind.meta["filename"]
        path.write_bytes(pickle.dumps({kind.meta["key"]: ["a", "b"]}, protocol=2))
        for owner in (kind, getattr(datasets, name)):
            for part, files in lists.items():
                monkeypatch.setattr(owner, part, files)
            monkeypatch.setattr(owner, "meta", {**kind.meta, "md5": md5_of(path)})
    for name in ("FashionMNIST", "CIFAR10", "CIFAR100"):
        for train in (True, False):
            theirs, ours = (getattr(m, name)(str(tmp_path), train, transform=np.asarray) for m in (torchvision.datasets, datasets))
            assert len(theirs) == len(ours) and repr(theirs) == repr(ours)
            assert (theirs.classes, theirs.class_to_idx) == (ours.classes, ours.class_to_idx)
            for (image, label), (our_image, our_label) in zip(list(theirs), list(ours), strict=True):
                np.testing.assert_array_equal(image, our_image)
                assert (label, type(label)) == (our_label, type(our_label))
