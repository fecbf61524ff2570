"""Transforms beside torchvision's: the same seeds give the same draws and pictures, byte for byte on
PIL images and within 1/255 on tensors."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision_oracle import oracle

import flambeau
import flambeau.vision.transforms as ours

theirs = oracle().transforms
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

_numbers = np.random.default_rng(0)
PICTURE = Image.fromarray(_numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((81, 68), 3)
PLANES = np.ascontiguousarray(np.asarray(PICTURE).transpose(2, 0, 1))
INPUTS: dict[str, Any] = {
    "PIL": PICTURE,
    "PIL grey": PICTURE.convert("L"),
    "bytes": PLANES,
    "floats": PLANES / np.float32(255),
    "batch of bytes": np.stack([PLANES, PLANES[:, ::-1], 255 - PLANES]),
    "batch of floats": np.stack([PLANES, PLANES[:, ::-1]]) / np.float32(255),
}


def bilinear(M: Any) -> Any:
    return M.InterpolationMode.BILINEAR


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "Resize": lambda M: M.Resize(40, max_size=45),
    "Resize nearest": lambda M: M.Resize((50, 90), M.InterpolationMode.NEAREST),
    "Resize bicubic": lambda M: M.Resize((30, 99), M.InterpolationMode.BICUBIC),
    "CenterCrop": lambda M: M.CenterCrop((50, 101)),
    "Pad": lambda M: M.Pad((3, 7), fill=40),
    "Pad edge": lambda M: M.Pad(9, padding_mode="edge"),
    "Pad reflect": lambda M: M.Pad((1, 2, 3, 4), padding_mode="reflect"),
    "Pad symmetric": lambda M: M.Pad((5, 6), padding_mode="symmetric"),
    "FiveCrop": lambda M: M.FiveCrop((20, 30)),
    "TenCrop": lambda M: M.TenCrop(25, vertical_flip=True),
    "RandomCrop": lambda M: M.RandomCrop(60, padding=4, padding_mode="reflect"),
    "RandomCrop if needed": lambda M: M.RandomCrop((90, 70), pad_if_needed=True, fill=3),
    "RandomResizedCrop": lambda M: M.RandomResizedCrop(32),
    "RandomResizedCrop wide": lambda M: M.RandomResizedCrop((20, 30), scale=(0.9, 1), ratio=(3, 4)),
    "RandomHorizontalFlip": lambda M: M.RandomHorizontalFlip(),
    "RandomVerticalFlip": lambda M: M.RandomVerticalFlip(0.3),
    "RandomRotation": lambda M: M.RandomRotation(40, bilinear(M), expand=True, fill=7),
    "RandomRotation center": lambda M: M.RandomRotation((10, 50), center=(4, 5)),
    "RandomAffine": lambda M: M.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10, fill=9),
    "RandomAffine two": lambda M: M.RandomAffine(0, shear=(3, 12), interpolation=bilinear(M)),
    "RandomAffine four": lambda M: M.RandomAffine(5, shear=(-4, 5, -6, 7), center=(9, 20)),
    "RandomPerspective": lambda M: M.RandomPerspective(p=0.9, fill=4),
    "ColorJitter": lambda M: M.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "ColorJitter wild": lambda M: M.ColorJitter((0.1, 3), (0, 2), 1.0, 0.5),
    "Grayscale": lambda M: M.Grayscale(3),
    "RandomGrayscale": lambda M: M.RandomGrayscale(0.5),
    "GaussianBlur": lambda M: M.GaussianBlur((3, 5)),
    "GaussianBlur wide": lambda M: M.GaussianBlur((23, 9), (0.5, 3.0)),
    "RandomInvert": lambda M: M.RandomInvert(),
    "RandomPosterize": lambda M: M.RandomPosterize(3),
    "RandomSolarize": lambda M: M.RandomSolarize(0.4),
    "RandomAdjustSharpness": lambda M: M.RandomAdjustSharpness(2.0),
    "RandomAutocontrast": lambda M: M.RandomAutocontrast(),
    "RandomEqualize": lambda M: M.RandomEqualize(),
    "RandomErasing": lambda M: M.RandomErasing(0.8),
    "RandomErasing colour": lambda M: M.RandomErasing(0.8, value=(0.1, 0.2, 0.3)),
    "RandomErasing random": lambda M: M.RandomErasing(0.8, value="random"),
    "RandomApply": lambda M: M.RandomApply([M.RandomVerticalFlip(), M.ColorJitter(0.3)], 0.6),
    "RandomChoice": lambda M: M.RandomChoice([M.RandomRotation(20), M.RandomCrop(20)], p=[0.3, 0.7]),
    "RandomOrder": lambda M: M.RandomOrder([M.RandomRotation(20), M.RandomCrop(40), M.Pad(2)]),
    "AutoAugment": lambda M: M.AutoAugment(),
    "AutoAugment CIFAR10": lambda M: M.AutoAugment(M.AutoAugmentPolicy.CIFAR10),
    "AutoAugment SVHN": lambda M: M.AutoAugment(M.AutoAugmentPolicy.SVHN, fill=[100.0] * 3),
    "RandAugment": lambda M: M.RandAugment(),
    "TrivialAugmentWide": lambda M: M.TrivialAugmentWide(),
}


def outcome(lib: Any, M: Any, make: Callable[[Any], Any], given: Any, seed: int) -> list[Any]:
    """The pictures as arrays, and the state of the generator after them; or the error."""
    lib.manual_seed(seed)
    random.seed(seed)
    image = given if isinstance(given, Image.Image) else lib.from_numpy(given.copy())
    try:
        result = make(M)(image)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        return [type(error), str(error).replace("flambeau", "torch").replace("torch.", "")]
    images = result if isinstance(result, tuple) else (result,)
    arrays = [np.asarray(i) if isinstance(i, Image.Image) else i.numpy() for i in images]
    return [*arrays, lib.get_rng_state().numpy()]


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_same_seed_same_picture(name: str, kind: str) -> None:
    given = INPUTS[kind]
    for seed in range(6):
        expected = outcome(torch, theirs, TRANSFORMS[name], given, seed)
        found = outcome(flambeau, ours, TRANSFORMS[name], given, seed)
        if isinstance(expected[0], type):
            assert found == expected
            continue
        assert len(found) == len(expected)
        np.testing.assert_array_equal(found[-1], expected[-1], err_msg="generator")
        for one, other in zip(found[:-1], expected[:-1], strict=True):
            assert one.dtype == other.dtype
            if isinstance(given, Image.Image):
                np.testing.assert_array_equal(one, other)
            else:
                step = 1 if one.dtype == np.uint8 else 1 / 255
                np.testing.assert_allclose(
                    one.astype(float), other.astype(float), rtol=0, atol=step
                )


@pytest.mark.parametrize("name", TRANSFORMS)
def test_repr(name: str) -> None:
    assert repr(TRANSFORMS[name](ours)) == repr(TRANSFORMS[name](theirs))


@pytest.mark.parametrize("kind", ["PIL", "bytes", "batch of bytes"])
@pytest.mark.parametrize("name", ["AugMix", "ElasticTransform"])
def test_mixtures_within_a_level(name: str, kind: str) -> None:
    # Sums of many products, cut to bytes: the order of the additions shows in a few pixels.
    for seed in range(6):
        pairs = [
            outcome(lib, M, lambda M: getattr(M, name)(), INPUTS[kind], seed)
            for lib, M in ((flambeau, ours), (torch, theirs))
        ]
        np.testing.assert_array_equal(pairs[0][1], pairs[1][1], err_msg="generator")
        apart = abs(pairs[0][0].astype(int) - pairs[1][0])
        assert apart.max() <= (1 if kind == "PIL" else 3)
        assert (apart > 0).mean() < 5e-3


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixed_batches(name: str, alpha: float) -> None:
    import torchvision.transforms.v2 as their_v2

    import flambeau.vision.transforms.v2 as our_v2

    labels = np.array([0, 2, 1])
    for seed in range(5):
        results = []
        for lib, M in ((flambeau, our_v2), (torch, their_v2)):
            lib.manual_seed(seed)
            batch = lib.from_numpy(INPUTS["batch of floats"][[0, 1, 0]]), lib.from_numpy(labels)
            mixed = getattr(M, name)(alpha=alpha, num_classes=3)(*batch)
            results.append([x.numpy() for x in (*mixed, lib.get_rng_state())])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "I", "F", "CMYK", "LA"])
def test_types(mode: str) -> None:
    image = PICTURE.convert(mode)
    for name in ("to_tensor", "pil_to_tensor", "get_dimensions", "get_image_size"):
        expected, found = (getattr(M.functional, name)(image) for M in (theirs, ours))
        if name.startswith("get"):
            assert found == expected
        else:
            np.testing.assert_array_equal(found.numpy(), expected.numpy(), strict=True)
