"""A normalizing flow (Dinh et al., "Density estimation using Real NVP", 2017) learns a mixture of normal distributions.

    python flow.py

Couplings are transforms, so that the flow is a distribution: it draws samples and gives their densities.
"""

import math

import torch
import torch.nn as nn
from torch import optim
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Transform,
    TransformedDistribution,
    constraints,
)


class Coupling(Transform):
    """Half of the numbers are moved and stretched by amounts that the other half decides."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, net, first):
        super().__init__()
        self.net, self.first = net, first

    def parts(self, x):
        half = x.shape[-1] // 2
        return (x[..., :half], x[..., half:]) if self.first else (x[..., half:], x[..., :half])

    def joined(self, kept, changed):
        return torch.cat([kept, changed] if self.first else [changed, kept], dim=-1)

    def amounts(self, kept):
        log_scale, shift = self.net(kept).chunk(2, dim=-1)
        return log_scale.tanh(), shift

    def _call(self, x):
        kept, changed = self.parts(x)
        log_scale, shift = self.amounts(kept)
        return self.joined(kept, changed * log_scale.exp() + shift)

    def _inverse(self, y):
        kept, changed = self.parts(y)
        log_scale, shift = self.amounts(kept)
        return self.joined(kept, (changed - shift) * (-log_scale).exp())

    def log_abs_det_jacobian(self, x, y):
        return self.amounts(self.parts(x)[0])[0].sum(-1)


class Flow(nn.Module):
    def __init__(self, size=2, couplings=6, hidden=32):
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(size // 2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size)
            )
            for _ in range(couplings)
        )
        for net in self.nets:
            nn.init.normal_(net[-1].weight, std=0.01)
            nn.init.zeros_(net[-1].bias)
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def distribution(self):
        base = Independent(Normal(self.loc, self.scale), 1)
        return TransformedDistribution(base, [Coupling(net, i % 2 == 0) for i, net in enumerate(self.nets)])


def target(count=5, radius=3.0):
    """Narrow normal distributions around a circle."""
    angles = torch.arange(count) * (2 * math.pi / count)
    centres = radius * torch.stack([angles.cos(), angles.sin()], dim=-1)
    components = MultivariateNormal(centres, scale_tril=0.5 * torch.eye(2).expand(count, 2, 2))
    return MixtureSameFamily(Categorical(torch.ones(count)), components)


def main():
    torch.manual_seed(3)
    mixture, flow = target(), Flow()
    optimizer = optim.Adam(flow.parameters(), lr=5e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 120)
    data = mixture.sample((4096,))
    least = -mixture.log_prob(data).mean().item()
    for step in range(120):
        batch = data[torch.randint(len(data), (256,))]
        loss = -flow.distribution().log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 10 == 9:
            print(f"loss {loss.item():.6f}")
    with torch.no_grad():
        drawn = flow.distribution().sample((2000,))
        divergence = (flow.distribution().log_prob(drawn) - mixture.log_prob(drawn)).mean()
        print(f"entropy of the data {least:.3f}, divergence of the flow {divergence.item():.3f}")
        print(f"distance from the middle {drawn.norm(dim=-1).mean().item():.3f}")


if __name__ == "__main__":
    main()
