"""Matrix multiplication: C[i, j] = sum over k of A[i, k] B[k, j], in all transposes, batched.

The heart is a register tile: a few rows of C times a few vectors of its columns stay in
registers while k runs. Each step loads a row of B's panel as vectors and broadcasts one element
of A for each row of the tile:

    for k:  b = B[k, columns]           (vectors)
            for each row i:  C[i] += A[i, k] * b

A may have any strides, since broadcasts do not mind. B's columns must lie side by side: where
they do not, or where rows far apart would be read again and again, B is packed first into
panels as wide as the tile, [panel][k][column]. Large A is packed likewise, [tile][k][row]. Long
k is cut into blocks, so that a panel stays in the first cache while all rows pass over it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flambeau.kernels import dot
from flambeau.kernels.element import Element, element_of
from flambeau.kernels.expression import Nodes, evaluate
from flambeau.kernels.kernel import WORTH_A_THREAD, Kernel, Stage, round_up, stage_function
from flambeau.kernels.language import Buffer, Function, Mask, Module, Offset, Pointer, Value
from flambeau.kernels.meetings import Band
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.target import Target
from flambeau.kernels.transpose import transposed

_UNROLL = 4
_DEPTH_BLOCK = 256
_DEPTH_BLOCK_FAR = 64
_PACK_ROWS = 24  # rows of A over which packing a panel of B pays
_ROW_BLOCK = 256  # rows of A that are packed at a time, at most
_SHARES = 8  # tasks that a product is cut into, so that a few threads can share them evenly
_PACKED_TILES = 8  # tiles that are packed side by side where the rows of A are columns in memory


@dataclass(frozen=True)
class Tile:
    """What stays in registers: rows of C, times vectors of columns."""

    rows: int
    vectors: int


def choose_tile(target: Target, m: int, n: int, lanes: int) -> Tile:
    """The register tile for C of m rows and n columns.

    Accumulators, one row of B and one broadcast must fit the registers; at least a dozen
    accumulators hide the latency of a multiply-add; each vector of B should serve many rows.
    """
    vectors = -(-n // lanes)
    free = target.registers - 2
    wide = min(vectors, 3 if vectors % 3 == 0 and vectors % 2 else 2)
    rows = min(m, 14 if target.registers >= 32 else 12, free // wide - 1)
    if wide > 1:
        rows = min(rows, 8 if target.registers >= 32 else 6)
    if rows < 4:
        wide = min(vectors, free // (rows + 1), 8)
    return Tile(rows, wide)


def emit(
    module: Module,
    name: str,
    m: int,
    n: int,
    k: int,
    a: Operand,
    b: Operand,
    out: Operand,
    batch: Sequence[int] = (),
    epilogue: Nodes = (("input", 0),),
    extras: Sequence[Operand] = (),
    packed: bool = False,
) -> Kernel:
    """A kernel that multiplies matrices, and finishes each element by an expression.

    Args:
        module: where its functions go.
        name: of the kernel.
        m, n, k: rows of the result, its columns, and the length of the sums.
        a, b, out: the matrices (m, k), (k, n) and (m, n): dtypes and strides, those of `batch`
            first, then row and column. A transposed matrix has its strides exchanged.
        batch: leading dimensions; a stride of 0 uses one matrix for all.
        epilogue: an expression whose ("input", 0) is the sum and ("input", i) is `extras[i-1]`;
            its last node is stored. Bias and activation go here.
        extras: operands of the epilogue, with strides for (*batch, m, n): a bias has row stride
            0.
        packed: the buffer of b holds what a kernel of `emit_packing` made of it.

    Halves are summed in f32, integers as they are. Buffers: a, b, extras, out.
    """
    element, lanes = a.element.computed, module.target.lanes(a.element.computed.bytes)
    if dot.fits(m, k, a, b, element, lanes) and math.prod((*batch, n)):
        return _emit_dots(module, name, m, n, k, a, b, out, tuple(batch), epilogue, extras)
    operands = (a, b, out, tuple(batch), epilogue, tuple(extras))
    return _Plan(module, name, m, n, k, *operands, packed=packed).emit()


def packed_size(module: Module, m: int, n: int, k: int, a: Operand, b: Operand) -> int | None:
    """How many elements B takes when it is packed for products with `m` rows; `None` if these
    read it as it is.

    B packed once serves many products, such as the steps of a recurrent network.
    """
    element, lanes = a.element.computed, module.target.lanes(a.element.computed.bytes)
    if dot.fits(m, k, a, b, element, lanes) or b.element != element:
        return None
    plan = _Plan(module, "", m, n, k, a, b, b, (), (), ())
    return plan.panels * plan.panel * k if plan.packs_b else None


def emit_packing(
    module: Module, name: str, m: int, n: int, k: int, a: Operand, b: Operand
) -> Kernel:
    """A kernel that packs B for `emit(..., packed=True)` with such operands. Buffers: b, packed."""
    plan = _Plan(module, name, m, n, k, a, b, b, (), (), ())
    size = plan.panels * plan.panel * k
    buffers = (
        _matrix_buffer("b", b, (k, n)),
        Buffer("packed", plan.element, size, once=True),
    )
    f, (source, packed), _, _, begin, end = stage_function(module, name, buffers)
    with f.range(begin, end) as panel:
        plan.pack_panel(f, source, packed, panel)
    return Kernel(name, buffers, (Stage(name, plan.panels, plan.parallel),), traffic=8 * size)


def _emit_dots(
    module: Module, name: str, m: int, n: int, k: int, a: Operand, b: Operand, out: Operand,
    batch: tuple[int, ...], epilogue: Nodes, extras: Sequence[Operand],
) -> Kernel:  # fmt: skip
    """The product of a few rows, see `dot.py`: a task is a block of columns of one matrix."""
    element = a.element.computed
    lanes = module.target.lanes(element.bytes)
    operands = [a, b, *extras, out]
    buffers, facts = _facts(m, n, k, operands, batch)
    blocks = -(-n // dot.tile(module.target, m, lanes)[1])
    f, pointers, _, _, begin, end = stage_function(module, name, buffers)
    with f.range(begin, end) as task:
        matrices = of_batch(pointers, operands, batch, task // blocks)
        dot.emit_columns(
            f, (m, n, k), a, b, out, extras, epilogue, matrices, task % blocks, element, lanes
        )
    work = math.prod(batch) * m * n * k
    stage = Stage(name, blocks * math.prod(batch), 2 * work >= WORTH_A_THREAD)
    return Kernel(name, buffers, (stage,), **facts)


def _facts(
    m: int, n: int, k: int, operands: Sequence[Operand], batch: tuple[int, ...]
) -> tuple[tuple[Buffer, ...], dict[str, int]]:
    """The buffers of a product of a, b, extras and out, and what it costs."""
    a, b, *extras, out = operands
    shape = (*batch, m, n)
    buffers = (
        _matrix_buffer("a", a, (*batch, m, k)),
        _matrix_buffer("b", b, (*batch, k, n)),
        *(_matrix_buffer(f"extra{i}", e, shape) for i, e in enumerate(extras)),
        _matrix_buffer("out", out, shape),
    )
    count = math.prod(batch)
    read = m * k * a.element.bytes + k * n * b.element.bytes
    written = m * n * out.element.bytes
    return buffers, {"flops": 2 * count * m * n * k, "traffic": count * (read + written)}


def of_batch(
    pointers: Sequence[Pointer], operands: Sequence[Operand], batch: tuple[int, ...],
    number: Offset,
) -> list[Pointer]:  # fmt: skip
    """Where the matrices of one element of the batch begin."""
    moved = list(pointers)
    for dim in reversed(range(len(batch))):
        here = number % batch[dim] if dim else number
        number = number // batch[dim] if dim else number
        moved = [p + here * o.strides[dim] for p, o in zip(moved, operands, strict=True)]
    return moved


class _Plan:
    def __init__(
        self, module: Module, name: str, m: int, n: int, k: int, a: Operand, b: Operand,
        out: Operand, batch: tuple[int, ...], epilogue: Nodes, extras: tuple[Operand, ...],
        packed: bool = False,
    ):  # fmt: skip
        self.module, self.name, self.epilogue = module, name, epilogue
        self.packed = packed
        self.m, self.n, self.k, self.batch = m, n, k, batch
        self.a, self.b, self.out, self.extras = a, b, out, extras
        self.element = a.element.computed
        self.lanes = module.target.lanes(self.element.bytes)
        self.tile = choose_tile(module.target, m, n, self.lanes)
        self.panel = self.tile.vectors * self.lanes  # columns of a panel
        self.panels = -(-n // self.panel)
        half = a.element != self.element
        # A half-width result cannot hold partial sums.
        exact = out.element.computed == out.element == self.element
        in_order = b.strides[-1] == 1 and not half
        near = k * n * self.element.bytes <= module.target.l1
        self.packs_b = not in_order or (m >= _PACK_ROWS and not near)
        # Rows of a large B that are read as they lie: few at a time, so that each is read far along.
        far = not self.packs_b and k * n * self.element.bytes > module.target.l2
        self.depth = min(k, _DEPTH_BLOCK_FAR if far else _DEPTH_BLOCK) if exact else k
        a_bytes = m * k * self.element.bytes
        self.packs_a = half or (a_bytes > module.target.l2 // 2 and self.panels >= 4)
        self.row_blocks = max(-(-m // _ROW_BLOCK), min(_SHARES, m // 64), 1) if self.packs_a else 1
        self.row_block = min(m, round_up(-(-m // self.row_blocks), self.tile.rows))
        self.row_blocks = -(-m // self.row_block)
        self._share()

    def _share(self) -> None:
        """Cuts C into tasks: a share of its rows or of its panels, whichever there are more
        of."""
        work = math.prod(self.batch) * self.m * self.n * self.k
        self.parallel = 2 * work >= WORTH_A_THREAD * 4
        wanted = 1 if len(self.batch) and math.prod(self.batch) >= 8 else _SHARES
        tiles = -(-self.m // self.tile.rows)
        self.row_shares = self.panel_shares = 1
        if self.parallel and wanted > 1:
            if self.packs_a:  # what a task packs should serve many panels
                self.row_shares = min(self.row_blocks, wanted)
                self.panel_shares = min(max(self.panels // 8, 1), -(-wanted // self.row_shares))
            elif self.panels >= tiles and not (tiles >= 4 and self._b_fits_a_core()):
                self.panel_shares = min(self.panels, wanted)
            else:
                self.row_shares = min(tiles, wanted)
        self.tasks = math.prod(self.batch) * self.row_shares * self.panel_shares

    def _b_fits_a_core(self) -> bool:
        """Whether each core can keep all of B: then rows are shared, as whoever reads C shares them."""
        return self.k * self.n * self.element.bytes <= self.module.target.l2 // 2

    # The kernel -------------------------------------------------------------------------------

    def emit(self) -> Kernel:
        operands = [self.a, self.b, *self.extras, self.out]
        buffers, result = _facts(self.m, self.n, self.k, operands, self.batch)
        room = self.panels * self.panel * self.k
        if self.packed:
            buffers = (buffers[0], Buffer("packed", self.element, room), *buffers[2:])
        if not math.prod((*self.batch, self.m, self.n)):
            return Kernel(self.name, buffers, (), **result)
        packed_b = room * self.element.bytes if self.packs_b and not self.packed else 0
        packed_a = self.row_block * self.depth * self.element.bytes if self.packs_a else 0
        shared = not self.batch  # one B: packed once for all threads
        stages = []
        if packed_b and shared:
            stages.append(self._emit_packing(buffers))
        stages.append(self._emit_product(buffers, packed_b if shared else -1))
        return Kernel(
            self.name, buffers, tuple(stages),
            workspace=packed_b if shared else 0,
            scratch=packed_a + (0 if shared else packed_b),
            **result,
        )  # fmt: skip

    def _emit_packing(self, buffers: tuple[Buffer, ...]) -> Stage:
        """The stage that packs B: a task is a panel."""
        name = f"{self.name}_pack"
        f, pointers, workspace, _, begin, end = stage_function(self.module, name, buffers)
        with f.range(begin, end) as panel:
            self.pack_panel(f, pointers[1], workspace.as_elements(self.element), panel)
        return Stage(name, self.panels, self.parallel)

    def _emit_product(self, buffers: tuple[Buffer, ...], packed_b: int) -> Stage:
        f, pointers, workspace, scratch, begin, end = stage_function(
            self.module, self.name, buffers
        )
        own = scratch.as_elements(self.element)
        with f.range(begin, end) as task:
            panel_share: Offset = task % self.panel_shares
            rest: Offset = task // self.panel_shares
            row_share: Offset = rest % self.row_shares
            number: Offset = rest // self.row_shares
            operands = [self.a, self.b, *self.extras, self.out]
            matrices = of_batch(pointers, operands, self.batch, number)
            first_panel, last_panel = _shares(panel_share, self.panel_shares, self.panels)
            packed = matrices[1] if self.packed else workspace.as_elements(self.element)
            if self.packs_b and packed_b < 0:
                packed = own + self.row_block * self.depth * self.packs_a
                with f.range(first_panel, last_panel) as panel:
                    self.pack_panel(f, matrices[1], packed, panel)
            product = _Product(self, f, matrices, packed, own)
            for block, deep in _depth_blocks(f, self.k, self.depth):
                product.rows(row_share, (first_panel, last_panel), block, deep)
        return Stage(self.name, self.tasks, self.parallel, self._bands())

    def _bands(self) -> tuple[Band | None, ...]:
        """Tasks that are shares of the rows, all of one height, go through A, the extras and C row by row."""
        block = self.row_block if self.packs_a else self.tile.rows
        blocks = -(-self.m // block)
        if self.batch or self.panel_shares > 1 or self.m % block or blocks % self.row_shares:
            return ()
        rows = self.m // self.row_shares

        def band(operand: Operand, columns: int) -> Band | None:
            row, column = operand.strides[-2:]
            if row < 0 or column < 0:
                return None
            item = operand.element.bytes
            return Band(rows * row * item, ((rows - 1) * row + (columns - 1) * column + 1) * item)

        return (band(self.a, self.k), None, *(band(o, self.n) for o in (*self.extras, self.out)))

    def pack_panel(self, f: Function, b: Pointer, packed: Pointer, panel: Offset) -> None:
        """Copies one panel of B to [k][column]; columns beyond the last are zero."""
        full = self.n // self.panel
        if isinstance(panel, int):  # the only panel
            width = self.panel if panel < full else self.n % self.panel
            self._pack_columns(f, b, packed, width)
            return
        for condition, width in (
            (lambda: panel < full, self.panel), (lambda: panel.eq(full), self.n % self.panel),
        ):  # fmt: skip
            if not width or (width == self.panel and not full):
                continue
            with f.when(condition()):
                self._pack_columns(
                    f, b + panel * (self.panel * self.b.strides[-1]),
                    packed + panel * (self.panel * self.k), width,
                )  # fmt: skip

    def _pack_columns(self, f: Function, b: Pointer, packed: Pointer, width: int) -> None:
        row_stride, column_stride = self.b.strides[-2:]
        if column_stride == 1:
            with f.range(0, self.k) as k:
                for start in range(0, width, self.lanes):
                    active = min(self.lanes, width - start)
                    vector = (b + k * row_stride + start).load_strided(1, self.lanes, active)
                    vector.store(packed + k * self.panel + start)
            return
        # Columns are far apart: read square blocks along k and turn them.
        for start in range(0, width, self.lanes):
            active = min(self.lanes, width - start)
            for k, deep in f.blocks(self.k, self.lanes):
                rows = [
                    (b + k * row_stride + (start + j) * column_stride).load_strided(
                        row_stride, self.lanes, deep
                    )
                    for j in range(active)
                ]
                zero = f.zero(self.element, self.lanes)
                turned = transposed(f, rows + [zero] * (self.lanes - active))
                for step in range(deep):
                    turned[step].store(packed + (k + step) * self.panel + start)


@dataclass(frozen=True)
class _Block:
    """A stretch of k, and whether it is the first and the last."""

    first: bool
    last: bool


class _Product:
    """The loops over one task's rows and panels, and the register tile within."""

    def __init__(
        self, plan: _Plan, f: Function, matrices: list[Pointer], packed_b: Pointer,
        packed_a: Pointer,
    ):  # fmt: skip
        self.plan, self.f = plan, f
        self.a, self.b, *self.extras, self.out = matrices
        self.packed_a, self.packed_b = packed_a, packed_b
        #: Where a tile's rows of A begin, and its strides from row to row and along k.
        self.a_strides = plan.a.strides[-2:]

    def rows(
        self, share: Offset, panels: tuple[Offset, Offset], block: tuple[Offset, int],
        place: _Block,
    ) -> None:  # fmt: skip
        """This task's rows, over one stretch of k. A panel stays in cache while they pass."""
        plan, f, rows = self.plan, self.f, self.plan.tile.rows
        if plan.packs_a:
            full, rest = divmod(plan.m, plan.row_block)
            first, last = _shares(share, plan.row_shares, plan.row_blocks)
            with f.range(first, last) as number:
                for height in dict.fromkeys((plan.row_block, rest)):
                    if not height:
                        continue
                    here = f.position(number)
                    with f.when(here < full if height == plan.row_block else here.eq(full)):
                        self._pack_a(number * plan.row_block, height, block)
                        with f.range(*panels) as panel:
                            for row, tall in f.tiles(height, rows):
                                start = number * plan.row_block
                                self._each_width(start + row, tall, panel, block, place, row)
            return
        with f.range(*panels) as panel:
            if plan.row_shares == 1:
                for row, tall in f.tiles(plan.m, rows):
                    self._each_width(row, tall, panel, block, place)
                return
            tiles, rest = divmod(plan.m, rows)
            first, last = _shares(share, plan.row_shares, tiles)
            with f.range(first, last) as tile:
                self._each_width(tile * rows, rows, panel, block, place)
            if rest:
                assert not isinstance(share, int)
                with f.when(share.eq(plan.row_shares - 1)):
                    self._each_width(tiles * rows, rest, panel, block, place)

    def _each_width(
        self, row: Offset, rows: int, panel: Offset, block: tuple[Offset, int], place: _Block,
        packed_row: Offset = 0,
    ) -> None:  # fmt: skip
        """The tile at this row and panel; the last panel may be narrower."""
        plan = self.plan
        full, rest = divmod(plan.n, plan.panel)
        if full and rest:
            assert not isinstance(panel, int)
            with self.f.when(panel < full):
                self._tile(row, rows, panel, plan.panel, block, place, packed_row)
            with self.f.when(panel.eq(full)):
                self._tile(row, rows, panel, rest, block, place, packed_row)
        else:
            self._tile(row, rows, panel, rest or plan.panel, block, place, packed_row)

    def _tile(
        self, row: Offset, rows: int, panel: Offset, width: int, block: tuple[Offset, int],
        place: _Block, packed_row: Offset,
    ) -> None:  # fmt: skip
        """One register tile over one stretch of k."""
        plan, f, lanes = self.plan, self.f, self.plan.lanes
        start, depth = block
        column = panel * plan.panel
        actives = [min(lanes, width - at) for at in range(0, width, lanes)]
        masks = [Mask(active, lanes) if active < lanes else None for active in actives]
        out = self.out + row * plan.out.strides[-2] + column * plan.out.strides[-1]

        if plan.packs_a:
            a = self.packed_a + packed_row * depth
            row_step, k_step = 1, rows
        else:
            row_step, k_step = self.a_strides
            a = self.a + row * row_step + start * k_step
        if plan.packs_b:
            b = self.packed_b + panel * (plan.panel * plan.k) + start * plan.panel
            b_step, b_masks = plan.panel, [None] * len(masks)
        else:
            b_step, b_masks = plan.b.strides[-2], masks
            b = self.b + start * b_step + column

        def step(sums: list[Value], k: Offset) -> list[Value]:
            sums = list(sums)
            vectors = [
                (b + k * b_step + v * lanes).load(lanes, mask=mask)
                for v, mask in enumerate(b_masks)
            ]
            for i in range(rows):
                spread = (a + k * k_step + i * row_step).broadcast(lanes)
                for v, vector in enumerate(vectors):
                    at = i * len(vectors) + v
                    sums[at] = multiply_add(f, spread, vector, sums[at])
            return sums

        if place.first:
            sums = [f.zero(plan.element, lanes)] * (rows * len(masks))
        else:
            sums = [
                self._partial(out, i, v).load_strided(plan.out.strides[-1], lanes, actives[v])
                for i in range(rows)
                for v in range(len(masks))
            ]
        whole = depth // _UNROLL * _UNROLL
        if whole:
            with f.loop(0, whole, _UNROLL, carry=sums) as loop:
                inside = loop.values
                for k in range(_UNROLL):
                    inside = step(inside, loop.index + k)
                loop.next(inside)
            sums = loop.results
        for k in range(whole, depth):
            sums = step(sums, k)
        for i in range(rows):
            for v in range(len(masks)):
                value = sums[i * len(masks) + v]
                if place.last:
                    value = self._finish(value, row, column, i, v, actives[v])
                where = self._partial(out, i, v)
                value = f.convert(value, plan.out.element.computed)
                where.store_strided(value, plan.out.strides[-1], actives[v])

    def _partial(self, out: Pointer, i: int, v: int) -> Pointer:
        """Where row `i`, vector `v` of a tile at `out` is stored."""
        row_stride, column_stride = self.plan.out.strides[-2:]
        return out + (i * row_stride + v * self.plan.lanes * column_stride)

    def _finish(
        self, value: Value, row: Offset, column: Offset, i: int, v: int, active: int
    ) -> Value:
        """The epilogue of one vector of sums."""
        plan, f, lanes = self.plan, self.f, self.plan.lanes
        inputs = {0: value}
        for number, (pointer, operand) in enumerate(zip(self.extras, plan.extras, strict=True)):
            row_stride, column_stride = operand.strides[-2:]
            where = pointer + row * row_stride + column * column_stride
            where = where + (i * row_stride + v * lanes * column_stride)
            inputs[number + 1] = where.load_strided(column_stride, lanes, active)
        nodes = plan.epilogue
        return evaluate(f, nodes, inputs, lanes)[len(nodes) - 1]

    def _pack_a(self, start: Offset, height: int, block: tuple[Offset, int]) -> None:
        """Copies a block of A to [tile][k][row], as the tiles will read it."""
        plan, f, lanes = self.plan, self.f, self.plan.lanes
        row_stride, k_stride = self.a_strides
        first_k, depth = block
        if row_stride == 1:
            for row, rows, count in _side_by_side(f, height, plan.tile.rows):
                source = self.a + (start + row) + first_k * k_stride
                packed = self.packed_a + row * depth
                with f.range(0, depth) as k:
                    for tile in range(count):
                        lines = (source + k * k_stride + tile * rows).load(rows)
                        lines.store(packed + (k + tile * depth) * rows)
            return
        for row, rows in f.tiles(height, plan.tile.rows):
            source = self.a + (start + row) * row_stride + first_k * k_stride
            packed = self.packed_a + row * depth
            for k, deep in f.blocks(depth, lanes):
                for top in range(0, rows, lanes):
                    tall = min(lanes, rows - top)
                    lines = [
                        (source + k * k_stride + (top + i) * row_stride).load_strided(
                            k_stride, lanes, deep
                        )
                        for i in range(tall)
                    ]
                    filler = [f.zero(plan.element, lanes)] * (lanes - tall)
                    for j, column in enumerate(transposed(f, lines + filler)[:deep]):
                        piece = f.shuffle(column, column, range(tall))
                        piece.store(packed + (k + j) * rows + top)


