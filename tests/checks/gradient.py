"""The chapter on the gradient."""

from __future__ import annotations

import inspect
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from sklearn import datasets
from torch.nn import functional as F

import crossent
from crossent.figures.style import BLUE, ORANGE
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
from tests.figures import drawing_of
from tests.figures.losses import SimplexGradient, predictions

TINY = mpf(10) ** -40
CLOSE = mpf(10) ** -18  # what mpmath's numerical derivatives keep of 60 digits
Function = Callable[[Row], Real]
few = settings(max_examples=8)  # for derivatives of 60 digits take their time


def slopes(f: Function, z: Row) -> Row:
    """Return the derivative of a function with respect to each of its arguments."""
    return [mp.diff(lambda t, k=k: f([*z[:k], t, *z[k + 1 :]]), z[k]) for k in range(len(z))]


def entry(f: Callable[[Row], Row], k: int) -> Function:
    """Return the function that gives one of the results."""
    return lambda z: f(z)[k]


def jacobian(z: Row) -> list[Row]:
    """Return the derivatives of the softmax: a row for each probability."""
    return [slopes(entry(soft, k), z) for k in range(len(z))]


def loss(z: Row, y: Row) -> Real:
    """Return the cross-entropy of the softmax."""
    return -mp.fsum(y_k * mp.log(p_k) for y_k, p_k in zip(y, soft(z), strict=True))


def dot(a: Row, b: Row) -> Real:
    return mp.fsum(a_k * b_k for a_k, b_k in zip(a, b, strict=True))


def close(left: Row, right: Row, most: Any = CLOSE) -> bool:
    """Say whether two rows agree."""
    return all(abs(a - b) < most for a, b in zip(left, right, strict=True))


def onehot(label: int, K: int = 3) -> Row:
    return [mpf(k == label) for k in range(K)]


# --- The gradient ---


@few
@given(logits(3), distributions(3))
def eq_gradient(z: Row, y: Row) -> None:
    r"""\begin{aligned}
    \ell &= -\sum_{k} y_k \log \hat y_k , \\
    \frac{\partial \ell}{\partial z_k} &= \hat y_k - y_k .
    \end{aligned}
    """
    x, target = (torch.tensor(np.array(row, dtype=float)) for row in (z, y))
    assert abs(float(F.cross_entropy(x, target)) - H(y, soft(z))) < 1e-14
    assert close(
        slopes(lambda z: H(y, soft(z)), z), [p - t for p, t in zip(soft(z), y, strict=True)]
    )


@says(
    "**The gradient of cross-entropy with respect to the logits is prediction minus truth.** With"
    r" the logits $z$, the prediction $\hat y = \operatorname{softmax}(z)$ and a target $y$ that"
    " sums"
    " to 1, here the one-hot row of the label,",
    "So every wrong class is pushed down by the share that it took, and the true class is"
    " pulled up by what it lacks. All ten numbers sum to 0. A perfect prediction asks for"
    " no change: the slope is 0 everywhere.",
    "The entry is 0.2, and a step pushes the score down.",
    "To 0, because the shares sum to 1 and the truth sums to 1.",
    "Subtract the one-hot row of the label from the softmax. For the mean over a batch, divide by"
    " its size:",
    r"The gradient with respect to the logits is $\hat y - y$, with the derivative of"
    " softmax already included.",
    "The mean over a batch divides it by $N$.",
)
@few
@given(st.lists(logits(3), min_size=1, max_size=3), st.integers(0, 2), st.integers(2, 4))
def prediction_minus_truth(rows: list[Row], label: int, M: int) -> None:
    x = torch.tensor(np.array(rows, dtype=float), requires_grad=True)
    (found,) = torch.autograd.grad(F.cross_entropy(x, torch.tensor([label] * len(rows))), x)
    for z, row in zip(rows, found.tolist(), strict=True):
        minus = [p - t for p, t in zip(soft(z), onehot(label), strict=True)]
        assert close([len(rows) * each for each in row], minus, 1e-13)
        # The derivative of the softmax, J, is inside: with respect to ŷ, it is another.
        of_p = [-t / p for p, t in zip(soft(z), onehot(label), strict=True)]
        assert close([dot(column, of_p) for column in zip(*jacobian(z), strict=True)], minus)
        # And y must sum to 1.
        target = [M * t for t in onehot(label)]
        assert close(slopes(lambda z: loss(z, target), z), [M * each for each in minus])  # noqa: B023


@few
@given(logits(3), distributions(3))
def eq_gradient_two_terms(z: Row, y: Row) -> None:
    r"""\ell = \log \sum_j e^{z_j} - \sum_j y_j z_j ."""
    assert abs(mp.log(mp.fsum(map(mp.exp, z))) - dot(y, z) - H(y, soft(z))) < TINY
    x, target = (torch.tensor(np.array(row, dtype=float)) for row in (z, y))
    assert abs(float(F.cross_entropy(x, target)) - H(y, soft(z))) < 1e-14


@few
@given(logits(3))
def eq_gradient_log_sum(z: Row) -> None:
    r"""\frac{\partial}{\partial z_k} \log \sum_j e^{z_j} = \frac{e^{z_k}}{\sum_j e^{z_j}}
    = \hat y_k .
    """
    powers = [mp.exp(z_k) for z_k in z]
    found = slopes(lambda z: mp.log(mp.fsum(map(mp.exp, z))), z)
    assert close(found, [power / mp.fsum(powers) for power in powers])
    assert close(found, soft(z))


@says(
    "Because the loss has two terms: the slope of one is the prediction, and that of the"
    " other is minus the truth.",
    "The second term is a plain sum. Its slope with respect to $z_k$ is $-y_k$. For the"
    " first, use the chain rule: the outer derivative is one over the sum, the inner one"
    " is $e^{z_k}$, as $z_k$ occurs in a single term of the sum.",
)
@few
@given(logits(3), distributions(3))
def each_term_gives_one(z: Row, y: Row) -> None:
    total = mp.fsum(map(mp.exp, z))
    assert close(slopes(lambda z: -dot(y, z), z), [-y_k for y_k in y])
    assert abs(mp.diff(mp.log, total) - 1 / total) < CLOSE
    assert close(slopes(lambda z: mp.fsum(map(mp.exp, z)), z), [mp.exp(z_k) for z_k in z])


# --- The weights ---


def torch_layers(z: Row, x: Row, label: int) -> tuple[Any, ...]:
    """Return a layer of three inputs whose scores are z, and the gradients of torch."""
    X = torch.tensor(np.array(x, dtype=float))
    W = torch.arange(9.0, dtype=torch.float64).reshape(3, 3).requires_grad_()
    b = torch.tensor(np.array(z, dtype=float)) - W.detach() @ X
    b.requires_grad_()
    ell = F.cross_entropy(W @ X + b, torch.tensor(label))
    return torch.autograd.grad(ell, (W, b))


@few
@given(logits(3), logits(3), st.integers(0, 2))
def eq_gradient_weights(z: Row, x: Row, label: int) -> None:
    r"""\frac{\partial \ell}{\partial w_{ki}} = (\hat y_k - y_k) \, x_i , \qquad
    \frac{\partial \ell}{\partial b_k} = \hat y_k - y_k .
    """
    of_W, of_b = torch_layers(z, x, label)
    for k, error in enumerate(p - t for p, t in zip(soft(z), onehot(label), strict=True)):
        assert abs(float(of_b[k]) - error) < 1e-12
        for i in range(3):
            assert abs(float(of_W[k, i]) - error * x[i]) < 1e-12


@says("A ReLU that is shut lets nothing pass.")
def eq_gradient_backprop() -> None:
    r"""\begin{aligned}
    \frac{\partial \ell}{\partial h} &= U^\top (\hat y - y) , \\
    \frac{\partial \ell}{\partial V} &= \Bigl( \frac{\partial \ell}{\partial h}
    \odot [V x > 0] \Bigr) \, x^\top .
    \end{aligned}
    """
    torch.manual_seed(0)
    for label in range(3):
        U, V, x = (torch.randn(*s).double() for s in ((3, 5), (5, 2), (2,)))
        V.requires_grad_()
        h = torch.relu(V @ x)
        s = U @ h
        of_h, of_V = torch.autograd.grad(F.cross_entropy(s, torch.tensor(label)), (h, V))
        error = F.softmax(s, dim=0) - F.one_hot(torch.tensor(label), 3)
        assert torch.allclose(of_h, U.T @ error)
        assert torch.allclose(of_V, torch.outer(of_h * (V @ x > 0), x))


def eq_gradient_batch() -> None:
    r"""\frac{\partial L}{\partial W} = G^\top X , \qquad
    \frac{\partial L}{\partial b_k} = \sum_n G_{nk} .
    """
    torch.manual_seed(0)
    X, label = torch.randn(7, 4).double(), torch.tensor([0, 2, 1, 1, 0, 2, 2])
    W, b = (torch.randn(*s).double().requires_grad_() for s in ((3, 4), (3,)))
    Z = X @ W.T + b
    of_W, of_b = torch.autograd.grad(F.cross_entropy(Z, label), (W, b))
    G = (F.softmax(Z, dim=1) - F.one_hot(label)) / 7
    assert torch.allclose(of_W, G.T @ X)
    assert torch.allclose(of_b, G.sum(dim=0))


