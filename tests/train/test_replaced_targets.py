"""Another target in a config takes none of the arguments of the one before it."""

from __future__ import annotations

import pytest

from flambeau.train.config_files import load_config


def test_a_component() -> None:
    assert load_config("digits").optimizer.args["momentum"] == 0.9
    assert load_config("digits", ["optimizer.target=flambeau.optim.Adam"]).optimizer.args == {}
    same = load_config("digits", ["optimizer.target=flambeau.optim.SGD", "optimizer.args.lr=0.5"])
    assert same.optimizer.args["momentum"] == 0.9 and same.optimizer.args["lr"] == 0.5


@pytest.mark.parametrize("place", ["data.train.args.augment", "data.train.args.augment.args.inner"])
def test_a_component_among_arguments(place: str) -> None:
    first = "{target: a.Old, args: {warp: 0}}"
    before = [f"{place}={first}"] if place.endswith("inner") else []
    found = load_config("keypoints", [*before, f"{place}={{target: a.New, args: {{p: 1}}}}"])
    part = found.data.train.args["augment"]
    part = part["args"]["inner"] if place.endswith("inner") else part
    assert part == {"target": "a.New", "args": {"p": 1}}


def test_arguments_that_are_no_components() -> None:
    found = load_config("keypoints", ["data.train.args.augment.args.flip=0.5", "data.train.args.size=64"])
    assert found.data.train.args["augment"]["args"] == {"warp": 0, "flip": 0.5}
    assert found.data.train.args["size"] == 64 and found.data.train.args["list_file"] == "faces.txt"
