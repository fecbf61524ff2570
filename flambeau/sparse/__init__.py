"""`torch.sparse`: what there is beyond the methods of sparse tensors."""

from flambeau.sparse.functions import addmm as addmm
from flambeau.sparse.functions import (
    check_sparse_tensor_invariants as check_sparse_tensor_invariants,
)
from flambeau.sparse.functions import log_softmax as log_softmax
from flambeau.sparse.functions import mm as mm
from flambeau.sparse.functions import sampled_addmm as sampled_addmm
from flambeau.sparse.functions import softmax as softmax
from flambeau.sparse.functions import spdiags as spdiags
from flambeau.sparse.functions import sum as sum
from flambeau.sparse.types import TYPES as _TYPES

globals().update(_TYPES)
