"""`Module` and the hooks of all modules, under the path where PyTorch has them."""

from flambeau.nn.hooks import register_module_backward_hook as register_module_backward_hook
from flambeau.nn.hooks import (
    register_module_buffer_registration_hook as register_module_buffer_registration_hook,
)
from flambeau.nn.hooks import register_module_forward_hook as register_module_forward_hook
from flambeau.nn.hooks import (
    register_module_forward_pre_hook as register_module_forward_pre_hook,
)
from flambeau.nn.hooks import (
    register_module_full_backward_hook as register_module_full_backward_hook,
)
from flambeau.nn.hooks import (
    register_module_full_backward_pre_hook as register_module_full_backward_pre_hook,
)
from flambeau.nn.hooks import (
    register_module_module_registration_hook as register_module_module_registration_hook,
)
from flambeau.nn.hooks import (
    register_module_parameter_registration_hook as register_module_parameter_registration_hook,
)
from flambeau.nn.module import Module as Module
