"""Super-resolution by sub-pixel convolution (Shi et al., 2016) on smooth random pictures."""

from __future__ import print_function

import argparse
from math import log10

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.init as init
import torch.optim as optim
from torch.utils.data import DataLoader
from torch.utils.data import dataset as data


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 16, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(16, 16, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(16, 8, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv2.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv3.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)


class Pictures(data.Dataset):
    """Sums of random waves with a soft edge, and the same at a fraction of the size."""

    def __init__(self, count, upscale_factor, seed):
        super(Pictures, self).__init__()
        generator = torch.Generator().manual_seed(seed)
        self.factor = upscale_factor
        self.frequencies = torch.randn(count, 4, 2, generator=generator) * 0.35
        self.phases = torch.rand(count, 4, generator=generator) * 6.28
        self.edges = torch.randn(count, 3, generator=generator)

    def __len__(self):
        return len(self.phases)

    def __getitem__(self, index):
        rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
        picture = torch.zeros(24, 24)
        for k in range(4):
            wave = self.frequencies[index, k, 0] * rows + self.frequencies[index, k, 1] * columns
            picture = picture + torch.sin(wave + self.phases[index, k]) / 4
        a, b, c = self.edges[index]
        picture = picture + torch.sigmoid(a * (rows - 12) + b * (columns - 12) + c)
        target = (picture - picture.min()) / (picture.max() - picture.min())
        small = F.interpolate(target[None, None], scale_factor=1 / self.factor, mode="bilinear", align_corners=False)
        return small[0], target.unsqueeze(0)


def main():
    parser = argparse.ArgumentParser(description="Super resolution")
    parser.add_argument("--upscale_factor", type=int, default=3)
    parser.add_argument("--batchSize", type=int, default=16)
    parser.add_argument("--testBatchSize", type=int, default=10)
    parser.add_argument("--nEpochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=123)
    opt = parser.parse_args()
    torch.manual_seed(opt.seed)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")

    train_set = Pictures(160, opt.upscale_factor, 0)
    test_set = Pictures(40, opt.upscale_factor, 1)
    training_data_loader = DataLoader(dataset=train_set, num_workers=0, batch_size=opt.batchSize, shuffle=True)
    testing_data_loader = DataLoader(dataset=test_set, num_workers=0, batch_size=opt.testBatchSize, shuffle=False)
    model = Net(upscale_factor=opt.upscale_factor).to(device)
    criterion = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=opt.lr)

    def train(epoch):
        epoch_loss = 0
        for iteration, batch in enumerate(training_data_loader, 1):
            input, target = batch[0].to(device), batch[1].to(device)
            optimizer.zero_grad()
            loss = criterion(model(input), target)
            epoch_loss += loss.item()
            loss.backward()
            optimizer.step()
            if iteration % 5 == 0:
                print("epoch[{}]({}/{})".format(epoch, iteration, len(training_data_loader)))
                print("loss {:.6f}".format(loss.item()))
        print("epoch {} complete: {:.6f}".format(epoch, epoch_loss / len(training_data_loader)))

    def test():
        avg_psnr = 0
        with torch.no_grad():
            for batch in testing_data_loader:
                input, target = batch[0].to(device), batch[1].to(device)
                mse = criterion(model(input), target)
                avg_psnr += 10 * log10(1 / mse.item())
        print("average PSNR: {:.3f} dB".format(avg_psnr / len(testing_data_loader)))

    for epoch in range(1, opt.nEpochs + 1):
        train(epoch)
        test()


if __name__ == "__main__":
    main()