# --- The figure ---


def straying(places: Any, start: Any, end: Any) -> Any:
    """Return how far places lie from the straight line, as a share of its length."""
    along = end - start
    aside = along[0] * (places - start)[:, 1] - along[1] * (places - start)[:, 0]
    return np.abs(aside) / (along @ along)


@says(
    "Each point of the triangle is a prediction for three classes; a corner is certainty."
    r" The *negative* gradient, $y - \hat y$, is an arrow that runs straight from the"
    " prediction to the truth.",
    "The arrow is long when the prediction is bad and shrinks to nothing at the corner. A"
    " step along it moves the *scores*; softmax bends the path of the prediction into the"
    " curve.",
    "(Try the scores −1.5, 0.5 and 2.5 with the label zero.)",
    "So $e^{-z_j(t)} = e^{-z_j(0)} + s$ with one $s$ for all: this is how the figure draws the"
    " curve.",
)
def the_arrow_and_the_curve() -> None:
    at = SimplexGradient(-1.5, 0.5, 2.5, "zero")
    drawing = drawing_of(at)
    arrow = [mark for mark in drawing.of("rule", ORANGE) if "stroke-dasharray" in mark.look]
    start, end = predictions(drawing, arrow[0].places)
    assert start == pytest.approx(soft([-1.5, 0.5, 2.5]), abs=1e-3)
    assert end == pytest.approx([1, 0, 0], abs=1e-3)
    for surer in (0.9, 0.999):
        q = np.array([surer, (1 - surer) / 2, (1 - surer) / 2])
        assert np.linalg.norm(end - q) < np.linalg.norm(end - start) * (1 - surer) * 1.5
    (way,) = drawing.of("line", BLUE)
    curve = predictions(drawing, way.places)
    assert straying(curve[:, 1:], start[1:], end[1:]).max() > 0.1
    three = curve[:, 1]
    assert three.max() > start[1] + 0.05  # it gains at first
    assert three.argmax() < len(three) - 20
    # With e^-z_j = e^-z_j(0) + s and one s, those of the wrong classes differ by a constant, in
    # the unit that the sum of the logits sets.
    inside = curve[(curve > 0.02).all(axis=1)]
    own = np.exp(np.log(inside).mean(axis=1)) / inside[:, 1:].T
    assert np.ptp(own[0] - own[1]) < 0.05 * np.ptp(own[0])


# --- Batches ---


@says(
    "Only because the loss is: a mean is a sum times $1/N$, and so is its gradient.",
    "If you print a mean and forget the $1/N$ in the gradient, the loss looks right, and the"
    ' learning rate of your gradient descent is $N$ times what you think. With `reduction="sum"`,'
    " nothing is divided, neither the loss nor the gradient.",
    "It halves: a mean over twice as many samples gives each of them half the weight.",
    "No, for that is a difference of two *names*. The gradient has the shape of the"
    " logits, $(N, K)$: one number for each class of each sample.",
    "`crossent.grad(loss)` gives the gradient alone, `value_and_grad` the loss and the"
    " gradient in one pass.",
)
@few
@given(st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=2, max_size=5))
def the_mean_divides_by_the_batch_size(rows: list[list[int]]) -> None:
    N, labels = len(rows), [0] * len(rows)
    ce = crossent.sparse_categorical_cross_entropy_with_logits
    z = np.array(rows, dtype=float)
    mean, total = (crossent.grad(ce)(z, labels, reduction=how) for how in ("mean", "sum"))
    assert np.allclose(mean * N, total)
    assert np.allclose(total, crossent.softmax(z) - np.eye(3)[labels])
    value, same_gradient = crossent.value_and_grad(ce)(z, labels)
    assert value == ce(z, labels)
    assert (same_gradient == mean).all()
    assert np.allclose(z - 0.1 * total, z - 0.1 * N * mean)  # a step with the rate times N
    x = torch.tensor(z, requires_grad=True)
    for how, wanted in (("mean", mean), ("sum", total)):
        (slope,) = torch.autograd.grad(F.cross_entropy(x, torch.tensor(labels), reduction=how), x)
        assert np.allclose(slope.numpy(), wanted)
    names = z.argmax(axis=1) - labels
    assert names.shape == (N,)
    assert mean.shape == (N, 3) == z.shape
    swapped = np.eye(3)[[2, 1, 0]] @ np.array([0, 1, 2])  # other names for the same classes
    assert names.tolist() != (swapped[z.argmax(axis=1)] - 2).tolist() or not names.any()


# --- Numerical derivatives ---

WAVES: list[tuple[Function, Real]] = [
    (lambda x: mp.exp(2 * x[0]), mpf(1) / 3),
    (lambda x: mp.sin(x[0]) + x[0] ** 5, mpf(2)),
]


def f1(f: Function) -> Callable[[Real], Real]:
    """Return the function of a number, not of a row."""
    return lambda x: f([x])


def falls_by(factor: int, rest: Callable[[Real], Real]) -> bool:
    """Say whether what is left over falls by a factor for a tenth of the step."""
    return bool(abs(rest(mpf("1e-5")) / rest(mpf("1e-6")) / factor - 1) < 0.01)


def eq_central() -> None:
    r"""\begin{aligned}
    & \frac{f(x + h) - f(x - h)}{2h} \\
    &\quad = f'(x) + \frac{h^2}{6} f^{(3)}(x) + \dots ,
    \end{aligned}
    """

    def left_over(f: Function, x: Real, h: Real) -> Real:
        quotient = (f([x + h]) - f([x - h])) / (2 * h)
        return quotient - mp.diff(f1(f), x) - h**2 / 6 * mp.diff(f1(f), x, 3)

    for f, x in WAVES:
        assert falls_by(10**4, lambda h: left_over(f, x, h))  # noqa: B023


@says(
    "because the even terms cancel.",
    r"The forward difference $\frac{f(x+h) - f(x)}{h}$ has the error term $\frac h2 f''$,"
    " and so a higher V, lowest near $h = u^{1/2}$.",
    r"With about $6 \cdot 10^{-6}$, to both sides, in float64.",
    "The check moves one input a little and sees how much the loss moves. For the"
    " *central difference* of a smooth function, Taylor's series gives",
)
def the_even_terms_cancel() -> None:
    def forward(f: Function, x: Real, h: Real) -> Real:
        quotient = (f([x + h]) - f([x])) / h
        return quotient - mp.diff(f1(f), x) - h / 2 * mp.diff(f1(f), x, 2)

    def even(f: Function, x: Real, h: Real) -> Real:
        return f([x + h]) + f([x - h]) - 2 * f([x])  # what both sides have in common

    for f, x in WAVES:
        assert falls_by(10**2, lambda h: forward(f, x, h))  # noqa: B023
        assert falls_by(10**2, lambda h: even(f, x, h))  # noqa: B023
    u = 2.0**-52
    steps = 10.0 ** np.arange(-14, 0, 0.1)
    errors = {"forward": steps / 2 + u / steps, "central": steps**2 / 6 + u / steps}
    best = {name: steps[error.argmin()] for name, error in errors.items()}
    assert abs(np.log10(best["forward"] / u ** (1 / 2))) < 0.3
    assert errors["forward"].min() > 100 * errors["central"].min()


@says(
    "A small $h$ seems best. But each value of $f$ is rounded, with an error near $u"
    r" |f|$, where $u \approx 2 \cdot 10^{-16}$ in float64, and division by $h$ magnifies"
    r" it. In all, the error is about $\frac{h^2}{6} |f^{(3)}| + \frac{u}{h} |f|$: on"
    " logarithmic axes this is a V, with a slope of 2 on the right and of −1 on the left."
    " Its lowest point is where the two terms are about equal. If $f$ and $f^{(3)}$ are"
    r" near 1 in size, that is near $h = u^{1/3} \approx 6 \cdot 10^{-6}$, and the error"
    " there is about $u^{2/3}$.",
)
def the_error_is_a_V() -> None:
    u = 2.0**-52
    points = np.random.default_rng(0).uniform(-0.5, 0.5, size=500)
    steps = 10.0 ** np.arange(-12, -0.9)
    found = [
        np.sqrt(
            np.mean(((np.exp(points + h) - np.exp(points - h)) / (2 * h) - np.exp(points)) ** 2)
        )
        for h in steps
    ]
    for h, error in zip(steps, found, strict=True):  # f and all its derivatives are near 1
        assert 0.1 < error / (h**2 / 6 + u / h) < 2
    rises = np.diff(np.log10(found))  # for ten times the step
    assert rises[-3:] == pytest.approx([2] * 3, abs=0.05)
    assert rises[:5] == pytest.approx([-1] * 5, abs=0.3)
    h = np.float64(u ** (1 / 3))
    assert 0.1 < (h**2 / 6) / (u / h) < 1
    assert abs(np.log10(min(found) / u ** (2 / 3))) < 1
    assert steps[np.argmin(found)] == pytest.approx(1e-5)  # of whole powers, the nearest to h
    rounded = np.abs(np.exp(points.astype(np.float32)).astype(float) - np.exp(points))
    assert rounded.max() < 2 * np.finfo(np.float32).eps


