"""Faces that nobody has: parametric heads drawn to JPEG files, with their 21 true points.

A head is a smooth solid of three half axes whose lower half narrows to a jaw. Its features are
curves on the front of that solid, given in *head coordinates*: x to the right of the picture, y
down, z towards the viewer, the unit about half the width of the face. A pose turns them, a weak
perspective maps them onto the picture, and polygons of them are painted from back to front,
twice as large as the picture so that the edges become smooth. Light is computed apart, from a
relief of the same solid with nose, brows, lips and chin raised on it, and multiplied onto the
painted colours. The points of a face are the ends and middles of the very curves that are
painted.

`render_faces` writes a data set for `FaceKeypoints`; `render_face` makes one face in memory.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flambeau.vision.datasets.face_files import Face, read_face_list, write_face_list

Color = tuple[int, int, int]

SKIN = (
    (255, 222, 196),
    (243, 200, 165),
    (229, 178, 135),
    (203, 143, 98),
    (150, 95, 62),
    (98, 62, 44),
)
HAIR = (
    *((24, 20, 20), (38, 28, 24), (66, 44, 32), (96, 64, 40), (140, 98, 58), (206, 170, 110)),
    *((120, 56, 30), (150, 148, 146), (224, 222, 218)),
)
IRIS = ((70, 44, 28), (96, 66, 38), (60, 90, 120), (82, 112, 78), (96, 104, 112), (46, 32, 24))
#: Painted pixels for one pixel of the picture, in each direction.
OVERSAMPLING = 2


class Rendered(NamedTuple):
    """A picture, the box of the face (x1, y1, x2, y2) and its points (21, 2), in pixels."""

    image: Image.Image
    box: tuple[float, float, float, float]
    points: np.ndarray


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


def render_face(seed: int, index: int = 0, size: tuple[int, int] = (160, 200)) -> Rendered:
    """Face number `index` of those with this seed; the picture's sides are within `size`.

    The same numbers give the same face; faces of other seeds or indices are independent of it.
    """
    rng = np.random.default_rng([seed, index])
    width, height = (int(side) for side in rng.integers(size[0], size[1] + 1, 2))
    features = _random_features(rng)
    head = _random_head(rng, features, width, height)
    points = _key_points(head, features)
    colors = _Paint(rng, head, features, width, height).paint()
    image = _develop(rng, colors)
    return Rendered(image, _random_box(rng, points, width, height), points)


def render_faces(
    root: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    *,
    size: tuple[int, int] = (160, 200),
    list_name: str = "faces.txt",
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write `count` faces as `root/images/*.jpg` and `root/faces.txt`; returns that list's
    path.

    The faces depend on `seed`, `count`-th by `count`-th, not on the number of `workers`
    (processes). The list is written last, under its name only when complete: where it exists,
    all images do. `progress` is called now and then with the number of faces done.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if seed < 0:
        raise ValueError(f"seed must not be negative: {seed}")
    root = Path(root)
    (root / "images").mkdir(parents=True, exist_ok=True)
    report = progress or (lambda done: None)
    if workers > 1 and count >= 4 * workers:
        faces = _render_in_processes(root, count, seed, size, workers, report)
    else:
        faces = _render_range(root, range(count), seed, size, report)
    unfinished = root / f".{list_name}.unfinished"
    write_face_list(unfinished, faces)
    os.replace(unfinished, root / list_name)
    return root / list_name


def _render_range(
    root: Path,
    indices: range,
    seed: int,
    size: tuple[int, int],
    report: Callable[[int], None],
) -> list[Face]:
    faces = []
    for done, index in enumerate(indices, start=1):
        rendered = render_face(seed, index, size)
        path = Path("images", f"{seed}-{index:06d}.jpg")
        quality = 70 + (index * 7) % 26
        encoded = io.BytesIO()
        rendered.image.save(encoded, "JPEG", quality=quality)
        (root / path).write_bytes(encoded.getvalue())
        faces.append(Face(path, rendered.box, rendered.points, str(path)))
        if done % 50 == 0 or done == len(indices):
            report(done)
    return faces


def _render_in_processes(
    root: Path,
    count: int,
    seed: int,
    size: tuple[int, int],
    workers: int,
    report: Callable[[int], None],
) -> list[Face]:
    """The same faces from several interpreters, each with an equal share of the indices.

    New interpreters rather than `multiprocessing`, which would run the caller's script once
    more.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search_path}
    bounds = np.linspace(0, count, workers + 1).astype(int)
    parts = [root / f".part-{worker}.txt" for worker in range(workers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import _render_part; _render_part()"]
            + [str(part), str(root), *map(str, (start, stop, seed, *size))],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for part, start, stop in zip(parts, bounds, bounds[1:], strict=False)
    ]
    try:
        done = [0] * workers
        for worker, process in enumerate(processes):
            assert process.stdout is not None
            for line in process.stdout:
                done[worker] = int(line)
                # The others advance alike; what they have told is read when their turn comes.
                report(
                    min(count, sum(done[: worker + 1]) + done[worker] * (workers - worker - 1))
                )
            if process.wait() != 0:
                raise RuntimeError(
                    f"a rendering process ended with status {process.returncode}"
                )
        return [face for part in parts for face in read_face_list(part)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for part in parts:
            part.unlink(missing_ok=True)


def _render_part() -> None:
    """What each process of `_render_in_processes` runs; it prints how many faces are done."""
    part, root, *numbers = sys.argv[1:]
    start, stop, seed, smallest, largest = (int(number) for number in numbers)
    faces = _render_range(
        Path(root),
        range(start, stop),
        seed,
        (smallest, largest),
        lambda done: print(done, flush=True),
    )
    write_face_list(part, faces)


# --- What a face is


def _random_head(rng: np.random.Generator, features: Features, width: int, height: int) -> Head:
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
_ALONG = np.linspace(0, 1, 11)
_ARCH = np.sin(np.pi * _ALONG)


def _curve(start: np.ndarray, end: np.ndarray, bulge: float, lean: float = 0.0) -> np.ndarray:
    """A smooth arc (11, 2) from start to end, raised by `bulge` (down where negative) midway.

    `lean` moves the highest place towards the start (below 0) or the end.
    """
    straight = start + (end - start) * _ALONG[:, None]
    arch = np.sin(np.pi * _ALONG ** np.exp(-lean))
    return straight - np.stack([np.zeros(11), bulge * arch], axis=1)


def _mirrored(curve: np.ndarray) -> np.ndarray:
    return curve * (-1, 1)


def _random_features(rng: np.random.Generator) -> Features:
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
        uppers.append(_curve(*ends, opening * wink, lean))
        lowers.append(_curve(*ends, -squint * wink, -lean))

    # Brows, moved together by the expression and a little apart from each other.
    brow_gap = rng.uniform(0.22, 0.32)
    lift, frown = rng.normal(0, 0.03), rng.normal(0, 0.03)
    arch = rng.uniform(0.02, 0.09)
    brows = []
    for side in (-1, 1):
        own = rng.normal(0, 0.012)
        start = np.array([eye_x + half + 0.10, eye_y - brow_gap + 0.04 - lift + own])
        end = np.array([eye_x - half - 0.03, eye_y - brow_gap + frown - lift + own])
        brows.append(_curve(start, end, arch, -0.25) * (side, 1))

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
    bow = np.stack([np.zeros(11), 0.02 * np.cos(6 * np.pi * (_ALONG - 0.5)) * _ARCH], axis=1)
    lips = (
        _curve(left, right, upper + 0.25 * gape - smile) + bow,
        _curve(left, right, 0.25 * gape - smile),
        _curve(left, right, -0.75 * gape - smile),
        _curve(left, right, -0.75 * gape - lower - smile),
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
_BROW_LIFT, _LIP_LIFT, _CHIN_LIFT = 0.04, 0.05, 0.04
_TIP_LIFT, _BASE_LIFT, _WING_LIFT = 0.3, 0.14, 0.1


def _key_points(head: Head, features: Features) -> np.ndarray:
    """The 21 points (21, 2) in pixels, in the order of `faces.POINT_NAMES`."""
    left_brow, right_brow = features.brows
    (left_eye, right_eye), lips = features.upper_lids, features.lips
    groups = [
        (left_brow[[0, 5, 10]], _BROW_LIFT),
        (right_brow[[10, 5, 0]], _BROW_LIFT),
        (left_eye[[0, 10]], 0.0),
        (right_eye[[10, 0]], 0.0),
        (features.nose_tip, _TIP_LIFT),
        (features.wings[:1], _WING_LIFT),
        (features.nose_base, _BASE_LIFT),
        (features.wings[1:], _WING_LIFT),
        (np.stack([lips[0][0], lips[0][5], lips[0][10]]), _LIP_LIFT),
        (np.stack([lips[3][5], lips[1][5], lips[2][5]]), _LIP_LIFT),
        (features.chin, _CHIN_LIFT),
    ]
    xy = np.concatenate([points for points, _ in groups])
    lifts = np.concatenate([np.full(len(points), lift) for points, lift in groups])
    return head.place(xy, lifts)


def _random_box(
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


# --- Colours


def _mix(one: Sequence[float], other: Sequence[float], share: float) -> Color:
    """The colour `share` of the way from one to the other, kept within 0 to 255."""
    r, g, b = (
        min(255, max(0, int(a + (b - a) * share))) for a, b in zip(one, other, strict=True)
    )
    return r, g, b


def _darker(color: Sequence[float], factor: float) -> Color:
    return _mix((0, 0, 0), color, factor)


def _random_of(
    rng: np.random.Generator, palette: Sequence[Color], spread: float = 8.0
) -> Color:
    """A colour between two neighbours of a palette, a little off."""
    place = rng.uniform(0, len(palette) - 1)
    below = int(place)
    color = _mix(palette[below], palette[min(below + 1, len(palette) - 1)], place - below)
    return _mix(color, np.array(color) + rng.normal(0, spread, 3), 1.0)


def _any_color(rng: np.random.Generator) -> Color:
    r, g, b = (int(value) for value in rng.integers(0, 256, 3))
    grey = (r + g + b) // 3
    return _mix((r, g, b), (grey, grey, grey), rng.uniform(0.1, 0.95))


# --- Painting


class _Paint:
    """Paints one face: flat colours on a large canvas first, then light over all."""

    def __init__(
        self, rng: np.random.Generator, head: Head, features: Features, width: int, height: int
    ) -> None:
        self.rng, self.head, self.features = rng, head, features
        self.width, self.height = width, height
        self.skin = _random_of(rng, SKIN)
        self.hair = _random_of(rng, HAIR) if rng.random() < 0.93 else _any_color(rng)
        self.lip = _mix(self.skin, (168, 52, 58), rng.uniform(0.3, 0.8))
        self.canvas: Image.Image
        self.draw: ImageDraw.ImageDraw

    def paint(self) -> np.ndarray:
        """The lit picture before the camera's faults, float32 (height, width, 3), 0 to 255."""
        rng = self.rng
        self.canvas = self._background()
        self.draw = ImageDraw.Draw(self.canvas)
        style = rng.choice(
            ["bald", "short", "long", "hat", "hood"], p=[0.1, 0.44, 0.28, 0.12, 0.06]
        )
        if style in ("long", "hood"):
            self._hanging_hair(rng.uniform(0.4, 1.1))
        self._body()
        if style != "hood":
            self._ears()
        outline = self._silhouette()
        self._polygon(outline, self.skin)
        self._eyes()
        self._nose()
        self._mouth()
        self._wrinkles()
        if rng.random() < 0.2:
            self._beard()
        self._brows()
        if style != "bald":
            self._top(style)
        glasses = rng.random()
        if glasses < 0.28:
            self._glasses(dark=glasses < 0.05)
        colors = np.asarray(self.canvas.reduce(OVERSAMPLING), np.float32)
        colors = colors * self._light()
        if rng.random() < 0.1:
            colors = self._occlude(colors)
        return colors

    # Primitives, in pixels of the picture.

    def _polygon(self, points: np.ndarray, color: Color) -> None:
        self.draw.polygon((points * OVERSAMPLING).ravel().tolist(), fill=color)

    def _line(self, points: np.ndarray, color: Color, width: float) -> None:
        pixels = max(1, round(width * self.head.scale * OVERSAMPLING))
        self.draw.line((points * OVERSAMPLING).ravel().tolist(), color, pixels, joint="curve")

    def _disc(
        self, xy: np.ndarray, lift: float, size: float, color: Color, tall: float = 1
    ) -> None:
        """An ellipse that lies on the head, `size` its half width."""
        ring = xy + size * np.stack([np.cos(_ROUND), tall * np.sin(_ROUND)], axis=1)
        self._polygon(self.head.place(ring, lift), color)

    # What stands behind the face.

    def _background(self) -> Image.Image:
        """Two colours running into each other, shapes before them, the farther ones out of
        focus."""
        rng = self.rng
        size = (self.width * OVERSAMPLING, self.height * OVERSAMPLING)
        corners = np.array(
            [[_any_color(rng), _any_color(rng)], [_any_color(rng), _any_color(rng)]]
        )
        small = Image.fromarray(corners.astype(np.uint8)).resize(
            (self.width // 2, self.height // 2), Image.Resampling.BILINEAR
        )
        self._clutter(small, int(rng.integers(0, 16)))
        small = small.filter(ImageFilter.BoxBlur(rng.uniform(0.6, 4)))
        canvas = small.resize(size, Image.Resampling.BILINEAR)
        self._clutter(canvas, int(rng.integers(0, 8)))
        return canvas

    def _clutter(self, image: Image.Image, count: int) -> None:
        """Shapes of any colour anywhere in an image."""
        rng, draw = self.rng, ImageDraw.Draw(image)
        width, height = image.size
        for _ in range(count):
            kind, color = rng.integers(0, 4), _any_color(rng)
            places = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
            if kind == 0:
                draw.polygon(places.ravel().tolist(), fill=color)
            elif kind == 1:
                low = places[0]
                high = low + np.abs(places[1] - places[2]) * 0.7
                draw.ellipse([*low, *high], fill=color)
            elif kind == 2:
                draw.line(places.ravel().tolist(), color, int(1 + width * rng.uniform(0, 0.06)))
            else:
                step, thick = width * rng.uniform(0.02, 0.08), width * rng.uniform(0.005, 0.03)
                x, top, bottom = places[0, 0], places[1, 1], places[2, 1]
                for stripe in range(int(rng.integers(3, 9))):
                    left = x + stripe * step
                    draw.rectangle(
                        [left, min(top, bottom), left + thick, max(top, bottom)], color
                    )

    def _hanging_hair(self, length: float) -> None:
        """Hair behind the head, down to `length` below its middle."""
        heights = np.linspace(-self.head.height, 0.2, 8)
        around = np.linspace(np.pi / 2, 3 * np.pi / 2, 9)
        points = self.head.shell(1.12, heights, around).reshape(-1, 3)
        ends = np.stack(
            [1.12 * np.sin(around), np.full(9, length), 0.9 * np.cos(around) - 0.1], axis=1
        )
        flat = self.head.project(np.concatenate([points, ends]))
        self._polygon(_hull(flat), _darker(self.hair, 0.8))

    def _body(self) -> None:
        """Shoulders, which keep upright, and a neck between them and the head."""
        rng, head = self.rng, self.head
        chin = head.project(np.array([[0.0, head.drop * 0.6, 0.0]]))[0]
        y = chin[1] + head.scale * rng.uniform(0.75, 1.0)
        x = 0.6 * chin[0] + 0.4 * head.center[0]
        spread = head.scale * rng.uniform(1.7, 2.3)
        slope = np.linspace(-1, 1, 15)
        top = np.stack(
            [x + spread * slope, y + 0.9 * head.scale * np.abs(slope) ** 2.5], axis=1
        )
        bottom = np.array([[x + spread, 3 * self.height], [x - spread, 3 * self.height]])
        neck = head.scale * rng.uniform(0.5, 0.66)
        collar = [(x + neck, y + 0.1 * head.scale), (x, y + head.scale * rng.uniform(0.2, 0.5))]
        throat = np.array(
            [(chin[0] - neck, chin[1]), (chin[0] + neck, chin[1])]
            + [*collar, (x - neck, y + 0.1 * head.scale)]
        )
        self._polygon(np.concatenate([top, bottom]), _any_color(rng))
        self._polygon(throat, _darker(self.skin, rng.uniform(0.6, 0.85)))

    def _ears(self) -> None:
        size = self.rng.uniform(0.2, 0.28)
        shade = _mix(self.skin, (190, 70, 60), 0.15)
        for side in (-1, 1):
            middle = np.array([side * self.head.width * 0.98, 0.12, -0.1])
            flare = np.array([side * 0.35, 0.0, -0.6]) * size
            for scale, color in ((1.0, shade), (0.55, _darker(shade, 0.75))):
                ring = middle + scale * (
                    np.cos(_ROUND)[:, None] * flare
                    + np.sin(_ROUND)[:, None] * np.array([0.0, size, 0.0])
                )
                self._polygon(self.head.project(ring + flare * 0.4), color)

    def _silhouette(self) -> np.ndarray:
        """The outline of the head in the picture: the hull of rings around it."""
        heights = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 21))
        heights *= np.where(heights > 0, self.head.drop, self.head.height)
        rings = self.head.shell(1.0, heights, np.linspace(0, 2 * np.pi, 33)[:-1])
        return _hull(self.head.project(rings.reshape(-1, 3)))

    # The features of the face.

    def _eyes(self) -> None:
        rng, head, features = self.rng, self.head, self.features
        iris = _random_of(rng, IRIS)
        white = _mix((236, 234, 230), self.skin, rng.uniform(0, 0.2))
        lid = _mix(self.skin, _darker(self.skin, 0.6), rng.uniform(0.1, 0.6))
        lash = _darker(self.hair, 0.4) if rng.random() < 0.7 else (20, 16, 16)
        lash_width = rng.uniform(0.015, 0.04)
        highlight = rng.uniform(-0.4, 0.4, 2) * features.iris_size
        for upper, lower in zip(features.upper_lids, features.lower_lids, strict=True):
            opening = np.concatenate([upper, lower[::-1]])
            self._polygon(head.place(opening), white)
            middle = (upper[5] + lower[5]) / 2 + features.gaze
            self._disc(middle, 0.0, features.iris_size, _darker(iris, 0.6))
            self._disc(middle, 0.0, features.iris_size * 0.82, iris)
            self._disc(middle, 0.0, features.iris_size * 0.42, (12, 10, 10))
            self._disc(middle + highlight, 0.0, features.iris_size * 0.22, (250, 250, 250))
            # Lids cover what of the iris lies outside the opening.
            over = 2.2 * features.iris_size
            above = upper - np.stack([np.zeros(11), 0.02 + over * _ARCH], axis=1)
            below = lower + np.stack([np.zeros(11), 0.01 + over * _ARCH], axis=1)
            self._polygon(head.place(np.concatenate([upper, above[::-1]])), lid)
            self._polygon(head.place(np.concatenate([lower, below[::-1]])), self.skin)
            self._line(
                head.place(above * (1, 0.55) + upper * (0, 0.45)), _darker(lid, 0.75), 0.012
            )
            self._line(head.place(upper), lash, lash_width)
            self._line(head.place(lower), _darker(self.skin, 0.6), 0.014)

    def _brows(self) -> None:
        rng = self.rng
        color = _mix(_darker(self.hair, 0.7), self.skin, rng.uniform(0, 0.25))
        taper = self.features.brow_weight * np.interp(_ALONG, [0, 0.3, 1], [0.35, 0.8, 1.0])
        shift = np.stack([np.zeros(11), taper], axis=1)
        for brow in self.features.brows:
            edge = np.concatenate([brow - shift, (brow + shift)[::-1]])
            self._polygon(self.head.place(edge, _BROW_LIFT), color)

    def _nose(self) -> None:
        """Sides of the bridge, the tip's underside, wings and nostrils."""
        head, features = self.head, self.features
        dark, base = _darker(self.skin, 0.72), features.nose_base[0]
        tip, (left, right) = features.nose_tip[0], features.wings
        root = np.array([0.0, tip[1] - features.nose_length])
        bridge = np.stack([root, (root + tip) / 2 + (0, 0.05), tip])
        ridge = head.place(bridge, np.array([0.06, 0.17, _TIP_LIFT]))
        for side, wing in ((-1, left), (1, right)):
            foot = head.place(
                np.stack([wing, root + (side * 0.11, 0.02)]), _WING_LIFT * np.array([1, 0.2])
            )
            flank = np.concatenate([ridge, foot[1:], foot[:1]])
            self._polygon(flank, _mix(self.skin, dark, 0.25))
        under = np.stack([left, (left + tip) / 2 + (0, 0.05), tip + (0, 0.05)])
        under = np.concatenate([under, _mirrored(under)[1::-1], base[None], left[None]])
        lifts = np.array(
            [_WING_LIFT, 0.22, _TIP_LIFT, 0.22, _WING_LIFT, _BASE_LIFT, _WING_LIFT]
        )
        self._polygon(head.place(under, lifts), _mix(self.skin, dark, 0.5))
        ball = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1) * (0.1, 0.085)
        self._polygon(
            head.place(tip + ball, _TIP_LIFT - 0.02), _mix(self.skin, (255, 235, 220), 0.12)
        )
        for side, wing in ((-1, left), (1, right)):
            nostril = (base + wing) / 2 - (0, 0.005)
            self._disc(nostril, 0.15, 0.3 * abs(wing[0]), _darker(self.skin, 0.35), tall=0.5)
            arc = wing + np.stack([side * 0.035 * _ARCH, np.linspace(-0.11, 0.06, 11)], axis=1)
            self._line(head.place(arc, _WING_LIFT), dark, 0.02)

    def _mouth(self) -> None:
        rng, head, lips = self.rng, self.head, self.features.lips
        top, inner_top, inner_bottom, bottom = lips
        self._polygon(head.place(np.concatenate([top, inner_top[::-1]]), _LIP_LIFT), self.lip)
        self._polygon(
            head.place(np.concatenate([inner_bottom, bottom[::-1]]), _LIP_LIFT),
            _mix(self.lip, (255, 190, 180), 0.18),
        )
        gape = inner_bottom[5, 1] - inner_top[5, 1]
        if gape > 0.015:
            hole = np.concatenate([inner_top, inner_bottom[::-1]])
            self._polygon(head.place(hole, _LIP_LIFT - 0.02), (60, 22, 24))
            if rng.random() < 0.75:
                share = np.clip(0.09 / gape, 0.2, 0.7)
                teeth = inner_top + share * (inner_bottom - inner_top)
                edge = np.concatenate([inner_top[1:-1], teeth[-2:0:-1]])
                self._polygon(head.place(edge, _LIP_LIFT), (232, 228, 216))
        seam = _darker(self.lip, 0.45)
        self._line(head.place(inner_top, _LIP_LIFT), seam, 0.018)
        self._line(
            head.place(bottom[3:8] + (0, 0.03), _LIP_LIFT), _darker(self.skin, 0.75), 0.02
        )

    def _wrinkles(self) -> None:
        rng, head = self.rng, self.head
        color = _mix(self.skin, _darker(self.skin, 0.6), rng.uniform(0.2, 0.8))
        if rng.random() < 0.5:
            for side, wing in zip((-1, 1), self.features.wings, strict=True):
                start = wing + (side * 0.06, 0)
                corner = self.features.lips[0][0 if side < 0 else 10] + (side * 0.1, -0.03)
                self._line(head.place(_curve(start, corner, 0.03), 0.02), color, 0.016)
        if rng.random() < 0.25:
            for y in -0.5 - 0.1 * np.arange(rng.integers(1, 4)):
                fold = _curve(np.array([-0.4, y]), np.array([0.4, y]), rng.normal(0, 0.03))
                self._line(head.place(fold), color, 0.012)

    def _beard(self) -> None:
        """Hair on the upper lip, around the chin, or on both."""
        rng, head, lips = self.rng, self.head, self.features.lips
        color = _mix(self.hair, self.skin, rng.uniform(0.1, 0.5))
        if rng.random() < 0.7:
            spread = rng.uniform(0.9, 1.25)
            low = lips[0] * (spread, 1) + np.stack([np.zeros(11), 0.05 - 0.06 * _ARCH], axis=1)
            high = low - np.stack([np.zeros(11), 0.02 + rng.uniform(0.05, 0.1) * _ARCH], axis=1)
            self._polygon(head.place(np.concatenate([low, high[::-1]]), _LIP_LIFT), color)
        if rng.random() < 0.6:
            chin, half = self.features.chin[0], rng.uniform(0.2, 0.5)
            edge = lips[3][5] + (0, rng.uniform(0.05, 0.1))
            y = min(chin[1] + 0.03, 0.97 * head.drop)
            sides = np.array([[-half, edge[1] + 0.02], [half, edge[1] + 0.02]])
            over = _curve(sides[0], sides[1], 0.03)
            under = _curve(sides[0], sides[1], edge[1] - y)
            self._polygon(head.place(np.concatenate([over, under[::-1]]), _CHIN_LIFT), color)

    # What covers the face.

    def _top(self, style: str) -> None:
        """Hair, hat or hood on the upper part of the head, in strands from the crown to a
        hairline."""
        rng, head = self.rng, self.head
        color = self.hair if style in ("short", "long") else _any_color(rng)
        forehead = rng.uniform(-0.92, -0.62) if style != "hat" else rng.uniform(-0.75, -0.55)
        temples = {"short": 0.0, "long": 0.75, "hat": -0.45, "hood": 1.1}[style] * rng.uniform(
            0.7, 1
        )
        temples = forehead + 0.1 if style == "hat" else temples
        reach = np.deg2rad(rng.uniform(48, 66))
        angles = np.linspace(-2.1, 2.1, 43)
        parting, ragged = rng.uniform(-0.6, 0.6), rng.uniform(0, 0.05)
        edge = np.interp(np.abs(angles), [0, reach, reach + 0.35, 2.1], [0, 0.12, 1, 1.05])
        hairline = forehead + (temples - forehead) * edge
        if style in ("short", "long"):
            hairline = hairline + ragged * rng.normal(0, 1, len(angles))
            hairline = hairline - 0.12 * np.exp(-(((angles - parting) / 0.25) ** 2))
        size = rng.uniform(1.05, 1.1) if style != "hood" else 1.14
        # Down each strand, denser towards the crown, which is round.
        down = np.linspace(0, 1, 7)[:, None] ** 2
        strands = head.shell(
            size, -head.height + (hairline / size + head.height) * down, angles
        )
        camera_z = strands[5] @ head.turn[2]
        flat = head.project(strands.reshape(-1, 3)).reshape(7, len(angles), 2).swapaxes(0, 1)
        shades = (
            rng.uniform(0.85, 1.12, len(angles)) if style in ("short", "long") else np.ones(43)
        )
        for one in np.argsort(camera_z[:-1] + camera_z[1:]):
            if camera_z[one] + camera_z[one + 1] > -0.5:
                quad = np.concatenate([flat[one], flat[one + 1][::-1]])
                self._polygon(quad, _mix((0, 0, 0), color, shades[one]))
        if style == "hat":
            self._brim(size, forehead, _darker(color, 0.7))

    def _brim(self, size: float, y: float, color: Color) -> None:
        head, wide = self.head, self.rng.uniform(1.12, 1.4)
        angles = np.linspace(-1.5, 1.5, 25)
        inner = head.shell(size, np.array([y / size]), angles)[0]
        outer = inner * (wide, 1, wide)
        outer[:, 1] += self.rng.uniform(-0.05, 0.1)
        self._polygon(head.project(np.concatenate([inner, outer[::-1]])), color)

    def _glasses(self, dark: bool) -> None:
        rng, head, features = self.rng, self.head, self.features
        frame = (24, 22, 22) if rng.random() < 0.6 else _any_color(rng)
        thick = rng.uniform(0.02, 0.055)
        half = np.array([rng.uniform(0.26, 0.31), rng.uniform(0.18, 0.27)])
        power = rng.uniform(0.4, 1.0)
        ring = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)
        ring = np.sign(ring) * np.abs(ring) ** power * half
        down = rng.uniform(-0.02, 0.08)
        z = head.depth * 0.93 + 0.12
        centers = [(upper[0] + upper[10]) / 2 + (0, down) for upper in features.upper_lids]
        for side, center in zip((-1, 1), centers, strict=True):
            center = np.array([side * max(abs(center[0]), half[0] + 0.07), center[1]])
            lens = np.column_stack([center + ring, np.full(len(ring), z)])
            flat = head.project(lens)
            if dark:
                self._polygon(flat, _darker(frame, 0.8))
            elif rng.random() < 0.3:
                glare = lens[[2, 4, 12, 14]]
                self._line(head.project(glare[:2]), (235, 240, 245), 0.02)
            self._line(np.concatenate([flat, flat[:2]]), frame, thick)
            hinge = center + (side * half[0], -0.03)
            temple = np.array([[*hinge, z], [side * head.width * 1.03, hinge[1], 0.0]])
            outward = np.array([side, 0.0, 0.3]) @ head.turn[2]
            if outward > -0.1:
                self._line(head.project(temple), frame, thick)
        inner = np.array([[-0.09, centers[0][1] - 0.04, z], [0.09, centers[1][1] - 0.04, z]])
        self._line(head.project(inner), frame, thick)

    def _occlude(self, colors: np.ndarray) -> np.ndarray:
        """Something before a part of the face: a bar, a disc or a hand of a few fingers."""
        rng, scale = self.rng, self.head.scale
        cover = Image.new("L", (self.width * OVERSAMPLING, self.height * OVERSAMPLING))
        draw = ImageDraw.Draw(cover)
        at = (self.head.center + scale * rng.uniform(-1, 1, 2) * (1.0, 1.2)) * OVERSAMPLING
        direction = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(direction), np.sin(direction)])
        across = np.array([-along[1], along[0]])
        unit = scale * OVERSAMPLING
        kind = rng.integers(0, 3)
        if kind == 0:
            radius = unit * rng.uniform(0.2, 0.4)
            draw.ellipse([*(at - radius), *(at + radius)], fill=255)
        elif kind == 1:
            wide = across * unit * rng.uniform(0.12, 0.25)
            far = along * unit * 4
            corners = np.stack([at - wide, at + wide, at + wide + far, at - wide + far])
            draw.polygon(corners.ravel().tolist(), fill=255)
        else:
            for finger in range(4):
                start = at + across * unit * 0.19 * (finger - 1.5)
                end = start + along * unit * 3
                draw.line([*start, *end], 255, int(0.17 * unit))
                tip = 0.085 * unit
                draw.ellipse([*(start - tip), *(start + tip)], fill=255)
        alpha = np.asarray(cover.reduce(OVERSAMPLING), np.float32)[..., None] / 255
        color = self.skin if kind == 2 else _any_color(rng)
        shade = np.linspace(*rng.uniform(0.6, 1.1, 2), self.width, dtype=np.float32)[:, None]
        return colors * (1 - alpha) + alpha * shade * np.array(color, np.float32)

    # Light.

    def _light(self) -> np.ndarray:
        """Factors (height, width, 3) for the painted colours; about 1 where light falls
        straight."""
        rng, head = self.rng, self.head
        rows = np.arange(1, self.height, 2, dtype=np.float32)
        columns = np.arange(1, self.width, 2, dtype=np.float32)
        x, y, depth = _relief(head, self.features, columns, rows)

        slope_y, slope_x = np.gradient(depth, np.float32(2 / head.scale))
        # The outline itself is infinitely steep.
        slope_x, slope_y = np.clip(slope_x, -2.5, 2.5), np.clip(slope_y, -2.5, 2.5)
        steepness = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
        azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
        flat = np.sqrt(1 - height**2)
        toward = np.array(
            [flat * np.cos(azimuth), flat * np.sin(azimuth) * 0.7 - 0.25 * flat, height]
        )
        toward /= np.linalg.norm(toward)
        facing = (toward[2] - toward[0] * slope_x - toward[1] * slope_y) * steepness
        ambient = rng.uniform(0.42, 0.8)
        light = ambient + (1.15 - ambient) * np.maximum(facing, 0)
        light += rng.uniform(0, 0.25) * np.maximum(facing, 0) ** 12

        # Light that does not get everywhere: eye sockets, under the nose and the lower lip.
        hidden = _bumps(x, y, _HOLLOWS, self.features)
        light *= 1 - rng.uniform(0.2, 0.6) * hidden
        for axis in (0, 1):  # the coarse grid must not show at the outline
            light += 0.25 * np.diff(
                light, 2, axis, *(np.take(light, [end], axis) for end in (0, -1))
            )
        tint = np.array([1, 1, 1]) + rng.uniform(-0.1, 0.1) * np.array([1, 0.1, -1])
        small = Image.fromarray(light.astype(np.float32))
        full = np.asarray(small.resize((self.width, self.height), Image.Resampling.BILINEAR))
        return full[..., None] * tint.astype(np.float32)


