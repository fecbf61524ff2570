"""The processor."""


def get_cpu_capability() -> str:
    """The widest vectors that kernels are made for here, as PyTorch names them."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return "AVX512" if features.get("avx512f") else "AVX2" if features.get("avx2") else "DEFAULT"