def eq_complex_step() -> None:
    r"""\begin{aligned}
    f(x + ih) &= f(x) + ih f'(x) \\
    &\; - \frac{h^2}{2} f''(x) \\
    &\; - i \frac{h^3}{6} f^{(3)}(x) + \dots \\
    \frac{\operatorname{Im} f(x + ih)}{h} &= f'(x) \\
    &\; - \frac{h^2}{6} f^{(3)}(x) + \dots
    \end{aligned}
    """

    def first(f: Function, x: Real, h: Real) -> Real:
        d = [mp.diff(f1(f), x, n) for n in range(4)]
        expected = d[0] + mp.j * h * d[1] - h**2 / 2 * d[2] - mp.j * h**3 / 6 * d[3]
        return abs(f([x + mp.j * h]) - expected)

    def second(f: Function, x: Real, h: Real) -> Real:
        expected = mp.diff(f1(f), x) - h**2 / 6 * mp.diff(f1(f), x, 3)
        return abs(mp.im(f([x + mp.j * h])) / h - expected)

    for f, x in WAVES:
        assert falls_by(10**4, lambda h: first(f, x, h))  # noqa: B023
        assert falls_by(10**4, lambda h: second(f, x, h))  # noqa: B023


@says(
    "The **complex step** {cite}`squire1998,martins2003` has no such V, if $f$ is"
    " analytic. Move the input by $ih$, with $i^2 = -1$:",
    "Nothing is subtracted, so nothing cancels, and $h$ may be as small as $10^{-200}$.",
    "The complex step is good to the last digits, but $f$ must be analytic and consist of"
    " functions that know complex numbers, such as `exp`, `log` and sums. Others may fail"
    " without a word, as `abs` does in the next cell: its result has no imaginary part,"
    " whatever the slope.",
)
@given(st.floats(-3, 3).filter(lambda x: abs(x) > 0.01))
def the_complex_step_has_no_V(x: float) -> None:
    exact = sigma(mpf(x))
    for h in (1e-10, 1e-100, 1e-200):
        slope = np.log(1 + np.exp(x + 1j * h)).imag / h  # of log(1 + e^x)
        assert abs(slope - exact) < 4 * np.finfo(float).eps
        assert np.abs(x + 1j * h).imag == 0  # though the slope is ±1
        assert np.sum([x + 1j * h, 2]).imag == h
    assert 1j**2 == -1
    f = np.log(1 + np.exp(x))
    moved = np.log(1 + np.exp(x + 1e-200))
    assert (moved - f) / 1e-200 == 0  # which the difference loses


# --- The Jacobian ---


@given(logits(3))
def eq_gradient_log(z: Row) -> None:
    r"""\log \hat y_k = z_k - \log \textstyle\sum_m e^{z_m} ."""
    powers = [mp.exp(z_k) for z_k in z]
    shares = [power / mp.fsum(powers) for power in powers]
    assert close(
        [mp.log(share) for share in shares], [z_k - mp.log(mp.fsum(powers)) for z_k in z], TINY
    )
    of_torch = F.log_softmax(torch.tensor(np.array(z, dtype=float)), dim=0).tolist()
    assert close(of_torch, [z_k - mp.log(mp.fsum(powers)) for z_k in z], 1e-13)


@few
@given(logits(3))
def eq_softmax_jacobian(z: Row) -> None:
    r"""\begin{aligned}
    \frac{\partial \hat y_k}{\partial z_j} &= \hat y_k (\delta_{kj} - \hat y_j) , \\
    J &= \operatorname{diag}(\hat y) - \hat y \hat y^\top .
    \end{aligned}
    """
    y = soft(z)
    column = mp.matrix(y)
    J = mp.diag(y) - column * column.T
    for k, row in enumerate(jacobian(z)):
        for j, slope in enumerate(row):
            assert abs(slope - y[k] * ((1 if k == j else 0) - y[j])) < CLOSE
            assert abs(slope - J[k, j]) < CLOSE


@says(
    "A matrix. Every logit moves every probability, because they share one sum; the"
    r" derivatives fill a $K \times K$ *Jacobian*. It can be derived without the quotient"
    " rule and without two cases. Start from the logarithm ({eq}`eq-logsumexp` of"
    " {doc}`softmax`):",
    r"Differentiate the last term: $\frac{\partial}{\partial z_j} \log \sum_m e^{z_m} = e^{z_j} /"
    r" \sum_m e^{z_m} = \hat y_j$.",
    r"Hence $\frac{\partial \log \hat y_k}{\partial z_j} = \delta_{kj} - \hat y_j$, where"
    r" $\delta_{kj}$ is 1 for $k = j$ and 0 otherwise.",
    r"And $\frac{\partial \log \hat y_k}{\partial z_j} = \frac{1}{\hat y_k} \frac{\partial \hat"
    r" y_k}{\partial z_j}$. Multiply by $\hat y_k$:",
    r"The entries on the diagonal are $\hat y_k (1 - \hat y_k)$, as for a sigmoid; code"
    r" with `s * (1 - s)` forgets the rest. The others are $-\hat y_k \hat y_j$: what one"
    r" class gains, the others lose. $\hat y \hat y^\top$, a column times a row, is a"
    r" matrix (`np.outer`); $\hat y^\top \hat y$ would be a number.",
    "$J$ is symmetric, and each row and column sums to 0: the probabilities keep their sum of 1,"
    " and a constant added to all logits moves nothing.",
)
@few
@given(logits(3))
def the_derivative_of_softmax_is_a_matrix(z: Row) -> None:
    y, J = soft(z), jacobian(z)
    powers = [mp.exp(z_k) for z_k in z]
    lse = slopes(lambda z: mp.log(mp.fsum(mp.exp(z_m) for z_m in z)), z)
    assert close(lse, [power / mp.fsum(powers) for power in powers])
    assert close(lse, y)
    for k in range(3):
        of_log = slopes(entry(lambda z: [mp.log(p_k) for p_k in soft(z)], k), z)
        assert close(of_log, [(k == j) - y[j] for j in range(3)])
        assert close(of_log, [slope / y[k] for slope in J[k]])
        assert all(abs(slope) > 1e-12 for slope in J[k])  # every logit moves it
        for j in range(3):
            assert abs(J[k][j] - (y[k] * (1 - y[k]) if j == k else -y[k] * y[j])) < CLOSE
            assert abs(J[k][j] - J[j][k]) < CLOSE
        assert abs(mp.fsum(J[k])) < CLOSE
        assert abs(mp.fsum(row[k] for row in J)) < CLOSE
    s = sigma(z[0])
    assert abs(mp.diff(sigma, z[0]) - s * (1 - s)) < CLOSE
    numbers = np.array(y, dtype=float)
    assert np.outer(numbers, numbers).shape == (3, 3)
    assert (numbers @ numbers).shape == ()


@few
@given(logits(3), logits(3))
def eq_softmax_backward(z: Row, g: Row) -> None:
    r"""\begin{aligned}
    J g &= \hat y \odot g - \hat y \, (\hat y^\top g) \\
    &= \hat y \odot \Bigl( g - \textstyle\sum_k \hat y_k g_k \Bigr) .
    \end{aligned}
    """
    y = soft(z)
    product = [dot(row, g) for row in jacobian(z)]
    assert close(product, [p * g_k - p * dot(y, g) for p, g_k in zip(y, g, strict=True)])
    mean = mp.fsum(p * g_k for p, g_k in zip(y, g, strict=True))
    assert close(product, [p * (g_k - mean) for p, g_k in zip(y, g, strict=True)])


@says(
    r"A batch has one $J$ for each row, but to send a gradient $g = \partial \ell / \partial \hat"
    " y$ back through softmax, you need not store them. Multiply out $J g$:",
    r"In {eq}`eq-softmax-backward`, $g = (1, \dots, 1)$ gives $\hat y \odot (1 - 1) = 0$."
    " You may see $10^{-17}$ instead, which is rounding. Weight the outputs, as a loss"
    " does, or ask for the Jacobian.",
)
def the_sum_of_the_outputs_has_no_slope() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 5, dtype=torch.float64, requires_grad=True)
    y = F.softmax(x, dim=-1)
    (zero,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    assert 1e-17 / 3 < zero[zero != 0].abs().median() < 3e-17
    assert zero.abs().max() < 1e-15
    g = torch.randn(200, 5).double()
    (back,) = torch.autograd.grad((y * g).sum(), x)
    assert torch.allclose(back, y * (g - (y * g).sum(dim=-1, keepdim=True)))  # no J at all
    assert back.abs().max() > 0.1
    whole = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda x: F.softmax(x, dim=-1), x[:3].detach()
    )
    for one, other in ((0, 1), (2, 0)):  # one J for each row: no row moves another
        assert not whole[one, :, other].any()
        assert whole[one, :, one].abs().max() > 0.01