_ROUND = np.linspace(0, 2 * np.pi, 19)[:-1]


def _hull(points: np.ndarray) -> np.ndarray:
    """The points that reach farthest in each of 72 directions: nearly the convex hull, in
    order."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return points[np.argmax(points @ directions, axis=0)]


# : Raised parts of a face: from which feature, offset from it, half widths in x and y, and
# height.
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


# --- The camera


def _develop(rng: np.random.Generator, colors: np.ndarray) -> Image.Image:
    """A photograph of the lit colours: exposure, contrast, blur, noise, sometimes without
    colour."""
    exposure, contrast = rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.15)
    colors = (colors * np.float32(exposure) - 120) * np.float32(contrast) + 120
    noise = rng.uniform(0, 7) ** 2 / 7
    grain = rng.standard_normal(colors.shape[:2], dtype=np.float32) * np.float32(noise)
    blur = rng.uniform(0, 1.6) if rng.random() < 0.4 else 0.0
    if blur > 0.4:
        sharp = Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))
        colors = np.asarray(sharp.filter(ImageFilter.BoxBlur(blur)), np.float32)
    image = Image.fromarray(np.clip(colors + grain[..., None], 0, 255).astype(np.uint8))
    return image.convert("L").convert("RGB") if rng.random() < 0.1 else image
