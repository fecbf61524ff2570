"""Special functions: SciPy's values, first and second derivatives, dtypes, edge cases; windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal
import scipy.special as sp

import flambeau as torch
from flambeau import special
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.signal import windows

LINE = np.concatenate([np.linspace(-25, 25, 1001), [0.0, 1.0, -1.0, 2.0, 100.0, -100.0, 1e-10, 8.0, 6.0, -6.0]])
POSITIVE = np.concatenate([np.linspace(0.01, 40, 1001), [1e-9, 1.0, 2.0, 300.0, 1e4]])
SHARES = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 1001), 10.0 ** -np.arange(10, 300, 25)])
INSIDE = np.linspace(-1, 1, 101)

VALUES: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "erf": (sp.erf, LINE), "erfc": (sp.erfc, LINE[LINE < 26]), "erfcx": (sp.erfcx, LINE[LINE > -26]),
    "erfinv": (sp.erfinv, INSIDE), "ndtr": (sp.ndtr, LINE), "log_ndtr": (sp.log_ndtr, LINE), "ndtri": (sp.ndtri, SHARES),
    "gammaln": (sp.gammaln, LINE), "digamma": (sp.digamma, POSITIVE), "i0": (sp.i0, LINE), "i0e": (sp.i0e, LINE),
    "i1": (sp.i1, LINE), "i1e": (sp.i1e, LINE), "bessel_j0": (sp.j0, LINE), "bessel_j1": (sp.j1, LINE),
    "bessel_y0": (sp.y0, POSITIVE), "bessel_y1": (sp.y1, POSITIVE), "modified_bessel_k0": (sp.k0, POSITIVE),
    "modified_bessel_k1": (sp.k1, POSITIVE), "scaled_modified_bessel_k0": (sp.k0e, POSITIVE),
    "scaled_modified_bessel_k1": (sp.k1e, POSITIVE), "airy_ai": (lambda x: sp.airy(x)[0], LINE), "entr": (sp.entr, LINE),
    "spherical_bessel_j0": (lambda x: sp.spherical_jn(0, x), LINE), "expit": (sp.expit, LINE),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    reference, x = VALUES[name]
    with np.errstate(all="ignore"):
        expected = reference(x)
    found = getattr(special, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=2e-14)
    narrow = getattr(special, name)(torch.from_numpy(x.astype(np.float32)))
    assert narrow.dtype is torch.float32


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n: int) -> None:
    found = torch.polygamma(n, torch.from_numpy(POSITIVE)).numpy()
    np.testing.assert_allclose(found, sp.polygamma(n, POSITIVE), rtol=1e-11)
    np.testing.assert_allclose(torch.from_numpy(POSITIVE).polygamma(n).numpy(), found)


def test_functions_of_two_numbers() -> None:
    random = np.random.default_rng(0)
    a, x = random.uniform(0.05, 60, 500), random.uniform(0, 120, 500)
    pairs = [
        (torch.igamma, sp.gammainc), (torch.igammac, sp.gammaincc), (special.zeta, sp.zeta), (special.xlog1py, sp.xlog1py),
        (special.xlogy, sp.xlogy),
    ]  # fmt: skip
    for ours, reference in pairs:
        first = a + 1.05 if ours is special.zeta else a
        found = ours(torch.from_numpy(first), torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, reference(first, x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(torch.mvlgamma(torch.from_numpy(a + 3), 4).numpy(), [sp.multigammaln(v, 4) for v in a + 3], rtol=1e-10)


def test_polynomials() -> None:
    references = {
        "chebyshev_polynomial_t": sp.eval_chebyt, "chebyshev_polynomial_u": sp.eval_chebyu, "hermite_polynomial_h": sp.eval_hermite,
        "hermite_polynomial_he": sp.eval_hermitenorm, "laguerre_polynomial_l": sp.eval_laguerre, "legendre_polynomial_p": sp.eval_legendre,
        "shifted_chebyshev_polynomial_t": sp.eval_sh_chebyt, "shifted_chebyshev_polynomial_u": sp.eval_sh_chebyu,
    }  # fmt: skip
    n = np.arange(9.0)
    for name, reference in references.items():
        found = getattr(special, name)(torch.from_numpy(INSIDE[:, None].copy()), torch.from_numpy(n)).numpy()
        np.testing.assert_allclose(found, reference(n.astype(int), INSIDE[:, None]), rtol=1e-9, atol=1e-9)
    angle = np.arccos(INSIDE[1:-1])
    third = torch.from_numpy(INSIDE[1:-1].copy())
    np.testing.assert_allclose(special.chebyshev_polynomial_v(third, 3).numpy(), np.cos(3.5 * angle) / np.cos(angle / 2), atol=1e-9)
    np.testing.assert_allclose(special.chebyshev_polynomial_w(third, 3).numpy(), np.sin(3.5 * angle) / np.sin(angle / 2), atol=1e-9)


@pytest.mark.parametrize(
    "name",
    ["gammaln", "digamma", "erfinv", "erfcx", "ndtr", "ndtri", "log_ndtr", "entr", "i0", "i0e", "i1", "i1e", "erf", "erfc"],
)
def test_derivatives(name: str) -> None:
    x = np.array([0.12, 0.35, 0.61, 0.93])
    if name not in ("erfinv", "ndtri", "gammaln", "digamma", "entr"):
        x = np.append(x, [-0.7, 3.2, -9.5])
    tensor = torch.from_numpy(x).requires_grad_()
    assert gradcheck(getattr(special, name), (tensor,))
    assert gradgradcheck(getattr(special, name), (tensor,), atol=1e-4)


def test_derivatives_of_two_numbers() -> None:
    a = torch.from_numpy(np.array([0.7, 2.0, 5.5]))
    x = torch.from_numpy(np.array([0.3, 2.5, 4.0])).requires_grad_()
    for function in (torch.igamma, torch.igammac, lambda a, x: special.zeta(a + 1, x)):
        assert gradcheck(lambda x, f=function: f(a, x), (x,))
    b = a.clone().requires_grad_()
    assert gradcheck(special.xlog1py, (b, x)) and gradgradcheck(special.xlog1py, (b, x))
    assert gradcheck(lambda x: torch.polygamma(2, x), (x,))
    assert gradcheck(lambda x: torch.mvlgamma(x + 3, 3), (x,))


def test_edges() -> None:
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, 1.0, -1.0, 2.0, nan])
    assert torch.erfinv(x)[:3].tolist() == [0.0, inf, -inf] and torch.erfinv(x)[3:].isnan().all()
    assert torch.lgamma(torch.tensor([0.0, -3.0, inf])).tolist() == [inf, inf, inf]
    assert torch.digamma(torch.tensor([0.0, -0.0])).tolist() == [-inf, inf]
    assert torch.i0(torch.tensor(3)).dtype is torch.float32
    assert special.ndtri(torch.tensor([0.0, 1.0])).tolist() == [-inf, inf]
    with pytest.raises(RuntimeError, match="negative n"):
        torch.polygamma(-1, x)
    with pytest.raises(NotImplementedError, match="igamma"):
        torch.igamma(torch.ones(2, requires_grad=True), torch.ones(2)).sum().backward()


@pytest.mark.parametrize("sym", [True, False], ids=["symmetric", "periodic"])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 12])
def test_windows(count: int, sym: bool) -> None:
    cases = {
        "bartlett": {}, "blackman": {}, "cosine": {}, "hamming": {}, "hann": {}, "nuttall": {}, "exponential": {"tau": 3.0},
        "gaussian": {"std": 2.0}, "kaiser": {"beta": 5.0}, "general_cosine": {"a": [0.5, 0.3, 0.2]}, "general_hamming": {"alpha": 0.6},
    }  # fmt: skip
    for name, options in cases.items():
        found = getattr(windows, name)(count, sym=sym, dtype=torch.float64, **options)
        expected = getattr(scipy.signal.windows, name)(count, *options.values(), sym=sym) if name != "exponential" else scipy.signal.windows.exponential(count, tau=3.0, sym=sym)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["erf", "erfc", "lgamma", "digamma"])
def test_few_numbers_and_many_agree(name: str) -> None:
    """Few are computed one by one, many as arrays."""
    x = torch.linspace(0.01, 12, 1199, dtype=torch.float64)
    many = getattr(torch, name)(x).numpy()
    few = np.concatenate([getattr(torch, name)(part).numpy() for part in x.split(40)])
    np.testing.assert_allclose(few, many, rtol=1e-12, atol=1e-14)


def test_lgamma_is_exact_near_its_zeros() -> None:
    for t in (np.array([-0.05, 1e-3, 0.08]), np.array([-1e-9, 1e-12, 1e-6])):
        x = 1 + t
        d = x - 1
        expected = sp.gammaln(x) if abs(t[0]) > 0.01 else d * (-np.euler_gamma + d * (math.pi**2 / 12 - d * 0.40068563438653143))
        np.testing.assert_allclose(torch.lgamma(torch.tensor(x)).numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(torch.lgamma(torch.tensor(x + 1)).numpy(), sp.gammaln(x) + np.log(x), rtol=1e-6)
    assert torch.lgamma(torch.tensor([1.0, 2.0, 0.0])).tolist() == [0, 0, float("inf")]
