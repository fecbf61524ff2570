"""Regions of feature maps, dropped blocks, deformable convolution, pyramids, beside loops over pixels."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import flambeau
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn import functional as F
from flambeau.vision import ops

REGIONS = np.array(
    [[0, 1.2, 2.1, 14.7, 11.3], [1, -4, -3, 6, 5], [1, 10, 9, 30, 25], [0, 3, 3, 3.2, 3.1], [0, 50, 50, 60, 60]]
)


def features(channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, channels, 12, 16))


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """All channels at a place; up to a pixel outside the border's value, further away 0."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return (image[:, top, left] * (1 - dx) + image[:, top, right] * dx) * (1 - dy) + (
        image[:, bottom, left] * (1 - dx) + image[:, bottom, right] * dx
    ) * dy


def aligned_bins(
    images: np.ndarray, size: tuple[int, int], scale: float, ratio: int, offset: float, least: float
) -> np.ndarray:
    """The mean of samples in each bin, (K, C, rows, columns)."""
    out = np.zeros((len(REGIONS), images.shape[1], *size))
    for number, (image, *box) in enumerate(REGIONS):
        x1, y1, x2, y2 = (edge * scale - offset for edge in box)
        steps = max(y2 - y1, least) / size[0], max(x2 - x1, least) / size[1]
        counts = [ratio if ratio > 0 else math.ceil(step) for step in steps]
        for row, col in np.ndindex(*size):
            values = [
                bilinear(
                    images[int(image)],
                    y1 + (row + (down + 0.5) / counts[0]) * steps[0],
                    x1 + (col + (right + 0.5) / counts[1]) * steps[1],
                )
                for down, right in np.ndindex(*counts)
            ]
            out[number, :, row, col] = np.mean(values, axis=0)
    return out


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 2])
def test_roi_align(ratio: int, aligned: bool) -> None:
    images = features()
    expected = aligned_bins(images, (3, 2), 0.5, ratio, 0.5 * aligned, 0 if aligned else 1)
    found = ops.roi_align(
        flambeau.tensor(images), flambeau.tensor(REGIONS), (3, 2), 0.5, ratio, aligned=aligned
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    lists = [flambeau.tensor(REGIONS[REGIONS[:, 0] == image, 1:]) for image in (0, 1)]
    listed = ops.roi_align(flambeau.tensor(images), lists, (3, 2), 0.5, ratio, aligned)
    order = [*np.flatnonzero(REGIONS[:, 0] == 0), *np.flatnonzero(REGIONS[:, 0] == 1)]
    np.testing.assert_allclose(listed.numpy(), expected[order], atol=1e-12)
    module = ops.RoIAlign((3, 2), 0.5, ratio, aligned)
    np.testing.assert_array_equal(module(flambeau.tensor(images), flambeau.tensor(REGIONS)).numpy(), found.numpy())
    assert repr(module) == f"RoIAlign(output_size=(3, 2), spatial_scale=0.5, sampling_ratio={ratio}, aligned={aligned})"


def test_ps_roi_align_reads_channels_of_its_own_in_each_bin() -> None:
    images = features(12)
    by_channel = aligned_bins(images, (3, 2), 0.5, 2, 0.5, 0).reshape(len(REGIONS), 2, 3, 2, 3, 2)
    expected = np.einsum("kcijij->kcij", by_channel)
    found = ops.ps_roi_align(flambeau.tensor(images), flambeau.tensor(REGIONS), (3, 2), 0.5, 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    with pytest.raises(RuntimeError, match="multiple of pooling height"):
        ops.ps_roi_align(flambeau.zeros(2, 5, 4, 4), flambeau.tensor(REGIONS), 2)


def whole_bin(low: float, high: float, bins: int, number: int, extra: int, most: int) -> slice:
    first, last = (math.floor(abs(edge) + 0.5) * (1 if edge >= 0 else -1) for edge in (low, high))
    step = max(last - first + extra, 1) / bins
    ends = math.floor(number * step) + first, math.ceil((number + 1) * step) + first
    return slice(*(min(max(end, 0), most) for end in ends))


def test_roi_pool_and_ps_roi_pool() -> None:
    images = features(12)
    greatest = np.zeros((len(REGIONS), 12, 3, 2))
    mean = np.zeros((len(REGIONS), 2, 3, 2))
    for number, (image, x1, y1, x2, y2) in enumerate(REGIONS):
        for row, col in np.ndindex(3, 2):
            rows = whole_bin(y1 * 0.5, y2 * 0.5, 3, row, 1, 12)
            cols = whole_bin(x1 * 0.5, x2 * 0.5, 2, col, 1, 16)
            window = images[int(image), :, rows, cols]
            if window.size:
                greatest[number, :, row, col] = window.max((1, 2))
            rows = whole_bin(y1 * 0.5, y2 * 0.5, 3, row, 0, 11)
            cols = whole_bin(x1 * 0.5, x2 * 0.5, 2, col, 0, 15)
            window = images[int(image)].reshape(2, 3, 2, 12, 16)[:, row, col, rows, cols]
            if window.size:
                mean[number, :, row, col] = window.mean((1, 2))
    arguments = flambeau.tensor(images), flambeau.tensor(REGIONS)
    np.testing.assert_allclose(ops.roi_pool(*arguments, (3, 2), 0.5).numpy(), greatest)
    np.testing.assert_allclose(ops.ps_roi_pool(*arguments, (3, 2), 0.5).numpy(), mean)
    assert repr(ops.RoIPool(3, 0.5)) == "RoIPool(output_size=3, spatial_scale=0.5)"
    np.testing.assert_allclose(ops.PSRoIPool((3, 2), 0.5)(*arguments).numpy(), mean)


@pytest.mark.parametrize("name", ["roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"])
def test_regions_differentiate(name: str) -> None:
    images = flambeau.tensor(features(4)[:, :, :5, :6], requires_grad=True)
    regions = flambeau.tensor(REGIONS[:3])
    function = lambda x: getattr(ops, name)(x, regions, 2, 0.4)
    assert gradcheck(function, (images,))
    assert gradgradcheck(function, (images,))
    none = getattr(ops, name)(images, regions[:0], 2)
    assert none.shape == (0, 4 if not name.startswith("ps") else 1, 2, 2)


def test_boxes_of_wrong_shapes() -> None:
    images = flambeau.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"not correct as Tensor\[K, 5\]"):
        ops.roi_align(images, flambeau.zeros(2, 4), 2)
    with pytest.raises(ValueError, match=r"List\[Tensor\[L, 4\]\]"):
        ops.roi_pool(images, [flambeau.zeros(2, 5)], 2)
    with pytest.raises(TypeError, match="boxes is expected to be"):
        ops.roi_align(images, 3, 2)  # type: ignore[arg-type]


def slow_deform(
    x: np.ndarray, offset: np.ndarray, weight: np.ndarray, mask: np.ndarray, stride: int, padding: int
) -> np.ndarray:
    count, channels, height, width = x.shape
    out_channels, per_group, kernel_h, kernel_w = weight.shape
    out = np.zeros((count, out_channels, *offset.shape[2:]))
    groups, weight_groups = offset.shape[1] // (2 * kernel_h * kernel_w), channels // per_group
    for n, o, row, col, c, i, j in np.ndindex(count, out_channels, *out.shape[2:], per_group, kernel_h, kernel_w):
        channel = o // (out_channels // weight_groups) * per_group + c
        tap = channel // (channels // groups) * kernel_h * kernel_w + i * kernel_w + j
        y = row * stride - padding + i + offset[n, 2 * tap, row, col]
        z = col * stride - padding + j + offset[n, 2 * tap + 1, row, col]
        value = 0.0
        for pixel_y in (math.floor(y), math.floor(y) + 1):
            for pixel_x in (math.floor(z), math.floor(z) + 1):
                if 0 <= pixel_y < height and 0 <= pixel_x < width:
                    share = (1 - abs(y - pixel_y)) * (1 - abs(z - pixel_x))
                    value += share * x[n, channel, pixel_y, pixel_x]
        out[n, o, row, col] += value * mask[n, tap, row, col] * weight[o, c, i, j]
    return out


def test_deform_conv2d() -> None:
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((6, 2, 3, 2))
    offset, mask = 2 * rng.standard_normal((2, 24, 3, 4)), rng.random((2, 12, 3, 4))
    bias = rng.standard_normal(6)
    arguments = [flambeau.tensor(value) for value in (x, offset, weight, bias)]
    found = ops.deform_conv2d(*arguments, stride=2, padding=1, mask=flambeau.tensor(mask))
    expected = slow_deform(x, offset, weight, mask, 2, 1) + bias[:, None, None]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_deform_conv2d_without_offsets_is_a_convolution() -> None:
    module = ops.DeformConv2d(4, 6, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2)
    x = flambeau.randn(2, 4, 7, 8)
    expected = F.conv2d(x, module.weight, module.bias, 2, 1, (1, 2), 2)
    found = module(x, flambeau.zeros(2, 12, *expected.shape[2:]))
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-5)
    assert repr(module) == (
        "DeformConv2d(4, 6, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), dilation=(1, 2), groups=2)"
    )
    plain = ops.DeformConv2d(4, 6, 3, bias=False)
    assert repr(plain) == "DeformConv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), bias=False)"
    with pytest.raises(ValueError, match="in_channels must be divisible"):
        ops.DeformConv2d(3, 4, 3, groups=2)
    with pytest.raises(RuntimeError, match="the shape of the offset tensor"):
        module(x, flambeau.zeros(2, 11, *expected.shape[2:]))
    with pytest.raises(RuntimeError, match="offset has the shape"):
        module(x, flambeau.zeros(2, 12, 2, 2))


