"""A word language model with an LSTM: tied weights, dropout, clipped gradients, and a rate that falls."""

import argparse
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F


class Dictionary(object):
    def __init__(self):
        self.word2idx = {}
        self.idx2word = []

    def add_word(self, word):
        if word not in self.word2idx:
            self.idx2word.append(word)
            self.word2idx[word] = len(self.idx2word) - 1
        return self.word2idx[word]

    def __len__(self):
        return len(self.idx2word)


class Corpus(object):
    """Sentences that a little grammar makes."""

    subjects = ["the cat", "a dog", "my neighbour", "the old ship", "nobody"]
    verbs = ["sees", "follows", "likes", "paints", "forgets"]
    objects = ["the moon", "a river", "two apples", "the cat", "an open door"]
    endings = ["again", "at night", "without a word", "in the rain"]

    def __init__(self, seed):
        self.dictionary = Dictionary()
        self.random = random.Random(seed)
        self.train = self.tokenize(400)
        self.valid = self.tokenize(60)

    def sentence(self):
        parts = [self.random.choice(p) for p in (self.subjects, self.verbs, self.objects)]
        if self.random.random() < 0.5:
            parts.append(self.random.choice(self.endings))
        return " ".join(parts).split() + ["<eos>"]

    def tokenize(self, count):
        ids = []
        for _ in range(count):
            ids.append(torch.tensor([self.dictionary.add_word(w) for w in self.sentence()]).type(torch.int64))
        return torch.cat(ids)


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp, nhid, nlayers, dropout=0.2, tie_weights=True):
        super(RNNModel, self).__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            if nhid != ninp:
                raise ValueError("When using the tied flag, nhid must be equal to emsize")
            self.decoder.weight = self.encoder.weight
        self.init_weights()
        self.nhid = nhid
        self.nlayers = nlayers

    def init_weights(self):
        initrange = 0.1
        nn.init.uniform_(self.encoder.weight, -initrange, initrange)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        decoded = self.decoder(self.drop(output))
        return F.log_softmax(decoded.view(-1, self.ntoken), dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (weight.new_zeros(self.nlayers, bsz, self.nhid), weight.new_zeros(self.nlayers, bsz, self.nhid))


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    return data.narrow(0, 0, nbatch * bsz).view(bsz, -1).t().contiguous()


def repackage_hidden(h):
    """Cuts hidden states off from their history."""
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def get_batch(source, i, bptt):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def evaluate(model, source, args, criterion):
    model.eval()
    total, hidden = 0.0, model.init_hidden(source.size(1))
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, args.bptt):
            data, targets = get_batch(source, i, args.bptt)
            output, hidden = model(data, hidden)
            hidden = repackage_hidden(hidden)
            total += len(data) * criterion(output, targets).item()
    return total / (len(source) - 1)


def main():
    parser = argparse.ArgumentParser(description="Word language model")
    parser.add_argument("--emsize", type=int, default=24)
    parser.add_argument("--nhid", type=int, default=24)
    parser.add_argument("--nlayers", type=int, default=2)
    parser.add_argument("--lr", type=float, default=8.0)
    parser.add_argument("--clip", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch_size", type=int, default=10)
    parser.add_argument("--bptt", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1111)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    corpus = Corpus(args.seed)
    train_data, val_data = batchify(corpus.train, args.batch_size), batchify(corpus.valid, 5)
    model = RNNModel(len(corpus.dictionary), args.emsize, args.nhid, args.nlayers)
    criterion, lr, best = nn.NLLLoss(), args.lr, None
    for epoch in range(1, args.epochs + 1):
        model.train()
        hidden, total = model.init_hidden(args.batch_size), 0.0
        for batch, i in enumerate(range(0, train_data.size(0) - 1, args.bptt)):
            data, targets = get_batch(train_data, i, args.bptt)
            model.zero_grad()
            hidden = repackage_hidden(hidden)
            output, hidden = model(data, hidden)
            loss = criterion(output, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-lr)
            total += loss.item()
            if batch % 4 == 3:
                print("epoch {} batch {} ppl {:8.2f}".format(epoch, batch + 1, math.exp(total / 4)))
                print("loss {:.5f}".format(total / 4))
                total = 0.0
        val_loss = evaluate(model, val_data, args, criterion)
        print("valid {:.4f}".format(val_loss))
        if best is None or val_loss < best:
            best = val_loss
        else:
            lr /= 4.0


if __name__ == "__main__":
    main()
