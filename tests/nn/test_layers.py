"""Layers against formulas in NumPy, their derivatives, and what a module keeps."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.autograd import gradcheck, gradgradcheck


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def correlate(x: np.ndarray, w: np.ndarray, stride: int, padding: int, dilation: int, groups: int) -> np.ndarray:
    """A convolution by its definition, place by place."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, _, height, width = x.shape
    out_channels, each, kh, kw = w.shape
    oh = (height - dilation * (kh - 1) - 1) // stride + 1
    ow = (width - dilation * (kw - 1) - 1) // stride + 1
    out = np.zeros((n, out_channels, oh, ow))
    per_group = out_channels // groups
    for o in range(out_channels):
        first = o // per_group * each
        for i in range(oh):
            for j in range(ow):
                rows = slice(i * stride, i * stride + dilation * (kh - 1) + 1, dilation)
                columns = slice(j * stride, j * stride + dilation * (kw - 1) + 1, dilation)
                out[:, o, i, j] = (x[:, first : first + each, rows, columns] * w[o]).sum((1, 2, 3))
    return out


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 1, 1, 2), (3, 0, 1, 4)]
)
def test_conv2d(stride: int, padding: int, dilation: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3, stride, padding, dilation, groups, dtype=torch.float64)
    x = double(2, 4, 8, 9)
    expected = correlate(x.detach().numpy(), layer.weight.detach().numpy(), stride, padding, dilation, groups)
    expected += layer.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    x = double(1, 4, 6, 5)
    weight, bias = double(4, 4 // groups, 3, 2), double(4)
    arguments = (stride, padding, dilation, groups)
    assert gradcheck(lambda x, w, b: nn.functional.conv2d(x, w, b, *arguments), (x, weight, bias))
    assert gradgradcheck(lambda x, w: nn.functional.conv2d(x, w, None, *arguments), (x, weight))


def test_padding_modes_and_same() -> None:
    x = torch.randn(1, 2, 7, 7)
    assert nn.Conv2d(2, 3, 4, padding="same")(x).shape == (1, 3, 7, 7)
    for mode in ("reflect", "replicate", "circular"):
        layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
        plain = nn.functional.conv2d(torch.from_numpy(padded), layer.weight, layer.bias)
        np.testing.assert_allclose(layer(x).detach().numpy(), plain.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 0)])
def test_pools(kernel: int, stride: int, padding: int, ceil_mode: bool) -> None:
    x = double(1, 2, 7, 6)
    F = nn.functional
    for pool in (
        lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode),
        lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad=False),
        lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode),
    ):
        assert gradcheck(pool, (x,))
        assert gradgradcheck(pool, (x,))


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU(), nn.PReLU(), nn.PReLU(3), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.ELU(), nn.SiLU(), nn.Softplus(),
     nn.LeakyReLU(), nn.Softmax(1), nn.LogSoftmax(1), nn.BatchNorm1d(3), nn.LayerNorm(3), nn.Linear(3, 2)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_derivatives(layer: nn.Module) -> None:
    torch.manual_seed(1)
    layer = layer.double()
    x = double(4, 3)
    assert gradcheck(layer, (x,))
    assert gradgradcheck(layer, (x,))


def test_cross_entropy_is_the_mean_of_minus_log_softmax() -> None:
    x, y = torch.randn(5, 4), torch.tensor([0, 3, 1, 2, -100])
    z = x.numpy().astype(np.float64)
    logs = z - np.log(np.exp(z).sum(1, keepdims=True))
    expected = -np.mean([logs[i, t] for i, t in enumerate(y.tolist()) if t >= 0])
    assert nn.CrossEntropyLoss()(x, y).item() == pytest.approx(expected, rel=1e-6)
    assert gradcheck(lambda x: nn.functional.cross_entropy(x, y, label_smoothing=0.1), (double(5, 4),))


def test_initial_weights_are_those_of_the_seed() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    # from torch 2.13: torch.manual_seed(0); torch.nn.Linear(4, 3)
    expected = [-0.003743410110473633, 0.26822179555892944, -0.4115225672721863, -0.3679695129394531]
    np.testing.assert_array_equal(layer.weight[0].detach().numpy(), np.float32(expected))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 1)])
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [head(self.body(x)) * self.scale for head in self.heads]


def test_state_dict_round_trip() -> None:
    a, b = Net(), Net()
    assert list(a.state_dict()) == [
        "scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean",
        "body.1.running_var", "body.1.num_batches_tracked", "heads.0.weight", "heads.0.bias", "heads.1.weight",
        "heads.1.bias",
    ]  # fmt: skip
    b.load_state_dict(a.state_dict())
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"scale\""):
        b.load_state_dict({k: v for k, v in a.state_dict().items() if k != "scale"})
    with pytest.raises(RuntimeError, match="size mismatch for body.0.bias"):
        b.load_state_dict({**a.state_dict(), "body.0.bias": torch.zeros(7)})
    found = b.load_state_dict({"extra": torch.zeros(1)}, strict=False)
    assert found.unexpected_keys == ["extra"]


def test_copies_modes_and_hooks() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin.body[0].weight, net.body[0].weight)
        assert twin.body[0].weight is not net.body[0].weight
    net.eval()
    assert not any(m.training for m in net.modules())
    seen = []
    handle = net.body.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    net(torch.randn(2, 3))
    handle.remove()
    net(torch.randn(2, 3))
    assert seen == [(2, 4)] * 2  # the body runs once a head
    assert repr(net.heads) == (
        "ModuleList(\n  (0): Linear(in_features=4, out_features=2, bias=True)\n"
        "  (1): Linear(in_features=4, out_features=1, bias=True)\n)"
    )


def test_misfits_are_explained() -> None:
    with pytest.raises(RuntimeError, match="expected input.* to have 3 channels, but got 1 channels"):
        nn.Conv2d(3, 6, 5)(torch.randn(1, 1, 8, 8))
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        nn.Linear(3, 2)(torch.randn(4, 5))


def test_the_derivative_of_sampling_at_pixel_centres() -> None:
    """A spatial transformer begins with the identity, where the side of each centre decides: PyTorch's, bit for bit."""
    theta = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]], requires_grad=True)
    image = torch.arange(784.0).reshape(1, 1, 28, 28).sin()
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 28, 28], align_corners=False)
    torch.nn.functional.grid_sample(image, grid, align_corners=False).square().sum().backward()
    expected = [[-1274.5, -5.6076, -3538.7], [-52.624, -2676.4, -15394.0]]
    np.testing.assert_allclose(theta.grad[0].numpy(), expected, rtol=1e-3)  # type: ignore[index]


@pytest.mark.parametrize("groups", [2, 6])
def test_groups_of_a_convolution_are_convolutions(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many groups at once, or a few at a time: each is a convolution of its own channels."""
    from flambeau.ops import conv

    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 8, dtype=torch.float64, requires_grad=True)
    w = torch.randn(12, 6 // groups, 3, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for limit in (1 << 23, 1):
        monkeypatch.setattr(conv, "_AT_A_TIME", limit)
        y = torch.nn.functional.conv2d(x, w, stride=2, padding=1, groups=groups)
        found.append((y, *torch.autograd.grad(y.square().sum(), (x, w))))
    parts = zip(x.chunk(groups, 1), w.chunk(groups), strict=True)
    y = torch.cat([torch.nn.functional.conv2d(a, b, stride=2, padding=1) for a, b in parts], 1)
    for results in found:
        wanted = (y, *torch.autograd.grad(y.square().sum(), (x, w), retain_graph=True))
        for got, expected in zip(results, wanted, strict=True):
            torch.testing.assert_close(got, expected)
