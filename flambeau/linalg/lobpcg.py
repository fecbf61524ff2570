"""A few extreme eigenvalues of large symmetric matrices: `torch.lobpcg`.

The locally optimal block preconditioned conjugate gradient method. Each step looks for the best vectors in the space
of the current ones X, their residuals W, and the last directions P (Knyazev, Toward the optimal preconditioned
eigensolver, SIAM J. Sci. Comput. 23, 2001). The method "ortho" keeps that basis orthonormal, which stays accurate
where its vectors become nearly dependent (Duersch et al., A robust and efficient implementation of LOBPCG, SIAM
J. Sci. Comput. 40, 2018); it orthonormalises by the eigenvectors of Gram matrices (Stathopoulos and Wu, A block
orthogonalization procedure with constant synchronization requirements, SIAM J. Sci. Comput. 23, 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import ops
from flambeau.autograd import is_grad_enabled, no_grad
from flambeau.autograd.function import Function
from flambeau.core import dtypes
from flambeau.ops.factorizations import linalg_cholesky, linalg_eigh
from flambeau.ops.solvers import solve_matrix, solve_triangle
from flambeau.tensor import Tensor


class LOBPCG:
    """One run: what a tracker may look at after each step, and `bvars["force_stop"]`, by which it ends it.

    The dictionaries hold, by kinds of values, parameters (`iparams`, `fparams`, `bparams`) and what changes (`ivars`,
    `fvars`, `bvars`, `tvars`). `E` (n) and `X` (m, n) are the current eigenvalues and vectors, `R` their residuals,
    and `S` the basis that they were sought in.
    """

    def __init__(
        self, A: Tensor, B: Tensor | None, X: Tensor, iK: Tensor | None, iparams: dict[str, int],
        fparams: dict[str, float], bparams: dict[str, bool], method: str, tracker: Callable[[LOBPCG], Any] | None,
    ):  # fmt: skip
        self.A, self.B, self.iK, self.X = A, B, iK, X
        self.iparams, self.fparams, self.bparams = iparams, fparams, bparams
        self.method, self.tracker = method, tracker
        self.ivars = {"istep": 0, "iterations_left": iparams["niter"], "converged_count": 0}
        self.bvars: dict[str, bool] = {}
        self.tvars: dict[str, Tensor] = {}
        self.E = X.new_zeros(X.size(1))
        self.R = X.new_zeros(X.shape)
        self.S = X.new_zeros((X.size(0), 3 * X.size(1)))
        self.P: Tensor | None = None
        norm = X.norm().item()
        self.fvars = {"X_norm": norm, "A_norm": (A @ X).norm().item() / norm, "B_norm": self._of_b(X).norm().item() / norm}

    def __str__(self) -> str:
        parts = {k: v for k, v in vars(self).items() if k.endswith(("params", "vars"))}
        return f"LOBPCG: {self.method}, {parts}"

    def run(self) -> None:
        """Steps until the first k pairs have converged, the steps are used up, or the tracker stops it."""
        self._look_within(_orthonormal(self.X, self._of_b) if self.method == "ortho" else self.X)
        while True:
            self._judge()
            if self.ivars["istep"] and self.tracker is not None:
                self.tracker(self)
            done = self.ivars["converged_count"] >= self.iparams["k"]
            if done or self.ivars["iterations_left"] == 0 or self.bvars.get("force_stop"):
                return
            W = self.R if self.iK is None else self.iK @ self.R
            around = self.X if self.P is None else ops.cat([self.X, self.P], 1)
            if self.method == "ortho":
                W = _orthonormal(W, self._of_b, around)
            else:
                W = W / W.norm(dim=0, keepdim=True).clamp_min(dtypes.finfo(W.dtype).tiny)
            self._look_within(ops.cat([around, W], 1))
            self.ivars["istep"] += 1
            self.ivars["iterations_left"] -= 1

    def _of_b(self, x: Tensor) -> Tensor:
        return x if self.B is None else self.B @ x

    def _look_within(self, S: Tensor) -> None:
        """The best vectors in the space of `S`, whose first columns are the old ones, and the directions to them."""
        n = self.X.size(1)
        inner = S.mT @ (self.A @ S)
        if self.method == "ortho":
            values, mix = linalg_eigh((inner + inner.mT) / 2)
        else:  # S^T A S z = e S^T B S z, by a Cholesky factor of the right side
            lower = linalg_cholesky(S.mT @ self._of_b(S))
            half = solve_triangle(lower, inner, upper=False)
            values, turned = linalg_eigh(solve_triangle(lower, half.mT, upper=False))
            mix = solve_triangle(lower.mT, turned, upper=True)
        if self.bparams["largest"]:
            values, mix = values.flip(0), mix.flip(1)
        best = mix[:, :n]
        self.E, self.X, self.S = values[:n], S @ best, S
        if S.size(1) == n:
            return
        directions = S[:, n:] @ best[n:]
        if self.method == "ortho":
            self.P = _orthonormal(directions, self._of_b, self.X)
        else:
            self.P = directions / directions.norm(dim=0, keepdim=True).clamp_min(dtypes.finfo(S.dtype).tiny)

    def _judge(self) -> None:
        """The residuals, their sizes against those of the terms, and how many of the first pairs have converged."""
        self.R = self.A @ self.X - self._of_b(self.X) * self.E
        scale = self.X.norm(dim=0) * (self.fvars["A_norm"] + self.E.abs() * self.fvars["B_norm"])
        errors = self.tvars["rerr"] = self.R.norm(dim=0) / scale
        converged = (errors <= self.fparams["tol"]).tolist()
        self.ivars["converged_count"] = ([*converged, False]).index(False)


def _orthonormal(V: Tensor, of_b: Callable[[Tensor], Tensor], U: Tensor | None = None) -> Tensor:
    """A basis of what the columns of V add to those of U, orthonormal in the inner product x^T B y, as is U.

    Columns that add nothing but rounding errors are left out.
    """
    eps = dtypes.finfo(V.dtype).eps
    for _ in range(3):  # twice is enough (Giraud et al., 2005); the first may leave much that depends
        if V.size(1) == 0:
            return V
        if U is not None:
            V = V - U @ (of_b(U).mT @ V)
        lengths = (V * of_b(V)).sum(0).clamp_min(0).sqrt()
        V = V[:, lengths > dtypes.finfo(V.dtype).tiny]
        lengths = lengths[lengths > dtypes.finfo(V.dtype).tiny]
        V = V / lengths
        values, vectors = linalg_eigh(V.mT @ of_b(V))
        kept = values > eps * V.size(1) * (values[-1] if len(values) else 1)
        V = V @ (vectors[:, kept] * values[kept].rsqrt())
    return V


class LOBPCGAutogradFunction(Function):
    """Eigenpairs, differentiable where B is the identity."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, B: Tensor | None, run: Callable[[], tuple[Tensor, Tensor]]) -> Any:
        values, vectors = run()
        ctx.generalized = B is not None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(A, values, vectors)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if ctx.generalized:
            raise ValueError("lobpcg.backward does not support backward with B != I yet.")
        A, values, vectors = ctx.saved_tensors
        return _gradient(A, values, vectors, *grads), None, None


