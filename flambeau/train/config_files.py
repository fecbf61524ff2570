"""Reading configs: YAML files that inherit, arguments on top, every key and type checked."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flambeau.train.atomic import write_atomically
from flambeau.train.config import Average, Component, Config
from flambeau.train.errors import ConfigError, nearest, nearest_of

#: The configs that come with the package: `keypoints` and `digits`.
PACKAGED = Path(__file__).parent / "configs"


def load_config(name: str, overrides: Sequence[str] = ()) -> Config:
    """The config called `name`, with `key=value` arguments laid over it.

    Arguments:
        name: a YAML file, or the name of a packaged config (`keypoints`, `digits`).
        overrides: arguments as `trainer.epochs=20`; the value is read as YAML.

    Raises `ConfigError`, naming the file or argument, the key and what would fit.
    """
    return merge(_layers(name, overrides))


@dataclass(frozen=True)
class Setting:
    """A key of a merged config: its value, what it means, and where the value comes from."""

    key: str
    value: Any
    meaning: str
    source: str


def settings(name: str, overrides: Sequence[str] = ()) -> list[Setting]:
    """Every key of the config that `load_config` gives, in the order of the file that it would be saved as."""
    layers = _layers(name, overrides)
    return [
        Setting(key, value, _meaning(key), _where_set(key, layers))
        for key, value in _leaves(to_dict(merge(layers)))
    ]


def _layers(name: str, overrides: Sequence[str]) -> list[_Layer]:
    layers = [_Layer.of_file(path) for path in _ancestry(_find(name))]
    return layers + [_Layer.of_argument(text) for text in overrides]


def flat(config: dict[str, Any]) -> dict[str, Any]:
    """A config as `to_dict` gives it, with a value for each dotted key."""
    return dict(_leaves(config))


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of a config that hold no further keys."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{prefix}[{index}]")
    else:
        yield prefix, value


def _meaning(key: str) -> str:
    """What the schema says of a key; of an argument, nothing."""
    hint: Any = Config
    text = ""
    for name in key.replace("[", ".").replace("]", "").split("."):
        if dataclasses.is_dataclass(hint):
            text = next(f.metadata.get("help", "") for f in dataclasses.fields(hint) if f.name == name)
            hint = _fields(typing.cast(type, hint))[name]
        elif typing.get_origin(hint) in (dict, list):
            hint, text = _plain(typing.get_args(hint)[-1]), ""
        else:
            return ""
    return text


def merge(layers: Sequence[_Layer]) -> Config:
    """The config of several layers, later ones over earlier ones."""
    merged = OmegaConf.structured(Config)
    for layer in layers:
        layer.check()
        _forget_arguments_of_replaced_targets(merged, layer.values)
        try:
            merged = OmegaConf.merge(merged, layer.values)
        except OmegaConfBaseException as error:
            raise ConfigError(_explain(error, layer)) from error
    assert isinstance(merged, DictConfig)
    return _finish(merged, layers)


def save_config(config: Config, path: Path) -> None:
    """Writes the merged config as a YAML file that `load_config` reads."""
    text = to_yaml(config).encode()
    write_atomically(path, lambda file: file.write(text))


def to_yaml(config: Config) -> str:
    """The merged config as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def to_dict(config: Config) -> dict[str, Any]:
    """The merged config as plain values, for a checkpoint."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert isinstance(plain, dict)
    return typing.cast(dict[str, Any], plain)


def from_dict(values: dict[str, Any], source: str, overrides: Sequence[str] = ()) -> Config:
    """The config that `to_dict` gave, with arguments laid over it."""
    layers = [_Layer(source, values), *map(_Layer.of_argument, overrides)]
    return merge(layers)


# files -------------------------------------------------------------------------------------


def _find(name: str, beside: Path | None = None) -> Path:
    """The file that `name` means: a path, from the folder of another config or from here."""
    candidates = [Path(name)] if beside is None else [beside / name, Path(name)]
    for path in candidates:
        if path.is_file():
            return path
        if (path / "config.yaml").is_file():
            return path / "config.yaml"
    packaged = PACKAGED / f"{name}.yaml"
    if packaged.is_file():
        return packaged
    known = sorted(path.stem for path in PACKAGED.glob("*.yaml"))
    folder = candidates[0].parent
    files = [str(path) for path in sorted(folder.glob("*.yaml")) if path.is_file()]
    raise ConfigError(
        f"there is no config '{name}': it is neither a YAML file nor one of "
        f"{', '.join(known)}{nearest(name, [*known, *files])}"
    )


def _ancestry(path: Path) -> list[Path]:
    """The file and all that it inherits from, the oldest first."""
    chain = [path]
    while (base := _read(chain[0]).get("base")) is not None:
        if not isinstance(base, str):
            raise ConfigError(f"{chain[0]}: base = {base!r} must be the name of a config")
        try:
            parent = _find(base, chain[0].parent)
        except ConfigError as error:
            raise ConfigError(f"{chain[0]}: base = {base}: {error}") from error
        if parent.resolve() in [known.resolve() for known in chain]:
            raise ConfigError(f"{chain[0]}: base = {base} leads back to itself")
        chain.insert(0, parent)
    return chain


def _read(path: Path) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(OmegaConf.load(path))
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ConfigError(f"{path}{line}: not YAML that can be read: {_problem(error)}") from error
    except OSError as error:
        if path.stat().st_size == 0:
            return {}
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold `key: value` lines")
    return typing.cast(dict[str, Any], values)


def _problem(error: Exception) -> str:
    """What YAML says is wrong, with what usually mends it."""
    text = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "cannot start any token" in text:
        return "a character that cannot stand here; lines are indented with blanks, not with tabs"
    if "mapping values are not allowed" in text:
        return f"{text} (put a text that holds ': ' in quotes)"
    return text


class _Layer:
    """Values from one place, and the words to name that place."""

    def __init__(self, source: str, values: dict[str, Any], lines: Mapping[str, int] = {}):
        self.source = source
        self.values = values
        self.lines = lines

    @classmethod
    def of_file(cls, path: Path) -> _Layer:
        values = {key: value for key, value in _read(path).items() if key != "base"}
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        source = f"the packaged {path.name}" if path.parent == PACKAGED else str(path)
        return cls(source, values, dict(_key_lines(node)) if node else {})

    @classmethod
    def of_argument(cls, text: str) -> _Layer:
        key, equals, _ = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"argument '{text}': write key=value, as trainer.epochs=20")
        try:
            values = OmegaConf.to_container(OmegaConf.from_dotlist([text]))
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(f"argument '{text}' cannot be read as YAML: {_problem(error)}") from error
        return cls(f"argument '{text}'", typing.cast(dict[str, Any], values))

    def place(self, key: str) -> str:
        """Where `key` stands, as `my.yaml, line 7`."""
        line = self.lines.get(key)
        return self.source if line is None else f"{self.source}, line {line}"

    def check(self) -> None:
        """Raises `ConfigError` for the first key that no config has, or that holds no keys."""
        for key, value, hint in _shapeless(self.values, Config):
            raise ConfigError(f"{self.place(key)}: {key} = {value!r} must be {_expected(hint)}")
        for key, choices in _unknown_keys(self.values, Config):
            hint = _nearest_key(key, choices) or f"; valid keys are {', '.join(choices)}"
            raise ConfigError(f"{self.place(key)}: unknown key '{key}'{hint}")


def _nearest_key(key: str, choices: Sequence[str]) -> str:
    """The key that an unknown one may have meant: of its section, of any section, or by another usual name."""
    leaf = key.rpartition(".")[2]
    if found := nearest_of(leaf, {_leaf(choice): choice for choice in choices}):
        return found
    if leaf in _OTHER_NAMES:
        return f"; did you mean '{_OTHER_NAMES[leaf]}'?"
    # The first of several keys of a name is the outermost.
    everywhere = {_leaf(known): known for known in reversed(list(_all_keys(Config)))}
    return nearest_of(leaf, everywhere)


def key_called(name: str) -> str | None:
    """The key with this last part, or that other programs call so: `trainer.epochs` of `epochs`."""
    known = {_leaf(key): key for key in reversed(list(_all_keys(Config)))}
    return known.get(name) or _OTHER_NAMES.get(name)


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


#: Keys by the names that other programs give them.
_OTHER_NAMES = {
    "lr": "optimizer.args.lr",
    "learning_rate": "optimizer.args.lr",
    "momentum": "optimizer.args.momentum",
    "weight_decay": "optimizer.args.weight_decay",
    "max_epochs": "trainer.epochs",
    "num_epochs": "trainer.epochs",
    "bs": "data.batch_size",
    "workers": "data.num_workers",
    "root": "data.train.args.root",
    "scheduler": "schedule",
    "criterion": "loss",
    "output": "folder",
    "out": "folder",
}


def _key_lines(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = f"{prefix}{name.value}"
            yield key, name.start_mark.line + 1
            yield from _key_lines(value, f"{key}.")
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{prefix[:-1]}[{index}]", value.start_mark.line + 1
            yield from _key_lines(value, f"{prefix[:-1]}[{index}].")


# the schema --------------------------------------------------------------------------------


def _plain(hint: Any) -> Any:
    """The type in `Optional[...]`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _fields(schema: type) -> dict[str, Any]:
    hints = typing.get_type_hints(schema)
    return {entry.name: _plain(hints[entry.name]) for entry in dataclasses.fields(schema)}


