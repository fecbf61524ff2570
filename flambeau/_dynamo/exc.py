"""Errors under the names of PyTorch's tracer."""

from flambeau.compiler.errors import FailOnRecompileLimitHit as FailOnRecompileLimitHit
from flambeau.compiler.errors import InvalidBackend as InvalidBackend
from flambeau.compiler.errors import RecompileError as RecompileError
from flambeau.compiler.errors import TorchDynamoException as TorchDynamoException
from flambeau.compiler.errors import Unsupported as Unsupported
