"""Shapes changed in place, and leaves that are views."""

x = torch.arange(6.0).reshape(2, 3).requires_grad_()
show(lambda: x.add_(1))
show(lambda: x.zero_())
show(lambda: x[0].add_(1))
show(lambda: x.view(-1).mul_(2))
show(lambda: x.t_())
show(lambda: x.__setitem__(0, 1.0))
show(lambda: x.detach().add_(1))
with torch.no_grad():
    x[0] = 5
    x.view(-1)[2] = 7
    x.t_()
print(x, x.is_leaf, x._version)
y = x * 2
y.t_()
y.mul_(torch.arange(6.0).reshape(2, 3))
y.sum().backward()
print(x.grad, y.shape, y.stride(), y.is_leaf)
y = x * 2
v = y[0]
v.unsqueeze_(0)
v.mul_(3)
(y * y).sum().backward()
print(x.grad, v.shape, v._is_view())
y = x * 2
y.unsqueeze_(1)
y.squeeze_()
y.swapaxes_(0, 1)
print(y.shape, y._version)
y = torch.arange(6.0)
y.resize_(2, 2)
print(y)
y.as_strided_((3,), (1,))
print(y, y.t_().shape)
