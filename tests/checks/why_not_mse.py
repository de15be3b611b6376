"""The chapter on squared error."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import special, stats
from torch.nn import functional as F

import crossent
from tests.checks import (
    Cited,
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

if TYPE_CHECKING:
    from collections.abc import Callable

TINY = mpf(10) ** -40
CLOSE = mpf(10) ** -18  # what mpmath's numerical derivatives keep of 60 digits
few = settings(max_examples=8)
Array = np.ndarray[Any, np.dtype[Any]]


def bce(z: Real, y: Real) -> Real:
    """Return the binary cross-entropy of a logit."""
    return -(y * mp.log(sigma(z)) + (1 - y) * mp.log(1 - sigma(z)))


def squared(z: Real, y: Real) -> Real:
    """Return the squared error of a logit's probability."""
    return (sigma(z) - y) ** 2


# --- Two gradients ---


@given(reals(-12, 12), st.sampled_from([0, 1]) | st.fractions(0, 1, max_denominator=9))
def eq_two_gradients(z: Real, y: Any) -> None:
    r"""\begin{aligned}
    \frac{\partial}{\partial z}\, \text{cross-entropy} &= \hat y - y \\
    \frac{\partial}{\partial z}\, (\hat y - y)^2 &= 2 (\hat y - y) \cdot \hat y (1 - \hat y)
    \end{aligned}
    """
    y, p = mpf(y.numerator) / y.denominator, sigma(z)
    assert abs(mp.diff(lambda z: bce(z, y), z) - (p - y)) < CLOSE
    assert abs(mp.diff(lambda z: squared(z, y), z) - 2 * (p - y) * (p * (1 - p))) < CLOSE


@given(reals(-12, 12), st.integers(0, 1))
def eq_wish(z: Real, y: int) -> None:
    r"""\frac{d\ell}{d\hat y} = \frac{\hat y - y}{\hat y (1 - \hat y)}
    = -\frac{y}{\hat y} + \frac{1 - y}{1 - \hat y} .
    """
    p = sigma(z)
    wish = (p - y) / (p * (1 - p))
    same(wish, -y / p + (1 - y) / (1 - p))
    slope = mp.diff(sigma, z)  # of the forecast in the logit
    assert abs(wish * slope - (p - y)) < CLOSE * 10**6


@says(
    "Suppose nobody had told you about cross-entropy.",
    "**The wish is granted by cross-entropy, and by nothing else.**",
    "Integrate each part, and you get logarithms:",
)
@few
@given(st.integers(1, 19), st.integers(0, 1), reals(-3, 3))
def eq_granted(twentieths: int, y: int, constant: Real) -> None:
    r"""\ell = -y \log \hat y - (1 - y) \log (1 - \hat y) + \text{constant} ."""
    p = mpf(twentieths) / 20

    def loss(q: Real) -> Real:
        return -y * mp.log(q) - (1 - y) * mp.log(1 - q) + constant

    assert abs(mp.diff(loss, p) - (-y / p + (1 - y) / (1 - p))) < 1e-15
    # Two losses with one slope differ by a constant: the integral is the loss less its start.
    half = mpf(1) / 2
    area = mp.quad(lambda q: (q - y) / (q * (1 - q)), [half, p])
    assert abs(area - (loss(p) - loss(half))) < 1e-12


@says(
    r"**Behind a sigmoid, squared error goes silent where the model is most wrong.** Let $\hat y ="
    r" \sigma(z)$ be the probability of yes, and $y$ the answer. The two gradients differ by one"
    " factor:",
    r"The factor $\hat y (1 - \hat y)$ is at most ¼ and nearly 0 for every confident forecast,"
    " right or wrong.",
    r"The chain rule, with $\sigma'(z) = \hat y (1 - \hat y)$, gives both halves of"
    " {eq}`eq-two-gradients`. For cross-entropy, the derivative of the logarithm brings $1 /"
    r" (\hat y (1 - \hat y))$, which cancels the factor; {eq}`eq-bce-gradient` has the details."
    " For squared error, nothing cancels it.",
    r"Behind a sigmoid, squared error's gradient carries the factor $\hat y (1 - \hat y)$. A"
    r" confident mistake hardly teaches; cross-entropy's gradient is $\hat y - y$, and it is the"
    " only loss with this gradient.",
)
@few
@given(reals(-12, 12), st.integers(0, 1))
def the_gradients_differ_by_one_factor(z: Real, y: int) -> None:
    p = sigma(z)
    assert abs(mp.diff(sigma, z) - p * (1 - p)) < CLOSE
    of_p = mp.diff(lambda p: -mp.log(p if y else 1 - p), p)
    assert abs(of_p - (p - y) / (p * (1 - p))) < CLOSE * 10**6
    assert abs(mp.diff(lambda p: (p - y) ** 2, p) - 2 * (p - y)) < CLOSE
    cross, square = (mp.diff(lambda z: f(z, y), z) for f in (bce, squared))  # noqa: B023
    assert abs(cross - (p - y)) < CLOSE
    assert abs(square / cross - 2 * p * (1 - p)) < 1e-9
    assert p * (1 - p) <= mpf(1) / 4
    assert (p * (1 - p) == mpf(1) / 4) == (z == 0)
    wrong = mpf(-20 if y else 20)
    assert abs(mp.diff(lambda z: squared(z, y), wrong)) < 1e-8
    assert abs(mp.diff(lambda z: bce(z, y), wrong)) > 1 - 1e-8
    for confident in (wrong, -wrong):
        assert sigma(confident) * (1 - sigma(confident)) < 1e-8


# --- What a loss measures ---


@says(
    "But squared error is not always a mistake. It is the right loss for many regressions, for the"
    " same reason that makes cross-entropy right for classes, and it can be a good one for"
    " classes, too.",
)
@given(reals(), st.lists(reals(), min_size=2, max_size=4), reals(0, 1))
def the_same_reason(mu: Real, values: Row, share: Real) -> None:
    # Both are minus the mean log-likelihood, up to constants: of a Gaussian, and of a yes or no.
    half = mp.fsum((y - mu) ** 2 for y in values) / 2
    gaussian = mp.fsum(-mp.log(mp.npdf(y, mu, 1)) for y in values)
    same(gaussian, half + len(values) * mp.log(2 * mp.pi) / 2)
    same(bce(mu, 1), -mp.log(sigma(mu)))
    # And of probabilities, squared error asks for the true one as well.
    q = mp.findroot(lambda q: mp.diff(lambda q: share * (1 - q) ** 2 + (1 - share) * q**2, q), 0.5)
    assert abs(q - share) < 1e-15


@says(
    r"A *loss* $\ell$ says how bad one prediction is, by a rule that you choose. Training makes"
    " its mean small, the *cost* or objective, perhaps with a penalty on the weights added. "
    '"Cost" means no more than that, not the expense of updating a model. Three rules for the'
    " same predictions, where each answer is yes:",
    "Accuracy prefers A, the others B. A loss does not measure *how good the model is*; it"
    " measures what you told it to measure. Nor can you compare numbers of two rules.",
)
def three_rules() -> None:
    a, b = np.array([0.6, 0.6, 0.6, 0.6]), np.array([0.99, 0.99, 0.99, 0.3])
    assert (a > 0.5).mean() > (b > 0.5).mean()
    costs = []
    rules: list[Callable[[Array], Array]] = [lambda q: (1 - q) ** 2, lambda q: -np.log(q)]
    for loss in rules:
        assert loss(a).mean() > loss(b).mean()
        costs.append(loss(a).mean())
        assert loss(a).shape == (4,)  # how bad each prediction is; the mean is the cost
    assert costs[1] > 3 * costs[0]  # for the same predictions


