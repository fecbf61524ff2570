"""Settings of PyTorch's code generator. They may be set; none has a meaning here."""

import types as _types

debug = False
fx_graph_cache = True
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
force_fuse_int_mm_with_mul = False
triton = _types.SimpleNamespace(cudagraphs=False, cudagraph_trees=False, unique_kernel_names=False)
cpp = _types.SimpleNamespace(threads=-1, simdlen=None)