def multiply_add(f: Function, a: Value, b: Value, c: Value) -> Value:
    """a * b + c."""
    return f.fma(a, b, c) if a.element.is_float else a * b + c


def _side_by_side(f: Function, height: int, rows: int) -> Iterator[tuple[Offset, int, int]]:
    """The tiles of `Function.tiles`, several at a time: (first row, rows of a tile, tiles)."""
    number = -(-height // rows)
    small, larger = divmod(height, number)
    start = 0
    for tiles, width in ((larger, small + 1), (number - larger, small)):
        for first, count in f.blocks(tiles, _PACKED_TILES):
            yield first * width + start, width, count
        start += tiles * width


def _shares(share: Offset, shares: int, count: int) -> tuple[Offset, Offset]:
    """Where one of so many equal shares of `range(count)` begins and ends."""
    if shares == 1:
        return 0, count
    assert not isinstance(share, int)
    return share * count // shares, (share + 1) * count // shares


def _depth_blocks(
    f: Function, k: int, depth: int
) -> Iterator[tuple[tuple[Offset, int], _Block]]:
    """Cuts k into stretches of about `depth`: the first, a loop over those between, the
    last."""
    count = max(1, -(-k // max(depth, 1)))
    depth = min(k, round_up(-(-k // count), _UNROLL))
    yield (0, depth if count > 1 else k), _Block(first=True, last=count == 1)
    if count > 2:
        with f.range(1, count - 1) as number:
            yield (number * depth, depth), _Block(first=False, last=False)
    if count > 1:
        done = (count - 1) * depth
        yield (done, k - done), _Block(first=False, last=True)


def _matrix_buffer(name: str, operand: Operand, shape: Sequence[int]) -> Buffer:
    element: Element = element_of(operand.dtype)
    return Buffer(name, element, operand.extent(shape))
