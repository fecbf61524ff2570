"""A spatial transformer before a small classifier of shifted bars, trained with an optimizer of the program's own."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Bars(Dataset):
    """Pictures of one bar, lying or standing, somewhere."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.pictures = rng.normal(0, 0.1, (count, 1, 20, 20)).astype(np.float32)
        self.labels = rng.integers(0, 2, count)
        for picture, label in zip(self.pictures, self.labels):
            place = rng.integers(4, 16)
            if label:
                picture[0, place] += 1
            else:
                picture[0, :, place] += 1

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.from_numpy(self.pictures[index]), int(self.labels[index])


class SpatialTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=5), nn.MaxPool2d(2, stride=2), nn.ReLU(True), nn.Flatten()
        )
        self.where = nn.Sequential(nn.Linear(8 * 8 * 8, 16), nn.ReLU(True), nn.Linear(16, 6))
        self.where[2].weight.data.zero_()
        self.where[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))

    def forward(self, x):
        theta = self.where(self.look(x)).view(-1, 2, 3)
        return F.grid_sample(x, F.affine_grid(theta, x.size(), align_corners=False), align_corners=False)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.transform = SpatialTransformer()
        self.deep = nn.Conv2d(1, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.drop = nn.Dropout2d(0.2)
        self.classify = nn.Linear(6 * 5 * 5, 2)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.deep(self.transform(x)), 2))
        x = self.drop(F.max_pool2d(self.depthwise(x), 2).relu_())
        return F.log_softmax(self.classify(x.flatten(1)), dim=1)


class AMSGrad(torch.optim.Optimizer):
    """As optimizers were written before PyTorch had operators on lists."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    for name in ("mean", "square", "largest"):
                        state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
                state["step"] += 1
                state["mean"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                torch.max(state["largest"], state["square"], out=state["largest"])
                size = group["lr"] * np.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                p.addcdiv_(state["mean"], state["largest"].sqrt().add_(group["eps"]), value=-size)
        return loss


def main():
    torch.manual_seed(1)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    loader = DataLoader(Bars(256, seed=0), batch_size=32, shuffle=True, drop_last=True)
    model = Net().to(device)
    optimizer = AMSGrad(model.parameters(), lr=1e-3)
    for _ in range(6):
        model.train()
        total = 0.0
        for pictures, labels in loader:
            optimizer.zero_grad()
            loss = F.nll_loss(model(pictures.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()
        print("loss", total / len(loader))


if __name__ == "__main__":
    main()
