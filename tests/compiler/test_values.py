"""Operators that look at values trace all the same: compiled they give what they give eagerly, errors too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from compiler_helpers import check

import flambeau as torch
import flambeau.nn.functional as F

F64 = torch.float64


def refused(f: Callable[..., Any], good: tuple, bad: tuple) -> None:
    """Called after `good`, `f` raises eager's error for `bad`, and works again."""
    compiled = torch.compile(f, fullgraph=True)
    compiled(*good)
    with pytest.raises(Exception) as expected:
        f(*bad)
    with pytest.raises(type(expected.value)) as found:
        compiled(*bad)
    assert type(found.value) is type(expected.value) and str(found.value) == str(expected.value)
    compiled(*good)
    with pytest.raises(type(expected.value)):
        torch.compile(f, fullgraph=True)(*bad)


# Matrices -----------------------------------------------------------------------------------------


def matrices(*shape: int) -> Any:
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=F64) + 3 * torch.eye(*shape[-2:], dtype=F64)


def positive(*shape: int) -> Any:
    a = matrices(*shape)
    return a @ a.mT


MATRIX_FUNCTIONS = {
    "cholesky": (torch.linalg.cholesky, positive(2, 4, 4)),
    "cholesky upper": (lambda a: torch.cholesky(a, upper=True), positive(4, 4)),
    "cholesky_ex": (lambda a: torch.linalg.cholesky_ex(a, check_errors=True).L, positive(4, 4)),
    "lu": (lambda a: torch.linalg.lu(a)[1:], matrices(2, 4, 4)),
    "lu of wide": (lambda a: torch.linalg.lu(a)[1:], matrices(3, 5)),
    "lu_factor": (lambda a: torch.linalg.lu_factor(a)[0], matrices(2, 5, 3)),
    "inv_ex": (lambda a: torch.linalg.inv_ex(a, check_errors=True)[0], matrices(2, 3, 3)),
    "pinv": (torch.linalg.pinv, matrices(2, 4, 3)),
    "pinv hermitian": (lambda a: torch.linalg.pinv(a + a.mT, hermitian=True), matrices(3, 3)),
    "pinv with tolerance": (lambda a: torch.linalg.pinv(a, atol=0.1, rtol=0.2), matrices(3, 3)),
    "gels": (lambda a: torch.linalg.lstsq(a, a * 2 + 1, driver="gels")[:2], matrices(5, 3)),
    "householder_product": (lambda a: torch.linalg.householder_product(a, a[0, :2]), matrices(4, 3)),
    "ormqr": (lambda a: torch.ormqr(a, a[0, :2], a), matrices(4, 4)),
    "vander": (lambda a: torch.linalg.vander(a, N=4), matrices(2, 3)),
    "cumprod": (lambda a: a.cumprod(1), matrices(2, 5, 3)),
    "cumprod with zeros": (lambda a: a.cumprod(-1), torch.tensor([[2.0, 0, 3, 4], [0, 1, 0, 5]])),
}


@pytest.mark.parametrize("name", MATRIX_FUNCTIONS)
def test_matrices(name: str) -> None:
    f, a = MATRIX_FUNCTIONS[name]
    check(f, a)


def test_results_without_derivatives() -> None:
    a, low = matrices(2, 4, 4), matrices(4, 1) @ matrices(1, 4)
    check(lambda x: torch.linalg.lu(x)[0], a, gradients=False)
    check(lambda x: torch.lu_unpack(*torch.linalg.lu_factor(x)), a, gradients=False)
    check(torch.geqrf, a, gradients=False)
    check(torch.linalg.ldl_factor, a + a.mT, gradients=False)
    for x in (a, low):
        check(torch.linalg.matrix_rank, x, gradients=False)
        check(lambda x: torch.linalg.matrix_rank(x, tol=x.abs().amax((-2, -1))), x, gradients=False)
        check(torch.linalg.inv_ex, x, gradients=False)
        check(lambda x: torch.linalg.solve_ex(x, x[..., :1]), x, gradients=False)


def test_solutions() -> None:
    a, b = matrices(2, 3, 3), matrices(2, 3, 4)
    check(lambda a, b: torch.linalg.solve_ex(a, b)[0], a, b)
    for adjoint in (False, True):
        check(lambda a, b: torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b, adjoint=adjoint), a, b)


def test_a_singular_matrix_gives_nan() -> None:
    f = torch.compile(lambda a: torch.linalg.inv_ex(a), fullgraph=True)
    inverse, info = f(torch.eye(3))
    assert torch.equal(inverse, torch.eye(3)) and not info
    inverse, info = f(torch.ones(3, 3))
    assert inverse.isnan().all() and info == 2


