"""The compiler: a traced graph of primitives becomes native code."""

from flambeau.compiler.control import allow_in_graph as allow_in_graph
from flambeau.compiler.control import assume_constant_result as assume_constant_result
from flambeau.compiler.control import cudagraph_mark_step_begin as cudagraph_mark_step_begin
from flambeau.compiler.control import disable as disable
from flambeau.compiler.control import get_default_backend as get_default_backend
from flambeau.compiler.control import is_compiling as is_compiling
from flambeau.compiler.control import is_dynamo_compiling as is_dynamo_compiling
from flambeau.compiler.control import is_exporting as is_exporting
from flambeau.compiler.control import list_backends as list_backends
from flambeau.compiler.control import nested_compile_region as nested_compile_region
from flambeau.compiler.control import reset as reset
from flambeau.compiler.entry import compile as compile
from flambeau.compiler.settings import set_stance as set_stance
