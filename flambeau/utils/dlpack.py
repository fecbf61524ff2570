"""DLPack, under the names of `torch.utils.dlpack`."""

from flambeau.ops.dlpack import from_dlpack as from_dlpack
from flambeau.ops.dlpack import to_dlpack as to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
