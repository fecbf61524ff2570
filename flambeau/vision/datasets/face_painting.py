"""The painting of a drawn face: polygons from back to front, larger than the picture so that edges become smooth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flambeau.vision.datasets.face_light import light_on
from flambeau.vision.datasets.face_shapes import (
    ALONG,
    ARCH,
    BASE_LIFT,
    BROW_LIFT,
    CHIN_LIFT,
    LIP_LIFT,
    TIP_LIFT,
    WING_LIFT,
    Features,
    Head,
    curve,
    mirrored,
)

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


class Paint:
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
        colors = colors * light_on(rng, self.head, self.features, self.width, self.height)
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
            above = upper - np.stack([np.zeros(11), 0.02 + over * ARCH], axis=1)
            below = lower + np.stack([np.zeros(11), 0.01 + over * ARCH], axis=1)
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
        taper = self.features.brow_weight * np.interp(ALONG, [0, 0.3, 1], [0.35, 0.8, 1.0])
        shift = np.stack([np.zeros(11), taper], axis=1)
        for brow in self.features.brows:
            edge = np.concatenate([brow - shift, (brow + shift)[::-1]])
            self._polygon(self.head.place(edge, BROW_LIFT), color)

    def _nose(self) -> None:
        """Sides of the bridge, the tip's underside, wings and nostrils."""
        head, features = self.head, self.features
        dark, base = _darker(self.skin, 0.72), features.nose_base[0]
        tip, (left, right) = features.nose_tip[0], features.wings
        root = np.array([0.0, tip[1] - features.nose_length])
        bridge = np.stack([root, (root + tip) / 2 + (0, 0.05), tip])
        ridge = head.place(bridge, np.array([0.06, 0.17, TIP_LIFT]))
        for side, wing in ((-1, left), (1, right)):
            foot = head.place(
                np.stack([wing, root + (side * 0.11, 0.02)]), WING_LIFT * np.array([1, 0.2])
            )
            flank = np.concatenate([ridge, foot[1:], foot[:1]])
            self._polygon(flank, _mix(self.skin, dark, 0.25))
        under = np.stack([left, (left + tip) / 2 + (0, 0.05), tip + (0, 0.05)])
        under = np.concatenate([under, mirrored(under)[1::-1], base[None], left[None]])
        lifts = np.array(
            [WING_LIFT, 0.22, TIP_LIFT, 0.22, WING_LIFT, BASE_LIFT, WING_LIFT]
        )
        self._polygon(head.place(under, lifts), _mix(self.skin, dark, 0.5))
        ball = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1) * (0.1, 0.085)
        self._polygon(
            head.place(tip + ball, TIP_LIFT - 0.02), _mix(self.skin, (255, 235, 220), 0.12)
        )
        for side, wing in ((-1, left), (1, right)):
            nostril = (base + wing) / 2 - (0, 0.005)
            self._disc(nostril, 0.15, 0.3 * abs(wing[0]), _darker(self.skin, 0.35), tall=0.5)
            arc = wing + np.stack([side * 0.035 * ARCH, np.linspace(-0.11, 0.06, 11)], axis=1)
            self._line(head.place(arc, WING_LIFT), dark, 0.02)

    def _mouth(self) -> None:
        rng, head, lips = self.rng, self.head, self.features.lips
        top, inner_top, inner_bottom, bottom = lips
        self._polygon(head.place(np.concatenate([top, inner_top[::-1]]), LIP_LIFT), self.lip)
        self._polygon(
            head.place(np.concatenate([inner_bottom, bottom[::-1]]), LIP_LIFT),
            _mix(self.lip, (255, 190, 180), 0.18),
        )
        gape = inner_bottom[5, 1] - inner_top[5, 1]
        if gape > 0.015:
            hole = np.concatenate([inner_top, inner_bottom[::-1]])
            self._polygon(head.place(hole, LIP_LIFT - 0.02), (60, 22, 24))
            if rng.random() < 0.75:
                share = np.clip(0.09 / gape, 0.2, 0.7)
                teeth = inner_top + share * (inner_bottom - inner_top)
                edge = np.concatenate([inner_top[1:-1], teeth[-2:0:-1]])
                self._polygon(head.place(edge, LIP_LIFT), (232, 228, 216))
        seam = _darker(self.lip, 0.45)
        self._line(head.place(inner_top, LIP_LIFT), seam, 0.018)
        self._line(
            head.place(bottom[3:8] + (0, 0.03), LIP_LIFT), _darker(self.skin, 0.75), 0.02
        )

    def _wrinkles(self) -> None:
        rng, head = self.rng, self.head
        color = _mix(self.skin, _darker(self.skin, 0.6), rng.uniform(0.2, 0.8))
        if rng.random() < 0.5:
            for side, wing in zip((-1, 1), self.features.wings, strict=True):
                start = wing + (side * 0.06, 0)
                corner = self.features.lips[0][0 if side < 0 else 10] + (side * 0.1, -0.03)
                self._line(head.place(curve(start, corner, 0.03), 0.02), color, 0.016)
        if rng.random() < 0.25:
            for y in -0.5 - 0.1 * np.arange(rng.integers(1, 4)):
                fold = curve(np.array([-0.4, y]), np.array([0.4, y]), rng.normal(0, 0.03))
                self._line(head.place(fold), color, 0.012)

    def _beard(self) -> None:
        """Hair on the upper lip, around the chin, or on both."""
        rng, head, lips = self.rng, self.head, self.features.lips
        color = _mix(self.hair, self.skin, rng.uniform(0.1, 0.5))
        if rng.random() < 0.7:
            spread = rng.uniform(0.9, 1.25)
            low = lips[0] * (spread, 1) + np.stack([np.zeros(11), 0.05 - 0.06 * ARCH], axis=1)
            high = low - np.stack([np.zeros(11), 0.02 + rng.uniform(0.05, 0.1) * ARCH], axis=1)
            self._polygon(head.place(np.concatenate([low, high[::-1]]), LIP_LIFT), color)
        if rng.random() < 0.6:
            chin, half = self.features.chin[0], rng.uniform(0.2, 0.5)
            edge = lips[3][5] + (0, rng.uniform(0.05, 0.1))
            y = min(chin[1] + 0.03, 0.97 * head.drop)
            sides = np.array([[-half, edge[1] + 0.02], [half, edge[1] + 0.02]])
            over = curve(sides[0], sides[1], 0.03)
            under = curve(sides[0], sides[1], edge[1] - y)
            self._polygon(head.place(np.concatenate([over, under[::-1]]), CHIN_LIFT), color)

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


_ROUND = np.linspace(0, 2 * np.pi, 19)[:-1]


def _hull(points: np.ndarray) -> np.ndarray:
    """The points that reach farthest in each of 72 directions: nearly the convex hull, in
    order."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return points[np.argmax(points @ directions, axis=0)]


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