# --- The chain rule ---


@few
@given(logits(3), distributions(3))
def eq_chain(z: Row, y: Row) -> None:
    r"""\begin{aligned}
    \frac{\partial \ell}{\partial z_j}
    &= \sum_k \left(-\frac{y_k}{\hat y_k}\right) \hat y_k (\delta_{kj} - \hat y_j) \\
    &= -y_j + \hat y_j \sum_k y_k \\
    &= \hat y_j - y_j .
    \end{aligned}
    """
    p, found = soft(z), slopes(lambda z: loss(z, y), z)
    for j in range(3):
        terms = [-y[k] / p[k] * (p[k] * ((k == j) - p[j])) for k in range(3)]
        assert abs(mp.fsum(terms) - found[j]) < CLOSE
        assert abs(-y[j] + p[j] * mp.fsum(y) - found[j]) < CLOSE
        assert abs(p[j] - y[j] - found[j]) < CLOSE


@says(
    r"By a sum over all probabilities, in which $1 / \hat y_k$ cancels. The derivative of"
    r" the loss with respect to a *probability* is $g_k = -y_k / \hat y_k$. The logit $z_j$"
    " acts through *all* probabilities, so sum over them:",
    r"In line 2, the $\hat y_k$ cancel, and only $k = j$ has $\delta_{kj} = 1$. In line 3,"
    " the $y_k$ sum to 1.",
    "Nothing here requires a hard label: soft targets have the same gradient, and it is 0"
    r" at $\hat y = y$. (Finite logits only come near a target that contains a 0.)",
)
@few
@given(logits(3), distributions(3), st.integers(2, 3))
def the_two_ways(z: Row, y: Row, M: int) -> None:
    p = soft(z)
    g = slopes(lambda p: H(y, p), p)
    assert close(g, [-y_k / p_k for y_k, p_k in zip(y, p, strict=True)])
    assert close(
        [dot(column, g) for column in zip(*jacobian(z), strict=True)],
        slopes(lambda z: H(y, soft(z)), z),
    )
    for j in range(3):  # line 2 also holds where line 3 does not
        target = [M * y_k for y_k in y]
        second = -target[j] + p[j] * mp.fsum(target)
        long = [-target[k] / p[k] * p[k] * ((k == j) - p[j]) for k in range(3)]
        assert abs(mp.fsum(long) - second) < TINY
        assert abs(second - (p[j] - target[j])) > TINY or abs(p[j] * (M - 1)) < TINY
    lse = mp.log(mp.fsum(map(mp.exp, z)))
    assert abs(lse - dot(y, z) - H(y, p)) < TINY
    assert close(slopes(lambda z: mp.log(mp.fsum(map(mp.exp, z))), z), p)
    assert close(slopes(lambda z: -dot(y, z), z), [-y_j for y_j in y])
    if min(y) > 0:
        at_y = [mp.log(y_k) for y_k in y]
        assert close(slopes(lambda z: loss(z, y), at_y), [mpf(0)] * 3)
    else:
        assert max(abs(p_k - y_k) for p_k, y_k in zip(p, y, strict=True)) > 0
        far = [mp.log(y_k) if y_k else mpf(-100) for y_k in y]
        assert close(soft(far), y, 1e-40)


@says(
    "It is usually in one of two places:",
    "only the term $k = j$ of the sum in {eq}`eq-chain` is there: that gives $-y_j (1 -"
    r" \hat y_j)$, right for the label and 0 for all others, which then are never pushed"
    " down;",
    r"the derivative of the logarithm, $1 / \hat y_k$, was forgotten: then nothing"
    " cancels.",
)
@few
@given(logits(3), st.integers(0, 2))
def the_two_mistakes(z: Row, label: int) -> None:
    y, p, J = onehot(label), soft(z), jacobian(z)
    for j in range(3):
        own = -y[j] / p[j] * J[j][j]
        assert abs(own + y[j] * (1 - p[j])) < CLOSE
        assert abs(own - ((p[j] - 1) if j == label else 0)) < CLOSE
        forgotten = mp.fsum(-y[k] * J[k][j] for k in range(3))
        assert abs(forgotten + y[j] * p[j] - p[label] * p[j]) < CLOSE  # products, all of them
        assert abs(forgotten - (p[j] - y[j])) > 1e-9


@says(
    "Yes: the Jacobian knows the sum. Any other way to write the loss for probabilities"
    " that sum to 1 adds the same constant $c$ to all $g_k$, and $J (g + c) = J g$,"
    " because the rows of $J$ sum to 0.",
)
@few
@given(logits(3), distributions(3), reals())
def the_jacobian_knows_the_sum(z: Row, y: Row, c: Real) -> None:
    p = soft(z)

    def written(p: Row) -> Real:  # the same for all p that sum to 1
        return H(y, p) + c * (mp.fsum(p) - 1) + mp.sin(mp.fsum(p) - 1)

    assert abs(written(p) - H(y, p)) < TINY
    difference = [
        a - b for a, b in zip(slopes(written, p), slopes(lambda p: H(y, p), p), strict=True)
    ]
    assert close(difference, [c + 1] * 3)
    J = jacobian(z)
    g = slopes(lambda p: H(y, p), p)
    assert close([dot(row, [g_k + c for g_k in g]) for row in J], [dot(row, g) for row in J])


@says(
    "No: it is already inside, where it canceled. That is why code for this loss has no"
    r" $\hat y (1 - \hat y)$ at the output while code for squared error has it. If you"
    " multiply by it once more, the gradient dies for confident mistakes"
    " ({doc}`why_not_mse`), as it does behind a second softmax"
    " ({ref}`torch-softmax-layer`).",
)
@few
@given(reals(-12, -2))
def it_is_inside_where_it_canceled(z: Real) -> None:
    p = sigma(z)  # the answer is yes
    assert abs(mp.diff(lambda z: -mp.log(sigma(z)), z) - (p - 1)) < CLOSE
    assert abs(mp.diff(lambda p: -mp.log(p), p) * p * (1 - p) - (p - 1)) < CLOSE
    assert abs(mp.diff(lambda z: (sigma(z) - 1) ** 2 / 2, z) - (p - 1) * p * (1 - p)) < CLOSE
    assert abs(p - 1) > 0.88
    assert abs((p - 1) * p * (1 - p)) < mp.exp(z)
    behind_two = mp.diff(lambda z: -mp.log(soft(soft([z, mpf(0)]))[0]), z)
    assert abs(behind_two) < 2 * mp.exp(z)


@says(
    r"Yes: one logit $z$ and a sigmoid give $\hat y - y$ as well ({eq}`eq-bce-gradient` of"
    " {doc}`binary`). Two logits with a softmax share this gradient: only $z = z_1 - z_0$"
    r" counts, so the chain rule gives $\hat y - y$ for $z_1$ and the opposite for $z_0$.",
)
@few
@given(logits(2), st.integers(0, 1))
def two_logits_share_it(z: Row, label: int) -> None:
    d = z[1] - z[0]
    one = mp.diff(lambda d: -mp.log(sigma(d) if label else 1 - sigma(d)), d)
    assert abs(one - (sigma(d) - label)) < CLOSE
    assert close(slopes(lambda z: loss(z, onehot(label, 2)), z), [-one, one])
    same(loss(z, onehot(label, 2)), loss([mpf(0), d], onehot(label, 2)))


# --- The size ---


@says(
    r"**It sums to 0**, because $\sum_k \hat y_k - \sum_k y_k = 1 - 1$. Seen from the loss: a"
    r" constant added to all logits changes nothing, so the slope in the direction $(1, \dots, 1)$"
    " is 0. Gradient descent on the logits never moves their mean.",
    r"**Each entry lies between −1 and 1, and the length is below $\sqrt 2$**, if the"
    r" target is a distribution. For a hard label, the entry of the label is $-(1 - \hat"
    r" y_y)$. The others are positive and add up to $1 - \hat y_y$, so their squares add up"
    r" to at most $(1 - \hat y_y)^2$. Together: $\lVert \hat y - y \rVert \le \sqrt 2 \, (1"
    r" - \hat y_y) < \sqrt 2$. A soft target is a mixture of hard ones, so its gradient is"
    " the same mixture of theirs, and no longer than the longest. A mean over $N$ samples"
    " gives each of them $1/N$ of that.",
    r"It sums to 0.",
)
@given(
    st.lists(reals(-50, 50), min_size=4, max_size=4), distributions(), st.integers(0, 3), reals()
)
def it_sums_to_0_and_is_short(z: Row, y: Row, label: int, c: Real) -> None:
    p = soft(z)
    gradient = [p_k - y_k for p_k, y_k in zip(p, y, strict=True)]
    assert abs(mp.fsum(gradient)) < TINY
    same(loss([z_k + c for z_k in z], y) + 1, loss(z, y) + 1)
    stepped = [z_k - 3 * g_k for z_k, g_k in zip(z, gradient, strict=True)]
    assert abs(mp.fsum(stepped) - mp.fsum(z)) < TINY
    assert all(-1 <= g_k <= 1 for g_k in gradient)
    assert mp.norm(gradient) < mp.sqrt(2)
    hard = [[p_k - t for p_k, t in zip(p, onehot(one, 4), strict=True)] for one in range(4)]
    same(hard[label][label], -(1 - p[label]))
    others = [g for k, g in enumerate(hard[label]) if k != label]
    assert min(others) > 0
    same(mp.fsum(others), 1 - p[label])
    assert mp.fsum(g**2 for g in others) <= (1 - p[label]) ** 2
    assert mp.norm(hard[label]) <= mp.sqrt(2) * (1 - p[label]) < mp.sqrt(2)
    mixture = [dot(y, column) for column in zip(*hard, strict=True)]
    assert close(mixture, gradient, TINY)
    assert mp.norm(gradient) <= max(map(mp.norm, hard)) + TINY


