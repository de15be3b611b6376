"""The chapter on half precision."""

from __future__ import annotations

import inspect

import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests.checks import Cited, Computed, Given, Row, logits, same, soft


@given(logits(), st.integers(0, 3), st.integers(-20, 20))
def eq_half_scale(z: Row, y: int, power: int) -> None:
    r"""\nabla \ell = \frac{1}{S} \, \nabla (S \, \ell) ."""
    S = mpf(2) ** power

    def loss(scores: Row) -> mpf:
        return -mp.log(soft(scores)[y])

    for k in range(len(z)):

        def along(z_k: mpf, k: int = k) -> mpf:
            return S * loss([*z[:k], z_k, *z[k + 1 :]])

        same(mp.diff(along, z[k]) / S, soft(z)[k] - (k == y), 15)


NUMBERS = {
    r"float16 has nothing between 0 and $2^{-24} \approx 6 \cdot 10^{-8}$": Computed(
        lambda: float(torch.finfo(torch.float16).smallest_normal * torch.finfo(torch.float16).eps)
    ),
    "The scale doubles after 2,000 good steps in a row": Computed(
        lambda: inspect.signature(torch.amp.GradScaler).parameters["growth_interval"].default
    ),
    "nan after 3,000 steps: what do I check?": Given("the words of the question"),
    "What is the smallest change of a loss near 2.5": Given("the exercise asks about it"),
    "([Asked since 2022](https://github.com/pytorch/pytorch/issues/74739).)": Cited(
        "https://github.com/pytorch/pytorch/issues/74739", "opened in March 2022, still open"
    ),
    "shorten the factors of a float32 product to 10 binary digits": Cited(
        "https://docs.pytorch.org/docs/stable/notes/numerical_accuracy.html",
        "TF32 tensor cores read the first 10 bits of the mantissa",
    ),
}
