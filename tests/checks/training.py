"""The chapter on training: what the losses of a network say before, during and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
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
    soft,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

TINY = mpf(10) ** -40
few = settings(max_examples=8)  # for what takes its time, such as derivatives of 60 digits
POSSIBLE = distributions(least=1)  # the logarithm of no share is infinite
SEEDS = st.integers(0, 9999)


def mean_loss(Z: Array, y: Array) -> float:
    """Return the cross-entropy of logits, without crossent."""
    shifted = Z - Z.max(axis=1, keepdims=True)
    surprises = np.log(np.exp(shifted).sum(axis=1)) - shifted[range(len(y)), y]
    return float(surprises.mean())


# --- Before the first step ---


@given(st.lists(reals(), min_size=2, max_size=4), st.integers(1, 9).map(lambda n: n / 10))
def eq_descent(theta: Row, eta: float) -> None:
    r"""\theta \leftarrow \theta - \eta \, \nabla_{\theta} L ,"""
    start = [float(each) for each in theta]
    leaf = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward((leaf**3).sum())  # its gradient is 3 θ²
    torch.optim.SGD([leaf], lr=eta).step()
    assert np.allclose(leaf.detach(), [each - eta * 3 * each**2 for each in start])


@says(
    "Then move every parameter a little against its slope:",
    "Gradient descent moves every parameter a little against its slope.",
    "The network learns by heart. Go back to the weights with the lowest validation loss.",
)
@few
@given(logits(3), st.integers(0, 2))
def a_step_against_the_slope_goes_down(z: Row, y: int) -> None:
    def loss(row: Row) -> Real:
        return -mp.log(soft(row)[y])

    slope = [mp.diff(lambda t, j=j: loss([*z[:j], t, *z[j + 1 :]]), z[j]) for j in range(3)]
    down = [z_j - mpf(1) / 100 * s_j for z_j, s_j in zip(z, slope, strict=True)]
    assert all((s_j > 0) == (d_j < z_j) for s_j, d_j, z_j in zip(slope, down, z, strict=True))
    assert loss(down) < loss(z)
    # The samples that a model has learned by heart say nothing of the others.
    seen, unseen = [(0, 0), (1, 1)], [(0, 0), (1, 0)]
    by_heart = {0: [0.99, 0.01], 1: [0.01, 0.99]}
    losses = [np.mean([-np.log(by_heart[x][t]) for x, t in part]) for part in (seen, unseen)]
    assert losses[0] < 0.02 < losses[1] / 50


@says(
    "A model that has learned nothing should prefer nothing. If all logits are equal, each of the"
    " $K$ classes gets $1/K$, whatever the labels.",
    "The first loss is $\\log 2 = 0.693$: the price of guessing between two classes.",
    "**And if the classes are not equally frequent?** A constant that knows the class frequencies"
    r" pays their entropy $H(\text{prior})$ instead of $\log K$ ({doc}`smoothing`); a model that"
    " ends above it has learned nothing from its inputs, or is surer than it should be.",
    r"With unequal classes, start the last bias at $\log \text{prior}$.",
)
@given(POSSIBLE, POSSIBLE, reals())
def what_guessing_costs(prior: Row, other: Row, equal: Real) -> None:
    K = len(prior)
    for y in range(K):
        same(-mp.log(soft([equal] * K)[y]), mp.log(K))
    same(H(prior, soft([mp.log(p) for p in prior])), H(prior))
    assert H(prior, other) > H(prior) if other != prior else H(prior, other) == H(prior)
    assert H(prior) < mp.log(K) + TINY


@says(
    "a model that ends above it has learned nothing from its inputs, or is surer than it should be."
)
@given(st.lists(POSSIBLE, min_size=2, max_size=2))
def who_pays_more_than_the_prior(truths: list[Row]) -> None:
    # Two inputs, equally frequent, each with its own probabilities of the classes.
    prior = [(a + b) / 2 for a, b in zip(*truths, strict=True)]
    honest = mp.fsum(map(H, truths)) / 2  # what is as sure as it should be
    assert honest < H(prior) - mpf(10) ** -9 if truths[0] != truths[1] else honest == H(prior)
    sharp = [[p**9 / mp.fsum(q**9 for q in truth) for p in truth] for truth in truths]
    surer = mp.fsum(H(truth, model) for truth, model in zip(truths, sharp, strict=True)) / 2
    assert surer >= honest


@says(
    r"The factor 0.25 is $\sqrt{2 / 32}$, for 32 inputs and units that pass half of what they get"
    " {cite}`he2015`. It keeps the signal of a *hidden* layer at its size.",
    "The *last* layer should be smaller still: if its logits spread by $\\sigma$, each in its own"
    r" way, the first loss is near $\log K + \sigma^2 / 2$ while σ is small, and grows like σ when"
    " it is large ({doc}`smoothing`).",
)
def how_logits_raise_the_first_loss() -> None:
    assert np.sqrt(2 / 32) == 0.25
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3000, 32))
    hidden = np.maximum(inputs @ (0.25 * rng.normal(size=(32, 64))), 0)
    assert 0.9 < (hidden**2).mean() / (inputs**2).mean() < 1.1
    labels = rng.integers(10, size=20_000)

    def first(sigma: float) -> float:
        return mean_loss(sigma * rng.normal(size=(20_000, 10)), labels)

    for sigma in (0.1, 0.2, 0.4):
        assert abs(first(sigma) - np.log(10) - sigma**2 / 2) < 0.15 * sigma**2
    assert 1.9 < first(40) / first(20) < 2.1


# --- The gradient of a network ---

SHAPES = ((5, 4), (4, 3), (3,), (3, 2), (2,))  # inputs, first weights and biases, last ones


def network(seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Draw inputs, parameters and labels of a small network."""
    rng = np.random.default_rng(seed)
    tensors = [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in SHAPES]
    return tensors, torch.tensor(rng.integers(2, size=5))