@says(
    r"So the loss is *Lipschitz* in the logits, with constant $\sqrt 2$: a confident mistake pulls"
    " hard, an outrageous one no harder. If gradients explode, look at what multiplies this one:"
    " the layers below, with their inputs and weights; a class weight; a temperature below 1; a"
    " sum in place of a mean.",
)
@few
@given(logits(), logits(), st.integers(0, 3))
def the_loss_is_lipschitz(z: Row, other: Row, label: int) -> None:
    y = onehot(label, 4)
    way = mp.norm([a - b for a, b in zip(z, other, strict=True)])
    assert abs(loss(z, y) - loss(other, y)) <= mp.sqrt(2) * way
    far = [loss([mpf(0), mpf(lead)], onehot(0, 2)) for lead in (29, 30, 300, 301)]
    assert close([far[1] - far[0]], [1], 1e-9)
    assert close([far[3] - far[2]], [1], 1e-9)
    # What multiplies: of a layer w x below, a class weight, a temperature and a sum of N.
    steep = mp.norm(slopes(lambda z: loss(z, y), z))
    x, w = mpf(7), mpf(9)
    below = mp.diff(lambda w: loss([w * x, *z[1:]], y), z[0] / x)
    assert abs(below - x * slopes(lambda z: loss(z, y), z)[0]) < CLOSE
    for multiplied, factor in (
        (lambda z: w * loss(z, y), w),
        (lambda z: mp.fsum([loss(z, y)] * 9), 9),
    ):
        assert abs(mp.norm(slopes(multiplied, z)) - factor * steep) < CLOSE
    cold = [z_k / 10 for z_k in z]
    assert (
        abs(mp.norm(slopes(lambda z: loss([10 * z_k for z_k in z], y), cold)) - 10 * steep) < CLOSE
    )


# --- Logistic regression ---


def total(theta: Row, X: list[Row], y: list[int]) -> Real:
    """Return the sum of the binary cross-entropies of a model with intercept theta[0]."""
    z = [theta[0] + dot(theta[1:], x) for x in X]
    return -mp.fsum(
        mp.log(sigma(z_i) if y_i else 1 - sigma(z_i)) for z_i, y_i in zip(z, y, strict=True)
    )


SAMPLES = st.lists(logits(2), min_size=3, max_size=3)
ANSWERS = st.lists(st.integers(0, 1), min_size=3, max_size=3)
THETA = st.lists(reals(-1, 1), min_size=3, max_size=3)


@few
@given(SAMPLES, ANSWERS, THETA)
def eq_coefficient(X: list[Row], y: list[int], theta: Row) -> None:
    r"""\begin{aligned}
    \frac{\partial}{\partial \theta_j} \sum_i \ell_i &= \sum_i (\hat y_i - y_i) \, x_{ij} , \\
    \frac{\partial}{\partial \theta_0} \sum_i \ell_i &= \sum_i (\hat y_i - y_i) .
    \end{aligned}
    """
    p = [sigma(theta[0] + dot(theta[1:], x)) for x in X]
    found = slopes(lambda theta: total(theta, X, y), theta)
    intercept = mp.fsum(p[i] - y[i] for i in range(3))
    rest = [mp.fsum((p[i] - y[i]) * X[i][j] for i in range(3)) for j in range(2)]
    assert close(found, [intercept, *rest])


@few
@given(SAMPLES, ANSWERS, THETA)
def eq_logistic_gradient(features: list[Row], y: list[int], theta: Row) -> None:
    r"""\nabla_\theta \sum_i \ell_i
    = \underbrace{X^\top}_{(D + 1) \times N} \underbrace{(\hat y - y)}_{N} ,
    """
    X = mp.matrix([[1, *row] for row in features])
    z = X * mp.matrix(theta)
    error = mp.matrix([sigma(z[i]) - y[i] for i in range(3)])
    found = slopes(lambda theta: total(theta, features, y), theta)
    assert close(found, list(X.T * error))
    D, N = 5, 4  # other sizes than 3 and 3
    X = mp.ones(N, D + 1)
    assert (X.T.rows, X.T.cols) == (D + 1, N)
    product = X.T * mp.ones(N, 1)
    assert (product.rows, product.cols) == (D + 1, 1)


@says(
    r"Let sample $i$ have the features $x_{i1}, \dots, x_{iD}$ and the logit $z_i = \theta_0 +"
    r" \sum_j \theta_j x_{ij}$, and let $\ell_i$ be its binary cross-entropy. Then $\partial"
    r" \ell_i / \partial z_i = \hat y_i - y_i$, and the chain rule only has to add $\partial z_i /"
    r" \partial \theta_j = x_{ij}$, or 1 for the intercept:",
    "Give $X$ one sample per row, and a column of ones for the intercept. The sum over $i$ runs"
    r" down a column of $X$, a row of $X^\top$; all derivatives at once are",
    r"and for the mean, $\frac1N X^\top (\hat y - y)$. The result has $D + 1$ entries, as"
    r" $\theta$ has. Squared error with a linear model has the same formula (up to a factor"
    r" of 2); only its $\hat y$ is different.",
)
def the_gradient_of_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    N, D = 7, 2
    features, y = rng.normal(size=(N, D)), rng.integers(0, 2, N)
    X = np.insert(features, 0, 1, axis=1)
    theta = torch.tensor(rng.normal(size=D + 1), requires_grad=True)
    z = theta[0] + torch.tensor(features) @ theta[1:]
    p, target = torch.sigmoid(z).detach().numpy(), torch.tensor(y, dtype=torch.float64)
    for how, divisor in (("sum", 1), ("mean", N)):
        ell = F.binary_cross_entropy_with_logits(z, target, reduction=how)
        (found,) = torch.autograd.grad(ell, theta, retain_graph=True)
        assert np.allclose(found, X.T @ (p - y) / divisor)
        assert found.shape == theta.shape == (D + 1,)
        by_z = torch.autograd.grad(ell, z, retain_graph=True)[0]
        assert np.allclose(by_z, (p - y) / divisor)
    for j in range(D + 1):
        (of_z,) = torch.autograd.grad(z[3], theta, retain_graph=True)
        assert of_z[j] == (1 if j == 0 else features[3, j - 1])
        down = sum(X[i, j] * (p - y)[i] for i in range(N))
        assert np.isclose(down, X.T[j] @ (p - y))
    linear = torch.tensor(X) @ theta
    (found,) = torch.autograd.grad(((linear - target) ** 2).sum(), theta)
    assert np.allclose(found, 2 * X.T @ (linear.detach().numpy() - y))


@says(
    r"**Why not the inverse of $X$?** That would answer another question: which $\theta$"
    " gives these logits? The transpose does the sum over samples. **A gradient has the"
    " shape of what it belongs to**: check that first.",
    "A gradient has the shape of what it belongs to.",
)
def the_transpose_is_not_the_inverse() -> None:
    rng = np.random.default_rng(0)
    X, theta = rng.normal(size=(3, 3)), rng.normal(size=3)
    assert np.allclose(np.linalg.inv(X) @ (X @ theta), theta)
    r = rng.normal(size=3)
    assert np.allclose(X.T @ r, sum(X[i] * r[i] for i in range(3)))
    assert not np.allclose(np.linalg.inv(X) @ r, X.T @ r)
    layer = torch.nn.Linear(4, 3)
    hidden = torch.randn(2, 4, requires_grad=True)
    F.cross_entropy(layer(hidden), torch.tensor([0, 2])).backward()  # type: ignore[no-untyped-call]
    for each in (layer.weight, layer.bias, hidden):
        assert each.grad is not None
        assert each.grad.shape == each.shape


# --- The last layer ---


