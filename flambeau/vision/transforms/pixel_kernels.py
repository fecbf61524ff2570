"""The colours of PIL images changed in native code, byte for byte as Pillow changes them.

Pillow turns hues by way of an HSV image, a pixel at a time, and makes a new image at every step.
Here the same arithmetic, with the same roundings, runs on vectors of pixels, in place. Pixels are
32-bit numbers: red, green, blue and an unused byte, which is how Pillow keeps them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

#: From so many pixels loading the kernels pays; up to so many the sum of their greys has 32 bits.
_FEWEST, _MOST = 1 << 12, 1 << 24
_LANES = 8

#: A change's name, "brightness", "contrast", "saturation" or "hue", and its factor; that of the
#: hue is the shift in 256ths of the circle.
Change = tuple[str, float]


def fits(img: Image.Image) -> bool:
    """Whether the kernels are made for this image."""
    return img.mode == "RGB" and _FEWEST <= img.width * img.height < _MOST


def change(img: Image.Image, changes: Iterable[Change]) -> Image.Image:
    """The image after these changes, one after the other."""
    pixels = np.frombuffer(bytearray(img.tobytes("raw", "RGBX")), np.uint32)
    for name, factor in changes:
        if name == "hue":
            _run("hue", pixels, np.array([int(factor) & 255], np.uint32))
        elif name == "saturation":
            _run("saturation", pixels, np.array([factor], np.float32))
        else:
            # Away from black, or from the mean grey.
            level = 0 if name == "brightness" else _mean_grey(pixels)
            _run("contrast", pixels, np.array([factor, level], np.float32))
    return Image.frombytes("RGB", img.size, pixels.data, "raw", "RGBX")


def planes(img: Image.Image, mean: Any = 0.0, std: Any = 1.0) -> np.ndarray:
    """(color / 255 - mean) / std in float32, (3, H, W), with one mean and deviation, or three."""
    pixels = np.frombuffer(img.tobytes("raw", "RGBX"), np.uint32)
    parameters = np.empty((2, 3), np.float32)
    parameters[0], parameters[1] = mean, std
    result = np.empty((3, img.height, img.width), np.float32)
    count = len(pixels)
    _kernels()["planes"](
        pixels.ctypes.data, result.ctypes.data, parameters.ctypes.data,
        count // _LANES * _LANES, count,
    )  # fmt: skip
    return result


def _mean_grey(pixels: np.ndarray) -> int:
    total = np.zeros(1, np.uint32)
    _run("sum_of_greys", pixels, total)
    return int(int(total[0]) / len(pixels) + 0.5)


def _run(name: str, pixels: np.ndarray, parameters: np.ndarray) -> None:
    count = len(pixels)
    _kernels()[name](
        pixels.ctypes.data, parameters.ctypes.data, count // _LANES * _LANES, count
    )


@functools.cache
def _kernels() -> dict[str, Any]:
    """The compiled functions, which take the addresses of pixels and parameters, how many pixels
    whole vectors hold, and how many there are."""
    from flambeau.kernels import jit
    from flambeau.kernels.element import F32, U32
    from flambeau.kernels.language import Module

    module = Module()
    _emit(module, "contrast", F32, _contrast)
    _emit(module, "saturation", F32, _saturation)
    _emit(module, "hue", U32, _hue)
    _emit_sum(module)
    _emit_planes(module)
    code = jit.load(module)
    arguments = {"contrast": 4, "saturation": 4, "hue": 4, "sum_of_greys": 4, "planes": 5}
    return {name: code.function(name, count) for name, count in arguments.items()}


def _emit(module: Any, name: str, kind: Any, formula: Callable[..., Any]) -> None:
    """A function that replaces each pixel by the formula's red, green and blue."""
    from flambeau.kernels.element import U32
    from flambeau.kernels.language import Buffer

    buffers = [Buffer("pixels", U32), Buffer("parameters", kind)]
    f = module.function(name, buffers, ["whole", "count"])
    pixels, parameters = f.buffers
    whole, count = f.indices
    for start, end, lanes in ((0, whole, _LANES), (whole, count, 1)):
        with f.range(start, end, step=lanes) as i:
            colors = _colors((pixels + i).load(lanes))
            red, green, blue = formula(f, *colors, parameters, lanes)
            (red | (green << 8) | (blue << 16)).store(pixels + i)


def _emit_sum(module: Any) -> None:
    """A function that writes the sum of all pixels' greys."""
    from flambeau.kernels.element import U32
    from flambeau.kernels.language import Buffer

    f = module.function(
        "sum_of_greys", [Buffer("pixels", U32), Buffer("total", U32)], ["whole", "count"]
    )
    pixels, total = f.buffers
    whole, count = f.indices
    sums = f.zero(U32, _LANES)
    for start, end, lanes in ((0, whole, _LANES), (whole, count, 1)):
        with f.loop(start, end, lanes, [sums]) as loop:
            grey = _grey(*_colors((pixels + loop.index).load(lanes)))
            loop.next([loop.values[0] + grey])
        sums = loop.results[0] if lanes == 1 else f.fold(loop.results[0], lambda a, b: a + b)
    sums.store(total)