@says(
    '**"Cross-entropy gives higher values, so it punishes more."** No. Multiply a loss by 10: its'
    " minimum stays where it is, and gradient descent with a tenth of the learning rate takes the"
    " same steps. (A penalty beside the loss must grow with it.) What counts is how strongly *one"
    " prediction pulls compared with another*, and that is the gradient's business.",
)
def ten_times_the_loss() -> None:
    x, y = np.array([1.0, 2.0, -1.0, 0.5]), np.array([1, 1, 1, 0])

    def walk(factor: float, rate: float, penalty: float) -> Array:
        way = [0.5]
        for _ in range(300):
            slope = factor * x @ (special.expit(way[-1] * x) - y) + penalty * way[-1]
            way.append(way[-1] - rate * slope)
        return np.array(way)

    assert np.allclose(walk(1, 0.3, 0), walk(10, 0.03, 0))
    assert np.allclose(walk(1, 0.3, 0.7), walk(10, 0.03, 7))
    assert abs(walk(1, 0.3, 0.7)[-1] - walk(10, 0.03, 0.7)[-1]) > 0.1
    assert abs(walk(1, 0.3, 0)[-1] - walk(10, 0.03, 0)[-1]) < 1e-6
    # From one rule to the other, it is not the size that changes, but who pulls more.
    p = special.expit(np.array([-5.0, -1.0]))
    cross, square = np.abs(p - 1), 2 * p * (1 - p) ** 2
    assert cross[0] > cross[1]
    assert square[0] < square[1]


# --- A confident mistake ---


def steps(z: float, count: int, *, square: bool) -> float:
    """Return the logit after steps of gradient descent with rate 1 towards yes."""
    for _ in range(count):
        p = special.expit(z)
        z -= 2 * (p - 1) * p * (1 - p) if square else p - 1
    return z


@says(
    "At the logit −10 the model says yes with probability 0.00005 although the answer is yes."
    " Cross-entropy pulls with full force; squared error pulls 11,000 times more weakly.",
    "From −4, ten steps carry cross-entropy over to the right side, while squared error has barely"
    " left its place. From −6, even a hundred steps are not enough for it. From 0 or above, both"
    " roll.",
)
def both_go_from_the_same_place() -> None:
    p = special.expit(-10)
    assert round(p, 5) == 0.00005
    assert 1 - p > 0.9999
    assert (1 - p) / (2 * p * (1 - p) ** 2) == pytest.approx(11_000, rel=0.01)
    assert steps(-4, 10, square=False) > 1
    assert -4 < steps(-4, 10, square=True) < -3.5
    assert steps(-6, 100, square=True) < -5
    assert steps(-6, 100, square=False) > 3
    for start, square in itertools.product((0, 1, 2, 3), (False, True)):
        assert steps(start, 100, square=square) > start + 0.3


@says(
    "the factor shrinks like $e^{-|z|}$, and no one rate makes up for that from every start.",
)
@given(reals(10, 40), st.floats(0.1, 1e6))
def no_rate_makes_up_for_the_factor(z: Real, rate: float) -> None:
    for sign in (-1, 1):
        factor = sigma(sign * z) * (1 - sigma(sign * z))
        assert 0.99 < factor / mp.exp(-z) <= 1
    start = -(mp.log(rate) + 20)  # far enough out for this rate
    step = rate * 2 * sigma(start) * (1 - sigma(start)) ** 2
    assert 0 < step < 1e-6


@says(
    "**Does cross-entropy cure vanishing gradients, then?** Only in the output unit. Sigmoids in"
    " hidden layers keep their factors.",
)
@few
@given(reals(-20, -5), reals(-5, 5))
def only_in_the_output_unit(a: Real, w: Real) -> None:
    found = mp.diff(lambda a: bce(w * sigma(a), 1), a)
    p, hidden = sigma(w * sigma(a)), sigma(a)
    assert abs(found - (p - 1) * w * hidden * (1 - hidden)) < CLOSE
    assert abs(found) <= abs(w) * mp.exp(a)


# --- Convexity ---


@few
@given(reals(-9, 9))
def eq_second(z: Real) -> None:
    r"""\begin{aligned}
    \ell'' &= \hat y (1 - \hat y) > 0 \\
    \ell'' &= 2 \hat y (1 - \hat y)^2 (3 \hat y - 1)
    \end{aligned}
    """
    p = sigma(z)
    cross, square = (mp.diff(lambda z: f(z, 1), z, 2) for f in (bce, squared))  # noqa: B023
    assert abs(cross - p * (1 - p)) < 1e-12
    assert cross > 0
    assert abs(square - 2 * p * (1 - p) ** 2 * (3 * p - 1)) < 1e-12


@says(
    '"Because the sigmoid is not linear" explains nothing: cross-entropy has the same sigmoid.'
    " Differentiate once more, for $y = 1$, cross-entropy first:",
    r"(From $\ell' = -2 \hat y (1 - \hat y)^2$, the derivative with respect to $\hat y$ is $2 (1 -"
    r" \hat y)(3 \hat y - 1)$, times $\sigma' = \hat y (1 - \hat y)$.) The second is negative for"
    r" $\hat y < \tfrac13$, that is, for $z < -\log 2$: just where the forecast is bad.",
    r"Squared error bends the wrong way for $\hat y < \tfrac13$ and can have several minima, even"
    " with one weight.",
)
@given(reals(-9, 9))
def squared_error_bends_the_wrong_way(z: Real) -> None:
    p = sympy.Symbol("p", positive=True)
    slope = -2 * p * (1 - p) ** 2
    assert sympy.factor(sympy.diff(slope, p) - 2 * (1 - p) * (3 * p - 1)) == 0
    s = sigma(z)
    assert abs(mp.diff(lambda z: squared(z, 1), z) + 2 * s * (1 - s) ** 2) < CLOSE
    second = 2 * s * (1 - s) ** 2 * (3 * s - 1)
    assert (second < 0) == (s < mpf(1) / 3) == (z < -mp.log(2))
    same(sigma(-mp.log(2)), mpf(1) / 3)
    ends = [squared(z + d, 1) for d in (-0.001, 0.001)]
    assert (ends[0] + ends[1] < 2 * squared(z, 1)) == (second < 0)
    ends = [bce(z + d, 1) for d in (-0.001, 0.001)]
    assert ends[0] + ends[1] > 2 * bce(z, 1)
    # Several minima with one weight: the seven samples of the page.
    theta = np.linspace(-1, 4, 501)
    x, y = np.array([1.0] * 6 + [10]), np.array([1] * 5 + [0, 0])
    mean = ((special.expit(np.outer(theta, x)) - y) ** 2).mean(axis=1)
    assert ((mean[1:-1] < mean[:-2]) & (mean[1:-1] < mean[2:])).sum() == 2


@says(
    "No cleverness could avoid it: **a bounded loss of the logit is never convex**, unless it is"
    " constant. If $f(b) > f(a)$, a convex $f$ lies nowhere below the line through these two"
    " points beyond $b$, and so it grows without bound. ∎ A loss that falls with the logit and"
    " never costs more than a flat price must have a plateau.",
    "A bounded loss of the logit is not convex, unless it is constant; where it falls with the"
    " logit, it has a plateau.",
)
@given(reals(-5, 5), reals(1, 5), reals(1, 500))
def a_bounded_loss_is_not_convex(a: Real, more: Real, beyond: Real) -> None:
    convex = (lambda z: bce(z, 1), lambda z: z**2, abs, mp.exp, lambda z: max(z, mpf(0)))
    for f in convex:
        for left, right in ((a, a + more), (a + more, a)):  # beyond b, on either side
            if f(right) > f(left):
                line = (
                    f(right)
                    + (f(right) - f(left)) / (right - left) * mp.sign(right - left) * beyond
                )
                assert f(right + mp.sign(right - left) * beyond) >= line - TINY
    bounded = (
        lambda z: squared(z, 1),
        lambda z: 1 - sigma(z),
        lambda z: mp.sqrt(1 - sigma(z)),
        lambda z: -mp.tanh(z),
        lambda z: bce(z, 1) / (1 + bce(z, 1)),
    )
    places = [mpf(z) for z in (-400, -200, 0, 200, 400)]
    for f in bounded:
        assert f(a) > f(a + more)  # it falls with the logit
        values = [f(z) for z in places]
        assert any(2 * f((b + c) / 2) > f(b) + f(c) for b, c in itertools.combinations(places, 2))
        assert values[0] - values[1] < 0.01  # the plateau


@says(
    "A single sigmoid unit can have such minima in a number that grows exponentially with its"
    " inputs {cite}`auer1996`.",
)
def minima_multiply_with_the_inputs() -> None:
    theta = np.linspace(-1, 4, 101)  # for each input, the seven samples of the page
    x, y = np.array([1.0] * 6 + [10]), np.array([1] * 5 + [0, 0])
    one = ((special.expit(np.outer(theta, x)) - y) ** 2).mean(axis=1)
    for inputs in (1, 2, 3):  # samples that have one input only: the losses add
        total = sum(
            one.reshape([-1 if k == axis else 1 for k in range(inputs)]) for axis in range(inputs)
        )
        lowest = np.ones_like(total, dtype=bool)
        for axis in range(inputs):
            before, after = np.roll(total, 1, axis), np.roll(total, -1, axis)
            lowest &= (total < before) & (total < after)
        inner = lowest[(slice(1, -1),) * inputs]
        assert inner.sum() == 2**inputs


# --- The Hessian of the logistic loss ---

SAMPLES = st.lists(logits(2), min_size=3, max_size=3)
ANSWERS = st.lists(st.integers(0, 1), min_size=3, max_size=3)
PAIR = st.lists(reals(-1, 1), min_size=2, max_size=2)


def total(theta: Row, X: list[Row], y: list[int], loss: Any = bce) -> Real:
    """Return the mean loss of a linear model."""
    z = [mp.fsum(t * x for t, x in zip(theta, row, strict=True)) for row in X]
    return mp.fsum(loss(z_i, y_i) for z_i, y_i in zip(z, y, strict=True)) / len(y)


@few
@given(SAMPLES, ANSWERS, PAIR)
def eq_hessian(rows: list[Row], y: list[int], theta: Row) -> None:
    r"""\begin{aligned}
    \nabla^2 L &= \tfrac1N X^\top S X \\
    S &= \operatorname{diag}\bigl(\hat y_i (1 - \hat y_i)\bigr)
    \end{aligned}
    """
    X = mp.matrix(rows)
    p = [sigma(z) for z in X * mp.matrix(theta)]
    expected = X.T * mp.diag([p_i * (1 - p_i) for p_i in p]) * X / 3

    def L(a: Real, b: Real) -> Real:
        return total([a, b], rows, y)

    for (j, k), orders in {(0, 0): (2, 0), (0, 1): (1, 1), (1, 1): (0, 2)}.items():
        found = mp.diff(L, tuple(theta), orders)
        assert abs(found - expected[j, k]) < 1e-12


@says(
    r"Let row $i$ of $X$ hold the features $x_i$ of sample $i$, and $z = X\theta$. The mean loss"
    r" $L$ has the gradient $\tfrac1N X^\top (\hat y - y)$, {eq}`eq-logistic-gradient` over $N$."
    r" Differentiate once more: $\partial \hat y_i / \partial \theta = \hat y_i (1 - \hat y_i)\,"
    " x_i$. So the Hessian is",
    r"and for every direction $v$, $v^\top X^\top S X v = \sum_i \hat y_i (1 - \hat y_i)\,"
    r" (x_i^\top v)^2 \ge 0$. The Hessian is positive semi-definite everywhere: $L$ is convex. ∎"
    r" If the columns of $X$ are independent, the sum is positive for $v \ne 0$, and there is at"
    " most one minimum.",
    r"With cross-entropy, a linear model has one valley, whatever the data.",
)
@few
@given(SAMPLES, ANSWERS, PAIR, PAIR)
def the_logistic_loss_is_convex(rows: list[Row], y: list[int], theta: Row, v: Row) -> None:
    X = mp.matrix(rows)
    p = [sigma(z) for z in X * mp.matrix(theta)]
    error = mp.matrix([p_i - y_i for p_i, y_i in zip(p, y, strict=True)])
    for k in range(2):
        orders = (1, 0) if k == 0 else (0, 1)
        found = mp.diff(lambda a, b: total([a, b], rows, y), tuple(theta), orders)
        assert abs(found - (X.T * error / 3)[k]) < CLOSE
        for i in range(3):

            def forecast(a: Real, b: Real, i: int = i) -> Real:
                return sigma(rows[i][0] * a + rows[i][1] * b)

            of_p = mp.diff(forecast, tuple(theta), orders)
            assert abs(of_p - p[i] * (1 - p[i]) * rows[i][k]) < CLOSE
    S = mp.diag([p_i * (1 - p_i) for p_i in p])
    column = mp.matrix(v)
    form = (column.T * X.T * S * X * column)[0]
    terms = [p[i] * (1 - p[i]) * (X[i, 0] * v[0] + X[i, 1] * v[1]) ** 2 for i in range(3)]
    assert abs(form - mp.fsum(terms)) < TINY
    assert min(terms) >= 0
    independent = any(
        abs(a[0] * b[1] - a[1] * b[0]) > TINY for a, b in itertools.combinations(rows, 2)
    )
    if independent and any(v):
        assert form > 1e-12
    ends = [total([t + s * d for t, d in zip(theta, v, strict=True)], rows, y) for s in (-1, 0, 1)]
    assert 2 * ends[1] <= ends[0] + ends[2] + TINY
    if independent and any(v):  # strictly: so two minima cannot be
        assert 2 * ends[1] < ends[0] + ends[2]


@says("Softmax of linear logits with cross-entropy is convex in the same way.")
@given(logits(6), logits(6), logits(2), st.integers(0, 2))
def softmax_regression_is_convex(theta: Row, other: Row, x: Row, label: int) -> None:
    def loss(theta: Row) -> Real:
        z = [theta[2 * k] * x[0] + theta[2 * k + 1] * x[1] for k in range(3)]
        return -mp.log(soft(z)[label])

    half = [(a + b) / 2 for a, b in zip(theta, other, strict=True)]
    assert 2 * loss(half) <= loss(theta) + loss(other) + TINY


@says(
    r"With the bias at $\log 5$ minus the weight, the samples at $x = 1$ get their best forecast,"
    r" $\tfrac56$; and the lower the weight, the better the far one is forecast. The loss tends to"
    r" $(5 \log \tfrac65 + \log 6) / 7 = 0.386195$ and never arrives. **Convex means that there is"
    " no wrong minimum, not that there is one.**",
)
@given(reals(-9, 9), reals(-5, 5))
def there_is_no_bottom(w: Real, b: Real) -> None:
    def loss(w: Real, b: Real) -> Real:
        return (5 * bce(w + b, 1) + bce(w + b, 0) + bce(10 * w + b, 0)) / 7

    bias = mp.log(5) - w
    same(sigma(w + bias), mpf(5) / 6)
    limit = (5 * mp.log(mpf(6) / 5) + mp.log(6)) / 7
    assert round(float(limit), 6) == 0.386195
    assert loss(w, b) > limit
    if abs(b - bias) > TINY:
        assert 5 * bce(w + b, 1) + bce(w + b, 0) > 7 * limit
    assert sigma(10 * (w - 1) + mp.log(5) - (w - 1)) < sigma(10 * w + bias)
    assert loss(w - 1, bias + 1) < loss(w, bias)
    assert loss(mpf(-30), mp.log(5) + 30) - limit < 1e-30


@says(
    r'**"But $-\log \sigma(1 + x^2 + x^3)$ is not convex when I plot it!"** Against $x$ it need'
    " not be. The loss is convex in the *parameters*, because the logit is linear in them; the"
    " features may be any functions of $x$.",
    r"Show that the loss $-\log \sigma(z)$ of the logit $z = \theta (1 + x^2 + x^3)$ is convex in"
    r" $\theta$ for every $x$, but not in $x$ for $\theta = 1$. Find an $x$ where the second"
    " derivative is negative.",
    r"In $\theta$ the logit is linear with the factor $c = 1 + x^2 + x^3$, so the second"
    r" derivative is $c^2 \hat y (1 - \hat y) \ge 0$.",
)
@few
@given(reals(-3, 3), reals(-3, 3))
def convex_in_the_parameters(theta: Real, x: Real) -> None:
    c = 1 + x**2 + x**3
    p = sigma(theta * c)
    found = mp.diff(lambda t: bce(t * c, 1), theta, 2)
    assert abs(found - c**2 * p * (1 - p)) < 1e-12
    assert c**2 * p * (1 - p) >= 0
    assert mp.diff(lambda x: bce(1 + x**2 + x**3, 1), mpf("0.27"), 2) < -0.7
    for feature in (mp.sin, mp.exp, abs):  # any functions, and two parameters
        ends = [bce((theta + s) * feature(x) + s * x, 1) for s in (-1, 0, 1)]
        assert 2 * ends[1] <= ends[0] + ends[2] + TINY


# --- Where convexity ends ---


@says(
    r"The classes can be separated by a plane. Then scaling $\theta$ up improves every sample, the"
    " loss falls towards 0 and never arrives: the minimum does not exist. If some samples can"
    " only be put *on* the plane, as those at $x = 1$ above, the loss stays above 0, but the"
    " weights grow without end all the same.",
    "A finite minimum exists exactly if every direction of $\\theta$ that improves a sample makes"
    " another one worse {cite}`albert1984`.",
)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=5))
def a_finite_minimum_or_none(rows: list[tuple[int, int]]) -> None:
    signed = np.array(rows, dtype=float)  # of each sample, x for a yes, -x for a no
    angles = np.linspace(0, 2 * np.pi, 721)
    ways = np.stack([np.cos(angles), np.sin(angles)])
    ways = np.where(abs(ways) < 1e-12, 0, ways)
    exact = [(b, -a) for a, b in rows] + [(-b, a) for a, b in rows] + rows  # along and across
    ways = np.concatenate([ways, np.array(exact, dtype=float).T], axis=1)
    gains = signed @ ways
    improves = (gains > 1e-9).any(axis=0) & (gains >= -1e-9).all(axis=0)

    def loss(theta: Array) -> float:
        return float(np.logaddexp(0, -signed @ theta).sum())

    if improves.any():
        way = ways[:, improves.argmax()]
        values = [loss(t * way) for t in (0, 1, 2, 4, 8)]
        assert values == sorted(values, reverse=True)  # without end
        if (gains > 1e-9).all(axis=0).any():
            apart = ways[:, (gains > 1e-9).all(axis=0).argmax()]
            apart = apart / (signed @ apart).min()
            assert 0 < loss(400 * apart) < 1e-100  # towards 0
            assert (signed @ (2 * apart) > signed @ apart).all()
    else:
        for way in ways.T[(abs(gains) > 1e-9).any(axis=0)][::60]:
            assert loss(1e4 * way) > loss(np.zeros(2))  # it rises at last in every direction


@says(
    "The *direction* does converge, to the one with the largest margin {cite}`soudry2018`.",
)
def the_direction_converges() -> None:
    signed = np.array([[3.0, 1.0], [0.0, 2.0], [4.0, 4.0]])
    best = np.array([1.0, 3.0]) / np.sqrt(10)  # from 0 to the nearest point of their hull
    angles = np.linspace(0, np.pi, 10_001)
    margins = (signed @ np.stack([np.cos(angles), np.sin(angles)])).min(axis=0)
    assert np.cos(angles[margins.argmax()]) == pytest.approx(best[0], abs=1e-3)
    theta, off, sizes = np.array([3.0, 0.0]), [], []
    for step in range(1501):
        slopes = -special.expit(-signed @ theta)
        theta -= signed.T @ slopes * 0.1 / -slopes.min()  # larger steps, or it takes ages
        if step in (10, 100, 500, 1500):
            off.append(1 - theta @ best / np.linalg.norm(theta))
            sizes.append(np.linalg.norm(theta))
    assert off == sorted(off, reverse=True)
    assert off[-1] < 1e-5 < off[0]
    assert sizes[-1] > 50 * sizes[0]


@says(
    r"The learning rate is too large: the weights jump to and fro across the minimum.",
    "If the weights alternate, lower the rate; if they creep, scale the features.",
    "The features have very different scales: the valley is long and narrow, and the steps are too"
    " many.",
)
def the_rate_and_the_scales() -> None:
    x, y = np.array([1.0] * 6 + [10]), np.array([1] * 5 + [0, 0])

    def walk(rate: float) -> Array:
        way = [0.0]
        for _ in range(400):
            way.append(way[-1] - rate * x @ (special.expit(way[-1] * x) - y) / 7)
        return np.array(way)

    minimum = walk(0.1)[-1]
    to_and_fro = walk(0.8)[-20:] - minimum
    assert (to_and_fro[1:] * to_and_fro[:-1] < 0).all()
    assert abs(to_and_fro).min() > 0.01
    assert abs(walk(0.3)[-20:] - minimum).max() < 1e-9
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(200, 2)) * [1, 30]
    answer = (raw @ [1, 1 / 30] + rng.logistic(size=200) > 0).astype(float)

    def needed(X: Array) -> int:
        stiff = np.linalg.eigvalsh(X.T @ X / 200)[-1] / 4
        theta = np.zeros(2)
        for step in range(20_000):
            slope = X.T @ (special.expit(X @ theta) - answer) / 200
            if np.abs(slope / X.std(axis=0)).max() < 1e-4:
                return step
            theta -= slope / stiff
        return 20_000

    assert needed(raw) > 20 * needed(raw / raw.std(axis=0))


