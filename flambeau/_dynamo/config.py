"""Settings of PyTorch's tracer, under its names.

Those with a meaning here: `recompile_limit` (`cache_size_limit` is another name of it): for how many shapes and constants
a function is compiled before it runs eagerly; `accumulated_recompile_limit`: how many programs it may have;
`error_on_recompile` and `fail_on_recompile_limit_hit`: raise instead of compiling anew, or of going on eagerly;
`automatic_dynamic_shapes`: numbers that change from call to call become inputs; `disable`: compile nothing.
The others may be set and change nothing: a function that cannot be traced always runs eagerly, with a warning.
"""

import sys as _sys

from flambeau.compiler.settings import Settings as _Settings

recompile_limit = 8
accumulated_recompile_limit = 256
error_on_recompile = fail_on_recompile_limit_hit = False
automatic_dynamic_shapes = True
disable = False

_aliases = {"cache_size_limit": "recompile_limit", "accumulated_cache_size_limit": "accumulated_recompile_limit"}

suppress_errors = True
verbose = False
dynamic_shapes = False
assume_static_by_default = True
specialize_int = specialize_float = False
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
capture_func_transforms = True
guard_nn_modules = True
optimize_ddp = False
force_parameter_static_shapes = True
force_unspec_int_unbacked_size_like_on_torchrec_kjt = False
allow_unspec_int_on_nn_module = False
inline_inbuilt_nn_modules = True
skip_nnmodule_hook_guards = True
trace_numpy = True
numpy_default_float, numpy_default_complex, numpy_default_int = "float64", "complex128", "int64"
cache_size_limit_warning = True
compiled_autograd = False
cudagraph_backend_keep_input_mutation = False
do_not_emit_runtime_asserts = False
ignore_logger_methods = set()  # type: ignore[var-annotated]
reorderable_logging_functions = set()  # type: ignore[var-annotated]
allow_rnn = True
report_guard_failures = True
log_level = None
log_file_name = None
minimum_call_count = 1
dead_code_elimination = True
repro_after = None
repro_level = 2
debug_dir_root = None
traceable_tensor_subclasses = set()  # type: ignore[var-annotated]

_sys.modules[__name__].__class__ = _Settings