def test_deform_conv2d_differentiates() -> None:
    rng = np.random.default_rng(2)
    shapes = [(1, 2, 4, 4), (1, 16, 3, 3), (2, 1, 2, 2), (2,)]
    values = [flambeau.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    mask = flambeau.tensor(rng.random((1, 8, 3, 3)), requires_grad=True)
    function = lambda x, o, w, b, m: ops.deform_conv2d(x, o, w, b, mask=m)
    assert gradcheck(function, (*values, mask))
    assert gradgradcheck(function, (*values, mask))


@pytest.mark.parametrize("rank", [2, 3])
def test_drop_block(rank: int) -> None:
    function, kind = ((ops.drop_block2d, ops.DropBlock2d), (ops.drop_block3d, ops.DropBlock3d))[rank - 2]
    x = flambeau.ones(8, 4, *(15,) * rank)
    flambeau.manual_seed(0)
    dropped = function(x, 0.3, 3)
    gone = (dropped == 0).numpy()
    assert 0.1 < gone.mean() < 0.4
    np.testing.assert_allclose(dropped.sum().item(), x.numel(), rtol=1e-4)
    # Every dropped pixel is in a dropped block.
    dims = tuple(range(2, 2 + rank))
    blocks = np.lib.stride_tricks.sliding_window_view(gone, (3,) * rank, dims).all(tuple(range(-rank, 0)))
    covered = np.zeros_like(gone)
    for place in np.argwhere(blocks):
        covered[(place[0], place[1], *(slice(p, p + 3) for p in place[2:]))] = True
    assert (covered == gone).all()
    module = kind(0.3, 3)
    assert repr(module) == f"DropBlock{rank}d(p=0.3, block_size=3, inplace=False)"
    assert module.eval()(x) is x and function(x, 0.0, 3) is x
    assert function(x, 0.3, 3, inplace=True) is x
    with pytest.raises(ValueError, match="between 0 and 1, but got 2"):
        function(x, 2, 3)
    with pytest.raises(ValueError, match=f"should be {rank + 2} dimensional. Got 1"):
        function(flambeau.ones(3), 0.5, 3)
    with pytest.raises(ValueError, match="block size should be odd. Got 2"):
        function(x, 0.5, 2)


def test_frozen_batch_norm() -> None:
    norm = flambeau.nn.BatchNorm2d(3)
    for _ in range(3):
        norm(flambeau.randn(4, 3, 5, 5) * 2 + 1)
    frozen = ops.FrozenBatchNorm2d(3)
    frozen.load_state_dict(norm.state_dict())
    x = flambeau.randn(2, 3, 4, 4)
    np.testing.assert_allclose(frozen(x).numpy(), norm.eval()(x).detach().numpy(), atol=1e-6)
    assert not list(frozen.parameters()) and len(frozen.state_dict()) == 4
    assert repr(frozen) == "FrozenBatchNorm2d(3, eps=1e-05)"


def test_multi_scale_roi_align_takes_each_box_from_its_level() -> None:
    rng = np.random.default_rng(4)
    maps = {
        "fine": flambeau.tensor(rng.standard_normal((2, 3, 64, 64))),
        "other": flambeau.tensor(rng.standard_normal((2, 3, 48, 48))),
        "coarse": flambeau.tensor(rng.standard_normal((2, 3, 32, 32))),
    }
    boxes = [
        flambeau.tensor(np.array([[0.0, 0, 250, 250], [10, 10, 30, 30]])),
        flambeau.tensor(np.array([[5.0, 5, 100, 90], [0, 0, 256, 256]])),
    ]
    pool = ops.MultiScaleRoIAlign(["fine", "coarse"], 2, 2, canonical_scale=200, canonical_level=3)
    found = pool(maps, boxes, [(256, 256), (200, 256)])
    assert pool.scales == [0.25, 0.125]
    fine = ops.roi_align(maps["fine"], boxes, 2, 0.25, 2)
    coarse = ops.roi_align(maps["coarse"], boxes, 2, 0.125, 2)
    expected = flambeau.stack((coarse[0], fine[1], fine[2], coarse[3]))
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    alone = ops.MultiScaleRoIAlign(["coarse"], (2, 2), 2)
    np.testing.assert_array_equal(alone(maps, boxes, [(256, 256)] * 2).numpy(), coarse.numpy())
    assert repr(alone) == "MultiScaleRoIAlign(featmap_names=['coarse'], output_size=(2, 2), sampling_ratio=2)"
    with pytest.raises(ValueError, match="images list should not be empty"):
        ops.MultiScaleRoIAlign(["fine"], 2, 2)(maps, boxes, [])


@pytest.mark.parametrize("extra", [None, ops.feature_pyramid_network.LastLevelMaxPool])
def test_feature_pyramid(extra: type | None) -> None:
    network = ops.FeaturePyramidNetwork([3, 5], 4, extra() if extra else None)
    x = {"a": flambeau.randn(2, 3, 8, 6), "b": flambeau.randn(2, 5, 4, 3)}
    found = network(x)
    state = network.state_dict()
    assert list(state)[:2] == ["inner_blocks.0.0.weight", "inner_blocks.0.0.bias"] and len(state) == 8
    fine, coarse = (
        F.conv2d(x[name], state[f"inner_blocks.{n}.0.weight"]) for n, name in enumerate("ab")
    )
    fine = fine + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for n, (name, lateral) in enumerate((("a", fine), ("b", coarse))):
        expected = F.conv2d(lateral, state[f"layer_blocks.{n}.0.weight"], padding=1)
        np.testing.assert_allclose(found[name].detach().numpy(), expected.numpy(), atol=1e-5)
    assert list(found) == ["a", "b"] + (["pool"] if extra else [])
    if extra:
        np.testing.assert_array_equal(found["pool"].detach().numpy(), found["b"].detach().numpy()[:, :, ::2, ::2])
    # Files of old versions have bare convolutions.
    state._metadata[""] = {"version": 1}
    for name in list(state):
        state[name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")] = state.pop(name)
    network.load_state_dict(state)
    with pytest.raises(ValueError, match="in_channels=0"):
        ops.FeaturePyramidNetwork([0], 4)
    with pytest.raises(TypeError, match="should be of type ExtraFPNBlock"):
        ops.FeaturePyramidNetwork([1], 4, flambeau.nn.ReLU())  # type: ignore[arg-type]


def test_two_more_levels() -> None:
    for channels in (4, 5):
        extra = ops.feature_pyramid_network.LastLevelP6P7(channels, 4)
        found = ops.FeaturePyramidNetwork([channels], 4, extra)({"a": flambeau.randn(1, channels, 9, 9)})
        assert {name: tuple(value.shape) for name, value in found.items()} == {
            "a": (1, 4, 9, 9), "p6": (1, 4, 5, 5), "p7": (1, 4, 3, 3)
        }  # fmt: skip


def test_compiled_they_give_the_same() -> None:
    flambeau.manual_seed(0)
    x, weight, offset = flambeau.randn(1, 4, 9, 9), flambeau.randn(3, 4, 3, 3), flambeau.randn(1, 18, 7, 7)
    boxes = flambeau.rand(6, 4).cumsum(1)
    programs = [
        (ops.deform_conv2d, (x, offset, weight)),
        (lambda a, b: ops.complete_box_iou_loss(a, b, "mean"), (boxes[:3], boxes[3:])),
        (ops.generalized_box_iou, (boxes[:2], boxes[2:])),
    ]
    for program, arguments in programs:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what cannot be traced warns
            found = flambeau.compile(program)(*arguments)
        np.testing.assert_allclose(found.numpy(), program(*arguments).numpy(), atol=1e-5)
