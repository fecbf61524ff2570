"""A word language model with a transformer encoder, sinusoids for places, and AdamW with warm-up."""

import argparse
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F


def text(count, seed):
    """Words of a toy language in which brackets of three kinds nest and are closed."""
    chooser = random.Random(seed)
    pairs = [("(", ")"), ("[", "]"), ("{", "}")]
    words = []
    while len(words) < count:
        stack = []
        for _ in range(chooser.randint(4, 14)):
            if stack and (len(stack) > 3 or chooser.random() < 0.45):
                words.append(stack.pop())
            else:
                start, end = chooser.choice(pairs)
                words.append(start)
                stack.append(end)
        words.extend(reversed(stack))
        words.append(".")
    return words[:count]


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=500):
        super(PositionalEncoding, self).__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        pe = pe.unsqueeze(0).transpose(0, 1)
        self.register_buffer("pe", pe)

    def forward(self, x):
        x = x + self.pe[: x.size(0), :]
        return self.dropout(x)


class TransformerModel(nn.Transformer):
    def __init__(self, ntoken, ninp, nhead, nhid, nlayers, dropout=0.1):
        super(TransformerModel, self).__init__(
            d_model=ninp, nhead=nhead, dim_feedforward=nhid, num_encoder_layers=nlayers, num_decoder_layers=0
        )
        self.src_mask = None
        self.pos_encoder = PositionalEncoding(ninp, dropout)
        self.input_emb = nn.Embedding(ntoken, ninp)
        self.ninp = ninp
        self.decoder = nn.Linear(ninp, ntoken)
        self.init_weights()

    def _generate_square_subsequent_mask(self, sz):
        return torch.log(torch.tril(torch.ones(sz, sz)))

    def init_weights(self):
        initrange = 0.1
        nn.init.uniform_(self.input_emb.weight, -initrange, initrange)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -initrange, initrange)

    def forward(self, src, has_mask=True):
        if has_mask:
            if self.src_mask is None or self.src_mask.size(0) != len(src):
                self.src_mask = self._generate_square_subsequent_mask(len(src)).to(src.device)
        else:
            self.src_mask = None
        src = self.input_emb(src) * math.sqrt(self.ninp)
        src = self.pos_encoder(src)
        output = self.encoder(src, mask=self.src_mask)
        output = self.decoder(output)
        return F.log_softmax(output, dim=-1)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    return data.narrow(0, 0, nbatch * bsz).view(bsz, -1).t().contiguous()


def evaluate(model, source, bptt, ntokens):
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, bptt):
            length = min(bptt, len(source) - 1 - i)
            output = model(source[i : i + length]).view(-1, ntokens)
            total += length * F.nll_loss(output, source[i + 1 : i + 1 + length].reshape(-1)).item()
            count += length
    return total / count


def main():
    parser = argparse.ArgumentParser(description="Transformer language model")
    parser.add_argument("--emsize", type=int, default=32)
    parser.add_argument("--nhead", type=int, default=4)
    parser.add_argument("--nhid", type=int, default=64)
    parser.add_argument("--nlayers", type=int, default=2)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--bptt", type=int, default=24)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    words = text(4000, args.seed)
    names = sorted(set(words))
    ids = torch.tensor([names.index(w) for w in words])
    train_data, valid_data = batchify(ids[:3400], 16), batchify(ids[3400:], 8)
    model = TransformerModel(len(names), args.emsize, args.nhead, args.nhid, args.nlayers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        for batch, i in enumerate(range(0, train_data.size(0) - 1, args.bptt)):
            length = min(args.bptt, len(train_data) - 1 - i)
            data, targets = train_data[i : i + length], train_data[i + 1 : i + 1 + length].reshape(-1)
            optimizer.zero_grad(set_to_none=True)
            output = model(data).view(-1, len(names))
            loss = F.nll_loss(output, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            total += loss.item()
            if batch % 3 == 2:
                print("epoch {} batch {} lr {:.5f}".format(epoch, batch + 1, scheduler.get_last_lr()[0]))
                print("loss {:.5f}".format(total / 3))
                total = 0.0
        print("valid {:.4f}".format(evaluate(model, valid_data, args.bptt, len(names))))


if __name__ == "__main__":
    main()
