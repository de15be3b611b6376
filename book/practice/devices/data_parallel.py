"""Data parallel: which loss gives the gradient of the whole batch?

torchrun --standalone --nproc-per-node 2 data_parallel.py
"""

from contextlib import nullcontext
from copy import deepcopy
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import (
    allreduce_hook,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo", timeout=timedelta(seconds=30))
rank, world = dist.get_rank(), dist.get_world_size()


def gathered(number):
    """Return the numbers of all ranks."""
    numbers = [torch.zeros(()) for _ in range(world)]
    dist.all_gather(numbers, torch.as_tensor(number).float())
    return [each.item() for each in numbers]


def say(*words):
    """Print on one rank only."""
    if rank == 0:
        print(*words, flush=True)


torch.manual_seed(0)  # the same on every rank, so that all see one batch
x, y = torch.randn(4, 4, 16).double(), torch.randint(7, (4, 4))
y[0, 1:], y[1, 1:] = -100, -100  # padding: 2 labels count here, 8 below
layer = nn.Linear(16, 7).double()
mesh = init_device_mesh("cpu", (world,))
sharded = fully_shard(deepcopy(layer), mesh=mesh)
model = DistributedDataParallel(layer)
first, last = (slice(i, i + 1) for i in (2 * rank, 2 * rank + 1))
both = slice(2 * rank, 2 * rank + 2)  # the rows of this rank
sent = torch.zeros(())


def hook(group, bucket):
    """Count the bytes of the gradient, then average it as DDP does."""
    sent.add_(bucket.buffer().nbytes)
    return allreduce_hook(group, bucket)


def total(rows, net=model):
    """Return the sum of the losses that count."""
    z = net(x[rows].flatten(0, 1))
    return F.cross_entropy(z, y[rows].flatten(), reduction="sum")


def gradient(net=layer):
    """Return all numbers of the gradient, and forget it."""
    parts = [p.grad for p in net.parameters()]
    parts = [p.full_tensor() if net is sharded else p for p in parts]
    net.zero_grad()
    return torch.cat([p.flatten() for p in parts])


def compare(name, factor, *micro_batches):
    """Print how far the gradient of each rank is from the exact one."""
    (total(slice(None), layer) / (y != -100).sum()).backward()  # all rows
    exact = gradient()
    sent.zero_()
    for rows, quiet in micro_batches or [(both, False)]:
        with model.no_sync() if quiet else nullcontext():
            (factor * total(rows)).backward()
    error = (gradient() - exact).norm() / exact.norm()
    errors = " ".join(f"{100 * e:6.1f} %" for e in gathered(error))
    say(f"{name:36} {errors} {int(sent):6}")


model.register_comm_hook(dist.group.WORLD, hook)
say("ranks", [int(r) for r in gathered(rank)])
mine = (y[both] != -100).sum()
count = mine.clone()
dist.all_reduce(count)
say("labels that count", [int(n) for n in gathered(mine)])
say(f"{'gradient':36}  rank 0,  rank 1  bytes")
compare("mean on each rank", 1 / mine)
compare("sum / labels of all", 1 / count)
compare("ranks × sum / labels of all", world / count)
share = world / count
compare("two micro-batches", share, (first, False), (last, False))
compare("… no_sync on the first", share, (first, True), (last, False))
compare("… no_sync on the last", share, (first, False), (last, True))

(total(slice(None), layer) / (y != -100).sum()).backward()
exact = gradient()
(share * total(both, sharded)).backward()
error = (gradient(sharded) - exact).norm() / exact.norm()
errors = " ".join(f"{100 * e:6.1f} %" for e in gathered(error))
say(f"{'FSDP, ranks × sum / labels of all':36} {errors}")

with torch.no_grad():
    sums = torch.stack([total(both, layer), mine])
    means = gathered(sums[0] / sums[1])
    dist.all_reduce(sums)
say("means of the ranks", *(f"{each:.4f}" for each in means))
say(f"sum of sums / sum of counts {sums[0] / sums[1]:.4f}")

y[:2] = -100  # now no label of rank 0 counts
F.cross_entropy(model(x[both]).flatten(0, 1), y[both].flatten()).backward()
halved = gradient()
say("mean of no labels", F.cross_entropy(x[0], y[0]).item())
(world * total(both) / 8).backward()
exact = gradient()
say(f"gradient: {100 * (halved / exact).mean():.0f} % of the exact one")
dist.destroy_process_group()
