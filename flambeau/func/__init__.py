"""Functions of functions, as `torch.func`: gradients, Jacobians, mapping over a batch, modules
as functions.
"""

from flambeau.func.batching import vmap as vmap
from flambeau.func.gradients import grad as grad
from flambeau.func.gradients import grad_and_value as grad_and_value
from flambeau.func.gradients import hessian as hessian
from flambeau.func.gradients import jacfwd as jacfwd
from flambeau.func.gradients import jacrev as jacrev
from flambeau.func.gradients import jvp as jvp
from flambeau.func.gradients import linearize as linearize
from flambeau.func.gradients import vjp as vjp
from flambeau.func.modules import debug_unwrap as debug_unwrap
from flambeau.func.modules import functional_call as functional_call
from flambeau.func.modules import functionalize as functionalize
from flambeau.func.modules import (
    replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_,
)
from flambeau.func.modules import stack_module_state as stack_module_state
from flambeau.func.rearrange import rearrange as rearrange
