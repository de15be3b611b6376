"""The chapter on label smoothing and soft targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import stats
from torch.nn import functional as F

from tests.checks import KL, Cited, Given, H, Real, Row, distributions, logits, same, says, soft
from tests.figures import drawing_of
from tests.figures.practice import SmoothingFloor

TINY = mpf(10) ** -45
NEAR = mpf(10) ** -13  # of torch
EPSILONS = st.integers(1, 19).map(lambda n: mpf(n) / 20)  # 0 smooths nothing, 1 leaves no label
CLASSES = st.integers(2, 50)


def one_hot(K: int, label: int = 0) -> Row:
    return [mpf(k == label) for k in range(K)]


def spread(y: Row, epsilon: Real) -> Row:
    """Take the share epsilon from a target, and hand it out evenly, class by class."""
    kept = [y_k - epsilon * y_k for y_k in y]
    taken = mp.fsum(y) - mp.fsum(kept)
    return [kept_k + taken / len(y) for kept_k in kept]


def surprises(z: Row) -> Row:
    """Return -log of each probability that a softmax gives."""
    return [-mp.log(q) for q in soft(z)]


def with_margin(m: Real, K: int) -> Row:
    """Return logits of which the first is above all others by m."""
    return [m] + [mpf(0)] * (K - 1)


def as_tensor(row: Row) -> torch.Tensor:
    return torch.tensor([float(x) for x in row], dtype=torch.float64)


# --- The floor ---


@says(
    "**Because the target is not certain. Cross-entropy cannot fall below the entropy of its"
    " target**, and only a target that puts everything on one class has entropy 0:",
    "The floor of cross-entropy is the entropy of its target. Loss minus floor is a KL divergence;"
    " that is what can go to 0.",
    "The gradient with respect to the logits is $\\hat y - y$ as ever ({doc}`gradient`), and zero"
    " exactly when $\\hat y = y$.",
    "$H(y)$ does not depend on the model as long as the targets do not, so it has no gradient. It"
    " only moves the number that you print:",
    "The Kullback–Leibler divergence is the same loss minus the floor, with the same gradient.",
)
@given(distributions(4), logits(4))
def eq_floor(y: Row, z: Row) -> None:
    r"""H(y, \hat y) = H(y) + D_{\mathrm{KL}}(y \,\Vert\, \hat y) \;\ge\; H(y) ."""
    q = soft(z)
    same(H(y, q), H(y) + KL(y, q))
    assert H(y, q) >= H(y) - TINY
    same(H(y, y), H(y))
    assert abs(KL(y, y)) < TINY
    assert (H(y) < TINY) == (max(y) == 1)
    x = as_tensor(z)[None].requires_grad_()
    target = as_tensor(y)[None]
    divergence = F.kl_div(F.log_softmax(x, dim=-1), target, reduction="batchmean")
    slopes = [
        torch.autograd.grad(value, x)[0] for value in (F.cross_entropy(x, target), divergence)
    ]
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(
        slopes[0], as_tensor([a - b for a, b in zip(q, y, strict=True)])[None]
    )


@says(
    r"Take the share $\varepsilon$ of a one-hot target and spread it evenly over all $K$ classes"
    " {cite}`szegedy2016`:",
    r"The labeled class keeps its part of the share: its target is $1 - \varepsilon + \varepsilon /"
    " K$, here 0.9333, not 0.9.",
    r"Label smoothing puts $1 - \varepsilon + \varepsilon / K$ on the label and $\varepsilon / K$"
    r" on"
    " every other class.",
)
@given(st.integers(2, 6), EPSILONS, st.integers(0, 1), logits(6))
def eq_smoothing(K: int, epsilon: Real, label: int, z: Row) -> None:
    r"""y'_k = (1 - \varepsilon) \, y_k + \frac{\varepsilon}{K} ."""
    y = one_hot(K, label)
    smoothed = [(1 - epsilon) * y_k + epsilon / K for y_k in y]
    for formula, literal in zip(smoothed, spread(y, epsilon), strict=True):
        same(formula, literal)
    same(mp.fsum(smoothed), mpf(1))
    for k in range(K):
        same(smoothed[k], 1 - epsilon + epsilon / K if k == label else epsilon / K)
    scores, target = as_tensor(z[:K])[None], torch.tensor([label])
    by_torch = F.cross_entropy(scores, target, label_smoothing=float(epsilon))
    assert abs(by_torch.item() - H(smoothed, soft(z[:K]))) < NEAR
    assert abs(1 - mpf("0.1") + mpf("0.1") / 3 - mpf("0.9333")) < 5e-5


