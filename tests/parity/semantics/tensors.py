"""Copies, pickles, `.data`, changes in place through views, values as Python numbers."""

import copy
import pickle
import threading

a = torch.arange(6.0).view(2, 3).t()
b = copy.deepcopy(a)
print(b.stride(), b.is_contiguous(), b._is_view())
x = torch.ones(2, requires_grad=True)
(x * 2).sum().backward()
y = copy.deepcopy(x)
print(y, y.grad, y.grad is x.grad)
show(lambda: copy.deepcopy(x * 2))
s = copy.deepcopy({"a": a, "b": a})
print(s["a"] is s["b"])
z = torch.zeros(4)
v = z[1:3]
d = copy.deepcopy([z, v])
d[0].fill_(5)
print(d[1], z)
p = pickle.loads(pickle.dumps(a))
print(p, p.stride())
p = pickle.loads(pickle.dumps(x))
print(p, p.grad)
p = pickle.loads(pickle.dumps(torch.tensor([1, 2], dtype=torch.bfloat16)))
print(p)
q = pickle.loads(pickle.dumps([z, v]))
q[0].fill_(7)
pp = nn.Parameter(torch.ones(2))
print(pp, copy.deepcopy(pp), pickle.loads(pickle.dumps(pp)), type(copy.copy(pp)).__name__)
show(lambda: pickle.loads(pickle.dumps(x * 2)))
x = torch.ones(3, requires_grad=True)
x.data.mul_(3)
print(x, x._version)
dd = x.detach()
dd[0] = 9
print(x, x._version, dd._version)
x.data = torch.zeros(3)
print(x, x.requires_grad)
show(lambda: setattr(x, "data", torch.zeros(2).long()))
w = torch.zeros(2)
w.set_(torch.ones(3))
print(w)
y = x * x
x.data.add_(1)
y.sum().backward()
print(x.grad)
x.grad = None
y = x * x
x.detach().add_(1)
show(lambda: y.sum().backward())
with torch.no_grad():
    x.add_(1)
    x[0] = 5
    x.view(-1)[1:].mul_(2)
print(x, x.is_leaf, x._version)
base = torch.zeros(4, 4, requires_grad=True)
c = base * 1
v = c[1:][:, 1:]
u = v.t()[0]
u.mul_(3).add_(2)
v[1].fill_(7.0)
print(c, c.grad_fn.name())
(c * torch.arange(16.0).view(4, 4)).sum().backward()
print(base.grad)
wgt = torch.tensor([1.0, 2.0], requires_grad=True)
buf = torch.zeros(3, 2)
buf[1] = wgt * 2
buf[:, 0] *= 3
buf.sum().backward()
print(wgt.grad, buf.requires_grad, buf.is_leaf)
buf = torch.zeros(3)
buf[torch.tensor([0, 2])] = wgt
buf[buf > 1.5] = 0
(buf**2).sum().backward()
print(wgt.grad)
m = torch.zeros(3)
m = torch.zeros(2)
m.copy_(wgt)
m = torch.zeros(2)
m += wgt
print(m.grad_fn.name())
m = wgt.clone()
m.zero_()
m = wgt.clone()
m.fill_(2.0)
print(m.requires_grad)
m = wgt.clone()
m.detach_()
print(m.requires_grad, m.is_leaf)
o = wgt.exp()
o.add_(1)
show(lambda: o.sum().backward())
o = wgt.sigmoid()
o[0] = 1
show(lambda: o.sum().backward())
r = torch.relu_(wgt * 1)
r.sum().backward()
k = torch.ones(2, requires_grad=True)
l = torch.ones(2, requires_grad=True)
(k + l).sum().backward()
k.grad.add_(5)
print(l.grad)
k.grad = None
g = torch.ones(2)
(k * 1).backward(g)
g.add_(4)
print(k.grad)
k.grad = None
k.backward(g)
g.add_(1)
print(k.grad)
k = torch.ones(2, 3).t().requires_grad_()
(k * 2).sum().backward()
print(k.grad.stride())
k = torch.ones(2, 2, requires_grad=True)
k.t().mul(torch.arange(4.0).view(2, 2)).sum().backward()
print(k.grad.stride(), k.grad)
k = torch.ones(3, requires_grad=True)
gg = torch.zeros(6)
k.grad = gg[::2]
(k * 2).sum().backward()
print(gg)
k = torch.ones(2, requires_grad=True)
(k * k).sum().backward(create_graph=True)
print(k.grad.requires_grad)
k.grad = None
f = (k * 2 + 1).sum()
n = f.grad_fn
names = []
while n is not None:
    names.append(type(n).__name__ if 0 else n.name())
    n = n.next_functions[0][0] if n.next_functions else None
print(names)
e = k * k
f1 = e.sum()
f2 = (e * e).sum()
f1.backward(retain_graph=True)
f2.backward()
show(lambda: f1.backward())
print(k.grad)
h = (k + 1).sum()
h.backward()
show(lambda: h.backward())
res = []


def th():
    res.append(torch.is_grad_enabled())
    torch.set_grad_enabled(False)


with torch.no_grad():
    T = threading.Thread(target=th)
    T.start()
    T.join()
print(res, torch.is_grad_enabled())


def fn():
    return torch.is_grad_enabled()


def fi():
    return torch.ones(1).is_inference(), torch.is_inference_mode_enabled()


def gen():
    yield torch.is_grad_enabled()
    yield torch.is_grad_enabled()


with torch.no_grad():
    print(fn(), fi(), list(gen()))
print(torch.is_grad_enabled())
torch.set_grad_enabled(False)
print(torch.is_grad_enabled())
torch.set_grad_enabled(True)
i = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
print(i.argmax().requires_grad, (i > 1).requires_grad, i.long().requires_grad)
m, ix = i.max(0)
m.backward()
print(i.grad)
print(
    f"{torch.tensor(1.5):.3f}",
    2.0 in torch.tensor([1.0, 2.0]),
    len(torch.ones(3, 2)),
    [q.item() for q in torch.arange(3)],
    torch.tensor([5])[0].__index__(),
)
show(lambda: bool(torch.ones(2)))
show(lambda: bool(torch.ones(0)))
show(lambda: torch.ones(2).item())
show(lambda: int(torch.tensor([1.7])))
show(lambda: len(torch.tensor(1.0)))
show(lambda: list(torch.tensor(1.0)))
show(lambda: f"{torch.ones(2):.2f}")
show(lambda: range(3)[torch.tensor(1)])
show(lambda: range(3)[torch.tensor(1.0)])
show(lambda: torch.ones(2).foo)
print(
    torch.ones(2).numpy(),
    torch.tensor([1, 2]).tolist(),
    torch.tensor(3.5).item(),
    torch.tensor([[1.0]]).item(),
    hash(x) == id(x),
)
print(
    x.shape,
    x.size(0),
    x.ndim,
    x.T.shape,
    x.nbytes,
    x.element_size(),
    x.is_contiguous(),
    x.device,
    x.layout,
    torch.ones(2, 3).mT.shape,
    x.storage_offset(),
    torch.ones(4, 4)[1:, 2:].storage_offset(),
)
u = torch.ones(2, 2)
print(
    u.untyped_storage().nbytes() if hasattr(u, "untyped_storage") else None,
    u.storage().size() if 1 else 0,
)
