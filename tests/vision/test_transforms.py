"""Transforms against Pillow's own operations and independent formulas."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import flambeau
from flambeau.vision import transforms as T
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms import v2

NUMBERS = np.random.default_rng(0)
PIXELS = NUMBERS.integers(0, 256, (70, 90, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
PLANES = flambeau.from_numpy(np.ascontiguousarray(PIXELS.transpose(2, 0, 1)))


def array(img: object) -> np.ndarray:
    return np.asarray(img) if isinstance(img, Image.Image) else img.numpy()  # type: ignore[attr-defined]


# Colours of PIL images in native code -------------------------------------------------------------

ENHANCERS = {
    "adjust_brightness": ImageEnhance.Brightness,
    "adjust_contrast": ImageEnhance.Contrast,
    "adjust_saturation": ImageEnhance.Color,
}


@pytest.mark.parametrize("size", [(90, 70), (64, 64), (65, 67), (7, 5)])
@pytest.mark.parametrize("factor", [0.0, 0.3, 0.777, 1.0, 1.4, 2.31])
@pytest.mark.parametrize("name", ENHANCERS)
def test_colour_changes_are_pillows(name: str, factor: float, size: tuple[int, int]) -> None:
    for image in (PICTURE.resize(size, 0), PICTURE.convert("L").resize(size, 0)):
        expected = ENHANCERS[name](image).enhance(factor)
        np.testing.assert_array_equal(array(getattr(F, name)(image, factor)), array(expected))


@pytest.mark.parametrize("factor", [-0.5, -0.21, 0.0, 0.1, 0.37, 0.5])
def test_hues_are_pillows(factor: float) -> None:
    # Greys, edges of the circle's sixths, and many others.
    levels = np.array([0, 1, 2, 84, 85, 86, 127, 128, 169, 170, 171, 254, 255], np.uint8)
    edges = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    pixels = np.concatenate([edges, NUMBERS.integers(0, 256, (5995, 3), dtype=np.uint8)])
    image = Image.fromarray(pixels.reshape(64, -1, 3))
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.array(int(factor * 255)).astype(np.uint8)
    expected = Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
    np.testing.assert_array_equal(array(F.adjust_hue(image, factor)), array(expected))


def test_jitter_is_its_steps_one_after_the_other() -> None:
    jitter = T.ColorJitter(0.4, (0.5, 1.5), 0.6, 0.2)
    flambeau.manual_seed(5)
    order, *factors = jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    names = ["brightness", "contrast", "saturation", "hue"]
    for image in (PICTURE, PLANES):
        expected = image
        for number in order.tolist():
            expected = getattr(F, f"adjust_{names[number]}")(expected, factors[number])
        flambeau.manual_seed(5)
        np.testing.assert_array_equal(array(jitter(image)), array(expected))


# Tensors ------------------------------------------------------------------------------------------


def test_hue_of_tensors_is_the_colour_circles() -> None:
    colors = NUMBERS.random((40, 3)).astype(np.float32)
    turned = F.adjust_hue(flambeau.from_numpy(np.ascontiguousarray(colors.T[:, None])), 0.3)
    for color, result in zip(colors, turned.numpy()[:, 0].T, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, color))
        np.testing.assert_allclose(
            result, colorsys.hsv_to_rgb((hue + 0.3) % 1, saturation, value), atol=1e-5
        )


SAME_ON_BOTH = {
    "hflip": F.hflip,
    "vflip": F.vflip,
    "crop": lambda x: F.crop(x, -3, 5, 80, 60),
    "center_crop": lambda x: F.center_crop(x, [40, 100]),
    "pad": lambda x: F.pad(x, [1, 2, 3, 4], fill=9),
    "pad edge": lambda x: F.pad(x, 4, padding_mode="edge"),
    "pad reflect": lambda x: F.pad(x, (4, 6), padding_mode="reflect"),
    "pad symmetric": lambda x: F.pad(x, (4, 6), padding_mode="symmetric"),
    "invert": F.invert,
    "posterize": lambda x: F.posterize(x, 3),
    "solarize": lambda x: F.solarize(x, 120),
    "equalize": F.equalize,
    "rotate": lambda x: F.rotate(x, 90, expand=True),
    "affine": lambda x: F.affine(x, 0, [7, -4], 1.0, 0.0, fill=[5]),
    "resize": lambda x: F.resize(x, [35, 45], T.InterpolationMode.NEAREST_EXACT),
}


@pytest.mark.parametrize("name", SAME_ON_BOTH)
def test_tensors_as_pil_images(name: str) -> None:
    change = SAME_ON_BOTH[name]
    expected = array(change(PICTURE)).transpose(2, 0, 1)
    np.testing.assert_array_equal(change(PLANES).numpy(), expected)
    batch = flambeau.stack([PLANES, PLANES.flip(-1)])
    np.testing.assert_array_equal(change(batch)[0].numpy(), expected)


CLOSE_ON_BOTH = {
    "resize": (lambda x: F.resize(x, [35, 40]), 1),
    "resize bicubic": (lambda x: F.resize(x, [120, 40], T.InterpolationMode.BICUBIC), 1),
    "rotate": (lambda x: F.rotate(x, 0, T.InterpolationMode.BILINEAR), 1),
    "brightness": (lambda x: F.adjust_brightness(x, 1.3), 1),
    "contrast": (lambda x: F.adjust_contrast(x, 1.3), 1),
    "saturation": (lambda x: F.adjust_saturation(x, 0.4), 1),
    "sharpness": (lambda x: F.adjust_sharpness(x, 1.7), 2),
    "autocontrast": (F.autocontrast, 1),
    "blur": (lambda x: F.gaussian_blur(x, [5, 3], [1.0, 2.0]), 1),
    "gamma": (lambda x: F.adjust_gamma(x, 0.7, 1.1), 1),
}


@pytest.mark.parametrize("name", CLOSE_ON_BOTH)
def test_tensors_near_pil_images(name: str) -> None:
    change, tolerance = CLOSE_ON_BOTH[name]
    expected = array(change(PICTURE)).transpose(2, 0, 1).astype(int)
    assert abs(change(PLANES).numpy().astype(int) - expected).max() <= tolerance
    real = change(PLANES.float() / 255).numpy() * 255
    assert abs(real - expected).max() <= tolerance + 1


def test_gaussian_blur_is_a_weighted_mean() -> None:
    from scipy.ndimage import correlate1d

    image = NUMBERS.random((2, 3, 20, 30))
    result = F.gaussian_blur(flambeau.from_numpy(image), [5, 7], [0.8, 1.4])
    expected = image
    for axis, size, sigma in ((-1, 5, 0.8), (-2, 7, 1.4)):
        weights = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
        expected = correlate1d(expected, weights / weights.sum(), axis, mode="mirror")
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["affine", "perspective", "adjust_hue", "gaussian_blur"])
def test_batches_compile(name: str) -> None:
    batch = flambeau.rand(2, 3, 16, 20)
    corners = [[0, 0], [19, 0], [19, 15], [0, 15]]
    arguments = {
        "affine": (12.0, [1, 2], 1.1, [3.0, 0.0], T.InterpolationMode.BILINEAR, [0.5]),
        "perspective": (corners, [[1, 2], [18, 0], [17, 15], [2, 13]]),
        "adjust_hue": (0.2,),
        "gaussian_blur": (3, 1.0),
    }[name]
    function = getattr(F, name)
    compiled = flambeau.compile(lambda x: function(x, *arguments))
    np.testing.assert_allclose(
        compiled(batch).numpy(), function(batch, *arguments).numpy(), atol=2e-5
    )


def test_gradients_reach_the_image() -> None:
    image = flambeau.rand(1, 1, 6, 7, dtype=flambeau.float64, requires_grad=True)
    bilinear = T.InterpolationMode.BILINEAR
    assert flambeau.autograd.gradcheck(
        lambda x: F.affine(x, 20.0, [1, 0], 0.9, [4.0, 0.0], bilinear), (image,)
    )


# Types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I", "F", "1", "I;16", "LA", "P"])
def test_to_tensor_and_back(mode: str) -> None:
    image = PICTURE.convert("L" if mode == "I;16" else mode).convert(mode)
    tensor = F.to_tensor(image)
    pixels = np.asarray(image)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if mode in ("I", "F", "I;16"):
        np.testing.assert_array_equal(tensor.numpy(), planes)
    else:
        scaled = planes.astype(np.float32) * (1 if mode == "1" else np.float32(1 / 255))
        np.testing.assert_allclose(tensor.numpy(), scaled, rtol=1e-6)
    if mode in ("RGB", "L", "RGBA", "LA"):
        np.testing.assert_array_equal(array(F.to_pil_image(tensor)), pixels)


def test_normalize_after_to_tensor_in_place_or_not() -> None:
    steps = [T.ToTensor(), T.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.1])]
    apart = steps[1](steps[0](PICTURE))
    np.testing.assert_array_equal(T.Compose(steps)(PICTURE).numpy(), apart.numpy())


def test_erasing_and_whitening() -> None:
    flambeau.manual_seed(0)
    image = flambeau.ones(3, 20, 20)
    erased = T.RandomErasing(1.0, value=(0.1, 0.2, 0.3))(image)
    holes = erased.numpy()[:, erased.numpy()[0] < 1]
    np.testing.assert_allclose(holes, np.repeat([[0.1], [0.2], [0.3]], holes.shape[1], 1), rtol=1e-6)
    assert (image == 1).all()
    matrix = NUMBERS.random((12, 12)).astype(np.float32)
    mean = NUMBERS.random(12).astype(np.float32)
    linear = T.LinearTransformation(flambeau.from_numpy(matrix), flambeau.from_numpy(mean))
    small = NUMBERS.random((5, 3, 2, 2)).astype(np.float32)
    expected = ((small.reshape(5, 12) - mean) @ matrix).reshape(small.shape)
    np.testing.assert_allclose(linear(flambeau.from_numpy(small)).numpy(), expected, rtol=1e-5)


# Batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_mixing_keeps_images_and_labels_together(name: str) -> None:
    flambeau.manual_seed(3)
    labels = flambeau.tensor([0, 1, 2, 1])
    # An image of class c is all c, so that its mean tells how much of which class it is.
    images = labels.float()[:, None, None, None].expand(4, 3, 10, 12).clone()
    mix = getattr(v2, name)(num_classes=3)
    for batch in ((images, labels), {"image": images, "label": labels}):
        mixed = mix(batch)
        new_images, new_labels = mixed.values() if isinstance(mixed, dict) else mixed
        assert new_labels.shape == (4, 3)
        np.testing.assert_allclose(new_labels.sum(1).numpy(), 1, rtol=1e-6)
        expected = (new_labels * flambeau.arange(3)).sum(1)
        np.testing.assert_allclose(
            new_images.mean((1, 2, 3)).numpy(), expected.numpy(), atol=1e-5
        )


def test_random_transforms_are_not_frozen_by_compiling() -> None:
    flip = flambeau.compile(T.RandomHorizontalFlip())
    image = flambeau.arange(4.0).reshape(1, 1, 4)
    flambeau.manual_seed(0)
    with pytest.warns(UserWarning):
        seen = {tuple(flip(image).flatten().tolist()) for _ in range(20)}
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.resize(PICTURE, [1, 2, 3]), ValueError, "1 or 2 element"),
        (lambda: F.resize(PICTURE, 4, max_size=3), ValueError, "strictly greater"),
        (lambda: F.resize(PICTURE, 4, interpolation="bilinear"), TypeError, "InterpolationMode"),
        (lambda: F.pad(PICTURE, (1, 2, 3)), ValueError, "1, 2, or 4 element"),
        (lambda: F.hflip(3), TypeError, "PIL Image"),
        (lambda: F.rotate(PLANES, 3.0, fill=[1, 2]), ValueError, "number of elements in 'fill'"),
        (lambda: F.posterize(PLANES.float(), 3), TypeError, "uint8"),
        (lambda: T.RandomCrop(100)(PICTURE), ValueError, "larger than input image size"),
        (lambda: T.ColorJitter(hue=1), ValueError, "hue values"),
        (lambda: T.RandomAffine(1, shear=(1, 2, 3)), ValueError, "2 or 4"),
        (lambda: T.RandomErasing(value="x"), ValueError, "random"),
        (lambda: T.Normalize([1], [0])(PLANES.float()), ValueError, "division by zero"),
        (lambda: T.AutoAugment("x"), ValueError, "policy"),
        (lambda: v2.MixUp()(PLANES[None].float(), flambeau.tensor([1])), ValueError, "num_classes"),
    ],
    ids=range(14),
)
def test_errors(call: object, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        call()  # type: ignore[operator]


def test_the_newer_interface() -> None:
    image = v2.Compose([v2.ToImage(), v2.ToDtype(flambeau.float32, scale=True)])(PICTURE)
    np.testing.assert_array_equal(image.numpy(), F.to_tensor(PICTURE).numpy())
    assert v2.Identity()(1, 2) == (1, 2)
    with pytest.raises(AttributeError, match="RandomIoUCrop"):
        v2.RandomIoUCrop  # noqa: B018
