"""Modules against PyTorch's: hooks, errors, containers, initial values, state."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def plain(value: Any) -> Any:
    """Tensors as nested lists, and all else as text: the same for both frameworks."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if hasattr(value, "detach"):
        value = value.detach()
        return [str(value.dtype), tuple(value.shape), np.asarray(value.numpy()).round(5).tolist()]
    return str(value).replace("flambeau", "torch")


def same(program: Any, exact_text: bool = True) -> Any:
    """Runs `program(framework)` under both, compares what it returns or raises."""
    found = []
    for framework in (torch, flambeau):
        framework.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(plain(program(framework)))
            except Exception as error:
                text = str(error).replace("flambeau", "torch") if exact_text else ""
                found.append([type(error).__name__, text])
    assert found[1] == found[0]
    return found[0]


def network(M: Any) -> Any:
    return M.nn.Sequential(
        OrderedDict(
            conv=M.nn.Conv2d(2, 3, 3),
            norm=M.nn.BatchNorm2d(3),
            rest=M.nn.Sequential(M.nn.ReLU(), M.nn.Flatten(), M.nn.Linear(27, 4)),
        )
    )


# Initial values -----------------------------------------------------------------------------------

LAYERS = [
    ("Linear", (5, 7)), ("Linear", (5, 7, False)), ("Bilinear", (3, 4, 5)), ("Conv1d", (4, 6, 3)),
    ("Conv2d", (4, 6, 3, 1, 0, 1, 2)), ("Conv3d", (2, 4, 3)), ("ConvTranspose2d", (4, 6, 3)),
    ("Embedding", (9, 4, 2)), ("EmbeddingBag", (9, 4)), ("LSTM", (4, 5, 2)), ("GRU", (4, 5)),
    ("RNN", (4, 5)), ("LSTMCell", (4, 5)), ("MultiheadAttention", (8, 2)), ("PReLU", (3,)),
    ("TransformerEncoderLayer", (8, 2, 16)), ("Transformer", (8, 2, 1, 1, 16)),
    ("AdaptiveLogSoftmaxWithLoss", (8, 20, [5, 12])), ("LayerNorm", (4,)), ("GroupNorm", (2, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), LAYERS)
def test_initial_values_are_bit_identical(name: str, arguments: tuple) -> None:
    states = []
    for M in (torch, flambeau):
        M.manual_seed(3)
        states.append(getattr(M.nn, name)(*arguments).state_dict())
    assert list(states[0]) == list(states[1])
    for key, theirs in states[0].items():
        np.testing.assert_array_equal(states[1][key].numpy(), theirs.numpy(), strict=True)


INITIALISERS: list[tuple[str, dict[str, Any]]] = [
    ("uniform_", {"a": -2.0, "b": 3.0}), ("normal_", {"mean": 1.0, "std": 2.0}),
    ("trunc_normal_", {}), ("trunc_normal_", {"mean": 0.3, "std": 0.1, "a": 0.25, "b": 0.4}),
    ("trunc_normal_", {"a": 2.0, "b": 3.0}), ("constant_", {"val": 0.3}), ("ones_", {}),
    ("zeros_", {}), ("eye_", {}), ("xavier_uniform_", {"gain": 2.0}), ("xavier_normal_", {}),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}), ("kaiming_normal_", {}),
    ("sparse_", {"sparsity": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), INITIALISERS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (100, 99)])