@says(
    "It is convex in the logits, and in the weights of the last layer. In general not in those of"
    " the hidden layers.",
    "With hidden layers, that ends.",
    "Swap the units: the same network. Between two points of equal loss, a convex function must"
    " not rise above it:",
)
def convex_in_the_last_layer_only() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 2)), rng.integers(0, 2, 8)

    def loss(V: Array, w: Array) -> float:
        z = np.tanh(X @ V) @ w
        return float((np.logaddexp(0, z) - y * z).mean())

    bent = 0
    for _ in range(100):
        V, other, (w, also) = *rng.normal(scale=3, size=(2, 2, 2)), rng.normal(scale=3, size=(2, 2))
        assert 2 * loss(V, (w + also) / 2) <= loss(V, w) + loss(V, also) + 1e-12
        bent += 2 * loss((V + other) / 2, w) > loss(V, w) + loss(other, w) + 1e-12
        swapped = loss(V[:, ::-1], w[::-1])
        assert swapped == pytest.approx(loss(V, w), rel=1e-12)
    assert bent > 5


# --- Scores ---


@says(
    "The squared error of a *probability* has a name of its own, the **Brier score**"
    " {cite}`brier1950`, and it is strictly proper ({doc}`binary`): on average, only the true"
    " probability minimizes it. As a *measure* of forecasts it is a fine choice. It differs from"
    " the logarithm at the ends:",
    "The Brier score is bounded: one wild forecast, or one wrong label, costs at most 1. For rare"
    " events, that is a fault: overstating the risk tenfold costs it 8%, but cross-entropy 85%.",
    "Both are proper scores of a probability. The Brier score is bounded and forgiving,"
    " cross-entropy is not.",
)
@given(distributions(2, least=1), distributions(2, least=1))
def both_scores_are_proper(p: Row, q: Row) -> None:
    def brier(q: Row) -> Real:
        return p[1] * (1 - q[1]) ** 2 + p[0] * q[1] ** 2

    if abs(p[1] - q[1]) > TINY:
        assert brier(q) > brier(p)
        assert H(p, q) > H(p)
    assert (1 - q[1]) ** 2 <= 1
    assert -mp.log(mpf(10) ** -9) > 20
    middle = [(1 - f) ** 2 / -mp.log(f) for f in (mpf("0.5"), mpf("0.01"))]  # at the ends
    assert middle[0] > 1.5 * middle[1]
    rare, over = mpf("0.001"), mpf("0.01")

    def dearer(loss: Any) -> float:
        costs = [rare * loss(1 - f) + (1 - rare) * loss(f) for f in (rare, over)]
        return float(costs[1] / costs[0] - 1)

    assert round(dearer(lambda miss: miss**2), 2) == 0.08
    assert round(dearer(lambda miss: -mp.log(1 - miss)), 2) == 0.85


@says(
    "With *linear* outputs and one-hot targets, squared error is"
    " convex again, and the plateau is gone. The outputs are no probabilities, though: they leave"
    " $[0, 1]$, and an output of 2 for the right class counts as an error.",
)
@given(logits(4), logits(4), logits(2), st.integers(0, 1))
def linear_outputs_are_convex(theta: Row, other: Row, x: Row, label: int) -> None:
    def loss(theta: Row) -> Real:
        z = [theta[0] * x[0] + theta[1] * x[1], theta[2] * x[0] + theta[3] * x[1]]
        return mp.fsum((z_k - (k == label)) ** 2 for k, z_k in enumerate(z))

    half = [(a + b) / 2 for a, b in zip(theta, other, strict=True)]
    assert 2 * loss(half) <= loss(theta) + loss(other) + TINY
    far = [(z - 1) ** 2 - (z + 1 - 1) ** 2 for z in (mpf(-10), mpf(-100))]
    assert far[1] > far[0] > 10  # no plateau: the worse, the steeper
    assert F.mse_loss(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0])) == 0.5
    rows = np.array([[1, -2.0], [1, -1], [1, 1], [1, 2]])
    fitted = np.linalg.lstsq(rows, np.eye(2)[[0, 0, 1, 1]])[0]
    outputs = np.array([1, 4.0]) @ fitted
    assert outputs.min() < 0
    assert outputs.max() > 1


# --- Densities ---


@given(reals(), reals(), st.integers(1, 24))
def eq_gaussian(y: Real, mu: Real, eighths: int) -> None:
    r"""\begin{aligned}
    \ell &= -\log \left( \frac{1}{\sqrt{2\pi s^2}}\, e^{-(y - \mu)^2 / 2 s^2} \right) \\
    &= \frac{(y - \mu)^2}{2 s^2} + \tfrac12 \log(2 \pi s^2)
    \end{aligned}
    """
    s = mpf(eighths) / 8
    density = mp.exp(-((y - mu) ** 2) / (2 * s**2)) / mp.sqrt(2 * mp.pi * s**2)
    library = -stats.norm.logpdf(float(y), float(mu), float(s))
    assert abs(-mp.log(density) - library) < 1e-9
    second = (y - mu) ** 2 / (2 * s**2) + mp.log(2 * mp.pi * s**2) / 2
    assert abs(-mp.log(density) - second) < TINY


@says(
    "But the *idea* works for anything: **predict a distribution, and pay minus the logarithm of"
    " what it gave to the truth.** For a real number, predict a density. Take a Gaussian with"
    r" mean $\mu$, your prediction, and standard deviation $s$:",
    "With $s$ fixed, the second term is constant and the first is squared error up to a factor:"
    " **mean squared error is the cross-entropy of a Gaussian model.** The same minimum; not the"
    " same numbers.",
    "Mean squared error *is* a cross-entropy: that of a Gaussian model.",
)
@given(st.lists(reals(), min_size=1, max_size=4), reals(), reals(), st.integers(1, 24))
def squared_error_is_a_cross_entropy(values: Row, mu: Real, other: Real, eighths: int) -> None:
    s = mpf(eighths) / 8

    def paid(mu: Real) -> Real:
        return mp.fsum(-mp.log(mp.npdf(y, mu, s)) for y in values) / len(values)

    def mse(mu: Real) -> Real:
        return mp.fsum((y - mu) ** 2 for y in values) / len(values)

    assert abs(paid(mu) - paid(other) - (mse(mu) - mse(other)) / (2 * s**2)) < TINY
    if abs(mse(mu) - mse(other)) > TINY:
        assert (paid(mu) < paid(other)) == (mse(mu) < mse(other))
    assert abs(paid(mu) - mse(mu)) > 1e-12


@says(
    "But the *idea* works for anything: **predict a distribution, and pay minus the logarithm of"
    " what it gave to the truth.**",
)
@given(reals(-2, 2), reals(-2, 2), st.integers(2, 16))
def minus_the_logarithm_is_proper_for_densities(truth: Real, mu: Real, eighths: int) -> None:
    y = float(truth) + np.linspace(-12, 12, 2001)
    weight = stats.norm.pdf(y, float(truth), 1)

    def paid(mu: Real, s: float) -> float:
        return float(np.trapezoid(weight * -stats.norm.logpdf(y, float(mu), s), y))

    assert paid(truth, 1) == pytest.approx(stats.norm.entropy())
    if mu != truth or eighths != 8:
        assert paid(mu, eighths / 8) > paid(truth, 1) + 1e-4


@says(
    r"Each density makes a loss. A Laplace density, $\frac{1}{2s} e^{-|y - \mu| / s}$, makes"
    r" absolute error. The Gaussian's best constant is the mean (set the derivative $\sum_i (\mu -"
    " y_i)$ to 0), Laplace's the median (between the values, the derivative counts how many lie"
    " below minus how many above; if $N$ is even, any number between the middle two will do). So"
    " a choice of loss is a belief about the noise, outliers included:",
    "Laplace gives absolute error; a learned variance, a loss that knows how sure it is; bins, any"
    " shape.",
)
@given(st.lists(reals(), min_size=2, max_size=6, unique=True), reals(), st.integers(1, 16))
def each_density_makes_a_loss(values: Row, mu: Real, eighths: int) -> None:
    s = mpf(eighths) / 8
    density = mp.exp(-abs(values[0] - mu) / s) / (2 * s)
    assert abs(stats.laplace.pdf(float(values[0]), float(mu), float(s)) - density) < 1e-12
    assert abs(-mp.log(density) - abs(values[0] - mu) / s - mp.log(2 * s)) < TINY

    def squares(m: Real) -> Real:
        return mp.fsum((y - m) ** 2 for y in values) / 2

    def absolutes(m: Real) -> Real:
        return mp.fsum(abs(y - m) for y in values)

    assert abs(mp.diff(squares, mu) - mp.fsum(mu - y for y in values)) < CLOSE
    mean = mp.fsum(values) / len(values)
    assert all(squares(mean) <= squares(m) + TINY for m in [*values, mu])
    ordered = sorted(values)
    middle = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    for between in (middle[0], (middle[0] + middle[1]) / 2, middle[1]):
        same(absolutes(between) + 1, absolutes(middle[0]) + 1)
        assert all(absolutes(between) <= absolutes(m) + TINY for m in [*values, mu])
    if all(abs(y - mu) > 0.01 for y in values):
        counts = sum(y < mu for y in values) - sum(y > mu for y in values)
        assert abs((absolutes(mu + 0.001) - absolutes(mu - 0.001)) / 0.002 - counts) < 1e-9
    outlier = [stats.norm.pdf(8), stats.laplace.pdf(8)]
    assert outlier[0] < 1e-6 * outlier[1]  # which a Laplace density expects now and then


@says(
    r"Yes: let it predict the standard deviation, too, as $\log s$ so that it stays positive"
    " {cite}`nix1994`. Then {eq}`eq-gaussian` as a whole is the loss: the"
    " first term wants $s$ large where errors are large, the second wants it small.",
)
@given(reals(1, 4), reals(-3, 3), st.integers(1, 16))
def the_two_terms_pull_at_s(error: Real, log_s: Real, more: int) -> None:
    assert mp.exp(log_s) > 0
    terms = [
        (error**2 / (2 * s**2), mp.log(2 * mp.pi * s**2) / 2)
        for s in (mp.exp(log_s), mp.exp(log_s) + mpf(more) / 8)
    ]
    assert terms[1][0] < terms[0][0]
    assert terms[1][1] > terms[0][1]
    same(
        mp.findroot(lambda s: mp.diff(lambda s: error**2 / (2 * s**2) + mp.log(s), s), error),
        error,
        12,
    )


# --- Bins ---


@says(
    "(Without the added ones, the table of frequencies *is* the softmax model with the least"
    " cross-entropy when the only input is the cell.) Bins cost resolution and forget their order;"
    " targets spread over neighboring bins repair that {cite}`imani2018`. If you must give one"
    " number, the mean of the bins has the least squared error, not the fullest bin. If one hump"
    " around a mean describes your data, squared error is simpler and does as well.",
)
def what_bins_can_and_cannot() -> None:
    rng = np.random.default_rng(0)
    counts = np.array([5.0, 1, 0, 4])
    q = counts / counts.sum()
    best = counts.sum() * stats.entropy(q)
    for other in rng.dirichlet(np.ones(4), size=200):  # what a softmax could give the cell
        assert -(counts * np.log(other)).sum() > best
    # Order: a guess that is one bin off costs what one costs that is far off, unless the target is
    # spread.
    near, far = np.array([0.7, 0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.1, 0.7])
    for target, differ in (([0, 1.0, 0, 0], False), ([0.25, 0.5, 0.25, 0], True)):
        costs = [-(np.array(target) * np.log(guess)).sum() for guess in (near, far)]
        assert (costs[1] - costs[0] > 0.4) == differ
        assert min(costs) > 0
    centers = np.array([-1.5, -0.5, 0.5, 1.5])  # each value of a bin becomes its center
    mean = q @ centers
    costs = [q @ (centers - guess) ** 2 for guess in (mean, centers[q.argmax()])]
    assert costs[0] < costs[1]
    y = rng.normal(size=4000)
    gaussian = -stats.norm.logpdf(y[2000:], y[:2000].mean(), y[:2000].std())
    table = np.histogram(y[:2000], 30, (-4, 4))[0] + 1
    at = np.clip(((y[2000:] + 4) / 8 * 30).astype(int), 0, 29)
    binned = -np.log(table[at] / table.sum() / (8 / 30))
    gap = binned - gaussian
    assert -2 * gap.std() / np.sqrt(2000) < gap.mean() < 0.05
    assert gaussian.mean() == pytest.approx(stats.norm.entropy(), abs=0.05)


@says(
    "| yes or no | logit | binary cross-entropy |",
    "| one of $K$ classes | $K$ logits | categorical cross-entropy |",
    "| classes, no probabilities needed | linear | squared error is worth a try |",
    "| a number, similar noise everywhere | linear | squared error |",
    "| a number with outliers | linear | absolute error |",
    r"| a number and how sure you are | $\mu, \log s$ | Gaussian NLL |",
    "| a number with several likely values | logits of bins | categorical cross-entropy |",
    "| a share between 0 and 1 | logit | binary cross-entropy, floor above 0 |",
)
def which_loss_to_take() -> None:
    z = torch.tensor([[0.3, -1.0, 0.5]])
    assert F.binary_cross_entropy_with_logits(z[0, :1], torch.ones(1)) == -F.logsigmoid(z[0, 0])
    assert torch.isclose(F.cross_entropy(z, torch.tensor([2])), -F.softmax(z, dim=1)[0, 2].log())
    # The share's floor is its entropy; the others' is 0.
    share = torch.tensor([0.3])
    at_best = F.binary_cross_entropy_with_logits(torch.logit(share), share)
    assert at_best == pytest.approx(stats.entropy([0.3, 0.7]))
    assert at_best > 0.6
    # One outlier among a hundred: the median stays, the mean does not. Without it, the mean wins.
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 100))
    assert (values.mean(axis=1) ** 2).mean() < (np.median(values, axis=1) ** 2).mean()
    values[:, 0] = 1000
    assert (np.median(values, axis=1) ** 2).mean() < 0.1 < (values.mean(axis=1) ** 2).mean()
    mu, log_s = torch.tensor([0.0]), torch.tensor([1.0])
    nll = F.gaussian_nll_loss(mu, torch.tensor([3.0]), torch.exp(log_s) ** 2, full=True)
    assert nll == pytest.approx(-stats.norm.logpdf(3, 0, np.e), rel=1e-6)
    # Linear outputs, squared error: their argmax tells two separated classes apart.
    x = np.array([[1, -2.0], [1, -1], [1, 1], [1, 2]])
    outputs = x @ np.linalg.lstsq(x, np.eye(2)[[0, 0, 1, 1]])[0]
    assert outputs.argmax(axis=1).tolist() == [0, 0, 1, 1]
    # Several likely values: of ±1, no single number is near, but two bins are.
    two = np.array([-1.0, 1.0])
    assert ((two - two.mean()) ** 2).mean() == 1
    assert stats.entropy([0.5, 0.5]) < -stats.norm.logpdf(two, 0, 1).mean()


@says("Ask for the gradient at a confident mistake: the logit is −6, and the answer is yes.")
def a_confident_mistake() -> None:
    z = torch.tensor(-6.0, requires_grad=True)
    assert torch.sigmoid(z) < 0.01
    ce = F.binary_cross_entropy_with_logits(z, torch.tensor(1.0))
    assert torch.autograd.grad(ce, z)[0] == pytest.approx(special.expit(-6) - 1)


# --- What goes wrong ---


@says(
    "With outputs of shape (N, 1), the softmax has one class, whose probability is always 1. With"
    " two vectors of length N it is worse: they pass as *one* sample with N classes, and a number"
    " comes out that means nothing. Integers in the target exchange one error for another, or, if"
    " all of them become 0, for a loss of 0. Take a loss for numbers, and give both the same"
    " shape:",
)
def cross_entropy_of_a_continuous_target() -> None:
    torch.manual_seed(0)
    outputs, target = torch.randn(5), torch.randn(5)
    column = outputs[:, None]
    assert (F.softmax(column, dim=1) == 1).all()
    assert F.cross_entropy(column, target[:, None]) == 0
    as_one = -(target * F.log_softmax(outputs, dim=0)).sum()  # one sample, 5 classes
    assert torch.isclose(F.cross_entropy(outputs, target), as_one)
    shifted = F.cross_entropy(outputs + 7, target)  # a regression that is off by 7
    assert torch.isclose(shifted, as_one, atol=1e-4)
    with pytest.raises(RuntimeError, match="expected target dtype"):
        F.cross_entropy(column, target)
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(column, torch.tensor([1, 2, 3, 0, 1]))
    assert F.cross_entropy(column, torch.zeros(5, dtype=torch.long)) == 0
    assert torch.isclose(F.mse_loss(column[:, 0], target), ((outputs - target) ** 2).mean())
    with pytest.warns(UserWarning, match="different to the input size"):
        assert F.mse_loss(column, target) != F.mse_loss(column[:, 0], target)


@says(
    "Targets outside $[0, 1]$ make it unbounded below, and training runs away: numbers of any"
    " size, pixels up to 255, labels −1 and 1. Scale them to $[0, 1]$, where the loss is never"
    " negative, or change the loss.",
)
@given(st.sampled_from([2.0, 255.0, -1.0, 1.5]), reals(0, 1), reals(-30, 30))
def targets_outside_run_away(target: float, scaled: Real, z: Real) -> None:
    assert bce(z, scaled) >= 0
    sign = 1 if target > 1 else -1
    values = [bce(sign * far, mpf(target)) for far in (mpf(10), mpf(20), mpf(40))]
    assert values[2] < values[1] < values[0] < 0
    assert values[2] - values[1] < -9  # without a bound
    logit = 0.0
    for _ in range(50):
        logit -= special.expit(logit) - target
    assert abs(logit) > 20


@says(
    "Yes. A density may exceed 1, so its logarithm may be positive. The number depends on the"
    r" unit: from meters to millimeters, it grows by $\log 1000$. Only differences mean something."
    " Two real dangers: a model that memorizes points sends $s$ to 0 (PyTorch stops at a variance"
    " of $10^{-6}$), and one that gives up on hard regions by making $s$ large there"
    " {cite}`seitzer2022`.",
)
@given(st.lists(reals(), min_size=2, max_size=4), st.integers(1, 24))
def the_gaussian_nll_has_a_unit(errors: Row, eighths: int) -> None:
    s = mpf(eighths) / 8

    def nll(errors: Row, s: Real) -> Real:
        return mp.fsum(-mp.log(mp.npdf(error, 0, s)) for error in errors) / len(errors)

    assert mp.npdf(0, 0, mpf(1) / 10) > 1
    assert nll([mpf(0)], mpf(1) / 10) < 0
    in_mm = [1000 * error for error in errors]
    same(nll(in_mm, 1000 * s) - nll(errors, s), mp.log(1000))
    other = nll(errors, 2 * s) - nll(errors, s)
    assert abs(nll(in_mm, 2000 * s) - nll(in_mm, 1000 * s) - other) < TINY
    memorized = [nll([mpf(0)], mpf(10) ** -n) for n in (1, 10, 100)]
    assert memorized[2] < -200
    assert memorized == sorted(memorized, reverse=True)
    zero, variance = torch.zeros(1), torch.tensor([1e-6])
    floor = F.gaussian_nll_loss(zero, zero, variance)
    assert F.gaussian_nll_loss(zero, zero, variance / 1000) == floor
    assert F.gaussian_nll_loss(zero, zero, variance * 2) > floor
    # The pull on the mean fades with the square of s.
    pulls = [mp.diff(lambda mu: nll([2 - mu], s), 0) for s in (mpf(1), mpf(10))]  # noqa: B023
    same(pulls[0] / pulls[1], mpf(100), 12)


@says(
    "Its minimum is in the right place, at the pixel itself, but its value there is the pixels'"
    " entropy, not 0. It is no likelihood of gray values; for one, see {cite:t}`loaiza2019`. If"
    " you get one blurred image for every input, do not blame this loss: the blob is the best"
    " *constant*, for both losses alike, and says that the network does not use its input.",
)
@given(st.lists(st.integers(1, 15), min_size=2, max_size=5), st.integers(1, 15))
def gray_pixels(grays: list[int], guess: int) -> None:
    pixel, q = mpf(grays[0]) / 16, mpf(guess) / 16
    cost = H([1 - pixel, pixel], [1 - q, q])
    floor = H([1 - pixel, pixel])
    assert cost >= floor > 0.2
    assert (cost - floor > TINY) == (guess != grays[0])
    assert F.binary_cross_entropy(
        torch.tensor(float(q)), torch.tensor(float(pixel))
    ) == pytest.approx(float(cost), rel=1e-5)
    # Its exponential is no density of gray values: it does not integrate to 1.
    x = np.linspace(0, 1, 201)
    assert np.trapezoid(float(q) ** x * float(1 - q) ** (1 - x), x) < 0.99
    mean = mp.fsum(grays) / 16 / len(grays)
    losses: list[Callable[[Real, Real], Real]] = [
        lambda x, c: H([1 - x, x], [1 - c, c]),
        lambda x, c: (x - c) ** 2,
    ]
    for loss in losses:
        costs = [mp.fsum(loss(mpf(x) / 16, c) for x in grays) for c in (mean, q)]
        assert costs[0] <= costs[1] + TINY


# --- The exercises ---


@says(
    "The answer is yes, the model says 1%. Compute both gradients by hand. What is the largest"
    " gradient that squared error can have at all, and at which forecast?",
    r"Cross-entropy: $0.01 - 1 = -0.99$. Squared error: $2 \cdot (-0.99) \cdot 0.01 \cdot 0.99"
    r" \approx -0.0196$. The size $2\hat y(1 - \hat y)^2$ has the derivative $2(1 - \hat y)(1 -"
    r" 3\hat y)$, so its maximum is at $\hat y = \tfrac13$: it is $\tfrac{8}{27}$.",
)
def how_much_weaker() -> None:
    z = mp.log(mpf(1) / 99)  # the logit of 1%
    same(sigma(z), mpf("0.01"))
    assert abs(mp.diff(lambda z: bce(z, 1), z) + 0.99) < 1e-12
    assert round(float(mp.diff(lambda z: squared(z, 1), z)), 4) == -0.0196
    assert round(2 * -0.99 * 0.01 * 0.99, 4) == -0.0196
    p = sympy.Symbol("p", real=True)
    size = 2 * p * (1 - p) ** 2
    assert sympy.expand(sympy.diff(size, p) - 2 * (1 - p) * (1 - 3 * p)) == 0
    third = sympy.Rational(1, 3)
    assert size.subs(p, third) == sympy.Rational(8, 27)
    assert max(size.subs(p, k * third / 100) for k in range(301)) == sympy.Rational(8, 27)


@says(
    "You fit a Laplace density with the median as its center to values that are not all equal."
    r" Which $s$ minimizes the mean loss $\tfrac1N \sum_i |y_i - \mu| / s + \log 2s$? Check it on"
    " the five values 1, 2, 2.5, 3, 30, and compare with SciPy's fit.",
    r"The derivative with respect to $s$ is $-\tfrac{1}{s^2} \cdot \tfrac1N \sum_i |y_i - \mu| +"
    r" \tfrac1s$, which is 0 at $s = \tfrac1N \sum_i |y_i - \mu|$, the mean absolute deviation; it"
    " is negative below, positive above.",
)
@given(st.lists(reals(), min_size=2, max_size=5, unique=True), st.integers(1, 24))
def the_best_width(values: Row, eighths: int) -> None:
    mu, s = sorted(values)[len(values) // 2], mpf(eighths) / 8
    deviation = mp.fsum(abs(y - mu) for y in values) / len(values)

    def loss(s: Real) -> Real:
        return mp.fsum(abs(y - mu) / s for y in values) / len(values) + mp.log(2 * s)

    slope = mp.diff(loss, s)
    assert abs(slope - (-deviation / s**2 + 1 / s)) < CLOSE
    assert abs(mp.diff(loss, deviation)) < CLOSE
    if abs(s - deviation) > 1e-9:
        assert (slope < 0) == (s < deviation)
        assert loss(deviation) < loss(s)
    library = stats.laplace.fit(np.array(values, dtype=float))[1]
    assert abs(library - deviation) < 1e-9 or len(values) % 2 == 0
    five = np.array([1, 2, 2.5, 3, 30])
    assert np.abs(five - 2.5).mean() == 6 == stats.laplace.fit(five)[1]


@says(
    r"Cross-entropy matches the sigmoid so well that the gradient is $\hat y - y$. Show that for"
    r" *every* continuous increasing output function $\hat y = f(z)$, the loss $\ell = \int_0^z"
    r" f(t)\, dt - yz$ has this gradient and is convex in $z$. Which losses belong to $f(z) = z$,"
    " to the sigmoid, and to $f(z) = e^z$ (a count)? Check the last with PyTorch.",
    r"$\partial \ell / \partial z = f(z) - y = \hat y - y$, and a loss whose slope increases is"
    r" convex. For $f(z) = z$ the loss is $\tfrac12 z^2 - yz = \tfrac12 (z - y)^2 - \tfrac12 y^2$:"
    r" squared error. For the sigmoid it is $\log(1 + e^z) - yz$ up to a constant: binary"
    " cross-entropy. For $e^z$ it is $e^z - yz$ up to a constant: minus the log-likelihood of a"
    " Poisson count. So squared error belongs to linear outputs, cross-entropy to the sigmoid;"
    " trouble starts when you mix them.",
    "Match the loss to the output: squared error to linear outputs, cross-entropy to sigmoid and"
    " softmax.",
)
@given(st.integers(-8, 8), st.integers(-8, 8), st.integers(0, 5))
def a_loss_for_every_output(first: int, second: int, count: int) -> None:
    t, z, y = sympy.symbols("t z y", real=True)
    closed = {
        t: z**2 / 2 - y * z,
        sympy.exp(t) / (1 + sympy.exp(t)): sympy.log(1 + sympy.exp(z)) - y * z,
        sympy.exp(t): sympy.exp(z) - y * z,
    }
    for f, loss in closed.items():
        slope = sympy.diff(loss, z)
        assert sympy.simplify(slope - (f.subs(t, z) - y)) == 0
        values = [float(slope.subs({z: at / 4, y: count})) for at in sorted({first, second})]
        assert values == sorted(set(values))  # it increases
        at = [loss.subs({z: sympy.Rational(x, 4), y: count}) for x in (first, second)]
        half = loss.subs({z: sympy.Rational(first + second, 8), y: count})
        assert float(2 * half - at[0] - at[1]) <= 1e-12
    assert sympy.expand((z - y) ** 2 / 2 - y**2 / 2 - (z**2 / 2 - y * z)) == 0
    x = first / 4
    whole = np.trapezoid(special.expit(np.linspace(0, x, 1001)), np.linspace(0, x, 1001))
    assert whole == pytest.approx(np.logaddexp(0, x) - np.log(2), abs=1e-5)
    assert np.logaddexp(0, x) - x == pytest.approx(-special.log_expit(x))
    poisson = -stats.poisson.logpmf(count, np.exp(x))
    assert poisson == pytest.approx(np.exp(x) - count * x + special.gammaln(count + 1))
    # Mixed, the gradient is another, and convexity is lost.
    mixed = [(special.expit(far) - 1) ** 2 for far in (-8, -4, 0)]
    assert 2 * mixed[1] > mixed[0] + mixed[2]
    assert crossent.binary_cross_entropy_with_logits(x, 1) == pytest.approx(np.logaddexp(0, -x))


# --- The sources ---


@says(
    "In recognizing speech and handwriting, training with squared error from random weights"
    " ended in poor optima, while some last steps with it *improved* a network trained with"
    " cross-entropy {cite}`golik2013`.",
    "{cite:t}`baum1988` were among the first to propose cross-entropy for networks, and"
    " {cite:t}`solla1988` found that it learns faster. {cite:t}`golik2013` compares the two in"
    " theory and in speech recognition, {cite:t}`hui2021` argues for squared error.",
    "It need not: Hui and Belkin trained large networks with squared error on linear outputs,"
    " without softmax, and rescaled when there were many classes. They found it comparable or"
    " better in most language and speech tasks, with a slight edge for cross-entropy in vision"
    " {cite}`hui2021`.",
)
def the_sources_are_about_that() -> None:
    assert "Cross-Entropy vs. Squared Error Training" in source("golik2013")
    assert "Accelerated Learning" in source("solla1988")
    assert "Learning of Probability Distributions" in source("baum1988")
    hui = source("hui2021")
    assert "Square Loss vs Cross-Entropy in Classification" in hui
    assert "Hui, Like and Belkin" in hui
    years = [int(re.findall(r"year *= \{(\d+)", source(k))[0]) for k in ("baum1988", "solla1988")]
    assert max(years) <= 1988


NUMBERS = {
    "squared error pulls 11,000 times more weakly": Given("11,014 of the table, in round numbers"),
    "Multiply a loss by 10": Given("an example of a factor"),
    "the five values 1, 2, 2.5, 3, 30": Computed(lambda: (2.5, 30.0)),
    "PyTorch stops at a variance of $10^{-6}$": Cited(
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html",
        "the parameter eps, 1e-6 if it is not given",
    ),
}
