"""What a config can ask of the training loop, each against the same thing written out by hand."""

from __future__ import annotations

import copy
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.train import ConfigError, RunFolder, Trainer
from flambeau.train.config_files import from_dict
from flambeau.train.groups import parameter_groups

PARTS = textwrap.dedent('''
    import flambeau as torch
    from flambeau import nn

    class Points:
        """Forty points in three classes, the same ones always."""
        classes = ["a", "b", "c"]
        def __init__(self, count=40):
            generator = torch.Generator().manual_seed(5)
            self.x = torch.randn(count, 4, generator=generator)
            self.y = self.x[:, :3].argmax(1)
        def __len__(self):
            return len(self.y)
        def __getitem__(self, index):
            return self.x[index], self.y[index]

    def network():
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def plain():
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    class Weighted(nn.Module):
        def forward(self, output, target):
            return output.square().mean()

    def halving():
        return lambda inputs, targets: (inputs * 0.5, targets)

    def turning():
        return lambda inputs: (inputs, inputs * 2)
''')  # fmt: skip


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that the configs name."""
    module = types.ModuleType("small_parts")
    exec(PARTS, module.__dict__)
    monkeypatch.setitem(sys.modules, "small_parts", module)


def config(model: str = "plain", *changes: str, **values: Any) -> Any:
    plain: dict[str, Any] = {
        "task": {"target": "flambeau.train.tasks.Classification"},
        "data": {"train": {"target": "small_parts.Points"}, "batch_size": 10},
        "model": {"target": f"small_parts.{model}"},
        "loss": {"target": "flambeau.nn.CrossEntropyLoss"},
        "optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 0.1}},
        "trainer": {"epochs": 1, "compile": False},
        **values,
    }
    return from_dict(plain, "test", changes)


class Steps:
    """The run written out by hand: the same weights and the same batches in the same order."""

    def __init__(self, trainer: Trainer, seed: int = 0):
        self.model = copy.deepcopy(trainer.model)
        data = trainer.dataset("train")
        size = trainer.config.data.batch_size * trainer.config.trainer.accumulate
        order = torch.Generator().manual_seed(seed)
        loader = torch.utils.data.DataLoader(data, batch_size=size, shuffle=True, drop_last=True, generator=order)
        self.batches = [batch for _ in range(trainer.config.trainer.epochs) for batch in loader]


def assert_same(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("compiled", ["false", "true"], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("trainer.accumulate=2", "data.batch_size=5"),
        ("trainer.clip_norm=0.05",),
        ("trainer.clip_value=0.01",),
        ("trainer.l1=0.02", "trainer.l2=0.3"),
        ("losses={far: {target: small_parts.Weighted, weight: 0.7}}",),
        ("data.mix=[{target: small_parts.halving}]",),
    ],
    ids=["plain", "accumulate", "norm", "value", "penalties", "losses", "mix"],
)
def test_a_step_is_the_one_written_by_hand(settings: tuple[str, ...], compiled: str) -> None:
    trainer = Trainer(config("plain", f"trainer.compile={compiled}", *settings))
    hand = Steps(trainer)
    trainer.fit()
    text = " ".join(settings)
    optimizer = torch.optim.SGD(hand.model.parameters(), lr=0.1)
    norms = []
    for x, y in hand.batches:
        if "mix" in text:
            x = x * 0.5
        output = hand.model(x)
        loss = F.cross_entropy(output, y)
        if "losses" in text:
            loss = loss + 0.7 * output.square().mean()
        if "l1" in text:
            for layer in (hand.model[0], hand.model[2]):
                loss = loss + 0.02 * layer.weight.abs().sum() + 0.15 * layer.weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(sum(p.grad.square().sum() for p in hand.model.parameters()) ** 0.5))
        if "norm" in text:
            nn.utils.clip_grad_norm_(hand.model.parameters(), 0.05)
        if "value" in text:
            nn.utils.clip_grad_value_(hand.model.parameters(), 0.01)
        optimizer.step()
    assert_same(trainer.model, hand.model)
    assert trainer.progress.step == len(hand.batches) == 4
    assert trainer.progress.epochs[0]["grad_norm"] == pytest.approx(np.mean(norms), rel=1e-4)


def test_warm_up_then_the_schedule() -> None:
    schedule = {
        "target": "flambeau.optim.lr_scheduler.CosineAnnealingLR", "args": {"T_max": "$steps"}, "warmup": 3,
        "warmup_start": 0.1,
    }  # fmt: skip
    trainer = Trainer(config("plain", "trainer.epochs=3", schedule=schedule))
    rates: list[float] = []
    trainer.callbacks.append(_Recorder(rates))
    trainer.fit()
    np.testing.assert_allclose(rates[:4], [0.01, 0.04, 0.07, 0.1], rtol=1e-6)
    assert rates[4:] == sorted(rates[4:], reverse=True) and rates[-1] < 0.004


class _Recorder(torch.train.Callback):
    def __init__(self, rates: list[float]):
        self.rates = rates

    def on_train_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        self.rates.append(trainer.learning_rate)


def test_parameter_groups() -> None:
    groups = [
        {"kind": "norm", "args": {"weight_decay": 0.0}},
        {"kind": "bias", "args": {"weight_decay": 0.0, "lr": 0.2}},
        {"names": ["3.*"], "args": {"lr": 0.5}},
    ]
    settings = config("network", optimizer={"target": "flambeau.optim.SGD", "args": {"lr": 0.1}, "groups": groups})
    model = Trainer(settings).model
    found = parameter_groups(model, settings.optimizer)
    shapes = [[tuple(p.shape) for p in group.pop("params")] for group in found]
    assert found == [{}, {"weight_decay": 0.0, "lr": 0.2}, {"weight_decay": 0.0}, {"lr": 0.5}]
    assert shapes == [[(8, 4)], [(8,), (3,)], [(8,), (8,)], [(3, 8)]]


def test_layer_decay() -> None:
    settings = config(
        "network", optimizer={"target": "flambeau.optim.SGD", "args": {"lr": 0.1}, "layer_decay": 0.5}
    )
    found = parameter_groups(Trainer(settings).model, settings.optimizer)
    assert [group.get("lr", 0.1) for group in found] == pytest.approx([0.025, 0.05, 0.1])


def test_initial_weights_by_kind_of_layer() -> None:
    rule = {"layers": ["Linear"], "target": "flambeau.nn.init.constant_", "args": {"val": 0.25}, "bias": 1.0}
    model = Trainer(config("network", init=[rule])).model
    assert torch.equal(model[0].weight, torch.full((8, 4), 0.25)) and torch.equal(model[3].bias, torch.ones(3))
    assert torch.equal(model[1].weight, torch.ones(8)) and not model[1].bias.any()


def test_a_moving_average_of_the_weights() -> None:
    trainer = Trainer(config("plain", "trainer.average={kind: ema, decay: 0.8}"))
    hand = Steps(trainer)
    average: list[np.ndarray] = []
    optimizer = torch.optim.SGD(hand.model.parameters(), lr=0.1)
    for x, y in hand.batches:
        optimizer.zero_grad()
        F.cross_entropy(hand.model(x), y).backward()
        optimizer.step()
        now = [p.detach().numpy().copy() for p in hand.model.parameters()]
        average = [0.8 * a + 0.2 * b for a, b in zip(average, now, strict=True)] if average else now
    trainer.fit()
    assert_same(trainer.model, hand.model)
    for found, expected in zip(trainer.scored_model.parameters(), average, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        trainer.checkpoint()["model"]["0.weight"].numpy(), trainer.scored_model[0].weight.numpy()
    )


def test_stochastic_weight_averaging_measures_statistics_anew() -> None:
    trainer = Trainer(config("network", "trainer.epochs=3", "trainer.average={kind: swa, start_epoch: 2}"))
    trainer.fit()
    assert int(trainer.average.averaged.n_averaged) == 2
    model = copy.deepcopy(trainer.scored_model)
    x = trainer.dataset("train").x
    hidden = model[0](x)
    np.testing.assert_allclose(model[1].running_mean.numpy(), hidden.mean(0).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_a_run_with_an_average_resumes(kind: str, tmp_path: Path) -> None:
    changes = ["trainer.epochs=4", f"trainer.average={{kind: {kind}, start_epoch: 2}}"]
    whole = Trainer(config("network", *changes))
    whole.fit()
    settings = config("network", *changes, folder=str(tmp_path / "runs"))
    run = RunFolder.create(settings)
    first = Trainer(settings, run, [_StopAfter(3)])
    first.fit()
    second = Trainer(settings, run)
    second.fit(resume=True)
    for a, b in ((whole.model, second.model), (whole.scored_model, second.scored_model)):
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy())


class _StopAfter(torch.train.Callback):
    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        trainer.should_stop = trainer.progress.epoch >= self.epochs


def test_early_stopping() -> None:
    settings = config("plain", "trainer.epochs=50", "trainer.early_stopping.patience=2", "optimizer.args.lr=0.0")
    settings.data.validation = settings.data.train
    trainer = Trainer(settings)
    trainer.fit()
    assert trainer.progress.epoch == 3


@pytest.mark.parametrize("compiled", ["false", "true"], ids=["eager", "compiled"])
def test_gradual_unfreezing(compiled: str) -> None:
    finetune = {"freeze": ["0", "2.bias"], "unfreeze": [{"epoch": 3, "names": ["0.*"]}]}
    trainer = Trainer(config("plain", "trainer.epochs=3", f"trainer.compile={compiled}", finetune=finetune))
    seen: list[list[np.ndarray]] = []
    trainer.callbacks.append(_Weights(seen))
    trainer.fit()
    first, second, third = seen
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(second[0] - third[0]).max() > 1e-5
    np.testing.assert_array_equal(first[3], third[3])
    assert trainer.frozen == ["2.bias"]


class _Weights(torch.train.Callback):
    def __init__(self, seen: list[list[np.ndarray]]):
        self.seen = seen

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        self.seen.append([p.detach().numpy().copy() for p in trainer.model.parameters()])


def test_overfitting_a_batch() -> None:
    trainer = Trainer(config("plain", "trainer.overfit_batches=1", "trainer.epochs=200", "optimizer.args.lr=1.0"))
    trainer.fit()
    assert len(trainer.loader) == 1
    assert trainer.progress.epochs[-1]["loss"] < 0.02


def test_views_of_test_samples_are_averaged() -> None:
    settings = config("plain", "data.views={target: small_parts.turning}")
    settings.data.test = settings.data.train
    trainer = Trainer(settings)
    evaluation = trainer.test()
    x = trainer.dataset("test").x
    with torch.no_grad():
        expected = (trainer.model(x) + trainer.model(x * 2)) / 2
    np.testing.assert_allclose(evaluation.outputs, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 1}, "groups": [{"layers": ["Conv2d"]}]}},
         r"groups\[0\]: no parameter fits layers \['Conv2d'\]; the network has the layers Linear"),
        ({"init": [{"layers": ["Conv2d"], "target": "flambeau.nn.init.zeros_"}]}, "no such layer; it has Linear"),
        ({"optimizer": {"target": "flambeau.optim.SGD", "args": {"lr": 1}, "layer_decay": 2.0}}, "between 0 and 1"),
        ({"trainer": {"clip_norm": -1.0, "compile": False}}, "must be positive"),
        ({"trainer": {"accumulate": 0, "compile": False}}, "at least 1"),
        ({"finetune": {"freeze": ["0"], "unfreeze": [{"names": ["first"]}]}}, "no parameter is called 'first'"),
        ({"schedule": {"target": "flambeau.optim.lr_scheduler.ExponentialLR", "args": {"gamma": 0.9}, "warmup": 9}},
         "between 0 and the 4 steps"),
        ({"schedule": {"target": "flambeau.optim.lr_scheduler.ReduceLROnPlateau", "warmup": 2}}, "needs every: epoch"),
    ],
    ids=["group", "init", "decay", "clip", "accumulate", "unfreeze", "warm-up", "plateau"],
)  # fmt: skip
def test_mistakes_in_a_config(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(config("plain", **values)).fit()
