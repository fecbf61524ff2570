"""The adaptive softmax: frequent classes first, rare ones in clusters (Grave et al., 2017)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau import ops
from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.modules.container import ModuleList, Sequential
from flambeau.nn.modules.linear import Linear
from flambeau.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    """The log-probability of each target, and their mean with the sign changed."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of many classes, sorted by falling frequency.

    The head scores the first `cutoffs[0]` classes and each cluster; a cluster's classes are scored
    by a projection to fewer features the rarer they are.

    Args:
        in_features: features of the input.
        n_classes: how many classes.
        cutoffs: where each cluster begins.
        div_value: by how much the features shrink from cluster to cluster.
        head_bias: whether the head has a bias.
        device: where the parameters live.
        dtype: their element type.

    Raises:
        ValueError: if the cut-offs are not rising integers within the classes.
    """

    in_features: int
    n_classes: int
    cutoffs: list[int]
    head: Linear
    tail: ModuleList

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        bounds = list(cutoffs)
        if not bounds:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = all(a < b for a, b in itertools.pairwise([0, *bounds, n_classes]))
        if not rising or any(int(c) != c for c in bounds):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an "
                "increasing order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*bounds, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = bounds[0]
        self.n_clusters = len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        place = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **place)
        self.tail = ModuleList()
        for number, (first, end) in enumerate(itertools.pairwise(self.cutoffs), 1):
            width = int(in_features // (div_value**number))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **place),
                    Linear(width, end - first, bias=False, **place),
                )
            )

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        self.head.reset_parameters()
        for down, up in self.tail:  # type: ignore[misc]
            down.reset_parameters()
            up.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """The log-probability of each target `(N)` given `(N, in_features)`, and the loss.

        Raises:
            RuntimeError: if the shapes do not fit, or for a target that is no class.
        """
        self._check(input_, target_)
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        classes = target.tolist()
        if any(not 0 <= c < self.n_classes for c in classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{min(classes)}, {max(classes)}] were found. "
            )
        # Each target's column of the head: its own, or that of its cluster.
        head_log = F.log_softmax(self.head(input), dim=1)
        column = target
        output = input.new_zeros(len(classes))
        for number, (first, end) in enumerate(itertools.pairwise(self.cutoffs)):
            rows = [row for row, c in enumerate(classes) if first <= c < end]
            if not rows:
                continue
            at = ops.tensor(rows)
            cluster_log = F.log_softmax(self.tail[number](input.index_select(0, at)), dim=1)
            within = target.index_select(0, at) - first
            part = cluster_log.gather(1, within.unsqueeze(1)).squeeze(1)
            output = output.index_put((at,), part, accumulate=True)
            in_cluster = (target >= first) & (target < end)
            column = column.masked_fill(in_cluster, self.shortlist_size + number)
        output = output + head_log.gather(1, column.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    @staticmethod
    def _check(input: Tensor, target: Tensor) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        dims = target.dim() + 1
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError(
                "Input and target should have the same size in the batch dimension."
            )
        if input.dim() != dims:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {dims}D input tensors, but found inputs "
                f"with size {input.size()}"
            )

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        head_log = F.log_softmax(head_output, dim=1)
        parts = [head_log[:, : self.shortlist_size]]
        for number, cluster in enumerate(self.tail):
            cluster_log = F.log_softmax(cluster(input), dim=1)
            column = self.shortlist_size + number
            parts.append(cluster_log + head_log[:, column].unsqueeze(1))
        return ops.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: `(N, in_features)` to `(N, n_classes)`."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each: `(N, in_features)` to `(N)`."""
        return self.log_prob(input).argmax(dim=1)
