"""Numbers of classes: whether they mean the same everywhere, and whether the network knows them."""

from __future__ import annotations

from typing import Any

from flambeau.train.errors import ConfigError


def check_labels(targets: Any, outputs: int | None, ignored: int | None) -> None:
    """Looks for a class that the network has no output for: compiled programs trust their targets.

    Arguments:
        targets: numbers of classes, or anything else, which is not looked at.
        outputs: how many outputs the network has, where that is known.
        ignored: the number that the loss ignores; losses that know none have no numbers of classes for targets.

    Raises `IndexError` with PyTorch's message.
    """
    if outputs is None or ignored is None or targets.is_floating_point():
        return
    labels = targets.numpy()
    bad = labels[((labels < 0) | (labels >= outputs)) & (labels != ignored)]
    if bad.size:
        raise IndexError(f"Target {bad.flat[0]} is out of bounds")


def check_classes(key: str, found: list[str], known: list[str]) -> None:
    """Raises `ConfigError` for a data set whose numbers mean other classes than those of the training data."""
    if found == known:
        return
    missing, further = [n for n in known if n not in found], [n for n in found if n not in known]
    differences = [f"it lacks {', '.join(missing[:5])}"] if missing else []
    differences += [f"it also has {', '.join(further[:5])}"] if further else []
    raise ConfigError(
        f"{key} has {len(found)} classes, the training data {len(known)}: "
        f"{' and '.join(differences) or 'they come in another order'}, so their numbers would not mean the same. "
        "Give both the same folders; one may be empty with args.allow_empty: true"
    )
