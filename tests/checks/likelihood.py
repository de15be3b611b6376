"""The chapter on maximum likelihood."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from torch.nn import functional as F

from tests.checks import KL, Cited, H, Real, Row, distributions, same, says, source
from tests.figures import drawing_of
from tests.figures.likelihood import CoinLikelihood

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = mpf(10) ** -50
CLASSES = 3
POSSIBLE = distributions(CLASSES, least=1)  # no sample is impossible
SAMPLES = st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=8)
FLIPS = st.lists(st.booleans(), min_size=1, max_size=8)
BIASES = st.integers(1, 19).map(lambda n: mpf(n) / 20)  # inside (0, 1), where logarithms are finite


def frequencies(sample: list[int]) -> list[Real]:
    return [mpf(sample.count(k)) / len(sample) for k in range(CLASSES)]


def likelihood(q: Row, sample: list[int]) -> Real:
    return mp.fprod(q[y] for y in sample)


# --- The equations ---


@given(SAMPLES, POSSIBLE)
def eq_likelihood(sample: list[int], q: Row) -> None:
    r"""-\frac1N \log \mathcal{L} = -\frac1N \sum_{i=1}^{N} \log q(y_i)
    = -\sum_k \hat p_k \log q_k = H(\hat p, q) .
    """
    N, p = len(sample), frequencies(sample)
    mean = -mp.fsum(mp.log(q[y]) for y in sample) / N
    same(-mp.log(likelihood(q, sample)) / N, mean)
    same(mean, -mp.fsum(p_k * mp.log(q_k) for p_k, q_k in zip(p, q, strict=True)))
    same(mean, H(p, q))


@given(FLIPS, BIASES)
def eq_likelihood_coin(flips: list[bool], q: Real) -> None:
    r"""\begin{aligned}
    \mathcal{L}(q) &= q^h (1 - q)^{N - h} , \\
    -\tfrac1N \log \mathcal{L}(q) &= -\tfrac hN \log q - \tfrac{N - h}N \log (1 - q) .
    \end{aligned}
    """
    N, h = len(flips), sum(flips)
    one_by_one = mp.fprod(q if head else 1 - q for head in flips)
    same(one_by_one, q**h * (1 - q) ** (N - h))
    right = -mpf(h) / N * mp.log(q) - mpf(N - h) / N * mp.log(1 - q)
    same(-mp.log(one_by_one) / N, right)


@given(SAMPLES, POSSIBLE)
def eq_likelihood_counts(sample: list[int], q: Row) -> None:
    r"""\mathcal{L}(q) = \prod_{i=1}^{N} q_{y_i} = \prod_{k=1}^{K} q_k^{n_k}
    = \prod_{k=1}^{K} q_k^{N \hat p_k} , \qquad \hat p_k = \frac{n_k}{N} .
    """
    n = [sample.count(k) for k in range(CLASSES)]
    collected = mp.fprod(q_k**n_k for q_k, n_k in zip(q, n, strict=True))
    same(likelihood(q, sample), collected)
    powers = zip(q, frequencies(sample), strict=True)
    same(collected, mp.fprod(q_k ** (len(sample) * p_k) for q_k, p_k in powers))


@given(SAMPLES, POSSIBLE)
def eq_likelihood_split(sample: list[int], q: Row) -> None:
    r"""H(\hat p, q) = H(\hat p) + D_{\mathrm{KL}}(\hat p \,\Vert\, q) ."""
    p = frequencies(sample)
    same(H(p, q), H(p) + KL(p, q))


def one_hot(y: int) -> Row:
    return [mpf(k == y) for k in range(CLASSES)]


@given(SAMPLES, POSSIBLE, POSSIBLE, st.integers(1, 4))
def eq_likelihood_three(sample: list[int], p: Row, q: Row, N: int) -> None:
    r"""\frac1N \sum_{i=1}^{N} H(\text{one-hot}_{y_i}, q) = H(\hat p, q) ,
    \qquad \mathbb{E}\, H(\hat p, q) = H(p, q) .
    """
    labels = mp.fsum(H(one_hot(y), q) for y in sample) / len(sample)
    same(labels, H(frequencies(sample), q))
    expected = mpf(0)
    for draws in itertools.product(range(CLASSES), repeat=N):
        expected += mp.fprod(p[y] for y in draws) * H(frequencies(list(draws)), q)
    same(expected, H(p, q))


WORLDS = st.tuples(distributions(2), distributions(2), distributions(2))  # p(y | x)
BELIEFS = st.tuples(*[distributions(2, least=1)] * 3)  # q(y | x)
INPUTS = distributions(3, least=1)  # p(x)


def expected_loss(inputs: Row, world: tuple[Row, ...], belief: tuple[Row, ...]) -> Real:
    """Return the mean of -log q(y | x) over all pairs, each with its probability."""
    pairs = itertools.product(range(3), range(2))
    return mp.fsum(inputs[x] * world[x][y] * -mp.log(belief[x][y]) for x, y in pairs)


@given(INPUTS, WORLDS, BELIEFS)
def eq_likelihood_floor(
    inputs: Row, world: tuple[Row, Row, Row], belief: tuple[Row, Row, Row]
) -> None:
    r"""\mathbb{E} \left[ -\log q(y \mid x) \right] = H(Y \mid X) + \mathbb{E}_x\,
    D_{\mathrm{KL}} \bigl( p(\cdot \mid x) \,\Vert\, q(\cdot \mid x) \bigr) ,
    """
    joint = [share * each for share, row in zip(inputs, world, strict=True) for each in row]
    conditional = H(joint) - H(inputs)  # by the chain rule of entropy
    excess = mp.fsum(
        share * KL(row, q) for share, row, q in zip(inputs, world, belief, strict=True)
    )
    same(expected_loss(inputs, world, belief), conditional + excess)


@given(INPUTS, WORLDS, BELIEFS)
def eq_likelihood_floor_proof(
    inputs: Row, world: tuple[Row, Row, Row], belief: tuple[Row, Row, Row]
) -> None:
    r"""\begin{aligned}
    \mathbb{E} \left[ -\log q(y \mid x) \right]
    &= \sum_x \sum_y p(x, y) \left( -\log q(y \mid x) \right) \\
    &= \sum_x p(x) \sum_y p(y \mid x) \left( -\log q(y \mid x) \right) \\
    &= \sum_x p(x)\, H \bigl( p(\cdot \mid x), q(\cdot \mid x) \bigr) \\
    &= \sum_x p(x)\, H \bigl( p(\cdot \mid x) \bigr) + \sum_x p(x)\, D_{\mathrm{KL}}
    \bigl( p(\cdot \mid x) \,\Vert\, q(\cdot \mid x) \bigr) .
    \end{aligned}
    """
    first = expected_loss(inputs, world, belief)
    inner = [
        mp.fsum(p_y * -mp.log(q_y) for p_y, q_y in zip(row, q, strict=True))
        for row, q in zip(world, belief, strict=True)
    ]
    same(first, mp.fsum(share * each for share, each in zip(inputs, inner, strict=True)))
    rows = list(zip(inputs, world, belief, strict=True))
    same(first, mp.fsum(share * H(row, q) for share, row, q in rows))
    floor = mp.fsum(share * H(row) for share, row, _ in rows)
    same(first, floor + mp.fsum(share * KL(row, q) for share, row, q in rows))


def over_all_samples(p: Row, losses: Row, N: int) -> Iterator[tuple[Real, Real, Real]]:
    """Yield each sample's chance, the mean of its losses, and their standard deviation."""
    for sample in itertools.product(range(CLASSES), repeat=N):
        seen = [losses[y] for y in sample]
        mean = mp.fsum(seen) / N
        s = mp.sqrt(mp.fsum((loss - mean) ** 2 for loss in seen) / (N - 1))
        yield mp.fprod(p[y] for y in sample), mean, s