@says(
    r"Written out, the smoothed loss needs no one-hot rows. With $\ell_k = -\log \hat y_k$,",
    r"The last step uses $\ell_k = \log \sum_j e^{z_j} - z_k$, so that the mean of the $\ell_k$ is"
    r" $\ell_y + z_y - \bar z$, where $\bar z$ is the mean logit. **Smoothing is cross-entropy"
    r" plus a"
    " charge of ε for every unit by which the label's logit exceeds the mean logit.**",
    "For no deep reason: {eq}`eq-smoothed-loss` shows that integer labels suffice.",
)
@given(logits(), st.integers(0, 3), EPSILONS)
def eq_smoothed_loss(z: Row, label: int, epsilon: Real) -> None:
    r"""
    \begin{aligned}
    \ell' &= (1 - \varepsilon) \, \ell_y + \varepsilon \, \frac{1}{K} \sum_k \ell_k \\
    &= \ell_y + \varepsilon \, (z_y - \bar z) .
    \end{aligned}
    """
    smoothed = H(spread(one_hot(4, label), epsilon), soft(z))
    each, mean_logit = surprises(z), mp.fsum(z) / 4
    same(each[label], mp.log(mp.fsum(map(mp.exp, z))) - z[label])
    same(mp.fsum(each) / 4, each[label] + z[label] - mean_logit)
    same(smoothed, (1 - epsilon) * each[label] + epsilon * (1 / mpf(4)) * mp.fsum(each))
    same(smoothed, each[label] + epsilon * (z[label] - mean_logit))


@says(
    "to the entropy of the smoothed target, which is the same for every label:",
    "Label smoothing makes every target uncertain. With 10 classes and $\\varepsilon = 0.1$, the"
    " best"
    " loss is 0.5003.",
)
@given(CLASSES, EPSILONS)
def eq_smoothing_floor(K: int, epsilon: Real) -> None:
    r"""
    \begin{aligned}
    H(y') = &-\left(1 - \varepsilon + \tfrac{\varepsilon}{K}\right)
    \log\left(1 - \varepsilon + \tfrac{\varepsilon}{K}\right) \\
    &- (K - 1) \, \tfrac{\varepsilon}{K} \log \tfrac{\varepsilon}{K} .
    \end{aligned}
    """
    label, other = 1 - epsilon + epsilon / K, epsilon / K
    formula = -label * mp.log(label) - (K - 1) * other * mp.log(other)
    for k in (0, K - 1):
        same(formula, H(spread(one_hot(K, k), epsilon)))
    assert formula > 0
    assert abs(H(spread(one_hot(10), mpf("0.1"))) - mpf("0.5003")) < 5e-5


@says(
    r"That is {eq}`eq-smoothing` with a larger ε, because the label must give away $\varepsilon$ in"
    " all:",
    "Some code divides by $K - 1$, which is a larger ε.",
)
@given(CLASSES, EPSILONS)
def eq_smoothing_variants(K: int, epsilon: Real) -> None:
    r"""
    \varepsilon' \, \tfrac{K - 1}{K} = \varepsilon
    \;\Longrightarrow\; \varepsilon' = \varepsilon \, \tfrac{K}{K - 1} .
    """
    variant = [1 - epsilon] + [epsilon / (K - 1)] * (K - 1)
    larger = epsilon * mpf(K) / (K - 1)
    assert larger > epsilon
    for mine, theirs in zip(spread(one_hot(K), larger), variant, strict=True):
        assert abs(mine - theirs) < TINY
    given_away = 1 - spread(one_hot(K), larger)[0]
    same(given_away, larger * (K - 1) / K)
    same(given_away, epsilon)