NO_FACTORS = {
    "cholesky": torch.linalg.cholesky,
    "cholesky_ex": lambda a: torch.linalg.cholesky_ex(a, check_errors=True),
    "lu_factor": torch.linalg.lu_factor,
    "lu_factor_ex": lambda a: torch.linalg.lu_factor_ex(a, check_errors=True),
    "ldl_factor": torch.linalg.ldl_factor,
    "inv_ex": lambda a: torch.linalg.inv_ex(a, check_errors=True),
    "solve_ex": lambda a: torch.linalg.solve_ex(a, a, check_errors=True),
    "eig": lambda a: torch.linalg.eigvals(a.masked_fill(a.sum((1, 2), True) == 0, math.nan)).abs(),
}


@pytest.mark.parametrize("name", NO_FACTORS)
def test_matrices_without_factors(name: str) -> None:
    bad = torch.stack([torch.eye(3), torch.zeros(3, 3)])
    refused(NO_FACTORS[name], (positive(2, 3, 3).float(),), (bad,))


# Counting and looking up --------------------------------------------------------------------------


def test_places_and_counts() -> None:
    torch.manual_seed(0)
    x, edges = torch.randn(4, 6), torch.tensor([-1.0, -0.5, 0.0, 0.7])
    rows = torch.randn(4, 9).sort(1)[0]
    check(lambda x, e: torch.bucketize(x, e, right=True), x, edges, gradients=False)
    check(lambda x, e: torch.bucketize(0.3, e, out_int32=True), x, edges, gradients=False)
    check(torch.searchsorted, rows, x, gradients=False)
    check(lambda r, x: torch.searchsorted(r.flip(1), x, sorter=torch.arange(8, -1, -1).expand(4, 9)), rows, x,
          gradients=False)  # fmt: skip
    check(lambda x: torch.histc(x, 5), x, gradients=False)
    check(lambda x: torch.histc(x, 5, -1, 1), x, gradients=False)
    check(lambda x: torch.histogram(x, 4), x, gradients=False)
    check(lambda x, e, w: torch.histogram(x, e, weight=w, density=True), x, edges, x.abs(), gradients=False)
    check(lambda x: torch.histogram(x, 3, range=(-1.0, 1.0)), x, gradients=False)
    check(lambda x: torch.histogramdd(x[:, :2], [3, 2])[0], x, gradients=False)
    check(lambda x: torch.nonzero_static(x > 0, size=30), x, gradients=False)
    check(lambda x: torch.nonzero_static(x > 0, size=3), x, gradients=False)


def test_ranges_between_tensors() -> None:
    a, b = torch.tensor(1.5), torch.tensor(4, dtype=torch.int32)
    check(lambda a, b: torch.linspace(a, b, 7), a, b, gradients=False)
    check(lambda a, b: torch.linspace(-a, 3, 5, dtype=torch.float64), a, b, gradients=False)
    check(lambda a, b: torch.logspace(a, b, 4, base=2.0), a, b, gradients=False)
    check(lambda a, b: torch.linspace(a * 0, b * 2, 5, dtype=torch.int64), a, b, gradients=False)


def test_a_histogram_of_infinite_numbers() -> None:
    x = torch.tensor([1.0, 2.0])
    refused(lambda x: torch.histc(x * 2, 3), (x,), (torch.full((2,), math.inf),))


# Losses and pooling -------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gaussian_loss(reduction: str) -> None:
    torch.manual_seed(0)
    x, y, var = torch.randn(3, 4), torch.randn(3, 4), torch.rand(3, 4)
    check(lambda x, y, v: F.gaussian_nll_loss(x, y, v, full=True, reduction=reduction), x, y, var)
    check(lambda x, y, v: F.gaussian_nll_loss(x, y, v, reduction=reduction), x.double(), y.double(), var.double()[:, 0] * 1e-7)
    check(lambda x, y: F.gaussian_nll_loss(x, y, 0.5, reduction=reduction), x, y)
    f = lambda x, y, v: F.gaussian_nll_loss(x, y, v - 0.1, reduction=reduction)
    refused(f, (x, y, var + 0.2), (x, y, torch.zeros(3, 4)))


def test_a_variance_below_zero_stops_a_training_step() -> None:
    torch.manual_seed(0)
    net: Any = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    @torch.compile(fullgraph=True)
    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        F.gaussian_nll_loss(net(x)[:, 0], y, net(x)[:, 1]).backward()
        optimizer.step()

    with torch.no_grad():
        net.weight[1] = 0
        net.bias[1] = 1
    step(torch.ones(4, 3), torch.ones(4))
    before = net.weight.detach().clone()
    with pytest.raises(ValueError, match="negative entry"):
        step(torch.full((4, 3), 1e4) * net.weight[1].detach().sign() * -1, torch.ones(4))
    assert torch.equal(net.weight, before)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling(rank: int) -> None:
    torch.manual_seed(0)
    pool, unpool = (getattr(F, f"max_{p}pool{rank}d") for p in ("", "un"))
    x = torch.randn(2, 3, *[4] * rank)

    def there_and_back(x: Any) -> Any:
        values, places = pool(x, 2, return_indices=True)
        return unpool(values, places, 2)

    check(there_and_back, x)
    values, places = pool(x, 2, return_indices=True)
    check(lambda v, p: unpool(v, p, 2), values, places)
    far = places.clone()
    far[1, 1].view(-1)[0] = 4**rank
    refused(lambda v, p: unpool(v, p, 2), (values, places), (values, far))
    refused(lambda v, p: unpool(v, p - 1, 2), (values, places + 1), (values, far + 1))


