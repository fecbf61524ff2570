"""`repr` of tensors against texts that PyTorch 2.13 printed."""



from __future__ import annotations

from collections.abc import Iterator

import pytest

import flambeau as fb
from flambeau.tensor import printing

inf, nan = float("inf"), float("nan")


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    fb.set_printoptions(profile="default")


CASES = [
    ("torch.tensor(1)", "tensor(1)"),
    ("torch.tensor(1.5)", "tensor(1.5000)"),
    ("torch.tensor([])", "tensor([])"),
    ("torch.tensor([1, -20, 300])", "tensor([  1, -20, 300])"),
    ("torch.tensor([1.0, 2.0])", "tensor([1., 2.])"),
    ("torch.tensor([1.5, -2.25, 3.0])", "tensor([ 1.5000, -2.2500,  3.0000])"),
    ("torch.tensor([1e-5, 1.0])", "tensor([1.0000e-05, 1.0000e+00])"),
    ("torch.tensor([1e9, 1.0])", "tensor([1.0000e+09, 1.0000e+00])"),
    ("torch.tensor([1.0, 1e4])", "tensor([1.0000e+00, 1.0000e+04])"),
    ("torch.tensor([1.0, 1e4, 0.5])", "tensor([1.0000e+00, 1.0000e+04, 5.0000e-01])"),
    ("torch.tensor([nan, inf, -inf, 1.0])", "tensor([nan, inf, -inf, 1.])"),
    ("torch.tensor([nan, 0.5])", "tensor([   nan, 0.5000])"),
    ("torch.tensor([nan])", "tensor([nan])"),
    ("torch.tensor([-0.0, 0.0])", "tensor([-0., 0.])"),
    ("torch.tensor([True, False])", "tensor([ True, False])"),
    ("torch.tensor([1 + 2j, -0.5 - 1j])", "tensor([ 1.0000+2.j, -0.5000-1.j])"),
    ("torch.tensor([1e6 + 2j, nan - 1j])", "tensor([1000000.+2.j,      nan-1.j])"),
    ("torch.tensor([1.0], dtype=torch.float64)", "tensor([1.], dtype=torch.float64)"),
    (
        "torch.tensor([1.0, 0.1], dtype=torch.float16)",
        "tensor([1.0000, 0.1000], dtype=torch.float16)",
    ),
    (
        "torch.tensor([1.0, 0.1], dtype=torch.bfloat16)",
        "tensor([1.0000, 0.1001], dtype=torch.bfloat16)",
    ),
    ("torch.tensor([1, 2], dtype=torch.uint8)", "tensor([1, 2], dtype=torch.uint8)"),
    ("torch.zeros(0, 3)", "tensor([], size=(0, 3))"),
    ("torch.zeros(0, dtype=torch.int64)", "tensor([], dtype=torch.int64)"),
    ("torch.zeros(2, 0, dtype=torch.float64)", "tensor([], size=(2, 0), dtype=torch.float64)"),
    ("torch.arange(6.0).view(2, 3)", "tensor([[0., 1., 2.],\n        [3., 4., 5.]])"),
    (
        "torch.arange(24).view(2, 3, 4)",
        "tensor([[[ 0,  1,  2,  3],\n         [ 4,  5,  6,  7],\n         [ 8,  9, 10, 11]],\n\n        [[12, 13, 14, 15],\n         [16, 17, 18, 19],\n         [20, 21, 22, 23]]])",
    ),
    (
        "torch.arange(16.0).view(2, 2, 2, 2)",
        "tensor([[[[ 0.,  1.],\n          [ 2.,  3.]],\n\n         [[ 4.,  5.],\n          [ 6.,  7.]]],\n\n\n        [[[ 8.,  9.],\n          [10., 11.]],\n\n         [[12., 13.],\n          [14., 15.]]]])",
    ),
    (
        "torch.arange(40) * 1000",
        "tensor([    0,  1000,  2000,  3000,  4000,  5000,  6000,  7000,  8000,  9000,\n        10000, 11000, 12000, 13000, 14000, 15000, 16000, 17000, 18000, 19000,\n        20000, 21000, 22000, 23000, 24000, 25000, 26000, 27000, 28000, 29000,\n        30000, 31000, 32000, 33000, 34000, 35000, 36000, 37000, 38000, 39000])",
    ),
    (
        "torch.arange(30.0) / 7",
        "tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000, 1.1429,\n        1.2857, 1.4286, 1.5714, 1.7143, 1.8571, 2.0000, 2.1429, 2.2857, 2.4286,\n        2.5714, 2.7143, 2.8571, 3.0000, 3.1429, 3.2857, 3.4286, 3.5714, 3.7143,\n        3.8571, 4.0000, 4.1429])",
    ),
    ("torch.arange(2000)", "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (
        "torch.arange(2000.0).view(40, 50)",
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 4.7000e+01, 4.8000e+01,\n         4.9000e+01],\n        [5.0000e+01, 5.1000e+01, 5.2000e+01,  ..., 9.7000e+01, 9.8000e+01,\n         9.9000e+01],\n        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.4700e+02, 1.4800e+02,\n         1.4900e+02],\n        ...,\n        [1.8500e+03, 1.8510e+03, 1.8520e+03,  ..., 1.8970e+03, 1.8980e+03,\n         1.8990e+03],\n        [1.9000e+03, 1.9010e+03, 1.9020e+03,  ..., 1.9470e+03, 1.9480e+03,\n         1.9490e+03],\n        [1.9500e+03, 1.9510e+03, 1.9520e+03,  ..., 1.9970e+03, 1.9980e+03,\n         1.9990e+03]])",
    ),
    ("torch.ones(3, requires_grad=True)", "tensor([1., 1., 1.], requires_grad=True)"),
    ("torch.ones(2, requires_grad=True) * 2", "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    (
        "torch.ones(20, requires_grad=True).exp()",
        "tensor([2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183,\n        2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183,\n        2.7183, 2.7183], grad_fn=<ExpBackward0>)",
    ),
    (
        "torch.ones(12, dtype=torch.float64, requires_grad=True).exp()",
        "tensor([2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183, 2.7183,\n        2.7183, 2.7183, 2.7183], dtype=torch.float64, grad_fn=<ExpBackward0>)",
    ),
    ("torch.ones((), requires_grad=True).exp()", "tensor(2.7183, grad_fn=<ExpBackward0>)"),
    ("torch.ones(0, 2, requires_grad=True)", "tensor([], size=(0, 2), requires_grad=True)"),
    ("torch.ones(2, 2).t()", "tensor([[1., 1.],\n        [1., 1.]])"),
]