@says(
    r"The optimum is $\hat y = y'$. A softmax reaches it exactly when every logit difference is the"
    r" difference of the log targets, because $\log \hat y_k - \log \hat y_j = z_k - z_j$. So all"
    " wrong classes share one logit, and the label lies above them by",
    r"Without smoothing, $m^{\ast}$ is infinite:",
    "Set ε to 0: the loss sinks towards 0, and no margin is large enough. Any other ε has a best"
    " margin, and beyond it, more confidence costs.",
    "It charges ε for each unit of the label's logit above the mean, and its best margin is finite:"
    r" $\log(1 + (1 - \varepsilon) K / \varepsilon)$.",
)
@given(CLASSES, EPSILONS, logits(), st.integers(1, 40))
def eq_best_margin(K: int, epsilon: Real, z: Row, more: int) -> None:
    r"""
    \begin{aligned}
    m^{\ast} &= \log \frac{1 - \varepsilon + \varepsilon / K}{\varepsilon / K} \\
    &= \log\left(1 + \frac{(1 - \varepsilon) K}{\varepsilon}\right) .
    \end{aligned}
    """
    target = spread(one_hot(K), epsilon)
    best = mp.log((1 - epsilon + epsilon / K) / (epsilon / K))
    same(best, mp.log(1 + (1 - epsilon) * K / epsilon))

    def loss(m: Real, target: Row = target) -> Real:
        return H(target, soft(with_margin(m, K)))

    same(loss(best), H(target))
    for y_k, q_k in zip(target, soft(with_margin(best, K)), strict=True):
        same(y_k, q_k)
    step = mpf(more) / 8
    assert loss(best) < loss(best + step) < loss(best + 2 * step)
    assert loss(best) < loss(best - step)
    plain = [loss(best + n * step, one_hot(K)) for n in range(3)]
    assert plain[0] > plain[1] > plain[2] > 0
    assert loss(mpf(200), one_hot(K)) < mpf(10) ** -40
    q = soft(z)
    same(mp.log(q[1]) - mp.log(q[2]), z[1] - z[2]) if z[1] != z[2] else same(q[1], q[2])


# --- The figures ---


@says(
    "Drag the margin, by which the logit of the labeled class exceeds the others, and see the loss"
    " fall to its floor and rise again:",
)
def down_to_a_floor_and_up_again() -> None:
    drawing_of(SmoothingFloor(10, 0.1, 3))
    margins = np.linspace(-2, 12, 281)
    losses = np.log(np.exp(margins) + 9) - 0.91 * margins
    rising = np.diff(losses) > 0
    assert rising.tolist() == sorted(rising)
    assert 0 < rising.sum() < len(rising)
    assert losses.min() == pytest.approx(stats.entropy([0.91, *[0.01] * 9]), abs=1e-3)


# --- Guesses ---


@says(
    r"**Guessing all $K$ classes equally: $\log K$.**",
    r"**Guessing the class frequencies: $H(\text{prior})$.** The best that a constant can do, by"
    r" Gibbs' inequality ({eq}`eq-gibbs`). With unequal classes it lies below $\log K$.",
    r"Judge a loss against $\log K$, $H(\text{prior})$ and its floor.",
)
@given(distributions(4, least=1), distributions(4, least=1))
def what_a_constant_costs(prior: Row, q: Row) -> None:
    counts = [round(12 * 11 * 10 * 9 * share) for share in prior]
    shares = [mpf(count) / sum(counts) for count in counts]

    def mean(q: Row) -> Real:
        return mp.fsum(-n * mp.log(q_k) for n, q_k in zip(counts, q, strict=True)) / sum(counts)

    same(mean([mpf(1) / 4] * 4), mp.log(4))
    same(mean(shares), H(shares))
    assert mean(q) >= mean(shares) - TINY
    assert H(prior) < mp.log(4) or max(prior) - min(prior) < TINY


@says(
    "**1.461** for 10 classes, $\\log(e + K - 1) - 1$: the floor when a softmax stands in front of"
    " a"
    " loss that contains one. *Proof.* The outputs $s_k$ of the first softmax lie in $[0, 1]$, so"
    r" $s_j - s_y \ge -1$, and the loss $\log\bigl(1 + \sum_{j \ne y} e^{s_j - s_y}\bigr)$ is at"
    r" least $\log\bigl(1 + (K - 1)/e\bigr)$. ∎",
)
@given(logits(), st.integers(2, 40))
def the_floor_of_a_double_softmax(z: Row, K: int) -> None:
    s = soft(z)
    assert min(s) >= 0
    assert max(s) <= 1
    assert min(s_j - s[0] for s_j in s) >= -1
    loss = surprises(s)[0]
    same(loss, mp.log(1 + mp.fsum(mp.exp(s_j - s[0]) for s_j in s[1:])))
    assert loss >= mp.log(1 + 3 / mp.e)
    same(mp.log(1 + (K - 1) / mp.e), mp.log(mp.e + K - 1) - 1)
    same(surprises(one_hot(K))[0], mp.log(mp.e + K - 1) - 1)
    assert abs(mp.log(mp.e + 9) - 1 - mpf("1.461")) < 0.0005


@says(
    "$e^{-0.675} = 0.51$ is the *geometric* mean of the probabilities given to the truth; the"
    " arithmetic mean is at least that.",
    "$e^{-L}$ is the geometric mean probability of the truth.",
)
@given(st.lists(st.integers(1, 100).map(lambda n: mpf(n) / 100), min_size=1, max_size=5))
def the_geometric_mean(given_to_truth: Row) -> None:
    N = len(given_to_truth)
    L = mp.fsum(-mp.log(p) for p in given_to_truth) / N
    same(mp.exp(-L), mp.root(mp.fprod(given_to_truth), N))
    assert mp.fsum(given_to_truth) / N >= mp.exp(-L) - TINY
    assert abs(mp.exp(mpf("-0.675")) - mpf("0.51")) < 0.005


