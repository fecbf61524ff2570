"""Ready parametrisations: orthogonal matrices, weight and spectral normalisation."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.utils.orthogonal import orthogonal as orthogonal
from flambeau.nn.utils.parametrize import register_parametrization
from flambeau.nn.utils.spectral_norm import output_dim
from flambeau.nn.utils.weight_norm import norm_except_dim
from flambeau.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """`weight = g v / |v|`."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Splits a parameter into its length and its direction (Salimans and Kingma, 2016).

    Args:
        module: whose parameter.
        name: which one.
        dim: the dimension that keeps norms of its own; all share one if `None`.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def read_older_names(state_dict: Any, prefix: str, *_: Any) -> None:
        for number, suffix in enumerate(("g", "v")):
            older = f"{prefix}{name}_{suffix}"
            if older in state_dict:
                newer = f"{prefix}parametrizations.{name}.original{number}"
                state_dict[newer] = state_dict.pop(older)

    module._register_load_state_dict_pre_hook(read_older_names)
    return module


class _SpectralNorm(Module):
    """The weight divided by its greatest singular value, which `_u` and `_v` keep track of."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        rank = weight.dim()
        if not -rank <= dim < rank:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{rank}, {rank - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % rank
        self.eps = eps
        if rank > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._as_matrix(weight)
            height, width = matrix.shape
            with no_grad():
                u = matrix.new_empty(height).normal_(0, 1)
                v = matrix.new_empty(width).normal_(0, 1)
                self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
                self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _as_matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    @no_grad()
    def _iterate(self, matrix: Tensor, count: int) -> None:
        for _ in range(count):
            self._u.copy_(F.normalize(ops.mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(ops.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._as_matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next forward changes them in place
        return weight / ops.dot(u, ops.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        # The closest that can be had without knowing the weight's own length.
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Keeps a parameter's greatest singular value at 1 (Miyato et al., 2018).

    Args:
        module: whose parameter.
        name: which one.
        n_power_iterations: steps towards the singular vectors in each training forward.
        eps: the least norm to divide by.
        dim: the dimension of the outputs, found by the kind of layer if `None`.

    Raises:
        ValueError: if there is no such tensor.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    dim = output_dim(module) if dim is None else dim
    normaliser = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, normaliser)
