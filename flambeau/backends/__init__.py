"""What programs ask of `torch.backends`: which libraries and devices there are."""

from flambeau.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
