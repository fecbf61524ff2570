"""A graph convolutional network (Kipf and Welling, 2017) on a sparse adjacency matrix."""

from argparse import ArgumentParser

import torch
from torch import nn
from torch.nn.functional import log_softmax
from torch.optim import Adam


class GraphConv(nn.Module):
    """Features times weights, then averaged over neighbours: A X W."""

    def __init__(self, input_dim, output_dim, use_bias=False):
        super(GraphConv, self).__init__()
        self.kernel = nn.Parameter(torch.Tensor(input_dim, output_dim))
        nn.init.xavier_normal_(self.kernel)
        self.bias = None
        if use_bias:
            self.bias = nn.Parameter(torch.Tensor(output_dim))
            nn.init.zeros_(self.bias)

    def forward(self, input_tensor, adj_mat):
        support = torch.mm(input_tensor, self.kernel)
        output = torch.spmm(adj_mat, support)
        if self.bias is not None:
            output = output + self.bias
        return output


class GCN(nn.Module):
    def __init__(self, input_dim, hidden_dim, output_dim, use_bias=True, dropout_p=0.1):
        super(GCN, self).__init__()
        self.gc1 = GraphConv(input_dim, hidden_dim, use_bias=use_bias)
        self.gc2 = GraphConv(hidden_dim, output_dim, use_bias=use_bias)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input_tensor, adj_mat):
        x = self.gc1(input_tensor, adj_mat)
        x = nn.functional.relu(x)
        x = self.dropout(x)
        x = self.gc2(x, adj_mat)
        return log_softmax(x, dim=1)


def communities(count, groups, features, seed):
    """A graph whose vertices know those of their own group better; features hint at the group."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, groups, (count,), generator=generator)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    chance = torch.where(same, torch.tensor(0.12), torch.tensor(0.01))
    upper = torch.triu(torch.rand(count, count, generator=generator) < chance, diagonal=1)
    edges = (upper | upper.t()).nonzero().t()
    hints = torch.randn(groups, features, generator=generator)
    x = hints[labels] * 0.4 + torch.randn(count, features, generator=generator)
    return x, labels, edges


def normalised(edges, count):
    """D^-1/2 (A + I) D^-1/2 as a sparse tensor."""
    loops = torch.arange(count).unsqueeze(0).repeat(2, 1)
    indices = torch.cat([edges, loops], dim=1)
    adjacency = torch.sparse_coo_tensor(indices, torch.ones(indices.size(1)), (count, count)).coalesce()
    degree = torch.sparse.sum(adjacency, dim=1).to_dense()
    scale = degree.pow(-0.5)
    indices = adjacency.indices()
    values = adjacency.values() * scale[indices[0]] * scale[indices[1]]
    return torch.sparse_coo_tensor(indices, values, (count, count))


def train_iter(epoch, model, optimizer, criterion, input, target, mask_train, mask_val, print_every):
    model.train()
    optimizer.zero_grad()
    output = model(*input)
    loss = criterion(output[mask_train], target[mask_train])
    loss.backward()
    optimizer.step()
    loss_val, acc_val = test(model, criterion, input, target, mask_val)
    if epoch % print_every == 0:
        print(f"epoch {epoch:03d} val_loss: {loss_val:.4f} val_acc: {acc_val:.3f}")
        print(f"loss {loss.item():.5f}")


def test(model, criterion, input, target, mask):
    model.eval()
    with torch.no_grad():
        output, target = model(*input)[mask], target[mask]
        loss = criterion(output, target)
        acc = (output.argmax(dim=1) == target).float().sum() / len(target)
    return loss.item(), acc.item()


if __name__ == "__main__":
    parser = ArgumentParser(description="Graph convolutional network")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--l2", type=float, default=5e-4)
    parser.add_argument("--dropout-p", type=float, default=0.3)
    parser.add_argument("--hidden-dim", type=int, default=16)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    features, labels, edges = communities(240, 4, 12, args.seed)
    adjacency = normalised(edges, 240)
    idx = torch.randperm(len(labels))
    idx_train, idx_val, idx_test = idx[:60], idx[60:120], idx[120:]
    gcn = GCN(features.shape[1], args.hidden_dim, int(labels.max().item()) + 1, True, args.dropout_p)
    optimizer = Adam(gcn.parameters(), lr=args.lr, weight_decay=args.l2)
    criterion = nn.NLLLoss()
    for epoch in range(args.epochs):
        train_iter(epoch + 1, gcn, optimizer, criterion, (features, adjacency), labels, idx_train, idx_val, 6)
    loss_test, acc_test = test(gcn, criterion, (features, adjacency), labels, idx_test)
    print(f"test: {loss_test:.4f}, accuracy {acc_test:.3f}")
