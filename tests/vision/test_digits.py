"""The digits that come with the package."""

import numpy as np
import pytest

from flambeau.vision.datasets.digits import (
    IMAGES_FILE,
    LABELS_FILE,
    DigitAugment,
    Digits,
    held_out,
    ink_counts,
)
from flambeau.vision.datasets.idx import read_idx


def test_the_two_parts_share_out_all_images():
    train, test = Digits(train=True), Digits(train=False)
    assert (len(train), len(test)) == (1438, 359)
    assert sorted([*train.indices, *test.indices]) == list(range(1797))


def test_the_split_never_changes():
    mask = held_out(read_idx(LABELS_FILE))
    assert np.flatnonzero(mask)[9:].tolist()[:5] == [29, 55, 63, 67, 71]
    assert np.flatnonzero(mask)[-3:].tolist() == [1786, 1793, 1794]


def test_every_class_is_held_out_to_a_fifth():
    labels = read_idx(LABELS_FILE)
    share = np.bincount(labels[held_out(labels)]) / np.bincount(labels)
    assert share.shape == (10,) and (abs(share - 0.2) < 0.01).all()


def test_samples():
    train = Digits(train=True)
    image, label = train[0]
    assert image.shape == (3, 32, 32) and image.dtype == np.float32
    assert type(label) is int and label == 0
    np.testing.assert_array_equal(image[0], image[2])
    everything = np.stack([image for image, _ in train])
    assert abs(everything.mean()) < 1e-2 and abs(everything.std() - 1) < 1e-2


def test_transforms_get_pil_images():
    train = Digits(transform=lambda image: (image.mode, image.size), target_transform=str)
    assert train[1] == (("RGB", (32, 32)), "1")
    assert Digits(channels=1, size=28, transform=lambda image: (image.mode, image.size))[0][
        0
    ] == (
        "L",
        (28, 28),
    )
    with pytest.raises(ValueError, match="channels must be 1 or 3"):
        Digits(channels=4)


def test_repr():
    assert repr(Digits(train=False)) == (
        "Dataset Digits\n    Number of datapoints: 359\n    Split: Test"
    )


def test_the_original_counts_are_kept():
    """Facts published with the set: 64 counts of 0 to 16 an image."""
    counts = ink_counts(read_idx(IMAGES_FILE))
    assert counts.shape == (1797, 8, 8) and counts.min() == 0 and counts.max() == 16
    assert counts[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert int(counts.sum()) == 561718


def test_augmentation_depends_on_seed_epoch_and_place_alone():
    one, other = Digits(augment=DigitAugment()), Digits(augment=DigitAugment())
    first = one[5][0]
    one.__getitems__([3, 4])
    np.testing.assert_array_equal(other.__getitems__([1, 5])[1][0], first)
    assert not np.array_equal(first, Digits()[5][0])
    one.set_epoch(1)
    assert not np.array_equal(one[5][0], first)
    assert not np.array_equal(Digits(augment=DigitAugment(), seed=1)[5][0], first)


def test_an_augmentation_of_nothing_changes_nothing():
    still = Digits(augment=DigitAugment(rotate=0, scale=0, shift=0))
    np.testing.assert_array_equal(still[7][0], Digits()[7][0])


def test_places_count_from_both_ends():
    np.testing.assert_array_equal(Digits()[-1][0], Digits()[1437][0])
    with pytest.raises(IndexError):
        Digits()[1438]
