"""Outputs from inside a network by name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import Tensor, nn
from flambeau.vision import models
from flambeau.vision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)


class Small(nn.Module):
    """One activation that is called twice, and a layer that runs only in training."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.act = nn.Tanh()
        self.rest = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        self.noise = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        if self.training:
            x = self.noise(x)
        return self.act(self.rest(x))


def test_names_are_those_of_modules() -> None:
    train, evaluation = get_graph_node_names(Small())
    assert train == evaluation == ["first", "act", "rest", "rest.0", "rest.1", "noise"]


def test_nodes_and_later_calls_of_one_module() -> None:
    model = Small().eval()
    extractor = create_feature_extractor(model, {"act": "a", "act_1": "b", "rest": "c"})
    x = flambeau.randn(5, 4)
    found = extractor(x)
    assert list(found) == ["a", "c", "b"]
    first = np.tanh(model.first(x).detach().numpy())
    np.testing.assert_allclose(found["a"].detach().numpy(), first, rtol=1e-5)
    np.testing.assert_allclose(found["b"].detach().numpy(), model(x).detach().numpy())
    assert not model.act._forward_hooks


def test_nothing_after_the_last_node_runs() -> None:
    model = models.resnet18().eval()
    ran: list[Any] = []
    model.layer3.register_forward_hook(lambda *call: ran.append(call))
    found = create_feature_extractor(model, ["layer1", "layer2.1.relu_1"])(
        flambeau.zeros(1, 3, 64, 64)
    )
    assert {name: value.shape for name, value in found.items()} == {
        "layer1": (1, 64, 16, 16),
        "layer2.1.relu_1": (1, 128, 8, 8),
    }
    assert not ran


def test_parameters_and_modes_are_the_models() -> None:
    model = Small()
    extractor = create_feature_extractor(
        model, train_return_nodes=["noise"], eval_return_nodes=["rest"]
    )
    assert list(extractor.state_dict()) == list(model.state_dict())
    assert extractor.first is model.first
    x = flambeau.randn(2, 4)
    assert list(extractor(x)) == ["noise"]
    assert list(extractor.eval()(x)) == ["rest"]
    assert not model.training
    other = copy.deepcopy(extractor).train()
    assert other.model.training
    assert not model.training
    extractor(x)["rest"].sum().backward()
    assert model.first.weight.grad is not None
    assert other.first.weight.grad is None


def test_compiled_is_eager() -> None:
    extractor = create_feature_extractor(Small().eval(), {"act": "a", "rest.0": "b"})
    compiled = flambeau.compile(extractor, fullgraph=True)
    x = flambeau.randn(3, 4)
    with flambeau.no_grad():
        for _ in range(2):
            for name, value in compiled(x).items():
                np.testing.assert_allclose(value.numpy(), extractor(x)[name].numpy(), rtol=1e-5)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="node: 'second' is not present in model"):
        create_feature_extractor(Small(), ["second"])
    with pytest.raises(ValueError, match="Either `return_nodes` or"):
        create_feature_extractor(Small())
    with pytest.raises(ValueError, match="then both should be specified"):
        create_feature_extractor(Small(), train_return_nodes=["act"])
    with pytest.raises(RuntimeError, match="nodes noise did not run in evaluation mode"):
        create_feature_extractor(Small().eval(), ["noise"])(flambeau.zeros(1, 4))
    with pytest.raises(NotImplementedError, match="concrete_args"):
        get_graph_node_names(Small(), concrete_args={})


def test_children_one_after_another() -> None:
    from flambeau.vision.models._utils import IntermediateLayerGetter

    model = models.resnet18().eval()
    getter = IntermediateLayerGetter(model, {"layer1": "low", "layer3": "high"}).eval()
    assert [name for name, _ in getter.named_children()][-1] == "layer3"
    found = getter(flambeau.zeros(1, 3, 64, 64))
    assert {name: value.shape[1] for name, value in found.items()} == {"low": 64, "high": 256}
    with pytest.raises(ValueError, match="return_layers are not present in model"):
        IntermediateLayerGetter(model, {"layer9": "x"})


def test_stages_of_the_own_networks() -> None:
    face = models.FaceKeypointNet()
    body = models.features_only(face)
    assert body.feature_info.channels() == [8, 16, 24, 80] and body.feature_info.reduction() == [2, 5, 14, 28]
    face.reset_classifier(10)
    assert face(flambeau.zeros(2, 1, 112, 112)).shape == (2, 10)
    grey = models.features_only(models.LeNet(in_channels=1), out_indices=(1, 2))
    assert grey.feature_info.channels() == [16, 16]
    with pytest.raises(TypeError, match="features_only needs a network that names its stages, .* got Linear"):
        models.features_only(nn.Linear(2, 2))  # type: ignore[arg-type]
