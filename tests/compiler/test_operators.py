"""Every operator with a lowering computes what eager computes, and so do its gradients."""

from __future__ import annotations

import pytest
from compiler_helpers import check

import flambeau as torch
import flambeau.nn.functional as F

UNARY = [
    "neg", "abs", "exp", "exp2", "expm1", "sigmoid", "tanh", "sin", "cos", "tan", "sinh", "cosh", "atan",
    "asinh", "erf", "erfc", "relu", "square", "sign", "floor", "ceil", "trunc", "round", "frac", "sgn",
]  # fmt: skip
POSITIVE = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "acosh"]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "remainder",
    "fmod",
]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype: str) -> None:
    check(getattr(torch, name), torch.randn(3, 17, dtype=getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POSITIVE)
def test_unary_of_positive_numbers(name: str, dtype: str) -> None:
    check(getattr(torch, name), torch.rand(3, 17, dtype=getattr(torch, dtype)) + 1.25)


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_broadcasting(name: str) -> None:
    f = getattr(torch, name)
    check(f, torch.randn(3, 5, 4), torch.randn(5, 1))
    check(f, torch.randn(3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64))


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name: str) -> None:
    x, y = torch.randint(0, 3, (4, 7)), torch.randint(0, 3, (7,))
    check(getattr(torch, name), x, y, gradients=False)
    check(getattr(torch, name), x.float(), y.float(), gradients=False)


def test_special_values_are_kept() -> None:
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1.0])

    def f(x: torch.Tensor) -> tuple:
        one = torch.ones_like(x)
        return (
            x.relu(), torch.maximum(x, one), torch.fmin(x, one), x.exp(), x.tanh(), x.isnan().float(),
            x.isinf().float(), x.isfinite().float(), x.clamp(-1, 1), torch.where(x > 0, x, -x),
        )  # fmt: skip

    check(f, x, gradients=False)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "logsumexp", "prod"])
@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_reductions(name: str, dims: tuple) -> None:
    dim = dims[0] if name == "prod" else dims
    for keepdim in (False, True):
        check(lambda x: getattr(torch, name)(x, dim, keepdim=keepdim), torch.randn(3, 5, 7))


def test_more_reductions() -> None:
    x = torch.randn(4, 9, 5)
    check(lambda x: (x.var(1), x.std((0, 2)), x.argmax(1), x.argmin(), x.any(1), x.all(0)), x)
    check(lambda x: (x.max(1).values, x.min(), x.cumsum(1)), x)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(dim: int) -> None:
    check(lambda x: (x.softmax(dim), x.log_softmax(dim)), 3 * torch.randn(4, 6, 10))


def test_matrix_products() -> None:
    a, b = torch.randn(5, 7), torch.randn(7, 3)
    check(lambda a, b: a @ b, a, b)
    check(lambda a, b: a.t() @ b.t(), torch.randn(7, 5), torch.randn(3, 7))
    check(lambda a, b: a @ b, torch.randn(2, 3, 5, 7), torch.randn(3, 7, 4))
    check(lambda a, b: a @ b, torch.randn(7), torch.randn(7))
    check(F.linear, torch.randn(4, 8), torch.randn(5, 8), torch.randn(5))
    check(F.linear, torch.randn(1, 1), torch.randn(1, 1), torch.randn(1))
    check(lambda a, b: a.double() @ b.double(), torch.randn(33, 65), torch.randn(65, 17))


@pytest.mark.parametrize(
    "stride, padding, dilation, groups",
    [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, 1, 1, 2), ((1, 2), (0, 1), 1, 4), (2, 0, 2, 1)],
)  # fmt: skip
def test_convolution(stride: object, padding: object, dilation: object, groups: int) -> None:
    x, w, b = torch.randn(2, 4, 11, 10), torch.randn(8, 4 // groups, 3, 3), torch.randn(8)
    check(lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, groups), x, w, b)


def test_convolutions_of_other_ranks() -> None:
    check(lambda x, w: F.conv1d(x, w, padding=1), torch.randn(3, 2, 9), torch.randn(4, 2, 3))
    check(lambda x, w: F.conv3d(x, w), torch.randn(1, 2, 5, 6, 4), torch.randn(3, 2, 3, 2, 2))
    check(
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1),
        torch.randn(2, 4, 5, 6), torch.randn(4, 3, 3, 3),
    )  # fmt: skip


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    "kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (2, 1, 0), (5, 3, 2)]
)
def test_pooling(kernel: int, stride: int, padding: int, ceil_mode: bool) -> None:
    x = torch.randn(2, 3, 11, 9)
    check(lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode), x)
    check(lambda x: F.max_pool2d(x, kernel, stride, padding, 1, ceil_mode), x)


def test_shapes() -> None:
    x = torch.randn(2, 3, 4)

    def f(x: torch.Tensor) -> tuple:
        return (
            x.permute(2, 0, 1) * 2, x.transpose(0, 2).reshape(4, -1), x[1], x[:, 1:, ::2], x.expand(5, 2, 3, 4),
            torch.cat([x, x * 2], 1), torch.stack([x, -x]), x.flip(1), F.pad(x, (1, 2, 0, 1), value=3.0),
            x.unsqueeze(1), x.flatten(1), x.repeat(2, 1, 3), x.roll(1, 2), x.diagonal(dim1=1, dim2=2),
            x.unfold(2, 2, 1), x.chunk(2, 2)[1], x[..., None],
        )  # fmt: skip

    check(f, x)


def test_casts() -> None:
    def f(x: torch.Tensor) -> tuple:
        return (
            x.double(), x.half(), x.bfloat16().float(), (x * 10).int(), (x > 0).long(), x.bool(), x.half() * 3,
        )  # fmt: skip

    check(f, torch.randn(3, 9), gradients=False)


def test_gather_and_embedding() -> None:
    index = torch.randint(0, 6, (4, 1))
    check(lambda x: x.gather(1, index), torch.randn(4, 6))
    many = torch.randint(0, 6, (4, 3))
    check(lambda x: x.gather(1, many), torch.randn(4, 6))
    check(lambda w: F.embedding(many, w), torch.randn(6, 5))
    check(lambda x: x[index[:, 0]], torch.randn(6, 5))


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_losses(loss: str) -> None:
    check(getattr(F, loss), torch.randn(5, 4), torch.randn(5, 4))


def test_cross_entropy() -> None:
    target = torch.tensor([1, 0, 3, -100])
    check(lambda x: F.cross_entropy(x, target), torch.randn(4, 5))
    check(lambda x: F.cross_entropy(x, target, label_smoothing=0.1), torch.randn(4, 5))


def test_empty_tensors() -> None:
    check(lambda x: (x * 2, x.sum(), x.reshape(0, 6)), torch.randn(0, 3, 2))


def test_complex_numbers_run_on_the_host() -> None:
    x = torch.randn(3, 4, dtype=torch.complex64)
    compiled = torch.compile(lambda x: (x * x.conj()).abs().sum(), fullgraph=True)
    assert abs(compiled(x).item() - (x * x.conj()).abs().sum().item()) < 1e-4
