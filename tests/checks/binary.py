"""The chapter on binary cross-entropy."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from sklearn import metrics
from torch.nn import functional as F

from tests.checks import Given, H, Real, reals, same, says, sigma, soft

TINY = mpf(10) ** -45
# Hundredths, without 0 and 1: there a loss or a logit is infinite.
PROBS = st.integers(1, 99).map(lambda n: mpf(n) / 100)
POSITIVE = st.integers(1, 160).map(lambda eighths: mpf(eighths) / 8)
ANSWERS = st.integers(0, 1)
TARGETS = st.integers(0, 10).map(lambda n: mpf(n) / 10)


def surprise(y: Real, q: Real) -> Real:
    """Return the mean of -log of what a forecast gives to the answers, if the share y is yes."""
    return H([y, 1 - y], [q, 1 - q])


def of_logit(y: Real, z: Real) -> Real:
    """Return the loss of a logit, from the definition."""
    return surprise(y, sigma(z))


# --- The loss ---


@says(
    "**Binary cross-entropy is the surprise at what happened.** If the answer is yes ($y = 1$), the"
    r" model pays $-\log \hat y$. If it is no ($y = 0$), it pays $-\log(1 - \hat y)$. One formula"
    " says both:",
    "Binary cross-entropy is minus the logarithm of the probability given to what happened.",
)
@given(ANSWERS, PROBS)
def eq_bce(y: int, q: Real) -> None:
    r"""\ell = -\bigl(y \log \hat y + (1 - y) \log(1 - \hat y)\bigr) ."""
    formula = -(y * mp.log(q) + (1 - y) * mp.log(1 - q))
    same(formula, -mp.log(q) if y == 1 else -mp.log(1 - q))
    forecast, answer = (torch.tensor(float(x), dtype=torch.float64) for x in (q, y))
    assert abs(formula - F.binary_cross_entropy(forecast, answer).item()) < 1e-14
    assert abs(formula - metrics.log_loss([y], [float(q)], labels=[0, 1])) < 1e-14


@says("It is 0 at best, log 2 = 0.693 for the forecast ½, and unbounded.")
@given(ANSWERS, PROBS)
def the_loss_has_a_least_value_and_no_largest(y: int, q: Real) -> None:
    assert surprise(mpf(y), q) > 0 == surprise(mpf(y), mpf(y))
    same(surprise(mpf(y), mpf(1) / 2), mp.log(2))
    assert abs(mp.log(2) - 0.693) < 0.0005
    assert surprise(mpf(1), mpf(10) ** -1000) > 1000


@says("The same loss is also called log loss, logistic loss")
def the_loss_has_other_names() -> None:
    assert "Log loss, aka logistic loss" in metrics.log_loss.__doc__


@says(
    "$e^{-L}$ is the geometric mean of the probabilities given to the truth.",
    "This is the *geometric* mean of the probabilities that the model gave to the truth."
    " Their ordinary mean is at least as large, so the loss cannot be less than minus the"
    " logarithm of that mean. The loss says no more about it than this bound:",
)
@given(st.lists(PROBS, min_size=1, max_size=5))
def the_loss_tells_the_geometric_mean(given_to_truth: list[Real]) -> None:
    N = len(given_to_truth)
    loss = mp.fsum(surprise(mpf(1), q) for q in given_to_truth) / N
    same(mp.exp(-loss), mp.root(mp.fprod(given_to_truth), N))
    mean = mp.fsum(given_to_truth) / N
    assert mp.exp(-loss) < mean + TINY
    assert loss > -mp.log(mean) - TINY
    # With this mean, a loss may be as low as the bound, and as large as you like.
    same(surprise(mpf(1), mean), -mp.log(mean))
    part = mpf(10) ** -10_000
    lopsided = [part, *[(100 * mean - part) / 99] * 99]
    same(mp.fsum(lopsided) / 100, mean)
    assert mp.fsum(surprise(mpf(1), q) for q in lopsided) / 100 > 100


# --- Honesty ---

p, q = sympy.symbols("p q", positive=True)
EXPECTED = -p * sympy.log(q) - (1 - p) * sympy.log(1 - q)


@says(
    "Suppose that a share $p$ of such loans defaults, and you forecast $q$. Your expected loss is"
    r" $-p \log q - (1 - p) \log(1 - q)$, with the derivative",
    "It is negative below $q = p$ and positive above: **the only best forecast is the truth**,"
    " $q = p$. (For any number of outcomes that is Gibbs' inequality, {eq}`eq-gibbs`.)",
)
def eq_binary_derivative() -> None:
    r"""-\frac{p}{q} + \frac{1 - p}{1 - q} = \frac{q - p}{q (1 - q)} ."""
    slope = sympy.diff(EXPECTED, q)
    assert sympy.simplify(slope - (-p / q + (1 - p) / (1 - q))) == 0
    assert sympy.simplify(slope - (q - p) / (q * (1 - q))) == 0
    for share in range(1, 10):
        for forecast in range(1, 10):
            here = slope.subs({p: sympy.Rational(share, 10), q: sympy.Rational(forecast, 10)})
            assert sympy.sign(here) == sympy.sign(forecast - share)


@says(
    "The logarithm makes honesty the best policy",
    "Because the logarithm makes honesty the best policy.",
    "If a share $p$ of many loans defaults, the mean cost is the cross-entropy of $p$ and"
    " your forecast, and it is least when you forecast $p$ ({eq}`eq-gibbs`).",
    r"The absolute error is not proper: unless $p = \tfrac12$, it is least if you claim certainty.",
    "Such a loss is called a *strictly proper score* {cite}`gneiting2007`",
    "Squared error is proper as well; {doc}`why_not_mse` explains why it still learns"
    " slowly behind a sigmoid.",
    "It is strictly proper: on average, only the true probability minimizes it.",
)
@given(PROBS, PROBS)
def honesty_is_the_best_policy(share: Real, forecast: Real) -> None:
    def worse(score: object) -> Real:
        def mean(q: Real) -> Real:
            return share * score(1 - q) + (1 - share) * score(q)  # type: ignore[operator]

        return mean(forecast) - mean(share)

    for proper in (lambda error: -mp.log(1 - error), lambda error: error**2):
        assert worse(proper) > 0 or share == forecast
    absolute = {q: share * (1 - q) + (1 - share) * q for q in (mpf(0), forecast, mpf(1))}
    if share != mpf(1) / 2:
        assert min(absolute, key=absolute.__getitem__) in (0, 1)
    else:
        same(absolute[0], absolute[1])
    wrong = mpf(-10)  # the logit, where the answer is yes
    squared, logarithm = (
        mp.diff(lambda z, loss=loss: loss(sigma(z)), wrong)
        for loss in (lambda q: (1 - q) ** 2, lambda q: -mp.log(q))
    )
    assert abs(squared) < 0.001 * abs(logarithm)


# --- Logits ---


@says(
    r"the sigmoid $\sigma(z) = 1 / (1 + e^{-z})$ from {doc}`softmax`",
    r"It outputs a score, a {term}`logit` $z$, and the probability is $\hat y ="
    r" \sigma(z)$: a softmax over two scores, where that of *no* is fixed at 0. Put this"
    r" into {eq}`eq-bce`. Since $1 - \sigma(z) = \sigma(-z)$ and $-\log \sigma(z) = \log(1"
    " + e^{-z})$,",
)
@given(TARGETS, reals(-20, 20))
def eq_bce_logits(y: Real, z: Real) -> None:
    r"""\ell = y \log(1 + e^{-z}) + (1 - y) \log(1 + e^{z}) ."""
    assert abs(torch.tensor(float(z), dtype=torch.float64).sigmoid().item() - sigma(z)) < 1e-15
    same(soft([mpf(0), z])[1], sigma(z))
    same(1 - sigma(z), sigma(-z))
    same(-mp.log(sigma(z)), mp.log(1 + mp.exp(-z)))
    same(of_logit(y, z), y * mp.log(1 + mp.exp(-z)) + (1 - y) * mp.log(1 + mp.exp(z)))


@says(
    "Take the factor $e^z$ out of the second logarithm,"
    r" $\log(1 + e^z) = z + \log(1 + e^{-z})$, to get a form for $z \ge 0$; put"
    r" $\log(1 + e^{-z}) = -z + \log(1 + e^{z})$ into the first to get one for $z < 0$:",
    "In {eq}`eq-bce-logits` no probability is left that could round to 0 or 1. But $e^z$ overflows"
    " at large $z$.",
    "From taking $e^z$ out of a logarithm.",
    "Each is exact for every $z$, and each overflows on one side only.",
)
@given(TARGETS, reals(-20, 20))
def eq_binary_forms(y: Real, z: Real) -> None:
    r"""
    \begin{aligned}
    \ell &= z - yz + \log(1 + e^{-z}) \\
    \ell &= 0 - yz + \log(1 + e^{z})
    \end{aligned}
    """
    same(mp.log(1 + mp.exp(z)), z + mp.log(1 + mp.exp(-z)))
    same(mp.log(1 + mp.exp(-z)), -z + mp.log(1 + mp.exp(z)))
    forms = z - y * z + mp.log(1 + mp.exp(-z)), 0 - y * z + mp.log(1 + mp.exp(z))
    for form in forms:
        assert abs(form - of_logit(y, z)) < TINY
    with np.errstate(over="ignore"):
        overflows = [[np.isinf(np.exp(-far)), np.isinf(np.exp(far))] for far in (1000.0, -1000.0)]
    assert overflows == [[False, True], [True, False]]  # so the first form is for z >= 0


@says(
    r"Choosing by the sign of $z$ is what $\max$ and $|\cdot|$ do in {eq}`eq-bce-stable`.",
    "This form works with the logit alone, and never takes the exponential of a positive number:",
)
@given(TARGETS, reals(-20, 20))
def eq_bce_stable(y: Real, z: Real) -> None:
    r"""\ell = \max(z, 0) - yz + \log(1 + e^{-|z|}) ."""
    stable = max(z, mpf(0)) - y * z + mp.log(1 + mp.exp(-abs(z)))
    assert abs(stable - of_logit(y, z)) < TINY
    chosen = z - y * z + mp.log(1 + mp.exp(-z)) if z >= 0 else -y * z + mp.log(1 + mp.exp(z))
    assert abs(stable - chosen) < TINY


@says(
    r"The *logistic loss*: for $s = 2y - 1$, {eq}`eq-bce-logits` reads $\ell = \log(1 +"
    " e^{-sz})$. Do not put −1 into {eq}`eq-bce`; the loss would be unbounded below.",
)
@given(ANSWERS, reals(-20, 20))
def labels_of_minus_one(y: int, z: Real) -> None:
    s = 2 * y - 1
    assert s == [-1, 1][y]
    same(of_logit(mpf(y), z), mp.log(1 + mp.exp(-s * z)))
    q = mpf(10) ** -1000
    assert -(-1 * mp.log(q) + (1 - -1) * mp.log(1 - q)) < -1000


@says(
    "Since this is a softmax with cross-entropy, its gradient is the one that you know,"
    " **prediction minus target**:",
)
@given(TARGETS, reals(-20, 20))
def eq_bce_gradient(y: Real, z: Real) -> None:
    r"""\frac{\partial \ell}{\partial z} = \hat y - y ."""
    slope = mp.diff(lambda x: of_logit(y, x), z)
    assert abs(slope - (sigma(z) - y)) < mpf(10) ** -25
    logits = torch.tensor([[0.0, float(z)]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[1 - float(y), float(y)]], dtype=torch.float64)
    (of_softmax,) = torch.autograd.grad(F.cross_entropy(logits, target), logits)
    assert abs(of_softmax[0, 1].item() - (sigma(z) - y)) < 1e-14


# --- The figures ---


def numbers(svg: str) -> list[str]:
    """Return the numbers at the right of a figure's table."""
    return re.findall(r'text-anchor="end"[^>]*font-size="13px" fill="black">([^<]+)', svg)


# --- Thresholds ---


@says(
    r"Acting on a forecast $\hat y$ costs a false alarm with probability $1 - \hat y$; not acting"
    r" costs a miss with probability $\hat y$. Act if $(1 - \hat y)\, c_{\text{alarm}} < \hat y\,"
    r" c_{\text{miss}}$, that is, if",
    "½ is right only if both mistakes cost the same",
    "{cite:t}`elkan2001` shows that for honest probabilities re-weighting and moving the"
    " threshold are the same thing.",
    "The threshold follows from costs, {eq}`eq-threshold`, not from the loss.",
)
@given(PROBS, POSITIVE, POSITIVE)
def eq_threshold(q: Real, alarm: Real, miss: Real) -> None:
    r"""\hat y > \frac{c_{\text{alarm}}}{c_{\text{alarm}} + c_{\text{miss}}}"""
    benign, bad = 1 - q, q
    acting, waiting = benign * alarm + bad * 0, benign * 0 + bad * miss
    threshold = alarm / (alarm + miss)
    if abs(q - threshold) > TINY:
        assert (acting < waiting) == (q > threshold)
        assert ((1 - q) * alarm < q * miss) == (q > threshold)
    assert (threshold == mpf(1) / 2) == (alarm == miss)
    weighted = miss * q / (miss * q + alarm * (1 - q))  # the best forecast of a weighted loss
    assert (weighted > mpf(1) / 2) == (q > threshold) or abs(q - threshold) < TINY
    assert threshold == 2 * alarm / (2 * alarm + 2 * miss)


# --- pos_weight ---


@says(
    "`pos_weight` multiplies the loss of the positive samples by $w$.",
    r"Where a share $p$ is positive, the expected loss is now $-wp \log q - (1 - p) \log(1"
    " - q)$. Divided by $wp + 1 - p$, this is a cross-entropy again, hence least at",
    r"So every best logit is shifted by $\log w$.",
)
@given(PROBS, POSITIVE, PROBS)
def eq_pos_weight(share: Real, weight: Real, other: Real) -> None:
    r"""
    \hat y = \frac{wp}{wp + 1 - p}, \qquad
    \operatorname{logit} \hat y = \operatorname{logit} p + \log w .
    """
    yes, no, z = torch.ones(1).double(), torch.zeros(1).double(), torch.tensor([0.7]).double()
    w_ = torch.tensor(float(weight), dtype=torch.float64)
    loss = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(loss(z, yes, pos_weight=w_), w_ * loss(z, yes))
    torch.testing.assert_close(loss(z, no, pos_weight=w_), loss(z, no))

    def mean(q: Real) -> Real:  # of ten thousand samples, counted
        return share * weight * surprise(mpf(1), q) + (1 - share) * surprise(mpf(0), q)

    best = weight * share / (weight * share + 1 - share)
    scale = weight * share + 1 - share
    same(mean(other) / scale, surprise(best, other))
    assert mean(best) < mean(other) or abs(best - other) < TINY
    assert abs(mp.log(best / (1 - best)) - mp.log(share / (1 - share)) - mp.log(weight)) < TINY


