"""The chapter on the family of losses: one loss under many names, and others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import stats
from sklearn.metrics import log_loss
from torch.nn import functional as F

import crossent
from tests.checks import H, Real, Row, distributions, logits, reals, same, says, sigma, soft, source
from tests.figures import drawing_of
from tests.figures.practice import FocalCurves

Loss = Callable[[Real], Real]
TINY = mpf(10) ** -40
few = settings(max_examples=8)  # for what takes its time, such as derivatives of 60 digits
CLASSES = st.integers(0, 3)
POSSIBLE = distributions(least=1)  # the logarithm of no share is infinite
SHARES = st.integers(1, 19).map(lambda n: mpf(n) / 20)  # inside (0, 1), for the same reason
SURE = mpf(10) ** -9  # how far from 0 and 1 a probability is that stands for "nearly"

# --- The losses, as functions of the probability of the true class ---


def surprise(p: Real) -> Real:
    return -mp.log(p)


def focal(gamma: Real) -> Loss:
    return lambda p: -((1 - p) ** gamma) * mp.log(p)


def gce(q: Real) -> Loss:
    return lambda p: (1 - p**q) / q


def mae(p: Real) -> Real:
    return 1 - p


def weight(loss: Loss, p: Real) -> Real:
    """Return how fast the loss falls with the logarithm of the probability."""
    return -mp.diff(lambda u: loss(mp.exp(u)), mp.log(p))


FAMILY: dict[str, Loss] = {
    "cross-entropy": surprise,
    "focal": focal(2),
    "GCE": gce(mpf(7) / 10),
    "MAE": mae,
}
CURVED = [surprise, focal(mpf(1) / 2), focal(1), focal(2), focal(5), gce(mpf(1) / 5), gce(0.75)]


def floats(row: Row) -> list[float]:
    return [float(each) for each in row]


def tensor(row: Row) -> torch.Tensor:
    return torch.tensor(floats(row), dtype=torch.float64)


def near(one: Any, other: Any) -> bool:
    """Say whether two numbers agree as far as float64 can."""
    one, other = (float(x.detach() if torch.is_tensor(x) else x) for x in (one, other))
    return bool(abs(one - other) <= 1e-14 + 1e-12 * abs(other))


# --- The names ---


@given(logits(), CLASSES)
def eq_family_log(z: Row, y: int) -> None:
    r"""\ell = -\log p_y ,"""
    loss = F.cross_entropy(tensor(z), torch.tensor(y))
    assert near(loss, -mp.log(soft(z)[y]))


@says(
    "**Log loss, negative log-likelihood, softmax loss, logistic loss, sigmoid loss, deviance, BCE"
    " and CCE are one loss under many names**: the surprise at what happened,",
    "where $p_y$ is the probability that the model gave to the true class. The names differ in what"
    " they take (logits, probabilities or log-probabilities) and in what they do with a batch.",
    r"| softmax loss, softmax cross-entropy, multinomial logistic loss |"
    r" $-\log \operatorname{softmax}(z)_y$ | torch `CrossEntropyLoss`: logits |",
    r"| log loss, logarithmic score {cite}`good1952` | $-\log p_y$ | scikit-learn `log_loss`:"
    " probabilities |",
    r"| negative log-likelihood (NLL) | $-\log p_y$ | torch `NLLLoss`: log-probabilities |",
    r"| deviance | $-2 \sum \log p_y$ | twice the summed log loss, for one label a sample |",
    "Log loss, NLL, softmax loss, logistic loss and cross-entropy of a label are one number,"
    r" $-\log p_y$. Ask what a function takes: logits, probabilities or log-probabilities; 0/1 or"
    " ±1.",
)
@few
@given(st.lists(logits(), min_size=2, max_size=5), st.data())
def the_names_for_several_classes(batch: list[Row], data: st.DataObject) -> None:
    labels = [data.draw(CLASSES) for _ in batch]
    total = mp.fsum(-mp.log(soft(z)[y]) for z, y in zip(batch, labels, strict=True))
    z, y = torch.stack([tensor(row) for row in batch]), torch.tensor(labels)
    p, mean = z.softmax(1), total / len(batch)
    assert near(torch.nn.CrossEntropyLoss()(z, y), mean)
    assert near(torch.nn.NLLLoss()(p.log(), y), mean)
    assert near(log_loss(labels, p.numpy(), labels=range(4)), mean)
    deviance = 2 * log_loss(labels, p.numpy(), labels=range(4), normalize=False)
    assert near(deviance, -2 * p.log()[range(len(batch)), y].sum())
    if len(set(batch[0])) > 1:  # of another kind, it is another number
        first, truth = z[:1], y[:1]
        wrong = torch.nn.CrossEntropyLoss()(first.softmax(1), truth)
        assert abs(wrong - torch.nn.CrossEntropyLoss()(first, truth)) > 1e-4
        assert torch.nn.NLLLoss()(first.softmax(1), truth) < 0


@says(
    r"| binary cross-entropy (BCE) | $-t \log p - (1 - t) \log(1 - p)$ | torch `BCELoss`:"
    " probabilities |",
    r"| sigmoid cross-entropy, sigmoid loss | the same, $p = \sigma(z)$ | torch"
    " `BCEWithLogitsLoss`: logits |",
    r"| logistic loss | $\log(1 + e^{-sz})$ | torch `SoftMarginLoss`: logits, $s = \pm 1$ |",
    r"With $t = 1$, BCE is $-\log \sigma(z) = \log(1 + e^{-z})$; with $t = 0$, it is"
    r" $\log(1 + e^{z})$. Both are $\log(1 + e^{-sz})$ for $s = 2t - 1$.",
    "Only the labels differ, and nothing warns you if you confuse them: a label 0 in the second"
    r" form costs $\log 2$ whatever the logit, with no gradient.",
    r"Labels 0 and 1 went into the form for −1 and +1: every 0 costs $\log 2$ and has no gradient.",
)
@given(reals(), st.integers(0, 1), SHARES)
def the_names_for_two_classes(z: Real, t: int, soft_target: Real) -> None:
    p = 1 / (1 + mp.exp(-z))
    bce = -t * mp.log(p) - (1 - t) * mp.log(1 - p)
    same(bce, mp.log(1 + mp.exp(-z)) if t == 1 else mp.log(1 + mp.exp(z)))
    same(bce, mp.log(1 + mp.exp(-(2 * t - 1) * z)))
    one, label = tensor([z]).requires_grad_(), tensor([t])
    assert near(torch.nn.BCELoss()(tensor([p]), label), bce)
    assert near(torch.nn.BCEWithLogitsLoss()(one, label), bce)
    assert near(torch.nn.SoftMarginLoss()(one, 2 * label - 1), bce)
    mixed = -soft_target * mp.log(p) - (1 - soft_target) * mp.log(1 - p)
    assert near(torch.nn.BCEWithLogitsLoss()(one, tensor([soft_target])), mixed)
    silent = torch.nn.SoftMarginLoss()(one, tensor([0]))
    assert near(silent, mp.log(2))
    (slope,) = torch.autograd.grad(silent, one)
    assert slope.item() == 0


@says(
    "No; that is only a habit.",
    "For a class label, yes. NLL is the wider word for densities (where it can be negative);"
    " cross-entropy is the wider word for soft targets.",
    "The negative logarithm of a *density* may rightly be below 0.",
)
def what_the_names_are_used_for() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    assert near(log_loss([0, 2], p, labels=range(3)), -np.log([0.7, 0.6]).mean())
    assert stats.norm.pdf(0, scale=0.1) > 1
    assert stats.norm.nnlf((0, 0.1), np.array([0.0])) < 0
    soft_target = torch.tensor([[0.5, 0.5, 0.0]])
    mixed = F.cross_entropy(torch.tensor(p[:1]).log(), soft_target.double())
    assert near(mixed, -(np.log(0.7) + np.log(0.2)) / 2)
    with pytest.raises(RuntimeError):
        F.nll_loss(torch.tensor(p[:1]).log(), soft_target)


@says(
    r"Equal similarities cost $\log B$. The similarities of strangers differ by chance, and on"
    " average cost more",
)
@given(logits(), reals())
def strangers_cost_more_on_average(similarities: Row, equal: Real) -> None:
    B = len(similarities)
    same(-mp.log(soft([equal] * B)[0]), mp.log(B))
    # By chance: each of them is as likely as the others to be the positive.
    average = mp.fsum(-mp.log(p) for p in soft(similarities)) / B
    differ = len(set(similarities)) > 1
    assert average > mp.log(B) + mpf(10) ** -6 if differ else average < mp.log(B) + TINY


# --- One weight ---

MIXTURES = st.tuples(*[st.integers(0, 3)] * 5).filter(any)


@few
@given(logits(3), st.integers(0, 2), st.integers(0, 2), MIXTURES)
def eq_family_weight(z: Row, y: int, j: int, parts: tuple[int, ...]) -> None:
    r"""\begin{aligned}
    \frac{\partial \varphi(p_y)}{\partial z_j} &= w(p_y)\, (p_j - \mathbb{1}[j = y]) , \\
    w(p) &= -p\, \varphi'(p) = -\frac{d\varphi}{d \log p} .
    \end{aligned}
    """

    def phi(p: Real) -> Real:  # one of many that decrease
        terms = (-mp.log(p), 1 - p, (1 - p) ** 3, 1 / p, mp.cos(p))
        return mp.fsum(part * term for part, term in zip(parts, terms, strict=True))

    p = soft(z)
    of_logit = mp.diff(lambda t: phi(soft([*z[:j], t, *z[j + 1 :]])[y]), z[j])
    w = -p[y] * mp.diff(phi, p[y])
    assert abs(of_logit - w * (p[j] - (j == y))) < mpf(10) ** -18
    assert abs(w + mp.diff(lambda u: phi(mp.exp(u)), mp.log(p[y]))) < mpf(10) ** -18


@says(
    "Softmax has $\\partial p_y / \\partial z_j = p_y (\\mathbb{1}[j = y] - p_j)$, so by the chain"
    " rule",
    "**Every such loss has the gradient of cross-entropy, $p - y$ ({doc}`gradient`), times one"
    " number per sample.** Cross-entropy has $w = 1$.",
    "The same holds for a sigmoid, where $p_t$, the probability of what happened, takes the place"
    " of $p_y$.",
    r"Let the loss be any decreasing, differentiable function $\varphi(p_y)$ of the probability of"
    " the true class.",
    "The weights follow from the product rule and the power rule.",
    r"Any differentiable loss $\varphi(p_y)$ has the gradient $w(p_y)\,(p - y)$ with"
    r" $w = -p\,\varphi'(p)$, and fits $t_k \propto p_k / w(p_k)$.",
)
def one_number_per_sample() -> None:
    z = sympy.symbols("z:3", real=True)
    total = sum(sympy.exp(each) for each in z)
    p = [sympy.exp(each) / total for each in z]
    x, gamma, q = sympy.symbols("x gamma q", positive=True)
    known = {
        -sympy.log(x): sympy.Integer(1),
        -((1 - x) ** gamma) * sympy.log(x): (1 - x) ** gamma
        - gamma * x * (1 - x) ** (gamma - 1) * sympy.log(x),
        (1 - x**q) / q: x**q,
        1 - x: x,
    }
    values = {z[0]: 0.3, z[1]: -1.1, z[2]: 0.7, gamma: 1.7, q: 0.6}
    for j, y in itertools.product(range(3), repeat=2):
        one = sympy.diff(p[y], z[j]) - p[y] * (int(j == y) - p[j])
        cross = sympy.diff(-sympy.log(p[y]), z[j]) - (p[j] - int(j == y))
        assert max(abs(each.subs(values)) for each in (one, cross)) < 1e-12
    for phi, w in known.items():
        falls = sympy.diff(phi, x)
        for place in (0.1, 0.4, 0.9):
            at = {**values, x: place}
            assert abs((-x * falls - w).subs(at)) < 1e-12
            assert falls.subs(at) < 0
        for j, y in itertools.product(range(3), repeat=2):
            slope = sympy.diff(phi.subs(x, p[y]), z[j])
            assert abs((slope - w.subs(x, p[y]) * (p[j] - int(j == y))).subs(values)) < 1e-12
        for t, happened in ((1, 1 / (1 + sympy.exp(-z[0]))), (0, 1 / (1 + sympy.exp(z[0])))):
            slope = sympy.diff(phi.subs(x, happened), z[0])
            rest = 1 / (1 + sympy.exp(-z[0])) - t
            assert abs((slope - w.subs(x, happened) * rest).subs(values)) < 1e-12


@says(
    r"| cross-entropy | $-\log p$ | $1$ |",
    r"| focal {cite}`lin2017` | $-(1 - p)^\gamma \log p$ | $(1 - p)^\gamma - \gamma\, p\,"
    r" (1 - p)^{\gamma - 1} \log p$ |",
    r"| generalized cross-entropy (GCE) {cite}`zhang2018` | $(1 - p^q) / q$ | $p^q$ |",
    r"| MAE | $1 - p$, half of $\sum_k \lvert t_k - p_k \rvert$ | $p$ |",
)
@few
@given(POSSIBLE, CLASSES, st.integers(1, 9).map(lambda n: mpf(n) / 2), SHARES)
def the_table_of_weights(p: Row, y: int, gamma: Real, q: Real) -> None:
    x = p[y]
    of_focal = (1 - x) ** gamma - gamma * x * (1 - x) ** (gamma - 1) * mp.log(x)
    known = [(surprise, mpf(1)), (focal(gamma), of_focal), (gce(q), x**q), (mae, x)]
    for loss, w in known:
        assert abs(weight(loss, x) - w) < mpf(10) ** -18
    both = mp.fsum(abs((k == y) - p_k) for k, p_k in enumerate(p))
    same(mae(x), both / 2)
    # crossent's focal loss, and torch's by hand, are the same curve
    value = crossent.binary_focal_loss_with_logits(
        float(mp.log(x / (1 - x))), 1, gamma=float(gamma)
    )
    assert near(value, focal(gamma)(x))


@says(
    "**Focal loss silences samples that are easy; GCE and MAE silence samples that look wrong.** A"
    " mislabeled sample looks wrong, and a rare class is often hard, so the remedies pull in"
    " opposite directions.",
    "And focal loss is never above cross-entropy, yet its *gradient* is, for hard samples: up to"
    " 1.225 times, with γ = 2.",
    "Focal loss, generalized cross-entropy and MAE are *other* losses: different functions of the"
    " same $p_y$.",
    "Focal loss silences easy samples; it was made for detectors.",
    "GCE and MAE silence samples that look wrong; they are made for noisy labels.",
    "| to compare models | cross-entropy on held-out data | other losses have other units |",
)
def what_each_loss_silences() -> None:
    grid = [mpf(n) / 100 for n in range(1, 100)]
    easy, wrong = 1 - SURE, SURE
    weights = {name: [weight(loss, p) for p in grid] for name, loss in FAMILY.items()}
    assert weight(FAMILY["focal"], easy) < 1e-8
    assert weight(FAMILY["focal"], wrong) > 1
    for name in ("GCE", "MAE"):
        assert weight(FAMILY[name], wrong) < 1e-6
        assert weight(FAMILY[name], easy) > 0.99
        assert weights[name] == sorted(weights[name])  # in opposite directions
    assert weights["focal"][15:] == sorted(weights["focal"][15:], reverse=True)
    assert all(FAMILY["focal"](p) < surprise(p) for p in grid)
    loudest = max(weight(FAMILY["focal"], mpf(n) / 1000) for n in range(90, 130))
    assert round(float(loudest), 3) == 1.225
    assert all((w > 1) == (p < 0.298) for p, w in zip(grid, weights["focal"], strict=True))
    curves = [tuple(floats([loss(p) for p in grid])) for loss in FAMILY.values()]
    assert len(set(curves)) == 4
    assert [loss(SURE**2) > 2 for loss in FAMILY.values()] == [True, True, False, False]


# --- Probabilities ---


@few
@given(POSSIBLE, POSSIBLE, st.sampled_from(CURVED))
def eq_family_undo(p: Row, other: Row, loss: Loss) -> None:
    r"""t_k \propto \frac{p_k}{w(p_k)} ."""
    shares = [p_k / (-p_k * mp.diff(loss, p_k)) for p_k in p]
    t = [share / mp.fsum(shares) for share in shares]

    def expected(q: Row) -> Real:
        return mp.fsum(t_k * loss(q_k) for t_k, q_k in zip(t, q, strict=True))

    # With these true probabilities, p is the best that a model can say.
    assert expected(other) > expected(p) if other != p else expected(other) == expected(p)
    nearby = [[0.99 * p_k + 0.01 * q_k for p_k, q_k in zip(p, q, strict=True)] for q in (other, t)]
    assert all(expected(q) >= expected(p) - mpf(10) ** -15 for q in nearby)


@says(
    "Of these four, only cross-entropy does. Suppose the true probabilities of a case are $t$, and"
    r" minimize $\sum_k t_k \varphi(p_k)$ subject to $\sum_k p_k = 1$.",
    r"With a Lagrange multiplier $\mu$, $t_k \varphi'(p_k) = -\mu$ for all $k$ (with $t_k > 0$),"
    " that is,",
    r"For $w = 1$, $p = t$: cross-entropy is {term}`proper <proper score>`. With three or more"
    " classes, only a constant $w$ gives $p = t$ for every $t$.",
    "Only a constant $w$ is proper for three classes or more.",
)
@few
@given(st.lists(SHARES, min_size=2, max_size=2, unique=True))
def only_a_constant_weight_is_proper(ends: list[Real]) -> None:
    # p = t means that p_k / w(p_k) is p_k, up to a factor: w is the same at all p_k. Any two
    # probabilities share a distribution with a third that is small enough, so w is one number.
    a, b = ends
    c = (1 - max(ends)) / 2
    for one in ends:
        assert one + c < 1  # of three classes, these are two
    for name, loss in FAMILY.items():
        w = [weight(loss, each) for each in (a, b, c)]
        same_everywhere = max(w) - min(w) < 1e-12
        assert same_everywhere == (name == "cross-entropy")
    # The multiplier: a step from one probability to another gains nothing at the minimum.
    p = [mpf(2) / 10, mpf(3) / 10, mpf(5) / 10]
    t = [p_k / weight(focal(2), p_k) for p_k in p]
    multipliers = [-t_k * mp.diff(focal(2), p_k) for t_k, p_k in zip(t, p, strict=True)]
    assert max(multipliers) - min(multipliers) < 1e-15
    # Two classes only ask for w(p) = w(1 - p), which the Brier score has without being constant.
    brier = [weight(lambda x: (1 - x) ** 2, x) for x in (a, 1 - a)]
    assert abs(brier[0] - brier[1]) < 1e-15


@says(
    r"(The four losses are convex in $p$ for $\gamma \ge 0$ and $q \le 1$, so this is the minimum."
    " MAE is linear: its minimum is a corner.)"
)
def the_four_losses_are_convex() -> None:
    x, gamma, q = sympy.symbols("x gamma q", positive=True)
    # The second derivative of focal loss, divided by what is positive: -log x is (1 - x) / x at
    # most, so the first term takes at most what is left over in the second.
    second = sympy.diff(-((1 - x) ** gamma) * sympy.log(x), x, 2) / (1 - x) ** (gamma - 2)
    claimed = -gamma * (gamma - 1) * sympy.log(x) + 2 * gamma * (1 - x) / x + (1 - x) ** 2 / x**2
    assert sympy.simplify(sympy.expand(second - claimed)) == 0
    for n in range(1, 100):
        p = mpf(n) / 100
        assert 0 <= -mp.log(p) <= (1 - p) / p
        for power in (0, 0.01, 0.5, 1, 2, 5):
            value = -power * (power - 1) * mp.log(p) + 2 * power * (1 - p) / p + ((1 - p) / p) ** 2
            assert value > 0
    assert sympy.diff(-sympy.log(x), x, 2) == 1 / x**2
    bend = sympy.simplify(sympy.diff((1 - x**q) / q, x, 2) - (1 - q) * x ** (q - 2))
    assert bend == 0
    assert sympy.diff(1 - x, x, 2) == 0
    t = [mpf(3) / 10, mpf(4) / 10, mpf(3) / 10]
    corner = mp.fsum(t_k * mae(p_k) for t_k, p_k in zip(t, [0, 1, 0], strict=True))
    for p in itertools.product(range(11), repeat=2):
        if sum(p) <= 10:
            inside = [mpf(p[0]) / 10, mpf(p[1]) / 10, mpf(10 - sum(p)) / 10]
            assert corner <= mp.fsum(a * mae(b) for a, b in zip(t, inside, strict=True)) + TINY


def undone(p: Row, loss: Loss) -> Row:
    shares = [p_k / weight(loss, p_k) for p_k in p]
    return [share / mp.fsum(shares) for share in shares]


@says(
    "With two classes, focal loss is less sure than the truth (among many classes, none of them"
    r" probable, a little surer), GCE ($p \propto t^{1/(1 - q)}$) is surer, and MAE puts everything"
    " on the likeliest class."
)
def which_losses_are_too_sure() -> None:
    for n in range(11, 20):
        p = [mpf(n) / 20, 1 - mpf(n) / 20]
        for power in (1, 2, 5):
            assert undone(p, focal(power))[0] > p[0]
        for q in (mpf(1) / 5, mpf(7) / 10):
            t = undone(p, gce(q))
            assert t[0] < p[0]
            raised = [t_k ** (1 / (1 - q)) for t_k in t]
            assert abs(p[0] - raised[0] / mp.fsum(raised)) < 1e-15
        # MAE: the expected loss is a straight line, which is lowest at the end that is likelier
        truth = p
        expected = [truth[0] * mae(x) + truth[1] * mae(1 - x) for x in (0, mpf(1) / 2, 1)]
        assert expected[2] < expected[1] < expected[0]
    many = [mpf(8) / 100] + [mpf(92) / 1900] * 19
    t = undone(many, focal(2))
    assert t[0] < many[0] < t[0] * 1.05  # a little surer


# --- Focal loss ---


@says(
    "Raise γ: the lower curve becomes flat where $p_t$ is near 1.",
)
def more_focusing_is_flat_on_the_right() -> None:
    drawing_of(FocalCurves(2, 0.25, 0.9))

    def gradient(p: float, gamma: int) -> Any:  # its size, with respect to the logit
        loss = lambda q: -((1 - q) ** gamma) * mp.log(q)  # noqa: E731
        return -mp.diff(loss, p) * p * (1 - p)

    slopes = [abs(gradient(0.99, gamma) - gradient(1 - 1e-9, gamma)) / 0.01 for gamma in range(6)]
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[0] > 0.9
    assert slopes[2] < 0.01


@says("Set γ = 0 and α = 0.5 to get half of cross-entropy.")
@given(reals(), st.integers(0, 1))
def half_of_cross_entropy(z: Real, t: int) -> None:
    value = crossent.binary_focal_loss_with_logits(float(z), t, gamma=0, alpha=0.5)
    assert near(value, surprise(sigma(z) if t else sigma(-z)) / 2)


@says(
    r"There $-\log p_t \approx 1 - p_t$, the weight is about $(1 + \gamma)(1 - p_t)^\gamma$, and"
    r" the gradient $(1 + \gamma)(1 - p_t)^{\gamma + 1}$: **focal gradients fade well before a"
    " sample is sure.**",
    "On the border, at $p_t$ = 0.5, γ = 2 still leaves 60% of the gradient of cross-entropy; at"
    " 0.75 it leaves 17%, and γ = 5 only half a percent. At 0.1, both give a larger gradient than"
    " cross-entropy. This is the share of cross-entropy's gradient that is left, without α:",
)
@few
@given(st.integers(1, 9).map(lambda n: mpf(n) / 2))
def focal_gradients_fade(gamma: Real) -> None:
    p = 1 - SURE
    assert abs(-mp.log(p) / (1 - p) - 1) < 1e-6
    w = weight(focal(gamma), p)
    slope = mp.diff(lambda z: focal(gamma)(sigma(z)), mp.log(p / (1 - p)))
    assert abs(w / ((1 + gamma) * (1 - p) ** gamma) - 1) < 1e-6
    assert abs(-slope / ((1 + gamma) * (1 - p) ** (gamma + 1)) - 1) < 1e-6
    left = {(power, p): weight(focal(power), p) for power in (2, 5) for p in (0.1, 0.5, 0.75)}
    assert round(float(left[2, 0.5]), 2) == 0.60
    assert round(float(left[2, 0.75]), 2) == 0.17
    assert round(float(left[5, 0.75]), 3) == 0.005
    assert min(left[2, 0.1], left[5, 0.1]) > 1
    assert weight(focal(gamma), mpf(9) / 10) < 0.6  # 0.9 is not sure


@says(
    r"Lin and others {cite}`lin2017` multiply cross-entropy by $(1 - p_t)^\gamma$, and by a weight"
    r" $\alpha$ for positives and $1 - \alpha$ for negatives:",
    "`crossent` has no α by default and takes the mean.",
)
@given(reals(), st.integers(0, 1), SHARES, st.integers(0, 5))
def crossent_follows_the_paper(z: Real, t: int, alpha: Real, gamma: int) -> None:
    p_t = sigma(z) if t else sigma(-z)
    focal_loss = crossent.binary_focal_loss_with_logits
    value = focal_loss(float(z), t, gamma=gamma, alpha=float(alpha))
    assert near(value, (alpha if t else 1 - alpha) * (1 - p_t) ** gamma * surprise(p_t))
    two = focal_loss([float(z), 0.0], [t, 1], gamma=gamma)
    assert near(two, (focal(gamma)(p_t) + focal(gamma)(mpf(1) / 2)) / 2)


# --- Positive and negative terms ---


@given(st.lists(SHARES, min_size=3, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
def eq_family_pce(p: Row, present: list[bool]) -> None:
    r"""\begin{aligned}
    \mathrm{PCE} &= -\textstyle\sum_k t_k \log p_k , \\
    \mathrm{NCE} &= -\textstyle\sum_k (1 - t_k) \log(1 - p_k) , \\
    \mathrm{PNCE} &= \mathrm{PCE} + \mathrm{NCE} .
    \end{aligned}
    """
    pce = mp.fsum(-t * mp.log(p_k) for t, p_k in zip(present, p, strict=True))
    nce = mp.fsum(-(1 - t) * mp.log(1 - p_k) for t, p_k in zip(present, p, strict=True))
    rows, t = tensor(p), torch.tensor(present).double()
    terms = F.binary_cross_entropy(rows, t, reduction="none")
    assert near(pce, terms[t == 1].sum())  # of the classes that are present
    assert near(nce, terms[t == 0].sum())  # and of those that are absent
    assert near(pce + nce, F.binary_cross_entropy(rows, t, reduction="sum"))


@says(
    r"With $t_k \in \{0, 1\}$ for absent and present classes:",
    "PCE is categorical cross-entropy; PNCE is binary cross-entropy, summed over the classes.",
)
@given(POSSIBLE, CLASSES)
def the_three_names(p: Row, y: int) -> None:
    t = [mpf(k == y) for k in range(4)]
    assert near(H(t, p), F.nll_loss(tensor(p).log(), torch.tensor(y)))
    both = H(t, p) - mp.fsum((1 - a) * mp.log(1 - b) for a, b in zip(t, p, strict=True))
    assert near(both, crossent.binary_cross_entropy(floats(p), floats(t), reduction="sum"))


@says(
    r"**For outputs 0.991 and 0.998 and truth 1 and 0, $-\sum t \log p$ is tiny. Should it not be"
    " large?** Yes, if these are sigmoids:"
)
def a_tiny_loss_for_a_wrong_answer() -> None:
    p, t = np.array([0.991, 0.998]), np.array([1, 0])
    assert p.sum() > 1  # no softmax
    assert -(t * np.log(p)).sum() < 0.01
    assert crossent.binary_cross_entropy(p, t, reduction="sum") > 6


@says(
    "Behind a softmax, PCE has the gradient $p_j - t_j$ in **every** logit: raising one"
    " probability lowers the others, because they share a denominator.",
    "Behind independent sigmoids, its gradient is $-t_j (1 - p_j)$: zero for absent classes."
    " Nothing pushes the logits of absent classes down, and predicting 1 for every class is"
    " perfect.",
    "No: they enter through the denominator.",
    "Softmax needs only the positive term; sigmoids need both.",
    "| one class of several per sample | softmax cross-entropy on logits | proper; needs only the"
    " positive term |",
    "| several labels per sample | BCE with logits, per label (PNCE) | absent labels need their own"
    " term |",
)
@few
@given(logits(), CLASSES)
def what_the_positive_terms_do(z: Row, y: int) -> None:
    t = [mpf(k == y) for k in range(4)]
    one = tensor(z).requires_grad_()
    (slope,) = torch.autograd.grad(-(tensor(t) * one.log_softmax(0)).sum(), one)
    for j in range(4):
        assert near(slope[j], soft(z)[j] - t[j])
        assert slope[j] != 0
    raised = soft([*z[:y], z[y] + 1, *z[y + 1 :]])
    assert all((raised[k] > soft(z)[k]) == (k == y) for k in range(4))
    (slope,) = torch.autograd.grad(-(tensor(t) * F.logsigmoid(one)).sum(), one)
    for j in range(4):
        assert near(slope[j], -t[j] * (1 - sigma(z[j])))
        assert (slope[j] == 0) == (j != y)
    (slope,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(one, tensor(t)), one)
    assert all((slope[j] > 0) == (j != y) for j in range(4))
    ones = torch.full((4,), 40.0).double()
    assert -(tensor(t) * F.logsigmoid(ones)).sum() < 1e-15
    assert F.binary_cross_entropy_with_logits(ones, tensor(t)) > 20


@says(
    r"You *may* add the negative terms. Their mean, $-\sum_k (1 - t_k) \log(1 - p_k)$ for soft"
    r" $t$, has its minimum over the simplex where $\tfrac{1 - t_k}{1 - p_k}$ is the same for all"
    " $k$; numerators and denominators both sum to $K - 1$, so again $p = t$. So NCE and PNCE are"
    " proper, too:"
)
@given(POSSIBLE, POSSIBLE)
def the_negative_terms_are_proper(t: Row, p: Row) -> None:
    def nce(truth: Row, q: Row) -> Real:
        return -mp.fsum((1 - a) * mp.log(1 - b) for a, b in zip(truth, q, strict=True))

    labels = [[mpf(k == y) for k in range(4)] for y in range(4)]
    same(mp.fsum(t_y * nce(label, p) for t_y, label in zip(t, labels, strict=True)), nce(t, p))
    same(mp.fsum(1 - t_k for t_k in t), mpf(3))
    for loss in (nce, lambda a, b: H(a, b) + nce(a, b)):
        excess = loss(t, p) - loss(t, t)
        assert excess > 1e-6 if p != t else excess == 0
    ratios = [(1 - a) / (1 - b) for a, b in zip(t, p, strict=True)]
    assert (max(ratios) - min(ratios) < TINY) == (p == t)


# --- z-loss ---


def log_Z(z: Row) -> Real:
    return mp.log(mp.fsum(map(mp.exp, z)))


@few
@given(logits(), CLASSES, CLASSES, SHARES)
def eq_family_z(z: Row, y: int, j: int, lam: Real) -> None:
    r"""\begin{aligned}
    \ell &= -\log p_y + \lambda\, (\log Z)^2 , \\
    \log Z &= \log \textstyle\sum_k e^{z_k} , \\
    \frac{\partial \ell}{\partial z_j} &= (1 + 2 \lambda \log Z)\, p_j - \mathbb{1}[j = y] .
    \end{aligned}
    """

    def loss(row: Row) -> Real:
        return -mp.log(soft(row)[y]) + lam * mp.log(mp.fsum(map(mp.exp, row))) ** 2

    constant = tensor(z).logsumexp(0)
    assert near(loss(z), F.cross_entropy(tensor(z), torch.tensor(y)) + float(lam) * constant**2)
    assert near(constant, log_Z(z))
    slope = mp.diff(lambda t: loss([*z[:j], t, *z[j + 1 :]]), z[j])
    assert abs(slope - ((1 + 2 * lam * log_Z(z)) * soft(z)[j] - (j == y))) < mpf(10) ** -18


@says(
    "Softmax ignores a constant added to all logits, so cross-entropy does not hold them in place:"
    " in a long run they can drift. The z-loss of PaLM {cite}`chowdhery2023` fixes the constant:",
    r"The gradient follows from $\partial \log Z / \partial z_j = p_j$. Its sum over the classes is"
    r" $2 \lambda \log Z$, where that of cross-entropy is always 0: this sum moves the mean of the"
    r" logits, if they are free to move, until $\log Z = 0$, and then $p = e^z$ without a division."
    " No probability has to change for that.",
)
@few
@given(logits(3), st.integers(0, 2), reals(1), SHARES)
def what_z_loss_moves(z: Row, y: int, constant: Real, lam: Real) -> None:
    moved = [each + constant for each in z]
    for one, other in zip(soft(z), soft(moved), strict=True):
        same(one, other)
    slopes = []
    for j in range(3):
        slope = mp.diff(lambda t, j=j: log_Z([*z[:j], t, *z[j + 1 :]]), z[j])
        assert abs(slope - soft(z)[j]) < mpf(10) ** -18
        slopes.append((soft(z)[j] - (j == y), 2 * lam * log_Z(z) * soft(z)[j]))
    plain, penalty = (mp.fsum(each) for each in zip(*slopes, strict=True))
    assert abs(plain) < TINY
    same(penalty, 2 * lam * log_Z(z))
    rest = [each - log_Z(z) for each in z]  # the same probabilities
    assert abs(log_Z(rest)) < TINY
    for power, p in zip(map(mp.exp, rest), soft(z), strict=True):
        same(power, p)
    # A step against the gradient, from a large constant, brings log Z nearer to 0.
    start = np.array(floats(moved)) + 5
    free = start - 0.1 * float(2 * lam * log_Z(list(start))) * np.array(floats(soft(moved)))
    assert abs(log_Z(list(free))) < abs(log_Z(list(start)))


@says(
    "ST-MoE {cite}`zoph2022` has the same formula on the router's logits; de Brébisson and"
    " Vincent's Z-loss {cite}`debrebisson2016` is an unrelated classification loss.",
)
def two_papers_on_z_losses() -> None:
    assert "ST-MoE" in source("zoph2022")
    title = " ".join(re.sub(r"[{}]", "", source("debrebisson2016")).split())
    assert "Shift and Scale Invariant Classification Loss" in title
    assert abs(log_Z([mpf(1), mpf(2)]) - log_Z([mpf(2), mpf(3)])) > 0.9  # ours does shift


# --- Wrong labels ---

RATES = st.integers(1, 19).map(lambda n: mpf(n) / 20)


def wrong(label: int, eta: Real, K: int) -> Row:
    """Return the probabilities of the noisy labels."""
    return [1 - eta if k == label else eta / (K - 1) for k in range(K)]


def eq_family_noise() -> None:
    r"""\begin{aligned}
    & (1 - \eta)\, \varphi(p_y) + \tfrac{\eta}{K - 1} \textstyle\sum_{k \ne y} \varphi(p_k) \\
    &\quad = \left(1 - \tfrac{\eta K}{K - 1}\right) \varphi(p_y) + \tfrac{\eta\, C}{K - 1} :
    \end{aligned}
    """
    eta = sympy.Symbol("eta")
    for K in (2, 3, 5, 10):
        phi = sympy.symbols(f"phi:{K}")
        C = sum(phi)
        stays, moves = 1 - eta, eta / (K - 1)
        assert sympy.simplify(stays + (K - 1) * moves) == 1
        for y in range(K):
            chances = [stays if k == y else moves for k in range(K)]
            expected = sum(chance * loss for chance, loss in zip(chances, phi, strict=True))
            rest = sum(loss for k, loss in enumerate(phi) if k != y)
            assert sympy.expand(expected - stays * phi[y] - moves * rest) == 0
            scaled = (1 - eta * K / sympy.Integer(K - 1)) * phi[y] + eta * C / (K - 1)
            assert sympy.expand(sympy.together(expected - scaled)) == 0


@says(
    r"the clean loss, scaled and shifted. As long as $\eta < \tfrac{K - 1}{K}$, the minimum of its"
    " expectation does not move {cite}`ghosh2017`.",
    "Let each label move, with probability η, to one of the other $K - 1$ classes, all equally"
    " likely.",
    r"If the losses of all possible labels add up to a constant, $\sum_k \varphi(p_k) = C$, the"
    " expected noisy loss is",
    r"For MAE the sum is constant, $\sum_k (1 - p_k) = K - 1$. For cross-entropy it is unbounded:"
    " a wrong label can cost any amount.",
    r"under symmetric noise, the likeliest class stays the true one (if"
    r" $\eta < \tfrac{K - 1}{K}$).",
)
@given(POSSIBLE, POSSIBLE, RATES)
def the_minimum_does_not_move(t: Row, p: Row, eta: Real) -> None:
    K = len(p)
    same(mp.fsum(map(mae, p)), mpf(K - 1))
    sums = [mp.fsum(map(surprise, [1 - 3 * tiny, tiny, tiny, tiny])) for tiny in (SURE, SURE**9)]
    assert sums[0] > 50
    assert sums[1] > 8 * sums[0]
    noisy = [mp.fsum(t_y * wrong(y, eta, K)[k] for y, t_y in enumerate(t)) for k in range(K)]

    def expected(labels: Row, q: Row) -> Real:
        return mp.fsum(share * mae(q_k) for share, q_k in zip(labels, q, strict=True))

    scale = 1 - eta * K / (K - 1)
    gain = expected(t, p) - expected(t, t)
    assert abs((expected(noisy, p) - expected(noisy, t)) - scale * gain) < TINY
    assert (scale > 0) == (eta < mpf(K - 1) / K)
    best = [k for k in range(K) if t[k] == max(t)]
    if scale > 0:
        assert all(max(noisy) - noisy[k] < TINY for k in best)
    elif scale < 0:
        assert all(min(noisy) - noisy[k] > -TINY for k in best)


@says(
    "But by {eq}`eq-family-weight`, MAE hardly listens to a class that it has not learned yet: $w"
    " = p$. GCE lies in between.",
    r"Near 1: $q \to 0$ gives $-\log p$, $q = 1$ gives MAE …",
)
@few
@given(SHARES, SHARES)
def gce_lies_between(p: Real, q: Real) -> None:
    assert weight(mae, SURE) < 1e-8
    ends = weight(mae, p), weight(surprise, p)
    assert ends[0] < weight(gce(q), p) < ends[1]
    assert abs(gce(SURE)(p) - surprise(p)) < 1e-6
    same(gce(mpf(1))(p), mae(p))
    # The more robust, the less a sample that looks wrong is heard.
    assert weight(gce(mpf(99) / 100), SURE) < weight(gce(q), SURE) < weight(gce(SURE), SURE)


# --- What goes wrong ---


@says("With the right labels, 0.6931 is the loss of a logit of 0:")
def the_loss_of_a_logit_of_zero() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    for sign in (-1.0, 1.0):
        assert round(F.soft_margin_loss(zero, sign * torch.ones(1).double()).item(), 4) == 0.6931


# --- The exercises ---


@says(
    "On the same 160 test samples, Ada reports a deviance of 118.0, Ben a log loss of 0.3688, Cyd"
    " 0.532 bits per sample and Dee a log-likelihood of −59.0.",
    r"No. Deviance is twice the summed loss, log-likelihood its negative sum, and a bit is $\log 2$"
    " nats:",
)
def four_reports_of_one_loss() -> None:
    loss, samples = 0.3688, 160
    assert round(2 * samples * loss, 1) == 118.0
    assert round(-samples * loss, 1) == -59.0
    assert round(loss / np.log(2), 3) == 0.532


@says(
    r"With two classes, $\varphi(p) = (1 - p)^2$ is the Brier score of one side.",
    r"$w(p) = -p\,\varphi'(p) = 2p(1 - p)$, symmetric in $p$ and $1 - p$. In {eq}`eq-family-undo`"
    " it cancels: $t : (1 - t) = p : (1 - p)$, so the two-class score is proper, though its"
    " gradient vanishes at both ends.",
    "With three classes, $w(p_1), w(p_2), w(p_3)$ differ, and $(1 - p_y)^2$ alone is not proper;"
    " the full Brier score adds the terms $p_k^2$ of the absent classes.",
)
@few
@given(POSSIBLE, POSSIBLE, SHARES)
def the_brier_score(t: Row, p: Row, x: Real) -> None:
    def brier(each: Real) -> Real:
        return (1 - each) ** 2

    assert abs(weight(brier, x) - 2 * x * (1 - x)) < mpf(10) ** -18
    pair = [x, 1 - x]
    same(2 * brier(x), mp.fsum((a - b) ** 2 for a, b in zip(pair, (1, 0), strict=True)))
    assert abs(undone(pair, brier)[0] - x) < 1e-15
    for end in (SURE, 1 - SURE):
        slope = mp.diff(lambda z: brier(sigma(z)), mp.log(end / (1 - end)))
        assert abs(slope) < 1e-8
    three = [mpf(5) / 10, mpf(3) / 10, mpf(2) / 10]
    assert len({round(float(weight(brier, each)), 6) for each in three}) == 3
    assert abs(undone(three, brier)[0] - three[0]) > 0.01

    def full(truth: Row, q: Row) -> Real:
        rest = mp.fsum(q_k**2 for q_k in q)
        return mp.fsum(
            t_y * (brier(q_y) + rest - q_y**2) for t_y, q_y in zip(truth, q, strict=True)
        )

    assert full(t, p) > full(t, t) if p != t else full(t, p) == full(t, t)


@says(
    r"Both terms have their own minimum: $H(t)$ for softmax$(z) = t$, and 0 for $\log Z = 0$. The"
    r" constant in $z$ is free, so both are reached at once, at $z_k = \log t_k$. So z-loss costs"
    " nothing.",
    r"For a one-hot $t$, $\log t_k = -\infty$ for the absent classes: the minimum is a limit, as"
    r" without z-loss, but now the true class's logit tends to 0 and not to $+\infty$.",
)
@given(POSSIBLE, logits(), SHARES)
def z_loss_costs_nothing(t: Row, z: Row, lam: Real) -> None:
    def loss(row: Row) -> Real:
        return H(t, soft(row)) + lam * log_Z(row) ** 2

    best = [mp.log(t_k) for t_k in t]
    same(loss(best), H(t))
    assert abs(log_Z(best)) < TINY
    assert loss(z) > H(t) - TINY
    label = [mpf(1), mpf(0), mpf(0), mpf(0)]

    def of_label(first: Real, others: Real) -> Real:
        row = [first, others, others, others]
        return H(label, soft(row)) + lam * log_Z(row) ** 2

    assert of_label(mpf(0), mpf(-9)) > of_label(mpf(0), mpf(-99)) > 0
    assert of_label(mpf(0), mpf(-99)) < 1e-40
    assert of_label(mpf(9), mpf(-99)) > 1  # a large logit is no longer free
    assert H(label, soft([mpf(99), 0, 0, 0])) < 1e-40


@says(
    r"The noisy label is $y$ if it was $y$ and stayed, or if it was another class and moved there:"
    r" $\tilde p = (1 - \eta) p + \tfrac{\eta}{K - 1} (1 - p) = a p + b$ with"
    r" $b = \tfrac{\eta}{K - 1}$ and $a = 1 - \eta - b$.",
    r"As $-\log \tilde p$ is cross-entropy for the noisy labels, its minimum is at the true noisy"
    r" probabilities, hence at the clean $p$. The weight is $w(p) = \tfrac{ap}{ap + b}$: near 1"
    " for probable labels and near 0 for improbable ones, as with GCE, but here the noise rate"
    " sets the bend.",
    "| wrong labels, noise rate known | corrected cross-entropy ({ref}`exercise"
    " <ex-family-forward>`) | its minimum is the clean $p$ |",
)
@few
@given(POSSIBLE, POSSIBLE, st.integers(1, 14).map(lambda n: mpf(n) / 20))
def forward_correction(t: Row, p: Row, eta: Real) -> None:
    K = 4
    b = eta / (K - 1)
    a = 1 - eta - b

    def noisy(clean: Row) -> Row:
        return [mp.fsum(clean[y] * wrong(y, eta, K)[k] for y in range(K)) for k in range(K)]

    for tilde, p_k in zip(noisy(p), p, strict=True):
        same(tilde, (1 - eta) * p_k + eta / (K - 1) * (1 - p_k))
        same(tilde, a * p_k + b)
        w = weight(lambda x: -mp.log(a * x + b), p_k)
        assert abs(w - a * p_k / (a * p_k + b)) < mpf(10) ** -18
    excess = H(noisy(t), noisy(p)) - H(noisy(t), noisy(t))
    assert excess > 1e-9 if p != t else abs(excess) < TINY

    def forward(x: Real, rate: Real) -> Real:
        return -mp.log((1 - rate) * x + rate / (K - 1) * (1 - x))

    rare = mpf(1) / 10
    assert weight(partial(forward, rate=rare), 1 - SURE) > 0.95
    assert weight(partial(forward, rate=rare), SURE) < 1e-6
    rates = (rare, 3 * rare, 6 * rare)
    middle = [weight(partial(forward, rate=rate), mpf(1) / 10) for rate in rates]
    assert middle == sorted(middle, reverse=True)


SHOWN = {
    "But {eq}`eq-family-undo` also undoes this:": "truth 0.80  focal loss fits 0.627  undone 0.800",
    "And do not wait for a low loss on held-out noisy labels: the loss cannot fall below the"
    " entropy of the noise.": ("40% wrong among 10 classes: at least 1.5519 nats"),
    "One digit in twenty is an 8.": "5.1% positive, 1 to 19",
}

UNTESTED = {
    "In torchvision, `sigmoid_focal_loss` follows the paper: α = 0.25 on positives, 0.75 on"
    " negatives, γ = 2, **no reduction**; α = −1 turns weighting off.": (
        "torchvision is not among the book's requirements; its documentation says so:"
        " https://docs.pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html"
    ),
    "PaLM's authors report that it made their training more stable.": "what authors report",
}
