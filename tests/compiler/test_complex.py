"""Complex numbers in compiled programs: the host computes them between native code, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn


def rotary(q: Any) -> Any:
    angles = torch.polar(torch.ones(3), torch.arange(3.0))
    return torch.view_as_real(torch.view_as_complex(q.reshape(4, 3, 2)) * angles).flatten(1)


def overwritten(x: Any) -> Any:
    z = torch.complex(x, x * 2)
    z[:2] = z[:2] * 1j
    z.real.mul_(3)
    return (z.conj() * z).real.sqrt() + z.imag


def spectrum(x: Any) -> Any:
    return torch.fft.irfft(torch.fft.rfft(x.relu()) * torch.exp(torch.tensor(0.5j)), n=x.shape[-1]).tanh()


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "rotary": rotary,
    "in place": overwritten,
    "spectrum": spectrum,
    "turned": lambda x: torch.fft.fft2(x.reshape(4, 6)).t().contiguous().abs().log1p(),
    "joined": lambda x: torch.cat([torch.complex(x, x), torch.complex(-x, x * x)]).abs(),
    "product": lambda x: (torch.complex(x, x).reshape(4, 6) @ torch.complex(x, -x).reshape(6, 4)).real,
    "scaled": lambda x: (x * 2j + 1).angle() + (x * (1 + 1j)).abs(),
    "short-time": lambda x: torch.stft(x, 8, hop_length=4, window=torch.hann_window(8).to(x.dtype),
                                       return_complex=True).abs().pow(2).mean(1),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name: str, dtype: str) -> None:
    f = FUNCTIONS[name]
    g = torch.compile(f, fullgraph=True)
    start = torch.randn(24, generator=torch.Generator().manual_seed(3)).to(getattr(torch, dtype))

    def run(h: Callable[[Any], Any]) -> tuple[Any, Any]:
        x = start.clone().requires_grad_()
        y = h(x)
        (y * torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
        return y.detach(), x.grad

    wanted = run(f)
    for _ in range(2):
        for a, b in zip(run(g), wanted, strict=True):
            assert a.dtype is b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-5 if dtype == "float32" else 1e-11)


def test_complex_arguments_and_results() -> None:
    f = torch.compile(lambda z: (z.conj() * z, z.real, z.t(), torch.view_as_real(z)[..., 1]), fullgraph=True)
    for _ in range(2):
        z = torch.randn(3, 2, dtype=torch.complex64)
        product, real, turned, imaginary = f(z)
        assert torch.allclose(product, z.conj() * z)
        real.zero_()
        imaginary.fill_(2)
        assert z.tolist() == [[2j, 2j]] * 3 and turned.shape == (2, 3)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_training_complex_parameters(kind: str) -> None:
    def trained(compiled: bool) -> Any:
        w = nn.Parameter(torch.complex(torch.arange(3.0), torch.ones(3)))
        optimizer = getattr(torch.optim, kind)([w], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (w * x).abs().pow(2).sum()
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step, fullgraph=True) if compiled else step
        for k in range(4):
            run(torch.full((3,), k + 1j))
        return w.detach()

    assert torch.allclose(trained(True), trained(False))