@says(r"To undo this, **subtract $\log w$ from the logit**, or solve for $p$:")
@given(PROBS, POSITIVE)
def eq_binary_undo(share: Real, weight: Real) -> None:
    r"""p = \frac{\hat y}{\hat y + w (1 - \hat y)} ."""
    forecast = weight * share / (weight * share + 1 - share)  # of eq-pos-weight
    same(forecast / (forecast + weight * (1 - forecast)), share)
    same(sigma(mp.log(forecast / (1 - forecast)) - mp.log(weight)), share)


# --- What comes with the exercises and the summary ---


@says(
    "Keeping a share $r$ of the negatives multiplies the odds of a positive by $1/r$, just as"
    r" `pos_weight` $w = 1/r$ does. So $p = \hat y / (\hat y + (1 - \hat y)/r)$.",
    "The same shift corrects a model trained after dropping negatives {cite}`king2001`.",
)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 9))
def dropping_negatives_shifts_the_odds(positives: int, negatives: int, part: int) -> None:
    r = mpf(part) / 10
    share = mpf(positives) / (positives + negatives)
    kept = mpf(positives) / (positives + r * negatives)
    same(kept / (1 - kept), share / (1 - share) / r)
    w_ = 1 / r
    same(kept, w_ * share / (w_ * share + 1 - share))
    same(kept / (kept + (1 - kept) / r), share)


