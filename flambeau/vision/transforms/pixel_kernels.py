"""Saturation and hue of PIL images in native code, byte for byte what Pillow computes.

Pillow turns hues by way of an HSV image, a pixel at a time. Here the same arithmetic, with the
same roundings, runs on vectors of pixels in one pass. Pixels are 32-bit numbers: red, green, blue
and an unused byte, which is how Pillow keeps them.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

#: Pixels from which on loading the kernels pays.
WORTH_A_KERNEL = 1 << 12
_LANES = 8


def adjust_saturation(img: Image.Image, factor: float) -> Image.Image:
    """An RGB image, each pixel at `factor` times its distance from its grey."""
    return _run("saturation", img, np.array([factor], np.float32))


def turn_hue(img: Image.Image, shift: int) -> Image.Image:
    """An RGB image with its hues, counted from 0 to 255 round the circle, moved by `shift`."""
    return _run("hue", img, np.array([shift & 255], np.uint32))


def _run(name: str, img: Image.Image, parameter: np.ndarray) -> Image.Image:
    pixels = img.tobytes("raw", "RGBX")
    count = len(pixels) // 4
    result = bytearray(len(pixels))
    target = (ctypes.c_char * len(result)).from_buffer(result)
    _kernels()[name](
        ctypes.cast(pixels, ctypes.c_void_p), ctypes.addressof(target), parameter.ctypes.data,
        count // _LANES * _LANES, count,
    )  # fmt: skip
    return Image.frombytes("RGB", img.size, result, "raw", "RGBX")


@functools.cache
def _kernels() -> dict[str, Any]:
    """The compiled functions, which take the addresses of pixels, result and parameter, and how
    many pixels whole vectors hold, and how many there are."""
    from flambeau.kernels import jit
    from flambeau.kernels.element import F32, U32
    from flambeau.kernels.language import Module

    module = Module()
    _emit(module, "saturation", F32, _saturation)
    _emit(module, "hue", U32, _hue)
    code = jit.load(module)
    return {name: code.function(name, 5) for name in ("saturation", "hue")}


def _emit(module: Any, name: str, parameter: Any, formula: Callable[..., Any]) -> None:
    from flambeau.kernels.element import U32
    from flambeau.kernels.language import Buffer

    buffers = [Buffer("pixels", U32), Buffer("result", U32), Buffer("parameter", parameter)]
    f = module.function(name, buffers, ["whole", "count"])
    pixels, result, factor = f.buffers
    whole, count = f.indices
    for start, end, lanes in ((0, whole, _LANES), (whole, count, 1)):
        with f.range(start, end, step=lanes) as i:
            pixel = (pixels + i).load(lanes)
            colors = [(pixel >> shift) & 255 for shift in (0, 8, 16)]
            red, green, blue = formula(f, *colors, factor.broadcast(lanes))
            (red | (green << 8) | (blue << 16)).store(result + i)


def _saturation(f: Any, red: Any, green: Any, blue: Any, factor: Any) -> list[Any]:
    from flambeau.kernels.element import F32, I32, U32

    grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    colors = []
    for color in (red, green, blue):
        distance = f.convert(f.convert(color, I32) - f.convert(grey, I32), F32)
        mixed = f.convert(grey, F32) + factor * distance
        colors.append(f.convert(f.minimum(f.maximum(mixed, 0.0), 255.0), U32))
    return colors


def _hue(f: Any, red: Any, green: Any, blue: Any, shift: Any) -> list[Any]:
    from flambeau.kernels.element import F32, F64, I32, U32

    # To hue and saturation in bytes. Divisions are in float32, what follows in float64.
    value = f.maximum(f.maximum(red, green), blue)
    spread = value - f.minimum(f.minimum(red, green), blue)
    divisor = f.convert(f.maximum(spread, 1), F32)
    from_red, from_green, from_blue = (
        f.convert(value - color, F32) / divisor for color in (red, green, blue)
    )
    wide = [f.convert(share, F64) for share in (from_red, from_green, from_blue)]
    at_red = from_blue - from_green
    at_green = f.convert(2.0 + wide[0] - wide[2], F32)
    at_blue = f.convert(4.0 + wide[1] - wide[0], F32)
    sixths = f.select(value.eq(red), at_red, f.select(value.eq(green), at_green, at_blue))
    turns = f.convert(sixths, F64) / 6.0 + 1.0
    turns = f.convert(f.select(turns >= 1.0, turns - 1.0, turns), F32)
    hue = f.convert(f.convert(turns, F64) * 255.0, I32)
    part = f.convert(spread, F32) / f.convert(f.maximum(value, 1), F32)
    saturation = f.convert(f.convert(part, F64) * 255.0, I32)

    # And back, with the hue turned.
    hue = (f.convert(hue, U32) + shift) & 255
    place = f.convert(hue, F64) * 6.0 / 255.0
    sector = f.convert(place, I32)
    rest = f.convert(place - f.convert(sector, F64), F32)
    depth = f.convert(f.convert(saturation, F64) / 255.0, F32)
    bright = f.convert(value, F64)

    def level(loss: Any) -> Any:
        return f.convert(bright * (1.0 - loss) + 0.5, U32)

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
