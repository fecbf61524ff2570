"""Convolutions: forward and both gradients, in both layouts, against double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flambeau.kernels import (
    call,
    conv,
    conv_channels,
    conv_winograd,
    conv_winograd_channels,
    conv_winograd_weight,
    threads,
)
from flambeau.kernels.conv import Convolution
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target, named

from . import support
from .conftest import RUNNABLE

TOLERANCE = {np.dtype(np.float32): 5e-6, np.dtype(np.float64): 1e-13}


def plain(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x)


def batch_in_lanes(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


LAYOUTS = {"plain": plain, "batch": batch_in_lanes, "last": channels_last}


def check(
    target: Target,
    shape: Convolution,
    layout: str,
    dtype: type = np.float32,
    exact: bool = True,
) -> None:
    """All three kernels of a convolution."""
    rng = np.random.default_rng(0)
    lay = LAYOUTS[layout]
    x = rng.standard_normal((shape.batch, shape.in_channels, *shape.in_size)).astype(dtype)
    weight = rng.standard_normal((shape.out_channels, shape.group_in, *shape.kernel)).astype(
        dtype
    )
    bias = rng.standard_normal(shape.out_channels).astype(dtype)
    out_shape = (shape.batch, shape.out_channels, *shape.out_size)
    gradient = rng.standard_normal(out_shape).astype(dtype)
    rest = shape.stride, shape.padding, shape.dilation, shape.groups
    expected = support.convolution(x, weight, *rest) + bias[:, None, None]
    of_x, of_weight = support.convolution_gradients(x, weight, gradient, *rest)

    x, gradient = lay(x), lay(gradient)
    out, dx = lay(np.full(out_shape, 7, dtype)), lay(np.full(x.shape, 7, dtype))
    dw = np.full(weight.shape, 7, dtype)
    at = support.operand
    support.run(
        lambda m: conv.emit_forward(
            m, "k", shape, at(x), at(weight), [at(out)],
            (("input", 0), ("input", 1), ("add", 0, 1)), (2,),
            [Operand(bias.dtype.name, (0, 1, 0, 0))], exact,
        ),
        x, weight, bias, out, target=target, checked=False,
    )  # fmt: skip
    support.run(
        lambda m: conv.emit_input_gradient(
            m, "k", shape, at(gradient), at(weight), [at(dx)], exact=exact
        ),
        gradient, weight, dx, target=target, checked=False,
    )  # fmt: skip
    support.run(
        lambda m: conv.emit_weight_gradient(
            m, "k", shape, at(x), at(gradient), at(dw), exact
        ),
        x, gradient, dw, target=target, checked=False,
    )  # fmt: skip
    tolerance = TOLERANCE[np.dtype(dtype)] if exact else 5e-5
    support.close(out, expected, tolerance)
    support.close(dx, of_x, tolerance)
    support.close(dw, of_weight, tolerance)


@st.composite
def _shapes(draw: st.DrawFn) -> Convolution:
    pair = st.integers(1, 3)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    shape = Convolution(
        draw(st.integers(1, 18)), groups * draw(st.integers(1, 5)), groups * draw(pair) * 2,
        (draw(st.integers(1, 13)), draw(st.integers(1, 20))), kernel, (draw(pair), draw(pair)),
        (draw(st.integers(0, kernel[0])), draw(st.integers(0, kernel[1]))), dilation, groups,
    )  # fmt: skip
    assume(min(shape.out_size) >= 1)
    return shape


@pytest.mark.parametrize("layout", ["plain", "batch"])
@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=15, deadline=None)
@given(shape=_shapes())
def test_any_shape(name: str, layout: str, shape: Convolution) -> None:
    check(named(name), shape, layout)


CASES = {
    "first layer": Convolution(16, 1, 8, (30, 30), (5, 5), (2, 2)),
    "wide": Convolution(3, 20, 40, (9, 20), (3, 3), (1, 1), (1, 1)),
    "banded": Convolution(16, 2, 4, (40, 40), (3, 3)),
    "grouped and wide": Convolution(2, 6, 34, (50, 48), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    "depthwise": Convolution(5, 8, 8, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 8),
    "depthwise, wide": Convolution(2, 3, 3, (9, 35), (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise, dealt by two": Convolution(2, 3, 3, (11, 37), (3, 3), (2, 2), (1, 1), (1, 1), 3),
    "depthwise, dealt by three": Convolution(2, 3, 3, (13, 31), (5, 5), (3, 3), (2, 2), (1, 1), 3),
    "depthwise, dealt by four": Convolution(1, 2, 2, (13, 66), (4, 5), (4, 4), (2, 2), (1, 1), 2),
    "depthwise, two each": Convolution(2, 3, 6, (8, 20), (5, 5), (1, 1), (4, 2), (2, 1), 3),
    "one by one, strided": Convolution(3, 5, 7, (6, 6), (1, 1), (2, 2)),
    "one dimension": Convolution(2, 3, 20, (1, 30), (1, 7), (1, 2), (0, 3)),
    "small maps": Convolution(33, 24, 40, (4, 4), (3, 3), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("case", sorted(CASES))
def test_cases(target: Target, case: str, layout: str) -> None:
    check(target, CASES[case], layout)


WINOGRAD = {
    "padded": Convolution(2, 3, 5, (8, 8), (3, 3), (1, 1), (1, 1)),
    "image by image": Convolution(5, 17, 20, (14, 14), (3, 3), (1, 1), (1, 1)),
    "long rows": Convolution(1, 4, 9, (30, 75), (3, 3)),
    "padded twice": Convolution(4, 8, 16, (9, 11), (3, 3), (1, 1), (2, 2)),
    "one pixel": Convolution(3, 5, 4, (3, 3), (3, 3)),
    "five by five": Convolution(4, 6, 18, (11, 27), (5, 5), (1, 1), (2, 2)),
    "five by five, one image": Convolution(1, 18, 7, (9, 9), (5, 5)),
}


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("case", sorted(WINOGRAD))
def test_winograd(target: Target, case: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    monkeypatch.setattr(conv_winograd_weight, "_FEW", few)
    monkeypatch.setattr(conv_winograd_weight, "_STRETCH", few or 16)
    monkeypatch.setattr(conv_winograd, "pays", lambda *_: used.append(1) or True)
    monkeypatch.setattr(conv_winograd_weight, "pays", lambda *_: used.append(1) or True)
    monkeypatch.setattr(conv_winograd_channels, "pays", lambda *_: False)
    check(target, WINOGRAD[case], "plain", exact=False)
    assert len(used) == 3


@pytest.mark.parametrize("cache", ["small", "large"])
@pytest.mark.parametrize("case", sorted(WINOGRAD))
def test_winograd_with_channels_in_lanes(
    target: Target, case: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    monkeypatch.setattr(conv_winograd_channels, "pays", lambda *_: used.append(1) or True)
    if cache == "small":  # image by image
        target = replace(target, l2=60_000)
    check(target, WINOGRAD[case], "plain", exact=False)
    assert len(used) == 2


CHANNELS = {
    "padded": Convolution(3, 5, 37, (9, 20), (3, 3), (1, 1), (1, 1)),
    "dealt by two": Convolution(2, 20, 9, (9, 13), (3, 3), (2, 2), (1, 1)),
    "dealt by four": Convolution(1, 19, 6, (12, 18), (5, 4), (4, 4), (1, 2)),
    "dealt by three": Convolution(2, 18, 4, (10, 10), (4, 5), (3, 3), (2, 2)),
    "in place": Convolution(5, 33, 17, (4, 7), (2, 2)),
    "many taps": Convolution(2, 3, 20, (13, 12), (5, 4), (1, 1), (2, 1), (1, 2)),
    "groups": Convolution(2, 8, 40, (7, 9), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    "one by one": Convolution(3, 40, 21, (5, 6), (1, 1)),
}


@pytest.mark.parametrize(("cache", "layout"), [("small", "plain"), ("large", "last")])
@pytest.mark.parametrize("case", sorted(CHANNELS))
def test_channels_in_lanes(
    target: Target, case: str, cache: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def applies(what: conv_channels.Sum, target: Target) -> bool:
        used.append(conv_channels.applies(what))
        return used[-1]

    monkeypatch.setattr(conv_channels, "pays", applies)
    if cache == "small":  # bands of rows, blocks of sources
        target = replace(target, l1=2048, l2=8192)
    check(target, CHANNELS[case], layout)
    assert used == [True, True]


def test_winograd_is_chosen_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Convolution(2, 64, 64, (28, 28), (3, 3), (1, 1), (1, 1))
    x, w = (Operand("float32", s) for s in ((50176, 784, 28, 1), (576, 9, 3, 1)))
    kernel = conv.emit_forward(Module(), "k", shape, x, w, [x])
    assert any("products" in stage.function for stage in kernel.stages)
    kernel = conv.emit_forward(Module(), "k", shape, x, w, [x], exact=True)
    assert not any("products" in stage.function for stage in kernel.stages)


@pytest.mark.parametrize("layout", ["plain", "batch"])
def test_double_precision(target: Target, layout: str) -> None:
    check(target, CASES["small maps"], layout, np.float64)


SHARED = {
    "direct": Convolution(16, 16, 24, (20, 20), (3, 3), (1, 1), (1, 1)),
    "depthwise": Convolution(3, 10, 10, (20, 20), (3, 3), (2, 2), (1, 1), (1, 1), 10),
    "winograd, few tiles": Convolution(3, 64, 64, (7, 7), (3, 3), (1, 1), (1, 1)),
    "winograd, many tiles": Convolution(5, 32, 32, (30, 30), (5, 5), (1, 1), (2, 2)),
    "one by one": Convolution(2, 48, 80, (14, 14), (1, 1)),
}


@pytest.mark.parametrize(("case", "layout"), [*((case, "plain") for case in SHARED), ("direct", "batch")])
def test_threads_agree_to_the_bit(case: str, layout: str) -> None:
    shape = SHARED[case]
    rng = np.random.default_rng(0)
    lay = LAYOUTS[layout]
    x = lay(rng.standard_normal((shape.batch, shape.in_channels, *shape.in_size)).astype("f4"))
    g = lay(rng.standard_normal((shape.batch, shape.out_channels, *shape.out_size)).astype("f4"))
    weight = rng.standard_normal((shape.out_channels, shape.group_in, *shape.kernel)).astype("f4")
    bias = rng.standard_normal(shape.out_channels).astype("f4")
    before, seen = threads.get_num_threads(), []
    for count in (1, 2, 3, 4):
        threads.set_num_threads(count)
        out, dx, dw = np.empty_like(g), np.empty_like(x), np.empty_like(weight)
        call.conv2d(x, weight, bias, out, shape)
        call.conv2d_input_gradient(g, weight, dx, shape)
        call.conv2d_weight_gradient(x, g, dw, shape)
        seen.append((out, dx, dw))
    threads.set_num_threads(before)
    for other in seen[1:]:
        for a, b in zip(other, seen[0], strict=True):
            np.testing.assert_array_equal(a, b)
