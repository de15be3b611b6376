"""The chapter on large vocabularies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import weakref
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from tests.checks import Cited, Given, Row, logits, same, says
from tests.pages import BOOK


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The bytes of the tensors that have come into being and are alive, and the most so far."""

    def __init__(self, *given: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = {each.untyped_storage().data_ptr(): 0 for each in given}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else [result]:
            storage = each.untyped_storage()
            place = storage.data_ptr()
            if place not in self.alive:
                self.alive[place] = storage.nbytes()
                weakref.finalize(storage, self.alive.pop, place, None)
        self.most = max(self.most, sum(self.alive.values()))
        return result


def layer(N: int, V: int, D: int) -> list[torch.Tensor]:
    return [torch.randn(N, D, requires_grad=True), torch.randn(V, D, requires_grad=True)]


@given(st.integers(10, 60), st.integers(10, 60), st.integers(1, 60))
def eq_scale_memory(N: int, V: int, D: int) -> None:
    r"""4 \max(3 N V , \; N V + V D + N D) \text{ bytes} ."""
    hidden, head = layer(N, V, D)
    labels = torch.zeros(N, dtype=torch.long)
    with Counter(hidden, head, labels) as counter:
        F.cross_entropy(hidden @ head.T, labels).backward()  # type: ignore[no-untyped-call]
    scalars = 16
    assert 0 <= counter.most - 4 * max(3 * N * V, N * V + V * D + N * D) <= scalars


@given(st.integers(8, 40), st.integers(200, 400), st.integers(8, 30))
def eq_scale_chunks(n: int, V: int, D: int) -> None:
    r"""4 \bigl( V D + N D + V \max(3 n , \, 2 D) \bigr) \text{ bytes} ."""
    N = 4 * n
    hidden, head = layer(N, V, D)
    labels = torch.zeros(N, dtype=torch.long)

    def part(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(states @ head.T, targets, reduction="sum")

    parts = zip(torch.split(hidden, n), torch.split(labels, n), strict=True)
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
    with Counter(hidden, head, labels) as counter:
        total = torch.zeros(())
        for states, targets in parts:
            total = total + checkpoint(part, states, targets, **options)
        total.backward()  # type: ignore[no-untyped-call]
    formula = 4 * (V * D + N * D + V * max(3 * n, 2 * D))
    assert abs(counter.most / formula - 1) < 0.05


PROCESS = r"""
import sys
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

def status(field):
    text = open("/proc/self/status").read()
    return int(text.split(field + ":")[1].split()[0]) * 1024

def linear(hidden, head, labels):
    options = torch.nn.LinearCrossEntropyOptions()
    return F.linear_cross_entropy(hidden, head, labels, options=options)

def all_logits(hidden, head, labels):
    return F.cross_entropy(hidden @ head.T, labels)

def chunked(hidden, head, labels):
    parts = zip(hidden.split(128), labels.split(128))
    return sum(checkpoint(all_logits, h, head, y, use_reentrant=False) for h, y in parts)

torch.set_num_threads(1)
hidden, head = (torch.randn(k, 64, requires_grad=True) for k in (1024, 16000))
labels = torch.randint(16000, (1024,))
loss_of = {"all": all_logits, "chunked": chunked, "linear": linear}[sys.argv[1]]
loss_of(hidden[:256], head[:50], labels[:256] % 50).backward()
hidden.grad = head.grad = None
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
loss_of(hidden, head, labels).backward()
print(status("VmHWM") - before)
"""


@says(
    "**The memory of the whole process tells the same**: it grows by what is printed above, to"
    " within 5 MB."
)
def whole_process() -> None:
    if sys.platform != "linux":
        return  # only there can a process forget its peak
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    printed = outputs()
    for which, name in [
        ("all", "all logits"),
        ("chunked", "128 tokens at a time"),
        ("linear", "F.linear_cross_entropy"),
    ]:
        command = [sys.executable, "-c", PROCESS, which]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found = re.search(rf"^{re.escape(name)} +(\d+) MB$", printed, re.MULTILINE)
        assert found, name
        assert abs(int(run.stdout) / 1e6 - int(found[1])) < 5, name


def outputs() -> str:
    """Return what the cell of the three functions prints."""
    chapter = json.loads((BOOK / "practice" / "scale.ipynb").read_text(encoding="utf-8"))
    (cell,) = (cell for cell in chapter["cells"] if cell["id"] == "scale-20")
    return "".join(cell["outputs"][0]["text"])


@given(logits(3), logits(2))
def eq_scale_online(before: Row, tile: Row) -> None:
    r"""m' = \max(m, \max_k z_k) , \qquad s' = s \, e^{m - m'} + \sum_k e^{z_k - m'} ."""
    m = max(before)
    s = mp.fsum(mp.exp(z - m) for z in before)
    new = max(m, *tile)
    total = s * mp.exp(m - new) + mp.fsum(mp.exp(z - new) for z in tile)
    everything = [*before, *tile]
    assert new == max(everything)
    same(new + mp.log(total), mp.log(mp.fsum(mp.exp(z) for z in everything)))


NUMBERS = {
    "new in version 2.13": Cited(
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html",
        "not in 2.12; the versions of this book have it",
    ),
    "A kernel that counts with 32 bits": Given("the size of an int"),
    'gave "an illegal memory access" in 2022': Cited(
        "https://github.com/pytorch/pytorch/issues/90793", "opened in December 2022, version 1.12.1"
    ),
    "for a 2-billion-parameter Gemma 2, the memory of the loss falls from 24 GB to 1 MB": Cited(
        "https://arxiv.org/abs/2411.09009", "abstract"
    ),
}