def _gradient(A: Tensor, E: Tensor, U: Tensor, of_values: Tensor | None, of_vectors: Tensor | None) -> Tensor:
    """The gradient of A from those of its eigenvalues E (k) and vectors U (m, k).

    With dA a value changes by u_i^T dA u_i, and a vector by the sum over all others u_j of
    u_j (u_j^T dA u_i) / (e_i - e_j): among the known ones term by term, of the rest by a solution with e_i I - A.
    """
    inner = U.new_zeros((U.size(-1), U.size(-1)))
    if of_values is not None:
        inner = inner + of_values.diag()
    if of_vectors is None:
        return U @ inner @ U.mT
    gaps = E - E.unsqueeze(-1)  # (j, i): e_i - e_j
    own = ops.eye(len(E)).bool()
    inner = inner + ((U.mT @ of_vectors) / gaps.masked_fill(own, 1)).masked_fill(own, 0)
    rest = of_vectors - U @ (U.mT @ of_vectors)
    # e_i I - A outside of the known space, 1 within it, so that there is a solution
    within = U @ U.mT
    eye = ops.eye(U.size(0), dtype=U.dtype)
    outside = A - U @ (E.unsqueeze(-1) * U.mT)
    matrices = E.reshape(-1, 1, 1) * (eye - within) - outside + within
    solved = solve_matrix(matrices, rest.mT.unsqueeze(-1)).squeeze(-1).mT
    return (U @ inner + solved) @ U.mT


