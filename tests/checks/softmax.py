"""The chapter on softmax."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import special, stats
from torch.nn import functional as F

import crossent
from tests.checks import (
    Computed,
    Given,
    H,
    Real,
    Row,
    distributions,
    logits,
    reals,
    same,
    says,
    sigma,
    soft,
    source,
)

TINY = mpf(10) ** -45
POSITIVE = st.integers(1, 40).map(lambda eighths: mpf(eighths) / 8)
DIFFERENT = st.lists(reals(), min_size=4, max_size=4, unique=True)


def mean(p: Row, z: Row) -> Real:
    return mp.fsum(p_k * z_k for p_k, z_k in zip(p, z, strict=True))


# --- The scores ---


@given(st.lists(logits(3), min_size=2, max_size=2), logits(3), logits(2))
def eq_softmax_scores(W: list[Row], x: Row, b: Row) -> None:
    r"""z = W x + b , \qquad z_k = \sum_{i=1}^{64} w_{ki} \, x_i + b_k ."""
    one_by_one = [mp.fsum(w * i for w, i in zip(row, x, strict=True)) for row in W]
    together = np.array(W, dtype=float) @ np.array(x, dtype=float) + np.array(b, dtype=float)
    layer = torch.nn.functional.linear(
        *(torch.tensor(np.array(each, dtype=float)) for each in (x, W, b))
    )
    for votes, b_k, z_k, of_torch in zip(one_by_one, b, together, layer.tolist(), strict=True):
        assert abs(votes + b_k - z_k) < 1e-12
        assert abs(votes + b_k - of_torch) < 1e-12


# --- The map ---


@given(logits())
def eq_softmax(z: Row) -> None:
    r"""\hat y_k = \operatorname{softmax}(z)_k = \frac{e^{z_k}}{\sum_{j=1}^{K} e^{z_j}} ."""
    powers = [mp.e**z_k for z_k in z]
    for library in (
        special.softmax(np.array(z, dtype=float)),
        F.softmax(torch.tensor(np.array(z, dtype=float)), dim=0).numpy(),
    ):
        for power, y_k in zip(powers, library, strict=True):
            assert abs(power / mp.fsum(powers) - y_k) < 1e-15


@says(
    "**Softmax exponentiates every score and divides by the sum.** The scores of a model, its"
    r" *logits* $z_1, \dots, z_K$, may be any real numbers. What comes out is positive and sums to"
    " 1:",
    "Exponentiate, add up, divide. That makes two more columns:",
    "The exponential makes every score positive and keeps the order; a score of 0 becomes"
    " 1. The division turns the powers into shares of one whole.",
    "One score alone moves every bar, because all share one sum.",
    "Exponentiate every score, add up the powers, divide each power by the sum.",
    "Softmax turns the scores",
)
@given(logits(), st.integers(0, 3))
def every_logit_moves_every_probability(z: Row, j: int) -> None:
    y = soft(z)
    for power, y_k in zip(np.exp(np.array(z, dtype=float)), y, strict=True):
        assert abs(power / np.exp(np.array(z, dtype=float)).sum() - y_k) < 1e-15
    assert min(y) > 0
    same(mp.fsum(y), mpf(1))
    moved = soft([z_k + (k == j) for k, z_k in enumerate(z)])
    for k in range(4):
        assert (moved[k] > y[k]) if k == j else (moved[k] < y[k])
        assert (z[k] > z[j]) == (mp.exp(z[k]) > mp.exp(z[j])) == (y[k] > y[j])
    assert mp.exp(0) == 1


@says(
    "The constant moves no bar.",
    "Raise the temperature in the figure, and the bars become more alike; lower it, and"
    " the largest logit takes nearly all the probability.",
)
@given(DIFFERENT)
def what_the_sliders_do(z: Row) -> None:
    for y_k, raised in zip(soft(z), soft([z_k + 1 for z_k in z]), strict=True):
        same(y_k, raised)
    hot, cold = soft([z_k / 2 for z_k in z]), soft([z_k * 1000 for z_k in z])
    assert max(hot) - min(hot) < max(soft(z)) - min(soft(z))
    assert cold[z.index(max(z))] > 1 - mpf(10) ** -50


@says(
    "In exact arithmetic, no share is 0, however low its score: softmax never says never.",
)
def no_probability_is_0() -> None:
    assert soft([mpf(0), mpf(-(10**6))])[1] > 0


# --- The loss ---


@given(logits(), st.integers(0, 3))
def eq_softmax_loss(z: Row, y: int) -> None:
    r"""\ell = -\log \hat y_y = \log \sum_{j=1}^{K} e^{z_j} - z_y ."""
    ell = -mp.log(soft(z)[y])
    assert abs(ell - (mp.log(mp.fsum(mp.exp(z_j) for z_j in z)) - z[y])) < TINY
    x = torch.tensor(np.array(z, dtype=float))
    assert abs(float(F.cross_entropy(x, torch.tensor(y))) - ell) < 1e-13


@says(
    "A linear model gives each class a score, a sum of votes plus a bias. Softmax turns"
    r" the scores into probabilities, and $-\log$ of the true class's probability is the"
    r" loss, $\log \sum_j e^{z_j} - z_y$.",
    r"Nothing. The loss is $\log \sum_j e^{z_j} - z_y$, and both terms rise by 5.",
    "A third each: equal scores get equal shares, whatever their size.",
)
@given(logits(3), logits(3), st.integers(0, 2))
def from_votes_to_the_loss(votes: Row, bias: Row, y: int) -> None:
    z = [sum(votes) + b_k for b_k in bias]

    def loss(z: Row) -> Real:
        return mp.log(mp.fsum(mp.exp(z_j) for z_j in z)) - z[y]

    assert abs(loss(z) + mp.log(soft(z)[y])) < TINY
    assert abs(loss([z_k + 5 for z_k in z]) - loss(z)) < TINY
    for y_k in soft([votes[0]] * 3):
        same(y_k, mpf(1) / 3)


# --- Why the exponential ---


@says(
    "The odds of two classes depend on the difference of their scores alone, so votes add up and"
    " odds multiply.",
)
@given(logits())
def eq_softmax_odds(z: Row) -> None:
    r"""\frac{\hat y_k}{\hat y_j} = \frac{e^{z_k}}{e^{z_j}} = e^{z_k - z_j} ."""
    y = special.softmax(np.array(z, dtype=float))
    for k, j in itertools.permutations(range(4), 2):
        same(mp.exp(z[k]) / mp.exp(z[j]), mp.exp(z[k] - z[j]))
        assert abs(y[k] / y[j] / mp.exp(z[k] - z[j]) - 1) < 1e-12


@says(
    r"Give the 9 one more vote, of $\log 2 = 0.693$: its odds against every other digit"
    " double, and the odds among the others stay as they were.",
    "They triple, against every other class.",
)
@given(logits(), st.sampled_from([2, 3]))
def a_vote_multiplies_the_odds(z: Row, times: int) -> None:
    y = soft(z)
    voted = soft([*z[:3], z[3] + mp.log(times)])
    for j in range(3):
        same(voted[3] / voted[j], times * y[3] / y[j])
    same(voted[0] / voted[1], y[0] / y[1])


@says(
    "Dividing the scores themselves by their sum will not do. It needs scores that are"
    " not negative, and not all 0. It also compares something else. Here is the share of"
    " the second of two scores:",
    "Dividing looks at *ratios*: that suits counts, but a negative score gives the other"
    ' one a "probability" of 2. Softmax looks at *differences*: 101 and 102 are as far'
    " apart as 1 and 2, and 10 and 20 are much farther apart.",
)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(2, 9))
def dividing_keeps_ratios_and_softmax_differences(a: int, b: int, c: int) -> None:
    def share(a: int, b: int) -> mpf:
        return mpf(b) / (a + b)

    assert share(-1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        share(0, 0)
    same(share(a, b), share(c * a, c * b))
    same(share(a, b), mpf(([0] * a + [1] * b).count(1)) / (a + b))  # of counts
    same(soft([a, b])[1], soft([a + c, b + c])[1])
    if a != b:
        assert abs(share(a, b) - share(a + c, b + c)) > 1e-6
        assert abs(mp.log(soft([a, b])[1] / soft([c * a, c * b])[1])) > TINY
    assert soft([101, 102]) == pytest.approx(soft([1, 2]))
    assert soft([1, 2])[1] < 0.74
    assert soft([10, 20])[1] > 0.9999


@says(
    "This is how evidence behaves: each independent piece multiplies the odds, and so"
    " adds to their logarithm.",
    "Sums of votes are compared by their differences.",
)
@given(distributions(2, least=1), distributions(2, least=1), distributions(2, least=1))
def evidence_adds_up(prior: Row, first: Row, second: Row) -> None:
    joint = [a * b * c for a, b, c in zip(prior, first, second, strict=True)]  # two observations
    z = [mp.fsum(map(mp.log, row)) for row in zip(prior, first, second, strict=True)]
    same(joint[1] / mp.fsum(joint), sigma(z[1] - z[0]))
    same(joint[1] / mp.fsum(joint), soft(z)[1])
    odds = [row[1] / row[0] for row in (prior, first, second)]
    same(joint[1] / joint[0], mp.fprod(odds))
    assert abs(mp.log(joint[1] / joint[0]) - mp.fsum(map(mp.log, odds))) < TINY


@says(
    "**From log-odds, for three or more classes.** Let the scores be any real numbers and the"
    " probabilities positive, and let one function $g$, strictly increasing, give the odds of"
    r" each class against each other from the difference of their scores: $\hat y_k / \hat y_j ="
    " g(z_k - z_j)$. Then the probabilities are a softmax.",
    r"*Proof.* For three of the classes, $\frac{\hat y_i}{\hat y_j} \cdot \frac{\hat"
    r" y_j}{\hat y_k} = \frac{\hat y_i}{\hat y_k}$, that is, $g(a) \, g(b) = g(a + b)$ for"
    r" all differences $a$ and $b$. Hence $f = \log g$ is increasing with $f(a) + f(b) ="
    " f(a + b)$. Such an $f$ is $f(x) = c x$ with $c = f(1) > 0$: {doc}`the chapter on"
    r" entropy <entropy>` shows it for $x \ge 0$, and $f(-x) = -f(x)$ because $f(0) = 0$."
    r" So $\hat y_k / \hat y_j = e^{c (z_k - z_j)}$, each $\hat y_k$ is proportional to"
    " $e^{c z_k}$, and since the probabilities sum to 1, only {eq}`eq-softmax` is left,"
    " with the scores multiplied by $c$. ∎",
    r"The constant $c$ is the unit of the scores; $1 / c$ is a temperature.",
    "Nothing else will, for three or more classes, if only differences of scores are to count;",
    r"Softmax is $e^{z_k} / \sum_j e^{z_j}$.",
)
@given(DIFFERENT, POSITIVE)
def log_odds_lead_to_softmax(z: Row, c: Real) -> None:
    odds = [mp.exp(c * (z_k - z[0])) for z_k in z]  # g of the differences from the first
    y = [each / mp.fsum(odds) for each in odds]  # the only numbers in these ratios with sum 1
    for i, j, k in itertools.permutations(range(4), 3):
        same(y[i] / y[j] * (y[j] / y[k]), y[i] / y[k])
        same(mp.log(y[i] / y[j]), c * (z[i] - z[j]))
        assert (y[i] / y[j] > y[i] / y[k]) == (z[i] - z[j] > z[i] - z[k])
    for one, other, third in zip(
        y, soft([c * z_k for z_k in z]), soft([z_k / (1 / c) for z_k in z]), strict=True
    ):
        same(one, other)
        same(one, third)
    # Others that increase, with g(-d) = 1 / g(d), cannot serve three classes.
    for f in (lambda d: d**3, mp.sinh, mp.atan, lambda d: mp.sign(d) * mp.sqrt(abs(d))):
        assert f(2) > f(1) > f(0) == 0
        same(f(mpf(-1)), -f(mpf(1)))
        assert abs(f(mpf(1)) + f(mpf(1)) - f(mpf(2))) > 0.1


@says(
    r"Such an $f$ is $f(x) = c x$ with $c = f(1) > 0$",
    r"and $f(-x) = -f(x)$ because $f(0) = 0$.",
)
def only_a_line_adds() -> None:
    x, y = sympy.symbols("x y", real=True)
    f = sympy.Function("f")
    # f(x) + f(y) = f(x + y), differentiated with respect to y at 0, makes the slope constant.
    line = sympy.dsolve(f(x).diff(x) - sympy.Symbol("c"), f(x), ics={f(0): 0}).rhs
    assert line == sympy.Symbol("c") * x
    assert line.subs(x, 0) == 0
    assert line.subs(x, -x) == -line
    assert line.subs(x, 1) == sympy.Symbol("c")
    assert sympy.expand(line.subs(x, x + y) - line - line.subs(x, y)) == 0


@says(
    "With two classes there is no third one to compare with, and other maps are possible:"
    r" in the *probit* model, $\hat y_1$ is the normal distribution function at $z_1 -"
    " z_0$. For three classes, the probit odds contradict each other:",
)
@given(reals(), POSITIVE)
def probit_passes_for_two_classes_only(d: Real, more: Real) -> None:
    def odds(d: Real) -> Real:
        return mp.ncdf(d) / mp.ncdf(-d)

    same(mp.ncdf(d) + mp.ncdf(-d), mpf(1))  # the two probabilities
    same(odds(-d), 1 / odds(d))
    assert odds(d + more) > odds(d) > 0
    assert abs(special.ndtr(float(d)) - mp.ncdf(d)) < 1e-14
    assert odds(2) / odds(1) ** 2 > 1.5


# --- Maximum entropy ---


@given(distributions(), logits(), POSITIVE | POSITIVE.map(lambda t: -t))
def eq_softmax_maximum_entropy(p: Row, z: Row, tau: Real) -> None:
    r"""-\sum_k p_k \log r_k = \log Z - \frac{m}{\tau} ."""
    r = soft([z_k / tau for z_k in z])
    Z = mp.fsum(mp.exp(z_j / tau) for z_j in z)
    for each in (p, r):
        same(H(each, r), mp.log(Z) - mean(each, z) / tau)
    same(H(r, r), H(r))


def pushed(p: Row, z: Row, size: Real) -> Row:
    """Return a distribution with the same mean score: a push that changes no sum."""
    push = [z[1] - z[2], z[2] - z[0], z[0] - z[1], 0]
    step = size * min(p[:3]) / max(map(abs, push))
    return [p_k + step * d for p_k, d in zip(p, push, strict=True)]


@says(
    "**From maximum entropy.** Suppose all that you know of a distribution $p$ is its mean score"
    r" $m = \sum_k p_k z_k$, and $m$ lies strictly between the plain mean of the scores and their"
    " maximum. Of all such distributions, the most uncertain one is a softmax {cite}`jaynes1957`.",
    r"*Proof.* Let $r = \operatorname{softmax}(z / \tau)$, with $\tau > 0$ chosen so that"
    r" its mean score is $m$. There is such a $\tau$: the plain mean and the maximum are"
    r" the limits for $\tau \to \infty$ and $\tau \to 0$, and the mean score moves"
    r" continuously between them. Let $Z = \sum_j e^{z_j / \tau}$. Then $\log r_k = z_k /"
    r" \tau - \log Z$, and for *every* $p$ with mean score $m$",
    "The right-hand side is the same for all of them, $r$ included, so it is $H(r)$. By Gibbs'"
    " inequality {eq}`eq-gibbs`, the left-hand side is at least $H(p)$, and equal to it only for"
    " $p = r$. ∎",
    r"For a mean below the plain one, the same holds with a negative $\tau$. At the plain mean,"
    r" the uniform distribution wins. At the maximum, no $\tau$ is left: the classes with the"
    " largest score share everything equally.",
    "and of all distributions with a given mean score, softmax is the most uncertain one.",
)
@given(DIFFERENT, POSITIVE, st.sampled_from([-0.9, -0.3, 0.2, 0.8]))
def softmax_is_the_most_uncertain(z: Row, tau: Real, size: float) -> None:
    plain = mp.fsum(z) / 4
    for t, left, right in ((tau, plain, max(z)), (-tau, min(z), plain)):
        r = soft([z_k / t for z_k in z])
        logZ = mp.log(mp.fsum(mp.exp(z_j / t) for z_j in z))
        for r_k, z_k in zip(r, z, strict=True):
            same(mp.log(r_k), z_k / t - logZ)
        m = mean(r, z)
        assert left < m < right
        p = pushed(r, z, size)
        assert min(p) > 0
        same(mp.fsum(p), mpf(1))
        assert abs(mean(p, z) - m) < TINY
        same(H(p, r), H(r))
        assert H(p) < H(r)
        assert mean(soft([z_k / (2 * t) for z_k in z]), z) != m  # each has its own
    scores = [mean(soft([z_k / mpf(t) for z_k in z]), z) for t in ("1e-3", "1e9")]
    assert abs(scores[0] - max(z)) < TINY
    assert abs(scores[1] - plain) < 1e-7
    uniform = [mpf(1) / 4] * 4
    same(mean(uniform, z), plain)
    assert H(pushed(uniform, z, size)) < H(uniform)


@says("the classes with the largest score share everything equally.")
@given(distributions(4))
def at_the_maximum_the_largest_share(p: Row) -> None:
    z = [mpf(1), mpf(3), mpf(3), mpf(-1)]
    largest = abs(mean(p, z) - 3) < TINY
    assert largest == (p[0] == p[3] == 0)
    if largest:
        assert H(p) <= mp.log(2) + TINY
    same(H([mpf(0), mpf(1) / 2, mpf(1) / 2, mpf(0)]), mp.log(2))
    for tau in (mpf(1) / 4, mpf(1), mpf(9)):
        assert mean(soft([z_k / tau for z_k in z]), z) < 3


@says(
    "A third reason comes with training: together with cross-entropy, the gradient of the loss"
    r" with respect to the logits is $\hat y - y$, prediction minus truth ({doc}`gradient`).",
)
@given(logits(3), st.integers(0, 2))
def the_gradient_is_prediction_minus_truth(z: Row, label: int) -> None:
    x = torch.tensor(np.array(z, dtype=float), requires_grad=True)
    (slopes,) = torch.autograd.grad(F.cross_entropy(x, torch.tensor(label)), x)
    for k, y_k in enumerate(soft(z)):
        assert abs(float(slopes[k]) - (y_k - (k == label))) < 1e-14


# --- Shifts and logits ---


@says(
    "Because $e^{z_k + c} = e^c e^{z_k}$, and the common factor $e^c$ cancels:"
    r" $\operatorname{softmax}(z + c) = \operatorname{softmax}(z)$. Only differences count.",
    "Of $K$ logits, one is free: you may set it to 0 and still reach every softmax.",
    "Adding a constant to all logits changes nothing.",
    "A shift changes nothing, so choose it well.",
)
@given(logits(), reals(-20, 20))
def a_constant_changes_nothing(z: Row, c: Real) -> None:
    for z_k in z:
        same(mp.exp(z_k + c), mp.exp(c) * mp.exp(z_k))
    first_is_0 = [z_k - z[0] for z_k in z]
    assert first_is_0[0] == 0
    for y_k, shifted, free in zip(
        soft(z), soft([z_k + c for z_k in z]), soft(first_is_0), strict=True
    ):
        same(y_k, shifted)
        same(y_k, free)
    for k in range(4):  # no other is free: to move one alone, moves the softmax
        alone = soft([z_j + (j == k) for j, z_j in enumerate(z)])
        assert abs(alone[k] - soft(z)[k]) > 1e-6


@given(logits())
def eq_softmax_logit(z: Row) -> None:
    r"""z_k = \log \hat y_k + \log \sum_j e^{z_j} ."""
    y = special.softmax(np.array(z, dtype=float))
    total = mp.log(mp.fsum(map(mp.exp, z)))
    for z_k, exact, rounded in zip(z, soft(z), y, strict=True):
        assert abs(z_k - mp.log(exact) - total) < TINY
        assert abs(z_k - np.log(rounded) - float(total)) < 1e-13


@says(
    r"the logarithm of the odds, $\log \frac{p}{1 - p}$ {cite}`berkson1944`: the inverse of the"
    " sigmoid.",
    'In code, "logits" are whatever goes into a sigmoid or a softmax.',
    "**A logit is a log-probability, up to a constant that all classes share.** The log-odds of"
    r" one class against another is the difference of their logits: $z_k - z_j = \log (\hat y_k /"
    r" \hat y_j)$.",
    r"The constant is lost, but any constant will do: $\log \hat y$ may serve as logits.",
    "And **does a logit of 0 mean a probability of ½?** For a sigmoid, yes. In a softmax, a logit"
    " by itself means nothing.",
)
@given(logits(), reals().filter(bool))
def a_logit_is_a_log_probability(z: Row, x: Real) -> None:
    p = sigma(x)
    same(mp.log(p / (1 - p)), x)
    y = soft(z)
    off = [z_k - mp.log(y_k) for z_k, y_k in zip(z, y, strict=True)]
    for k, j in itertools.permutations(range(4), 2):
        same(off[k], off[j])
        assert abs(mp.log(y[k] / y[j]) - (z[k] - z[j])) < TINY
    for again, shifted, y_k in zip(
        soft([mp.log(y_k) for y_k in y]), soft([mp.log(y_k) + x for y_k in y]), y, strict=True
    ):
        same(again, y_k)
        same(shifted, y_k)
    assert sigma(0) == mpf(1) / 2 != sigma(x)
    assert abs(soft([mpf(0), x, x])[0] - mpf(1) / 3) > 1e-3  # not ½, nor any other number
    # "With logits" are the losses that apply a sigmoid, and those that apply a softmax.
    bce = crossent.binary_cross_entropy_with_logits(float(x), 1)
    assert abs(bce + mp.log(sigma(x))) < 1e-14
    ce = crossent.sparse_categorical_cross_entropy_with_logits(np.array(z, dtype=float), 0)
    assert abs(ce + mp.log(y[0])) < 1e-14


# --- Temperature ---


@says(
    r"It divides the logits: $\operatorname{softmax}(z / \tau)$. All differences are divided by"
    r" $\tau > 0$.",
    r"$\tau \to 0$: let $n$ classes share the largest logit $z_{\max}$. Divided by"
    r" $e^{z_{\max} / \tau}$, their powers are 1, and all others tend to 0. The limit is $1"
    " / n$ for each of the $n$, and 0 for the others. This is *argmax*, the choice of the"
    " largest, with ties shared.",
    r"$\tau \to \infty$: every power tends to $e^0 = 1$. The limit is $1 / K$ for each class.",
    "Temperature divides the logits. Towards 0 it gives argmax, with ties shared, and"
    " towards ∞ the uniform distribution.",
)
@given(st.lists(st.integers(-3, 3).map(mpf), min_size=2, max_size=5))
def the_limits_of_the_temperature(z: Row) -> None:
    cold, hot = mpf(1) / 1000, mpf(10) ** 9
    n = z.count(max(z))
    for z_k, y_k in zip(z, soft([z_k / cold for z_k in z]), strict=True):
        power = mp.exp(z_k / cold) / mp.exp(max(z) / cold)
        assert abs(power - (z_k == max(z))) < TINY
        assert abs(y_k - (mpf(1) / n if z_k == max(z) else 0)) < TINY
    for z_k, y_k in zip(z, soft([z_k / hot for z_k in z]), strict=True):
        assert abs(mp.exp(z_k / hot) - 1) < 1e-8
        assert abs(y_k - mpf(1) / len(z)) < 1e-8
    for tau in (mpf(1) / 2, mpf(4)):
        same(mp.log(soft([3 / tau, 1 / tau])[0] / soft([3 / tau, 1 / tau])[1]), 2 / tau)


@says(
    r"Since one logit is the largest, the entropy climbs from 0 to $\log 10$,"
    " {ref}`without ever turning back <ex-softmax-temperature>`. The order of the classes"
    " does not change, nor does the accuracy, unless rounding makes two probabilities"
    " equal; the loss does change. A low temperature makes a language model repeat its"
    " favorites, a high one makes it wander.",
    "The order of the classes does not change.",
    "The order stays the same, and the entropy rises.",
)
@given(st.lists(reals(), min_size=10, max_size=10, unique=True))
def the_entropy_climbs_with_the_temperature(z: Row) -> None:
    rows = [soft([z_k / tau for z_k in z]) for tau in (mpf("1e-3"), 0.1, 0.5, 1, 2, 10, 10**9)]
    entropies = [H(row) for row in rows]
    assert entropies == sorted(entropies)
    assert abs(entropies[0]) < TINY
    assert abs(entropies[-1] - mp.log(10)) < 1e-8
    order = sorted(range(10), key=z.__getitem__)
    assert all(sorted(range(10), key=row.__getitem__) == order for row in rows)
    assert special.softmax([0, 1e-17]).tolist() == [0.5, 0.5]
    assert abs(mp.log(rows[3][order[0]]) - mp.log(rows[4][order[0]])) > 1e-4  # the loss
    # The chance that two draws are the same word, and that the best is drawn.
    again = [mp.fsum(y_k**2 for y_k in row) for row in rows]
    assert again == sorted(again, reverse=True)
    best = [max(row) for row in rows]
    assert best == sorted(best, reverse=True)


@says(
    r"Temperature softens the targets in distillation {cite}`hinton2015`, and one $\tau$, chosen"
    " on validation data, repairs much overconfidence {cite}`guo2017`.",
    'Some texts *multiply* by a "temperature", so that higher means sharper: they mean $1 /'
    r" \tau$.",
)
def one_temperature_repairs_overconfidence() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    sure = 3 * honest  # too sure of itself

    def loss(tau: float, rows: slice) -> float:
        logs = special.log_softmax(sure[rows] / tau, axis=1)
        return float(-logs[range(len(logs)), labels[rows]].mean())

    taus = np.arange(0.5, 6, 0.1)
    chosen = min(taus, key=lambda tau: loss(tau, slice(2000)))
    assert chosen == pytest.approx(3, abs=0.3)
    assert loss(chosen, slice(2000, None)) < loss(1, slice(2000, None)) - 0.2
    sharp = special.softmax(4 * honest, axis=1).max(axis=1)
    assert (sharp > special.softmax(honest, axis=1).max(axis=1)).all()
    assert (sharp == special.softmax(honest / (1 / 4), axis=1).max(axis=1)).all()
    soft_targets = special.softmax(honest / 4, axis=1)
    assert (stats.entropy(soft_targets.T) > stats.entropy(special.softmax(honest, axis=1).T)).all()


# --- The logarithm ---


@given(st.lists(reals(-90, 90), min_size=1, max_size=5))
def eq_logsumexp(z: Row) -> None:
    r"""\log \hat y_k = z_k - \operatorname{LSE}(z), \qquad
    \operatorname{LSE}(z) = \log \sum_j e^{z_j} = z_{\max} + \log \sum_j e^{z_j - z_{\max}} .
    """
    library = float(special.logsumexp(np.array(z, dtype=float)))
    lse = mp.log(mp.fsum(map(mp.exp, z)))
    shifted = max(z) + mp.log(mp.fsum(mp.exp(z_j - max(z)) for z_j in z))
    assert abs(lse - shifted) < TINY
    assert abs(lse - library) < 1e-12
    for z_k, y_k in zip(z, soft(z), strict=True):
        assert abs(mp.log(y_k) - (z_k - lse)) < TINY


@says(
    "The logarithm of {eq}`eq-softmax` needs no probability at all:",
    r"This **log-sum-exp** is a smooth maximum: the last logarithm lies between 0 and $\log K$.",
)
@given(st.lists(reals(-90, 90), min_size=1, max_size=6))
def log_sum_exp_is_a_smooth_maximum(z: Row) -> None:
    over = mp.log(mp.fsum(mp.exp(z_j - max(z)) for z_j in z))
    assert -TINY < over < mp.log(len(z)) + TINY
    same(mp.log(mp.fsum([mp.exp(0)] * len(z))), mp.log(len(z)))  # all alike
    assert abs(mp.log(soft(z)[0]) - (z[0] - max(z) - over)) < TINY
    eps = mpf(10) ** -20  # smooth: its slope in each logit is a probability
    moved = mp.log(mp.exp(z[0] + eps) + mp.fsum(mp.exp(z_j) for z_j in z[1:]))
    slope = (moved - mp.log(mp.fsum(map(mp.exp, z)))) / eps
    assert abs(slope - soft(z)[0]) < 1e-10


@says(
    "Subtract the row's maximum, if it is finite, before you exponentiate.",
)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def the_maximum_makes_it_safe(z: list[float]) -> None:
    powers = np.exp(np.array(z) - max(z))
    exact = soft([mpf(z_k) for z_k in z])
    for y_k, power in zip(exact, powers, strict=True):
        assert abs(power / powers.sum() - y_k) < 1e-9
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.array([np.inf, 0.0]) - np.inf).any()


@says(
    "**Log-probabilities do not sum to 1. What are they good for?** Their exponentials do. Losses"
    " need logarithms anyway, and so do products of many probabilities.",
)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=5))
def what_log_probabilities_are_good_for(z: list[float]) -> None:
    logs = F.log_softmax(torch.tensor(z, dtype=torch.float64), dim=0)
    assert logs.sum() < 0  # not 1
    assert float(logs.exp().sum()) == pytest.approx(1)
    assert float(F.nll_loss(logs[None], torch.tensor([0]))) == -float(logs[0])
    assert np.prod(np.exp(np.repeat(-2.0, 1000))) == 0
    assert np.sum(np.repeat(-2.0, 1000)) == -2000


# --- Two classes ---


def eq_sigmoid_softmax() -> None:
    r"""\operatorname{softmax}(z_0, z_1)_1 = \frac{e^{z_1}}{e^{z_0} + e^{z_1}}
    = \frac{1}{1 + e^{-(z_1 - z_0)}} = \sigma(z_1 - z_0) .
    """
    first, second = sympy.symbols("z0 z1", real=True)
    share = sympy.exp(second) / (sympy.exp(first) + sympy.exp(second))
    assert sympy.simplify(share - 1 / (1 + sympy.exp(-(second - first)))) == 0
    for z in ((0.3, -1.2), (2.0, 5.0), (-4.0, -4.5)):
        value = float(share.subs({first: z[0], second: z[1]}))
        assert special.softmax(z)[1] == pytest.approx(value, rel=1e-14)
        assert special.expit(z[1] - z[0]) == pytest.approx(value, rel=1e-14)


@says(
    "Divide numerator and denominator by $e^{z_1}$:",
    "It takes one number, the lead of one class over the other, and gives ½ where there"
    " is no lead:",
    "They are the same models, since the second logit is redundant, and without a penalty"
    " they have the same optimum. (Under weight decay, two logits share a weight $w$ as"
    r" $\pm w / 2$ and pay half as much for it.) Two runs differ because of their random"
    " start, and because a step of gradient descent on two logits moves the difference"
    " twice as far. One output is the simpler choice.",
    r"For two classes, softmax is the sigmoid of the difference.",
)
@given(logits(2), POSITIVE)
def two_logits_are_one(z: Row, w: Real) -> None:
    d = z[1] - z[0]
    same(mp.exp(z[1]) / mp.exp(z[1]) / (mp.exp(z[0] - z[1]) + mp.exp(z[1] - z[1])), soft(z)[1])
    same(soft(z)[1], sigma(d))
    same(sigma(mpf(0)), mpf(1) / 2)
    # Of all pairs with the difference w, the halves have the least sum of squares: half of w².
    penalties = {part: part**2 + (w - part) ** 2 for part in (mpf(0), w / 4, w / 2, w)}
    assert min(penalties, key=lambda part: penalties[part]) == w / 2
    same(penalties[w / 2], w**2 / 2)

    def best(penalty: Real) -> Real:  # of a share of sigma(w), where the weight costs penalty · w²
        def slope(v: Real) -> Real:
            return sigma(v) - sigma(w) + 2 * penalty * v

        return mp.findroot(slope, (0, w + 1), solver="bisect", tol=1e-18)

    assert abs(best(mpf(0)) - w) < 1e-6
    assert best(mpf(1)) < best(mpf(1) / 2) < w  # one logit, then two, which pay half
    slope_of_one = sigma(d) - 1
    slopes = [soft(z)[0] - 0, soft(z)[1] - 1]
    same(slopes[1] - slopes[0], 2 * slope_of_one)


@says(
    "In `1 / (1 + np.exp(-x))`, the exponential overflows if $x$ is very negative. The"
    r" result, 0, is off by less than $10^{-308}$, but its logarithm is $-\infty$.",
    "Large logits in a home-made softmax give the same warning ({ref}`softmax-overflow`).",
    "Choosing between two formulas with `np.where` does not silence the warning, because both are"
    " computed first; `expit` and `crossent.sigmoid` do.",
)
def the_sigmoid_that_overflows() -> None:
    x = np.array([-710.0])
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        y = 1 / (1 + np.exp(-x))
    assert y[0] == 0 < sigma(mpf(-710)) < mpf(10) ** -308
    assert np.isfinite(np.exp(709.0))  # and so the error is never larger
    with np.errstate(divide="ignore"):
        assert np.log(y)[0] == -np.inf
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        np.exp(np.array([1000.0, 1.0])).sum()
    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))
    special.expit(x)  # in silence: a warning would be an error here
    crossent.sigmoid(x)


# --- tanh ---


def eq_softmax_tanh() -> None:
    r"""\frac{1 + \tanh z}{2} = \frac12 \cdot \frac{(e^z + e^{-z}) + (e^z - e^{-z})}{e^z + e^{-z}}
    = \frac{1}{1 + e^{-2z}} = \sigma(2z) .
    """
    z = sympy.Symbol("z", real=True)
    first = (1 + sympy.tanh(z)) / 2
    up, down = sympy.exp(z), sympy.exp(-z)
    second = sympy.Rational(1, 2) * ((up + down) + (up - down)) / (up + down)
    third = 1 / (1 + sympy.exp(-2 * z))
    assert sympy.simplify(first.rewrite(sympy.exp) - second) == 0
    assert sympy.simplify(second - third) == 0
    for x in (-3.0, 0.25, 2.0):
        assert special.expit(2 * x) == pytest.approx(float(third.subs(z, x)), rel=1e-14)
        assert special.expit(2 * x) == pytest.approx((1 + np.tanh(x)) / 2, rel=1e-12)


@given(reals(-3, 3), st.sampled_from([-1, 1]))
def eq_softmax_tanh_loss(z: Real, t: int) -> None:
    r"""-\tfrac12 \left[(1 - t) \log(1 - a) + (1 + t) \log(1 + a)\right] + \log 2 ,"""
    a = mp.tanh(z)
    offered = -((1 - t) * mp.log(1 - a) + (1 + t) * mp.log(1 + a)) / 2 + mp.log(2)
    same(offered, -mp.log(sigma(2 * z) if t == 1 else 1 - sigma(2 * z)))
    x, y = torch.tensor(float(2 * z)).double(), torch.tensor((1.0 + t) / 2).double()
    assert abs(float(F.binary_cross_entropy_with_logits(x, y)) - offered) < 1e-12


@says(
    r"Not as it is: $\tanh$ runs from $-1$ to 1, and cross-entropy takes the logarithm of a"
    " probability. You could map its values to $(0, 1)$:",
    r"But that is a sigmoid with the logit doubled. Likewise, for labels $t = \pm 1$ and $a ="
    r" \tanh z$, the loss that is sometimes offered,",
    "*is* the binary cross-entropy at the logit $2z$.",
)
@given(reals())
def tanh_is_a_sigmoid_in_disguise(z: Real) -> None:
    assert -1 < mp.tanh(z) < 1
    if z < 0:
        with pytest.warns(RuntimeWarning, match="invalid value encountered in log"):
            assert np.isnan(np.log(np.tanh(float(z))))
    assert 0 < (1 + mp.tanh(z)) / 2 < 1
    same((1 + mp.tanh(z)) / 2, sigma(2 * z))
    for t in (-1, 1):
        squeezed = (1 + mp.tanh(z)) / 2
        offered = -((1 - t) * mp.log(1 - mp.tanh(z)) + (1 + t) * mp.log(1 + mp.tanh(z))) / 2
        same(offered + mp.log(2), -mp.log(squeezed if t == 1 else 1 - squeezed))


@says(
    r"Nothing is gained, and near $\pm 1$ digits are lost, in the end all of them. Leave"
    " the output linear and give it to a loss of logits.",
)
def digits_are_lost_near_1() -> None:
    wrong = []
    for z in (-2.0, -9.0, -18.0, -20.0):
        exact = mp.log(1 + mp.exp(-2 * mpf(z)))
        with np.errstate(divide="ignore"):
            offered = -np.log((1 + np.tanh(z)) / 2)
        wrong.append(float(abs(offered - exact) / exact))
        logit = torch.tensor(2 * z, dtype=torch.float64)
        of_logits = F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))
        assert abs(float(of_logits) - exact) < 1e-14 * exact
    assert wrong == sorted(wrong)
    assert wrong[0] < 1e-14
    assert wrong[-1] == np.inf


# --- Argmax ---


@says(
    "No. Argmax gives the index of the largest score. Softmax gives a distribution: a smooth"
    r" version of the one-hot row of argmax, which is its limit for $\tau \to 0$ if one score is"
    " the largest.",
    "Argmax is flat except where it jumps. Its derivative is 0, so there is nothing to"
    " train on; softmax has a slope everywhere, even if it is tiny far out.",
    "**To predict the class, you need no softmax**: $e^z$ increases and the divisor is shared, so"
    r" $\operatorname{argmax}(\operatorname{softmax}(z)) = \operatorname{argmax}(z)$. The logits"
    " are even the safer choice, as rounding can make two probabilities equal.",
)
@given(DIFFERENT)
def argmax_needs_no_softmax(z: Row) -> None:
    scores = np.array(z, dtype=float)
    assert scores[scores.argmax()] == scores.max()
    onehot = [int(z_k == max(z)) for z_k in z]
    for limit, wanted in zip(soft([1000 * z_k for z_k in z]), onehot, strict=True):
        assert abs(limit - wanted) < TINY
    for k in range(4):
        moved = scores + 0.001 * np.eye(4)[k]  # less than half of what is between two of them
        assert moved.argmax() == scores.argmax()
        assert soft(list(moved))[k] > soft(z)[k]
    assert soft(z).index(max(soft(z))) == scores.argmax()
    slopes = [y * (1 - y) for y in soft([mpf(0), mpf(60)])]
    assert 0 < max(slopes) < 1e-20
    near = np.array([0, 1e-17])
    assert near.argmax() == 1
    assert special.softmax(near).argmax() == 0


# --- Confidence and layers ---


@says(
    "Only in part: the outputs obey the rules of probability, for they are positive and"
    ' sum to 1. Whether 80% means "right in 8 cases of 10" is another question, one of'
    " *calibration*, and softmax does not promise it. Cross-entropy rewards honest"
    " probabilities, but does not promise that your model finds them.",
)
@given(distributions(3, least=1), distributions(3, least=1))
def cross_entropy_rewards_honesty(p: Row, q: Row) -> None:
    same(mp.fsum(soft([mp.log(q_k) for q_k in q])), mpf(1))  # whatever the truth p is
    if max(abs(p_k - q_k) for p_k, q_k in zip(p, q, strict=True)) > TINY:
        assert H(p, p) < H(p, q)


@says(
    "| one of $K$ classes | linear, $K$ outputs | softmax | categorical cross-entropy |",
    "| yes or no | linear, 1 output | sigmoid | binary cross-entropy |",
    "| any number of $K$ labels at once | linear, $K$ outputs | a sigmoid each | binary"
    " cross-entropy |",
    "| one class per token or pixel | linear, $K$ outputs at each | softmax over the class axis |"
    " categorical cross-entropy |",
    "| a real number | linear, 1 output | none | squared error |",
    "In each of these rows the last layer is linear. The activation belongs to the loss, which"
    " computes it without overflow: `CrossEntropyLoss` and `BCEWithLogitsLoss` in {doc}`PyTorch"
    " <pytorch>`, `from_logits=True` in {doc}`Keras <tensorflow>`, `…_with_logits` in `crossent`."
    " Apply softmax or sigmoid yourself where you need probabilities: to show them, to sample, to"
    " set a threshold.",
)
def the_loss_applies_the_activation() -> None:
    torch.manual_seed(0)
    rows, label = torch.randn(5, 3).double(), torch.tensor([0, 2, 1, 1, 0])
    chosen = F.softmax(rows, dim=-1)[range(5), label]
    assert torch.allclose(torch.nn.CrossEntropyLoss()(rows, label), -chosen.log().mean())
    bits = (torch.rand(5, 3) > 0.5).double()  # any number of labels
    s = torch.sigmoid(rows)
    each = -(bits * s.log() + (1 - bits) * (1 - s).log())
    assert torch.allclose(torch.nn.BCEWithLogitsLoss()(rows, bits), each.mean())
    assert torch.allclose(torch.nn.BCEWithLogitsLoss()(rows[:, 0], bits[:, 0]), each[:, 0].mean())
    pixels, classes = torch.randn(2, 3, 4).double(), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    at_each = F.softmax(pixels, dim=1).gather(1, classes[:, None])[:, 0]
    assert torch.allclose(torch.nn.CrossEntropyLoss()(pixels, classes), -at_each.log().mean())
    # "None": squared error takes the outputs as they are, negative ones and large ones, too.
    outputs, values = torch.tensor([-3.0, 40.0]), torch.tensor([-2.0, 41.0])
    assert F.mse_loss(outputs, values) == 1
    far = torch.tensor([1000.0, 0.0])
    assert F.cross_entropy(far, torch.tensor(1)) == 1000
    assert F.binary_cross_entropy_with_logits(-far, torch.ones(2))[None].isfinite().all()
    for name in ("binary", "categorical", "sparse_categorical"):
        function = getattr(crossent, f"{name}_cross_entropy_with_logits")
        many = [0] if name == "sparse_categorical" else [[1.0, 0.0]]
        assert np.isfinite(function(np.array([[-1000.0, 1000.0]]), many))


@says(
    "Say which axis holds the classes, take logarithms with `log_softmax`, and divide by"
    " the temperature first:"
)
@given(logits(3), POSITIVE)
def the_temperature_comes_first(z: Row, tau: Real) -> None:
    x = torch.tensor(np.array([z, z[::-1]], dtype=float))
    first = F.softmax(x / float(tau), dim=-1)
    for y_k, exact in zip(first[0], soft([z_k / tau for z_k in z]), strict=True):
        assert abs(float(y_k) - exact) < 1e-13
    if tau != 1:
        last = F.softmax(x, dim=-1) / float(tau)
        assert abs(float(last.sum(dim=-1)[0]) - 1) > 0.01
    assert torch.allclose(F.log_softmax(x, dim=-1).exp(), F.softmax(x, dim=-1))


# --- What goes wrong ---


@says(
    "With five classes, two mistakes give this number. If the row of predictions is"
    " exactly one-hot, it was taken for logits: its softmax gives the true class only"
    r" 0.4046, and $-\log 0.4046 = 0.9048$. If instead the loss sinks towards 0.9048 as the"
    " model becomes sure, there is a softmax in front of a loss that expects logits: the"
    ' best "logits" that it can approach are that one-hot row. With $K$ classes, the'
    r" number is $\log(e + K - 1) - 1$. Given true logits, the loss falls to 0 as the true"
    " class pulls ahead:",
    "**Must I put a softmax layer before CrossEntropyLoss?** No: it contains"
    " `log_softmax`. An extra softmax raises no error, but it also weakens the gradients:"
    " see {doc}`categorical`.",
)
@given(st.integers(2, 12), logits(12))
def one_hot_logits_leave_a_floor(K: int, z: Row) -> None:
    onehot = [mpf(k == 0) for k in range(K)]
    floor = -mp.log(soft(onehot)[0])
    same(floor, mp.log(mp.e + K - 1) - 1)
    assert -mp.log(soft(soft(z[:K]))[0]) > floor
    sure = soft([mpf(100), *z[1:K]])
    assert -mp.log(soft(sure)[0]) < floor + 1e-30
    assert -mp.log(sure[0]) < 1e-30
    five = soft([mpf(k == 0) for k in range(5)])[0]
    assert f"{float(five):.4f} {float(-mp.log(five)):.4f}" == "0.4046 0.9048"
    x = torch.tensor(np.array([z], dtype=float), requires_grad=True)
    label = torch.tensor([0])
    once, twice = F.cross_entropy(x, label), F.cross_entropy(F.softmax(x, dim=-1), label)
    assert torch.allclose(once, F.nll_loss(F.log_softmax(x, dim=-1), label))
    slopes = [torch.autograd.grad(each, x)[0].abs().max() for each in (once, twice)]
    assert slopes[1] < slopes[0]


@says(
    "A softmax over a single output is $e^z / e^z = 1$, whatever the network says. Use a sigmoid"
    " with the binary loss, or two outputs with the categorical one.",
)
@given(reals(-9, 9), st.sampled_from([0, 1]))
def one_output_is_always_1(z: Real, label: int) -> None:
    same(soft([z])[0], mpf(1))
    assert F.softmax(torch.tensor([[float(z)]]), dim=-1) == 1
    one = torch.tensor([float(z)], dtype=torch.float64, requires_grad=True)
    alone = F.cross_entropy(one[None], torch.tensor([0]))
    assert torch.autograd.grad(alone, one)[0] == 0
    # Both cures learn, and are each other's equal.
    binary = F.binary_cross_entropy_with_logits(one, one.detach() * 0 + label)
    two = torch.stack([torch.zeros_like(one), one], dim=1)
    assert torch.allclose(binary, F.cross_entropy(two, torch.tensor([label])))
    assert torch.autograd.grad(binary, one)[0].abs() > 1e-4


@says(
    "`F.softmax(x)` without `dim` guesses: 0 for tensors of zero, one or three dimensions, 1"
    " otherwise.",
)
def softmax_guesses_the_dim() -> None:
    torch.manual_seed(0)
    for dimensions, guess in {0: 0, 1: 0, 2: 1, 3: 0, 4: 1, 5: 1}.items():
        x = torch.randn((2,) * dimensions)
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            guessed = F.softmax(x)
        same_as = [d for d in range(max(dimensions, 1)) if torch.equal(guessed, F.softmax(x, d))]
        assert same_as == [guess]


# --- The exercises ---


@says(
    "Of ten classes, nine have the same logit and one is ahead. How far ahead must it be"
    " for a probability of 0.99? And for one of 0.5?",
    "With a lead of $d$, the odds of this class against each other one are $e^d$, and"
    r" against all nine together $e^d / 9$. From $e^d / 9 = 0.99 / 0.01$ follows $d = \log"
    r" 891$. For 0.5, $d = \log 9$: among many classes, even a probability of one half"
    " needs a lead.",
)
@given(POSITIVE, reals())
def the_lead_of_one_in_ten(d: Real, z: Real) -> None:
    y = soft([z + d, *[z] * 9])
    same(y[0] / y[1], mp.exp(d))
    same(y[0] / mp.fsum(y[1:]), mp.exp(d) / 9)
    for p, lead in ((mpf(99) / 100, mp.log(891)), (mpf(1) / 2, mp.log(9))):
        same(soft([lead, *[mpf(0)] * 9])[0], p)
    same(mp.exp(mp.log(891)) / 9, (1 - mpf(1) / 100) / (mpf(1) / 100))
    assert soft([mpf(0)] * 10)[0] < 0.5


@given(logits(), POSITIVE)
def eq_softmax_heat(z: Row, beta: Real) -> None:
    r"""\frac{dH}{d\beta} = m - m - \beta V = -\beta V \le 0"""
    r = soft([beta * z_k for z_k in z])
    m = mean(r, z)
    V = mean(r, [(z_k - m) ** 2 for z_k in z])

    def logZ(beta: Real) -> Real:
        return mp.log(mp.fsum(mp.exp(beta * z_k) for z_k in z))

    def heat(beta: Real) -> Real:
        return H(soft([beta * z_k for z_k in z]))

    def product(beta: Real) -> Real:
        return beta * mean(soft([beta * z_k for z_k in z]), z)

    assert abs(mp.diff(logZ, beta) - m) < 1e-20
    assert abs(mp.diff(product, beta) - (m + beta * V)) < 1e-20
    assert abs(mp.diff(heat, beta) - (m - m - beta * V)) < 1e-20
    assert abs(mp.diff(heat, beta) + beta * V) < 1e-20
    assert -beta * V <= 0


@says(
    r"Prove that the entropy of $\operatorname{softmax}(z / \tau)$ never falls as $\tau >"
    r" 0$ rises. When does it stay the same? (Hint: write $\beta = 1 / \tau$, and"
    r" differentiate $\log Z = \log \sum_j e^{\beta z_j}$ twice.)",
    r"Let $r$ be the softmax and $m = \sum_k r_k z_k$ its mean score. The first derivative of"
    r" $\log Z$ with respect to $\beta$ is $\sum_k z_k e^{\beta z_k} / Z = m$. The second is the"
    r" derivative of $m$. Since $\frac{d r_k}{d\beta} = r_k (z_k - m)$, it is $\sum_k r_k (z_k -"
    r" m) z_k = \sum_k r_k (z_k - m)^2$, the variance $V$ of the scores. Now $H(r) = -\sum_k r_k"
    r" (\beta z_k - \log Z) = \log Z - \beta m$, so",
    r"for $\beta > 0$. As $\tau$ rises, $\beta$ falls and $H$ rises, unless $V = 0$, that is,"
    " unless all logits are equal.",
)
@given(logits(3), POSITIVE, POSITIVE)
def heat_only_mixes(z: Row, tau: Real, more: Real) -> None:
    beta = 1 / tau
    r = soft([beta * z_k for z_k in z])
    m = mean(r, z)
    powers = [mp.exp(beta * z_k) for z_k in z]
    Z = mp.fsum(powers)
    assert abs(mean(powers, z) / Z - m) < TINY

    def log_z(b: Real) -> Real:
        return mp.log(mp.fsum(mp.exp(b * z_k) for z_k in z))

    V = mean(r, [(z_k - m) ** 2 for z_k in z])
    assert abs(mp.diff(log_z, beta) - m) < 1e-20
    assert abs(mp.diff(log_z, beta, 2) - V) < 1e-15
    assert abs(mp.fsum(r_k * (z_k - m) * z_k for r_k, z_k in zip(r, z, strict=True)) - V) < TINY
    for k in range(3):
        slope = mp.diff(lambda b, k=k: soft([b * z_k for z_k in z])[k], beta)
        assert abs(slope - r[k] * (z[k] - m)) < 1e-20
    as_mean = -mean(r, [beta * z_k - mp.log(Z) for z_k in z])
    assert abs(as_mean - H(r)) < TINY
    assert abs(mp.log(Z) - beta * m - H(r)) < TINY
    warmer = H(soft([z_k / (tau + more) for z_k in z]))
    assert (warmer > H(r) + TINY) == (len(set(z)) > 1) == (V > TINY)
    assert warmer > H(r) - TINY


@says(
    "The stable log-sum-exp reads the logits twice: once for the maximum, once for the sum. Write"
    " one that reads a stream of finite logits once, keeps two numbers, and never overflows.",
    "Keep the largest logit so far, and the sum of the exponentials relative to it. When"
    r" a larger logit arrives, rescale the sum. (A logit of $-\infty$ adds nothing. Skip"
    r" it, because at the start of the stream it would lead to $-\infty - (-\infty)$.)",
)
@given(st.lists(st.floats(-2000, 2000), min_size=1, max_size=8))
def the_stream_keeps_two_numbers(stream: list[float]) -> None:
    assert np.isnan(-np.inf - -np.inf)
    assert special.logsumexp([*stream, -np.inf]) == special.logsumexp(stream)
    largest, total = stream[0], 1.0
    for read, z in enumerate(stream[1:], start=2):
        total *= np.exp(largest - max(largest, z))  # rescaled, if z is larger
        largest = max(largest, z)
        total += np.exp(z - largest)
        assert largest == max(stream[:read])
        assert total == pytest.approx(np.exp(np.array(stream[:read]) - largest).sum())
        assert 1 <= total <= read + 1e-9  # and so it never overflows
    assert largest + np.log(total) == pytest.approx(special.logsumexp(stream))


def eq_softmax_gumbel() -> None:
    r"""\begin{aligned}
    \Pr(k \text{ wins}) &= \int e^{-(x - z_k)} \prod_j \exp\left(-e^{-(x - z_j)}\right) dx \\
    &= e^{z_k} \int e^{-x} \exp\left(-S e^{-x}\right) dx = e^{z_k} \int_0^\infty e^{-S v} \, dv
    = \frac{e^{z_k}}{S} ,
    \end{aligned}
    """
    gumbel = stats.gumbel_r
    x = np.linspace(-8, 40, 2001)
    for z in ([0.5, -1.0, 2.0], [0.0, 0.25, 0.0], [1.0, 1.0, -2.0]):
        S = np.exp(z).sum()
        for k in range(3):
            others = np.prod([gumbel.cdf(x - z_j) for j, z_j in enumerate(z) if j != k], axis=0)
            wins = np.trapezoid(gumbel.pdf(x - z[k]) * others, x)
            every = np.prod([np.exp(-np.exp(-(x - z_j))) for z_j in z], axis=0)
            first = np.trapezoid(np.exp(-(x - z[k])) * every, x)
            second = np.exp(z[k]) * np.trapezoid(np.exp(-x) * np.exp(-S * np.exp(-x)), x)
            third = np.exp(z[k]) * float(mp.quad(lambda v, S=S: mp.exp(-S * v), [0, 1, mp.inf]))
            fourth = np.exp(z[k]) / S
            assert [wins, first, second, third] == pytest.approx([fourth] * 4, rel=1e-9)


@says(
    "Let all logits be finite. Draw independent $u_k$ uniformly from $(0, 1)$ and add the *Gumbel"
    r" noise* $-\log(-\log u_k)$ to each logit. Show that argmax of the noisy logits is class $k$"
    r" with probability $\operatorname{softmax}(z)_k$, and try it. (Hint: $G \le x$ has"
    r" probability $F(x) = \exp(-e^{-x})$.)",
    "Class $k$ wins with the value $x$ if its own noise is $x - z_k$ and all other noise is below"
    r" $x - z_j$. The density of $G$ is $F'(x) = e^{-x} F(x)$. With $S = \sum_j e^{z_j}$,",
    "where $v = e^{-x}$.",
)
def gumbel_noise_draws_from_softmax() -> None:
    x = sympy.Symbol("x", real=True)
    F_ = sympy.exp(-sympy.exp(-x))
    assert sympy.simplify(sympy.diff(F_, x) - sympy.exp(-x) * F_) == 0
    v = sympy.exp(-x)
    assert sympy.diff(v, x) == -sympy.exp(-x)  # so e^-x dx is -dv
    u = sympy.Symbol("u", positive=True)
    noise = -sympy.log(-sympy.log(u))
    assert sympy.simplify(noise.subs(u, F_)) == x  # the noise is at most x if u is at most F(x)
    rng = np.random.default_rng(1)
    z = np.array([1.0, 0.0, -1.5])
    G = -np.log(-np.log(rng.uniform(size=(40_000, 3))))
    first_wins = (z + G).argmax(axis=1) == 0
    x0 = z[0] + G[:, 0]
    assert (first_wins == ((G[:, 1] < x0 - z[1]) & (G[:, 2] < x0 - z[2]))).all()
    shares = np.bincount((z + G).argmax(axis=1)) / len(G)
    assert shares == pytest.approx(special.softmax(z), abs=0.01)


# --- The sources ---


@says(
    "Its rounding errors are analyzed in {cite:t}`blanchard2021`.",
    "{cite:t}`bridle1990` is the paper that named softmax; {cite:t}`blanchard2021` says how to"
    " compute it well; {cite:t}`hinton2015` shows what temperature can teach.",
)
def the_sources_are_about_that() -> None:
    assert "Accurately Computing the Log-Sum-Exp and Softmax" in source("blanchard2021")
    assert "Feedforward Classification Network Outputs" in source("bridle1990")
    assert "Distilling the Knowledge" in source("hinton2015")


SHOWN = {
    "{doc}`training` shows a network that is too sure of itself, and one number that brings its"
    " loss down again.": "the same, τ = 2.0",
}

NUMBERS = {
    'Whether 80% means "right in 8 cases of 10"': Given("an example of a probability"),
    r"From $e^d / 9 = 0.99 / 0.01$ follows $d = \log 891$": Computed(
        lambda: (0.99, 1 - 0.99, 9 * 99.0)
    ),
}

UNTESTED = {
    "{cite:t}`bridle1990` put the two together and gave softmax its name.": "history",
    "Joseph Berkson coined the word for the logarithm of the odds": "history",
}
