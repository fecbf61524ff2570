"""A siamese network that tells whether two pictures show the same kind of thing."""

from __future__ import print_function

import argparse
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset


class SiameseNetwork(nn.Module):
    """Two branches with shared weights; their features side by side give one score."""

    def __init__(self):
        super(SiameseNetwork, self).__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((2, 2)),
        )
        self.fc = nn.Sequential(nn.Linear(16 * 4 * 2, 32), nn.ReLU(inplace=True), nn.Linear(32, 1))
        self.sigmoid = nn.Sigmoid()
        self.branch.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        output = self.branch(x)
        return output.view(output.size()[0], -1)

    def forward(self, input1, input2):
        output1, output2 = self.forward_once(input1), self.forward_once(input2)
        return self.sigmoid(self.fc(torch.cat((output1, output2), 1)))


class Pairs(Dataset):
    """Pairs of textures: half of them of one kind, half of two."""

    def __init__(self, count, seed):
        super(Pairs, self).__init__()
        generator = torch.Generator().manual_seed(seed)
        self.kinds = torch.randint(0, 4, (count,), generator=generator)
        self.phases = torch.rand(count, generator=generator) * 6.28
        self.noise = torch.randn(count, 12, 12, generator=generator) * 0.2
        self.group()
        self.chooser = random.Random(seed)

    def group(self):
        """For each kind, which pictures show it."""
        self.grouped = {k: [int(i) for i in torch.where(self.kinds == k)[0]] for k in range(4)}

    def picture(self, index):
        rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
        kind, phase = int(self.kinds[index]), self.phases[index]
        wave = [rows, columns, rows + columns, (rows - 6) ** 2 / 3 + (columns - 6) ** 2 / 3][kind]
        return (torch.sin(wave * 1.2 + phase) + self.noise[index]).unsqueeze(0)

    def __len__(self):
        return len(self.kinds)

    def __getitem__(self, index):
        kind = self.chooser.randrange(4)
        first = self.chooser.choice(self.grouped[kind])
        if index % 2 == 0:
            second, target = self.chooser.choice(self.grouped[kind]), 1.0
        else:
            other = self.chooser.choice([k for k in range(4) if k != kind])
            second, target = self.chooser.choice(self.grouped[other]), 0.0
        return self.picture(first), self.picture(second), torch.tensor(target, dtype=torch.float)


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    criterion = nn.BCELoss()
    for batch_idx, (images_1, images_2, targets) in enumerate(train_loader):
        images_1, images_2, targets = images_1.to(device), images_2.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(images_1, images_2).squeeze()
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print("epoch {} [{}/{}]".format(epoch, batch_idx * len(images_1), len(train_loader.dataset)))
            print("loss {:.5f}".format(loss.item()))


def test(model, device, test_loader):
    model.eval()
    total, correct = 0.0, 0
    criterion = nn.BCELoss(reduction="sum")
    with torch.no_grad():
        for images_1, images_2, targets in test_loader:
            outputs = model(images_1.to(device), images_2.to(device)).squeeze()
            total += criterion(outputs, targets.to(device)).item()
            pred = torch.where(outputs > 0.5, 1, 0)
            correct += pred.eq(targets.view_as(pred)).sum().item()
    count = len(test_loader.dataset)
    print("test: {:.4f}, {}/{}".format(total / count, correct, count))


def main():
    parser = argparse.ArgumentParser(description="Siamese network")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=0.004)
    parser.add_argument("--gamma", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--log-interval", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader = DataLoader(Pairs(320, 0), batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(Pairs(96, 1), batch_size=48)
    model = SiameseNetwork().to(device)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        test(model, device, test_loader)
        scheduler.step()
    print("weights", sum(p.numel() for p in model.parameters()), F.relu(torch.tensor(-1.0)).item())


if __name__ == "__main__":
    main()