@says(
    "Let $H$ hold the activations of the last hidden layer, a row for each of $N$ samples, and"
    r" let $Z = H W + b$. Write $G = \partial L / \partial Z = \frac1N (\hat Y - Y)$. From $Z_{nk}"
    r" = \sum_d H_{nd} W_{dk} + b_k$:",
    r"| $W_{dk}$ | $\sum_n H_{nd} \, G_{nk}$ | $H^\top G$ |",
    r"| $b_k$ | $\sum_n G_{nk}$ | column sums of $G$ |",
    r"| $H_{nd}$ | $\sum_k G_{nk} \, W_{dk}$ | $G W^\top$ |",
    "Each line sums over the index that its first column lacks. A weight from a hidden"
    " unit to a class moves by *activity times error*. The third line hands the error on:"
    " each unit gets back the errors of the classes, times the weights that connect them.",
    "A weight gets the error above it times the activity below it. A hidden unit collects"
    " the errors of what it feeds, each times the weight that connects them.",
    "The error of the class times the ink of the pixel.",
    r"In the small network above, take $h = \tanh(a)$ in place of the ReLU. Find the"
    r" gradient with respect to $V$ and check it. (Hint: $\tanh' = 1 - \tanh^2$, entry by"
    " entry.)",
)
def the_gradient_of_the_layers() -> None:
    torch.manual_seed(0)
    N, D, K = 6, 4, 3
    X = torch.randn(N, 2).double()
    V, W, b = (torch.randn(*s).double().requires_grad_() for s in ((2, D), (D, K), (K,)))
    A = X @ V
    Hidden = torch.tanh(A)
    Z = Hidden @ W + b
    label = torch.tensor([0, 2, 1, 1, 0, 2])
    L = F.cross_entropy(Z, label)
    G, of_A, of_H, of_V, of_W, of_b = torch.autograd.grad(L, (Z, A, Hidden, V, W, b))
    assert torch.allclose(G, (F.softmax(Z, dim=1) - F.one_hot(label)) / N)
    for d in range(D):
        for k in range(K):
            activity_times_error = sum(Hidden[n, d] * G[n, k] for n in range(N))
            assert torch.allclose(of_W[d, k], torch.as_tensor(activity_times_error))
        for n in range(N):
            back = sum(G[n, k] * W[d, k] for k in range(K))  # weighted as it fed them
            assert torch.allclose(of_H[n, d], torch.as_tensor(back))
            assert Z[n, 0].isclose(sum(Hidden[n, e] * W[e, 0] for e in range(D)) + b[0])
    assert torch.allclose(of_W, Hidden.T @ G)
    assert torch.allclose(of_b, G.sum(dim=0))
    assert torch.allclose(of_H, G @ W.T)
    assert torch.allclose(of_A, of_H * (1 - Hidden**2))
    assert torch.allclose(of_V, X.T @ of_A)
    x = sympy.Symbol("x")
    assert sympy.simplify(sympy.tanh(x).diff(x) - (1 - sympy.tanh(x) ** 2)) == 0


@says(
    "No. `crossent.linear_cross_entropy` takes $H$, $W$ and $b$, and holds only a part of"
    " the logits at a time. Its gradient is the three arrays of the table. Like PyTorch's"
    r" `Linear`, it wants a row of weights for each class, which is $W^\top$:",
)
def the_logits_need_not_be_held() -> None:
    rng = np.random.default_rng(0)
    N, V = 1000, 2500
    hidden, W, labels = rng.normal(size=(N, 2)), rng.normal(size=(2, V)), rng.integers(0, V, N)
    linear = crossent.value_and_grad(crossent.linear_cross_entropy)
    tracemalloc.start()
    value, gradient = linear(hidden, W.T, labels, bias=np.zeros(V))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * N * V / 2  # float64 has 8 bytes
    assert [np.shape(each) for each in gradient if each is not None] == [(N, 2), (V, 2), (V,)]
    assert np.isclose(
        value, crossent.sparse_categorical_cross_entropy_with_logits(hidden @ W, labels)
    )
    assert torch.nn.Linear(2, V).weight.shape == W.T.shape


# --- The Hessian ---


@few
@given(logits(3), st.integers(0, 2))
def eq_softmax_hessian(z: Row, label: int) -> None:
    r"""\nabla_z^2 \ell = \operatorname{diag}(\hat y) - \hat y \hat y^\top ."""
    y, p = onehot(label), soft(z)
    column = mp.matrix(p)
    expected = mp.diag(p) - column * column.T
    eps = mpf(10) ** -15
    for k in range(3):
        up, down = ([z_j + s * (j == k) for j, z_j in enumerate(z)] for s in (eps, -eps))
        ends = [slopes(lambda z: loss(z, y), end) for end in (up, down)]
        for j in range(3):
            assert abs((ends[0][j] - ends[1][j]) / (2 * eps) - expected[k, j]) < 1e-12


@says(
    "It is the Jacobian of softmax, and it is singular, because a shift of all logits"
    r" changes nothing. Differentiate $\hat y - y$ once more. The target is constant, so"
    " what remains is the Jacobian of softmax, whatever the label:",
    r"For every direction $v$, $v^\top (\operatorname{diag}(\hat y) - \hat y \hat y^\top) \, v ="
    r" \sum_k \hat y_k v_k^2 - \bigl(\sum_k \hat y_k v_k\bigr)^2$, the *variance* of the numbers"
    r" $v_k$ under the probabilities $\hat y$. A variance is never negative: the Hessian is"
    " positive semidefinite and the loss convex in the logits. It is 0 only if all $v_k$ are"
    " equal, as no probability of finite logits is 0. So the only null vectors are the multiples"
    r" of $(1, \dots, 1)$, the shift that softmax ignores. The variance of numbers from an"
    r" interval of length $d$ is at most $d^2 / 4$, and $d^2 \le 2$ if $v$ has length 1: no"
    " eigenvalue exceeds ½ {cite}`bohning1992`.",
)
@few
@given(logits(3), logits(3), logits(3))
def the_hessian_is_a_variance(z: Row, v: Row, other: Row) -> None:
    p = soft(z)
    J = mp.matrix(jacobian(z))
    column = mp.matrix(v)
    form = (column.T * J * column)[0]
    mean = dot(p, v)
    variance = mp.fsum(p_k * (v_k - mean) ** 2 for p_k, v_k in zip(p, v, strict=True))
    assert abs(form - variance) < CLOSE * 100
    assert (
        abs(mp.fsum(p_k * v_k**2 for p_k, v_k in zip(p, v, strict=True)) - mean**2 - variance)
        < TINY
    )
    assert (variance < TINY) == (len(set(v)) == 1)
    d = max(v) - min(v)
    assert variance <= d**2 / 4 + TINY
    assert d**2 <= 2 * dot(v, v)
    eigenvalues = list(mp.eigsy((J + J.T) / 2, eigvals_only=True))
    assert abs(eigenvalues[0]) < CLOSE
    assert TINY < eigenvalues[1] <= eigenvalues[2] < 0.5 + CLOSE  # a single null direction
    assert close(list(J * mp.ones(3, 1)), [mpf(0)] * 3)
    half = [(a + b) / 2 for a, b in zip(z, other, strict=True)]
    for label in range(3):
        y = onehot(label)
        assert loss(half, y) <= (loss(z, y) + loss(other, y)) / 2 + TINY
    tied = mp.eigsy(mp.matrix([[0.25, -0.25], [-0.25, 0.25]]), eigvals_only=True)
    same(max(tied), mpf(1) / 2)  # which two equal classes reach


@says(
    "Perhaps not: correct code fails, too, in three ways. First, the method solves"
    r" $\nabla^2 \ell \, d = -\nabla \ell$, and a singular matrix has no inverse:"
    " `np.linalg.solve` says `Singular matrix`, or rounding hides the 0 and the answer is"
    " arbitrary. Take the shortest solution with `np.linalg.lstsq`, fix one class's logit"
    " at 0, or add a penalty, which moves the goal a little.",
)
def a_singular_matrix_and_its_three_cures() -> None:
    goal = np.array([0.7, 0.2, 0.1])
    p = np.array([0.5, 0.5])
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.solve(np.diag(p) - np.outer(p, p), p - [1, 0])
    found = []
    for nudge in (0, 1e-16, -1e-16):  # rounding
        q = np.exp([0.3, nudge, 0.1]) / np.exp([0.3, nudge, 0.1]).sum()
        matrix = np.diag(q) - np.outer(q, q)
        try:
            found.append(np.linalg.solve(matrix, goal - q).mean())
        except np.linalg.LinAlgError:
            found.append(np.inf)
        shortest = np.linalg.lstsq(matrix, goal - q)[0]
        assert np.allclose(matrix @ shortest, goal - q)
        assert abs(shortest.mean()) < 1e-12
    assert max(map(abs, found)) > 1e-3  # it has wandered off along (1, 1, 1)

    def newton(fixed: int, penalty: float) -> Any:
        z = np.zeros(3)
        for _ in range(10):
            q = np.exp(z) / np.exp(z).sum()
            matrix = np.diag(q) - np.outer(q, q) + penalty * np.eye(3)
            z[fixed:] -= np.linalg.solve(matrix[fixed:, fixed:], (q - goal + penalty * z)[fixed:])
        return np.exp(z) / np.exp(z).sum()

    assert np.allclose(newton(1, 0), goal)
    assert 1e-4 < np.abs(newton(0, 0.01) - goal).max() < 0.05


