"""The MNIST family, from files written here."""

import re
import warnings

import numpy as np
import pytest
from PIL import Image

from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.idx import write_idx
from flambeau.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST


def write_part(root, name, part, images, labels, suffix=""):
    raw = root / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    write_idx(raw / f"{part}-images-idx3-ubyte{suffix}", images)
    write_idx(raw / f"{part}-labels-idx1-ubyte{suffix}", labels)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST, KMNIST])
def test_reads_both_parts(tmp_path, images, dataset):
    write_part(tmp_path, dataset.__name__, "train", images, np.arange(5, dtype=np.uint8))
    write_part(tmp_path, dataset.__name__, "t10k", images[:2], np.array([9, 8], np.uint8))
    train, test = dataset(tmp_path), dataset(tmp_path, train=False, download=True)
    assert (len(train), len(test)) == (5, 2)
    image, label = train[3]
    assert isinstance(image, Image.Image) and image.mode == "L" and type(label) is int
    np.testing.assert_array_equal(np.asarray(image), images[3])
    assert label == 3 and test[0][1] == 9
    assert len(train.classes) == 10 and train.class_to_idx[train.classes[4]] == 4
    assert f"Dataset {dataset.__name__}" in repr(train) and "Split: Train" in repr(train)


def test_transforms(tmp_path, images):
    write_part(tmp_path, "MNIST", "train", images, np.arange(5, dtype=np.uint8))
    dataset = MNIST(tmp_path, transform=np.asarray, target_transform=lambda label: -label)
    np.testing.assert_array_equal(dataset[2][0], images[2])
    assert dataset[2][1] == -2


def test_compressed_files_are_checked_against_the_published_sums(tmp_path, images):
    write_part(tmp_path, "MNIST", "train", images, np.arange(5, dtype=np.uint8), ".gz")
    with pytest.warns(UserWarning, match="not the published file of MNIST"):
        assert len(MNIST(tmp_path)) == 5


def test_missing_files_say_what_to_fetch_and_where_to_put_it(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        KMNIST(tmp_path, download=True)
    assert isinstance(caught.value, DataError)
    message = str(caught.value)
    assert "http://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-labels-idx1-ubyte.gz" in message
    assert "7320c461ea6c1c855c0b718fb2a4b134" in message
    assert str(tmp_path / "KMNIST" / "raw") in message


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            np.zeros((3, 28, 28), np.uint8),
            np.zeros(2, np.uint8),
            "holds 3 images, but .* 2 labels",
        ),
        (np.zeros((3, 28), np.uint8), np.zeros(3, np.uint8), "2 dimensions, expected 3"),
        (np.zeros((3, 28, 28), np.int32), np.zeros(3, np.uint8), "int32, expected bytes"),
        (np.zeros((3, 28, 28), np.uint8), np.full(3, 10, np.uint8), "labels outside 0 to 9"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, images, labels, message):
    write_part(tmp_path, "MNIST", "train", images, labels)
    with warnings.catch_warnings(), pytest.raises(DataError, match=message):
        MNIST(tmp_path)


def test_a_cut_file_is_named(tmp_path, images):
    write_part(tmp_path, "MNIST", "train", images, np.arange(5, dtype=np.uint8))
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=re.escape(str(path)) + ": cut short"):
        MNIST(tmp_path)
