"""Outputs from inside a network, by the names of its modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau import nn

__all__ = ["create_feature_extractor", "get_graph_node_names"]

Nodes = Sequence[str] | Mapping[str, str]

_HINT = (
    "Hint: use `get_graph_node_names` to make sure the `return_nodes` you specified are present."
    " It may even be that you need to specify `train_return_nodes` and `eval_return_nodes`"
    " separately."
)


class FeatureExtractor(nn.Module):
    """Runs a network up to the last node that is wanted, and returns the nodes' outputs.

    Its parameters, their names and its children are the network's own.
    """

    def __init__(
        self, model: nn.Module, train_nodes: dict[str, str], eval_nodes: dict[str, str]
    ):
        super().__init__()
        self.__dict__["model"] = model  # no child: the names in `state_dict` are the network's
        self._modules = model._modules
        self._parameters = model._parameters
        self._buffers = model._buffers
        self.train_return_nodes = train_nodes
        self.eval_return_nodes = eval_nodes
        self.training = model.training

    def train(self, mode: bool = True) -> FeatureExtractor:
        """Switches the network, and which nodes are returned, to training or evaluation."""
        self.model.train(mode)
        return super().train(mode)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The outputs by the names they were given, in the order they were computed."""
        nodes = self.train_return_nodes if self.training else self.eval_return_nodes
        outputs: dict[str, Any] = {}
        with _collecting(self.model, nodes, outputs):
            try:
                self.model(*args, **kwargs)
            except _AllFound as stop:
                if stop.outputs is not outputs:
                    raise
        missing = sorted(set(nodes) - set(outputs))
        if missing:
            mode = "training" if self.training else "evaluation"
            raise RuntimeError(f"nodes {', '.join(missing)} did not run in {mode} mode")
        return {nodes[name]: value for name, value in outputs.items()}


class _AllFound(Exception):
    """Ends a forward pass when nothing after it is wanted."""

    def __init__(self, outputs: dict[str, Any]):
        super().__init__()
        self.outputs = outputs


@contextmanager
def _collecting(
    model: nn.Module, nodes: Mapping[str, str], outputs: dict[str, Any]
) -> Iterator[None]:
    """Inside, what the nodes give is written into `outputs`."""
    calls: dict[str, int] = {}

    def collecting(name: str) -> Any:
        def collect(module: nn.Module, inputs: Any, output: Any) -> None:
            number = calls.get(name, 0)
            calls[name] = number + 1
            node = f"{name}_{number}" if number else name
            if node in nodes:
                outputs[node] = output
                if len(outputs) == len(nodes):
                    raise _AllFound(outputs)

        return collect

    wanted = {_module_of(model, node) for node in nodes}
    hooks = [
        module.register_forward_hook(collecting(name))
        for name, module in model.named_modules()
        if name in wanted
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _module_of(model: nn.Module, node: str) -> str | None:
    """The module whose first call is `node`, or whose later call it is ("relu_1"), if any."""
    names = dict(model.named_modules())
    if node in names and node:
        return node
    name, _, number = node.rpartition("_")
    return name if name in names and name and number.isdigit() and number != "0" else None


def get_graph_node_names(
    model: nn.Module,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """The names of nodes that `create_feature_extractor` knows, in training and in evaluation.

    They are the qualified names of the modules, "layer1.0.conv1" as well as "layer1", in the
    order they were defined. A module that is called several times in a forward pass has further
    nodes, with the number of the call after an underscore: "relu", "relu_1", "relu_2". Operators
    outside of modules have no nodes (torchvision names them "add", "flatten").

    Arguments:
        model: the network.
        tracer_kwargs, suppress_diff_warning, concrete_args: options of torchvision's tracing,
            which is not needed here; `concrete_args` must be `None`.
    """
    _refuse_tracing(concrete_args)
    names = [name for name, _ in model.named_modules() if name]
    return names, list(names)


def create_feature_extractor(
    model: nn.Module,
    return_nodes: Nodes | None = None,
    train_return_nodes: Nodes | None = None,
    eval_return_nodes: Nodes | None = None,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> FeatureExtractor:
    """A network that returns a dictionary of what modules inside of `model` give.

    What comes after the last node that is wanted is not computed. The parameters are shared with
    `model`.

    Arguments:
        model: the network.
        return_nodes: names as `get_graph_node_names` has them, or a mapping from those to the
            names that the dictionary shall have.
        train_return_nodes, eval_return_nodes: the same, apart for training and evaluation.
        tracer_kwargs, suppress_diff_warning, concrete_args: see `get_graph_node_names`.

    Raises:
        ValueError: for a node that is not there, or if it is unclear which are wanted.
    """
    _refuse_tracing(concrete_args)
    apart = train_return_nodes is not None, eval_return_nodes is not None
    if return_nodes is None and not any(apart):
        raise ValueError(
            "Either `return_nodes` or `train_return_nodes` and `eval_return_nodes` together,"
            " should be specified"
        )
    if any(apart) and not all(apart):
        raise ValueError(
            "If any of `train_return_nodes` and `eval_return_nodes` are specified, then both"
            " should be specified"
        )
    if return_nodes is not None and any(apart):
        raise ValueError(
            "If `train_return_nodes` and `eval_return_nodes` are specified, then both should be"
            " specified without `return_nodes`"
        )
    both = (
        train_return_nodes if return_nodes is None else return_nodes,
        eval_return_nodes if return_nodes is None else return_nodes,
    )
    train, evaluation = (_as_mapping(model, nodes or {}) for nodes in both)
    return FeatureExtractor(model, train, evaluation)


def _as_mapping(model: nn.Module, nodes: Nodes) -> dict[str, str]:
    named = dict(nodes) if isinstance(nodes, Mapping) else {str(n): str(n) for n in nodes}
    for node in named:
        if _module_of(model, node) is None:
            raise ValueError(f"node: '{node}' is not present in model. {_HINT}")
    return named


def _refuse_tracing(concrete_args: Any) -> None:
    if concrete_args is not None:
        raise NotImplementedError(
            "concrete_args: features are collected while the network runs; there is no tracing"
            " that could be given arguments"
        )
