"""A variational autoencoder on noisy ellipses, after Kingma and Welling, 2014."""

from __future__ import print_function

import argparse
import math

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F


class Ellipses(torch.utils.data.Dataset):
    """Pictures of 16 x 16 with an ellipse in each, values between 0 and 1."""

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.centres = torch.rand(count, 2, generator=generator) * 6 + 5
        self.radii = torch.rand(count, 2, generator=generator) * 3 + 2
        self.angles = torch.rand(count, generator=generator) * math.pi

    def __len__(self):
        return len(self.angles)

    def __getitem__(self, index):
        grid = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij"))
        offset = grid - self.centres[index].view(2, 1, 1)
        sine, cosine = torch.sin(self.angles[index]), torch.cos(self.angles[index])
        along = cosine * offset[0] + sine * offset[1]
        across = -sine * offset[0] + cosine * offset[1]
        distance = (along / self.radii[index, 0]) ** 2 + (across / self.radii[index, 1]) ** 2
        return torch.sigmoid(4 * (1 - distance)).unsqueeze(0)


class VAE(nn.Module):
    def __init__(self, width, latent):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(256, width)
        self.fc21 = nn.Linear(width, latent)
        self.fc22 = nn.Linear(width, latent)
        self.fc3 = nn.Linear(latent, width)
        self.fc4 = nn.Linear(width, 256)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 256))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    """Reconstruction error and divergence from the prior, summed over elements and batch."""
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 256), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


def train(args, model, device, loader, optimizer, epoch):
    model.train()
    total = 0.0
    for batch_idx, data in enumerate(loader):
        data = data.to(device)
        optimizer.zero_grad()
        recon, mu, logvar = model(data)
        loss = loss_function(recon, data, mu, logvar)
        loss.backward()
        total += loss.item()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print("epoch {} [{}/{}]".format(epoch, batch_idx * len(data), len(loader.dataset)))
            print("loss {:.5f}".format(loss.item() / len(data)))
    return total / len(loader.dataset)


def test(model, device, loader):
    model.eval()
    total = 0.0
    with torch.no_grad():
        for data in loader:
            data = data.to(device)
            recon, mu, logvar = model(data)
            total += loss_function(recon, data, mu, logvar).item()
    return total / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser(description="VAE")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--latent", type=int, default=4)
    parser.add_argument("--no-accel", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-interval", type=int, default=4)
    args = parser.parse_args()
    use_accel = not args.no_accel and torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if use_accel else torch.device("cpu")
    torch.manual_seed(args.seed)

    kwargs = {"num_workers": 1, "pin_memory": True} if use_accel else {}
    train_loader = torch.utils.data.DataLoader(Ellipses(512, 0), batch_size=args.batch_size, shuffle=True, **kwargs)
    test_loader = torch.utils.data.DataLoader(Ellipses(128, 1), batch_size=args.batch_size, shuffle=False, **kwargs)
    model = VAE(64, args.latent).to(device)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(1, args.epochs + 1):
        mean = train(args, model, device, train_loader, optimizer, epoch)
        print("epoch {} mean {:.4f}".format(epoch, mean))
        print("loss {:.5f}".format(test(model, device, test_loader)))
        with torch.no_grad():
            sample = model.decode(torch.randn(8, args.latent).to(device)).cpu()
            print("sample", tuple(sample.view(8, 1, 16, 16).shape), "{:.3f}".format(sample.mean().item()))


if __name__ == "__main__":
    main()