@given(SEEDS)
def eq_backward(seed: int) -> None:
    r"""\begin{aligned}
    \frac{\partial L}{\partial W_2} &= H^\top G , \quad
    \frac{\partial L}{\partial b_2} = \sum_n G_n , \\
    G_1 &= \bigl(G W_2^\top\bigr) \odot [H > 0] , \\
    \frac{\partial L}{\partial W_1} &= X^\top G_1 , \quad
    \frac{\partial L}{\partial b_1} = \sum_n (G_1)_n .
    \end{aligned}
    """
    (X, W1, b1, W2, b2), y = network(seed)
    before = X @ W1 + b1
    hidden = before.clamp(min=0)
    Z = hidden @ W2 + b2
    loss = F.cross_entropy(Z, y)
    found = torch.autograd.grad(loss, [W1, b1, W2, b2, before, Z])
    G = (Z.softmax(1) - F.one_hot(y, 2)) / 5
    G1 = (G @ W2.T) * (hidden > 0)
    claimed = [X.T @ G1, G1.sum(0), hidden.T @ G, G.sum(0), G1, G]
    for one, other in zip(found, claimed, strict=True):
        assert torch.allclose(one, other, rtol=1e-10)


@says(
    "Let $H$ be the hidden units, a row for each sample, and $Z = H W_2 + b_2$.",
    "With one-hot rows in $Y$, the loss gives $G = \\partial L / \\partial Z = (\\hat Y - Y)/N$"
    " ({doc}`gradient`), and then",
    r"Each logit $Z_{nk} = \sum_j H_{nj} W_{jk} + b_k$ meets weight $W_{jk}$ with factor $H_{nj}$:"
    " sum over samples, and the first line is there. It meets the unit $H_{nj}$ with factor"
    " $W_{jk}$: sum over classes. A unit at 0 passes no slope, hence the mask.",
)
@given(SEEDS)
def each_line_backwards(seed: int) -> None:
    (X, W1, b1, W2, b2), y = network(seed)
    hidden = (X @ W1 + b1).clamp(min=0)
    Z = hidden @ W2 + b2
    n, j, k = 1, 2, 0
    assert torch.isclose(Z[n, k], (hidden[n] * W2[:, k]).sum() + b2[k])
    by_weight, by_unit = torch.autograd.grad(Z[n, k], [W2, hidden], retain_graph=True)
    assert by_weight[j, k] == hidden[n, j]
    assert by_unit[n, j] == W2[j, k]
    loss = F.cross_entropy(Z, y)
    G, of_W2, of_hidden, of_X = torch.autograd.grad(loss, [Z, W2, hidden, X])
    assert torch.allclose(G, (Z.softmax(1) - F.one_hot(y, 2)) / len(y))
    assert torch.isclose(of_W2[j, k], (G[:, k] * hidden[:, j]).sum())
    assert torch.isclose(of_hidden[n, j], (G[n] * W2[j]).sum())
    silent = (hidden == 0).all(dim=1)
    assert (of_X[silent] == 0).all()


