"""Attention whose scores a function changes and whose mask a function gives. Dong et al., 2024.

The functions are called once, with positions that broadcast: `score_mod(score, b, h, q_idx, kv_idx)` gets all scores,
(B, H, L, S), and (B, 1, 1, 1), (H, 1, 1), (L, 1) and (S,) whole numbers. Elementwise functions, and those that look up
tensors at these positions, need nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau import ops
from flambeau.core import dtypes
from flambeau.nn.functional.attention import scaled_dot_product_attention
from flambeau.ops import where
from flambeau.tensor import Tensor

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_mask_mod_signature, _score_mod_signature = MaskMod, ScoreMod


class AuxRequest(NamedTuple):
    """What `flex_attention` shall return besides the result."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The logarithm of each query's sum of exponentials, and its largest score, where they are asked for."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """The mask that lets everything through."""
    return ops.ones((), dtype=dtypes.bool_)


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask that lets through what all let through."""

    def both(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = mask_mods[0](b, h, q_idx, kv_idx)
        for mask in mask_mods[1:]:
            result = result & mask(b, h, q_idx, kv_idx)
        return result

    return both


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask that lets through what any lets through."""

    def either(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = mask_mods[0](b, h, q_idx, kv_idx)
        for mask in mask_mods[1:]:
            result = result | mask(b, h, q_idx, kv_idx)
        return result

    return either


def _positions(b: int, h: int, q: int, kv: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        ops.arange(b).reshape(b, 1, 1, 1), ops.arange(h).reshape(h, 1, 1), ops.arange(q).reshape(q, 1), ops.arange(kv)
    )  # fmt: skip


def create_mask(
    mod_fn: Any, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """A mask function's values, (B, H, Q_LEN, KV_LEN); `None` stands for 1."""
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_positions(*shape)).expand(shape)


class BlockMask:
    """A mask function with the lengths it was made for. `mask_mod` is the function; blocks are not skipped here."""

    def __init__(self, shape: tuple[int, int, int, int], mask_mod: MaskMod, block: tuple[int, int]):
        self.shape, self.mask_mod, self.BLOCK_SIZE = shape, mask_mod, block
        self.seq_lengths = shape[2:]
        self._mask: Tensor | None = None

    def mask(self, queries: int, keys: int) -> Tensor:
        """The values for the first `queries` and `keys`, made when they are first asked for."""
        if self._mask is None:
            self._mask = create_mask(self.mask_mod, *self.shape)
        return self._mask[..., :queries, :keys]

    def to_dense(self) -> Tensor:
        """1 for each block that lets something through, else 0: (B, H, ⌈Q / block⌉, ⌈KV / block⌉)."""
        rows, columns = self.BLOCK_SIZE
        mask = self.mask(*self.seq_lengths)
        q, kv = -(-mask.shape[2] // rows), -(-mask.shape[3] // columns)
        padded = mask.new_zeros((*mask.shape[:2], q * rows, kv * columns))
        padded[..., : mask.shape[2], : mask.shape[3]] = mask
        return padded.reshape(*mask.shape[:2], q, rows, kv, columns).any(5).any(3).int()

    def sparsity(self) -> float:
        """How many of a hundred blocks let nothing through."""
        return 100 * (1 - self.to_dense().double().mean().item())

    def numel(self) -> int:
        """The number of the mask's values."""
        return math.prod(self.shape)

    def to(self, device: Any) -> BlockMask:
        """The mask: it lies on the processor."""
        return self

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = 128, _compile: bool = False, **options: Any,
) -> BlockMask:  # fmt: skip
    """A mask for `flex_attention` from a function `mask_mod(b, h, q_idx, kv_idx)`.

    Args:
        mask_mod: gives true where a query sees a key.
        B: batches; `None` for one mask for all.
        H: heads; likewise.
        Q_LEN: queries.
        KV_LEN: keys.
        device: "cpu".
        BLOCK_SIZE: of what `to_dense` and `sparsity` tell.
    """
    block = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    return BlockMask((B or 1, H or 1, Q_LEN, KV_LEN), mask_mod, block)


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: ScoreMod | None = None, block_mask: BlockMask | None = None,
    scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False, kernel_options: Any = None, *,
    return_aux: AuxRequest | None = None,
) -> Any:  # fmt: skip
    """softmax(score_mod(query @ key.T * scale)) @ value: (B, H, L, E), (B, H, S, E), (B, H, S, V) -> (B, H, L, V).

    Args:
        query: (B, H, L, E).
        key: (B, H, S, E), or fewer heads with `enable_gqa`.
        value: (B, H, S, V), likewise.
        score_mod: changes the scores; see this module.
        block_mask: from `create_block_mask`; a query that sees nothing gets zeros.
        scale: of the scores; left out, 1 / √E.
        enable_gqa: several heads of queries share one of keys.
        return_lse: return a pair with the logarithm of each query's sum of exponentials, (B, H, L).
        kernel_options: accepted.
        return_aux: return a pair with what it asks for.

    Raises:
        ValueError: for heads that misfit.
    """
    heads, groups = query.size(-3), key.size(-3)
    if enable_gqa and heads % groups == 0:
        key, value = key.repeat_interleave(heads // groups, -3), value.repeat_interleave(heads // groups, -3)
    elif heads != groups:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={groups}. "
            "Try setting enable_gqa=True for GQA."
        )
    batch, _, queries, _ = query.shape
    keys = key.size(-2)
    mask = None if block_mask is None else block_mask.mask(queries, keys)
    if score_mod is None and not return_lse and return_aux is None:
        return scaled_dot_product_attention(query, key, value, mask, scale=scale)
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = ops.matmul(query, key.transpose(-2, -1)) * factor
    if score_mod is not None:
        scores = score_mod(scores, *_positions(batch, heads, queries, keys))
    if mask is not None:
        scores = where(mask, scores, -math.inf)
    highest = scores.detach().amax(-1, keepdim=True)
    shift = where(highest.isinf(), ops.zeros_like(highest), highest)
    weights = (scores - shift).exp()
    total = weights.sum(-1, keepdim=True)
    result = ops.matmul(weights / total.clamp(min=1e-30), value)
    lse = (total.log() + shift).squeeze(-1)
    if return_aux is not None:
        return result, AuxOutput(
            lse if return_aux.lse else None, highest.squeeze(-1) if return_aux.max_scores else None
        )
    return (result, lse) if return_lse else result