@given(POSSIBLE, POSSIBLE, st.integers(2, 4))
def eq_likelihood_se(p: Row, q: Row, N: int) -> None:
    r"""\mathrm{SE} = \frac{s}{\sqrt N} ."""
    samples = list(over_all_samples(p, [-mp.log(q_k) for q_k in q], N))
    center = mp.fsum(chance * mean for chance, mean, _ in samples)
    variance = mp.fsum(chance * (mean - center) ** 2 for chance, mean, _ in samples)
    same(mp.fsum(chance * (s / mp.sqrt(N)) ** 2 for chance, _, s in samples), variance)


@given(st.lists(BIASES, min_size=1, max_size=8))
def eq_perplexity(given_to_the_tokens: Row) -> None:
    r"""\mathrm{PP} = 2^{H \text{ in bits}} = e^{H \text{ in nats}} ,"""
    N = len(given_to_the_tokens)
    mean_choices = mp.fprod(1 / q for q in given_to_the_tokens) ** (mpf(1) / N)  # geometric
    same(mp.exp(mp.fsum(-mp.log(q) for q in given_to_the_tokens) / N), mean_choices)
    same(mpf(2) ** (mp.fsum(-mp.log(q, 2) for q in given_to_the_tokens) / N), mean_choices)


# --- The figure ---


