"""Checkpoints: what is in them, writing them whole, and reading them with clear words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau import serialization
from flambeau.train.atomic import write_atomically
from flambeau.train.errors import CheckpointError

FORMAT = 1


def save_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint; a kill at any instant leaves the old file or the new one whole."""
    write_atomically(path, lambda file: serialization.save(checkpoint, file))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of Flambeau, or one of PyTorch's with weights under the same names.

    Gives at least the key `model`, with the weights by name. Raises `CheckpointError` for a
    file that is missing, cut short, damaged, or holds no weights.
    """
    try:
        content = serialization.load(path, map_location="cpu")
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, NotImplementedError) as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error}") from error
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint {path} cannot be read: {error.strerror or error}"
        ) from error
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return {**content, "model": content[key]}
    if isinstance(content, dict) and content and all(map(_is_tensor, content.values())):
        return {"model": content}
    raise CheckpointError(
        f"{path} holds no weights: expected names with tensors, or a key `model` or "
        f"`state_dict` with them, found {_describe(content)}"
    )


def read_run_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint that a run can be resumed from."""
    checkpoint = read_checkpoint(path)
    if checkpoint.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} holds weights, but not the state of a run; start from it with "
            f"`flambeau finetune --from {path}`"
        )
    return checkpoint


def find_bad_values(state: dict[str, Any]) -> str | None:
    """The name of the first tensor that holds NaN or an infinity."""
    for name, value in state.items():
        if not _is_tensor(value) or not value.is_floating_point():
            continue
        if not np.isfinite(value.detach().numpy().astype(np.float32)).all():
            return name
    return None


def _is_tensor(value: Any) -> bool:
    return isinstance(value, flambeau.Tensor)


def _describe(content: Any) -> str:
    if isinstance(content, dict):
        return f"the keys {', '.join(map(str, list(content)[:8])) or '(none)'}"
    return f"a {type(content).__name__}"
