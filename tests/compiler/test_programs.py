"""Training loops as users write them, compiled: every loss, gradient and parameter is eager's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from program_helpers import Compiler, compare

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn

PROGRAMS: dict[str, Callable[[Compiler], list[Any]]] = {}


def program(f: Callable[[Compiler], list[Any]]) -> Callable[[Compiler], list[Any]]:
    PROGRAMS[f.__name__] = f
    return f


@program
def gru_loop(compiled: Compiler) -> list[Any]:
    cell = nn.GRUCell(4, 5)
    lin = nn.Linear(5, 2)

    def f(x):
        h = torch.zeros(x.shape[0], 5)
        outs = []
        for t in range(x.shape[1]):
            h = cell(x[:, t], h)
            outs.append(lin(h))
        return torch.stack(outs, 1), h

    f = compiled(f)
    x = torch.randn(2, 3, 4)
    o = []
    for _ in range(3):
        y, h = f(x)
        (y.sum() + h.sum()).backward()
        o += [y, h, cell.weight_hh.grad]
    return o


@program
def grad_accum(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    opt = torch.optim.Adam(net.parameters(), lr=0.1)
    o = []

    def step(x, last):
        l = net(x).pow(2).mean() / 2
        l.backward()
        if last:
            opt.step()
            opt.zero_grad()
        return l

    step = compiled(step)
    for i in range(6):
        o.append(step(torch.randn(4, 3), i % 2 == 1))
    return o + [net.weight]


@program
def gan(compiled: Compiler) -> list[Any]:
    g = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    d = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    og = torch.optim.Adam(g.parameters(), lr=1e-2)
    od = torch.optim.Adam(d.parameters(), lr=1e-2)
    o = []

    def step(real, z):
        od.zero_grad()
        fake = g(z)
        ld = F.binary_cross_entropy_with_logits(
            d(real), torch.ones(real.shape[0], 1)
        ) + F.binary_cross_entropy_with_logits(d(fake.detach()), torch.zeros(real.shape[0], 1))
        ld.backward()
        od.step()
        og.zero_grad()
        lg = F.binary_cross_entropy_with_logits(d(fake), torch.ones(real.shape[0], 1))
        lg.backward()
        og.step()
        return ld, lg

    step = compiled(step)
    for _i in range(4):
        o += step(torch.randn(5, 3), torch.randn(5, 2))
    return o + [g[0].weight, d[0].weight]


@program
def ema_lerp(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    ema = copy.deepcopy(net)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    o = []

    def step(x):
        opt.zero_grad()
        l = net(x).pow(2).mean()
        l.backward()
        opt.step()
        with torch.no_grad():
            for p, q in zip(net.parameters(), ema.parameters(), strict=False):
                q.mul_(0.9).add_(p, alpha=0.1)
        return l

    step = compiled(step)
    for _i in range(4):
        o.append(step(torch.randn(5, 3)))
    return o + [ema.weight]


@program
def ema_dict(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    shadow = {k: v.clone() for k, v in net.state_dict().items()}
    o = []

    def upd():
        with torch.no_grad():
            for k, p in net.named_parameters():
                shadow[k] = shadow[k] * 0.9 + p * 0.1

    upd = compiled(upd)
    for _i in range(5):
        with torch.no_grad():
            net.weight.add_(1)
        upd()
        o.append(shadow["weight"].clone())
    return o


@program
def lr_sched(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    opt = torch.optim.AdamW(net.parameters(), lr=0.1)
    s = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    o = []

    def step(x):
        opt.zero_grad()
        l = net(x).pow(2).mean()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for _i in range(6):
        o.append(step(torch.randn(5, 3)))
        s.step()
    return o + [net.weight]


@program
def scaler_autocast(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    sc = torch.amp.GradScaler("cpu")
    o = []

    def fwd(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x).float().pow(2).mean()

    fwd = compiled(fwd)
    for _i in range(4):
        opt.zero_grad()
        l = fwd(torch.randn(5, 3))
        sc.scale(l).backward()
        sc.step(opt)
        sc.update()
        o.append(l)
    return o + [net.weight]


@program
def clip(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    o = []

    def step(x):
        opt.zero_grad()
        l = net(x).pow(2).sum()
        l.backward()
        n = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        return l, n

    step = compiled(step)
    for _i in range(4):
        o += step(torch.randn(5, 3))
    return o + [net.weight]


@program
def ckpt(compiled: Compiler) -> list[Any]:
    from flambeau.utils.checkpoint import checkpoint

    a = nn.Linear(3, 3)
    b = nn.Linear(3, 3)
    o = []

    def f(x):
        return checkpoint(lambda y: b(torch.relu(a(y))), x, use_reentrant=False).sum()

    f = compiled(f)
    for _i in range(3):
        l = f(torch.randn(2, 3))
        l.backward()
        o += [l, a.weight.grad.clone()]
    return o


@program
def load_sd(compiled: Compiler) -> list[Any]:
    m = nn.Linear(2, 2)
    f = compiled(m)
    o = []
    for _i in range(4):
        o.append(f(torch.ones(1, 2)))
        m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()})
    return o


@program
def rg_switch(compiled: Compiler) -> list[Any]:
    m = nn.Linear(3, 3)
    f = compiled(lambda x: m(x).sum())
    o = []
    for i in range(4):
        m.weight.requires_grad_(i % 2 == 0)
        m.zero_grad()
        f(torch.ones(1, 3)).backward()
        o += [m.weight.grad if m.weight.grad is None else m.weight.grad.clone(), m.bias.grad.clone()]
    return o


@program
def train_eval(compiled: Compiler) -> list[Any]:
    m = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    f = compiled(m)
    o = []
    for i in range(4):
        m.train(i % 2 == 0)
        o.append(f(torch.randn(4, 3)))
    return o + [m[1].running_var]


@program
def func_call(compiled: Compiler) -> list[Any]:
    m = nn.Linear(3, 2)
    f = compiled(lambda p, x: torch.func.functional_call(m, p, (x,)).sum())
    p = dict(m.named_parameters())
    return [f({k: v * i for k, v in p.items()}, torch.ones(1, 3)) for i in range(3)]


@program
def lbfgs(compiled: Compiler) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    opt = torch.optim.LBFGS([w], lr=0.1)
    o = []
    fn = compiled(lambda: ((w - 2) ** 2).sum())

    def closure():
        opt.zero_grad()
        l = fn()
        l.backward()
        return l

    for _i in range(3):
        o.append(opt.step(closure))
    return o + [w]


@program
def vae(compiled: Compiler) -> list[Any]:
    e = nn.Linear(4, 4)
    d = nn.Linear(2, 4)
    opt = torch.optim.Adam([*e.parameters(), *d.parameters()])
    o = []

    def step(x, beta):
        opt.zero_grad()
        mu, lv = e(x).chunk(2, -1)
        z = mu + torch.randn_like(mu) * (lv * 0.5).exp()
        r = F.mse_loss(d(z), x)
        kl = -0.5 * (1 + lv - mu**2 - lv.exp()).mean()
        l = r + beta * kl
        l.backward()
        opt.step()
        return l, kl

    step = compiled(step)
    for i in range(6):
        o += step(torch.randn(3, 4), i / 10)
    return o


@program
def ppo(compiled: Compiler) -> list[Any]:
    pi = nn.Linear(3, 2)
    opt = torch.optim.Adam(pi.parameters(), lr=0.01)
    o = []

    def loss(s, a, adv, old, clip=0.2):
        d = torch.distributions.Categorical(logits=pi(s))
        r = (d.log_prob(a) - old).exp()
        return -torch.min(r * adv, r.clamp(1 - clip, 1 + clip) * adv).mean() - 0.01 * d.entropy().mean()

    loss = compiled(loss)
    for _i in range(3):
        opt.zero_grad()
        l = loss(torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1]), torch.randn(5), torch.zeros(5) - 0.7)
        l.backward()
        opt.step()
        o.append(l)
    return o


@program
def dqn_target(compiled: Compiler) -> list[Any]:
    q = nn.Linear(3, 2)
    t = copy.deepcopy(q)
    opt = torch.optim.Adam(q.parameters(), lr=0.01)
    o = []

    def step(s, a, r, s2):
        with torch.no_grad():
            y = r + 0.99 * t(s2).max(1).values
        l = F.smooth_l1_loss(q(s).gather(1, a[:, None]).squeeze(1), y)
        opt.zero_grad()
        l.backward()
        torch.nn.utils.clip_grad_value_(q.parameters(), 1.0)
        opt.step()
        with torch.no_grad():
            for p, pt in zip(q.parameters(), t.parameters(), strict=False):
                pt.data.mul_(0.99).add_(p.data, alpha=0.01)
        return l

    step = compiled(step)
    for _i in range(4):
        o.append(step(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]), torch.randn(4), torch.randn(4, 3)))
    return o + [t.weight, q.weight]


@program
def maml(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 1)
    o = []

    def f(x, y):
        p = dict(net.named_parameters())
        l = F.mse_loss(torch.func.functional_call(net, p, (x,)), y)
        g = torch.autograd.grad(l, list(p.values()), create_graph=True)
        p = {k: v - 0.1 * gg for (k, v), gg in zip(p.items(), g, strict=False)}
        return F.mse_loss(torch.func.functional_call(net, p, (x,)), y)

    f = compiled(f)
    for _i in range(3):
        net.zero_grad()
        l = f(torch.randn(4, 3), torch.randn(4, 1))
        l.backward()
        o += [l, net.weight.grad.clone()]
    return o


@program
def sam(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    o = []

    def step(x, y):
        F.mse_loss(net(x), y).backward()
        with torch.no_grad():
            e = [p.grad * (0.05 / (p.grad.norm() + 1e-12)) for p in net.parameters()]
            for p, ee in zip(net.parameters(), e, strict=False):
                p.add_(ee)
        opt.zero_grad()
        l = F.mse_loss(net(x), y)
        l.backward()
        with torch.no_grad():
            for p, ee in zip(net.parameters(), e, strict=False):
                p.sub_(ee)
        opt.step()
        opt.zero_grad()
        return l

    step = compiled(step)
    for _i in range(3):
        o.append(step(torch.randn(4, 3), torch.randn(4, 1)))
    return o + [net.weight]


@program
def swa(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 1)
    s = torch.optim.swa_utils.AveragedModel(net)
    o = []
    f = compiled(lambda x: s(x))
    for _i in range(3):
        with torch.no_grad():
            net.weight.add_(1)
        s.update_parameters(net)
        o.append(f(torch.ones(1, 3)))
    return o


@program
def multi_opt_groups(compiled: Compiler) -> list[Any]:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    opt = torch.optim.AdamW(
        [{"params": net[0].parameters(), "lr": 0.1}, {"params": net[1].parameters(), "weight_decay": 0.3}],
        lr=0.01,
    )
    o = []

    def step(x):
        opt.zero_grad(set_to_none=False)
        l = net(x).pow(2).mean()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for i in range(5):
        o.append(step(torch.randn(2, 3)))
        if i == 2:
            opt.param_groups[0]["lr"] = 0.01
    return o + [net[0].weight, net[1].weight]


@program
def opt_load(compiled: Compiler) -> list[Any]:
    net = nn.Linear(3, 1)
    opt = torch.optim.Adam(net.parameters(), lr=0.1)
    o = []

    def step(x):
        opt.zero_grad()
        l = net(x).pow(2).mean()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for _i in range(3):
        o.append(step(torch.ones(2, 3)))
    sd = copy.deepcopy(opt.state_dict())
    w = copy.deepcopy(net.state_dict())
    o.append(step(torch.ones(2, 3)))
    opt.load_state_dict(sd)
    net.load_state_dict(w)
    o.append(step(torch.ones(2, 3)))
    o.append(step(torch.ones(2, 3)))
    return o + [net.weight]


@program
def freeze_mid(compiled: Compiler) -> list[Any]:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    o = []

    def step(x):
        opt.zero_grad()
        l = net(x).pow(2).mean()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for i in range(6):
        if i == 3:
            net[0].requires_grad_(False)
        o.append(step(torch.ones(2, 3)))
    return o + [net[0].weight]


@program
def add_param_group(compiled: Compiler) -> list[Any]:
    a = nn.Linear(3, 2)
    b = nn.Linear(2, 1)
    opt = torch.optim.SGD(a.parameters(), lr=0.1)
    o = []

    def step(x):
        opt.zero_grad()
        l = b(a(x)).pow(2).mean()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for i in range(4):
        if i == 2:
            opt.add_param_group({"params": b.parameters()})
        o.append(step(torch.ones(2, 3)))
    return o + [b.weight]


@program
def tensor_lr(compiled: Compiler) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    opt = torch.optim.Adam([w], lr=torch.tensor(0.1))
    o = []

    def step(x):
        opt.zero_grad()
        l = (w * x).pow(2).sum()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for _i in range(4):
        o.append(step(torch.ones(3)))
        opt.param_groups[0]["lr"].mul_(0.5)
    return o + [w]


@program
def hidden_detach_state(compiled: Compiler) -> list[Any]:
    cell = nn.GRUCell(2, 3)
    st = {"h": torch.zeros(1, 3)}
    opt = torch.optim.SGD(cell.parameters(), lr=0.1)
    o = []

    def step(x):
        opt.zero_grad()
        st["h"] = cell(x, st["h"].detach())
        l = st["h"].sum()
        l.backward()
        opt.step()
        return l

    step = compiled(step)
    for i in range(5):
        o.append(step(torch.ones(1, 2) * i))
    return o + [st["h"]]


@program
def functional_opt(compiled: Compiler) -> list[Any]:
    p = [torch.ones(2, requires_grad=True)]
    o = []

    def step(p, x, lr):
        l = (p[0] * x).pow(2).sum()
        g = torch.autograd.grad(l, p)
        return [q - lr * gg for q, gg in zip(p, g, strict=False)], l

    step = compiled(step)
    for i in range(5):
        p, l = step(p, torch.ones(2), 0.1 / (i + 1))
        p = [q.detach().requires_grad_() for q in p]
        o += [*p, l]
    return o


@program
def spectral_norm(compiled: Compiler) -> list[Any]:
    m = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    f = compiled(m)
    return [f(torch.ones(2, 3)) for _ in range(4)]


@program
def lstm(compiled: Compiler) -> list[Any]:
    m = nn.LSTM(3, 4, 2, batch_first=True, dropout=0.1)
    f = compiled(lambda x, h: m(x, h))
    h = None
    o = []
    for _ in range(3):
        y, h = f(torch.randn(2, 5, 3), h)
        h = tuple(t.detach() for t in h)
        o += [y, *h]
    return o


@program
def attention_mask(compiled: Compiler) -> list[Any]:
    class A(nn.Module):
        def __init__(s):
            super().__init__()
            s.q = nn.Linear(4, 12)
            s.register_buffer("mask", torch.tril(torch.ones(16, 16)).bool())

        def forward(s, x):
            B, T, D = x.shape
            q, k, v = s.q(x).split(D, -1)
            q, k, v = (t.view(B, T, 2, 2).transpose(1, 2) for t in (q, k, v))
            a = (q @ k.transpose(-2, -1)) * k.size(-1) ** -0.5
            a = a.masked_fill(~s.mask[:T, :T], float("-inf")).softmax(-1)
            return (a @ v).transpose(1, 2).reshape(B, T, D)

    m = A()
    f = compiled(m)
    o = []
    for T in (3, 5, 3):
        y = f(torch.randn(2, T, 4))
        m.zero_grad()
        y.sum().backward()
        o += [y, m.q.weight.grad.clone()]
    return o


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    compare(PROGRAMS[name])