@says(
    r"Logistic regression inherits all of this. With $\partial \hat y_i / \partial"
    r" \theta_k = \hat y_i (1 - \hat y_i) \, x_{ik}$, the derivative of"
    r" {eq}`eq-coefficient` is $\sum_i x_{ij} \, \hat y_i (1 - \hat y_i) \, x_{ik}$, or"
    r" $X^\top S X$ with $S = \operatorname{diag}(\hat y_i (1 - \hat y_i))$. In"
    " {doc}`why_not_mse` it proves convexity, and in {ref}`an exercise"
    " <ex-gradient-newton>` it becomes a fast solver.",
)
@few
@given(SAMPLES, ANSWERS, THETA)
def logistic_regression_inherits_the_hessian(features: list[Row], y: list[int], theta: Row) -> None:
    X = mp.matrix([[1, *row] for row in features])
    p = [sigma(z) for z in X * mp.matrix(theta)]
    S = mp.diag([p_i * (1 - p_i) for p_i in p])
    XSX = X.T * S * X
    for k in range(3):
        for i in range(3):
            slope = slopes(entry(lambda t: [sigma(z) for z in X * mp.matrix(t)], i), theta)[k]
            assert abs(slope - p[i] * (1 - p[i]) * X[i, k]) < CLOSE
        for j in range(3):
            second = mp.fsum(X[i, j] * p[i] * (1 - p[i]) * X[i, k] for i in range(3))
            assert abs(second - XSX[j, k]) < TINY

            def gradient(t: Row, j: int = j) -> Real:
                q = [sigma(z) for z in X * mp.matrix(t)]
                return mp.fsum((q[i] - y[i]) * X[i, j] for i in range(3))

            assert abs(slopes(gradient, theta)[k] - second) < CLOSE


# --- Variants ---


@says(
    r"| {doc}`smoothed or soft target <smoothing>` $t$ | $\hat y - t$, zero at $\hat y = t$ |",
    r"| {doc}`temperature <softmax>` $\tau$ | $\frac1\tau (\operatorname{softmax}(z / \tau) - y)$"
    " |",
    r"| {doc}`focal loss <family>` | $w(p_y) \, (\hat y - y)$, where $w(p) = (1 - p)^\gamma$ $-"
    r" \gamma p (1 - p)^{\gamma - 1} \log p$ |",
)
@few
@given(
    logits(3), distributions(3, least=1), st.integers(0, 2), st.integers(1, 4), st.integers(1, 4)
)
def the_gradients_of_the_variants(z: Row, t: Row, label: int, tau: int, gamma: int) -> None:
    y, p = onehot(label), soft(z)
    assert close(
        slopes(lambda z: loss(z, t), z), [p_k - t_k for p_k, t_k in zip(p, t, strict=True)]
    )
    assert close(slopes(lambda z: loss(z, t), [mp.log(t_k) for t_k in t]), [mpf(0)] * 3)
    cool = soft([z_k / tau for z_k in z])
    assert close(
        slopes(lambda z: loss([z_k / tau for z_k in z], y), z),
        [(p_k - y_k) / tau for p_k, y_k in zip(cool, y, strict=True)],
    )

    def focal(z: Row) -> Real:
        right = soft(z)[label]
        return -((1 - right) ** gamma) * mp.log(right)

    right = p[label]
    w = (1 - right) ** gamma - gamma * right * (1 - right) ** (gamma - 1) * mp.log(right)
    assert close(slopes(focal, z), [w * (p_k - y_k) for p_k, y_k in zip(p, y, strict=True)])


# --- What goes wrong ---


@says(
    "At a margin of 17 in float32, $1 + e^{-17}$ rounds to 1. So the probability of the true"
    r" class is computed as 1, and $\hat y_y - 1$ as 0.",
    "In float64 this happens only at a larger margin. (A 0 in *every* entry is something"
    " else: an ignored label, a weight of 0, a float16 that underflowed.)",
)
def a_margin_of_17_rounds_away() -> None:
    one = np.float32(1)
    assert one + np.exp(np.float32(-17)) == one
    assert one + np.exp(np.float32(-15)) > one
    assert 1 + np.exp(-17) > 1
    assert 1 + np.exp(-38) == 1
    x = torch.tensor([[2.0, 0.0]], requires_grad=True)
    for options in ({"ignore_index": 0}, {"weight": torch.tensor([0.0, 1.0])}):
        ce = F.cross_entropy(x, torch.tensor([0]), reduction="sum", **options)
        assert not torch.autograd.grad(ce, x)[0].any()
    half = torch.tensor([[18.0, 0.0]], dtype=torch.float16, requires_grad=True)
    (slope,) = torch.autograd.grad(F.cross_entropy(half, torch.tensor([0])), half)
    assert not slope.any()


@says(
    "PyTorch has an [issue](https://github.com/pytorch/pytorch/issues/195678) on this,"
    r" open when this was written. Where $\hat y_y$ is rounded to bfloat16 before 1 is"
    " subtracted, it comes much earlier: the authors of the Liger kernels"
    " [measured](https://github.com/linkedin/Liger-Kernel/pull/1329) an error of 100% at"
    r" $\hat y_y = 0.999$ after such a change, and repaired it.",
)
def bfloat16_comes_earlier() -> None:
    right = torch.tensor(0.999)
    assert right - 1 < 0
    assert right.to(torch.bfloat16) - 1 == 0  # all of it is lost: 100%
    assert np.log(0.999 / 0.001) < 17


