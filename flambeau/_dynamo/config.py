"""Settings of PyTorch's tracer. They may be set; none has a meaning here.

Here a function that cannot be traced always runs eagerly, with a warning, and numbers are always specialised.
"""

suppress_errors = True
verbose = False
cache_size_limit = recompile_limit = 8
accumulated_cache_size_limit = accumulated_recompile_limit = 256
dynamic_shapes = automatic_dynamic_shapes = False
assume_static_by_default = True
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
guard_nn_modules = True
optimize_ddp = False
force_parameter_static_shapes = True
error_on_recompile = False
fail_on_recompile_limit_hit = False
inline_inbuilt_nn_modules = True
skip_nnmodule_hook_guards = True
log_level = None
