"""The networks of the benchmarks, written once for PyTorch and Flambeau: each takes the package."""

from __future__ import annotations

from typing import Any


def mlp(torch: Any) -> Any:
    """784-256-128-10."""
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def lenet(torch: Any) -> Any:
    """LeNet for (N, 3, 32, 32)."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def face_keypoints(torch: Any) -> Any:
    """The face key-point network for (N, 1, 112, 112)."""
    nn = torch.nn

    def block(i: int, o: int, k: int, s: int = 1, p: int = 0) -> list:
        return [nn.Conv2d(i, o, k, stride=s, padding=p), nn.PReLU()]

    return nn.Sequential(
        *block(1, 8, 5, 2), nn.AvgPool2d(2), *block(8, 16, 3), *block(16, 16, 3),
        nn.AvgPool2d(2, ceil_mode=True), *block(16, 24, 3), *block(24, 24, 3), nn.AvgPool2d(2),
        *block(24, 40, 3, 1, 1), *block(40, 80, 3, 1, 1), nn.Flatten(), nn.Linear(1280, 128), nn.PReLU(),
        nn.Linear(128, 128), nn.PReLU(), nn.Linear(128, 42),
    )  # fmt: skip


def alexnet(torch: Any) -> Any:
    """AlexNet for (N, 3, 224, 224), without dropout, so that both sides compute the same."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000),
    )  # fmt: skip


def resnet18(torch: Any) -> Any:
    """ResNet-18 for (N, 3, 224, 224)."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, i: int, o: int, stride: int) -> None:
            super().__init__()
            self.path = nn.Sequential(
                nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
                nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o),
            )  # fmt: skip
            self.short = nn.Identity()
            if stride > 1 or i != o:
                self.short = nn.Sequential(
                    nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)
                )
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.path(x) + self.short(x))

    blocks = []
    for i, o, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        blocks += [Block(i, o, stride), Block(o, o, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000),
    )  # fmt: skip


def transformer(torch: Any) -> Any:
    """An encoder layer for (N, 128, 256): 4 heads, feed-forward 1024, no dropout."""
    return torch.nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)


def lstm(torch: Any) -> Any:
    """An LSTM 64 -> 128 for (N, 64, 64) that gives its outputs."""
    nn = torch.nn

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(64, 128, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    return Outputs()
