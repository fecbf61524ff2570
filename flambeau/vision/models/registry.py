"""The table of models by name, and what every builder does with `weights` and `features_only`."""

from __future__ import annotations

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import flambeau
from flambeau import nn
from flambeau.vision.models.features import features_only as only_features
from flambeau.vision.models.weights import locate, of_builder

M = TypeVar("M", bound=nn.Module)

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}

_OPTIONS = """

    Arguments:
        weights: a file with a `state_dict`, as torchvision publishes them, a checkpoint of a training run, or the
            name of published weights (`"DEFAULT"`, `ResNet18_Weights.IMAGENET1K_V1`), which are read from
            PyTorch's folder of downloads if the file is there. Nothing is downloaded.
        progress: torchvision's switch for its download bar; there is no download here.
        features_only: return the maps after each stage, see `features_only`.
        out_indices: the stages whose maps are returned; all of them if `None`.
        options: arguments of the network's class, such as `num_classes`.
    """


@overload
def register_model(build: Callable[..., M]) -> Callable[..., M]: ...
@overload
def register_model(
    *, pretrained: dict[str, Any] | None = None, sized: str | None = None
) -> Callable[[Callable[..., M]], Callable[..., M]]: ...
def register_model(
    build: Callable[..., nn.Module] | None = None,
    *,
    pretrained: dict[str, Any] | None = None,
    sized: str | None = None,
) -> Any:
    """Makes a builder of a function of the network's own options, and puts it into the table.

    Arguments:
        build: makes the network with fresh weights.
        pretrained: options that the published weights were trained with, where these differ
            from the class's defaults.
        sized: the option that says how large the pictures are, for networks that must know.
    """
    if build is None:
        return functools.partial(register_model, pretrained=pretrained, sized=sized)
    key = build.__name__

    @functools.wraps(build)
    def builder(
        *,
        weights: Any = None,
        progress: bool = True,
        features_only: bool = False,
        out_indices: Sequence[int] | None = None,
        **options: Any,
    ) -> Any:
        if options.pop("pretrained", False):
            weights = "DEFAULT"  # what torchvision's first versions called it
        if out_indices is not None and not features_only:
            raise ValueError("out_indices chooses among maps: it needs features_only=True")
        path, published = locate(key, weights)
        if published is not None:
            options = {**(pretrained or {}), **options}
        if published is not None and sized is not None:
            options.setdefault(sized, published.crop_size)
        model: Any = build(**options)
        if path is not None:
            model.load_state_dict(model.fitting(_state(path)))
        return only_features(model, out_indices) if features_only else model

    builder.__doc__ = (build.__doc__ or "") + _OPTIONS
    builder.__signature__ = inspect.signature(builder, follow_wrapped=False)  # type: ignore[attr-defined]
    _BUILDERS[key] = builder
    published = of_builder(key)
    if published is not None:  # torchvision has it beside the builder
        build.__globals__[published.__name__] = published
    return builder


def _state(path: Path) -> dict[str, Any]:
    """The weights by name in a file: a `state_dict`, or a checkpoint with one under its usual name."""
    content = flambeau.load(path, map_location="cpu")
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return dict(content[key])
    return content  # type: ignore[no-any-return]


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds the model called `name`; upper and lower case are the same.

    Raises:
        ValueError: for an unknown name.
    """
    builder = _BUILDERS.get(name.lower())
    if builder is None:
        import difflib

        near = difflib.get_close_matches(name.lower(), _BUILDERS, n=3)
        raise ValueError(
            f"Unknown model {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    return builder


def get_model(name: str, **config: Any) -> nn.Module:
    """Builds a model by its name, as `get_model("resnet18", num_classes=10)`."""
    return get_model_builder(name)(**config)


def list_models(
    module: Any = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of all models, sorted.

    Arguments:
        module: only models that were defined directly in this module or package.
        include: only names that match one of these patterns, as `"resnet*"`.
        exclude: no names that match one of these patterns.
    """
    names = set(_BUILDERS)
    if module is not None:
        names = {n for n in names if getattr(module, n, None) is _BUILDERS[n]}
    if include:
        names = {n for n in names if _matches(n, include)}
    if exclude:
        names = {n for n in names if not _matches(n, exclude)}
    return sorted(names)


def _matches(name: str, patterns: Iterable[str] | str) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