@pytest.mark.parametrize(("expression", "wanted"), CASES)
def test_repr(expression: str, wanted: str) -> None:
    assert repr(eval(expression, {"torch": fb, "inf": inf, "nan": nan})) == wanted


OPTIONS = [
    ({"precision": 2}, "torch.arange(3.0) / 3", "tensor([0.00, 0.33, 0.67])"),
    ({"sci_mode": True}, "torch.tensor([1.0, 20.0])", "tensor([1.0000e+00, 2.0000e+01])"),
    ({"sci_mode": False}, "torch.tensor([1e-6, 1e3])", "tensor([   0.0000, 1000.0000])"),
    (
        {"threshold": 5, "edgeitems": 1},
        "torch.arange(12).view(4, 3)",
        "tensor([[ 0,  ...,  2],\n        ...,\n        [ 9,  ..., 11]])",
    ),
    (
        {"edgeitems": 0, "threshold": 2},
        "torch.arange(12).view(4, 3)",
        "tensor([...], size=(4, 3))",
    ),
    (
        {"linewidth": 20},
        "torch.arange(12)",
        "tensor([ 0,  1,  2,\n         3,  4,  5,\n         6,  7,  8,\n         9, 10, 11])",
    ),
    (
        {"linewidth": 30},
        "torch.ones(3, dtype=torch.float64)",
        "tensor([1., 1., 1.],\n       dtype=torch.float64)",
    ),
    ({"profile": "short"}, "torch.arange(3.0) / 3", "tensor([0.00, 0.33, 0.67])"),
    ({"profile": "full"}, "torch.ones(2)", "tensor([1., 1.])"),
]


@pytest.mark.parametrize(("options", "expression", "wanted"), OPTIONS)
def test_options(options: dict, expression: str, wanted: str) -> None:
    fb.set_printoptions(**options)
    assert repr(eval(expression, {"torch": fb, "inf": inf, "nan": nan})) == wanted


def test_options_hold_for_a_block() -> None:
    with printing.printoptions(precision=1):
        assert repr(fb.tensor(0.25)) == "tensor(0.2)"
    assert repr(fb.tensor(0.25)) == "tensor(0.2500)"


def test_subclasses_print_their_name() -> None:
    class Pixels(fb.Tensor):
        pass

    assert repr(fb.ones(2).as_subclass(Pixels)) == "Pixels([1., 1.])"
    assert repr(fb.nn.Parameter(fb.ones(2))) == (
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )
