"""The chapter on large vocabularies."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from torch.nn import functional as F

from tests.checks import Cited, Given, Row, logits, same


@given(st.integers(1, 5), st.integers(2, 6), st.integers(1, 4))
def eq_scale_memory(N: int, V: int, D: int) -> None:
    r"""4 \, (3 N V + V D) \text{ bytes} ."""
    hidden = torch.zeros(N, D, requires_grad=True)
    head = torch.zeros(V, D, requires_grad=True)
    z = hidden @ head.T
    z.retain_grad()
    log_probs = F.log_softmax(z, dim=1)
    F.nll_loss(log_probs, torch.zeros(N, dtype=torch.long)).backward()  # type: ignore[no-untyped-call]
    arrays = [z, log_probs, z.grad, head.grad]
    nbytes = sum(x.numel() * x.element_size() for x in arrays if x is not None)
    assert nbytes == 4 * (3 * N * V + V * D)


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
    "for a 2-billion-parameter Gemma 2, the memory of the loss falls from 24 GB to 1 MB": Cited(
        "https://arxiv.org/abs/2411.09009", "abstract"
    ),
}
