"""Kernels against PyTorch, over a grid of shapes: medians, ratios, GFLOP/s or GB/s.

    python benchmarks/kernels.py [--threads 2] [--rounds 5] [--only conv] [--json FILE]

Each library runs in a process of its own, in turn (A B A B), because PyTorch's workers spin on
after their work and would slow whoever runs beside them. Results are compared before timing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

GEMMS = [
    # m, n, k, whether B is stored transposed (as a linear layer's weight is)
    (1, 1000, 512, True), (16, 128, 1280, True), (64, 128, 1280, True), (64, 1280, 128, False),
    (128, 1280, 64, False), (256, 256, 256, False), (512, 512, 512, True),
    (1024, 1024, 1024, False), (2048, 1024, 256, True), (2048, 256, 1024, True), (32, 512, 128, True),
    (16, 4096, 9216, True), (16, 9216, 4096, False), (48, 48, 48, False), (8, 16, 32, True),
]  # fmt: skip
CONVS = [
    # batch, in, out, size, kernel, stride, padding, groups
    (16, 1, 8, 112, 5, 2, 0, 1), (16, 16, 16, 25, 3, 1, 0, 1), (16, 40, 80, 4, 3, 1, 1, 1),
    (16, 3, 6, 32, 5, 1, 0, 1), (8, 3, 64, 224, 7, 2, 3, 1), (8, 64, 64, 56, 3, 1, 1, 1),
    (8, 128, 128, 28, 3, 1, 1, 1), (8, 256, 256, 14, 3, 1, 1, 1), (8, 512, 512, 7, 3, 1, 1, 1),
    (8, 64, 128, 56, 3, 2, 1, 1), (8, 64, 64, 56, 3, 1, 1, 64), (1, 64, 64, 56, 3, 1, 1, 1),
    (16, 64, 192, 27, 5, 1, 2, 1), (8, 64, 256, 56, 1, 1, 0, 1), (1, 16, 16, 23, 3, 1, 0, 1),
    (8, 256, 64, 56, 1, 1, 0, 1), (8, 1024, 256, 14, 1, 1, 0, 1), (8, 2048, 512, 7, 1, 1, 0, 1),
    (1, 2048, 512, 7, 1, 1, 0, 1), (2, 512, 512, 28, 3, 1, 1, 1), (2, 512, 512, 14, 3, 1, 1, 1),
    (2, 96, 96, 112, 3, 2, 1, 96), (2, 384, 384, 14, 3, 1, 1, 384), (2, 144, 144, 28, 5, 1, 2, 144),
    (4, 128, 128, 56, 3, 1, 1, 32),
]  # fmt: skip
POINTWISE = ["add", "relu", "exp", "tanh", "sigmoid", "gelu", "sin", "log"]
SIZES = [1_000, 100_000, 4_000_000]
REDUCTIONS = [((2048, 1024), (1,)), ((2048, 1024), (0,)), ((16, 64, 56, 56), (0, 2, 3)),
              ((2_000_000,), (0,))]  # fmt: skip

ATTENTIONS = [
    # batch, heads, length, width, causal
    (16, 4, 128, 64, False), (8, 6, 64, 64, True), (1, 8, 1024, 64, False), (1, 8, 1024, 64, True),
    (1, 12, 2048, 64, False), (2, 8, 512, 128, True), (32, 8, 32, 16, False),
]  # fmt: skip
ROWS = [(2048, 512), (512, 10_000), (16_384, 64)]  # of softmax and layer normalisation
PLACES = [((1000, 1000), 0), ((1000, 1000), 1), ((1_000_000,), 0)]  # what is read and added to, and along which dimension
SORTED = [((100_000, 10), "float32"), ((10_000, 100), "float32"), ((1000, 1000), "float32"), ((1_000_000,), "float32"),
          ((1000, 1000), "float64"), ((1_000_000,), "int64")]  # fmt: skip
FIRST = [((1000, 1000), 10), ((128, 32_000), 50), ((1_000_000,), 10), ((10_000, 100), 5)]  # the largest of a row
ADDED = [(20_000, 3000, 64), (4096, 65, 384)]  # rows that are added at positions, of how many, how wide

Case = tuple[str, float, Callable[[], Any], str]


def flambeau_cases(threads: int) -> Iterator[Case]:
    """Name, work, call and unit of everything that is timed."""
    from flambeau.kernels import call
    from flambeau.kernels import threads as pool
    from flambeau.kernels.reduce import Reduction

    pool.set_num_threads(threads)
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    for m, n, k, turned in GEMMS:
        a, b, out = normal(m, k), normal(n, k).T if turned else normal(k, n), normal(m, n)
        yield (_gemm_name(m, n, k, turned), 2 * m * n * k,
               lambda a=a, b=b, out=out: (call.matmul(a, b, out), out)[1], "GFLOP/s")  # fmt: skip
    for row in CONVS:
        shape = _shape(row)
        x, w = (
            normal(row[0], row[1], row[3], row[3]),
            normal(row[2], shape.group_in, *shape.kernel),
        )
        y = normal(row[0], row[2], *shape.out_size)
        out, dx, dw = np.empty_like(y), np.empty_like(x), np.empty_like(w)
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("forward", lambda v=(x, w, None, out, shape): (call.conv2d(*v), v[3])[1]),
            ("input", lambda v=(y, w, dx, shape): (call.conv2d_input_gradient(*v), v[2])[1]),
            ("weight", lambda v=(x, y, dw, shape): (call.conv2d_weight_gradient(*v), v[2])[1]),
        ]
        for part, function in calls:
            yield f"conv {_conv_name(row)} {part}", shape.flops, function, "GFLOP/s"
        if row[0] % 16 == 0:  # the layout that the compiler chooses: samples side by side

            def lanes(v: np.ndarray) -> np.ndarray:
                return np.ascontiguousarray(v.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)

            args = lanes(x), w, None, lanes(out), shape
            yield (f"conv {_conv_name(row)} forward, batch in lanes", shape.flops,
                   lambda v=args: (call.conv2d(*v), v[3])[1], "GFLOP/s")  # fmt: skip
    for op in POINTWISE:
        for size in SIZES:
            x, y, out = np.abs(normal(size)), normal(size), normal(size)
            two = op == "add"
            nodes = (("input", 0), ("input", 1), (op, 0, 1)) if two else (("input", 0), (op, 0))
            ins = [x, y] if two else [x]
            yield (f"pointwise {op} {size}", 4 * size * (len(ins) + 1),
                   lambda v=(nodes, ins, [out], (len(ins),)): (call.pointwise_chain(*v), v[2])[1][0],
                   "GB/s")  # fmt: skip
    for shape_, axes in REDUCTIONS:
        x = normal(*shape_)
        out = np.empty(x.sum(axes).shape, np.float32)
        yield (f"sum {'x'.join(map(str, shape_))} over {axes}", 4 * x.size,
               lambda v=((("input", 0),), [x], [Reduction("sum", 0)], axes, [out]):
               (call.reduction(*v), v[4][0])[1], "GB/s")  # fmt: skip


    yield from _attentions(call, normal)
    softmax = (("input", 0), ("reduce", "max", 0), ("sub", 0, 1), ("exp", 2), ("reduce", "sum", 3), ("div", 3, 4))
    for rows, width in ROWS:
        x, out = normal(rows, width), normal(rows, width)
        count = ("constant", float(width), "float32")
        norm = (
            ("input", 0), count, ("reduce", "sum", 0), ("div", 2, 1), ("sub", 0, 3), ("mul", 4, 4), ("reduce", "sum", 5),
            ("div", 6, 1), ("constant", 1e-5, "float32"), ("add", 7, 8), ("rsqrt", 9), ("mul", 4, 10),
        )  # fmt: skip
        for name, nodes in (("softmax", softmax), ("layer norm", norm)):
            yield (f"{name} {rows}x{width}", 8 * x.size,
                   lambda v=(nodes, [x], (1,), [out], (len(nodes) - 1,)): (call.slab(*v), v[3])[1][0], "GB/s")  # fmt: skip
    yield from _positions(call, rng)


def _positions(call: Any, rng: np.random.Generator) -> Iterator[Case]:
    from flambeau.kernels import positions

    def layout(x: np.ndarray) -> tuple:
        return x.shape, tuple(s // x.itemsize for s in x.strides)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    for shape, dim in PLACES:
        x, index, out = normal(*shape), rng.integers(0, shape[dim], shape), np.empty(shape, np.float32)
        sought = positions.along(layout(x), layout(index), dim)

        def read(x=x, sought=sought, index=index, out=out):
            call.read_at(x, sought, [index], out)
            return out

        def add(x=x, sought=sought, index=index):
            sums = np.zeros(x.shape, np.float32)
            call.write_at(sums, sought, [index], x, "add")
            return sums

        size = "x".join(map(str, shape))
        yield f"gather {size} along {dim}", 16 * x.size, read, "GB/s"
        yield f"scatter_add {size} along {dim}", 20 * x.size, add, "GB/s"
    for count, rows, width in ADDED:
        index, source, sums = rng.integers(0, rows, count), normal(count, width), np.empty((rows, width), np.float32)
        sought = positions.at(layout(sums), [layout(index)], [0])

        def added(sought=sought, index=index, source=source, shape=(rows, width)):
            out = np.zeros(shape, np.float32)
            call.write_at(out, sought, [index], source, "add")
            return out

        yield f"add {count} rows to {rows}x{width}", 4 * count * width * 3, added, "GB/s"
    for shape, dtype in SORTED:
        x, out = (rng.standard_normal(shape) * 1e6).astype(dtype), np.empty(shape, np.int64)
        yield (f"sort {'x'.join(map(str, shape))} {dtype}", x.size * (8 + x.itemsize),
               lambda v=(x, False, out): (call.order(*v), v[2])[1], "GB/s")  # fmt: skip
    for shape, k in FIRST:
        x, out = normal(*shape), np.empty((*shape[:-1], k), np.int64)
        yield (f"top {k} of {'x'.join(map(str, shape))}", x.nbytes,
               lambda v=(x, True, out): (call.order(*v), v[2])[1], "GB/s")  # fmt: skip


def _attentions(call: Any, normal: Callable[..., np.ndarray]) -> Iterator[Case]:
    from flambeau.kernels.attention import Attention

    for batch, heads, length, width, causal in ATTENTIONS:
        shape = Attention((batch, heads), length, length, width, width, width**-0.5, causal)
        q, k, v, g = (normal(batch, heads, length, width) for _ in range(4))
        out, total = np.empty_like(q), np.empty(q.shape[:-1], np.float32)
        of_q, of_k, of_v = (np.empty_like(q) for _ in range(3))

        def forward(q=q, k=k, v=v, out=out, total=total, shape=shape):
            call.attend(q, k, v, None, out, total, shape)
            return out

        def backward(q=q, k=k, v=v, g=g, out=out, total=total, shape=shape, grads=(of_q, of_k, of_v)):
            inner = np.einsum("...d,...d->...", g, out)
            call.attend_query_gradient(q, k, v, None, total, g, inner, grads[0], shape)
            call.attend_key_value_gradient(q, k, v, None, total, g, inner, *grads[1:], shape)
            return grads[1]

        name = f"attention {batch}x{heads} length {length} width {width}{' causal' if causal else ''}"
        work = 4 * shape.pairs * width
        yield f"{name} forward", work, forward, "GFLOP/s"
        yield f"{name} gradients", work * 5 / 2, lambda f=forward, b=backward, o=total: (f() if not o.any() else 0, b())[1], "GFLOP/s"


def torch_cases(threads: int) -> Iterator[Case]:
    import torch
    import torch.nn.functional as functional

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    for m, n, k, turned in GEMMS:
        a, b, out = normal(m, k), normal(n, k).T if turned else normal(k, n), normal(m, n)
        yield (_gemm_name(m, n, k, turned), 2 * m * n * k,
               lambda a=a, b=b, out=out: torch.mm(a, b, out=out), "GFLOP/s")  # fmt: skip
    backward = torch.ops.aten.convolution_backward
    for row in CONVS:
        shape = _shape(row)
        x, w = (
            normal(row[0], row[1], row[3], row[3]),
            normal(row[2], shape.group_in, *shape.kernel),
        )
        y = normal(row[0], row[2], *shape.out_size)
        rest = shape.stride, shape.padding, shape.dilation

        def forward(x=x, w=w, rest=rest, groups=shape.groups):
            return functional.conv2d(x, w, None, *rest, groups)

        def gradient(which, x=x, w=w, y=y, rest=rest, groups=shape.groups):
            mask = [which == 0, which == 1, False]
            return backward(y, x, w, None, *rest, False, [0, 0], groups, mask)[which]

        name = _conv_name(row)
        yield f"conv {name} forward", shape.flops, forward, "GFLOP/s"
        yield f"conv {name} input", shape.flops, lambda g=gradient: g(0), "GFLOP/s"
        yield f"conv {name} weight", shape.flops, lambda g=gradient: g(1), "GFLOP/s"
        if row[0] % 16 == 0:
            yield f"conv {name} forward, batch in lanes", shape.flops, forward, "GFLOP/s"
    for op in POINTWISE:
        for size in SIZES:
            x, y, out = normal(size).abs(), normal(size), normal(size)
            if op == "gelu":

                def function(x=x):
                    return functional.gelu(x)
            elif op == "add":

                def function(x=x, y=y, out=out):
                    return torch.add(x, y, out=out)
            elif op == "relu":

                def function(x=x):
                    return torch.relu(x)
            else:

                def function(x=x, out=out, op=getattr(torch, op)):
                    return op(x, out=out)

            yield f"pointwise {op} {size}", 4 * size * (2 + (op == "add")), function, "GB/s"
    for shape_, axes in REDUCTIONS:
        x = normal(*shape_)
        yield (f"sum {'x'.join(map(str, shape_))} over {axes}", 4 * x.numel(),
               lambda x=x, axes=axes: x.sum(axes), "GB/s")  # fmt: skip
    for batch, heads, length, width, causal in ATTENTIONS:
        q, k, v, g = (normal(batch, heads, length, width) for _ in range(4))
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        out = functional.scaled_dot_product_attention(*leaves, is_causal=causal)
        name = f"attention {batch}x{heads} length {length} width {width}{' causal' if causal else ''}"
        work = 4 * batch * heads * length * length * width // (2 if causal else 1)
        yield (f"{name} forward", work,
               lambda v=(q, k, v), c=causal: functional.scaled_dot_product_attention(*v, is_causal=c), "GFLOP/s")  # fmt: skip
        yield (f"{name} gradients", work * 5 / 2,
               lambda o=out, x=leaves, g=g: torch.autograd.grad(o, x, g, retain_graph=True)[1], "GFLOP/s")  # fmt: skip
    for rows, width in ROWS:
        x, _ = normal(rows, width), normal(rows, width)
        yield f"softmax {rows}x{width}", 8 * x.numel(), lambda x=x: torch.softmax(x, 1), "GB/s"
        yield (f"layer norm {rows}x{width}", 8 * x.numel(),
               lambda x=x, w=width: functional.layer_norm(x, (w,)), "GB/s")  # fmt: skip
    for shape_, dim in PLACES:
        x, index = normal(*shape_), torch.from_numpy(rng.integers(0, shape_[dim], shape_))
        size = "x".join(map(str, shape_))
        yield f"gather {size} along {dim}", 16 * x.numel(), lambda x=x, d=dim, i=index: x.gather(d, i), "GB/s"
        yield (f"scatter_add {size} along {dim}", 20 * x.numel(),
               lambda x=x, d=dim, i=index: torch.zeros_like(x).scatter_add_(d, i, x), "GB/s")  # fmt: skip
    for count, rows, width in ADDED:
        index, source = torch.from_numpy(rng.integers(0, rows, count)), normal(count, width)
        yield (f"add {count} rows to {rows}x{width}", 4 * count * width * 3,
               lambda i=index, s=source, v=(rows, width): torch.zeros(v).index_add_(0, i, s), "GB/s")  # fmt: skip
    for shape_, dtype in SORTED:
        x = torch.from_numpy((rng.standard_normal(shape_) * 1e6).astype(dtype))
        yield (f"sort {'x'.join(map(str, shape_))} {dtype}", x.numel() * (8 + x.element_size()),
               lambda x=x: torch.argsort(x, stable=True), "GB/s")  # fmt: skip
    for shape_, k in FIRST:
        x = normal(*shape_)
        yield (f"top {k} of {'x'.join(map(str, shape_))}", 4 * x.numel(),
               lambda x=x, k=k: torch.topk(x, k)[1], "GB/s")  # fmt: skip


def _shape(row: tuple[int, ...]) -> Any:
    from flambeau.kernels.conv import Convolution

    n, c, o, size, k, s, p, g = row
    return Convolution(n, c, o, (size, size), (k, k), (s, s), (p, p), (1, 1), g)


def _conv_name(row: tuple[int, ...]) -> str:
    n, c, o, size, k, s, _, g = row
    return f"b{n} {c}->{o} {size}x{size} k{k} s{s}" + (f" g{g}" if g > 1 else "")


def _gemm_name(m: int, n: int, k: int, turned: bool) -> str:
    return f"gemm {m}x{n}x{k}{' (B transposed)' if turned else ''}"


def measure(function: Callable[[], Any], seconds: float = 0.05) -> float:
    """The median time of a call, over about so many seconds."""
    function()
    start = time.perf_counter()
    function()
    once = max(time.perf_counter() - start, 1e-7)
    inner = max(1, int(2e-4 / once))
    times = []
    for _ in range(max(3, min(50, int(seconds / (once * inner))))):
        start = time.perf_counter()
        for _ in range(inner):
            function()
        times.append((time.perf_counter() - start) / inner)
    return statistics.median(times)


def worker(library: str, threads: int, only: str, check: bool) -> None:
    """Prints a line of JSON for each case: its time, or a sample of its result."""
    cases = flambeau_cases(threads) if library == "flambeau" else torch_cases(threads)
    for name, work, function, unit in cases:
        if only not in name:
            continue
        if check:
            result = np.asarray(function(), np.float64).ravel()
            scale = float(np.abs(result).max())
            sample = (result[:: max(1, result.size // 64)] / scale).tolist()
            print(json.dumps({"name": name, "sample": sample}), flush=True)
        else:
            seconds = measure(function)
            row = {"name": name, "seconds": seconds, "work": work, "unit": unit}
            print(json.dumps(row), flush=True)


def ask(library: str, options: argparse.Namespace, check: bool = False) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--worker", library, "--threads", str(options.threads),
               "--only", options.only] + ["--check"] * check  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.threads, options.only, options.check)
        return
    for ours, theirs in zip(
        ask("flambeau", options, True), ask("torch", options, True), strict=True
    ):
        error = float(np.abs(np.subtract(ours["sample"], theirs["sample"])).max())
        if not error < 1e-4:
            raise SystemExit(f"{ours['name']}: results differ by {error:.1e}")
    rounds: dict[str, list[list[dict[str, Any]]]] = {"flambeau": [], "torch": []}
    for _ in range(options.rounds):
        for library, results in rounds.items():
            results.append(ask(library, options))
    figures = []
    print(f"{'':58} {'Flambeau':>22} {'PyTorch':>22}  ratio")
    for number, first in enumerate(rounds["flambeau"][0]):
        times = {
            library: sorted(r[number]["seconds"] for r in results)
            for library, results in rounds.items()
        }
        ours, theirs = (statistics.median(times[name]) for name in ("flambeau", "torch"))
        work, unit = first["work"], first["unit"]
        spread = times["flambeau"][-1] / times["flambeau"][0]
        print(
            f"{first['name']:58} {ours * 1e6:9.1f} us {work / ours / 1e9:6.0f} {unit:7}"
            f" {theirs * 1e6:9.1f} us {work / theirs / 1e9:6.0f}  {theirs / ours:5.2f}"
            f"  (spread {spread:.2f})",
            flush=True,
        )
        figures.append({"name": first["name"], "unit": unit, "work": work, **times})
    if options.json:
        from flambeau.kernels.peak import measured

        peak = measured()
        machine = {"threads": options.threads, "flops": peak.flops, "bandwidths": peak.bandwidths}
        with open(options.json, "w") as file:
            json.dump({"machine": machine, "kernels": figures}, file, indent=1)


if __name__ == "__main__":
    main()