def _children(value: Any, hint: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """The parts of a value that have a schema of their own: key, value, type."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        known = _fields(typing.cast(type, hint))
        for name, part in value.items():
            if name in known:
                yield f"{prefix}{name}", part, known[name]
    elif typing.get_origin(hint) is dict and isinstance(value, dict):
        inner = _plain(typing.get_args(hint)[1])
        for name, part in value.items():
            yield f"{prefix}{name}", part, inner
    elif typing.get_origin(hint) is list and isinstance(value, list):
        inner = _plain(typing.get_args(hint)[0])
        for index, part in enumerate(value):
            yield f"{prefix[:-1]}[{index}]", part, inner


def _unknown_keys(value: Any, hint: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each key that the schema lacks, with the keys that it has in that place."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        known = _fields(typing.cast(type, hint))
        for name in value:
            if name not in known:
                yield f"{prefix}{name}", [f"{prefix}{choice}" for choice in known]
    for key, part, inner in _children(value, hint, prefix):
        yield from _unknown_keys(part, inner, f"{key}.")


def _shapeless(value: Any, hint: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each value that stands where keys, or a list, should."""
    for key, part, inner in _children(value, hint, prefix):
        container = typing.get_origin(inner) or (
            dict if dataclasses.is_dataclass(inner) else None
        )
        if container in (dict, list) and part is not None and not isinstance(part, container):
            yield key, part, inner
        else:
            yield from _shapeless(part, inner, f"{key}.")


def _all_keys(hint: Any, prefix: str = "") -> Iterator[str]:
    for name, inner in _fields(hint).items():
        yield f"{prefix}{name}"
        if dataclasses.is_dataclass(inner):
            yield from _all_keys(inner, f"{prefix}{name}.")


def known_keys() -> list[tuple[str, str]]:
    """Every key that takes a value of its own, with what it means."""
    return [
        (key, _meaning(key)) for key in _all_keys(Config) if not dataclasses.is_dataclass(_type_of(key))
    ]


def choices(key: str) -> list[str]:
    """The values that a key may have, where they are few."""
    hint = _type_of(key)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [choice.name for choice in hint]
    return ["true", "false"] if hint is bool else []


def _type_of(key: str) -> Any:
    """The type of a key by its dotted name; `None` where there is no such key."""
    hint: Any = Config
    for name in key.replace("[", ".").replace("]", "").split("."):
        if dataclasses.is_dataclass(hint):
            hint = _fields(typing.cast(type, hint)).get(name)
        elif typing.get_origin(hint) in (dict, list):
            hint = _plain(typing.get_args(hint)[-1])
        else:
            return None
    return hint


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _expected(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"one of {', '.join(choice.name for choice in hint)}"
    if hint is Component or (isinstance(hint, type) and issubclass(hint, Component)):
        return "a component with `target` and `args`"
    if dataclasses.is_dataclass(hint):
        return f"keys out of {', '.join(_fields(typing.cast(type, hint)))}"
    if typing.get_origin(hint) is list:
        return "a list"
    if typing.get_origin(hint) is dict:
        return "keys with values"
    return "another type"


# merging -----------------------------------------------------------------------------------


def _forget_arguments_of_replaced_targets(
    merged: Any, values: Any, hint: Any = Config, prefix: str = ""
) -> None:
    """Arguments of one class mean nothing to another, so a new `target` starts without any."""
    # Arguments may be components themselves, of no type that the schema knows.
    is_component = hint is Any or (isinstance(hint, type) and issubclass(hint, Component))
    if is_component and isinstance(values, dict) and "target" in values:
        current: Any = OmegaConf.select(merged, prefix[:-1]) if prefix else None
        known = isinstance(current, DictConfig) and current.get("target") is not None
        if known and current.target != values["target"]:
            current.args = {}
    if hint is Any and isinstance(values, dict):
        hint = dict[str, Any]
    for key, part, inner in _children(values, hint, prefix):
        if "[" not in key:
            _forget_arguments_of_replaced_targets(merged, part, inner, f"{key}.")


def _explain(error: OmegaConfBaseException, layer: _Layer) -> str:
    key = getattr(error, "full_key", None) or ""
    hint = _type_of(key)
    value = _value_at(layer.values, key)
    if hint is None:
        return f"{layer.place(key)}: {str(error).splitlines()[0]}"
    return f"{layer.place(key)}: {key} = {value!r} must be {_expected(hint)}"


def _value_at(values: Any, key: str) -> Any:
    for name in key.replace("[", ".").replace("]", "").split("."):
        if isinstance(values, dict) and name in values:
            values = values[name]
        elif isinstance(values, list) and name.isdigit() and int(name) < len(values):
            values = values[int(name)]
        else:
            return values
    return values


def _finish(merged: DictConfig, layers: Sequence[_Layer]) -> Config:
    sources = ", ".join(layer.source for layer in layers) or "the config"
    try:
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise ConfigError(f"{sources}: no value for {', '.join(missing)}")
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or ""
        place = _where_set(key, layers) if key else sources
        raise ConfigError(f"{place}: {key}: {_unresolved(error)}") from error
    assert isinstance(config, Config)
    _check_ranges(config, layers)
    return config


def _unresolved(error: OmegaConfBaseException) -> str:
    """What a `${...}` lacks."""
    text = str(error).splitlines()[0]
    if variable := re.search(r"Environment variable '(.*?)' not found", text):
        name = variable[1]
        return f"the environment variable {name} is not set; a default is written ${{oc.env:{name},default}}"
    if other := re.search(r"Interpolation key '(.*?)' not found", text):
        return f"${{{other[1]}}} is no key of the config{_nearest_key(other[1], [])}"
    return text


def _check_ranges(config: Config, layers: Sequence[_Layer]) -> None:
    least = {
        "trainer.epochs": (config.trainer.epochs, 1),
        "trainer.log_every_steps": (config.trainer.log_every_steps, 1),
        "data.batch_size": (config.data.batch_size, 1),
        "data.eval_batch_size": (config.data.eval_batch_size, 1),
        "data.num_workers": (config.data.num_workers, 0),
        "checkpoint.every_steps": (config.checkpoint.every_steps, 0),
        "trainer.accumulate": (config.trainer.accumulate, 1),
        "trainer.overfit_batches": (config.trainer.overfit_batches, 0),
        "trainer.early_stopping.patience": (config.trainer.early_stopping.patience, 0),
        "trainer.average.start_epoch": (config.trainer.average.start_epoch, 1),
        "trainer.auxiliary": (config.trainer.auxiliary, 0),
        "trainer.l1": (config.trainer.l1, 0),
        "trainer.l2": (config.trainer.l2, 0),
        "seed": (config.seed, 0),
    }
    for key, (value, bound) in least.items():
        if value < bound:
            place = _where_set(key, layers)
            raise ConfigError(f"{place}: {key} = {value} must be at least {bound}")
    if config.seed >= 2**63:
        raise ConfigError(f"{_where_set('seed', layers)}: seed = {config.seed} must be below 2**63")
    shares = {
        "optimizer.layer_decay": config.optimizer.layer_decay,
        "trainer.average.decay": config.trainer.average.decay,
        "schedule.warmup_start": config.schedule.warmup_start if config.schedule else 1.0,
    }
    for key, value in shares.items():
        if not 0 < value <= 1:
            raise ConfigError(f"{_where_set(key, layers)}: {key} = {value} must lie between 0 and 1")
    average = config.trainer.average
    if average.kind is Average.swa and average.start_epoch > config.trainer.epochs:
        raise ConfigError(
            f"{_where_set('trainer.average.start_epoch', layers)}: trainer.average.start_epoch = {average.start_epoch} "
            f"lies behind the last epoch, trainer.epochs = {config.trainer.epochs}: nothing would be averaged"
        )
    for key in ("clip_norm", "clip_value"):
        limit = getattr(config.trainer, key)
        if limit is not None and not limit > 0:
            place = _where_set(f"trainer.{key}", layers)
            raise ConfigError(f"{place}: trainer.{key} = {limit} must be positive")
    if not config.name or "/" in config.name or config.name.startswith("."):
        raise ConfigError(
            f"{_where_set('name', layers)}: name = {config.name!r} names no folder"
        )


def _where_set(key: str, layers: Sequence[_Layer]) -> str:
    """The last place that gives `key` a value."""
    names = key.replace("[", ".").replace("]", "").split(".")
    for layer in reversed(layers):
        if _holds(layer.values, names):
            return layer.place(key)
    return "the defaults"


def _holds(values: Any, names: Sequence[str]) -> bool:
    """Whether a layer's values say anything of the key with these names."""
    for name in names:
        if isinstance(values, dict) and name in values:
            values = values[name]
        elif isinstance(values, list) and name.isdigit():
            return int(name) < len(values)  # a list is given as a whole
        else:
            return False
    return True
