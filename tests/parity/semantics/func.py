"""`torch.func`."""

torch.manual_seed(0)
x = torch.randn(3, dtype=torch.float64)
y = torch.randn(2, 3, dtype=torch.float64)
B = torch.randn(4, 3, dtype=torch.float64)
show(lambda: func.grad(torch.sin)(torch.tensor(1.0)))
show(lambda: func.grad(func.grad(lambda v: v**4))(torch.tensor(2.0)))
show(lambda: func.grad(lambda a, b: (b @ a).sum(), argnums=(0, 1))(x, y))
show(lambda: func.grad(lambda a: ((a**2).sum(), a), has_aux=True)(x))
show(lambda: func.grad_and_value(lambda a: (a**2).sum())(x))
show(lambda: func.grad(lambda a: a)(x))
show(lambda: func.grad(lambda a: 3.0)(x))
show(lambda: func.grad(lambda d: (d["w"] * d["b"]).sum())({"w": x, "b": x * 2}))
o, v = func.vjp(lambda a, b: (b @ a, a.sum()), x, y)
show(lambda: (o, v((torch.ones(2).double(), torch.tensor(1.0).double()))))
o, v = func.vjp(torch.sin, x)
show(lambda: (o, v(torch.ones(3).double())))
show(lambda: func.jvp(lambda a: a.exp(), (x,), (x,)))
show(lambda: func.jvp(lambda a, b: b @ a, (x, y), (x, y)))
show(lambda: func.jacrev(lambda a: a**2)(x))
show(lambda: func.jacrev(lambda a, b: (b @ a, a), argnums=(0, 1))(x, y))
show(lambda: func.hessian(lambda a: (a**3).sum())(x))
show(lambda: func.vmap(torch.dot, in_dims=(0, None))(B, x))
show(lambda: torch.vmap(lambda a: a * 2, out_dims=1)(B))
show(lambda: func.vmap(func.grad(lambda a, b: (a * b).sum() ** 2), in_dims=(None, 0))(x, B))
show(lambda: func.vmap(func.vmap(lambda a: a * 2))(B))
show(lambda: func.vmap(lambda a, b: {"s": a + b, "m": (a * b).sum()}, in_dims=(0, 1))(B, B.t()))
show(lambda: func.vmap(lambda a: a + torch.rand(3))(B))
show(lambda: func.vmap(lambda a: a * 0 + torch.rand(1), randomness="same")(B).std() < 1e-9)
show(lambda: func.vmap(lambda a: a * 0 + torch.rand(1), randomness="different")(B).std() > 1e-9)
show(lambda: func.vmap(torch.dot)(B, x))
show(lambda: func.vmap(lambda a: 3)(B))
show(lambda: func.vmap(lambda: 3)())
show(lambda: func.vmap(torch.sum, in_dims=5)(B))
show(lambda: func.vmap(torch.sum, in_dims=None)(B))
show(lambda: func.vmap(lambda a, b: a, in_dims=(0, 0))(B, 3))
show(lambda: func.vmap(lambda a: a.sum())(torch.zeros(0, 3)))
show(lambda: func.vmap(func.jacrev(lambda a: a**2))(B).shape)
show(lambda: func.jacrev(func.vmap(lambda a: (a**2).sum()))(B).shape)
xr = x.clone().requires_grad_()
g = func.grad(lambda a: (a**3).sum())(xr)
print(g.requires_grad)
g.sum().backward()
print(xr.grad)
w = torch.ones(3, dtype=torch.float64, requires_grad=True)
g = func.grad(lambda a: (w * a**2).sum())(x)
print(g.requires_grad)
g.sum().backward()
print(w.grad)
print(func.grad(lambda a: (a**3).sum())(x).requires_grad)
with torch.no_grad():
    print(func.grad(lambda a: (a**3).sum())(xr))
m = nn.Linear(3, 2).double()
p = dict(m.named_parameters())
show(
    lambda: (
        func.functional_call(m, {"weight": p["weight"] * 0}, (x,)).detach() - m.bias.detach()
    )
)
show(lambda: func.functional_call(m, {"weight": p["weight"]}, (x,), strict=True))
loss = lambda p, a, b: ((func.functional_call(m, p, (a,)) - b) ** 2).sum()
pd = {k: v.detach() for k, v in p.items()}
show(
    lambda: {
        k: v.shape
        for k, v in func.vmap(func.grad(loss), in_dims=(None, 0, 0))(
            pd, B, torch.ones(4, 2).double()
        ).items()
    }
)
ms = [nn.Linear(3, 2).double() for _ in range(3)]
P, Bf = func.stack_module_state(ms)
print({k: (v.shape, v.requires_grad) for k, v in P.items()})
show(
    lambda: (
        func.vmap(
            lambda p, b, a: func.functional_call(ms[0], (p, b), (a,)), in_dims=(0, 0, None)
        )(P, Bf, x).shape
    )
)
o, f = func.linearize(lambda a: a**2, x)
show(lambda: (o, f(x)))
