"""Hooks, captured gradients, and the errors of the engine."""

log = []
x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * 2
y.register_hook(lambda g: log.append(("h1", g.tolist())))
y.retain_grad()
y.register_hook(lambda g: g * 10)
y.grad_fn.register_prehook(lambda g: log.append(("pre", g[0].tolist())))
y.grad_fn.register_hook(lambda gi, go: log.append(("post", gi[0].tolist(), go[0].tolist())))
x.register_hook(lambda g: log.append(("leaf", g.tolist())))
x.register_post_accumulate_grad_hook(lambda p: log.append(("acc", p.grad.tolist())))
y.sum().backward()
print(log, y.grad, x.grad)
log.clear()
a = x * 1
a.retain_grad()
b = a * 3
a.mul_(2) if False else None
a = x + 1
a.retain_grad()
a.register_hook(lambda g: log.append(("before", g.tolist())))
a.mul_(2)
a.register_hook(lambda g: log.append(("after", g.tolist())))
(a * 5).sum().backward()
print(a.grad, log)
log.clear()
a = x + 1
v = a[:1]
v.register_hook(lambda g: log.append(("v", g.tolist())))
v.mul_(3)
a.sum().backward()
log.clear()
a = x + 1
v = a[:1]
v.mul_(3)
v.register_hook(lambda g: log.append(("v", g.tolist())))
v.sum().backward()
print(log)
log.clear()
h = x * 1
h.register_hook(lambda g: torch.ones(3))
show(lambda: h.sum().backward())
h = x * 1
h.register_hook(lambda g: 3)
show(lambda: h.sum().backward())
show(lambda: torch.ones(2).register_hook(print))
show(lambda: torch.ones(2).retain_grad())
h = x * 1
k = h.register_hook(lambda g: log.append("x"))
k.remove()
h.sum().backward()
print(log)
acc = x.expand_as(x).grad_fn.next_functions[0][0]
print(acc.name(), acc.variable is x)
acc.register_hook(lambda gi, go: log.append(("accpost", gi, go[0].tolist())))
acc.register_prehook(lambda g: (g[0] * 2,))
x.grad = None
(x * 3).sum().backward()
print(x.grad, log)
log.clear()
y = x * 2
y.register_hook(lambda g: g * 7)
y.grad_fn.register_prehook(lambda g: (g[0] * 100,))
print(torch.autograd.grad((y * 1).sum(), y, retain_graph=True))
z = (y * 1).sum()
x.grad = None
y = x * 2
z = y * 3
z.sum().backward(inputs=[y])
print(y.grad, x.grad)
z = x * 2
w = z * 2
w.sum().backward(inputs=[x, z])
print(x.grad, z.grad)
show(lambda: (x * 2).sum().backward(inputs=[]))
show(lambda: (x * 2).backward())
show(lambda: torch.ones(1).backward())
s = (x * x).sum()
s.backward()
show(lambda: s.backward())
show(lambda: (x * 2).sum().backward(torch.ones(3)))
show(lambda: torch.autograd.grad((x * 2).sum(), torch.ones(2, requires_grad=True)))
show(
    lambda: torch.autograd.grad(
        (x * 2).sum(), torch.ones(2, requires_grad=True), allow_unused=True
    )
)
show(
    lambda: torch.autograd.grad(
        (x * 2).sum(), torch.ones(2, requires_grad=True), materialize_grads=True
    )
)
show(lambda: torch.autograd.grad((x * 2).sum(), [], allow_unused=False, materialize_grads=True))
show(lambda: torch.autograd.grad((x * 2).sum(), torch.ones(2)))
show(lambda: torch.autograd.grad(x * 2, x, torch.ones(3)))
show(
    lambda: torch.autograd.backward([x.sum(), x.prod()], [torch.tensor(1.0), torch.tensor(2.0)])
)
print(x.grad)
show(lambda: torch.autograd.backward([x.sum(), x.prod()], [torch.tensor(1.0)]))
show(lambda: x.add_(1))
show(lambda: x[0].add_(1))
show(lambda: x.__setitem__(0, 1.0))
show(lambda: x.view(-1).zero_())
show(lambda: torch.ones(2, dtype=torch.int64, requires_grad=True))
show(lambda: torch.ones(2, dtype=torch.int64).requires_grad_())


def rg():
    y = x * 2
    y.requires_grad = False


show(rg)
show(lambda: (x * 2).requires_grad_(True))
show(lambda: (x * 2).requires_grad_(False))


def sg(v):
    x.grad = v


show(lambda: sg(torch.ones(3)))
show(lambda: sg(3))
show(lambda: sg(x))
show(lambda: (x * 2).numpy())
show(lambda: (x * 2).detach_())
show(lambda: (x * 2)[0].detach_())
show(lambda: x.is_leaf)
show(lambda: (x * 2).retains_grad)
show(lambda: torch.tensor([1.0, 2.0]).expand(3, 2).add_(1))
show(lambda: torch.zeros(2).expand(3, 2).mul_(2))
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    (x * 2).grad
    print([str(i.message)[:120] for i in w])
c = torch.tensor([1 + 2j], requires_grad=True)
show(lambda: (c * c).sum().backward())
show(lambda: (c * c).abs().sum().backward())
print(c.grad)
