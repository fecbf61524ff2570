"""Python around tensors as users write it, compiled: results and what happens to objects are eager's."""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from program_helpers import Compiler, compare

import flambeau as torch
from flambeau import nn

PROGRAMS: dict[str, Callable[[Compiler], list[Any]]] = {}


def program(f: Callable[[Compiler], list[Any]]) -> Callable[[Compiler], list[Any]]:
    PROGRAMS[f.__name__] = f
    return f


@program
def outputs_kinds(compiled: Compiler) -> list[Any]:
    P = collections.namedtuple("P", "a b")

    @dataclasses.dataclass
    class D:
        a: typing.Any
        b: typing.Any = None

    f = compiled(
        lambda x: {
            "p": P(x + 1, [x * 2, None, "s", 3]),
            "d": D(x * 3, x),
            "od": collections.OrderedDict(z=x - 1),
        }
    )
    o = []
    for _ in range(3):
        r = f(torch.ones(2))
        assert type(r["p"]) is P and isinstance(r["d"], D) and isinstance(r["od"], collections.OrderedDict)
        o += [r["p"].a, r["p"].b[0], r["d"].a, r["d"].b, r["od"]["z"]]
    return o


@program
def args_kwargs(compiled: Compiler) -> list[Any]:
    def f(x, *args, scale=1.0, flag=False, **kw):
        for a in args:
            x = x + a
        for k in sorted(kw):
            x = x * kw[k]
        return x * scale if flag else x - scale

    f = compiled(f)
    x = torch.ones(3)
    return [
        f(x),
        f(x, x, x),
        f(x, x, scale=2.0, flag=True),
        f(x, b=x * 2, a=3),
        f(x, a=3, b=x * 2),
        f(x, flag=True, scale=2.0),
    ]


@program
def lists_changing(compiled: Compiler) -> list[Any]:
    f = compiled(lambda xs: sum(x.sum() for x in xs))
    return [f([torch.ones(2)] * 1 + [torch.randn(3) for _ in range(n)]) for n in range(6)]


@program
def same_twice(compiled: Compiler) -> list[Any]:
    def f(a, b):
        a.add_(1)
        return a * b

    f = compiled(f)
    o = []
    for _ in range(3):
        x = torch.ones(3)
        y = torch.ones(3)
        o += [f(x, x), x, f(x, y), x, y]
    return o


@program
def noncontig(compiled: Compiler) -> list[Any]:
    f = compiled(lambda x: (x * 2, x.t().sum(0), x.reshape(-1)))
    x = torch.randn(4, 6)
    o = []
    for v in (x, x.t(), x[::2], x[:, 1:4]):
        r = f(v)
        o += [*r, [t.stride() for t in r]]
    return o


@program
def inner_function(compiled: Compiler) -> list[Any]:
    def f(x):
        def g(y, k=2):
            return y * k

        h = lambda z: g(z) + 1
        return h(x)

    f = compiled(f)
    return [f(torch.ones(3)) for _ in range(3)]


@program
def decorated(compiled: Compiler) -> list[Any]:
    def deco(fn):
        @functools.wraps(fn)
        def w(*a, **k):
            return fn(*a, **k) * 2

        return w

    @compiled
    @deco
    def f(x):
        return x + 1

    return [f(torch.ones(2)) for _ in range(3)]


@program
def methods(compiled: Compiler) -> list[Any]:
    class A:
        k = 2

        def __init__(s):
            s.w = torch.ones(2)

        def m(s, x):
            return x * s.w * s.k

        @staticmethod
        def st(x):
            return x + 1

        @classmethod
        def cl(cls, x):
            return x * cls.k

        @property
        def p(s):
            return s.w * 3

        def all(s, x):
            return s.m(x) + s.st(x) + s.cl(x) + s.p

    a = A()
    f = compiled(a.all)
    o = [f(torch.ones(2))]
    a.k = 5
    o.append(f(torch.ones(2)))
    a.w = torch.zeros(2)
    o.append(f(torch.ones(2)))
    A.k = 7
    o.append(f(torch.ones(2)))
    return o


@program
def partials(compiled: Compiler) -> list[Any]:
    f = compiled(functools.partial(lambda a, b, c=1: a * b + c, torch.full((2,), 2.0), c=4))
    return [f(torch.ones(2)) for _ in range(3)]


@program
def generators(compiled: Compiler) -> list[Any]:
    def gen(x, n):
        for i in range(n):
            yield x * i

    f = compiled(lambda x: sum(gen(x, 4)))
    return [f(torch.ones(2)) for _ in range(3)]


