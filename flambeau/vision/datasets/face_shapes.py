"""The shape of a drawn face: a solid for the head, curves on it for the features, and where its points are.

A head is a smooth solid of three half axes whose lower half narrows to a jaw. Its features are curves on the front of
that solid, given in *head coordinates*: x to the right of the picture, y down, z towards the viewer, the unit about
half the width of the face. A pose turns them, a weak perspective maps them onto the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """The solid of a head, its pose, and the place of its middle in the picture.

    `width` and `depth` are half axes, `height` reaches up to the crown and `drop` down to the
    chin; `jaw` is the exponent of the lower half's outline, 2 for an ellipse, more for a square
    chin. `turn` rotates head coordinates to camera coordinates. `scale` is in pixels for a
    unit, `center` in pixels.
    """

    width: float
    height: float
    drop: float
    depth: float
    jaw: float
    turn: np.ndarray
    scale: float
    center: np.ndarray
    perspective: float

    def cross_section(self, y: np.ndarray) -> np.ndarray:
        """The size of the horizontal cut at y, as a share of the largest one."""
        power = np.where(y > 0, self.jaw, 2.0)
        reach = np.where(y > 0, 1 / self.drop, -1 / self.height)
        return (1 - np.minimum(y * reach, 1) ** power) ** (1 / power)

    def on_surface(self, xy: np.ndarray, lift: float | np.ndarray = 0.0) -> np.ndarray:
        """Points (n, 3) on the front of the head at x, y, raised by `lift` towards the
        viewer."""
        x, y = xy[:, 0], xy[:, 1]
        inside = self.cross_section(y) ** 2 - (x / self.width) ** 2
        z = self.depth * np.sqrt(np.maximum(inside, 0)) + lift
        return np.stack([x, y, z], axis=1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points (n, 3) of head coordinates lie in the picture, in pixels."""
        camera = points @ self.turn.T
        nearer = self.scale * (1 + self.perspective * camera[:, 2:])
        return self.center + camera[:, :2] * nearer

    def place(self, xy: np.ndarray, lift: float | np.ndarray = 0.0) -> np.ndarray:
        """Pixels (n, 2) of points at x, y on the front of the head."""
        return self.project(self.on_surface(xy, lift))

    def shell(self, size: float, heights: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Points (rows, columns, 3) around the head, enlarged by `size`.

        They are at `angles` (columns) from the front, and at y = `heights` (rows, or rows and
        columns) before the head is enlarged.
        """
        if heights.ndim == 1:
            heights = heights[:, None]
        radius = self.cross_section(heights) * size
        points = np.empty((len(heights), len(angles), 3))
        points[..., 0] = radius * (self.width * np.sin(angles))
        points[..., 1] = heights * size
        points[..., 2] = radius * (self.depth * np.cos(angles))
        return points


@dataclass(frozen=True)
class Features:
    """The parts of a face in head coordinates: curves (n, 2) that are painted and hold the
    points."""

    brows: tuple[np.ndarray, np.ndarray]
    brow_weight: float
    #: Upper and lower edge of each eye's opening, from the outer to the inner corner.
    upper_lids: tuple[np.ndarray, np.ndarray]
    lower_lids: tuple[np.ndarray, np.ndarray]
    iris_size: float
    gaze: np.ndarray
    nose_tip: np.ndarray
    nose_base: np.ndarray
    wings: np.ndarray
    nose_length: float
    #: Edges of the lips from the left to the right corner, from top to bottom.
    lips: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    chin: np.ndarray


def random_head(rng: np.random.Generator, features: Features, width: int, height: int) -> Head:
    yaw = np.clip(rng.normal(0, 14), -34, 34)
    pitch = np.clip(rng.normal(0, 8), -20, 20)
    roll = np.clip(rng.normal(0, 8), -25, 25)
    scale = min(width, height) * rng.uniform(0.23, 0.31)
    middle = np.array([width / 2, height / 2]) + np.array([0.0, 0.08 * scale])
    wobble = np.array([0.10 * width, 0.07 * height])
    return Head(
        width=rng.uniform(0.94, 1.06),
        height=rng.uniform(1.22, 1.4),
        drop=1.05 * float(features.chin[0, 1]),
        depth=rng.uniform(1.0, 1.2),
        jaw=rng.uniform(1.8, 2.7),
        turn=_rotation(np.deg2rad(yaw), np.deg2rad(pitch), np.deg2rad(roll)),
        scale=scale,
        center=middle + wobble * rng.uniform(-1, 1, 2),
        perspective=rng.uniform(0.02, 0.1),
    )


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turn about the vertical axis, then nod, then tilt in the picture's plane."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


#: How far along a curve its drawn points lie; the middle one is at 0.5.
ALONG = np.linspace(0, 1, 11)
ARCH = np.sin(np.pi * ALONG)


def curve(start: np.ndarray, end: np.ndarray, bulge: float, lean: float = 0.0) -> np.ndarray:
    """A smooth arc (11, 2) from start to end, raised by `bulge` (down where negative) midway.

    `lean` moves the highest place towards the start (below 0) or the end.
    """
    straight = start + (end - start) * ALONG[:, None]
    arch = np.sin(np.pi * ALONG ** np.exp(-lean))
    return straight - np.stack([np.zeros(11), bulge * arch], axis=1)


def mirrored(curve: np.ndarray) -> np.ndarray:
    return curve * (-1, 1)


def random_features(rng: np.random.Generator) -> Features:
    # Eyes, about half way down the head.
    eye_x, eye_y = rng.uniform(0.37, 0.44), rng.uniform(-0.06, 0.06)
    half, slant = rng.uniform(0.15, 0.19), rng.normal(0, 0.02)
    outer = np.array([eye_x + half, eye_y - slant])
    inner = np.array([eye_x - half, eye_y + slant])
    opening = rng.uniform(0.08, 0.14) if rng.random() < 0.88 else rng.uniform(0.01, 0.07)
    lean = rng.uniform(-0.2, 0.2)
    squint = opening * rng.uniform(0.3, 0.55)
    uppers, lowers = [], []
    for side in (-1, 1):
        wink = rng.uniform(0.9, 1.1)
        ends = outer * (side, 1), inner * (side, 1)
        uppers.append(curve(*ends, opening * wink, lean))
        lowers.append(curve(*ends, -squint * wink, -lean))

    # Brows, moved together by the expression and a little apart from each other.
    brow_gap = rng.uniform(0.22, 0.32)
    lift, frown = rng.normal(0, 0.03), rng.normal(0, 0.03)
    arch = rng.uniform(0.02, 0.09)
    brows = []
    for side in (-1, 1):
        own = rng.normal(0, 0.012)
        start = np.array([eye_x + half + 0.10, eye_y - brow_gap + 0.04 - lift + own])
        end = np.array([eye_x - half - 0.03, eye_y - brow_gap + frown - lift + own])
        brows.append(curve(start, end, arch, -0.25) * (side, 1))

    nose_y = rng.uniform(0.40, 0.50)
    nose_width = rng.uniform(0.15, 0.22)
    nose_length = rng.uniform(0.24, 0.36)
    wing_y = nose_y - 0.02
    nose_tip = np.array([[0.0, nose_y - rng.uniform(0.06, 0.11)]])

    mouth_y = nose_y + rng.uniform(0.26, 0.33)
    half_mouth = rng.uniform(0.25, 0.36)
    smile = rng.normal(0.01, 0.03)
    gape = 0.0 if rng.random() < 0.55 else rng.uniform(0.02, 0.2)
    upper, lower = rng.uniform(0.04, 0.09), rng.uniform(0.06, 0.12)
    skew = rng.normal(0, 0.015)
    left = np.array([-half_mouth + skew, mouth_y - smile])
    right = np.array([half_mouth + skew, mouth_y - smile])
    # The middle of a curve lies its bulge above the corners.
    # The dip in the middle of the upper lip.
    bow = np.stack([np.zeros(11), 0.02 * np.cos(6 * np.pi * (ALONG - 0.5)) * ARCH], axis=1)
    lips = (
        curve(left, right, upper + 0.25 * gape - smile) + bow,
        curve(left, right, 0.25 * gape - smile),
        curve(left, right, -0.75 * gape - smile),
        curve(left, right, -0.75 * gape - lower - smile),
    )
    chin_y = mouth_y + lower + 0.75 * gape + rng.uniform(0.24, 0.4)
    return Features(
        brows=(brows[0], brows[1]),
        brow_weight=rng.uniform(0.025, 0.065),
        upper_lids=(uppers[0], uppers[1]),
        lower_lids=(lowers[0], lowers[1]),
        iris_size=rng.uniform(0.075, 0.095),
        gaze=rng.uniform(-1, 1, 2) * (0.06, 0.02),
        nose_tip=nose_tip,
        nose_base=np.array([[0.0, nose_y + 0.05]]),
        wings=np.array([[-nose_width, wing_y], [nose_width, wing_y]]),
        nose_length=nose_length,
        lips=lips,
        chin=np.array([[0.0, chin_y]]),
    )


#: How far features stand out from the solid of the head.
BROW_LIFT, LIP_LIFT, CHIN_LIFT = 0.04, 0.05, 0.04
TIP_LIFT, BASE_LIFT, WING_LIFT = 0.3, 0.14, 0.1


def key_points(head: Head, features: Features) -> np.ndarray:
    """The 21 points (21, 2) in pixels, in the order of `faces.POINT_NAMES`."""
    left_brow, right_brow = features.brows
    (left_eye, right_eye), lips = features.upper_lids, features.lips
    groups = [
        (left_brow[[0, 5, 10]], BROW_LIFT),
        (right_brow[[10, 5, 0]], BROW_LIFT),
        (left_eye[[0, 10]], 0.0),
        (right_eye[[10, 0]], 0.0),
        (features.nose_tip, TIP_LIFT),
        (features.wings[:1], WING_LIFT),
        (features.nose_base, BASE_LIFT),
        (features.wings[1:], WING_LIFT),
        (np.stack([lips[0][0], lips[0][5], lips[0][10]]), LIP_LIFT),
        (np.stack([lips[3][5], lips[1][5], lips[2][5]]), LIP_LIFT),
        (features.chin, CHIN_LIFT),
    ]
    xy = np.concatenate([points for points, _ in groups])
    lifts = np.concatenate([np.full(len(points), lift) for points, lift in groups])
    return head.place(xy, lifts)


def random_box(
    rng: np.random.Generator, points: np.ndarray, width: int, height: int
) -> tuple[float, float, float, float]:
    """A box as a face detector gives one: about the points, never quite exact, within the
    image."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = (high - low).max() * rng.uniform(1.0, 1.12)
    middle = (low + high) / 2 + side * rng.uniform(-0.04, 0.04, 2)
    x1, y1 = np.clip(middle - side / 2, 0, (width, height)).round(1)
    x2, y2 = np.clip(middle + side / 2, 0, (width, height)).round(1)
    return float(x1), float(y1), float(x2), float(y2)
