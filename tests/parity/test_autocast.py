"""`autocast` and `GradScaler` on the processor beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]
BOTH = (flambeau, torch)


def _x(t: Any, *shape: int, narrow: bool = False) -> Any:
    x = (t.arange(int(np.prod(shape)), dtype=t.float32) * 0.37).sin().reshape(shape)
    return x.to(t.bfloat16) if narrow else x


OPERATORS: dict[str, Callable[[Any], Any]] = {
    "matmul": lambda t: _x(t, 4, 5) @ _x(t, 5, 3),
    "mm": lambda t: t.mm(_x(t, 4, 5), _x(t, 5, 3)),
    "bmm": lambda t: t.bmm(_x(t, 2, 4, 5), _x(t, 2, 5, 3)),
    "addmm": lambda t: t.addmm(_x(t, 4, 3), _x(t, 4, 5), _x(t, 5, 3)),
    "linear": lambda t: t.nn.functional.linear(_x(t, 4, 5), _x(t, 3, 5), _x(t, 3)),
    "conv1d": lambda t: t.nn.functional.conv1d(_x(t, 1, 2, 8), _x(t, 3, 2, 3)),
    "conv2d": lambda t: t.nn.functional.conv2d(_x(t, 1, 2, 8, 8), _x(t, 3, 2, 3, 3), _x(t, 3)),
    "conv_transpose2d": lambda t: t.nn.functional.conv_transpose2d(_x(t, 1, 2, 4, 4), _x(t, 2, 3, 3, 3)),
    "double stays": lambda t: _x(t, 4, 5).double() @ _x(t, 5, 3).double(),
    "sum of both": lambda t: _x(t, 4, 5) @ _x(t, 5, 3) + _x(t, 4, 3),
    "cat": lambda t: t.cat([_x(t, 4), _x(t, 4, narrow=True)]),
    "mse_loss": lambda t: t.nn.functional.mse_loss(_x(t, 4, narrow=True), _x(t, 4, narrow=True) * 2),
    "cross_entropy": lambda t: t.nn.functional.cross_entropy(_x(t, 4, 5, narrow=True), t.tensor([0, 1, 2, 3])),
    "huber_loss": lambda t: t.nn.functional.huber_loss(_x(t, 4, narrow=True), _x(t, 4, narrow=True) * 2),
    "bce": lambda t: t.nn.functional.binary_cross_entropy_with_logits(_x(t, 4, narrow=True), _x(t, 4, narrow=True).sigmoid()),
    "softmax": lambda t: _x(t, 4, 5, narrow=True).softmax(1),
    "layer_norm": lambda t: t.nn.functional.layer_norm(_x(t, 4, 5, narrow=True), (5,)),
    "attention": lambda t: t.nn.functional.scaled_dot_product_attention(*[_x(t, 1, 2, 4, 8)] * 3),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", OPERATORS)
def test_dtypes_and_values(name: str, dtype: str) -> None:
    results = []
    for t in BOTH:
        with t.autocast("cpu", dtype=getattr(t, dtype)):
            results.append(OPERATORS[name](t))
    ours, theirs = results
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.float().numpy(), theirs.float().numpy(), rtol=0.02, atol=0.02)


def test_state_and_nesting() -> None:
    for t in BOTH:
        x = _x(t, 3, 3)
        assert not t.is_autocast_enabled("cpu")
        with t.autocast("cpu"):
            assert t.is_autocast_enabled("cpu") and t.get_autocast_dtype("cpu") is t.bfloat16
            with t.autocast("cpu", enabled=False):
                assert (x @ x).dtype is t.float32
            assert (x @ x).dtype is t.bfloat16
        assert (x @ x).dtype is t.float32

        @t.autocast("cpu", dtype=t.float16)
        def product(y: Any) -> Any:
            return y @ y

        assert product(x).dtype is t.float16


def _train(t: Any, scaled: bool) -> list[float]:
    t.manual_seed(0)
    net = t.nn.Sequential(
        t.nn.Conv2d(1, 4, 3), t.nn.BatchNorm2d(4), t.nn.ReLU(), t.nn.Flatten(), t.nn.Linear(4 * 36, 5)
    )
    update = t.optim.SGD(net.parameters(), lr=0.05)
    scaler = t.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3, enabled=scaled)
    x, y, losses = _x(t, 8, 1, 8, 8), t.arange(8) % 5, []
    for step in range(8):
        update.zero_grad()
        with t.autocast("cpu", dtype=t.bfloat16):
            loss = t.nn.functional.cross_entropy(net(x), y)
        if step == 5 and scaled:
            loss = loss * float("inf")
        scaler.scale(loss).backward()
        scaler.unscale_(update)
        t.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        scaler.step(update)
        scaler.update()
        if step != 5:
            losses.append(float(loss.detach()))
        losses.append(scaler.get_scale())
    assert all(p.grad.dtype is t.float32 for p in net.parameters())
    return losses


@pytest.mark.parametrize("scaled", [False, True])
def test_training(scaled: bool) -> None:
    np.testing.assert_allclose(_train(flambeau, scaled), _train(torch, scaled), rtol=0.02)


def test_scaler_s_state_goes_both_ways() -> None:
    ours, theirs = (t.amp.GradScaler("cpu", init_scale=8.0) for t in BOTH)
    theirs.scale(torch.ones(1))
    assert ours.state_dict() == theirs.state_dict()
    ours.load_state_dict({**theirs.state_dict(), "scale": 4.0})
    assert ours.get_scale() == 4.0


def test_compiled_programs_are_specialised() -> None:
    f = flambeau.compile(lambda x: x @ x)
    x = _x(flambeau, 4, 4)
    assert f(x).dtype is flambeau.float32
    with flambeau.autocast("cpu"):
        assert f(x).dtype is flambeau.bfloat16
    assert f(x).dtype is flambeau.float32