def test_init(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    for seed in range(5):
        found = []
        for M in (torch, flambeau):
            M.manual_seed(seed)
            found.append(getattr(M.nn.init, name)(M.empty(*shape), **options).numpy())
        if name == "trunc_normal_":
            # Acceptance compares logarithms, whose last bit may differ.
            np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
        else:
            np.testing.assert_array_equal(found[1], found[0])


def test_init_of_convolutions_and_errors() -> None:
    for groups in (1, 2):
        same(lambda M, g=groups: M.nn.init.dirac_(M.empty(4, 3, 3, 3), g))
    same(lambda M: M.nn.init.dirac_(M.empty(4, 3)))
    same(lambda M: M.nn.init.dirac_(M.empty(5, 3, 3), 2))
    same(lambda M: M.nn.init.eye_(M.empty(3)))
    same(lambda M: M.nn.init.kaiming_uniform_(M.empty(3)))
    same(lambda M: M.nn.init.kaiming_uniform_(M.empty(3, 3), mode="both"))
    same(lambda M: M.nn.init.calculate_gain("gelu"))
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        same(lambda M, n=name: M.nn.init.calculate_gain(n))


# Module -------------------------------------------------------------------------------------------


def test_members_by_name() -> None:
    def program(M: Any) -> Any:
        net = network(M)
        net.shared = net.conv
        net.register_buffer("note", M.ones(2), persistent=False)
        net.register_buffer("nothing", None)
        return [
            [name for name, _ in net.named_modules()],
            [name for name, _ in net.named_modules(remove_duplicate=False)],
            [name for name, _ in net.named_parameters()],
            [name for name, _ in net.named_parameters("net", recurse=False)],
            [name for name, _ in net.named_buffers()],
            [name for name, _ in net.named_children()],
            list(net.state_dict()),
            str(dict(net.state_dict()._metadata)),
            repr(net),
            repr(net.get_submodule("rest.2")),
            net.get_parameter("rest.2.bias"),
            net.get_buffer("norm.running_var"),
        ]

    same(program)


BAD_CALLS = {
    "extra_keyword": lambda M: M.nn.Module(x=1),
    "extra_positional": lambda M: M.nn.Module(1),
    "no_forward": lambda M: M.nn.Module()(1),
    "missing_attribute": lambda M: M.nn.Linear(1, 1).nothing,
    "parameter_as_number": lambda M: setattr(M.nn.Linear(1, 1), "weight", 3),
    "parameter_as_tensor": lambda M: setattr(M.nn.Linear(1, 1), "weight", M.ones(1)),
    "module_as_number": lambda M: setattr(network(M), "conv", 3),
    "buffer_as_number": lambda M: setattr(M.nn.BatchNorm1d(2), "running_mean", 3),
    "buffer_dot": lambda M: M.nn.Module().register_buffer("a.b", None),
    "buffer_empty": lambda M: M.nn.Module().register_buffer("", None),
    "buffer_taken": lambda M: M.nn.Linear(1, 1).register_buffer("weight", None),
    "buffer_kind": lambda M: M.nn.Module().register_buffer("a", 3),
    "parameter_dot": lambda M: M.nn.Module().register_parameter("a.b", None),
    "parameter_kind": lambda M: M.nn.Module().register_parameter("a", M.ones(1)),
    "parameter_name": lambda M: M.nn.Module().register_parameter(3, None),
    "parameter_taken": lambda M: M.nn.BatchNorm1d(2).register_parameter("running_mean", None),
    "module_kind": lambda M: M.nn.Module().add_module("a", 3),
    "module_dot": lambda M: M.nn.Module().add_module("a.b", None),
    "module_taken": lambda M: M.nn.Linear(1, 1).add_module("weight", None),
    "no_submodule": lambda M: network(M).get_submodule("rest.7"),
    "submodule_is_parameter": lambda M: network(M).get_submodule("conv.weight"),
    "parameter_is_module": lambda M: network(M).get_parameter("conv"),
    "no_parameter": lambda M: network(M).get_parameter("conv.x"),
    "buffer_is_parameter": lambda M: network(M).get_buffer("conv.weight"),
    "to_integers": lambda M: network(M).to(M.int64),
    "train_mode": lambda M: network(M).train("yes"),
    "padding": lambda M: M.nn.Conv2d(1, 1, 1, padding_mode="mirror") and 0,
    "groups": lambda M: M.nn.Conv2d(3, 4, 1, groups=2),
    "same_with_stride": lambda M: M.nn.Conv2d(3, 4, 1, stride=2, padding="same"),
    "transposed_padding": lambda M: M.nn.ConvTranspose2d(1, 1, 1, padding_mode="reflect"),
    "output_size": lambda M: M.nn.ConvTranspose1d(1, 1, 3, 2)(M.ones(1, 1, 4), [20]),
    "dropout": lambda M: M.nn.Dropout(1.5),
    "group_norm": lambda M: M.nn.GroupNorm(2, 3),
    "batch_norm_dims": lambda M: M.nn.BatchNorm2d(3)(M.ones(2, 3)),
    "rnn_sizes": lambda M: M.nn.LSTM(2, 3)(M.ones(4, 5, 7)),
    "rnn_state": lambda M: M.nn.LSTM(2, 3)(M.ones(4, 5, 2), (M.ones(1, 5, 4), M.ones(1, 5, 3))),
    "rnn_projection": lambda M: M.nn.GRU(2, 3, proj_size=2),
    "rnn_nonlinearity": lambda M: M.nn.RNN(2, 3, nonlinearity="sin"),
    "triplet_margin": lambda M: M.nn.TripletMarginLoss(margin=0),
    "sequential_index": lambda M: network(M)[5],
    "sequential_add": lambda M: network(M) + 3,
    "module_list": lambda M: M.nn.ModuleList(3),
    "module_list_index": lambda M: M.nn.ModuleList()[0],
    "module_dict": lambda M: M.nn.ModuleDict([("a", 1, 2)]),
    "parameter_list_call": lambda M: M.nn.ParameterList()(),
    "parameter_dict_key": lambda M: M.nn.ParameterDict()[3],
}


@pytest.mark.parametrize("name", [n for n in BAD_CALLS if n != "padding"])
def test_errors(name: str) -> None:
    found = same(BAD_CALLS[name])
    assert found is not None


def test_subclass_that_forgets_to_initialise() -> None:
    def forgetful(kind: str) -> Any:
        def program(M: Any) -> Any:
            class Forgetful(M.nn.Module):
                def __init__(self) -> None:
                    if kind == "parameter":
                        self.a = M.nn.Parameter(M.ones(1))
                    elif kind == "module":
                        self.a = M.nn.ReLU()
                    else:
                        self.register_buffer("a", None)

            return Forgetful()

        return program

    for kind in ("parameter", "module", "buffer"):
        same(forgetful(kind))


def test_load_state_dict() -> None:
    def program(M: Any) -> Any:
        a, b = network(M), network(M)
        keys = b.load_state_dict(a.state_dict())
        state = a.state_dict()
        state["extra"] = M.ones(1)
        del state["norm.bias"]
        loose = b.load_state_dict(state, strict=False)
        return [repr(keys), repr(loose), loose.missing_keys, b.state_dict()]

    same(program)

    def wrong(M: Any) -> Any:
        net = network(M)
        state = net.state_dict()
        state["conv.weight"] = M.ones(1, 2)
        state["conv.bias"] = 3
        state["rest.9.weight"] = M.ones(1)
        del state["norm.bias"]
        net.load_state_dict(state)

    same(wrong)
    same(lambda M: network(M).load_state_dict([1]))

    def assigned(M: Any) -> Any:
        net = network(M)
        state = {key: value.double() for key, value in net.state_dict().items()}
        net.load_state_dict(state, assign=True)
        return [[str(p.dtype), p.requires_grad, type(p).__name__] for p in net.parameters()]

    same(assigned)


def test_batch_norm_of_older_files() -> None:
    def program(M: Any) -> Any:
        net = M.nn.BatchNorm1d(2)
        net(M.ones(3, 2))
        state = OrderedDict(net.state_dict())
        del state["num_batches_tracked"]
        return repr(net.load_state_dict(state))

    same(program)


def test_extra_state() -> None:
    def program(M: Any) -> Any:
        class Counted(M.nn.Module):
            count = 0

            def get_extra_state(self) -> Any:
                return {"count": self.count}

            def set_extra_state(self, state: Any) -> None:
                self.count = state["count"]

        a, b = Counted(), Counted()
        a.count = 5
        b.load_state_dict(a.state_dict())
        return [list(a.state_dict()), b.count]

    same(program)


def test_conversion_keeps_objects() -> None:
    def program(M: Any) -> Any:
        net = network(M)
        before = list(net.parameters())
        net(M.ones(2, 2, 5, 5)).sum().backward()
        net.double()
        kept = all(a is b for a, b in zip(before, net.parameters(), strict=True))
        kinds = [str(t.dtype) for t in net.state_dict().values()]
        grads = [str(p.grad.dtype) for p in net.parameters()]
        net.requires_grad_(False)
        net.zero_grad()
        return [
            kept, kinds, grads, [p.requires_grad for p in net.parameters()],
            [p.grad for p in net.parameters()], net.eval().training, net.rest[0].training,
            repr(copy.deepcopy(net)), net.float()(M.ones(1, 2, 5, 5)),
        ]  # fmt: skip

    same(program)


def test_pickle() -> None:
    net = network(flambeau)
    again = pickle.loads(pickle.dumps(net))
    assert repr(again) == repr(net)
    for key, value in net.state_dict().items():
        assert flambeau.equal(value, again.state_dict()[key])


def test_attributes_move_between_dictionaries() -> None:
    def program(M: Any) -> Any:
        net = M.nn.Module()
        net.a = M.ones(1)
        steps = []

        def note() -> None:
            steps.append(
                [list(net._parameters), list(net._buffers), list(net._modules), "a" in net.__dict__]
            )

        note()
        net.a = M.nn.Parameter(M.ones(1))
        note()
        net.a = None
        note()
        net.a = M.nn.ReLU()
        note()
        del net.a
        net.register_buffer("a", M.ones(1), persistent=False)
        note()
        net.a = M.zeros(1)
        note()
        net.a = M.nn.Buffer(M.ones(2))
        note()
        steps.append(list(net.state_dict()))
        return steps

    same(program)


# Hooks --------------------------------------------------------------------------------------------


def test_forward_hooks() -> None:
    def program(M: Any) -> Any:
        calls = []
        net = M.nn.Linear(2, 2)
        net.register_forward_pre_hook(lambda m, a: calls.append("pre") or (a[0] * 2,))
        net.register_forward_pre_hook(
            lambda m, a, k: calls.append(["pre2", sorted(k)]), with_kwargs=True, prepend=True
        )
        handle = net.register_forward_hook(lambda m, a, o: calls.append("post") or o + 1)
        net.register_forward_hook(
            lambda m, a, k, o: calls.append(["post2", len(a)]), with_kwargs=True
        )
        first = net(M.ones(1, 2))
        handle.remove()
        handle.remove()
        return [first, net(M.ones(1, 2)), calls]

    same(program)
    same(lambda M: _with_bad_pre_hook(M)(M.ones(1, 2)))


def _with_bad_pre_hook(M: Any) -> Any:
    net = M.nn.Linear(2, 2)
    net.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    return net


def test_always_called_hooks() -> None:
    def program(M: Any) -> Any:
        calls = []
        net = M.nn.Linear(2, 2)
        net.register_forward_hook(lambda m, a, o: calls.append(str(o)), always_call=True)
        net.register_forward_hook(lambda m, a, o: calls.append("skipped"))
        try:
            net(M.ones(1, 3))
        except RuntimeError:
            calls.append("raised")
        return calls

    same(program)


def test_full_backward_hooks() -> None:
    def program(M: Any) -> Any:
        seen = []
        net = M.nn.Sequential(M.nn.Linear(2, 3), M.nn.Tanh(), M.nn.Linear(3, 1))
        net[0].register_full_backward_hook(lambda m, i, o: seen.append(["first", i, o]))
        net[2].register_full_backward_hook(lambda m, i, o: seen.append(["last", i, o]) or (i[0] * 2,))
        net[1].register_full_backward_pre_hook(lambda m, o: seen.append(["pre", o]) or (o[0] * 3,))
        x = M.ones(2, 2, requires_grad=True)
        net(x).sum().backward()
        y = M.ones(2, 2)
        net.zero_grad()
        net(y).sum().backward()
        return [seen, x.grad, [p.grad for p in net.parameters()]]

    same(program)

    def mixed(M: Any) -> Any:
        net = M.nn.Linear(1, 1)
        net.register_backward_hook(lambda *a: None)
        net.register_full_backward_hook(lambda *a: None)

    same(mixed)


def test_global_hooks() -> None:
    def program(M: Any) -> Any:
        calls: list[Any] = []
        module = M.nn.modules.module
        handles = [
            module.register_module_forward_pre_hook(lambda m, a: calls.append(["pre", repr(m)])),
            module.register_module_forward_hook(lambda m, a, o: calls.append(["post", repr(m)])),
            module.register_module_full_backward_hook(lambda m, i, o: calls.append(["back", i])),
            module.register_module_parameter_registration_hook(
                lambda m, n, p: calls.append(["parameter", n])
            ),
            module.register_module_module_registration_hook(
                lambda m, n, c: calls.append(["module", n])
            ),
            module.register_module_buffer_registration_hook(
                lambda m, n, b: calls.append(["buffer", n])
            ),
        ]
        try:
            net = M.nn.Sequential(M.nn.Linear(2, 2), M.nn.BatchNorm1d(2))
            net(M.ones(3, 2, requires_grad=True)).sum().backward()
        finally:
            for handle in handles:
                handle.remove()
        return calls

    same(program)


def test_state_dict_hooks() -> None:
    def program(M: Any) -> Any:
        calls = []
        net = network(M)
        net.register_state_dict_pre_hook(lambda m, p, k: calls.append(["pre", p, k]))
        net.rest.register_state_dict_post_hook(lambda m, s, p, l: s.pop(p + "2.bias") and None)
        net.rest.register_load_state_dict_pre_hook(lambda m, s, p, *a: calls.append(["load", p]))
        net.register_load_state_dict_post_hook(lambda m, k: k.missing_keys.clear())
        state = net.state_dict(prefix="net.")
        keys = net.load_state_dict(net.state_dict())
        return [list(state), calls, repr(keys)]

    same(program)


# Containers ---------------------------------------------------------------------------------------


def test_sequential() -> None:
    def program(M: Any) -> Any:
        nn = M.nn
        net = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
        shown = []
        net.append(nn.Tanh()).insert(1, nn.Sigmoid()).extend(nn.Sequential(nn.GELU()))
        shown.append(repr(net))
        shown += [repr(net[1:3]), repr(net[-1]), len(net), repr(net.pop(0))]
        del net[1]
        net[0] = nn.ELU()
        shown += [repr(net), repr(net + nn.Sequential(nn.ReLU())), repr(net * 2), repr(2 * net)]
        net *= 2
        net += nn.Sequential(nn.SiLU())
        del net[0:2]
        return [*shown, repr(net), list(net.state_dict())]

    same(program)


def test_lists_and_dictionaries() -> None:
    def program(M: Any) -> Any:
        nn = M.nn
        layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
        layers.append(nn.ReLU())
        layers.insert(1, nn.Tanh())
        shown = [repr(layers), repr(layers[1:3]), len(layers), repr(layers + [nn.ReLU()])]
        del layers[0]
        layers[-1] = nn.GELU()
        shown += [repr(layers), repr(layers.pop(0)), repr(nn.ModuleList())]
        named = nn.ModuleDict({"b": nn.ReLU(), "a": nn.Linear(1, 1)})
        named.update([("c", nn.Tanh())])
        shown += [repr(named), list(named.keys()), "a" in named, repr(named.pop("b")), len(named)]
        values = nn.ParameterList([M.ones(2), nn.Parameter(M.ones(1, 2)), 3])
        values += [M.zeros(1)]
        shown += [repr(values), len(values), repr(values[1:]), list(values.state_dict())]
        table = nn.ParameterDict({"b": M.ones(2), "a": nn.Parameter(M.ones(1))})
        table["n"] = 5
        shown += [repr(table), list(table), table.get("x", 7), repr(table | nn.ParameterDict({"z": M.ones(1)}))]
        shown += [table.setdefault("q", M.ones(1)), list(reversed(table)), table.popitem()[0], table.pop("n")]
        return [*shown, list(table.copy().keys()), list(table.fromkeys(["u"], 1).items())]

    same(program)


def test_lazy() -> None:
    def program(M: Any) -> Any:
        net = M.nn.Sequential(M.nn.LazyConv2d(4, 3), M.nn.LazyBatchNorm2d(), M.nn.Flatten(), M.nn.LazyLinear(2))
        shown = [repr(net), [M.nn.parameter.is_lazy(p) for p in net.parameters()]]
        out = net(M.ones(2, 3, 5, 5))
        return [*shown, repr(net), out, list(net.state_dict())]

    same(program)
