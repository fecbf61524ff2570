"""A graph attention network (Velickovic et al., 2018) with several heads and masked scores."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam


class GraphAttentionLayer(nn.Module):
    """Each vertex attends to its neighbours; heads are joined, or averaged in the last layer."""

    def __init__(self, in_features, out_features, n_heads, concat=False, dropout=0.4, leaky_relu_slope=0.2):
        super(GraphAttentionLayer, self).__init__()
        self.n_heads = n_heads
        self.concat = concat
        self.dropout = dropout
        if concat:
            self.out_features = out_features
            assert out_features % n_heads == 0
            self.n_hidden = out_features // n_heads
        else:
            self.n_hidden = out_features
        self.W = nn.Parameter(torch.empty(size=(in_features, self.n_hidden * n_heads)))
        self.a = nn.Parameter(torch.empty(size=(n_heads, 2 * self.n_hidden, 1)))
        self.leakyrelu = nn.LeakyReLU(leaky_relu_slope)
        self.softmax = nn.Softmax(dim=1)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def _get_attention_scores(self, h_transformed):
        source_scores = torch.matmul(h_transformed, self.a[:, : self.n_hidden, :])
        target_scores = torch.matmul(h_transformed, self.a[:, self.n_hidden :, :])
        e = source_scores + target_scores.mT
        return self.leakyrelu(e)

    def forward(self, h, adj_mat):
        n_nodes = h.shape[0]
        h_transformed = torch.mm(h, self.W)
        h_transformed = F.dropout(h_transformed, self.dropout, training=self.training)
        h_transformed = h_transformed.view(n_nodes, self.n_heads, self.n_hidden).permute(1, 0, 2)
        e = self._get_attention_scores(h_transformed)
        connectivity_mask = -9e16 * torch.ones_like(e)
        e = torch.where(adj_mat > 0, e, connectivity_mask)
        attention = F.softmax(e, dim=-1)
        attention = F.dropout(attention, self.dropout, training=self.training)
        h_prime = torch.matmul(attention, h_transformed)
        if self.concat:
            return h_prime.permute(1, 0, 2).contiguous().view(n_nodes, self.out_features)
        return h_prime.mean(dim=0)


class GAT(nn.Module):
    def __init__(self, in_features, n_hidden, n_heads, num_classes, concat=False, dropout=0.4, leaky_relu_slope=0.2):
        super(GAT, self).__init__()
        self.gat1 = GraphAttentionLayer(in_features, n_hidden, n_heads, True, dropout, leaky_relu_slope)
        self.gat2 = GraphAttentionLayer(n_hidden, num_classes, 1, False, dropout, leaky_relu_slope)

    def forward(self, input_tensor, adj_mat):
        x = self.gat1(input_tensor, adj_mat)
        x = F.elu(x)
        x = self.gat2(x, adj_mat)
        return F.log_softmax(x, dim=1)


def citations(count, groups, features, seed):
    """Papers that cite papers of their own field more often, with a bag of words each."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % groups
    words = torch.rand(groups, features, generator=generator) ** 3
    bags = (torch.rand(count, features, generator=generator) < 0.05 + 0.25 * words[labels]).float()
    chance = torch.full((count, count), 0.008).masked_fill(labels[:, None] == labels[None, :], 0.06)
    adjacency = (torch.rand(count, count, generator=generator) < chance).float()
    adjacency = torch.maximum(adjacency, adjacency.T)
    adjacency.fill_diagonal_(1.0)
    bags = bags / bags.sum(1, keepdim=True).clamp_min(1.0)
    return bags, labels, adjacency


def train_iter(epoch, model, optimizer, criterion, input, target, mask_train, mask_val, print_every=5):
    model.train()
    optimizer.zero_grad()
    output = model(*input)
    loss = criterion(output[mask_train], target[mask_train])
    loss.backward()
    optimizer.step()
    if epoch % print_every == 0:
        loss_val, acc_val = test(model, criterion, input, target, mask_val)
        print("epoch %03d val_loss %.4f val_acc %.3f" % (epoch, loss_val, acc_val))
        print("loss %.5f" % loss.item())


@torch.no_grad()
def test(model, criterion, input, target, mask):
    model.eval()
    output, target = model(*input)[mask], target[mask]
    loss = criterion(output, target)
    acc = (output.argmax(dim=1) == target).float().mean()
    return loss.item(), acc.item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Graph attention network")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--l2", type=float, default=5e-4)
    parser.add_argument("--dropout-p", type=float, default=0.2)
    parser.add_argument("--hidden-dim", type=int, default=16)
    parser.add_argument("--num-heads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    features, labels, adjacency = citations(180, 3, 40, args.seed)
    idx = torch.randperm(len(labels))
    idx_train, idx_val, idx_test = idx[:60], idx[60:110], idx[110:]
    net = GAT(features.shape[1], args.hidden_dim, args.num_heads, 3, dropout=args.dropout_p)
    optimizer = Adam(net.parameters(), lr=args.lr, weight_decay=args.l2)
    criterion = nn.NLLLoss()
    for epoch in range(args.epochs):
        train_iter(epoch + 1, net, optimizer, criterion, (features, adjacency), labels, idx_train, idx_val)
    print("test %.4f, accuracy %.3f" % test(net, criterion, (features, adjacency), labels, idx_test))