# --- Loss and accuracy ---


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=2, max_size=9))
def eq_split(samples: list[tuple[bool, int]]) -> None:
    r"""L = a \, L_{\text{right}} + (1 - a) \, L_{\text{wrong}} ."""
    losses = {kind: [mpf(x) / 8 for named, x in samples if named == kind] for kind in (True, False)}
    right, wrong = losses[True], losses[False]
    a = mpf(len(right)) / len(samples)
    parts = [mp.fsum(each) / max(len(each), 1) for each in (right, wrong)]
    same(mp.fsum([*right, *wrong]) / len(samples), a * parts[0] + (1 - a) * parts[1])


@says(
    "**Accuracy counts mistakes; the loss adds up their prices.**",
    "On training images that are named right, more confidence pays, so the weights grow; on new"
    " images it raises the price of every mistake.",
    "Validation loss can rise while accuracy rises: there are fewer mistakes, and each costs more.",
    "The model makes fewer mistakes, and is surer of each.",
    "Accuracy counts samples that cross a border; the loss sees each step towards it.",
    "**A loss mixes decisions and confidence.**",
)
@given(logits(), st.integers(1, 8))
def confidence_has_its_price(z: Row, more: int) -> None:
    surer = [(1 + mpf(more) / 8) * z_k for z_k in z]
    top = max(range(4), key=lambda k: z[k])
    for y in range(4):
        before, after = -mp.log(soft(z)[y]), -mp.log(soft(surer)[y])
        if y == top and len(set(z)) > 1:
            assert after < before  # named right
        if z[y] == min(z) and len(set(z)) > 1:
            assert after > before  # the surest mistake
    assert max(range(4), key=lambda k: surer[k]) == top  # the same decision
    # Fewer mistakes, each of them dearer: two wrong at 1 nat, then one wrong at 5.
    losses = [[0.1, 0.1, 1.0, 1.0], [0.1, 0.1, 0.1, 5.0]]
    wrong = [sum(each > np.log(2) for each in row) for row in losses]
    assert wrong[1] < wrong[0]
    assert np.mean(losses[1]) > np.mean(losses[0])


# --- Weight decay ---


@few
@given(SEEDS, st.integers(1, 9).map(lambda n: n / 10))
def eq_ball(seed: int, lam: float) -> None:
    r"""\lVert\theta\rVert \le \sqrt{2 \log K / \lambda} ,"""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(6, 2)), rng.integers(3, size=6)
    radius = np.sqrt(2 * np.log(3) / lam)
    for length in np.linspace(0.1, 3, 30) * radius:
        W = rng.normal(size=(2, 3))
        W *= length / np.linalg.norm(W)
        if mean_loss(X @ W, y) + lam / 2 * (W**2).sum() <= np.log(3):  # no worse than weights 0
            assert np.linalg.norm(W) <= radius
    # With a loss of 0 the bound is reached: nothing less would do.
    assert np.isclose(lam / 2 * radius**2, np.log(3))
    assert np.isclose(mean_loss(X @ np.zeros((2, 3)), y), np.log(3))