@says(
    "A coin was flipped ten times and came up heads seven times.",
    "The top of the hill and the bottom of the valley are at the same place. With more flips, the"
    " hill gets narrower and the likelihood absurdly small; the mean price stays as it is.",
)
def a_hill_above_a_valley() -> None:
    hills, valleys = [], []
    for flips in (10, 200):
        drawing = drawing_of(CoinLikelihood(0.7, flips))
        hill, valley = (mark.places for mark in drawing.marks if mark.kind == "line")
        assert hill[:, 1].argmin() == valley[:, 1].argmax()  # pixels count from the top
        q = drawing.scale("X-axis")(hill[:, 0])
        assert q[hill[:, 1].argmin()] == pytest.approx(0.7, abs=0.005)
        middle = (hill[:, 1].min() + hill[:, 1].max()) / 2
        hills.append((hill[:, 1] < middle).sum())
        valleys.append(valley)
    assert hills[1] < hills[0] / 3
    assert np.array_equal(valleys[0], valleys[1])
    assert (0.7**0.7 * 0.3**0.3) ** 200 < 1e-50


# --- The likelihood ---


@says(
    "**The mean loss is a cross-entropy: that of your data and your belief.**",
    "So the cheapest belief is the frequency that you saw, 0.7 for our coin.",
    r"A bill of $B$ bits is a likelihood of $2^{-B}$: the mean loss is $-\tfrac1N \log \mathcal{L}"
    r" = H(\hat p, q)$, and the parameters that make the data most probable are those with the"
    " least cross-entropy. For free $q$, they are the observed frequencies.",
)
@given(SAMPLES, POSSIBLE, POSSIBLE)
def the_loss_is_the_negative_log_likelihood(sample: list[int], q: Row, other: Row) -> None:
    logs = torch.tensor([[float(mp.log(q_k)) for q_k in q]] * len(sample), dtype=torch.float64)
    loss = F.nll_loss(logs, torch.tensor(sample)).item()
    assert loss == pytest.approx(float(-mp.log(likelihood(q, sample)) / len(sample)))
    bill = mp.fsum(-mp.log(q[y], 2) for y in sample)
    same(likelihood(q, sample), mpf(2) ** -bill)
    p = frequencies(sample)
    if abs(H(p, q) - H(p, other)) > TINY:
        more_probable = likelihood(q, sample) > likelihood(other, sample)
        assert more_probable == (H(p, q) < H(p, other))
    assert likelihood(p, sample) >= likelihood(q, sample) - TINY


@says(
    r"In nats, the derivative is $-\tfrac{h}{N q} + \tfrac{N - h}{N (1 - q)}$. It is 0 only at $q"
    r" = \tfrac hN$, negative before that and positive after, if both sides came up. If only one"
    " did, the derivative is never 0: the price falls all the way to $q = 0$ or 1, which is"
    r" $\tfrac hN$ again.",
)
def the_best_bias_is_the_frequency() -> None:
    q = sympy.Symbol("q", positive=True)
    for N, h in [(10, 7), (4, 1), (5, 5), (3, 0)]:
        loss = -sympy.log(q**h * (1 - q) ** (N - h)) / N
        slope = sympy.diff(loss, q)
        stated = -sympy.Rational(h, N) / q + sympy.Rational(N - h, N) / (1 - q)
        assert sympy.simplify(slope - stated) == 0
        at = sympy.Rational(3, 10)
        both = H([mpf(h) / N, mpf(N - h) / N], [mpf(3) / 10, mpf(7) / 10])
        assert abs(sympy.N(loss.subs(q, at), 40) - both) < 1e-30
        slopes = [slope.subs(q, sympy.Rational(n, 20)) for n in range(1, 20)]
        if 0 < h < N:
            assert sympy.solve(slope, q) == [sympy.Rational(h, N)]
            signs = [sympy.sign(sympy.Rational(n, 20) - sympy.Rational(h, N)) for n in range(1, 20)]
            assert [sympy.sign(each) for each in slopes] == signs
        else:
            assert all(each < 0 for each in slopes) if h == N else all(each > 0 for each in slopes)


