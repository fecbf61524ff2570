"""Settings of PyTorch's code generator. They may be set; none has a meaning here.

(`torch.compile(options={"max_autotune": True})` has: see `flambeau.compile`.)
"""

import sys as _sys
import types as _types

from flambeau.compiler.settings import Settings as _Settings

debug = False
fx_graph_cache = fx_graph_remote_cache = autotune_local_cache = True
trace = _types.SimpleNamespace(enabled=False, graph_diagram=False, output_code=True, debug_dir=None)
max_autotune = False
max_autotune_gemm = False
max_autotune_pointwise = False
coordinate_descent_tuning = False
coordinate_descent_check_all_directions = False
epilogue_fusion = True
shape_padding = False
freezing = False
compile_threads = 1
cpp_wrapper = False
use_mixed_mm = False
fallback_random = emulate_precision_casts = False
layout_optimization = reorder_for_locality = pattern_matcher = split_reductions = True
keep_output_stride = inplace_buffers = permute_fusion = True
benchmark_kernel = profile_bandwidth = decompose_mem_bound_mm = False
comprehensive_padding = memory_planning = aggressive_fusion = assert_indirect_indexing = True
size_asserts = nan_asserts = b2b_gemm_pass = combo_kernels = False
max_autotune_gemm_backends = "CPP"
conv_1x1_as_mm = dce = use_fast_math = deterministic = force_disable_caches = worker_start_method = False
force_fuse_int_mm_with_mul = False
triton = _types.SimpleNamespace(cudagraphs=False, cudagraph_trees=False, unique_kernel_names=False, cudagraph_skip_dynamic_graphs=False)
cpp = _types.SimpleNamespace(threads=-1, simdlen=None)

_sys.modules[__name__].__class__ = _Settings
