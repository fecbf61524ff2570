"""A small network learns a surface: the README's program, compiled.

    python examples/regression.py
"""

import flambeau as torch
from flambeau import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
x = torch.randn(256, 2)
y = (x[:, :1] * x[:, 1:]).sin()


@torch.compile
def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


for number in range(500):
    loss = step(x, y)
    if number % 100 == 99:
        print(f"step {number + 1}: loss {loss.item():.4f}")
