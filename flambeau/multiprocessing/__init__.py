"""Python's `multiprocessing`, with tensors that stay in one place: `torch.multiprocessing`.

A tensor that is sent to another process is moved to shared memory, and both see what either writes.
"""

import multiprocessing as _multiprocessing
from multiprocessing import *

from flambeau.multiprocessing.sharing import (
    get_all_sharing_strategies as get_all_sharing_strategies,
)
from flambeau.multiprocessing.sharing import get_sharing_strategy as get_sharing_strategy
from flambeau.multiprocessing.sharing import register as _register
from flambeau.multiprocessing.sharing import set_sharing_strategy as set_sharing_strategy
from flambeau.multiprocessing.spawning import ProcessContext as ProcessContext
from flambeau.multiprocessing.spawning import ProcessException as ProcessException
from flambeau.multiprocessing.spawning import ProcessExitedException as ProcessExitedException
from flambeau.multiprocessing.spawning import ProcessRaisedException as ProcessRaisedException
from flambeau.multiprocessing.spawning import SpawnContext as SpawnContext
from flambeau.multiprocessing.spawning import spawn as spawn
from flambeau.multiprocessing.spawning import start_processes as start_processes

__all__ = [*_multiprocessing.__all__, "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy"]
_register()
