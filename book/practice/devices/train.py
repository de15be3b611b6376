"""Train on several ranks as on one: exact mean, micro-batches, clipping.

torchrun --standalone --nproc-per-node 2 train.py
"""

from contextlib import nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


def sequences():
    """Return 256 sequences of 9 tokens or fewer, labels padded with −100."""
    torch.manual_seed(0)
    table = torch.randn(8, 8).mul(2).softmax(dim=1)  # the next token
    tokens = [torch.randint(8, (256,))]
    for _ in range(9):
        tokens.append(torch.multinomial(table[tokens[-1]], 1).squeeze(1))
    tokens = torch.stack(tokens, dim=1)
    inputs, labels = tokens[:, :-1], tokens[:, 1:].clone()
    lengths = torch.randint(1, 10, (256, 1))
    labels[torch.arange(9) >= lengths] = -100
    return inputs, labels


def total(model, inputs, labels):
    """Return the sum of the losses of the labels that count."""
    logits = model(inputs).flatten(0, 1)
    return F.cross_entropy(logits, labels.flatten(), reduction="sum")


def main():
    """Take 40 steps of 64 sequences, in two micro-batches on each rank."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank, world = dist.get_rank(), dist.get_world_size()
    inputs, labels = sequences()
    torch.manual_seed(1)
    model = DistributedDataParallel(nn.Embedding(8, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for step in range(40):
        start = 64 * (step % 4)
        rows = torch.arange(start, start + 64)[rank::world]
        log = torch.zeros(2)  # the sum of the losses, and how many count
        log[1] = (labels[rows] != -100).sum()
        count = log[1].clone()
        dist.all_reduce(count)  # before backward: every loss needs it
        for micro in rows.chunk(2):
            last = micro[-1] == rows[-1]
            with nullcontext() if last else model.no_sync():
                loss = total(model, inputs[micro], labels[micro])
                (world * loss / count).backward()
            log[0] += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        dist.all_reduce(log)
        if rank == 0 and step % 13 == 0:
            print(f"step {step:2}  loss {log[0] / log[1]:.4f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