@says(
    "Stopping early repairs the symptom. The illness: on data that the network can separate, no"
    " weights are best, because a longer last layer lowers the training loss of any that do"
    " ({doc}`why_not_mse`).",
    r"**Weight decay** cures it: minimize $L + \tfrac{\lambda}{2} \lVert\theta\rVert^2$, whose"
    r" gradient is $\nabla L + \lambda \theta$ {cite}`krogh1991`. Now a finite minimum exists.",
    r"*Proof.* At weights 0 the sum is $\log K$. Weights that do better must have"
    r" $\tfrac{\lambda}{2} \lVert\theta\rVert^2 \le \log K$, because $L \ge 0$, so the search stays"
    " in the ball",
    r"in which the continuous function attains its minimum. ∎",
)
@few
@given(st.integers(1, 9).map(lambda n: mpf(n) / 10), st.integers(1, 9).map(mpf))
def what_weight_decay_does(lam: Real, length: Real) -> None:
    # Two samples that a weight separates: logits w and -w against 0.
    def loss(w: Real) -> Real:
        return -mp.log(soft([w, 0])[0])

    def penalized(w: Real) -> Real:
        return loss(w) + lam / 2 * w**2

    same(loss(mpf(0)), mp.log(2))
    assert loss(2 * length) < loss(length)  # longer is better, without end
    slope = mp.diff(penalized, length)
    assert abs(slope - (mp.diff(loss, length) + lam * length)) < mpf(10) ** -18
    ball = mp.sqrt(2 * mp.log(2) / lam)
    assert penalized(ball * 1.01) > mp.log(2) == penalized(0)
    inside = mp.findroot(lambda w: mp.diff(penalized, w), (0, ball), solver="bisect", tol=1e-12)
    assert penalized(inside) < min(penalized(inside * 1.1), penalized(inside * 0.9), mp.log(2))


@says(
    "In PyTorch it is `weight_decay` of `SGD` (with Adam, take `AdamW`, which applies it apart from"
    " the gradient); the loss that you log does not contain it."
)
def weight_decay_in_pytorch() -> None:
    def step(optimizer: Any, slope: float, **options: float) -> float:
        leaf = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
        loss = slope * leaf.sum()
        (leaf.grad,) = torch.autograd.grad(loss, leaf)
        assert loss.item() == 2 * slope  # no penalty in it
        optimizer([leaf], lr=0.1, **options).step()
        return 2.0 - leaf.item()

    assert step(torch.optim.SGD, 0.3, weight_decay=0.5) == pytest.approx(0.1 * (0.3 + 0.5 * 2))
    # Apart from the gradient: what AdamW adds is the same whatever the slope is.
    apart = [
        step(torch.optim.AdamW, slope, weight_decay=0.5)
        - step(torch.optim.AdamW, slope, weight_decay=0.0)
        for slope in (0.3, 3.0)
    ]
    assert apart == pytest.approx([0.1 * 0.5 * 2] * 2)
    inside = step(torch.optim.Adam, 0.3, weight_decay=0.5)
    assert inside == pytest.approx(step(torch.optim.Adam, 0.3, weight_decay=0.0))


# --- Reading a loss ---


@says(
    "And turn it into a probability: $e^{-L}$ is the geometric mean of what the true classes got.",
    "There is no such number. With two equally frequent classes 0.69 is guessing; with ten,"
    " guessing costs 2.30, and 0.69 means that the truth gets $e^{-0.69} = 0.5$ in the geometric"
    " mean.",
)
@given(st.lists(st.integers(1, 19).map(lambda n: mpf(n) / 20), min_size=1, max_size=6))
def a_loss_as_a_probability(given_to_truth: Row) -> None:
    L = mp.fsum(-mp.log(p) for p in given_to_truth) / len(given_to_truth)
    same(mp.exp(-L), mp.fprod(given_to_truth) ** (mpf(1) / len(given_to_truth)))
    error = mpf(sum(p < mpf(1) / 2 for p in given_to_truth)) / len(given_to_truth)  # of two classes
    assert error <= L / mp.log(2)
    assert round(np.log(2), 2) == 0.69
    assert f"{np.log(10):.2f}" == "2.30"
    assert round(np.exp(-0.69), 2) == 0.5


