"""The op table: every operator, one file a family. Names are PyTorch's."""

from flambeau.ops import (
    activation,
    arithmetic,
    aten,
    comparison,
    complexes,
    conv,
    convert,
    copies,
    creation,
    diagonals,
    dlpack,
    flips,
    grids,
    index,
    joining,
    legacy,
    loss,
    mathematics,
    matmul,
    norm,
    padding,
    parts,
    pool,
    positions,
    queries,
    random,
    ranges,
    reduce,
    scatter,
    shape,
    sort,
    strided,
    view_writes,
)
from flambeau.ops.table import OPERATORS as OPERATORS
from flambeau.ops.table import PRIMITIVES as PRIMITIVES

globals().update(OPERATORS)
