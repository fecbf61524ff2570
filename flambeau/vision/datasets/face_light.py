"""The light on a drawn face, from a relief of its head with nose, brows, lips and chin raised on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from flambeau.vision.datasets.face_shapes import Features, Head

#: Raised parts of a face: from which feature, offset from it, half widths in x and y, and height.
_RAISED = (
    ("nose_tip", 0.0, 0.0, 0.11, 0.11, 0.16),
    ("nose_tip", 0.0, -0.2, 0.09, 0.2, 0.14),
    ("eyes", 0.0, -0.3, 0.6, 0.1, 0.06),
    ("eyes", -0.4, 0.0, 0.2, 0.14, -0.09),
    ("eyes", 0.4, 0.0, 0.2, 0.14, -0.09),
    ("eyes", -0.4, 0.0, 0.13, 0.09, 0.06),
    ("eyes", 0.4, 0.0, 0.13, 0.09, 0.06),
    ("nose_tip", -0.5, 0.05, 0.2, 0.2, 0.07),
    ("nose_tip", 0.5, 0.05, 0.2, 0.2, 0.07),
    ("mouth", 0.0, -0.05, 0.24, 0.06, 0.06),
    ("mouth", 0.0, 0.09, 0.2, 0.05, 0.06),
    ("mouth", 0.0, 0.19, 0.22, 0.06, -0.05),
    ("chin", 0.0, -0.05, 0.22, 0.14, 0.09),
)
#: Shaded hollows, in the same way; the last number is how dark.
_HOLLOWS = (
    ("eyes", -0.3, -0.08, 0.16, 0.12, 0.6),
    ("eyes", 0.3, -0.08, 0.16, 0.12, 0.6),
    ("nose_tip", 0.0, 0.2, 0.22, 0.07, 0.7),
    ("mouth", 0.0, 0.2, 0.2, 0.06, 0.6),
    ("mouth", 0.0, 0.95, 0.9, 0.3, 0.9),
)


def light_on(
    rng: np.random.Generator, head: Head, features: Features, width: int, height: int
) -> np.ndarray:
    """Factors (height, width, 3) for the painted colours; about 1 where light falls
    straight."""
    rows = np.arange(1, height, 2, dtype=np.float32)
    columns = np.arange(1, width, 2, dtype=np.float32)
    x, y, depth = _relief(head, features, columns, rows)

    slope_y, slope_x = np.gradient(depth, np.float32(2 / head.scale))
    # The outline itself is infinitely steep.
    slope_x, slope_y = np.clip(slope_x, -2.5, 2.5), np.clip(slope_y, -2.5, 2.5)
    steepness = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
    flat = np.sqrt(1 - rise**2)
    toward = np.array(
        [flat * np.cos(azimuth), flat * np.sin(azimuth) * 0.7 - 0.25 * flat, rise]
    )
    toward /= np.linalg.norm(toward)
    facing = (toward[2] - toward[0] * slope_x - toward[1] * slope_y) * steepness
    ambient = rng.uniform(0.42, 0.8)
    light = ambient + (1.15 - ambient) * np.maximum(facing, 0)
    light += rng.uniform(0, 0.25) * np.maximum(facing, 0) ** 12

    # Light that does not get everywhere: eye sockets, under the nose and the lower lip.
    hidden = _bumps(x, y, _HOLLOWS, features)
    light *= 1 - rng.uniform(0.2, 0.6) * hidden
    for axis in (0, 1):  # the coarse grid must not show at the outline
        light += 0.25 * np.diff(
            light, 2, axis, *(np.take(light, [end], axis) for end in (0, -1))
        )
    tint = np.array([1, 1, 1]) + rng.uniform(-0.1, 0.1) * np.array([1, 0.1, -1])
    small = Image.fromarray(light.astype(np.float32))
    full = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    return full[..., None] * tint.astype(np.float32)


def _bumps(
    x: np.ndarray,
    y: np.ndarray,
    table: Sequence[tuple[str, float, float, float, float, float]],
    features: Features,
) -> np.ndarray:
    """The sum of the smooth bumps of a table at x, y in head coordinates."""
    heights = {
        "eyes": float(features.upper_lids[0][0, 1]),
        "nose_tip": float(features.nose_tip[0, 1]),
        "mouth": float(features.lips[1][5, 1]),
        "chin": float(features.chin[0, 1]),
    }
    total = np.zeros_like(x)
    for name, dx, dy, wide, tall, height in table:
        u = (x - np.float32(dx)) * np.float32(1 / wide)
        v = (y - np.float32(heights[name] + dy)) * np.float32(1 / tall)
        total += np.float32(height) * np.exp(-(u * u + v * v))
    return total


def _relief(
    head: Head, features: Features, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Head coordinates x, y of what is seen at each pixel, and its nearness to the viewer.

    A ray through a pixel meets the solid where a quadratic equation in its depth holds, if the
    size of the cut at the meeting point's height is known; three rounds of guessing that height
    suffice.
    """
    u = ((columns - head.center[0]) / head.scale).astype(np.float32)[None, :]
    v = ((rows - head.center[1]) / head.scale).astype(np.float32)[:, None]
    turn = head.turn.astype(np.float32)
    x0, y0, z0 = (turn[0, axis] * u + turn[1, axis] * v for axis in range(3))
    dx, dy, dz = (float(turn[2, axis]) for axis in range(3))
    wide, deep = 1 / head.width**2, 1 / head.depth**2
    a = dx * dx * wide + dz * dz * deep
    b = x0 * (dx * wide) + z0 * (dz * deep)
    c = x0 * x0 * wide + z0 * z0 * deep
    depth = np.float32(0.8 * head.depth)
    for _ in range(3):
        size = head.cross_section(y0 + dy * depth).astype(np.float32)
        depth = (np.sqrt(np.maximum(b * b - a * (c - size * size), 0)) - b) / np.float32(a)
    x, y = x0 + dx * depth, y0 + dy * depth
    return x, y, depth + _bumps(x, y, _RAISED, features)
