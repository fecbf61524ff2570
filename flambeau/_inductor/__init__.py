"""The name below which PyTorch's code generator lies; the one here is `flambeau.compiler`."""

from flambeau._inductor import config as config
from flambeau.compiler.control import cudagraph_mark_step_begin as cudagraph_mark_step_begin
