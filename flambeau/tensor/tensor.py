"""The Tensor: an array with autograd state. Operators are defined in `flambeau.ops` and bound
to it there.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import modes
from flambeau.autograd.node import AccumulateGrad, Node, OutputOf, RemovableHandle
from flambeau.autograd.ownership import may_keep
from flambeau.core import device as devices
from flambeau.core.dtypes import FROM_NUMPY, dtype, from_numpy_dtype
from flambeau.core.shapes import Size, contiguous_strides
from flambeau.tensor import printing
from flambeau.tensor.tracing import need_value, state
from flambeau.tensor.views import View, make_detached, rebase_history

if TYPE_CHECKING:
    from flambeau.tensor.methods import (
        TensorMethods,  # what the operator table binds to the class
    )
else:
    TensorMethods = object

ndarray = np.ndarray


class Extra:
    """What few tensors have: hooks, a name, and whether a non-leaf keeps its gradient."""

    __slots__ = (
        "accumulator", "hooks", "inference", "keep", "post_accumulate_hooks", "retains_grad",
    )  # fmt: skip

    def __init__(self) -> None:
        self.hooks: dict[int, Callable] | None = None
        self.post_accumulate_hooks: dict[int, Callable] | None = None
        self.accumulator: AccumulateGrad | None = None  # once asked for
        self.retains_grad = False
        self.inference = False
        self.keep: Any = None  # what owns the memory, if it is not NumPy


class Tensor(TensorMethods):
    """A multi-dimensional array of one dtype that can record what is computed with it.

    `Tensor(2, 3)` and `Tensor([1.0, 2.0])` make tensors of the default dtype, as PyTorch's
    legacy constructor does; use `flambeau.tensor` for anything else.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_array",  # numpy.ndarray, or the compiler's symbol while a program is traced
        "_changes",  # [number of in-place changes], shared by views; None stands for [0]
        "_extra",  # Extra, or None
        "_grad",
        "_node",  # the autograd node (or OutputOf) that made this tensor; None for a leaf
        "_requires_grad",
        "_view",  # View, if this tensor shares the memory of a base
    )

    _array: Any
    _node: Any
    _requires_grad: bool
    _changes: list[int] | None
    _view: View | None
    _grad: Tensor | None
    _extra: Extra | None

    # Construction -----------------------------------------------------------------------------

    def __new__(cls, *data: Any, dtype: Any = None, device: Any = None) -> Tensor:
        devices.check_device(device)
        made = object.__new__(cls)
        made._reset(legacy_array(data))
        return made

    def _reset(self, array: Any) -> None:
        """Makes this tensor a fresh leaf on `array`."""
        self._array = array
        self._node = None
        self._requires_grad = False
        self._changes = None
        self._view = None
        self._grad = None
        self._extra = None

    def _alias(self) -> Tensor:
        """A new leaf tensor on the same memory, with the same version counter."""
        made = wrap(self._shared())
        made._changes = self._counter()
        return made

    def _shared(self) -> Any:
        """What another tensor on the same memory holds: the array, or while a program is traced its symbol."""
        if state.busy and (tracer := state.tracer) is not None:
            return tracer.symbol_of(self)
        return self._array

    def as_subclass(self, cls: type) -> Any:
        """This tensor as an instance of `cls`, on the same memory and graph."""
        made = object.__new__(cls)
        for slot in ("_array", "_node", "_requires_grad", "_view", "_extra"):
            setattr(made, slot, getattr(self, slot))
        made._grad = None
        made._changes = self._counter()
        return made

    # Shape, dtype, place ----------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._array.shape)

    @property
    def dtype(self) -> dtype:
        return FROM_NUMPY[self._array.dtype]

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def device(self) -> devices.device:
        return devices.CPU

    @property
    def layout(self) -> devices.layout:
        return devices.strided

    @property
    def itemsize(self) -> int:
        return self._array.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.size * self._array.dtype.itemsize

    is_cuda = is_sparse = is_sparse_csr = is_quantized = is_meta = is_mkldnn = is_mps = (
        is_xpu
    ) = False
    _sparse = False  # whether this is one of `ops/sparse.py`, which has no array
    is_nested = is_vulkan = is_xla = is_ipu = is_mtia = False
    is_cpu = True
    names_ = None

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its size at `dim`."""
        if dim is None:
            return Size(self._array.shape)
        from flambeau.core.shapes import wrap_dim

        return self._array.shape[wrap_dim(dim, self._array.ndim)]

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """The strides in elements, or the one of `dim`."""
        array = self._array
        strides = tuple(s // array.dtype.itemsize for s in array.strides)
        if dim is None:
            return strides
        from flambeau.core.shapes import wrap_dim

        return strides[wrap_dim(dim, array.ndim)]

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._array.dtype.itemsize

    def storage_offset(self) -> int:
        """Elements between the start of the memory and this tensor's first."""
        if self._view is None:
            return 0
        if not isinstance(self._array, ndarray):
            return self._array.offset // self._array.dtype.itemsize
        base = self._root()._array
        return (address(self._array) - address(base)) // self._array.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        need_value("data_ptr()")
        return address(self._array) if self._array.size else 0

    def get_device(self) -> int:
        return -1

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._array.dtype.kind in "cW"

    def is_signed(self) -> bool:
        return self.dtype.is_signed

    def is_inference(self) -> bool:
        return self._extra is not None and self._extra.inference

    def is_conj(self) -> bool:
        return False

    def is_neg(self) -> bool:
        return False

    def resolve_conj(self) -> Tensor:
        return self

    def resolve_neg(self) -> Tensor:
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def pin_memory(self, device: Any = None) -> Tensor:
        """This tensor: there is no device to copy to, so nothing is gained by pinning."""
        return self

    # Autograd ---------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        if self._requires_grad:
            return True
        view = self._view
        return view is not None and view.differentiable and view.base._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._node is not None:
            if not wanted:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a computed variable in a subgraph that doesn't require "
                    "differentiation use var_no_grad = var.detach()."
                )
            return
        if wanted and self.dtype.kind < 2:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if wanted and self._extra is not None and self._extra.inference and not modes.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed."
            )
        self._requires_grad = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets whether operators on this leaf are recorded."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        if state.busy and (tracer := state.tracer) is not None and tracer.begins_outside(self):
            return False
        return self._fresh_node() is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; `None` for a leaf."""
        node = self._fresh_node()
        return node.node if type(node) is OutputOf else node

    @property
    def output_nr(self) -> int:
        return self._node.slot if type(self._node) is OutputOf else 0

    def _fresh_node(self) -> Any:
        view = self._view
        if view is not None and view.is_stale(self):
            view.refresh(self)
        return self._node

    def _edge(self) -> Any:
        """Where a gradient of this tensor goes: its node, itself for a leaf, or `None`."""
        node = self._node if self._view is None else self._fresh_node()
        if node is not None:
            return node
        return self if self._requires_grad else None

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward()`; `None` before."""
        if state.busy and (tracer := state.tracer) is not None:
            return tracer.grad_of(self)
        if self._grad is None and self._node is not None and not self._retains():
            import warnings

            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                "Its .grad attribute won't be populated during autograd.backward(). If you "
                "indeed want the .grad "
                "field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype "
                    f"'{value.dtype.tensor_type.lower()}' to a tensor with grad_dtype "
                    f"'{self.dtype.tensor_type}'. The gradient must match the "
                    "tensor's grad_dtype (defaults to the tensor's dtype)."
                )
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a "
                    f"tensor of size '{list(self.shape)}'. Please ensure that the gradient and "
                    "the tensor are the same size"
                )
        if state.busy and state.tracer is not None:
            state.tracer.set_grad(self, value)
        else:
            self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _retains(self) -> bool:
        return self._extra is not None and self._extra.retains_grad

    @property
    def retains_grad(self) -> bool:
        return self._retains()

    def _accumulate_grad(self, grad: Tensor, create_graph: bool) -> None:
        """Adds to `.grad`; the first gradient is copied where others may hold the same memory."""
        if grad._sparse or (self._grad is not None and self._grad._sparse):
            self._grad = grad.detach() if self._grad is None else self._grad + grad.detach()
            return
        if not create_graph and (not state.busy or state.tracer is None):
            held = self._grad
            if held is None and may_keep(grad, self):
                self._grad = wrap(grad._array)
            elif held is None:
                array = np.empty_like(
                    self._array
                )  # with the strides of this tensor, as PyTorch lays it out
                array[...] = grad._array
                self._grad = wrap(array)
            else:
                held._array += grad._array
                held._bump()
            return
        held = self.grad if state.tracer is not None else self._grad
        if held is None:
            grad = grad.clone() if create_graph else grad.detach().clone()
        elif create_graph:
            grad = held + grad
        else:
            held.detach().add_(grad.detach())
            return
        if state.tracer is not None:
            state.tracer.set_grad(self, grad)
        else:
            self._grad = grad

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds the gradients of this tensor to the `.grad` of the leaves it came from.

        `gradient` (of this tensor's shape) is needed unless it has one element. Raises
        `RuntimeError` where there is no graph or it was freed.
        """
        engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls `hook(grad)` when the gradient of this tensor is known; what it returns
        replaces it.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )
        node = self._fresh_node()
        if node is not None:
            if type(node) is OutputOf:
                return node.node.add_tensor_hook(node.slot, hook)
            return node.add_tensor_hook(0, hook)
        extra = self._own_extra()
        if extra.hooks is None:
            extra.hooks = {}
        return RemovableHandle(extra.hooks, hook)

    def register_post_accumulate_grad_hook(
        self, hook: Callable[[Tensor], None]
    ) -> RemovableHandle:
        """Calls `hook(tensor)` after a gradient was added to this leaf's `.grad`."""
        if not self._requires_grad:
            raise RuntimeError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )
        if self._node is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        extra = self._own_extra()
        if extra.post_accumulate_hooks is None:
            extra.post_accumulate_hooks = {}
        return RemovableHandle(extra.post_accumulate_hooks, hook)

    def retain_grad(self) -> None:
        """Keeps the gradient of this non-leaf tensor in its `.grad` too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._fresh_node() is None or self._retains():
            return
        self._own_extra().retains_grad = True
        self._follow_node()

    def _follow_node(self) -> None:
        """Makes the node of this tensor, whose gradient is retained, hand it its gradient."""
        node = self._node
        owner = node.node if type(node) is OutputOf else node
        retained = owner.own_rare().retained
        slot = node.slot if type(node) is OutputOf else 0
        retained[slot] = weakref.ref(self)

    def _retain(self, grad: Tensor) -> None:
        value = grad if modes.grad_enabled else grad.detach().clone()
        if state.busy and (tracer := state.tracer) is not None:
            held = tracer.grad_of(self)
            tracer.set_grad(self, value if held is None else held + value)
        else:
            self._grad = value if self._grad is None else self._grad + value

    def _ones(self) -> Tensor:
        """Ones of this shape and dtype: what a backward pass starts from."""
        ones = wrap(np.ones(self._array.shape, self._array.dtype))
        return ones if state.tracer is None else state.tracer.constant(ones)

    def _own_extra(self) -> Extra:
        if self._extra is None:
            self._extra = Extra()
        return self._extra

    def detach(self) -> Tensor:
        """This tensor without its history, on the same memory."""
        made = self._alias()
        view = self._view
        if view is not None:
            make_detached(made, self)
        if self._extra is not None and self._extra.inference:
            made._own_extra().inference = True
        return made

    def detach_(self) -> Tensor:
        """Drops the history of this tensor."""
        if self._view is not None and self._view.differentiable:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is "
                "set as True, gradients are views of DDP buckets, and hence detach_() cannot "
                "be called on these gradients. To fix this error, please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
        self._node = None
        self._requires_grad = False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history and without version checks."""
        return wrap(self._shared())

    @data.setter
    def data(self, value: Tensor) -> None:
        need_value("assigning to .data")
        if self.requires_grad and value.dtype.kind < 2:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or "
                "complex dtype"
            )
        self._array = value._array

    def set_(
        self,
        source: Tensor | None = None,
        storage_offset: int = 0,
        size: Sequence[int] | None = None,
        stride: Sequence[int] | None = None,
    ) -> Tensor:
        """Puts this tensor on the memory of `source` (or on none), in its shape or as given."""
        need_value("set_()")
        self._check_inplace()
        if source is None:
            self._array = np.empty((0,), self._array.dtype)
        else:
            array = source._array
            if array.dtype != self._array.dtype:
                raise RuntimeError(
                    f"Could not set tensor of type {source.dtype.tensor_type} to a tensor of "
                    f"type {self.dtype.tensor_type}"
                )
            if size is not None:
                step = array.dtype.itemsize
                strides = [step * n for n in (stride or contiguous_strides(size))]
                memory = source._memory()
                array = np.ndarray(
                    tuple(size), array.dtype, memory, step * storage_offset, strides
                )
            self._array = array
            self._changes = source._counter()
        self._bump()
        return self

    # Versions, views, in-place changes --------------------------------------------------------

    def _counter(self) -> list[int]:
        if self._changes is None:
            self._changes = [0]
        return self._changes

    def _version_number(self) -> int:
        return 0 if self._changes is None else self._changes[0]

    @property
    def _version(self) -> int:
        """How often this memory was changed in place."""
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._version_number()

    @property
    def _base(self) -> Tensor | None:
        return self._view.base if self._is_view() else None

    def _is_view(self) -> bool:
        return self._view is not None and (
            self._view.differentiable or self._view.forbidden is not None
        )

    def _check_inplace(self, recorded: bool = False) -> None:
        """Raises where PyTorch forbids changing this tensor in place.

        `recorded`: what is written requires a gradient, even if this tensor does not.
        """
        extra = self._extra
        if extra is not None and extra.inference and not modes.inference:
            raise RuntimeError(INFERENCE_INPLACE)
        if not modes.grad_enabled:
            return
        view = self._view
        if view is None:
            if self._requires_grad and self._node is None:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation."
                )
        elif recorded or self.requires_grad:
            if view.forbidden is not None:
                view.refuse(self)
            base = view.base
            leaf = self._requires_grad and self._node is None and not base._requires_grad
            if leaf or (view.differentiable and base._requires_grad and base._node is None):
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place "
                    "operation."
                )

    def _assign(self, value: Tensor) -> Tensor:
        """Overwrites the elements with `value` (of the same shape and dtype) and takes its
        history.
        """
        recorded = modes.grad_enabled and value.requires_grad
        self._check_inplace(recorded)
        if state.busy and state.tracer is not None:
            state.tracer.write(self, value)
        elif self._view is not None and overlaps_itself(self._array):
            raise RuntimeError(SHARED_ELEMENTS)
        else:
            self._array[...] = value._array
        self._bump()
        if modes.grad_enabled and (recorded or self._requires_grad or self._view is not None):
            rebase_history(self, value)
        return self

    def _bump(self) -> None:
        if self._changes is None:
            self._changes = [1]
        else:
            self._changes[0] += 1

    # Values -----------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The elements as a NumPy array on the same memory. Raises `RuntimeError` for a tensor that wants
        gradients, outside `no_grad`.
        """
        need_value("numpy()")
        if not force and modes.grad_enabled and self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> Any:
        """The one element as a Python number. Raises `RuntimeError` if there are more or
        none.
        """
        need_value("item()")
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar"
            )
        return python_number(self._array)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        need_value("tolist()")
        array = self._array
        if array.dtype.kind == "V":
            array = array.astype(np.float32)
        return array.tolist()

    def __bool__(self) -> bool:
        need_value("the truth value of a tensor")
        size = self._array.size
        if size == 1:
            return bool(self._array.reshape(())[()])
        if size == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        value = self.item()
        if not isinstance(value, int):
            raise TypeError(
                "only integer tensors of a single element can be converted to an index"
            )
        return int(value)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))  # type: ignore[attr-defined]

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, int, float, bool, complex)):
            return bool((self == element).any())  # type: ignore[attr-defined]
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        need_value("printing a tensor")
        return printing.tensor_str(self)

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})

    # Copies across programs -------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the "
                "deepcopy protocol at the moment.  If you were attempting to deepcopy a "
                "module, this may be because of a torch.nn.utils.weight_norm usage, see "
                "https://github.com/pytorch/pytorch/pull/103001"
            )
        made = object.__new__(type(self))
        memo[id(self)] = made
        made._reset(self._copied_memory(memo))
        made._requires_grad = self._requires_grad
        if self._grad is not None:
            made._grad = copy.deepcopy(self._grad, memo)
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def _copied_memory(self, memo: dict[Any, Any]) -> ndarray:
        """A copy of the elements; copies with the same `memo` share memory as their originals
        do.
        """
        array, base = self._array, self._memory()
        if base is None:
            return copy_keeping_strides(array)
        key = ("memory", address(base))
        if key not in memo:
            memo[key] = base.copy()
        return np.ndarray(
            array.shape, array.dtype, memo[key], address(array) - address(base), array.strides
        )

    def _root(self) -> Tensor:
        """The tensor whose memory this one is a part of."""
        root = self
        while root._view is not None:
            root = root._view.base
        return root

    def _memory(self) -> ndarray | None:
        """The whole memory that this tensor is a part of, where that is one gapless array."""
        base = self._root()._array
        if not base.flags.c_contiguous or not base.size:
            return None
        start, first = address(base), address(self._array)
        return base if start <= first < start + base.nbytes else None

    def __reduce_ex__(self, protocol: Any) -> tuple:
        array, base = self._array, self._memory()
        if base is None:
            if not (array.flags.f_contiguous or array.flags.c_contiguous):
                array = np.ascontiguousarray(array).reshape(array.shape)
            place = (array, 0, array.shape, array.strides, array.dtype)
        else:  # tensors that share memory share it again when they are pickled together
            place = (
                base,
                address(array) - address(base),
                array.shape,
                array.strides,
                array.dtype,
            )
        return rebuild, (type(self), place, self.requires_grad, self.__dict__ or None)


INFERENCE_INPLACE = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a "
    "clone to get a normal tensor before doing inplace update.See "
    "https://github.com/pytorch/rfcs/pull/17 for more details."
)

SHARED_ELEMENTS = (
    "unsupported operation: more than one element of the written-to tensor refers to a single "
    "memory location. Please clone() the tensor before performing the operation."
)


def overlaps_itself(array: ndarray) -> bool:
    """Whether several elements lie at one place because a dimension was expanded."""
    strides = array.strides
    if 0 not in strides:
        return False
    return array.size > 1 and any(
        s == 0 and n > 1 for s, n in zip(strides, array.shape, strict=True)
    )


_new = object.__new__


def wrap(array: Any) -> Tensor:
    """A leaf tensor on `array`: a NumPy array, or a NumPy scalar where an operator gave one."""
    made = _new(Tensor)
    made._array = (
        array
        if array.__class__ is ndarray or not isinstance(array, np.generic)
        else np.asarray(array)
    )
    made._node = made._changes = made._view = made._grad = made._extra = None
    made._requires_grad = False
    return made


def address(array: np.ndarray) -> int:
    """Where an array's first element lies in memory."""
    return array.__array_interface__["data"][0]


