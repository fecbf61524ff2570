"""Derivatives of functions, saved-tensor hooks, forward mode, checkpoints."""

torch.manual_seed(0)
x = torch.randn(3, dtype=torch.float64)
y = torch.randn(2, 3, dtype=torch.float64)
f = lambda a, b: (b @ a.exp(), a.sum() * b[0])
g = lambda a, b: (b @ a.exp()).sin().sum()
h = lambda a: (a**3).sum()
show(lambda: functional.jacobian(f, (x, y)))
show(lambda: functional.jacobian(h, x))
show(lambda: functional.hessian(h, x))
show(lambda: functional.vjp(f, (x, y), (torch.ones(2).double(), torch.ones(3).double())))
show(lambda: functional.jvp(f, (x, y), (x, y)))
show(lambda: functional.vhp(g, (x, y), (x, y)))
show(lambda: functional.hvp(g, (x, y), (x, y)))
show(lambda: functional.hvp(h, x, x))
show(lambda: functional.vjp(h, x))
show(lambda: functional.jvp(h, x))
show(lambda: functional.vjp(f, (x, y)))
show(lambda: functional.hvp(f, (x, y), (x, y)))
show(lambda: functional.jacobian(f, [x, y]))
show(lambda: functional.vjp(h, x, torch.ones(3)))
show(lambda: functional.jvp(h, x, torch.ones(2)))
show(lambda: functional.jacobian(lambda a: 3, x))
show(lambda: functional.jacobian(lambda a, b: a * 2, (x, y), strict=True))
show(lambda: functional.jacobian(lambda a: torch.ones(2), x, strict=True))
show(lambda: functional.jacobian(lambda a: torch.ones(2), x))
xr = x.clone().requires_grad_()
J = functional.jacobian(lambda a: a**3, xr, create_graph=True)
J.sum().backward()
print(xr.grad, J.requires_grad)
print(functional.jacobian(lambda a: a**3, xr).requires_grad)
log = []


def pack(z):
    log.append(("pack", tuple(z.shape), z.requires_grad))
    return z.numpy() if not z.requires_grad else z.detach().numpy()


def unpack(z):
    log.append("unpack")
    return torch.tensor(z)


a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
with graph.saved_tensors_hooks(pack, unpack):
    o = (a.exp() * a).pow(2).sum()
(g1,) = torch.autograd.grad(o, a, create_graph=True)
with graph.save_on_cpu():
    o = (a * a * a).sum()
o.backward()
print(a.grad)
a.grad = None


def dis():
    with graph.disable_saved_tensors_hooks("nope"):
        with graph.saved_tensors_hooks(pack, unpack):
            pass


show(dis)
b = torch.ones(2, requires_grad=True)
c = torch.ones(2, requires_grad=True)
d = torch.ones(2, requires_grad=True)
hh = graph.register_multi_grad_hook(
    [b, c, d], lambda gs: print("multi", [None if q is None else q.tolist() for q in gs])
)
(b * c).sum().backward()
(b * c * d * 2).sum().backward()
hh.remove()
(b * c).sum().backward()
with graph.register_multi_grad_hook([b, c], lambda q: print("any", q.tolist()), mode="any"):
    (b * c).sum().backward()
z = b * 1
q = z.exp()
graph.increment_version(z)
z2 = z * z
v = b * 1
w = v * v
graph.increment_version(v)
show(lambda: w.sum().backward())
print(graph.get_gradient_edge(b * 2).output_nr)
with forward_ad.dual_level():
    du = forward_ad.make_dual(x, torch.ones(3).double())
    r = forward_ad.unpack_dual((du**2).sum())
    print(r.tangent, r.primal.detach())
    print(forward_ad.unpack_dual(x).tangent)
    print(forward_ad.unpack_dual(du).tangent)
show(lambda: forward_ad.make_dual(x, x))
lin = [torch.randn(4, 4).requires_grad_() for _ in range(3)]


def net(v):
    for w in lin:
        v = (
            torch.nn.functional.dropout(torch.relu(v @ w), 0.3)
            if hasattr(torch.nn, "functional")
            else torch.relu(v @ w) * torch.rand(4)
        )
    return v


inp = torch.randn(2, 4, requires_grad=True)


def run(m):
    torch.manual_seed(5)
    for w in lin + [inp]:
        w.grad = None
    if m is None:
        o = net(inp)
    else:
        o = checkpoint.checkpoint(net, inp, use_reentrant=m)
    k = torch.rand(1)
    o.sum().backward()
    return [w.grad.sum().item() for w in lin + [inp]] + [k.item(), torch.rand(1).item()]


r0 = run(None)
r1 = run(False)
r2 = run(True)
print(r0 == r1, r0 == r2)
show(
    lambda: torch.autograd.grad(checkpoint.checkpoint(net, inp, use_reentrant=True).sum(), inp)
)
show(
    lambda: (
        torch.autograd.grad(
            checkpoint.checkpoint(lambda v: (v**3).sum(), inp, use_reentrant=False), inp
        )[0]
        - 3 * inp.detach() ** 2
    )
)
o = checkpoint.checkpoint(lambda v: (v**3).sum(), inp, use_reentrant=False)
(g1,) = torch.autograd.grad(o, inp, create_graph=True)
print((torch.autograd.grad(g1.sum(), inp)[0] - 6 * inp.detach()).abs().max() < 1e-5)
k = [0]


def flaky(v):
    k[0] += 1
    return (v.exp() * v if k[0] == 1 else v + 1).sum()


k = [0]


def flaky2(v):
    k[0] += 1
    return (v if k[0] == 1 else v[:1]).exp().sum()


inp.grad = None
checkpoint.checkpoint_sequential(
    [torch.sin, torch.exp, torch.tanh, torch.cos], 2, inp, use_reentrant=False
).sum().backward()
print(inp.grad)
show(lambda: checkpoint.checkpoint(net, inp, use_reentrant=True, foo=3))
A = torch.autograd
with warnings.catch_warnings(record=True) as ws:
    warnings.simplefilter("always")

    def bad():
        with A.detect_anomaly():
            s = torch.tensor([-1.0, 0.0], requires_grad=True)
            u = torch.sqrt(s)
            (u * 0).sum().backward()

    t(bad)
    print(
        [str(w.message).split("\n")[0] for w in ws],
        ["torch.sqrt" in str(w.message) for w in ws],
    )
s = torch.tensor([-1.0, 0.0], requires_grad=True)
u = s.sqrt().sum()
with warnings.catch_warnings(record=True) as ws:
    warnings.simplefilter("always")

    def bad():
        with A.set_detect_anomaly(True):
            u.backward()

    t(bad)
    print([str(w.message) for w in ws])
print(torch.is_anomaly_enabled() if hasattr(torch, "is_anomaly_enabled") else False)