# --- The learning rate ---


def curvature(Z: Array, U: Array) -> float:
    """Return the second derivative of the mean loss when the logits Z move along U."""
    powers = np.exp(Z - Z.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    mean = (p * U).sum(axis=1, keepdims=True)
    return float((p * (U - mean) ** 2).sum(axis=1).mean())


def problem(seed: int) -> tuple[Array, Array, Array]:
    """Draw inputs with a column of ones, labels, and weights of any size."""
    rng = np.random.default_rng(seed)
    N, inputs, K = rng.integers(2, 8), rng.integers(1, 4), rng.integers(2, 5)
    X = np.insert(rng.normal(size=(N, inputs)), inputs, 1, axis=1)
    return X, rng.integers(K, size=N), rng.exponential() * rng.normal(size=(inputs + 1, K))


def largest(X: Array) -> float:
    """Return the largest eigenvalue of the mean of the inputs' squares."""
    return float(np.linalg.norm(X, 2) ** 2 / len(X))


@says("($X$ has a column of ones for the bias.)")
@given(SEEDS)
def eq_curvature(seed: int) -> None:
    r"""\beta = \tfrac12 \lambda_{\max}\!\left(\tfrac1N X^\top X\right) ,"""
    X, y, W = problem(seed)
    beta = np.linalg.eigvalsh(X.T @ X / len(X)).max() / 2
    V = np.random.default_rng(seed).normal(size=W.shape)
    V /= np.linalg.norm(V)
    second = curvature(X @ W, X @ V)
    assert second <= beta * (1 + 1e-6)
    h = 1e-4
    ends = [mean_loss(X @ (W + step * V), y) for step in (-h, 0, h)]
    assert abs((ends[0] - 2 * ends[1] + ends[2]) / h**2 - second) < 1e-4 * (1 + second)
    # Nothing less would do: two equal probabilities, and the direction in which X is longest.
    longest = np.linalg.svd(X)[2][0]
    V = np.outer(longest, [1, -1]) / np.sqrt(2)
    assert np.isclose(curvature(np.zeros((len(X), 2)), X @ V), beta, rtol=1e-4)


@says(
    "Along a direction $V$ of length 1 in the weights, sample $n$ moves its logits by"
    " $u = V^\\top x_n$, and its loss curves by the variance of $u_k$ under the probabilities.",
    r"Values between $\min u$ and $\max u$ have a variance of at most"
    r" $\tfrac14 (\max u - \min u)^2 \le \tfrac12 \lVert u \rVert^2$.",
    "So no direction curves more than",
    r"because the mean of $\tfrac12 \lVert V^\top x_n \rVert^2$ is at most that.",
    "with all probabilities still at $1/K$, the variance is $\\lVert u\\rVert^2 / K$ at most, and"
    " the edge there is $K/2$ times as far.",
)
@few
@given(logits(), POSSIBLE, logits(), SEEDS)
def no_direction_curves_more(z: Row, p: Row, u: Row, seed: int) -> None:
    def loss(t: Real) -> Real:
        return -mp.log(soft([z_k + t * u_k for z_k, u_k in zip(z, u, strict=True)])[0])

    def variance(q: Row) -> Real:
        mean = mp.fsum(q_k * u_k for q_k, u_k in zip(q, u, strict=True))
        return mp.fsum(q_k * (u_k - mean) ** 2 for q_k, u_k in zip(q, u, strict=True))

    assert abs(mp.diff(loss, 0, 2) - variance(soft(z))) < mpf(10) ** -12
    square = mp.fsum(u_k**2 for u_k in u)
    assert variance(p) <= (max(u) - min(u)) ** 2 / 4 + TINY
    assert (max(u) - min(u)) ** 2 / 4 <= square / 2 + TINY
    assert variance([mpf(1) / 4] * 4) <= square / 4 + TINY
    assert variance([mpf(1) / 2, 0, 0, mpf(1) / 2]) <= square / 2 + TINY
    X, _, W = problem(seed)
    V = np.random.default_rng(seed).normal(size=W.shape)
    V /= np.linalg.norm(V)
    assert ((X @ V) ** 2).sum(axis=1).mean() <= largest(X) * (1 + 1e-6)
    # At equal probabilities of K classes, the most that a direction curves, and the edge 2 / beta.
    for K in (2, 4, 10):
        u_best = np.array([1, -1] + [0] * (K - 2)) / np.sqrt(2)
        assert np.isclose(curvature(np.zeros((1, K)), u_best[None]), 1 / K)
        assert np.isclose((2 / (1 / K)) / (2 / (1 / 2)), K / 2)


@says("A step along $-\\nabla L$ then changes the loss by at most")
@given(SEEDS, st.integers(1, 30).map(lambda n: n / 10))
def eq_descent_lemma(seed: int, part: float) -> None:
    r"""-\eta \lVert \nabla L \rVert^2 + \tfrac{\beta}{2} \eta^2 \lVert \nabla L \rVert^2
    = -\eta \left(1 - \tfrac{\eta \beta}{2}\right) \lVert \nabla L \rVert^2 .
    """
    eta, beta, square = sympy.symbols("eta beta square", positive=True)
    left = -eta * square + beta / 2 * eta**2 * square
    right = -eta * (1 - eta * beta / 2) * square
    assert sympy.expand(left - right) == 0
    X, y, W = problem(seed)
    bound = largest(X) / 2
    p = np.exp(X @ W)
    p /= p.sum(axis=1, keepdims=True)
    slope = X.T @ (p - np.eye(W.shape[1])[y]) / len(X)
    rate = part / bound
    change = mean_loss(X @ (W - rate * slope), y) - mean_loss(X @ W, y)
    values = {eta: rate, beta: bound, square: float((slope**2).sum())}
    assert change <= float(left.subs(values)) + 1e-9
    if part < 2:
        assert change < 1e-12


@says(
    "**Every rate below $2/\\beta$ lowers the loss at every step**, until the slope is 0.",
)
@given(SEEDS, st.integers(1, 19).map(lambda n: n / 10))
def a_safe_rate_goes_down(seed: int, part: float) -> None:
    X, y, W = problem(seed)
    rate = part / 2 * 4 / largest(X)
    assert np.isclose(rate, part / (largest(X) / 2))  # 2 / beta is 4 / lambda
    losses = []
    for _ in range(10):
        losses.append(mean_loss(X @ W, y))
        p = np.exp(X @ W - (X @ W).max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        W = W - rate * X.T @ (p - np.eye(W.shape[1])[y]) / len(X)
    drops = -np.diff(losses)
    assert (drops > -1e-12).all()
    assert drops[0] > 0


@says("Large inputs: {eq}`eq-curvature` grows with their *square*.")
@given(SEEDS, st.integers(2, 16))
def the_bound_grows_with_the_square(seed: int, factor: int) -> None:
    X, _, _ = problem(seed)
    assert np.isclose(largest(factor * X), factor**2 * largest(X))


# --- The loss of an epoch ---


@says(
    "Weigh every batch mean by its size, as `run_epoch` does. The plain mean of batch means counts"
    " each image of our short last batch double.",
)
@given(SEEDS)
def a_short_batch_counts_double(seed: int) -> None:
    losses = np.random.default_rng(seed).exponential(size=400)
    batches = np.split(losses, range(32, 400, 32))
    sizes = [len(batch) for batch in batches]
    assert (set(sizes), sizes[-1]) == ({32, 16}, 16)
    means = [batch.mean() for batch in batches]
    assert np.isclose(np.average(means, weights=sizes), losses.mean())
    influence = np.repeat(1 / (13 * np.array(sizes)), sizes)  # of each image on the plain mean
    assert np.isclose(influence @ losses, np.mean(means))
    assert np.isclose(influence[-1], 2 * influence[0])


@says(
    "Other reasons: dropout and augmentation, which validation leaves out; a penalty or smoothing"
    " that only the training loss contains; a validation set that is easy, small, or known to the"
    " model."
)
def why_a_training_loss_may_be_the_higher_one() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Dropout(0.5)
    hidden, labels = torch.randn(2000, 10).double(), torch.arange(2000) % 10
    hidden[range(2000), labels] += 3
    noisy = F.cross_entropy(layer(hidden), labels)
    layer.eval()
    assert torch.equal(layer(hidden), hidden)
    plain = F.cross_entropy(hidden, labels)
    assert noisy > plain
    assert F.cross_entropy(hidden, labels, label_smoothing=0.1) > plain
    easy = hidden.argmax(1) == labels
    assert F.cross_entropy(hidden[easy], labels[easy]) < plain
    by_chance = [F.cross_entropy(hidden[i : i + 5], labels[i : i + 5]) for i in range(50)]
    assert min(by_chance) < plain / 2


# --- PyTorch ---


@says(
    "`backward` *adds* to the gradients, which serves {doc}`accumulation over micro-batches"
    " <weights>`."
)
def backward_adds() -> None:
    leaf = torch.tensor([3.0], requires_grad=True)
    found = []
    for _ in range(3):
        torch.autograd.backward((leaf**2).sum())
        found.append(0.0 if leaf.grad is None else leaf.grad.item())
    assert found == [6, 12, 18]
    batch = torch.tensor([1.0, 2, 3, 4])
    whole = torch.autograd.grad((leaf * batch).mean(), leaf)[0]
    torch.optim.SGD([leaf]).zero_grad()
    for part in (batch[:2], batch[2:]):
        torch.autograd.backward((leaf * part).sum() / 4)
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, whole)


# --- What goes wrong ---


@says(
    "No. A probability lies between 0 and 1; the loss is minus its logarithm, and has no ceiling.",
)
@given(st.integers(1, 500))
def the_loss_has_no_ceiling(nats: int) -> None:
    p = mp.exp(-nats)
    assert 0 < p < 1
    same(-mp.log(p), mpf(nats))
    assert nats > 1 or p > 0.3


@says(
    r"And a loss that falls *to* $\log K$ or to $H(\text{prior})$, say from 7, has only forgotten"
    " a bad start.",
)
def a_bad_start_is_forgotten() -> None:
    rng = np.random.default_rng(0)
    logits, labels = np.tile(8.0 * rng.normal(size=10), (500, 1)), rng.integers(10, size=500)
    assert 6 < mean_loss(logits, labels) - np.log(10) + 2.3 < 40
    counts = np.bincount(labels) / 500
    for _ in range(4000):
        p = np.exp(logits[0] - logits[0].max())
        logits = logits - (p / p.sum() - counts)
    assert abs(mean_loss(logits, labels) - crossent.entropy(counts)) < 0.01  # nothing but the prior


# --- The exercises ---


@says(
    "what is the first loss of a network with a zero last layer for (a) 1000 classes, (b) two"
    " classes and one logit, (c) 92 yes-or-no attributes whose losses are averaged, (d) the same,"
    " summed? What is (b) with 5% positives and a last bias of",
    r"(a) $\log 1000$; (b) and (c) $\log 2$, whatever the labels; (d) $92 \log 2$; with the bias,"
    " the entropy of the prior.",
)
def first_losses() -> None:
    zero = torch.zeros(92, dtype=torch.float64)
    for truth in (torch.zeros(92).double(), torch.arange(92).double() % 2):
        assert F.binary_cross_entropy_with_logits(zero, truth).item() == pytest.approx(np.log(2))
        total = F.binary_cross_entropy_with_logits(zero, truth, reduction="sum")
        assert total.item() == pytest.approx(92 * np.log(2))
    many = F.cross_entropy(torch.zeros(1, 1000).double(), torch.tensor([7]))
    assert many.item() == pytest.approx(np.log(1000))
    truth = (torch.arange(100) < 5).double()
    bias = torch.full((100,), np.log(0.05 / 0.95), dtype=torch.float64)
    with_bias = F.binary_cross_entropy_with_logits(bias, truth).item()
    assert with_bias == pytest.approx(float(H([mpf(5) / 100, mpf(95) / 100])))


@says(
    "A class that is not the argmax shares its probability with one at least as large, so the true"
    r" class of a wrong sample has $p_y \le \tfrac12$ and a loss of at least $\log 2$. All other"
    r" losses are at least 0, hence $L \ge \text{error} \cdot \log 2$. In the other direction there"
    " is no bound: one confident mistake in a hundred is enough."
)
@given(st.lists(POSSIBLE, min_size=1, max_size=5), st.data())
def a_loss_bounds_the_error(model: list[Row], data: st.DataObject) -> None:
    labels = [data.draw(st.integers(0, 3)) for _ in model]
    wrong, total = 0, mpf(0)
    for p, y in zip(model, labels, strict=True):
        loss = -mp.log(p[y])
        assert loss >= 0
        if p[y] < max(p):
            wrong += 1
            assert p[y] <= mpf(1) / 2
            assert loss >= mp.log(2)
        total += loss
    assert total / len(model) >= mpf(wrong) / len(model) * mp.log(2)
    for price in (300, 3000):  # of one mistake, of a hundred samples
        L = (99 * -mp.log(1 - mpf(10) ** -9) + price) / 100
        assert price / 100 <= L < price / 100 + 1e-6


@says(
    r"Show that $L'(s) = \mathbb{E}\left[\sum_k \hat y_k z_k - z_y\right]$,",
    r"For one sample $\ell(s) = \log \sum_k e^{s z_k} - s z_y$. Its derivative is"
    r" $\sum_k \hat y_k z_k - z_y$, with $\hat y = \operatorname{softmax}(s z)$; its second"
    r" derivative is the variance of $z_k$ under $\hat y$, which is at least 0. Means keep both.",
    "$L'(1) > 0$ says that smaller logits would lower the loss: the mean logit that the model"
    " expects, under its own probabilities, exceeds the one that the truth delivers. It is"
    " over-confident.",
)
@few
@given(logits(), st.integers(0, 3), st.integers(1, 16).map(lambda n: mpf(n) / 8))
def the_slope_in_the_temperature(z: Row, y: int, s: Real) -> None:
    def loss(scale: Real) -> Real:
        return -mp.log(soft([scale * z_k for z_k in z])[y])

    same(loss(s), mp.log(mp.fsum(mp.exp(s * z_k) for z_k in z)) - s * z[y])
    share = soft([s * z_k for z_k in z])
    expected = mp.fsum(a * b for a, b in zip(share, z, strict=True))
    variance = mp.fsum(a * (b - expected) ** 2 for a, b in zip(share, z, strict=True))
    assert abs(mp.diff(loss, s) - (expected - z[y])) < mpf(10) ** -18
    assert abs(mp.diff(loss, s, 2) - variance) < mpf(10) ** -12
    assert variance >= 0
    slope = mp.diff(loss, 1)
    if abs(slope) > 0.01:
        assert (loss(mpf("0.999")) < loss(mpf(1))) == (slope > 0)
    at_1 = soft(z)
    own = mp.fsum(a * b for a, b in zip(at_1, z, strict=True))
    assert abs(slope) < 1e-15 or (own > z[y]) == (slope > 0)


NUMBERS = {
    r"it should start near $\log 10 = 2.303$": Computed(lambda: (10.0, np.log(10))),
    "(16.118 from Keras": Computed(lambda: float(-np.log(1e-7))),
    "Accuracy was 0.99, then": Given("what somebody reports"),
    "With two equally frequent classes 0.69 is guessing; with ten, guessing costs 2.30, and 0.69"
    " means": Computed(lambda: (np.log(2), np.log(10), np.log(2))),
    "try 0.001, 0.01, 0.1, 1, and": Given("an example of a grid of rates"),
}

SHOWN = {
    "**It means that there is a bug, that the learning rate is wrong, or that something holds the"
    " loss up.**": ("rate 0.0001 2.2360 rate 10 1.7779 weight decay 0.3085 labels mixed up 1.1182"),
}