def _emit_planes(module: Any) -> None:
    """A function that writes each colour, scaled and standardized, into a plane of its own."""
    from flambeau.kernels.element import F32, U32
    from flambeau.kernels.language import Buffer

    buffers = [Buffer("pixels", U32), Buffer("result", F32), Buffer("parameters", F32)]
    f = module.function("planes", buffers, ["whole", "count"])
    pixels, result, parameters = f.buffers
    whole, count = f.indices
    for start, end, lanes in ((0, whole, _LANES), (whole, count, 1)):
        with f.range(start, end, step=lanes) as i:
            for c, color in enumerate(_colors((pixels + i).load(lanes))):
                mean = (parameters + c).broadcast(lanes)
                std = (parameters + (c + 3)).broadcast(lanes)
                shown = (_real(f, color, F32) / 255.0 - mean) / std
                shown.store(result + count * c + i)


def _colors(pixel: Any) -> list[Any]:
    return [(pixel >> shift) & 255 for shift in (0, 8, 16)]


def _real(f: Any, number: Any, kind: Any) -> Any:
    """A small whole number as floating point; from signed ones processors convert at once."""
    from flambeau.kernels.element import I32

    return f.convert(f.convert(number, I32), kind)


def _whole(f: Any, number: Any) -> Any:
    """A small floating-point number without its fraction."""
    from flambeau.kernels.element import I32, U32

    return f.convert(f.convert(number, I32), U32)


def _grey(red: Any, green: Any, blue: Any) -> Any:
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


def _blend(f: Any, start: Any, color: Any, factor: Any) -> Any:
    """start + factor (color - start), cut to a byte; `start` and `color` in float32."""
    mixed = start + factor * (color - start)
    return _whole(f, f.minimum(f.maximum(mixed, 0.0), 255.0))


def _contrast(f: Any, red: Any, green: Any, blue: Any, parameters: Any, lanes: int) -> list[Any]:
    from flambeau.kernels.element import F32

    factor, level = parameters.broadcast(lanes), (parameters + 1).broadcast(lanes)
    return [_blend(f, level, _real(f, color, F32), factor) for color in (red, green, blue)]


def _saturation(f: Any, red: Any, green: Any, blue: Any, parameters: Any, lanes: int) -> list[Any]:
    from flambeau.kernels.element import F32

    grey, factor = _real(f, _grey(red, green, blue), F32), parameters.broadcast(lanes)
    return [_blend(f, grey, _real(f, color, F32), factor) for color in (red, green, blue)]


def _hue(f: Any, red: Any, green: Any, blue: Any, parameters: Any, lanes: int) -> list[Any]:
    from flambeau.kernels.element import F32, F64, I32, U32

    # To hue and saturation in bytes. Divisions are in float32, what follows in float64.
    value = f.maximum(f.maximum(red, green), blue)
    spread = value - f.minimum(f.minimum(red, green), blue)
    divisor = _real(f, f.maximum(spread, 1), F32)
    from_red, from_green, from_blue = (
        _real(f, value - color, F32) / divisor for color in (red, green, blue)
    )
    wide = [f.convert(share, F64) for share in (from_red, from_green, from_blue)]
    at_red = from_blue - from_green
    at_green = f.convert(2.0 + wide[0] - wide[2], F32)
    at_blue = f.convert(4.0 + wide[1] - wide[0], F32)
    sixths = f.select(value.eq(red), at_red, f.select(value.eq(green), at_green, at_blue))
    turns = f.convert(sixths, F64) * (1 / 6) + 1.0
    turns = f.convert(f.select(turns >= 1.0, turns - 1.0, turns), F32)
    hue = f.convert(f.convert(turns, F64) * 255.0, I32)
    part = _real(f, spread, F32) / _real(f, f.maximum(value, 1), F32)
    saturation = f.convert(f.convert(part, F64) * 255.0, I32)

    # And back, with the hue turned.
    hue = (f.convert(hue, U32) + parameters.broadcast(lanes)) & 255
    place = _real(f, hue, F64) * (6 / 255)
    sector = f.convert(place, I32)
    rest = f.convert(place - f.convert(sector, F64), F32)
    depth = f.convert(f.convert(saturation, F64) * (1 / 255), F32)
    bright = _real(f, value, F64)

    def level(loss: Any) -> Any:
        return _whole(f, bright * (1.0 - loss) + 0.5)

    low = level(f.convert(depth, F64))
    falling = level(f.convert(depth * rest, F64))
    rising = level(f.convert(depth, F64) * (1.0 - f.convert(rest, F64)))
    sectors = {
        0: (value, rising, low), 1: (falling, value, low), 2: (low, value, rising),
        3: (low, falling, value), 4: (rising, low, value), 5: (value, low, falling),
    }  # fmt: skip
    colors = list(sectors[0])  # the sixth sector is the first again
    for number in range(1, 6):
        here = sector.eq(number)
        colors = [f.select(here, new, old) for new, old in zip(sectors[number], colors, strict=True)]
    grey = spread.eq(0)
    return [f.select(grey, value, color) for color in colors]
