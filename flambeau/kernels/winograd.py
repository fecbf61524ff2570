"""What the convolutions by Winograd's algorithm share: tiles, and the transforms of their rows.

Tiles of 6x6 of the input d and weights w of 3x3 or 5x5 give tiles y of 4x4 or 2x2 outputs:

    y = A^T [ (G w G^T) * (B^T d B) ] A

with * the product of corresponding elements, of which there are 36 for what would take 144 or 100. The
polynomials behind it are evaluated at 0, 1, -1, 2, -2 and infinity (Winograd 1980; Lavin and Gray 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.kernels.conv_axis import Axis
from flambeau.kernels.conv_plane import Plane, Spread, spread_plane
from flambeau.kernels.kernel import round_up
from flambeau.kernels.language import Function, Mask, Pointer, Value

POINTS = 6
ALL_POINTS = POINTS * POINTS
_TAPS = (3, 5)


def fits(rows: Axis, columns: Axis) -> bool:
    """Whether the kernel is a square that the algorithm is made for, of neighbouring taps."""
    if len(rows.taps) != len(columns.taps) or len(rows.taps) not in _TAPS:
        return False
    return all(axis.shift_step == axis.in_step == axis.out_step == 1 for axis in (rows, columns))


def tile_of(axis: Axis) -> int:
    """How many outputs a tile has along an axis."""
    return POINTS + 1 - len(axis.taps)


def tiles_of(rows: Axis, columns: Axis) -> int:
    """How many tiles a plane has."""
    return -(-rows.count // tile_of(rows)) * -(-columns.count // tile_of(columns))


def apart(elements: int) -> int:
    """At least so many, an odd number of cache lines: what lies so far apart collides nowhere."""
    return round_up(elements, 32) + 16


class Tiles:
    """How planes are cut into tiles, and one plane's way to its turned form.

    Attributes:
        tile: outputs of a tile, in rows as in columns.
        rows, columns, count: tiles of a plane.
        positions: tiles of a plane, numbered row by row, rounded up to whole vectors.
        plane: how a plane is spread: dealt by the tile's size, columns of a tile that are the next one's once more.
    """

    def __init__(self, rows: Axis, columns: Axis, lanes: int):
        self.lanes, self.tile = lanes, tile_of(rows)
        self.rows, self.columns = -(-rows.count // self.tile), -(-columns.count // self.tile)
        self.count = tiles_of(rows, columns)
        self.positions = round_up(self.count, lanes)
        more = (POINTS - 1) // self.tile  # rows of tiles that a tile reaches into
        self.plane = Plane(
            (rows.taps[0][1], columns.taps[0][1]), (self.tile, self.tile), self.rows + more, self.columns,
            apart(self.positions + more * self.columns), POINTS - self.tile,
        )  # fmt: skip
        self.room = self.plane.parts * self.plane.size

    def turn(
        self, f: Function, spread: Spread, source: Pointer, plane: Pointer, target: Pointer,
        step: int, count: int = 0,
    ) -> None:  # fmt: skip
        """B^T d B of all tiles of one plane; the points of the result are `step` apart.

        So many tiles are stored, else all positions.
        """
        spread_plane(f, spread, source, plane, self.lanes)
        size, pitch, columns, tile = self.plane.size, self.plane.pitch, self.plane.columns, self.tile
        for at, width in f.blocks(count or self.positions, self.lanes):
            here = plane + at
            d = [
                [
                    (here + (i % tile * columns + j) * size + i // tile * pitch).load(
                        self.lanes
                    )
                    for j in range(POINTS)
                ]
                for i in range(POINTS)
            ]
            mask = Mask(width, self.lanes) if width < self.lanes else None
            for point, value in enumerate(both_ways(f, d, turn_input)):
                value.store(target + at + point * step, mask=mask)


# The transforms, of one row of values ----------------------------------------------------------


def turn_input(f: Function, d: Sequence[Value]) -> list[Value]:
    """B^T d."""
    a, b = f.fma(d[2], -4.0, d[4]), f.fma(d[1], -4.0, d[3])
    c, e = d[4] - d[2], d[3] - d[1]
    return [
        f.fma(d[0], 4.0, f.fma(d[2], -5.0, d[4])), a + b, a - b, f.fma(e, 2.0, c),
        f.fma(e, -2.0, c), f.fma(d[1], 4.0, f.fma(d[3], -5.0, d[5])),
    ]  # fmt: skip


def turn_weight(f: Function, w: Sequence[Value]) -> list[Value]:
    """G w: its polynomial at the points, over what B^T leaves out."""
    (even, odd), (far, far_odd) = _halves(f, w, 1), _halves(f, w, 2)
    return [
        w[0] * 0.25, (even + odd) * (-1 / 6), (even - odd) * (-1 / 6),
        (far + far_odd) * (1 / 24), (far - far_odd) * (1 / 24), w[-1],
    ]  # fmt: skip


def turn_gradient(f: Function, g: Sequence[Value]) -> list[Value]:
    """A g: the polynomial of a tile of gradients at the points."""
    (even, odd), (far, far_odd) = _halves(f, g, 1), _halves(f, g, 2)
    return [g[0], even + odd, even - odd, far + far_odd, far - far_odd, g[-1]]


def turn_back(f: Function, m: Sequence[Value], count: int) -> list[Value]:
    """A^T m, of so many outputs."""
    return _powers(f, m, count, 1.0, 1.0, 1.0)


def turn_weight_back(f: Function, m: Sequence[Value], count: int) -> list[Value]:
    """G^T m, of so many taps."""
    return _powers(f, m, count, 0.25, -1 / 6, 1 / 24)


def _halves(f: Function, v: Sequence[Value], x: int) -> tuple[Value, Value]:
    """The sums of v[j] x^j over even and over odd j."""
    sums = []
    for first in (0, 1):
        total = v[first] * float(x**first) if x**first > 1 else v[first]
        for j in range(first + 2, len(v), 2):
            total = f.fma(v[j], float(x**j), total) if x**j > 1 else total + v[j]
        sums.append(total)
    return sums[0], sums[1]


def _powers(f: Function, m: Sequence[Value], count: int, zero: float, one: float, two: float) -> list[Value]:
    """For each j the sum of m[i] x_i^j over the points, those at 0, 1 and 2 scaled; infinity is the last j's."""
    near, far = (m[1] + m[2], m[1] - m[2]), (m[3] + m[4], m[3] - m[4])
    results = []
    for j in range(count):
        total = near[j % 2] if one == 1 else near[j % 2] * one
        scale = two * 2**j
        total = total + far[j % 2] if scale == 1 else f.fma(far[j % 2], scale, total)
        if j == 0:
            total = total + m[0] if zero == 1 else f.fma(m[0], zero, total)
        results.append(total + m[5] if j == count - 1 else total)
    return results


def both_ways(
    f: Function, square: Sequence[Sequence[Value]],
    turn: Callable[[Function, Sequence[Value]], list[Value]],
) -> list[Value]:  # fmt: skip
    """A transform along the rows of a square, then along its columns; row by row."""
    rows = [turn(f, row) for row in square]
    columns = [turn(f, column) for column in zip(*rows, strict=True)]
    return [value for row in zip(*columns, strict=True) for value in row]