@program
def tensor_subscript_assign(compiled: Compiler) -> list[Any]:
    def f(x, i):
        y = torch.zeros(4)
        y[1:3] = x
        y[i] = 5
        m = y > 1
        y[m] = 7.0
        return y, torch.where(m, y, -y)

    f = compiled(f)
    return [t for i in range(4) for t in f(torch.ones(2) * i, i)]


@program
def isinstance_enum(compiled: Compiler) -> list[Any]:
    import enum

    class E(enum.Enum):
        A = 1
        B = 2

    f = compiled(lambda x, e: x * e.value if e is E.A else x - 1)
    return [f(torch.ones(2), E.A), f(torch.ones(2), E.B), f(torch.ones(2), E.A)]


@program
def moduledict(compiled: Compiler) -> list[Any]:
    class M(nn.Module):
        def __init__(s):
            super().__init__()
            s.d = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
            s.p = nn.ParameterList([nn.Parameter(torch.ones(2)) for _ in range(3)])

        def forward(s, x, which):
            x = s.d[which](x)
            for p in s.p:
                x = x * p
            return x

    m = M()
    f = compiled(m)
    return [f(torch.ones(1, 2), k) for k in "abab"]


@program
def shape_arith(compiled: Compiler) -> list[Any]:
    def f(x):
        b, c, h, w = x.shape
        x = x.view(b, c // 2, 2, h, w).permute(0, 2, 1, 3, 4).contiguous().view(b, -1, h, w)
        return x.size(), x.mean(dim=(2, 3)), x.new_zeros(b), x.numel()

    f = compiled(f)
    return [t for b in (1, 2, 3) for t in f(torch.randn(b, 4, 2, 2))]


@program
def dataclass_arg(compiled: Compiler) -> list[Any]:
    @dataclasses.dataclass
    class B:
        x: typing.Any
        n: int = 2
        tag: str = "a"

    f = compiled(lambda b: b.x * b.n if b.tag == "a" else b.x - b.n)
    return [f(B(torch.ones(2), k, "ab"[k % 2])) for k in range(6)]


@program
def hf_like_output(compiled: Compiler) -> list[Any]:
    class ModelOutput(collections.OrderedDict):
        def __getattr__(s, k):
            try:
                return s[k]
            except KeyError:
                raise AttributeError(k) from None

    f = compiled(lambda x: ModelOutput(logits=x * 2, loss=x.sum()))
    r = [f(torch.ones(2)) for _ in range(2)]
    return [r[0].logits, r[1].loss, type(r[1]).__name__]


@program
def closures_factory(compiled: Compiler) -> list[Any]:
    def make(k):
        return compiled(lambda x: x * k)

    fs = [make(i) for i in range(3)]
    return [f(torch.ones(2)) for f in fs] + [fs[0](torch.ones(2))]


@program
def global_function_swap(compiled: Compiler) -> list[Any]:
    d = {"act": torch.relu}
    f = compiled(lambda x: d["act"](x))
    o = [f(-torch.ones(2))]
    d["act"] = torch.tanh
    o.append(f(-torch.ones(2)))
    d["act"] = lambda x: x * 5
    o.append(f(-torch.ones(2)))
    return o


@program
def nested_containers_inplace(compiled: Compiler) -> list[Any]:
    def f(d):
        d["a"].add_(1)
        d["l"][0].mul_(2)
        return d["a"].sum()

    f = compiled(f)
    o = []
    for _ in range(3):
        d = {"a": torch.ones(2), "l": [torch.ones(2), torch.ones(2)]}
        o += [f(d), d["a"], d["l"][0]]
    return o


@program
def out_kw(compiled: Compiler) -> list[Any]:
    def f(x, o):
        torch.add(x, 1, out=o)
        return o * 2

    f = compiled(f)
    q = []
    for _ in range(2):
        b = torch.zeros(2)
        q += [f(torch.ones(2), b), b]
    return q


@program
def requires_grad_inside(compiled: Compiler) -> list[Any]:
    def f(x):
        x.requires_grad_(True)
        return (x * x).sum()

    f = compiled(f)
    o = []
    for _ in range(3):
        x = torch.ones(2)
        l = f(x)
        o.append(x.requires_grad)
        l.backward()
        o.append(x.grad)
    return o


@program
def hook_in_function(compiled: Compiler) -> list[Any]:
    def f(x):
        y = x * 2
        y.register_hook(lambda g: g * 10)
        return y.sum()

    f = compiled(f)
    o = []
    for _ in range(2):
        x = torch.ones(2, requires_grad=True)
        f(x).backward()
        o.append(x.grad)
    return o


@program
def hook_on_result(compiled: Compiler) -> list[Any]:
    f = compiled(lambda x: x * 2)
    o = []
    for _ in range(2):
        x = torch.ones(2, requires_grad=True)
        y = f(x)
        y.register_hook(lambda g: g * 3)
        y.retain_grad()
        y.sum().backward()
        o += [x.grad, y.grad]
    return o


@program
def multi_backward(compiled: Compiler) -> list[Any]:
    f = compiled(lambda x: (x * 2, x * 3))
    o = []
    for _ in range(2):
        x = torch.ones(2, requires_grad=True)
        a, b = f(x)
        a.sum().backward(retain_graph=True)
        b.sum().backward()
        o.append(x.grad)
    return o


@program
def partial_backward(compiled: Compiler) -> list[Any]:
    f = compiled(lambda x, w: (x * 2, w * 3))
    o = []
    for _ in range(2):
        x = torch.ones(2, requires_grad=True)
        w = torch.ones(2, requires_grad=True)
        a, b = f(x, w)
        a.sum().backward()
        o += [x.grad, w.grad]
    return o


@program
def walrus_match(compiled: Compiler) -> list[Any]:
    def f(x, m):
        match m:
            case "a":
                return x + 1
            case ("b", k):
                return x * k
            case _:
                return (y := x * 2) + y

    f = compiled(f)
    return [
        f(torch.ones(2), "a"),
        f(torch.ones(2), ("b", 3)),
        f(torch.ones(2), ("b", 4)),
        f(torch.ones(2), ("b", 5)),
        f(torch.ones(2), None),
    ]


@program
def set_grad_leak(compiled: Compiler) -> list[Any]:
    def f(x):
        torch.set_grad_enabled(False)
        return x * 2

    f = compiled(f)
    o = []
    for _ in range(3):
        torch.set_grad_enabled(True)
        y = f(torch.ones(2, requires_grad=True))
        o += [y.requires_grad, torch.is_grad_enabled()]
    torch.set_grad_enabled(True)
    return o


@program
def module_list_mutation(compiled: Compiler) -> list[Any]:
    m = nn.Sequential(nn.Linear(2, 2))
    f = compiled(m)
    o = [f(torch.ones(1, 2))]
    m.append(nn.ReLU())
    o.append(f(torch.ones(1, 2)))
    m.add_module("z", nn.Linear(2, 1))
    o.append(f(torch.ones(1, 2)))
    return o


@program
def functools_cache(compiled: Compiler) -> list[Any]:
    @functools.lru_cache
    def pe(n):
        return torch.arange(n).float()

    f = compiled(lambda x: x + pe(x.shape[0]))
    return [f(torch.zeros(n)) for n in (2, 3, 2, 3)]


@program
def lazy_buffer(compiled: Compiler) -> list[Any]:
    class M(nn.Module):
        def __init__(s):
            super().__init__()
            s.c = None

        def forward(s, x):
            if s.c is None or s.c.shape[0] != x.shape[0]:
                s.c = torch.arange(x.shape[0]).float()
            return x + s.c

    m = M()
    f = compiled(m)
    return [f(torch.zeros(n)) for n in (2, 2, 2, 3, 3, 2, 2)]


@program
def inplace_views_chain(compiled: Compiler) -> list[Any]:
    def f(x):
        y = x.clone()
        v = y[1:]
        v.mul_(2)
        w = v.view(-1)
        w[0] = 9
        y[0] = v.sum()
        return y, v, w

    f = compiled(f)
    o = []
    for _ in range(2):
        x = torch.ones(4, requires_grad=True)
        y, v, w = f(x)
        (y.sum() * 2 + v.sum()).backward()
        o += [y, v, w, x.grad]
    return o


@program
def arg_grad_history(compiled: Compiler) -> list[Any]:
    def f(x, w):
        x.mul_(w)
        return x.sum()

    f = compiled(f)
    o = []
    for _ in range(2):
        x = torch.ones(2)
        w = torch.ones(2, requires_grad=True)
        l = f(x, w)
        (l + x.sum()).backward()
        o += [w.grad, x.requires_grad]
    return o


@program
def np_const(compiled: Compiler) -> list[Any]:
    a = np.array([1.0, 2.0], np.float32)
    f = compiled(lambda x: x + torch.from_numpy(a))
    o = [f(torch.ones(2))]
    a[0] = 5
    o.append(f(torch.ones(2)))
    return o


@program
def np_scalar_arg(compiled: Compiler) -> list[Any]:
    f = compiled(lambda x, s: x * s)
    return [f(torch.ones(2), np.float32(k)) for k in range(4)] + [
        f(torch.ones(2), np.float64(k)) for k in range(4)
    ]


@program
def swap_globals(compiled: Compiler) -> list[Any]:
    s = {"a": torch.zeros(2), "b": torch.ones(2)}

    def f(x):
        s["a"], s["b"] = s["b"], s["a"]
        return s["a"] + x

    f = compiled(f)
    return [f(torch.zeros(2)) for _ in range(5)] + [s["a"]]


@program
def custom_function(compiled: Compiler) -> list[Any]:
    class Sq(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * 20

    f = compiled(lambda x: Sq.apply(x).sum())
    o = []
    for _ in range(3):
        x = torch.arange(3.0).requires_grad_()
        f(x).backward()
        o.append(x.grad)
    return o


@program
def kv_cache_tensorpos(compiled: Compiler) -> list[Any]:
    class M(nn.Module):
        def __init__(s):
            super().__init__()
            s.register_buffer("k", torch.zeros(1, 8, 2))

        def forward(s, x, pos):
            s.k.index_copy_(1, pos, x)
            return s.k.sum(1)

    m = M()
    f = compiled(m)
    return [f(torch.ones(1, 1, 2) * i, torch.tensor([i])) for i in range(6)]


@program
def mutate_arg_list(compiled: Compiler) -> list[Any]:
    def f(xs):
        xs.append(xs[0] * 2)
        return xs[0].sum()

    f = compiled(f)
    o = []
    for _ in range(3):
        xs = [torch.ones(2)]
        o.append(f(xs))
        o.append(len(xs))
        o.append(xs[1])
    return o


@program
def mutate_arg_dict(compiled: Compiler) -> list[Any]:
    def f(d):
        d["y"] = d["x"] * 2
        return d

    f = compiled(f)
    o = []
    for _ in range(3):
        d = {"x": torch.ones(2)}
        r = f(d)
        o += [r["y"], d["y"], r is d]
    return o


@program
def return_arg_container(compiled: Compiler) -> list[Any]:
    f = compiled(lambda d: d)
    d = {"x": torch.ones(2)}
    return [f(d) is d, f(d)["x"]]


@program
def dataclass_mutated(compiled: Compiler) -> list[Any]:
    @dataclasses.dataclass
    class B:
        x: typing.Any
        n: int = 0
        y: typing.Any = None

    def f(b):
        b.y = b.x * 2
        b.n = 5
        return b

    f = compiled(f)
    o = []
    for _ in range(3):
        b = B(torch.ones(2))
        r = f(b)
        o += [r is b, b.y, b.n, b.x]
    return o


@program
def nested_mutated(compiled: Compiler) -> list[Any]:
    def f(d, l):
        d["inner"]["z"] = d["x"] + 1
        l.pop(0)
        l.insert(0, d["inner"])
        return {"d": d, "l": [l, d["x"]]}

    f = compiled(f)
    o = []
    for _ in range(3):
        d = {"x": torch.ones(2), "inner": {}}
        l = [torch.zeros(1), 3]
        r = f(d, l)
        o += [r["d"] is d, r["l"][0] is l, l[0] is d["inner"], d["inner"]["z"], len(l), r["l"][1] is d["x"]]
    return o


@program
def pipeline_dict(compiled: Compiler) -> list[Any]:
    m = nn.Linear(2, 2)

    def f(batch):
        batch["h"] = m(batch["x"])
        batch["loss"] = batch["h"].pow(2).mean()
        del batch["x"]
        return batch

    f = compiled(f)
    o = []
    for _ in range(3):
        m.zero_grad()
        b = f({"x": torch.ones(1, 2)})
        b["loss"].backward()
        o += [list(b), b["h"], b["loss"], m.weight.grad.clone()]
    return o


@program
def kwargs_mutated(compiled: Compiler) -> list[Any]:
    def f(**kw):
        kw["a"] = kw["a"] * 2
        return kw

    f = compiled(f)
    d = {"a": torch.ones(2)}
    r = [f(**d) for _ in range(3)]
    return [r[0]["a"], r[2]["a"], d["a"], r[0] is d]


@program
def list_swap(compiled: Compiler) -> list[Any]:
    def f(l):
        l[0], l[1] = l[1], l[0] * 2
        return None

    f = compiled(f)
    l = [torch.ones(1), torch.ones(1) * 3]
    o = []
    for _ in range(4):
        f(l)
        o += [l[0].clone(), l[1].clone()]
    return o


@program
def list_sort_append_none(compiled: Compiler) -> list[Any]:
    def f(l, x):
        l.append(None)
        l.append(x.shape[0])
        l.append("s")
        return len(l)

    f = compiled(f)
    o = []
    for _ in range(3):
        l = []
        o += [f(l, torch.ones(2)), l[1:]]
    return o


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    compare(PROGRAMS[name])
