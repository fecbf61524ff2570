"""Published weights by name: `ResNet18_Weights.DEFAULT`. Nothing is downloaded: this says which
file is meant, and reads it if it is there.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from flambeau.vision.models.published import PUBLISHED

__all__ = ["Weights", "WeightsEnum", "get_model_weights", "get_weight"]

_ADDRESS = "https://download.pytorch.org/models/"

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


class Weights(NamedTuple):
    """A published file, and how the pictures were prepared that its network saw."""

    file: str
    crop_size: int
    resize_size: int
    interpolation: str
    centred: bool  # pictures normalised by a half, not by ImageNet's means and deviations


class WeightsEnum(enum.Enum):
    """The published weights of one network; `DEFAULT` are those that torchvision recommends."""

    @property
    def url(self) -> str:
        """Where the file is published."""
        return _ADDRESS + self.value.file

    @property
    def path(self) -> Path:
        """Where the file is looked for: PyTorch's folder of downloads."""
        return checkpoints_folder() / self.value.file

    @property
    def meta(self) -> dict[str, Any]:
        """torchvision's facts about the weights; here only the smallest picture's size."""
        raise NotImplementedError(
            f"{self}.meta: the names of ImageNet's classes and torchvision's figures are not part"
            " of Flambeau"
        )

    def transforms(self, **changes: Any) -> Any:
        """What prepares a picture (PIL, or a tensor) for the network.

        Arguments:
            changes: `crop_size`, `resize_size`, `mean`, `std` or `interpolation` of your own.
        """
        from flambeau.vision.models.preset import ImageClassification

        value = self.value
        options = {
            "crop_size": value.crop_size,
            "resize_size": value.resize_size,
            "interpolation": value.interpolation,
            **(_HALF if value.centred else _IMAGENET),
        }
        return ImageClassification(**{**options, **changes})

    def get_state_dict(self, *ignored: Any, **options: Any) -> Any:
        """The state in the file.

        Raises:
            FileNotFoundError: if it is not there; the message says where it belongs.
        """
        import flambeau

        return flambeau.load(self.checked_path(), map_location="cpu")

    def checked_path(self) -> Path:
        """`path`, once it is sure that the file is there, whole."""
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self}: Flambeau downloads nothing, and {self.value.file} is not in"
                f" {self.path.parent}. Get it from {self.url} and put it there, or give the"
                f' file itself: weights="/where/it/is/{self.value.file}"'
            )
        expected = re.search(r"-([0-9a-f]{8,})\.pth$", self.value.file)
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if expected and not found.startswith(expected[1]):
            raise RuntimeError(
                f"{self.path} is damaged or not what its name says: its SHA-256 begins with"
                f" {found[:8]}, not with {expected[1]}. Get it again from {self.url}"
            )
        return self.path


def checkpoints_folder() -> Path:
    """PyTorch's folder of downloads: `$TORCH_HOME/hub/checkpoints`, or in the cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


@functools.cache
def _enums() -> dict[str, type[WeightsEnum]]:
    """The table as enumerations, by their names."""
    versions: dict[str, dict[str, Weights]] = {}
    for line in PUBLISHED.strip().splitlines():
        network, version, file, *shape = line.split()
        crop, resize, interpolation, *rest = shape or ["224", "256", "bilinear"]
        weights = Weights(file, int(crop), int(resize), interpolation, rest == ["centred"])
        versions.setdefault(f"{network}_Weights", {})[version] = weights
    make: Any = WeightsEnum  # the functional form, which type checkers do not follow
    made: dict[str, type[WeightsEnum]] = {}
    for name, members in versions.items():
        plain = [v for v in members if v.startswith("IMAGENET1K_V")]
        default = plain[-1] if plain else next(iter(members))
        members = {**members, "DEFAULT": members[default]}
        made[name] = make(name, members, module="flambeau.vision.models")
    return made


def weights_enum(name: str) -> type[WeightsEnum] | None:
    """The enumeration called `name`, as "ResNet18_Weights"; `None` if there is none."""
    return _enums().get(name)


def of_builder(name: str) -> type[WeightsEnum] | None:
    """The enumeration of the builder called `name`; `None` if there is none."""
    wanted = f"{name}_weights".lower()
    return next((e for key, e in _enums().items() if key.lower() == wanted), None)


def get_weight(name: str) -> WeightsEnum:
    """The weights called `name`, as "ResNet18_Weights.IMAGENET1K_V1".

    Raises:
        ValueError: for an unknown name.
    """
    enumeration, _, version = name.partition(".")
    found = weights_enum(enumeration)
    if found is None or version not in found.__members__:
        raise ValueError(f"Invalid model name provided: '{name}'.")
    return found[version]


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The weights of the network with this name or builder.

    Raises:
        ValueError: for an unknown name, or a network without published weights.
    """
    key = name if isinstance(name, str) else name.__name__
    found = of_builder(key)
    if found is None:
        raise ValueError(f"There are no published weights of {key}")
    return found


def locate(name: str, weights: Any) -> tuple[Path | None, Weights | None]:
    """The file of `weights` for the builder called `name`, and the table's line if it is a published one.

    Arguments:
        name: the builder's name.
        weights: `None`, a member of its enumeration, a member's name, or a path.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: for another network's weights.
    """
    if weights is None:
        return None, None
    published = of_builder(name)
    if isinstance(weights, str) and published is not None:
        member = weights.removeprefix(f"{published.__name__}.")
        weights = published.__members__.get(member, weights)
    if isinstance(weights, WeightsEnum):
        if type(weights) is not published:
            expected = published.__name__ if published else "a path"
            raise TypeError(
                f"Incorrect Weight class provided; expected {expected} but received"
                f" {type(weights).__name__}."
            )
        return weights.checked_path(), weights.value
    path = Path(weights)
    if not path.is_file():
        known = f", nor one of {', '.join(published.__members__)}" if published else ""
        raise FileNotFoundError(
            f"{name}(weights={str(weights)!r}): that is no file{known}. Give the path of a file"
            " with a state_dict (nothing is downloaded), or use"
            " load_state_dict(flambeau.load(path))"
        )
    # A published file may lie anywhere; it is known by its name.
    return path, next((m.value for m in published or () if m.value.file == path.name), None)