def python_number(array: np.ndarray) -> Any:
    """The one element of `array` as a Python number (bfloat16 widens)."""
    value = array.reshape(())[()]
    return float(value) if array.dtype.kind == "V" else value.item()


def copy_keeping_strides(array: np.ndarray) -> np.ndarray:
    """A copy whose dimensions lie in memory in the order of the original's."""
    return array.copy(order="K")


def rebuild(cls: type, place: Any, requires_grad: bool, attributes: dict | None) -> Any:
    """A tensor from its pickled parts; `place` is an array, and where in it the elements
    lie.
    """
    made = object.__new__(cls)
    memory, offset, shape, strides, stored = place
    if (shape, strides, stored) != (memory.shape, memory.strides, memory.dtype):
        memory = np.ndarray(shape, stored, memory, offset, strides)
    made._reset(memory)
    made._requires_grad = requires_grad
    if attributes:
        made.__dict__.update(attributes)
    return made


def legacy_array(data: Sequence[Any], stored: np.dtype | None = None) -> np.ndarray:
    """What `Tensor(...)` holds: sizes make an uninitialised array, one sequence its values."""
    from flambeau.core.dtypes import get_default_dtype

    stored = stored or get_default_dtype().numpy
    if len(data) == 1 and not isinstance(data[0], int):
        given = data[0]
        if isinstance(given, Size):
            return np.empty(tuple(given), stored)
        if isinstance(given, Tensor):
            return given._array
        return np.asarray(given, dtype=stored)
    return np.empty(tuple(int(n) for n in data) if data else (0,), stored)


__all__ = ["AccumulateGrad", "Extra", "Tensor", "address", "from_numpy_dtype", "wrap"]
