"""The data sets under a DataLoader."""

import numpy as np
import pytest

import flambeau
from flambeau.utils.data import DataLoader, Dataset
from flambeau.vision.datasets import DigitAugment, Digits, FaceKeypoints, render_faces


def test_digits_in_batches():
    loader = DataLoader(Digits(train=False), batch_size=100)
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 59]
    images, labels = batches[0]
    assert images.shape == (100, 3, 32, 32) and images.dtype == flambeau.float32
    assert labels.dtype == flambeau.int64
    np.testing.assert_array_equal(images[4].numpy(), Digits(train=False)[4][0])


def test_faces_in_batches(tmp_path):
    render_faces(tmp_path, 5, seed=1)
    dataset = FaceKeypoints(tmp_path, "faces.txt", cache=True)
    assert isinstance(dataset, Dataset)
    (images, points), _ = DataLoader(dataset, batch_size=3)
    assert images.shape == (3, 1, 112, 112) and points.shape == (3, 42)
    assert images.dtype == points.dtype == flambeau.float32


@pytest.mark.parametrize("workers", [1, 2])
def test_augmentation_is_the_same_in_workers(workers):
    def batches(num_workers):
        dataset = Digits(augment=DigitAugment())
        dataset.set_epoch(3)
        loader = DataLoader(dataset, batch_size=500, num_workers=num_workers)
        return [images.numpy() for images, _ in loader]

    for here, there in zip(batches(0), batches(workers), strict=True):
        np.testing.assert_array_equal(here, there)
