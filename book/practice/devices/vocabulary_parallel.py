"""Vocabulary parallel: each rank has some columns of the logits.

torchrun --standalone --nproc-per-node 2 vocabulary_parallel.py
"""

import textwrap
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed._functional_collectives import all_reduce
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import loss_parallel
from torch.nn import functional as F

dist.init_process_group("gloo", timeout=timedelta(seconds=30))
rank, world = dist.get_rank(), dist.get_world_size()
sent = []  # the bytes of each reduction


def reduced(x, op=dist.ReduceOp.SUM):
    """Return the sum or the largest of what all ranks have."""
    sent.append(x.nbytes)
    x = x.detach().clone()
    dist.all_reduce(x, op)
    return x


def owned(z, labels):
    """Return the labels' places among these columns, and which are here."""
    place = labels - rank * z.shape[1]
    here = (place >= 0) & (place < z.shape[1])
    return place.clamp(0, z.shape[1] - 1), here


class VocabularyParallel(torch.autograd.Function):
    """Losses (N) of the logits (N, V / W) of this rank and labels (N)."""

    @staticmethod
    def forward(ctx, z, labels, smoothing, z_weight):
        place, here = owned(z, labels)
        picked = z.gather(1, place[:, None]).squeeze(1) * here
        top = reduced(z.max(dim=1).values, dist.ReduceOp.MAX)
        log_sum = top + reduced((z - top[:, None]).exp().sum(dim=1)).log()
        loss = log_sum - reduced(picked)
        if smoothing:  # towards the mean of all V logits
            mean = reduced(z.sum(dim=1)) / (world * z.shape[1])
            loss = (1 - smoothing) * loss + smoothing * (log_sum - mean)
        ctx.save_for_backward((z - log_sum[:, None]).exp(), place, here)
        ctx.extra = smoothing, 1 + 2 * z_weight * log_sum[:, None]
        return loss + z_weight * log_sum**2

    @staticmethod
    def backward(ctx, slope):
        probs, place, here = ctx.saved_tensors
        smoothing, factor = ctx.extra
        target = torch.full_like(probs, smoothing / (world * probs.shape[1]))
        hit = (1 - smoothing) * here[:, None].to(probs.dtype)
        target.scatter_add_(1, place[:, None], hit)
        return (factor * probs - target) * slope[:, None], None, None, None


def ours(z, smoothing=0.0, z_weight=0.0):
    """Return the mean loss, by three reductions; smoothing takes a fourth."""
    return VocabularyParallel.apply(z, labels, smoothing, z_weight).mean()


def by_dtensor(z, **options):
    """Return the mean loss of logits that PyTorch knows to be divided."""
    divided = DTensor.from_local(z, mesh, [Shard(1)])
    return F.cross_entropy(divided, labels, **options)


def by_autograd(z):
    """Return the mean loss by sums that autograd sums again, backward."""
    place, here = owned(z, labels)
    top = reduced(z.max(dim=1).values, dist.ReduceOp.MAX)
    powers = (z - top[:, None]).exp()
    log_sum = top + all_reduce(powers.sum(dim=1), "sum", mesh).log()
    picked = z.gather(1, place[:, None]).squeeze(1) * here
    picked = all_reduce(picked, "sum", mesh)
    return (log_sum - picked).mean()


def own_mean(z, smoothing):
    """Return the mean loss, smoothed towards the columns of this rank."""
    place, here = owned(z, labels)
    picked = z.gather(1, place[:, None]).squeeze(1) * here
    at_label = picked + reduced(picked) - picked.detach()
    return ours(z) + smoothing * (at_label - z.mean(dim=1)).mean()


def one_device(z, smoothing=0.0, z_weight=0.0):
    """Return the mean loss of all the logits."""
    loss = F.cross_entropy(z, labels, label_smoothing=smoothing)
    return loss + z_weight * (z.logsumexp(dim=1) ** 2).mean()


def compare(name, loss_of, **options):
    """Print loss and gradients beside those of one device."""
    sent.clear()
    h, w = (x.clone().requires_grad_() for x in (hidden, head[columns]))
    with CommDebugMode() as collectives:
        loss = loss_of(h @ w.T, **options)
        loss.backward()
    calls = collectives.get_total_counts()
    if isinstance(loss, DTensor):
        loss = loss.full_tensor()
    sent_bytes = sum(sent) if len(sent) == calls else "–"
    h_all, w_all = (x.clone().requires_grad_() for x in (hidden, head))
    exact = one_device(h_all @ w_all.T, **options)
    exact.backward()
    parts = h.grad, reduced(h.grad)
    pairs = [(w.grad, w_all.grad[columns]), *((g, h_all.grad) for g in parts)]
    off = [100 * ((a - b).norm() / b.norm()).item() for a, b in pairs]
    if rank == 0:
        print(f"{name:22} {loss:.4f}  {exact:.4f}", end=" ")
        print(*(f"{error:6.1f} %" for error in off), end="")
        print(f"  {calls:5}  {sent_bytes:>5}", flush=True)


def complain(name, **options):
    """Print the error that PyTorch raises."""
    try:
        by_dtensor(hidden @ head[columns].T, **options)
    except RuntimeError as error:
        if rank == 0:
            print(name, textwrap.fill(str(error), 76), sep="\n", flush=True)


torch.manual_seed(0)  # the same on every rank
mesh = init_device_mesh("cpu", (world,))
hidden = torch.randn(64, 16).double()
head = torch.randn(1000, 16).double() / 4
labels = torch.randint(1000, (64,))
columns = slice(rank * 1000 // world, (rank + 1) * 1000 // world)

if rank == 0:
    print(
        f"{world} ranks                  loss    exact      head   hidden",
        end="",
    )
    print("   summed  calls  bytes", flush=True)
compare("three reductions", ours)
compare("smoothing 0.1", ours, smoothing=0.1)
compare("z-loss 0.001", ours, z_weight=1e-3)
with loss_parallel():
    compare("DTensor, loss_parallel", by_dtensor)
compare("differentiable sums", by_autograd)
compare("each smooths its own", own_mean, smoothing=0.1)
with loss_parallel():
    complain("smoothing in loss_parallel", label_smoothing=0.1)
complain("outside loss_parallel")
dist.destroy_process_group()