@says(
    r"If the first logits are normal with standard deviation $\sigma$, then by Jensen's inequality"
    r" $\mathbb{E}\,\ell = \mathbb{E} \log \sum_k e^{z_k} \le \log K + \sigma^2 / 2$",
)
def the_first_loss_of_normal_logits() -> None:
    # Of two classes: the loss depends on a difference alone.
    d, x = mp.sqrt(2), mp.linspace(-9, 9, 361)

    def mean(values: Row) -> Real:
        """Return the mean over a standard normal variable, whose ends do not count."""
        return mp.fsum(mp.npdf(x_i) * v for x_i, v in zip(x, values, strict=True)) / 20

    same(mean([mpf(1)] * 361), mpf(1), 15)
    for sigma in (mpf(1) / 2, mpf(1), mpf(3)):
        loss = mean([mp.log(1 + mp.exp(sigma * d * x_i)) for x_i in x])
        assert loss <= mp.log(2) + sigma**2 / 2
        # Jensen: the mean of a log of a sum is at most the log of K means.
        same(mean([mp.exp(sigma * x_i) for x_i in x]), mp.exp(sigma**2 / 2), 6)
    assert abs(mean(x)) < TINY  # so the label's own logit drops out


# --- The exercises ---


@says(
    r"The target becomes $1 - \varepsilon/2 = 0.95$, the optimum is $\sigma(z) = 0.95$, so $z ="
    r" \log"
    r" \tfrac{0.95}{0.05} = 2.944$, and the floor is the binary entropy of 0.05. It is"
    " {eq}`eq-best-margin` with $K = 2$.",
    r"For two classes with one output, `BinaryCrossentropy` smooths towards ½: 0 and 1 become"
    r" $\varepsilon / 2$ and $1 - \varepsilon / 2$.",
)
@given(EPSILONS)
def the_yes_or_no_case(epsilon: Real) -> None:
    towards_half = [y + epsilon * (mpf(1) / 2 - y) for y in (mpf(0), mpf(1))]
    same(towards_half[0], epsilon / 2)
    same(towards_half[1], 1 - epsilon / 2)
    for a, b in zip(towards_half[::-1], spread(one_hot(2), epsilon), strict=True):
        same(a, b)
    z = mp.log(towards_half[1] / towards_half[0])
    same(1 / (1 + mp.exp(-z)), towards_half[1])
    same(z, mp.log(1 + (1 - epsilon) * 2 / epsilon))
    target = 1 - mpf("0.1") / 2
    same(target, mpf("0.95"))
    assert abs(mp.log(target / (1 - target)) - mpf("2.944")) < 0.0005
    same(H(spread(one_hot(2), mpf("0.1"))), H([mpf("0.05"), mpf("0.95")]))


@says(
    r"With one margin $m$ for all samples, the smoothed loss is $\log(e^m + 9) - 0.91 m$, which"
    r" takes"
    " the value 0.61 on both sides of its lowest point: at a small margin (too modest) and at a"
    " large"
    " one (too sure).",
    "A log shows the smoothed loss only: 0.61 for $K = 10$ and $\\varepsilon = 0.1$. Show that the"
    " plain loss of the same predictions can be as low as 0.012 or as high as 0.327.",
)
def from_smoothed_to_plain() -> None:
    target = spread(one_hot(10), mpf("0.1"))

    def smoothed(m: Real) -> Real:
        return mp.log(mp.exp(m) + 9) - mpf("0.91") * m

    for m in (mpf(0), mpf(2), mpf(7)):
        same(smoothed(m), H(target, soft(with_margin(m, 10))))
    lowest = mp.log(91)
    assert smoothed(lowest) < mpf("0.61")
    plain = []
    for start in (mpf(3), mpf(7)):
        m = mp.findroot(lambda m: smoothed(m) - mpf("0.61"), start)
        assert (m < lowest) == (start == 3)
        chance = soft(with_margin(m, 10))[0]
        assert (chance < target[0]) == (start == 3)  # too modest, or too sure
        plain.append(-mp.log(chance))
    assert abs(plain[0] - mpf("0.327")) < 0.0005
    assert abs(plain[1] - mpf("0.012")) < 0.0005


