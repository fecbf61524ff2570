"""`torch.testing`."""


def close(*a, **k):
    show(lambda: testing.assert_close(*a, **k))


import math

close(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.5]))
close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0]))
close(torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64))
close(torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64), check_dtype=False)
close(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [4, 4]]))
close(torch.tensor(1.0), torch.tensor(2.0))
close(1.0, 2.0)
close(1, 2)
close(1, 1.0)
close(True, False)
close(None, torch.tensor(1.0))
close(None, 3)
close(None, None)
close(
    [torch.tensor(1.0), torch.tensor([2.0, 3.0])], [torch.tensor(1.0), torch.tensor([2.0, 4.0])]
)
close(
    {"a": torch.tensor(1.0), "b": [torch.tensor(2.0)]},
    {"a": torch.tensor(1.0), "b": [torch.tensor(3.0)]},
)
close([1], [1, 2])
close({"a": 1}, {"b": 1})
close(torch.tensor([math.nan]), torch.tensor([math.nan]))
close(torch.tensor([math.nan]), torch.tensor([math.nan]), equal_nan=True)
close(torch.tensor([math.inf, 1.0]), torch.tensor([math.inf, -math.inf]))
close(torch.tensor([1.0]), torch.tensor([1.1]), rtol=0, atol=0)
close(torch.tensor([1.0]), torch.tensor([1.1]), rtol=0.2, atol=0)
close(torch.tensor([1.0]), torch.tensor([1.1]), rtol=0.2)
close(torch.tensor([1.0]), torch.tensor([1.1]), msg="hm")
close(torch.tensor([1.0]), torch.tensor([1.1]), msg=lambda m: "X\n" + m)
close("a", "b")
close(torch.tensor(1.0), 1.0)
close(torch.tensor([1 + 2j]), torch.tensor([1 + 3j]))
close(torch.tensor([True, False]), torch.tensor([True, True]))
close(torch.ones(2, 3), torch.ones(3, 2).t(), check_stride=True)
close(torch.ones(0), torch.ones(0))
close(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]))
close(torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0]))
close(1 + 2j, 1 + 2.5j)
for dt in (
    "float32",
    "float64",
    "int64",
    "uint8",
    "int8",
    "bool",
    "complex64",
    "float16",
    "bfloat16",
):
    torch.manual_seed(3)
    x = testing.make_tensor(3, 4, dtype=getattr(torch, dt), device="cpu")
    print(x)
    x = testing.make_tensor(
        (3, 4),
        dtype=getattr(torch, dt),
        device="cpu",
        noncontiguous=True,
        low=0,
        high=2,
        exclude_zero=True,
    )
    print(x, x.stride())


def m(*a, **k):
    try:
        print(testing.make_tensor(*a, device="cpu", **k))
    except BaseException as e:
        print(type(e).__name__, str(e))


m(2, dtype=torch.int64, requires_grad=True)
m(2, dtype=torch.float32, low=3, high=1)
m(2, dtype=torch.uint8, low=300, high=500)
m(2, dtype=torch.float32, low=math.nan)
m((), dtype=torch.float32)
