"""Views whose base has changed."""

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    y = x.view(-1)
    y.add_(1)
show(lambda: y.grad_fn)
show(lambda: y * 2)
show(lambda: y.is_leaf)
with torch.no_grad():
    y.add_(1)
    show(lambda: y * 2)
u = (x * 2).unbind()
with torch.no_grad():
    u[0].add_(1)
show(lambda: u[1])
show(lambda: u[0].grad_fn)
x.grad = None
with torch.no_grad():
    y = x.view(-1)
(y * 2).sum().backward()
print(x.grad, y.grad)
