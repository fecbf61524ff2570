"""What picks the best weights, and what the further scores of a config are."""

from __future__ import annotations

from typing import Any

import pytest

from flambeau.train import ConfigError, Trainer, UserError, load_config
from flambeau.train.samples import Part

FEW = ["trainer.compile=false", "trainer.epochs=2", "data.batch_size=300"]


def digits(*changes: str) -> Any:
    return Trainer(load_config("digits", [*FEW, *changes]))


def test_without_validation_the_smallest_training_loss_is_the_best() -> None:
    """Also where the score that is not there would be the better for being large."""
    trainer = digits("data.validation=null", "optimizer.args.lr=0.05", "trainer.epochs=3")
    progress = trainer.fit()
    losses = [row["loss"] for row in progress.epochs]
    assert progress.best == min(losses) and progress.best_epoch == losses.index(min(losses)) + 1
    assert trainer.badness({"loss": 2.0, "val_accuracy": 0.5}) == -0.5


def test_a_check_by_overfitting_sees_the_same_pictures_each_time() -> None:
    trainer = digits("trainer.overfit_batches=1", "data.batch_size=16", "data.mix=[{target: flambeau.vision.transforms.MixUp, args: {num_classes: 10}}]")
    samples = trainer.dataset("train")
    assert type(samples) is Part and len(samples) == 16 and not trainer.mix
    samples.set_epoch(1)
    first = samples[3][0].copy()
    samples.set_epoch(2)
    assert (samples[3][0] == first).all()
    assert trainer.fit().step == 2


def test_further_scores() -> None:
    kinds = {"f1": "FBetaScore", "precision": "Precision", "recall": "Recall", "wrong": "ErrorRate", "top": "TopKAccuracy"}
    changes = [f"metrics.{name}={{target: flambeau.metrics.{kind}}}" for name, kind in kinds.items()]
    row = digits(*changes, "checkpoint.monitor=f1").fit().epochs[-1]
    assert row["val_wrong"] == pytest.approx(1 - row["val_accuracy"])
    assert 0 <= row["val_f1"] <= 1 and row["val_top"] >= row["val_accuracy"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("{target: flambeau.metrics.ConfusionMatrix, args: {num_classes: 10}}", "metrics.mine: flambeau.metrics.ConfusionMatrix cannot be told as one number"),
        ("{target: flambeau.metrics.ROCAUC}", "say multi_class"),
        ("{target: flambeau.metrics.ConfusionMatrix, args: {num_classes: 3}}", "there are 3 classes"),
    ],
    ids=["matrix", "of two", "classes"],
)
def test_scores_that_cannot_be(metric: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        digits(f"metrics.mine={metric}").fit()


def test_views_that_do_not_fit_are_told_of() -> None:
    with pytest.raises(UserError, match=r"validation failed\. flambeau\.vision\.models\.LeNet was given"):
        digits("data.views={target: flambeau.vision.transforms.TenCrop, args: {size: 28}}").fit()


def test_an_optimizer_that_asks_for_the_loss_again() -> None:
    with pytest.raises(ConfigError, match="LBFGS.* needs a training loop of your own"):
        digits("optimizer={target: flambeau.optim.LBFGS}").fit()


def test_images_are_counted_as_they_are() -> None:
    trainer = digits("data.batch_size=5000")
    trainer.fit()
    assert trainer.images == 2 * len(trainer.dataset("train"))
