"""Processes that compute together: `torch.distributed`, for a world of one process.

`init_process_group` with `world_size=1` (or `WORLD_SIZE=1`, or neither) works, and with it every collective operation:
each gives what it would give in such a world. A world of several processes raises `NotImplementedError`.
"""

from flambeau.distributed.collectives import ReduceOp as ReduceOp
from flambeau.distributed.collectives import Work as Work
from flambeau.distributed.collectives import all_gather as all_gather
from flambeau.distributed.collectives import all_gather_into_tensor as all_gather_into_tensor
from flambeau.distributed.collectives import all_gather_object as all_gather_object
from flambeau.distributed.collectives import all_reduce as all_reduce
from flambeau.distributed.collectives import all_to_all as all_to_all
from flambeau.distributed.collectives import all_to_all_single as all_to_all_single
from flambeau.distributed.collectives import barrier as barrier
from flambeau.distributed.collectives import broadcast as broadcast
from flambeau.distributed.collectives import broadcast_object_list as broadcast_object_list
from flambeau.distributed.collectives import gather as gather
from flambeau.distributed.collectives import gather_object as gather_object
from flambeau.distributed.collectives import irecv as irecv
from flambeau.distributed.collectives import isend as isend
from flambeau.distributed.collectives import monitored_barrier as monitored_barrier
from flambeau.distributed.collectives import recv as recv
from flambeau.distributed.collectives import reduce as reduce
from flambeau.distributed.collectives import reduce_scatter as reduce_scatter
from flambeau.distributed.collectives import reduce_scatter_tensor as reduce_scatter_tensor
from flambeau.distributed.collectives import scatter as scatter
from flambeau.distributed.collectives import scatter_object_list as scatter_object_list
from flambeau.distributed.collectives import send as send
from flambeau.distributed.world import Backend as Backend
from flambeau.distributed.world import ProcessGroup as ProcessGroup
from flambeau.distributed.world import destroy_process_group as destroy_process_group
from flambeau.distributed.world import get_backend as get_backend
from flambeau.distributed.world import get_global_rank as get_global_rank
from flambeau.distributed.world import get_group_rank as get_group_rank
from flambeau.distributed.world import get_process_group_ranks as get_process_group_ranks
from flambeau.distributed.world import get_rank as get_rank
from flambeau.distributed.world import get_world_size as get_world_size
from flambeau.distributed.world import group as group
from flambeau.distributed.world import init_process_group as init_process_group
from flambeau.distributed.world import is_available as is_available
from flambeau.distributed.world import is_gloo_available as is_gloo_available
from flambeau.distributed.world import is_initialized as is_initialized
from flambeau.distributed.world import is_mpi_available as is_mpi_available
from flambeau.distributed.world import is_nccl_available as is_nccl_available
from flambeau.distributed.world import is_torchelastic_launched as is_torchelastic_launched
from flambeau.distributed.world import new_group as new_group
