"""The chapter on many devices."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests.checks import Cited, Computed, Row, logits, reals, same, says, soft
from tests.pages import BOOK

RANKS = st.lists(st.lists(reals(), max_size=4), min_size=1, max_size=4).filter(any)


@says(
    "**Each rank adds up the losses of its own labels, divides by the number of labels that count"
    " on *all* ranks, and multiplies by the number of ranks**, because data-parallel training"
    " averages the gradients of the ranks."
)
@given(RANKS, reals(-2, 2))
def eq_devices_mean(ranks: list[Row], at: mpf) -> None:
    r"""\nabla \Bigl( \frac{1}{N} \sum_n \ell_n \Bigr)
    = \frac{1}{W} \sum_{r=1}^{W} \nabla \Bigl( \frac{W}{N} \sum_{n \in B_r} \ell_n \Bigr) .
    """

    def loss(target: mpf, theta: mpf) -> mpf:
        return mp.log1p(mp.exp(-target * theta))  # of one label, as a function of a weight

    everything = [target for rank in ranks for target in rank]
    N, W = len(everything), len(ranks)

    def slope(targets: Row, factor: mpf) -> mpf:
        return mp.diff(lambda theta: factor * mp.fsum(loss(t, theta) for t in targets), at)

    averaged = mp.fsum(slope(rank, mpf(W) / N) for rank in ranks) / W  # what DDP hands out
    same(averaged, slope(everything, mpf(1) / N), 15)


@says(
    "A table of logits with a row for each token, cut between two ranks: rank 0 has the left half"
    " of the columns, rank 1 the right half.",
    "Each finds its largest logit, its sum of exponentials and, if the label is among its columns,"
    " the label's logit.",
    "Reduced over both ranks, these three numbers give the loss of the row.",
)
@given(logits(6), st.integers(0, 5), st.integers(1, 5))
def eq_devices_vocabulary(z: Row, y: int, cut: int) -> None:
    r"""\begin{aligned}
    m &= \max_r \, \max_{k \in C_r} z_k , \\
    \ell &= m + \log \sum_{r=1}^{W} \sum_{k \in C_r} e^{z_k - m}
    - \sum_{r=1}^{W} \sum_{k \in C_r} [k = y] \, z_k .
    \end{aligned}
    """
    parts = [range(cut), range(cut, 6)]
    m = max(max(z[k] for k in part) for part in parts)
    sums = [mp.fsum(mp.exp(z[k] - m) for k in part) for part in parts]
    picked = [mp.fsum(z[k] for k in part if k == y) for part in parts]
    same(m + mp.log(mp.fsum(sums)) - mp.fsum(picked), -mp.log(soft(z)[y]))


def stated(script: str, pattern: str) -> tuple[float, ...]:
    """Return the numbers that a script of the chapter has."""
    text = (BOOK / "practice" / "devices" / script).read_text(encoding="utf-8")
    found = re.search(pattern, text)
    assert found, pattern
    return tuple(float(number) for number in found.groups())


EXACT = "ranks × sum / labels of all 0.0 % 0.0 % 952"

SHOWN = {
    '**"mean on each rank"** is what you get if you change nothing.': (
        "mean on each rank 91.8 % 91.8 % 952"
    ),
    '**"sum / labels of all"** has the right direction and half the length.': (
        "sum / labels of all 50.0 % 50.0 % 952"
    ),
    '**"ranks × sum / labels of all"** is exact.': EXACT,
    "**Around forward *and* backward of all micro-batches but the last.**": (
        "no_sync on the first 0.0 % 0.0 % 952"
    ),
    "**You need not reduce the loss before `backward`.**": EXACT,
    "The mean of that rank is `nan` in the log, while its gradient is 0 and the average is half of"
    " the exact one.": "mean of no labels nan gradient: 50 % of the exact one",
    "Two options are built in: **label smoothing** pulls towards all $V$ tokens and takes a fourth"
    " reduction, the sum of the logits; **z-loss** ({doc}`family`) adds $c \\, (\\log \\sum_k"
    " e^{z_k})^2$, which is known already.": (
        "smoothing 0.1 7.5377 7.5377 0.0 % 74.0 % 0.0 % 4 2048"
        " z-loss 0.001 7.6042 7.6042 0.0 % 74.3 % 0.0 % 3 1536"
    ),
    "**The gradient of the hidden states must be summed.**": (
        "three reductions 7.5489 7.5489 0.0 % 74.4 % 0.0 % 3 1536"
    ),
    "**PyTorch does the same if it knows that the logits are divided**: wrap them in a `DTensor`,"
    " and call loss *and* `backward` inside `loss_parallel()`.": (
        "DTensor, loss_parallel 7.5489 7.5489 0.0 % 74.4 % 0.0 % 3"
    ),
    '**"differentiable sums"** replaces the two sums by an `all_reduce` that autograd knows.': (
        "differentiable sums 7.5489 7.5489 100.0 % 96.2 % 100.0 %"
    ),
    '**"each smooths its own"** takes the mean of its own columns for the mean of the'
    " vocabulary.": ("each smooths its own 7.5379 7.5377 0.4 %"),
}

NUMBERS = {
    "[reported in 2019](https://github.com/pytorch/pytorch/issues/25162)": Cited(
        "https://github.com/pytorch/pytorch/issues/25162", "opened in August 2019, still open"
    ),
    "[open since 2019](https://github.com/pytorch/pytorch/issues/17350)": Cited(
        "https://github.com/pytorch/pytorch/issues/17350", "opened in February 2019, still open"
    ),
    "for a head of 1,000 tokens, 64 labels": Computed(
        lambda: stated("vocabulary_parallel.py", r"randint\((1000), \((64),\)\)")
    ),
    "the scripts of this chapter set 30 or 60 seconds": Computed(
        lambda: (
            *stated("dies.py", r"timedelta\(seconds=(\d+)\)"),
            *stated("train.py", r"timedelta\(seconds=(\d+)\)"),
        )
    ),
}

HANGS = "told of hangs, for which no test can wait"

UNTESTED = {
    "**One rank has fewer batches**, or skips a step because its batch is empty or its loss is"
    " `nan`.": HANGS,
    "**A reduction stands under `if rank == 0`**, often in logging or in validation.": HANGS,
    "**A shape or a dtype differs.**": HANGS,
}