@says(
    "It turns a product into a sum, whose derivative you can take term by term, and it keeps the"
    " maximum where it is, because the logarithm increases.",
)
def what_the_logarithm_does() -> None:
    q = sympy.Symbol("q", positive=True)
    factors = [q, 1 - q, q, q]
    logs = [sympy.log(each) for each in factors]
    assert sympy.expand_log(sympy.log(sympy.prod(factors)), force=True).expand() == sum(logs)
    term_by_term = sum(sympy.diff(each, q) for each in logs)
    assert sympy.simplify(sympy.diff(sympy.log(sympy.prod(factors)), q) - term_by_term) == 0
    assert sympy.diff(sympy.log(q), q).is_positive
    grid = np.arange(1, 100) / 100
    product = grid**3 * (1 - grid)
    assert grid[product.argmax()] == grid[np.log(product).argmax()] == 0.75


@says(
    "Not just for convenience. The place of the minimum does not depend on $N$, but a mean"
    " estimates a cross-entropy, whatever the size of the sample. So the losses of a small and of"
    " a large sample from the same source can be compared.",
)
@given(POSSIBLE, POSSIBLE)
def a_mean_estimates_the_same_for_any_size(p: Row, q: Row) -> None:
    for N in (2, 4):
        samples = over_all_samples(p, [-mp.log(q_k) for q_k in q], N)
        mean = mp.fsum(chance * mean for chance, mean, _ in samples)
        same(mean, H(p, q))
        assert N * mean > H(p, q) + 0.1  # a sum is no such estimate
    sums = [3 * H(p, belief) for belief in (p, q)]
    assert (sums[0] < sums[1]) == (H(p, p) < H(p, q))