def lobpcg(
    A: Tensor, k: int | None = None, B: Tensor | None = None, X: Tensor | None = None, n: int | None = None,
    iK: Tensor | None = None, niter: int | None = None, tol: float | None = None, largest: bool | None = None,
    method: str | None = None, tracker: Callable[[LOBPCG], Any] | None = None,
    ortho_iparams: dict[str, int] | None = None, ortho_fparams: dict[str, float] | None = None,
    ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(E, X): the `k` largest (or smallest) eigenvalues and vectors of A x = e B x, (*, k) and (*, m, k).

    Args:
        A: symmetric, (*, m, m), dense or sparse.
        k: how many pairs; by default as many as `X` has columns, or one.
        B: symmetric positive-definite, (*, m, m); by default the identity.
        X: where to begin, (*, m, n); by default drawn at random.
        n: columns of a drawn `X`, at least `k`.
        iK: a preconditioner, (*, m, m): about the inverse of A.
        niter: at most so many steps; 1000 by default, -1 for no bound.
        tol: the relative residual at which a pair has converged; by default the root of the dtype's precision.
        largest: the largest eigenvalues (the default), or the smallest.
        method: `"ortho"` (the default) or `"basic"`.
        tracker: called after each step with the `LOBPCG` that runs.
        ortho_iparams, ortho_fparams, ortho_bparams: kept in the run's parameters; the bases here need none of them.

    Raises:
        ValueError: where m is less than 3 n: call `linalg.eigh`; for a sparse A that wants a gradient. A gradient
            through B is refused when it is asked for.
    """
    if A.ndim < 2 or A.shape[-2] != A.shape[-1]:
        raise AssertionError(f"A must be square, got shape {A.shape}")
    if B is not None and A.shape != B.shape:
        raise AssertionError(f"A and B must have same shape, got {A.shape} vs {B.shape}")
    if A.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"lobpcg: A must be of float32 or float64, but is of {A.dtype}")
    m = A.shape[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if n is None else n) if X is None else X.shape[-1]
    if m < 3 * n:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of "
            f"requested eigenpairs (={n})"
        )
    if k < 1 or method not in (None, "ortho", "basic"):
        raise ValueError(f"lobpcg: k must be positive and method 'ortho' or 'basic', but got {k} and {method!r}")
    if X is not None and X.shape[-2:] != (m, n):
        raise AssertionError(f"X shape mismatch: got {X.shape}, expected {(m, n)}")
    iparams = {"m": m, "n": n, "k": k, "niter": 1000 if niter is None else niter, **(ortho_iparams or {})}
    fparams = {"tol": dtypes.finfo(A.dtype).eps ** 0.5 if tol is None else tol, **(ortho_fparams or {})}
    bparams = {"largest": True if largest is None else largest, **(ortho_bparams or {})}
    if A.ndim > 2:
        batch = A.shape[:-2]
        stacks = [[None] * batch.numel() if t is None else list(t.reshape(-1, *t.shape[-2:])) for t in (A, B, X, iK)]
        found = [
            lobpcg(
                a, k, b, x, n, preconditioner, niter, tol, largest, method, tracker, ortho_iparams, ortho_fparams,
                ortho_bparams,
            )
            for a, b, x, preconditioner in zip(*stacks, strict=True)
        ]  # fmt: skip
        values, vectors = (ops.stack(part) for part in zip(*found, strict=True))
        return values.reshape(*batch, -1), vectors.reshape(*batch, m, -1)

    def run() -> tuple[Tensor, Tensor]:
        with no_grad():
            begin = ops.randn(m, n, dtype=A.dtype) if X is None else X.detach()
            work = LOBPCG(A.detach(), B, begin, iK, iparams, fparams, bparams, method or "ortho", tracker)
            work.run()
        return work.E[:k].clone(), work.X[:, :k].clone()

    if A.is_sparse:
        if A.requires_grad and is_grad_enabled():
            raise ValueError("lobpcg.backward does not support sparse input yet. Note that lobpcg.forward does though.")
        return run()
    symmetric = (A + A.mT) / 2 if A.requires_grad else A
    return LOBPCGAutogradFunction.apply(symmetric, B, run)