@says(
    "Within about $10^{-11}$ times the loss, in float64. So look at the dtype first."
    " PyTorch's `gradcheck` moves by $10^{-6}$, which is hopeless in float32:",
    "In float64, a central difference leaves an error near $10^{-11}$ times the loss. Two"
    " numbers that agree to three digits are *not* close: there is a mistake, a kink,"
    " float32, or the wrong step. Where an entry is nearly 0, its relative error means"
    " nothing: divide the length of the difference by the length of the whole gradient."
    " Check a small problem, with random weights and without dropout."
    " `crossent.check_grad` extrapolates from two steps and names the worst entry.",
    r"Check it in float64, by a difference to both sides and against a library.",
)
def how_close_is_close_enough() -> None:
    assert inspect.signature(torch.autograd.gradcheck).parameters["eps"].default == 1e-6
    torch.manual_seed(0)
    x = torch.randn(300, 3, dtype=torch.float64)
    x[:, 2] = -20  # an entry of the gradient that is nearly 0

    def value(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(x, torch.zeros(len(x), dtype=torch.long), reduction="none")

    def central(x: torch.Tensor, h: float, column: int) -> torch.Tensor:
        move = h * torch.eye(3, dtype=x.dtype)[column]
        return (value(x + move) - value(x - move)) / (2 * h)

    exact = F.softmax(x, dim=1) - torch.tensor([1.0, 0, 0], dtype=torch.float64)
    found = torch.stack([central(x, 6e-6, column) for column in range(3)], dim=1)
    error = (found - exact).abs()
    assert 1e-12 < error.square().mean().sqrt() / value(x).mean() < 1e-10
    assert (error / exact.abs())[:, 2].max() > 1e-4  # which means nothing, as
    assert torch.linalg.norm(found - exact) / torch.linalg.norm(exact) < 1e-10
    rough = torch.stack([central(x.float(), 1e-6, column) for column in range(2)], dim=1)
    assert (rough - exact[:, :2]).abs().max() > 0.1  # hopeless
    wrong_step = torch.stack([central(x, 0.2, column) for column in range(2)], dim=1)
    assert 1e-4 < ((wrong_step - exact[:, :2]) / exact[:, :2]).abs().mean() < 1e-2  # three digits
    slope = np.log(np.exp(np.array([1.0, 2 + 1e-200j, 0])).sum()).imag / 1e-200
    assert slope == pytest.approx(crossent.softmax([1.0, 2.0, 0.0])[1], rel=1e-15)
    assert (F.dropout(torch.ones(99)) != F.dropout(torch.ones(99))).any()  # another one each time


@says("`crossent.check_grad` extrapolates from two steps and names the worst entry.")
def check_grad_extrapolates() -> None:
    ce = crossent.sparse_categorical_cross_entropy_with_logits
    z = np.array([[2.0, 1.0, 0.0], [0.5, -3.0, 1.0]])
    check = crossent.check_grad(ce, z, [0, 1])
    gradient = crossent.grad(ce)(z, [0, 1])
    assert check.analytic == pytest.approx(gradient[check.index])
    numerical = {}
    for index in np.ndindex(z.shape):
        slopes = []
        for step in (1 / 256, 1 / 512):
            moved = [z.copy(), z.copy()]
            for each, sign in zip(moved, (1, -1), strict=True):
                each[index] += sign * step
            slopes.append((ce(moved[0], [0, 1]) - ce(moved[1], [0, 1])) / (2 * step))
        assert abs(slopes[1] - gradient[index]) > 100 * check.error  # a single step is worse
        numerical[index] = (4 * slopes[1] - slopes[0]) / 3
    worst = max(numerical, key=lambda index: abs(numerical[index] - gradient[index]))
    assert check.error == pytest.approx(abs(numerical[worst] - gradient[worst]), abs=1e-13)


# --- The exercises ---


@says(
    "There are four classes, all logits are equal, and the label is 2 (counted from 0)."
    " Write down the gradient for this sample alone. What is it in a mean over 32 samples?"
    " And for two annotators who disagree, one for class 2, the other for class 3?",
    r"All probabilities are ¼, so the gradient is $(\tfrac14, \tfrac14, -\tfrac34,"
    r" \tfrac14)$, and a 32nd of that in the mean. The two annotators make the target $(0,"
    r" 0, \tfrac12, \tfrac12)$ and the gradient $(\tfrac14, \tfrac14, -\tfrac14,"
    r" -\tfrac14)$.",
)
@few
@given(reals())
def by_hand(c: Real) -> None:
    z, quarter = [c] * 4, mpf(1) / 4
    assert close(soft(z), [quarter] * 4, TINY)
    alone = slopes(lambda z: loss(z, onehot(2, 4)), z)
    assert close(alone, [quarter, quarter, -3 * quarter, quarter])
    in_mean = slopes(
        lambda z: (loss(z, onehot(2, 4)) + 31 * loss([mpf(1), 2, 3, 4], onehot(0, 4))) / 32, z
    )
    assert close([32 * each for each in in_mean], alone)
    both = slopes(lambda z: (loss(z, onehot(2, 4)) + loss(z, onehot(3, 4))) / 2, z)
    assert close(both, [quarter, quarter, -quarter, -quarter])
    assert close(both, slopes(lambda z: loss(z, [mpf(0), mpf(0), 2 * quarter, 2 * quarter]), z))


@says(
    "Tell versicolor from virginica (iris, classes 1 and 2) by the length and width of"
    r" the petals, with an intercept and without a penalty. Use Newton's method: $\theta"
    r" \leftarrow \theta - (X^\top S X)^{-1} X^\top (\hat y - y)$, where the diagonal"
    r" matrix $S$ holds $\hat y_i (1 - \hat y_i)$. How does the gradient shrink? Why would"
    " this fail for setosa against versicolor?",
    "This is the *iteratively reweighted least squares* of statistics.",
)
def newton_is_a_reweighted_least_squares() -> None:
    rng = np.random.default_rng(0)
    X, y = np.insert(rng.normal(size=(30, 2)), 0, 1, axis=1), rng.integers(0, 2, 30)
    theta = rng.normal(size=3)
    for _ in range(3):
        p = 1 / (1 + np.exp(-X @ theta))
        S = p * (1 - p)
        step = theta - np.linalg.inv(X.T @ np.diag(S) @ X) @ X.T @ (p - y)
        response = X @ theta + (y - p) / S  # which least squares with the weights S then fits
        root = np.sqrt(S)
        fitted = np.linalg.lstsq(root[:, None] * X, root * response)[0]
        assert np.allclose(step, fitted)
        theta = step
    data = datasets.load_iris()
    assert data.target_names.tolist() == ["setosa", "versicolor", "virginica"]
    assert [name[:5] for name in data.feature_names[2:]] == ["petal", "petal"]


@says(
    r"Let the logits flow down the gradient in small steps, $\frac{dz}{dt} = y - \hat y$, for a"
    " label $y$. Show that (a) $e^{-z_j}$ grows equally fast for all wrong classes $j$; (b) the"
    r" true class always gains; (c) a wrong class $j$ gains, too, as long as $\sum_k \hat y_k^2 >"
    r" \hat y_j + \hat y_y$. How does the curve in the triangle arrive at its corner?",
    r"(a) $\frac{d}{dt} e^{-z_j} = -e^{-z_j} \frac{dz_j}{dt} = e^{-z_j} \hat y_j = 1 / \sum_k"
    " e^{z_k}$, which does not depend on $j$.",
    r"(b), (c) By {eq}`eq-softmax-backward` with $g = y - \hat y$, $\frac{d \hat y_k}{dt} = \hat"
    r" y_k (y_k - \hat y_k - m)$, where $m = \sum_k \hat y_k (y_k - \hat y_k) = \hat y_y - \sum_k"
    r" \hat y_k^2$. For the label, the bracket is $1 - 2 \hat y_y + \sum_k \hat y_k^2 = (1 - \hat"
    r" y_y)^2 + \sum_{j \ne y} \hat y_j^2 > 0$; for a wrong class, it is $\sum_k \hat y_k^2 - \hat"
    r" y_j - \hat y_y$.",
)
@few
@given(logits(), st.integers(0, 3))
def the_bent_way(z: Row, label: int) -> None:
    y, p = onehot(label, 4), soft(z)
    flow = [t - q for t, q in zip(y, p, strict=True)]
    S = mp.fsum(map(mp.exp, z))

    def moved(t: Real) -> Row:
        return [z_k + t * f_k for z_k, f_k in zip(z, flow, strict=True)]

    squares = mp.fsum(q**2 for q in p)
    m = dot(p, flow)
    same(m + 2, p[label] - squares + 2)
    for k in range(4):
        gain = slopes(entry(lambda t: soft(moved(t[0])), k), [mpf(0)])[0]
        assert abs(gain - p[k] * (y[k] - p[k] - m)) < CLOSE
        if k == label:
            bracket = 1 - 2 * p[k] + squares
            rest = mp.fsum(p[j] ** 2 for j in range(4) if j != k)
            same(bracket, (1 - p[k]) ** 2 + rest)
            assert abs(gain - p[k] * bracket) < CLOSE
            assert gain > 0
        else:
            grown = slopes(entry(lambda t: [mp.exp(-x) for x in moved(t[0])], k), [mpf(0)])[0]
            assert abs(grown + mp.exp(-z[k]) * flow[k]) < CLOSE
            assert abs(grown - mp.exp(-z[k]) * p[k]) < CLOSE
            assert abs(grown - 1 / S) < CLOSE
            assert abs(gain - p[k] * (squares - p[k] - p[label])) < CLOSE
            if abs(squares - p[k] - p[label]) > 1e-6:
                assert (gain > 0) == (squares > p[k] + p[label])


@says(
    "As $s$ grows, all $e^{-z_j}$ become alike, and so do the wrong classes: the curve arrives"
    " half-way between the two sides.",
    "If one wrong class has nearly all the probability, this is near 1 for another: when"
    " the giant falls, all the others gain.",
)
@given(logits(3))
def the_curve_arrives_half_way(z: Row) -> None:
    s = mpf(10) ** 12
    wrong = [mp.exp(-z_j) + s for z_j in z[1:]]
    assert abs(wrong[0] / wrong[1] - 1) < 1e-9
    end = soft([mp.fsum(z) + mp.fsum(map(mp.log, wrong)), *(-mp.log(each) for each in wrong)])
    assert end[0] > 1 - 1e-9
    assert abs(end[1] / end[2] - 1) < 1e-9  # as far from the one side as from the other
    giant = soft([mpf(0), mpf(30), *z])
    bracket = mp.fsum(p**2 for p in giant) - giant[2] - giant[0]
    assert abs(bracket - 1) < 1e-9


# --- The sources ---


@says(
    "{cite:t}`bridle1990` paired softmax with this loss; {cite:t}`rumelhart1986` is four pages on"
    " backpropagation; {cite:t}`baydin2018` survey how frameworks automate it.",
)
def the_sources_are_about_that() -> None:
    assert "Probabilistic Interpretation" in source("bridle1990")
    assert "Back-Propagating Errors" in source("rumelhart1986").title()
    assert "Automatic Differentiation" in source("baydin2018").title()
    first, last = re.findall(r"pages *= \{(\d+)--(\d+)\}", source("rumelhart1986"))[0]
    assert int(last) - int(first) + 1 == 4


NUMBERS = {
    "The entry is 0.2": Given("the share that the question makes up"),
    "Train on the first 1,198 images": Computed(lambda: len(datasets.load_digits().target) * 2 / 3),
    r"With about $6 \cdot 10^{-6}$, to both sides": Computed(lambda: 2.0 ** (-52 / 3)),
    r"$h = u^{1/3} \approx 6 \cdot 10^{-6}$": Computed(lambda: 2.0 ** (-52 / 3)),
    "You may see $10^{-17}$ instead": Given("the order of a rounding of numbers below 0.1"),
    r"$u \approx 2 \cdot 10^{-16}$": Computed(lambda: 2.0**-52),
    r"an error of 100% at $\hat y_y = 0.999$": Cited(
        "https://github.com/linkedin/Liger-Kernel/pull/1329", "the description of the pull request"
    ),
}

UNTESTED = {
    "The rate and the number of steps are a first guess and were not tuned, so the new"
    " digits give an honest verdict.": "what was not done",
}