@says(
    r"From {eq}`eq-bce-logits`, $\ell = w y \log(1 + e^{-z}) + (1 - y) \log(1 + e^{z})$, and"
    r" `np.logaddexp(0, z)` is $\log(1 + e^z)$ without overflow.",
)
@given(TARGETS, reals(-20, 20), POSITIVE)
def weighted_loss_of_a_logit(y: Real, z: Real, weight: Real) -> None:
    loss = weight * y * mp.log(1 + mp.exp(-z)) + (1 - y) * mp.log(1 + mp.exp(z))
    same(loss, -weight * y * mp.log(sigma(z)) - (1 - y) * mp.log(1 - sigma(z)))
    assert abs(np.logaddexp(0, float(z)) / mp.log(1 + mp.exp(z)) - 1) < 1e-14
    assert np.logaddexp(0, 1000.0) == 1000


@says(
    r"A share $\eta < \tfrac12$ of the labels is flipped at random. Show that the model with the"
    r" least expected loss on the noisy labels forecasts $\eta + (1 - 2\eta) p$.",
    r"A noisy label is 1 with probability $p (1 - \eta) + (1 - p) \eta = \eta + (1 -"
    r" 2\eta) p$, and the best forecast is that probability. It exceeds ½ exactly if $p >"
    r" \tfrac12$, so the decisions at ½ survive, but other thresholds must be mapped in the"
    " same way.",
    r"With $p \in \{0, 1\}$ the forecasts are $\eta$ and $1 - \eta$, and the loss is $H(\eta)$, a"
    " floor.",
)
@given(st.integers(0, 100).map(lambda n: mpf(n) / 100), st.integers(1, 49), PROBS)
def a_noisy_label(share: Real, percent: int, other: Real) -> None:
    eta = mpf(percent) / 100
    noisy = share * (1 - eta) + (1 - share) * eta
    same(noisy, eta + (1 - 2 * eta) * share)
    assert surprise(noisy, noisy) <= surprise(noisy, other) + TINY
    if abs(share - mpf(1) / 2) > TINY:
        assert (noisy > mpf(1) / 2) == (share > mpf(1) / 2)
    assert eta + (1 - 2 * eta) * mpf(1) / 5 > mpf(1) / 5  # a threshold at 0.2 moves
    for certain in (0, 1):
        forecast = eta + (1 - 2 * eta) * certain
        same(forecast, [eta, 1 - eta][certain])
        same(surprise(forecast, forecast), H([eta, 1 - eta]))
    assert surprise(noisy, noisy) >= H([eta, 1 - eta]) - TINY


@says(
    r"Pass logits: {eq}`eq-bce-stable` neither overflows nor saturates, and the gradient is"
    r" $\hat y - y$.",
)
def logits_neither_overflow_nor_saturate() -> None:
    z = torch.tensor([-1e30, -1000.0, 1000.0, 1e30], requires_grad=True)
    no = torch.zeros(4)
    loss = F.binary_cross_entropy_with_logits(z, no, reduction="none")
    assert torch.isfinite(loss).all()
    assert loss[2:].tolist() == z[2:].tolist()
    (slope,) = torch.autograd.grad(loss.sum(), z)
    assert slope.tolist() == [0, 0, 1, 1] == torch.sigmoid(z).tolist()
    assert F.binary_cross_entropy(torch.tensor(0.0), torch.tensor(1.0)).item() == 100
    assert abs(metrics.log_loss([1], [0.0], labels=[0, 1]) - 36.04) < 0.005


@says("Targets are floats of the same shape as the logits:")
def targets_are_floats_of_the_shape_of_the_logits() -> None:
    logits, loss = torch.zeros(3), F.binary_cross_entropy_with_logits
    assert abs(loss(logits, torch.zeros(3)).item() - np.log(2)) < 1e-7
    with pytest.raises(RuntimeError, match="Long"):
        loss(logits, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="size"):
        loss(logits, torch.zeros(3, 1))


SHOWN = {
    "Keras 2 clipped and then added the same number once more"
    " ([tensorflow#41595](https://github.com/tensorflow/tensorflow/pull/41595)).": (
        "Keras 2, p = 0 −log 2.00e-07"
    ),
}

NUMBERS = {
    "(torch.Size([64]))": Given("the message of a batch of 64; the cell has a batch of 2"),
}

UNTESTED = {
    "I. J. Good proposed the logarithm for just this reason {cite}`good1952`": "history",
    "{cite:t}`cox1958` worked out logistic regression for yes-or-no data.": "history",
}
