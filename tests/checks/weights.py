"""The chapter on weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from torch.nn import functional as F

from crossent.figures.style import BLUE, GREEN, ORANGE, PINK
from tests.checks import Cited, H, Real, Row, distributions, logits, same, says, soft
from tests.figures import drawing_of
from tests.figures.practice import WeightedMeans

if TYPE_CHECKING:
    from collections.abc import Sequence

TINY = mpf(10) ** -45
NEAR = mpf(10) ** -13  # of torch
WEIGHTS = st.lists(st.integers(1, 40).map(lambda n: mpf(n) / 8), min_size=3, max_size=3)
BATCHES = st.lists(st.tuples(logits(3), st.integers(0, 2)), min_size=1, max_size=4)


def as_tensor(rows: Sequence[Row]) -> torch.Tensor:
    return torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)


def surprises(z: Row) -> Row:
    """Return -log of each probability that a softmax gives."""
    return [-mp.log(q) for q in soft(z)]


def two_means(batch: Sequence[tuple[Row, int]], weights: Row) -> tuple[Real, Real, Real]:
    """Return the mean, the weighted mean and the mean weight, sample by sample."""
    total = mass = mpf(0)
    for z, label in batch:
        total += weights[label] * surprises(z)[label]
        mass += weights[label]
    return total / len(batch), total / mass, mass / len(batch)


# --- Two means ---


@says(
    "**A weighted loss is a sum of weights times losses, divided by something. Libraries disagree"
    " on what to divide by.** The two usual answers are the number of samples and the sum of their"
    " weights.",
    "for integer labels, torch's `mean` is the *weighted mean* of {eq}`eq-weighted-means`, which"
    " divides by the weights of the labels that occur. If you want the other mean, take"
    ' `reduction="none"` and then `.mean()` (if no label is ignored, see below).',
    r"A weighted loss is $\sum w \ell / D$. Ask of every library what $D$ is: $N$ or $\sum w$.",
)
@given(BATCHES, WEIGHTS)
def eq_weighted_means(batch: list[tuple[Row, int]], weights: Row) -> None:
    r"""
    \begin{aligned}
    L_{\text{mean}} &= \frac{1}{N} \sum_{i=1}^{N} w_i \ell_i , \\
    L_{\text{weighted mean}} &= \frac{\sum_i w_i \ell_i}{\sum_i w_i} .
    \end{aligned}
    """
    mean, weighted_mean, _ = two_means(batch, weights)
    z, y = as_tensor([z for z, _ in batch]), torch.tensor([label for _, label in batch])
    w = as_tensor([weights])[0]
    assert abs(F.cross_entropy(z, y, weight=w, reduction="none").mean().item() - mean) < NEAR
    assert abs(F.cross_entropy(z, y, weight=w).item() - weighted_mean) < NEAR
    onehot = F.one_hot(y, 3).double()
    assert abs(F.cross_entropy(z, onehot, weight=w).item() - mean) < NEAR


@says(
    "On one small batch of this chapter, the first gives 0.4923 and the second 0.1406, and neither"
    " is"
    " a bug:",
)
def the_batch_of_the_chapter() -> None:
    z = [[mpf(k) for k in row] for row in ([2, 1, 0], [0, 3, 1], [1, 1, 5], [1, 1, 0])]
    batch = list(zip(z, [0, 1, 2, 0], strict=True))
    mean, weighted_mean, _ = two_means(batch, [mpf(1), mpf(2), mpf(10)])
    assert abs(mean - mpf("0.4923")) < 5e-5
    assert abs(weighted_mean - mpf("0.1406")) < 5e-5


@says(
    "In general, the ratio of the two means is the mean weight of the batch:",
    "Their ratio is the mean weight of the batch.",
)
@given(BATCHES, WEIGHTS)
def eq_weight_ratio(batch: list[tuple[Row, int]], weights: Row) -> None:
    r"""\frac{L_{\text{mean}}}{L_{\text{weighted mean}}} = \frac{1}{N} \sum_i w_i ."""
    mean, weighted_mean, _ = two_means(batch, weights)
    same(mean / weighted_mean, mp.fsum(weights[label] for _, label in batch) / len(batch))


BOX = r'height: ([\d.]+); width: ([\d.]+)"[^>]* d="M0,([\d.]+)h([\d.]+)v[^>]*dasharray'


@says(
    "Each bar below is a sample: it is as wide as the sample's weight and as high as its loss, so"
    " its area is what the sample adds to the sum. The dashed boxes hold the same area as all bars"
    " together: one is as wide as $N$, the other as wide as the sum of the weights.",
)
def a_bar_is_what_a_sample_adds() -> None:
    at = WeightedMeans(6, 2, 1, 3)
    drawing = drawing_of(at)
    bars = drawing.seen("rect", BLUE) + drawing.seen("rect", ORANGE)
    sizes = np.array([size for size in (np.ptp(bar, axis=0) for bar in bars) if size[0] > 0.001])
    assert sorted(map(tuple, sizes.round(3))) == [(1, 0.5)] * at.samples_A + [(3, 2)] * at.samples_B
    area = sizes.prod(axis=1).sum()
    boxes = [np.ptp(drawing.seen("rect", color)[0], axis=0) for color in (GREEN, PINK)]
    assert [width for width, _ in boxes] == pytest.approx([6 + 2, 6 * 1 + 2 * 3], abs=1e-3)
    assert [width * height for width, height in boxes] == pytest.approx([area, area], abs=0.02)


@says(
    "Give both classes the weight 1, and the boxes coincide. Double both weights: one mean"
    " doubles, and the other does not move. Take no sample of A and one of B: whatever the weight"
    " of B, the weighted mean is the loss of B.",
    r"Because $w \ell / w = \ell$. A batch of one sample, or of samples of one class, cancels its"
    " weight when you divide by the sum of the weights:",
    "A common factor cancels in the weighted mean.",
)
@given(BATCHES, WEIGHTS)
def what_the_weighted_mean_cancels(batch: list[tuple[Row, int]], weights: Row) -> None:
    mean, weighted_mean, _ = two_means(batch, [mpf(1)] * 3)
    same(mean, weighted_mean)
    mean, weighted_mean, _ = two_means(batch, weights)
    doubled = two_means(batch, [2 * w for w in weights])
    same(doubled[0], 2 * mean)
    same(doubled[1], weighted_mean)
    z, label = batch[0]
    same(two_means([(z, label)], weights)[1], surprises(z)[label])
    of_one_class = [(row, label) for row, _ in batch]
    same(two_means(of_one_class, weights)[1], two_means(of_one_class, [mpf(1)] * 3)[1])


@says(
    "Dividing by $N$, or by any constant, is linear in the samples, so the mean over random"
    " batches *is* the loss on all data, and the same holds for its gradient. A ratio of two sums"
    " is not linear:",
    r"Dividing by $\sum w$ cancels the weight of a batch of one, and its mean over small batches is"
    " not the loss on the data.",
)
@given(st.integers(1, 20), st.integers(2, 60), st.integers(1, 9))
def the_mean_over_batches(percent: int, weight: int, size: int) -> None:
    p, w, low, high = mpf(percent) / 100, mpf(weight), mpf(1) / 10, mpf(3)

    def over_batches(size: int, divisor: str) -> Real:
        chances = [mp.binomial(size, k) * p**k * (1 - p) ** (size - k) for k in range(size + 1)]
        sums = [k * w * high + (size - k) * low for k in range(size + 1)]
        masses = [size if divisor == "N" else k * w + size - k for k in range(size + 1)]
        terms = zip(chances, sums, masses, strict=True)
        return mp.fsum(chance * total / mass for chance, total, mass in terms)

    total, mass = p * w * high + (1 - p) * low, p * w + 1 - p
    same(over_batches(size, "N"), total)
    assert over_batches(size, "weights") < total / mass - mpf(10) ** -4
    same(over_batches(1, "weights"), p * high + (1 - p) * low)  # as if without weights


# --- Entries ---


@says(
    'In torch, with `reduction="none"` and a product; you then choose the divisor yourself.',
    "With integer labels, only $W_{i y_i}$ matters, so the matrix is a sample weight in disguise.",
)
@given(logits(3), distributions(3), WEIGHTS, st.integers(0, 40), st.integers(0, 2))
def eq_matrix_weight(z: Row, y: Row, W: Row, eighths: int, label: int) -> None:
    r"""\ell_i = s_i \sum_{k} W_{ik} \, y_{ik} \left(-\log \hat y_{ik}\right) ."""
    s = mpf(eighths) / 8
    terms = zip(W, y, soft(z), strict=True)
    literal = s * mp.fsum(w * y_k * -mp.log(q) for w, y_k, q in terms)
    row, target, weight = (as_tensor([each]) for each in (z, y, W))
    by_torch = float(s) * F.cross_entropy(row, target, weight=weight[0], reduction="none")
    assert abs(by_torch.item() - literal) < NEAR
    hard = [mpf(k == label) for k in range(3)]
    of_label = mp.fsum(w * y_k * s_k for w, y_k, s_k in zip(W, hard, surprises(z), strict=True))
    same(of_label, W[label] * surprises(z)[label])


@says(
    r"With $t_k = W_k y_k$ and $M = \sum_k t_k$ for one sample, $\ell = M \log \sum_j e^{z_j} -"
    r" \sum_k t_k z_k$, because $-\log \hat y_k = \log \sum_j e^{z_j} - z_k$. Therefore",
    r"because the derivative of $\log \sum_j e^{z_j}$ is $\hat y_k$. For a hard label $y$, $t$ is"
    " $w_y$ at the label, and the gradient is $w_y$ times that of the loss without weight.",
    "**Weights scale the gradient.**",
)
@given(logits(3), distributions(3), WEIGHTS, st.integers(0, 2))
def eq_weight_gradient(z: Row, y: Row, W: Row, k: int) -> None:
    r"""\frac{\partial \ell}{\partial z_k} = M \hat y_k - t_k ,"""

    def weighted(z: Row, y: Row, W: Row) -> Real:
        return mp.fsum(w * y_k * s_k for w, y_k, s_k in zip(W, y, surprises(z), strict=True))

    def slope(function: object) -> Real:
        return mp.diff(lambda x: function([*z[:k], x, *z[k + 1 :]]), z[k])  # type: ignore[operator]

    def log_sum(z: Row) -> Real:
        return mp.log(mp.fsum(map(mp.exp, z)))

    t = [w * y_k for w, y_k in zip(W, y, strict=True)]
    M = mp.fsum(t)
    same(surprises(z)[k], log_sum(z) - z[k])
    same(weighted(z, y, W), M * log_sum(z) - mp.fsum(a * b for a, b in zip(t, z, strict=True)))
    assert abs(slope(lambda z: weighted(z, y, W)) - (M * soft(z)[k] - t[k])) < mpf(10) ** -25
    same(slope(log_sum), soft(z)[k])
    for label in range(3):
        hard = [mpf(j == label) for j in range(3)]
        plain = slope(lambda z, hard=hard: weighted(z, hard, [1, 1, 1]))
        same(slope(lambda z, hard=hard: weighted(z, hard, W)), W[label] * plain)


@says(
    r"Write $r_k = t_k / M$. Then $\ell = M \, H(r, \hat y)$, and by Gibbs' inequality"
    " ({eq}`eq-gibbs`) the best prediction is $r$, not $y$:",
    "**Weights move the optimum.**",
    "With soft targets it is more: it changes what the model should answer.",
    "The same holds for hard labels if you read $y_k$ as the share of class $k$ among the samples"
    " with the same $x$.",
    "the loss now asks for $w_k$ times the smoothed target.",
    "Weights $w_k$ move the optimum to $w_k p_k$, normalized.",
)
@given(distributions(3, least=1), WEIGHTS, distributions(3, least=1))
def eq_weight_optimum(y: Row, W: Row, q: Row) -> None:
    r"""\hat y_k^{\ast} = \frac{W_k \, y_k}{\sum_j W_j \, y_j} ."""
    shares = [round(y_k * 10**6) for y_k in y]  # of a million samples with hard labels

    def mean(q: Row) -> Real:
        return mp.fsum(w * n * -mp.log(q_k) for w, n, q_k in zip(W, shares, q, strict=True))

    mass = mp.fsum(w * n for w, n in zip(W, shares, strict=True))
    best = [w * n / mass for w, n in zip(W, shares, strict=True)]
    for best_k, w, y_k in zip(best, W, y, strict=True):
        exact = w * y_k / mp.fsum(w_j * y_j for w_j, y_j in zip(W, y, strict=True))
        assert abs(best_k - exact) < 1e-4
    same(mean(q), mass * H(best, q))
    assert mean(best) < mean(q) or max(abs(a - b) for a, b in zip(best, q, strict=True)) < TINY
    if max(W) > min(W):
        assert max(abs(a - b) for a, b in zip(best, y, strict=True)) > 1e-4


@says(
    r"By {eq}`eq-weight-optimum`, the weighted model aims at $\hat y_k \propto w_k \, p_k$. Divide"
    r" by"
    r" the weights and normalize; in logits, subtract $\log w_k$. For two classes and a weight $w$"
    r" on"
    " the positive one:",
    "Divide by the weights to get probabilities back, exactly if the model can follow the data.",
    "The same correction with $w_k$ the ratio of training to true class frequency repairs a"
    " training"
    " set that was resampled {cite}`king2001`; in the logits of a deep network it is known as logit"
    " adjustment {cite}`menon2021`.",
)
@given(distributions(3, least=1), WEIGHTS)
def eq_undo_weights(p: Row, w: Row) -> None:
    r"""
    \begin{aligned}
    p_k &= \frac{\hat y_k / w_k}{\sum_j \hat y_j / w_j} , \\
    p &= \frac{\hat y}{\hat y + w \, (1 - \hat y)} .
    \end{aligned}
    """
    total = mp.fsum(w_k * p_k for w_k, p_k in zip(w, p, strict=True))
    aimed = [w_k * p_k / total for w_k, p_k in zip(w, p, strict=True)]
    quotients = [y_k / w_k for y_k, w_k in zip(aimed, w, strict=True)]
    shifted = soft([mp.log(y_k) - mp.log(w_k) for y_k, w_k in zip(aimed, w, strict=True)])
    for p_k, quotient, of_logits in zip(p, quotients, shifted, strict=True):
        same(p_k, quotient / mp.fsum(quotients))
        same(p_k, of_logits)
    share = p[0]  # of the positives, and the weights w and 1
    forecast = w[0] * share / (w[0] * share + 1 - share)
    same(share, forecast / (forecast + w[0] * (1 - forecast)))
    # Resample: each class keeps its own share, one quarter, two or three, of an input.
    there = [p_k * (k + 1) / 4 for k, p_k in enumerate(p)]
    seen = [w_k * n for w_k, n in zip(w, there, strict=True)]
    ratios = [w_k * p_k / total / p_k for w_k, p_k in zip(w, p, strict=True)]
    back = [n / ratio for n, ratio in zip(seen, ratios, strict=True)]
    for n, n_back in zip(there, back, strict=True):
        same(n / mp.fsum(there), n_back / mp.fsum(back))


@says(
    'If a missed positive costs $w$ times a false alarm, say "positive" when $w \\, p > 1 - p$,'
    " which"
    " is $p > 1/(1+w)$: honest probabilities suffice for that decision, and for any later one"
    " {cite}`elkan2001`.",
)
@given(st.integers(1, 99), st.integers(1, 40))
def honest_probabilities_suffice(percent: int, w: int) -> None:
    p = mpf(percent) / 100
    missed, alarmed = p * w, 1 - p
    if abs(p - mpf(1) / (1 + w)) > TINY:
        assert (missed > alarmed) == (p > mpf(1) / (1 + w))


@says(
    "For one constant prediction and a share $\\pi$ of positives, {eq}`eq-weight-optimum` gives"
    " $w \\pi / (w \\pi + 1 - \\pi)$:",
)
@given(st.integers(1, 99), st.integers(1, 40), st.integers(1, 99))
def the_best_constant(percent: int, w: int, other: int) -> None:
    positives = [1] * percent + [0] * (100 - percent)

    def total(q: Real) -> Real:
        return mp.fsum(-w * mp.log(q) if y else -mp.log(1 - q) for y in positives)

    pi = mpf(percent) / 100
    best = w * pi / (w * pi + 1 - pi)
    assert total(best) < total(mpf(other) / 100) or abs(best - mpf(other) / 100) < TINY


# --- The exercises and the summary ---


@says(
    r"The sum is $0.2 + 4 \cdot 1.0 + 4 \cdot 0.6 = 6.6$ and $\sum w = 9$. torch with integer"
    r" labels"
    r" gives $6.6 / 9 \approx 0.733$; one-hot targets and Keras give $6.6 / 3 = 2.2$. Halved"
    r" weights"
    " leave the first and halve the others.",
    "A batch has the losses 0.2, 1.0 and 0.6 and the labels 0, 1 and 1. The class weights are 1 and"
    " 4.",
)
def three_libraries_one_batch() -> None:
    chances = torch.tensor([-0.2, -1.0, -0.6], dtype=torch.float64).exp()
    y = torch.tensor([0, 1, 1])
    p = torch.where(F.one_hot(y, 2) == 1, chances[:, None], 1 - chances[:, None])
    onehot = F.one_hot(y, 2).double()
    for factor, halved in ((1, 1), (0.5, 0.5)):
        w = factor * torch.tensor([1.0, 4.0], dtype=torch.float64)
        assert F.cross_entropy(p.log(), y, weight=w).item() == pytest.approx(6.6 / 9)
        dense = F.cross_entropy(p.log(), onehot, weight=w).item()
        assert dense == pytest.approx(halved * 6.6 / 3)
    assert pytest.approx(6.6) == 0.2 + 4 * 1.0 + 4 * 0.6
    assert [[1, 4][label] for label in y] == [1, 4, 4]
    assert round(6.6 / 9, 3) == 0.733


@says(
    "A sample of weight 1 is in a batch of two. With the weighted mean, by what factor is its loss"
    " multiplied if its neighbor's weight is 1, 10 or 100?",
    "In the weighted mean its loss is multiplied by $1 / (1 + w)$: 0.5, 0.091, 0.0099. In the mean"
    " over $N$ it is multiplied by ½, whatever stands beside it. So the weighted mean lets the"
    " composition of the batch decide.",
)
@given(logits(3), logits(3), st.integers(1, 100))
def the_pull_of_a_neighbor(z: Row, neighbor: Row, w: int) -> None:
    rows = as_tensor([z, neighbor]).requires_grad_()
    labels, weights = torch.tensor([0, 1]), torch.tensor([1, w, 1], dtype=torch.float64)
    alone = F.cross_entropy(rows[:1], labels[:1])
    (whole,) = torch.autograd.grad(alone, rows)
    losses = F.cross_entropy(rows, labels, weight=weights, reduction="none")
    for mean, share in (
        (F.cross_entropy(rows, labels, weight=weights), 1 / (1 + w)),
        (losses.mean(), 0.5),
    ):
        (part,) = torch.autograd.grad(mean, rows, retain_graph=True)
        torch.testing.assert_close(part[0], share * whole[0])
    assert [round(1 / (1 + w), 4) for w in (1, 10, 100)] == [0.5, 0.0909, 0.0099]


@says(
    "You train with torch, integer labels and class weights 1 and 10, in two micro-batches of five"
    " samples each. The first holds no sample of class 1, the second holds three. Show that the"
    " average of the two `mean` losses is not the loss of the whole batch, although the"
    " micro-batches have the same size, and repair it.",
    "Each `mean` divides by its own sum of weights, 5 or 32. Take sums instead, and divide by 37.",
)
@given(st.lists(logits(2), min_size=10, max_size=10))
def sums_over_37(z: list[Row]) -> None:
    labels = [0] * 5 + [0, 0, 1, 1, 1]
    weights = [mpf(1), mpf(10), mpf(0)]
    batch = list(zip(z, labels, strict=True))
    assert sum(weights[label] for label in labels[:5]) == 5
    assert sum(weights[label] for label in labels[5:]) == 32
    whole = two_means(batch, weights)[1]
    sums = [two_means(part, weights)[0] * 5 for part in (batch[:5], batch[5:])]
    same(mp.fsum(sums) / 37, whole)
    means = [two_means(part, weights)[1] for part in (batch[:5], batch[5:])]
    assert abs(mp.fsum(means) / 2 - whole) > TINY or abs(means[0] - means[1]) < TINY


NUMBERS = {
    "A mean over nothing is 0/0, and torch says so since version 1.11"
    " ([pytorch#70348](https://github.com/pytorch/pytorch/issues/70348)).": Cited(
        "https://github.com/pytorch/pytorch/issues/70348",
        "its title, and the first answer: changed on purpose in pull request 64572",
    ),
    "An issue reported it in 2023"
    " ([transformers#24725](https://github.com/huggingface/transformers/issues/24725));": Cited(
        "https://github.com/huggingface/transformers/issues/24725", "opened on 10 July 2023"
    ),
    "in October 2024 Hugging Face repaired its trainer {cite}`huggingface2024`, at first for the"
    " most"
    " popular models"
    " ([transformers#37766](https://github.com/huggingface/transformers/issues/37766)),": Cited(
        "huggingface2024", "the post, of 16 October 2024"
    ),
    "and only since July 2025 do several devices count together unless told otherwise"
    " ([transformers#39395](https://github.com/huggingface/transformers/pull/39395)).": Cited(
        "https://github.com/huggingface/transformers/pull/39395",
        "opened on 14 July 2025 and merged: average_tokens_across_devices by default",
    ),
}

UNTESTED = {
    "Training libraries got this wrong for years.": "history",
    "Deep networks that fit their training set show the same {cite}`byrd2019`.": "a study",
    "In a study of logistic regression in medicine, correcting imbalance by resampling did not"
    " improve discrimination and harmed calibration {cite}`goorbergh2022`.": "a study",
}