@says(
    "The division also keeps the steps of gradient descent from growing with $N$: with a sum, the"
    " right learning rate would depend on the batch size.",
)
def steps_of_a_mean_do_not_depend_on_the_size() -> None:
    z, steps = torch.tensor([0.3, -1.0, 2.0], requires_grad=True), {}
    for N, reduction in itertools.product((2, 6), ("sum", "mean")):
        labels = torch.tensor([0, 2] * (N // 2))
        loss = F.cross_entropy(z.expand(N, 3), labels, reduction=reduction)
        (steps[N, reduction],) = torch.autograd.grad(loss, z)
    assert torch.allclose(steps[6, "sum"], 6 * steps[6, "mean"])
    assert torch.allclose(steps[6, "mean"], steps[2, "mean"])
    assert torch.allclose(steps[6, "sum"], 3 * steps[2, "sum"])


@says(
    "It is the probability of the *data*, for each $q$, and over all $q$ it does not integrate to"
    " 1.",
)
def the_likelihood_is_no_probability_of_q() -> None:
    q = sympy.Symbol("q", positive=True)
    samples = list(itertools.product([q, 1 - q], repeat=3))
    assert sympy.expand(sum(sympy.prod(sample) for sample in samples)) == 1
    assert all(sympy.integrate(sympy.prod(sample), (q, 0, 1)) != 1 for sample in samples)


@says(
    "The first part does not contain $q$. The second is never negative, and it is 0 only at $q ="
    r" \hat p$ ({eq}`eq-cross-entropy-gibbs`).",
    r"If your model cannot reach $\hat p$, the parameters that make the data most probable are"
    " those with the least divergence from the data to the model, the {doc}`forward direction"
    " <cross_entropy>`.",
)
@given(SAMPLES, POSSIBLE, POSSIBLE)
def maximum_likelihood_is_least_forward_kl(sample: list[int], q: Row, other: Row) -> None:
    p = frequencies(sample)
    assert q == p or H(p, q) > H(p, p) + 1e-6
    gain = (mp.log(likelihood(other, sample)) - mp.log(likelihood(q, sample))) / len(sample)
    same(gain, KL(p, q) - KL(p, other))
    # The reverse direction would choose otherwise.
    p, q, other = ([mpf(n) / 100 for n in row] for row in ([50, 1, 49], [34, 33, 33], [94, 3, 3]))
    assert (KL(p, q) < KL(p, other)) != (KL(q, p) < KL(other, p))


@says(
    "Every model with probabilities has a likelihood, and every likelihood gives a loss.",
    "If no choice of parameters makes the model true, maximum likelihood still has an aim: with"
    " more and more independent samples and under mild conditions, it tends to the parameters that"
    " are closest to the truth in forward KL {cite}`white1982`.",
)
def the_aim_of_a_model_that_cannot_be_true() -> None:
    p = np.array([0.5, 0.1, 0.4])  # no coin that is tossed twice has these numbers of heads
    grid = np.arange(1, 1000) / 1000
    models = np.array([(1 - grid) ** 2, 2 * grid * (1 - grid), grid**2])
    forward = grid[(-p @ np.log(models)).argmin()]
    reverse = grid[(models * np.log(models.T / p).T).sum(axis=0).argmin()]
    rng, missed = np.random.default_rng(0), []
    for N in (100, 10_000, 1_000_000):
        counts = rng.multinomial(N, p, size=50)
        best = grid[(counts @ np.log(models)).argmax(axis=1)]
        missed.append(np.sqrt(np.mean((best - forward) ** 2)))
    assert missed[0] > 5 * missed[1] > 10 * missed[2]
    assert missed[2] < 0.001
    assert abs(reverse - forward) > 0.01


# --- The error of a loss ---


@says(
    r"If the samples are independent, variances add: each $\ell_i$ has the variance $\sigma^2$,"
    r" and so the mean has the variance $\tfrac{1}{N^2} \cdot N \sigma^2$.",
    "Training data fit, validation data choose, test data judge. On data that neither fitted nor"
    " chose the model, the mean loss estimates the expected loss without bias. Its standard error"
    r" is $s / \sqrt N$ if the samples are independent.",
)
@given(POSSIBLE, POSSIBLE, st.integers(2, 4))
def a_mean_over_test_data_is_unbiased(p: Row, q: Row, N: int) -> None:
    losses = [-mp.log(q_k) for q_k in q]
    sigma_squared = mp.fsum(
        p_k * (loss - H(p, q)) ** 2 for p_k, loss in zip(p, losses, strict=True)
    )
    samples = [(chance, mean) for chance, mean, _ in over_all_samples(p, losses, N)]
    same(mp.fsum(chance * mean for chance, mean in samples), H(p, q))
    variance = mp.fsum(chance * (mean - H(p, q)) ** 2 for chance, mean in samples)
    same(variance, N * sigma_squared / N**2)
    # A model that the data chose: of two, the one with the smaller mean. Its mean is too low.
    lower = mpf(0)
    for sample in itertools.product(range(CLASSES), repeat=N):
        seen = frequencies(list(sample))
        lower += mp.fprod(p[y] for y in sample) * min(H(seen, q), H(seen, q[::-1]))
    assert lower <= min(H(p, q), H(p, q[::-1])) + TINY


@says(
    "Because the model has adapted to its training data, accidents included, and so the mean loss"
    " there is too low on average. For a free $q$, that is a theorem. The training loss of the"
    r" best $q$ is $H(\hat p, \hat p) = H(\hat p)$, an entropy of frequencies, which is {doc}`too"
    r" low on average <entropy>`; on new data the same $q$ costs $H(p, \hat p) \ge H(p)$.",
)
@given(POSSIBLE, st.integers(1, 4))
def the_training_loss_is_too_low(p: Row, N: int) -> None:
    training = mpf(0)
    for sample in itertools.product(range(CLASSES), repeat=N):
        seen = frequencies(list(sample))
        same(H(seen, seen), H(seen))
        assert H(p, seen) >= H(p) - TINY
        training += mp.fprod(p[y] for y in sample) * H(seen)
    assert training < H(p)


@says(
    r"A label is a draw from the world, the sample $\hat p$ is the mean of the labels, and the"
    " world $p$ decides what you will pay.",
    r"The expected loss is $H(Y \mid X)$ plus the mean divergence. Training reduces only the"
    " divergence; a better input lowers the floor.",
    "**For labels $y$ given inputs $x$, the expected loss of a belief $q$ is a floor and an"
    " excess:**",
)
@given(INPUTS, WORLDS, BELIEFS)
def a_floor_and_an_excess(
    inputs: Row, world: tuple[Row, Row, Row], belief: tuple[Row, Row, Row]
) -> None:
    floor = mp.fsum(share * H(row) for share, row in zip(inputs, world, strict=True))
    assert expected_loss(inputs, world, belief) >= floor - TINY
    mixed = [mp.fsum(s * row[y] for s, row in zip(inputs, world, strict=True)) for y in range(2)]
    assert H(mixed) >= floor - TINY  # the floor without the input
    sample = [0, 2, 2, 1]
    mean = [mp.fsum(row) / 4 for row in zip(*map(one_hot, sample), strict=True)]
    assert mean == frequencies(sample)


# --- Language ---


@says(
    "By the chain rule, the probability of a text is the product of these beliefs, without any"
    r" assumption of independence, and the bill for the text is the sum of $-\log_2 q(\text{next}"
    r" \mid \text{before})$.",
    "The floor never rises when you look at another letter, and it goes down to the *entropy rate*"
    " of the language;",
)
@given(distributions(8, least=1))
def the_chain_rule_needs_no_independence(p: Row) -> None:
    texts = list(itertools.product("ab", repeat=3))
    chance = dict(zip(texts, p, strict=True))
    for text in texts:
        begun = [mp.fsum(chance[t] for t in texts if t[:n] == text[:n]) for n in range(4)]
        steps = [begun[n + 1] / begun[n] for n in range(3)]
        same(mp.fprod(steps), chance[text])
        same(mp.fsum(-mp.log(step) for step in steps), -mp.log(chance[text]))
    floors = []  # of the last letter, given the 0, 1 or 2 before it
    for m in range(3):
        starts = {text[2 - m : 2] for text in texts}
        share = {text: mp.fsum(chance[t] for t in texts if t[2 - m : 2] == text) for text in starts}
        rows = [
            [
                mp.fsum(chance[t] for t in texts if t[2 - m :] == (*text, end)) / share[text]
                for end in "ab"
            ]
            for text in starts
        ]
        floors.append(mp.fsum(share[t] * H(row) for t, row in zip(starts, rows, strict=True)))
    assert floors[0] >= floors[1] - TINY
    assert floors[1] >= floors[2] - TINY


P = [[mpf(n) / 10 for n in row] for row in ([8, 1, 1], [2, 2, 6], [1, 7, 2])]
SHARE = [mpf(22), mpf(15), mpf(14)]  # of each letter in the long run, but for a factor


@says(
    "For the model that sees nothing, the floor is the entropy of the letters. For the other, it"
    " is the mean entropy of the rows of `P`, weighted by how often their letter comes.",
    "No *expected* loss is below its floor, 1.0775 for order 0 and 0.7753 for the others.",
)
@given(st.tuples(POSSIBLE, POSSIBLE, POSSIBLE), POSSIBLE)
def no_model_beats_the_entropy_rate(model: tuple[Row, Row, Row], blind: Row) -> None:
    a, b, c = sympy.symbols("a b c")
    steps = sympy.Matrix([[8, 1, 1], [2, 2, 6], [1, 7, 2]]) / 10
    balance = list(sympy.Matrix([[a, b, c]]) * (steps - sympy.eye(3)))
    ((found),) = sympy.linsolve([*balance, a + b + c - 1], (a, b, c))
    share = [mpf(each.p) / each.q for each in found]
    rate = mp.fsum(s * H(row) for s, row in zip(share, P, strict=True))
    assert abs(rate - mpf("0.7753")) < 5e-5
    assert abs(H(share) - mpf("1.0775")) < 5e-5
    expected = mp.fsum(s * H(row, q) for s, row, q in zip(share, P, model, strict=True))
    assert expected > rate - TINY
    assert H(share, blind) > H(share) - TINY
    text = [0, 0, 0]  # seen in training: its loss is 0 for a model that has learned it by heart
    assert H(frequencies(text), frequencies(text)) == 0 < rate


@says("{cite:t}`shannon1951` asked for this number for English.")
def shannon_asked_for_the_entropy_of_english() -> None:
    assert "Prediction and Entropy of Printed {English}" in source("shannon1951")


@says(
    r"because a blind guess among 50 costs $\log_2 50$ bits and has the perplexity 50.",
    "The base must match the logarithm.",
    "A perplexity of 1 would be perfect; a blind guess has the size $V$ of the vocabulary, and a"
    " model that is confidently wrong is above that.",
    "Perplexity is `exp(mean loss in nats)`, per token.",
)
def perplexity_is_a_number_of_choices() -> None:
    def perplexity(q: Real) -> Real:
        return mp.exp(-mp.log(q))

    same(-mp.log(mpf(1) / 50), mp.log(50))
    same(perplexity(mpf(1) / 50), mpf(50))
    assert perplexity(mpf(1)) == 1
    assert perplexity(mpf("0.001")) > 50
    bits = -mp.log(mpf(1) / 50, 2)
    same(mpf(2) ** bits, mpf(50))
    assert mp.exp(bits) > 200  # the wrong base
    assert mpf(2) ** mp.log(50) < 16


@says("which losses reward honest probabilities, and this loss is one of them")
@given(POSSIBLE, POSSIBLE)
def the_loss_rewards_honest_probabilities(p: Row, q: Row) -> None:
    assert (H(p, q) > H(p, p) + 1e-6) == (q != p)
    sure = [mpf(k == p.index(max(p))) for k in range(CLASSES)]
    linear = [mp.fsum(-a * b for a, b in zip(p, belief, strict=True)) for belief in (p, sure)]
    assert linear[1] <= linear[0]  # another loss, which rewards boasting


# --- The exercises ---


@says(
    r"Multiply the likelihood by $\prod_k q_k^{\alpha}$, a *prior* that prefers balanced $q$. Show"
    r" without a derivative that the maximum is at $q_k = (n_k + \alpha) / (N + K \alpha)$.",
    r"The product is $\prod_k q_k^{n_k + \alpha}$: the likelihood of a sample with $n_k + \alpha$"
    r" draws of class $k$, also as a formula if $\alpha$ is not a whole number. By Gibbs'"
    " inequality its maximum is at the frequencies of *that* sample. This prior is data that you"
    r" pretend to have seen; $\alpha = 1$ amounts to two flips, one head and one tail.",
)
@given(SAMPLES, POSSIBLE, st.sampled_from([mpf(1) / 3, mpf(1), mpf(5) / 2]))
def a_pseudo_count_is_pretended_data(sample: list[int], q: Row, alpha: Real) -> None:
    n = [sample.count(k) for k in range(CLASSES)]

    def posterior(belief: Row) -> Real:
        return likelihood(belief, sample) * mp.fprod(q_k**alpha for q_k in belief)

    same(posterior(q), mp.fprod(q_k ** (n_k + alpha) for q_k, n_k in zip(q, n, strict=True)))
    best = [(n_k + alpha) / (len(sample) + CLASSES * alpha) for n_k in n]
    same(mp.fsum(best), mpf(1))
    assert posterior(best) >= posterior(q)
    even = [mpf(1) / CLASSES] * CLASSES
    prior = [mp.fprod(q_k**alpha for q_k in belief) for belief in (even, q)]
    assert prior[0] >= prior[1]
    pretended = likelihood([mpf(1) / 4, mpf(3) / 4, mpf(0)], [0, 1])  # one head and one tail
    same(pretended, (mpf(1) / 4) ** 1 * (mpf(3) / 4) ** 1)


@says(
    "One letter in $w$ costs the entropy of the letters, and the others cost the entropy rate:"
    r" $\tfrac1w H(\text{letter}) + \left(1 - \tfrac1w\right) \cdot \text{rate}$. The same model"
    " looks worse on short blocks.",
)
def blocks_start_blind() -> None:
    share = [each / sum(SHARE) for each in SHARE]
    letter, rate = H(share), mp.fsum(s * H(row) for s, row in zip(share, P, strict=True))
    costs = []
    for w in (1, 2, 4):
        whole = mpf(0)  # the entropy of a block: nothing but its own letters is known
        for block in itertools.product(range(3), repeat=w):
            chance = share[block[0]] * mp.fprod(P[a][b] for a, b in itertools.pairwise(block))
            whole -= chance * mp.log(chance)
        costs.append(whole / w)
        assert abs(whole / w - (letter / w + (1 - mpf(1) / w) * rate)) < 1e-30
    assert costs == sorted(costs, reverse=True)


NUMBERS = {
    "5.96 million characters in about a million words": Cited(
        "brown1992", "section 1, on the Brown corpus"
    ),
}

UNTESTED = {
    "It is called the *maximum likelihood* estimate {cite}`fisher1922`.": "history",
    "{cite:t}`shannon1951` let people guess English letter by letter, and so bounded its entropy"
    " rate long before there were neural language models.": "history",
}
