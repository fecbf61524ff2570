"""The classes of memory: `torch.storage`."""

from flambeau.tensor.storage import TypedStorage as TypedStorage
from flambeau.tensor.storage import UntypedStorage as UntypedStorage