@says(
    r"The noisy label is class $k$ with probability $(1 - \varepsilon) y_k + \varepsilon / K ="
    r" y'_k$,"
    r" so the expectation of $\ell_{\text{noisy}} = -\log \hat y_{\text{noisy}}$ is $-\sum_k y'_k"
    r" \log \hat y_k$: the smoothed loss. If $p$ are the probabilities of the true classes, the"
    r" best"
    r" model of noisy labels predicts $q = (1 - \varepsilon) p + \varepsilon / K$, by"
    r" {eq}`eq-floor`;"
    r" solve for $p = (q - \varepsilon / K) / (1 - \varepsilon)$.",
    "Smoothing by ε states that the label is replaced at random with probability ε, as an"
    " {ref}`exercise <ex-smoothing-noise>` shows.",
    "Show that the expected loss on the noisy label equals the smoothed loss on the true one.",
)
@given(distributions(4), EPSILONS, logits(), st.integers(0, 3))
def smoothing_is_noise_averaged(p: Row, epsilon: Real, z: Row, label: int) -> None:
    chances = [mpf(0)] * 4  # of the noisy label: kept, or replaced by each class in turn
    chances[label] += 1 - epsilon
    for k in range(4):
        chances[k] += epsilon * mpf(1) / 4
    for chance, y_k in zip(chances, spread(one_hot(4, label), epsilon), strict=True):
        same(chance, y_k)
    expected = mp.fsum(c * s for c, s in zip(chances, surprises(z), strict=True))
    scores, target = as_tensor(z)[None], torch.tensor([label])
    by_torch = F.cross_entropy(scores, target, label_smoothing=float(epsilon))
    assert abs(by_torch.item() - expected) < NEAR
    q = [(1 - epsilon) * p_k + epsilon / 4 for p_k in p]
    for noisy, shares in zip(q, spread(p, epsilon), strict=True):
        same(noisy, shares)
    assert H(q, q) <= H(q, soft(z)) + TINY
    for p_k, q_k in zip(p, q, strict=True):
        assert abs(p_k - (q_k - epsilon / 4) / (1 - epsilon)) < TINY


@says("Any distribution can be a target, if its rows sum to 1.")
@given(distributions(3), logits(3))
def any_distribution_can_be_a_target(y: Row, z: Row) -> None:
    scores = as_tensor(z)[None]
    values = [F.cross_entropy(scores, c * as_tensor(y)[None]).item() for c in (1, 2)]
    assert abs(values[0] - H(y, soft(z))) < NEAR
    assert values[1] == pytest.approx(2 * values[0])  # no cross-entropy any more


@says(
    r"Because $\tau$ divides twice. One $1 / \tau$ comes from the chain rule, through $z / \tau$."
    r" The second is in the difference of student $z$ and teacher $v$: for large $\tau$ and logits"
    r" of mean 0, $\operatorname{softmax}(z / \tau)_k \approx \frac1K + \frac{z_k}{K \tau}$. So"
    r" {cite:t}`hinton2015` multiply this loss by $\tau^2$:",
)
@given(logits(3), logits(3))
def distillation_multiplies_by_the_square(z: Row, v: Row) -> None:
    z, v = ([x - mp.fsum(row) / 3 for x in row] for row in (z, v))
    tau = mpf(10) ** 8
    cool, teacher = (soft([x / tau for x in row]) for row in (z, v))
    for one, z_k, share in zip(cool, z, teacher, strict=True):
        assert abs(one - (mpf(1) / 3 + z_k / (3 * tau))) < 1e-13
        own = v[teacher.index(share)]
        assert abs(tau**2 * (one - share) / tau - (z_k - own) / 3) < 1e-6
    x, t = as_tensor(z).requires_grad_(), as_tensor(soft(v))
    (slope,) = torch.autograd.grad(F.cross_entropy(x / 5, t), x)
    assert torch.allclose(slope, (F.softmax(x / 5, dim=-1) - t) / 5)  # the chain rule's


NUMBERS = {
    "It does, since torch 1.10": Cited(
        "https://github.com/pytorch/pytorch/releases/tag/v1.10.0",
        "torch.nn: CrossEntropyLoss takes class probabilities, and label smoothing",
    ),
    "2.3026, 1.4612, 0.5003 and 0.0001": Given("the problem makes up its losses"),
}

UNTESTED = {
    "Megatron-LM and some hand-written versions give exactly $1 - \\varepsilon$ to the label and"
    " $\\varepsilon / (K - 1)$ to each other class.": "code that is not installed here",
    "In the layer below, this makes the images of a class crowd together at equal distances from"
    " all"
    " other classes, as {cite:t}`muller2019` show": "a study",
    "{cite:t}`lukasik2020` study smoothing as a remedy for noise.": "a study",
}
