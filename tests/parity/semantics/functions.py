"""`autograd.Function` in all its forms, and mistakes in them."""

Function = torch.autograd.Function


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        r = x.exp()
        ctx.save_for_backward(r)
        return r

    @staticmethod
    def backward(ctx, g):
        (r,) = ctx.saved_tensors
        return g * r


x = torch.tensor([1.0, 2.0], requires_grad=True)
y = Exp.apply(x)
print(y, y.grad_fn.name(), y.grad_fn.next_functions[0][0].name())
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g)
print(torch.autograd.grad(g.sum(), x)[0])
show(lambda: y.sum().backward())
show(lambda: y.grad_fn.saved_tensors)


class Two(Function):
    @staticmethod
    def forward(ctx, x, k, y):
        ctx.k = k
        ctx.set_materialize_grads(False)
        print(ctx.needs_input_grad)
        return x * k, y + 1, "str", (x > 0)

    @staticmethod
    def backward(ctx, *g):
        print(g)
        return (g[0] * ctx.k if g[0] is not None else None), None, g[1]


z = torch.ones(2)
o = Two.apply(x, 3, z)
print(o)
o[0].sum().backward()
print(x.grad)


class Bad(Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return {
            0: g,
            1: (g, 1),
            2: (g, None, None),
            3: (g, None, g),
            4: (g[:1], None),
            5: (torch.ones(3), None),
            6: (torch.ones(4, 2), None),
            7: (g.double(), None),
            8: (3, None),
            9: (None, None),
        }[ctx.k]


for k in range(10):
    x.grad = None
    show(lambda: Bad.apply(x, k).sum().backward())
    print(x.grad)


class Inp(Function):
    @staticmethod
    def forward(ctx, x, bad):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x.clone() if bad else x

    @staticmethod
    def backward(ctx, g):
        return g * 2, None


show(lambda: Inp.apply(x, 0))
x = torch.tensor([1.0, 2.0], requires_grad=True)
w = x * 1
r = Inp.apply(w, 0)
print(r is w, w, w._version)
w.sum().backward()
print(x.grad)
show(lambda: Inp.apply(x * 1, 1))
x.grad = None
w = x * 1
v = w[:1]
Inp.apply(v, 0)
w.sum().backward()
print(x.grad)


class Ident(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 5


x.grad = None
i = Ident.apply(x)
print(i is x, i, i._is_view())
i.sum().backward()
print(x.grad)
show(lambda: i.add_(1))


class Vw(Ident):
    @staticmethod
    def forward(ctx, x):
        return x.view(1, 2)


x.grad = None
i = Vw.apply(x * 1)
print(i)
show(lambda: i.add_(1))


class ND(Function):
    @staticmethod
    def forward(ctx, x):
        m = x * 2
        ctx.mark_non_differentiable(m)
        return m, x * 3

    @staticmethod
    def backward(ctx, a, b):
        print(a, b)
        return b


a, b = ND.apply(x)
print(a, b)
b.sum().backward()


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


(g,) = torch.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
print(g.requires_grad)
show(lambda: g.sum().backward())
g2 = torch.autograd.grad((Once.apply(x) * x).sum(), x, create_graph=True)[0]
show(lambda: g2.sum().backward())


class Setup(Function):
    @staticmethod
    def forward(x, k=2):
        return x * k

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.k = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.k, None


x.grad = None
Setup.apply(x).sum().backward()
print(x.grad)
show(lambda: Setup.apply(x, k=4))
show(lambda: Exp()(x))


class S(Ident):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3)
        return x * 2


show(lambda: S.apply(x))
q = x * 1
y = Once.apply(q)
q.add_(1)
show(lambda: y.sum().backward())
q = x * 1
y = Exp.apply(q)
y.add_(1)
show(lambda: y.sum().backward())
show(lambda: Function.apply(x))
with torch.no_grad():
    print(Exp.apply(x), Ident.apply(x) is x)
V = torch.autograd.Variable(torch.ones(2), requires_grad=True)
print(V, isinstance(V, torch.autograd.Variable))


class ViewOfReq(Function):
    @staticmethod
    def forward(ctx, x):
        return x.detach()

    @staticmethod
    def backward(ctx, g):
        return g * 7


x.grad = None
d = ViewOfReq.apply(x)
print(d)
d.sum().backward()
print(x.grad)
x.grad = None
c = x.clone()
d = ViewOfReq.apply(c)
show(lambda: d.mul_(2))