# Draws --------------------------------------------------------------------------------------------


def same_draws(f: Callable[..., Any], *inputs: Any) -> None:
    """Compiled and eager draw the same numbers, call after call."""
    results = []
    for g in (f, torch.compile(f, fullgraph=True)):
        torch.manual_seed(3)
        results.append([g(*inputs) for _ in range(3)] + [torch.rand(2)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_draws_with_a_parameter_for_each_element() -> None:
    torch.manual_seed(0)
    mean, std, weights = torch.randn(4, 5), torch.rand(5) + 0.1, torch.rand(3, 9)
    same_draws(torch.normal, mean, std)
    same_draws(lambda m: torch.normal(m, 0.5) + torch.rand(5), mean)
    same_draws(lambda s: torch.rand(5) * torch.normal(2.0, s), std)
    same_draws(lambda w: torch.multinomial(w, 4), weights)
    same_draws(lambda w: torch.multinomial(w.exp(), 20, replacement=True), weights)
    same_draws(lambda w: torch.multinomial(w.softmax(-1), 1), weights)
    refused(torch.normal, (mean, std), (mean, -std))
    for count, replacement in ((1, False), (2, False), (2, True)):
        for bad in (-weights, weights * 0, weights.log() + math.inf):
            refused(lambda w, n=count, r=replacement: torch.multinomial(w, n, r), (weights,), (bad,))


# Segments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sum", "mean", "max", "min", "prod"])
def test_segments(how: str) -> None:
    torch.manual_seed(0)
    data, lengths = torch.randn(6, 2), torch.tensor([2, 0, 3, 1])
    check(lambda x, n: torch.segment_reduce(x, how, lengths=n), data, lengths)
    check(lambda x, n: torch.segment_reduce(x, how, offsets=n, initial=0.5), data, torch.tensor([0, 1, 1, 6]))
    check(lambda x, n: torch.segment_reduce(x, how, lengths=n, axis=1), data.T.contiguous(), lengths.expand(2, 4))
    refused(lambda x, n: torch.segment_reduce(x, how, lengths=n), (data, lengths), (data, lengths + 1))
    refused(lambda x, n: torch.segment_reduce(x, how, lengths=n), (data, lengths), (data, lengths - 1))


# Masks --------------------------------------------------------------------------------------------


def test_writing_where_a_mask_is_true() -> None:
    torch.manual_seed(0)
    x, mask = torch.randn(5, 2), torch.tensor([True, False, True, False, True])

    def put(x: Any, m: Any, v: Any) -> Any:
        x = x * 1
        x[m] = v
        return x

    for value in (torch.randn(3, 2), torch.randn(2), torch.randn(1, 2), torch.randn(1, 1), torch.tensor(2.0)):
        check(put, x, mask, value)
    check(put, x, x > 0, torch.randn(int((x > 0).sum())))
    check(put, x, torch.zeros(5, dtype=torch.bool), torch.randn(2))
    check(lambda x, m, v: x.index_put((m,), v), x, mask, torch.randn(2))
    check(lambda x, m, v: x.index_put((m,), v, accumulate=True), x, mask, torch.randn(2))
    check(torch.masked_scatter, x, x > 0, torch.randn(12))
    all_but_one = torch.tensor([True, True, True, True, False])
    refused(put, (x, mask, torch.randn(3, 2)), (x, all_but_one, torch.randn(3, 2)))
    refused(torch.masked_scatter, (x, x > 9, torch.randn(3)), (x, x < 9, torch.randn(3)))


# Groups -------------------------------------------------------------------------------------------


def test_products_of_groups() -> None:
    torch.manual_seed(0)
    rows, stack, columns = torch.randn(7, 4), torch.randn(3, 4, 5), torch.randn(4, 7)
    ends = torch.tensor([2, 2, 6], dtype=torch.int32)
    check(lambda a, b, o: F.grouped_mm(a, b, offs=o), rows, stack, ends)
    check(lambda a, b, o: F.grouped_mm(a.mT, b, offs=o), stack, rows.mT.contiguous()[:4], ends)
    check(lambda a, b, o: F.grouped_mm(a, b, offs=o), columns, rows, ends)


def test_equal_checks_are_one() -> None:
    f = torch.compile(lambda a: torch.linalg.cholesky(a) + torch.linalg.cholesky(a) @ a, fullgraph=True)
    f(positive(3, 3))
    text = str(f.explain())
    assert text.count("= required(") == 1
    assert "check=flambeau.ops.factorizations._check_minors('linalg.cholesky',)" in text
