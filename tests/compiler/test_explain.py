"""What a compiled program says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.kernels.peak import Peak


def _step() -> Any:
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(8, 20)

    @torch.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    step()
    step()
    return step


def test_text_has_graph_kernels_memory_and_shares_of_the_peak() -> None:
    text = _step().explain()
    assert "mm" in text and "GFLOP/s" in text and "memory:" in text and "copies between layouts" in text
    assert re.search(r"\d+%  matmul: mm \+ add \+ relu -> f4\[8, 30\]", text)
    assert "computed on the host" in text


def test_page_is_one_file_with_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "page.html"
    text = _step().explain(html=file)
    page = file.read_text()
    assert page.count("data:image/svg+xml;base64,") == 2 and "matmul: mm" in page and "mm" in text
    outside = [u for u in re.findall(r'(?:src|href)="([^"]+)"', page) if not u.startswith("data:")]
    assert not outside


def test_share_of_the_peak_is_that_of_what_bounds_the_kernel() -> None:
    peak = Peak(100.0, ((10, 50.0), (1000, 5.0)))
    assert peak.share(1.0, 80, 1) == pytest.approx(0.8)
    assert peak.share(1.0, 80, 1, itemsize=8) == pytest.approx(1.6)
    assert peak.share(1.0, 1, 500) == pytest.approx(100)
    assert peak.bandwidth(5) == 50.0 and peak.bandwidth(10**6) == 5.0
    assert peak.share(0.0, 1, 1) == 0.0


def test_results_in_another_shape_are_not_copied() -> None:
    """A view of all that a kernel makes is made where the caller wants it."""

    @torch.compile(fullgraph=True)
    def f(x: torch.Tensor) -> torch.Tensor:
        return x.sum(0, keepdim=True).view(-1)

    x = torch.randn(30, 40)
    assert torch.allclose(f(x), x.sum(0), atol=1e-5)
    assert "copies between layouts and to results: 0" in f.explain()
