"""Linear algebra, as `torch.linalg`: of matrices, (*, m, n), and stacks of them."""

from flambeau.ops.contractions import linalg_cross as cross
from flambeau.ops.equations import linalg_cond as cond
from flambeau.ops.equations import linalg_det as det
from flambeau.ops.equations import linalg_diagonal as diagonal
from flambeau.ops.equations import linalg_inv as inv
from flambeau.ops.equations import linalg_inv_ex as inv_ex
from flambeau.ops.equations import linalg_lstsq as lstsq
from flambeau.ops.equations import linalg_lu_solve as lu_solve
from flambeau.ops.equations import linalg_matmul as matmul
from flambeau.ops.equations import linalg_matrix_exp as matrix_exp
from flambeau.ops.equations import linalg_matrix_norm as matrix_norm
from flambeau.ops.equations import linalg_matrix_power as matrix_power
from flambeau.ops.equations import linalg_matrix_rank as matrix_rank
from flambeau.ops.equations import linalg_multi_dot as multi_dot
from flambeau.ops.equations import linalg_norm as norm
from flambeau.ops.equations import linalg_pinv as pinv
from flambeau.ops.equations import linalg_slogdet as slogdet
from flambeau.ops.equations import linalg_solve as solve
from flambeau.ops.equations import linalg_solve_ex as solve_ex
from flambeau.ops.equations import linalg_solve_triangular as solve_triangular
from flambeau.ops.equations import linalg_tensorinv as tensorinv
from flambeau.ops.equations import linalg_tensorsolve as tensorsolve
from flambeau.ops.equations import linalg_vander as vander
from flambeau.ops.equations import linalg_vecdot as vecdot
from flambeau.ops.equations import linalg_vector_norm as vector_norm
from flambeau.ops.factorizations import linalg_cholesky as cholesky
from flambeau.ops.factorizations import linalg_cholesky_ex as cholesky_ex
from flambeau.ops.factorizations import linalg_eig as eig
from flambeau.ops.factorizations import linalg_eigh as eigh
from flambeau.ops.factorizations import linalg_eigvals as eigvals
from flambeau.ops.factorizations import linalg_eigvalsh as eigvalsh
from flambeau.ops.factorizations import linalg_householder_product as householder_product
from flambeau.ops.factorizations import linalg_lu as lu
from flambeau.ops.factorizations import linalg_lu_factor as lu_factor
from flambeau.ops.factorizations import linalg_lu_factor_ex as lu_factor_ex
from flambeau.ops.factorizations import linalg_qr as qr
from flambeau.ops.factorizations import linalg_svd as svd
from flambeau.ops.factorizations import linalg_svdvals as svdvals
from flambeau.ops.solvers import LinAlgError as LinAlgError
from flambeau.ops.symmetric import linalg_ldl_factor as ldl_factor
from flambeau.ops.symmetric import linalg_ldl_factor_ex as ldl_factor_ex
from flambeau.ops.symmetric import linalg_ldl_solve as ldl_solve

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
