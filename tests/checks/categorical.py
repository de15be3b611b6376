"""The chapter on categorical cross-entropy."""

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
from sklearn import metrics
from torch.nn import functional as F

from crossent.figures.style import PALETTE
from tests.checks import Cited, H, Real, Row, distributions, logits, same, says, soft
from tests.drawing import drawn
from tests.figures.losses import CategoricalTerms

TINY = mpf(10) ** -45
ROWS = st.lists(distributions(3, least=1), min_size=1, max_size=4)
if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = st.integers(0, 3)


def surprises(z: Row) -> Row:
    """Return -log of each probability that a softmax gives."""
    return [-mp.log(q) for q in soft(z)]


def as_tensor(rows: Sequence[Row]) -> torch.Tensor:
    return torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)


# --- The loss ---


@says(
    r"**Categorical cross-entropy is the mean of $-\log$ of the probability that the model gave to"
    " the true class.** As a formula, for $N$ samples and $K$ classes, with targets $y_{nk}$ (1 at"
    r" the true class and 0 elsewhere, or any probabilities) and predictions $\hat y_{nk}$:",
    r"$L = -\frac1N \sum_n \sum_k y_{nk} \log \hat y_{nk}$, with *both* sums. For a one-hot row,"
    r" one"
    r" term is left: $-\log$ of the probability of the true class.",
)
@given(ROWS, ROWS, st.integers(0, 2))
def eq_categorical(q: list[Row], y: list[Row], label: int) -> None:
    r"""L = -\frac1N \sum_{n=1}^{N} \sum_{k=1}^{K} y_{nk} \log \hat y_{nk} ."""
    N = min(len(q), len(y))
    hard = [[mpf(k == (label + n) % 3) for k in range(3)] for n in range(N)]
    for targets in (y[:N], hard):
        terms = [
            y_k * mp.log(q_k)
            for row, given in zip(targets, q[:N], strict=True)
            for y_k, q_k in zip(row, given, strict=True)
        ]
        L = -mp.fsum(terms) / N
        library = F.cross_entropy(as_tensor(q[:N]).log(), as_tensor(targets))
        assert abs(L - library.item()) < 1e-14
        assert sum(term != 0 for term in terms) == (N if targets is hard else 3 * N)
    to_truth = [q[n][(label + n) % 3] for n in range(N)]
    same(L, mp.fsum(-mp.log(chance) for chance in to_truth) / N)
    if N == 1:
        assert abs(L - metrics.log_loss([label], as_tensor(q[:1]), labels=[0, 1, 2])) < 1e-14


@says(
    "From the likelihood.",
    r"The model gives the class of sample $n$ the probability $\prod_k \hat"
    r" y_{nk}^{\,y_{nk}}$: all factors but one have the exponent 0. The probabilities of"
    " independent samples multiply. The logarithm turns products into sums, so the"
    " logarithm of the likelihood is",
    "The smallest loss is the largest likelihood ({doc}`likelihood`).",
)
@given(ROWS, ROWS, st.integers(0, 2))
def eq_categorical_likelihood(q: list[Row], other: list[Row], label: int) -> None:
    r"""
    \log \prod_{n} \prod_{k} \hat y_{nk}^{\,y_{nk}} = \sum_n \sum_k y_{nk} \log \hat y_{nk} = -N L .
    """
    N = min(len(q), len(other))
    y = [[int(k == (label * n) % 3) for k in range(3)] for n in range(N)]

    def likelihood(rows: list[Row]) -> Real:
        """Return the probability of all classes together, sample by sample."""
        return mp.fprod(rows[n][y[n].index(1)] for n in range(N))

    def loss(rows: list[Row]) -> Real:
        return mp.fsum(H([mpf(k) for k in y[n]], rows[n]) for n in range(N)) / N

    factors = [q[n][k] ** y[n][k] for n in range(N) for k in range(3)]
    same(mp.fprod(factors), likelihood(q))
    same(
        mp.log(mp.fprod(factors)),
        mp.fsum(y[n][k] * mp.log(q[n][k]) for n in range(N) for k in range(3)),
    )
    same(mp.log(likelihood(q)), -N * loss(q))
    if abs(loss(q) - loss(other)) > TINY:
        assert (loss(q) < loss(other)) == (likelihood(q) > likelihood(other))


@says(
    "Read $y_i$ as a row, with the sum over classes implied, and it is {eq}`eq-categorical`. Read"
    " it"
    " as it stands, with integer labels, and the *number* of the class becomes a weight: class 0"
    " costs nothing, class 2 counts twice.",
)
@given(distributions(3, least=1), st.integers(0, 2))
def the_number_of_the_class_becomes_a_weight(q: Row, label: int) -> None:
    y = [mpf(k == label) for k in range(3)]
    as_a_row = -mp.fsum(y_k * mp.log(q_k) for y_k, q_k in zip(y, q, strict=True))
    same(as_a_row, H(y, q))
    as_it_stands = -label * mp.log(q[label])
    same(as_it_stands, label * H(y, q))
    assert [0, 1, 2][label] * as_a_row == as_it_stands


# --- Forms of target, and two classes ---


@says(
    "They lose nothing, as long as each row has one class.",
    "No, as long as each row has one class. The model gives $K$ probabilities either way, and gets"
    " the same gradient.",
    "One-hot rows, integers and soft targets are forms of one target; logits and"
    " probabilities are forms of one prediction.",
)
@given(st.lists(logits(), min_size=2, max_size=4), LABELS)
def the_forms_of_a_target_say_the_same(z: list[Row], label: int) -> None:
    scores = as_tensor(z).requires_grad_()
    labels = torch.tensor([(label + n) % 4 for n in range(len(z))])
    onehot = F.one_hot(labels, 4).double()
    assert (onehot.argmax(dim=-1) == labels).all()  # and back
    values, slopes = [], []
    for target in (labels, onehot):
        values.append(F.cross_entropy(scores, target))
        slopes.append(torch.autograd.grad(values[-1], scores)[0])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*slopes)
    of_probs = F.cross_entropy(as_tensor([soft(row) for row in z]).log(), labels)
    torch.testing.assert_close(of_probs, values[0])


@says(
    "Both give the same loss.",
    r"By equation {eq}`eq-sigmoid-softmax` in {doc}`softmax`, the categorical loss of logits"
    " $(z_0, z_1)$ *is* the binary loss of $z_1 - z_0$, sample by sample.",
)
@given(logits(2), st.integers(0, 1))
def two_outputs_are_one(z: Row, label: int) -> None:
    sigmoid = 1 / (1 + mp.exp(-(z[1] - z[0])))
    same(surprises(z)[label], -mp.log(sigmoid if label else 1 - sigmoid))


# --- The figure ---


@says(
    r"They are as wide as the target $p$ and as high as the surprise, $-\log \hat y$. A"
    " label gives all the width to one class: the loss is the area of its bar, and all of"
    " it is pale, because a better model could save it. Change the label and the logits,"
    " then spread the target: a solid part appears, the entropy, which no model can save.",
)
def a_label_is_one_bar() -> None:
    sizes: dict[tuple[float, bool], float] = {}
    for spread in (0, 0.3):
        at = CategoricalTerms(2, 1, 0, "dog", spread)
        (drawing,) = drawn(at.figure().spec, {"spread": spread})
        for color in PALETTE[:3]:
            rects = zip(drawing.of("rect", color), drawing.seen("rect", color), strict=True)
            for mark, rect in rects:
                pale = mark.look.get("fill-opacity", "1") != "1"
                area = float(np.ptp(rect[:, 0]) * np.ptp(rect[:, 1]))
                sizes[spread, pale] = sizes.get((spread, pale), 0) + area
        if not spread:
            assert at.p.tolist() == [0, 1, 0]
            assert sizes[0, True] == pytest.approx(at.loss, rel=1e-3)
    assert sizes[0, False] == pytest.approx(0)
    solid = [mpf(w) * min(-mp.log(w), s) for w, s in zip(at.p, surprises([2, 1, 0]), strict=True)]
    assert sizes[0.3, False] == pytest.approx(float(mp.fsum(solid)), rel=1e-3)
    assert H([mpf(x) for x in at.p], soft([2, 1, 0])) >= H([mpf(x) for x in at.p]) > 0


@says(
    "With a one-hot target, only one term survives. Raise the logit of a wrong class all"
    " the same: the loss rises, because what that class gains, the others lose, the true"
    " one among them. Spread the target, and every class takes part.",
    "Only *how* the wrong classes share the rest does not count, because one of them is"
    r" as wrong as the other. The gradient with respect to the logits, $\hat y - y$,"
    " reaches each of them:",
    "From the gradient, as in the first two rows: the loss compares each output with the"
    " truth, not with the other one, and each {doc}`gradient <gradient>` pushes down what"
    " is too high.",
    "The wrong classes are not ignored: the probabilities share a sum of 1, and the gradient is"
    r" $\hat y - y$.",
)
@given(logits(), st.permutations(range(4)))
def the_wrong_classes_count(z: Row, order: list[int]) -> None:
    true, wrong, *_ = order
    raised = [z_k + (k == wrong) for k, z_k in enumerate(z)]
    assert surprises(raised)[true] > surprises(z)[true]
    assert soft(raised)[wrong] > soft(z)[wrong]
    assert soft(raised)[true] < soft(z)[true]
    onehot = [mpf(k == true) for k in range(4)]
    spread = [mpf(1) / 20 + mpf(8) / 10 * y_k for y_k in onehot]
    for target, count in ((onehot, 1), (spread, 4)):
        assert sum(y_k * s_k > 0 for y_k, s_k in zip(target, surprises(z), strict=True)) == count
    rest = [soft(z)[k] for k in order[1:]]
    for shared in itertools.permutations(rest):
        q = dict(zip(order, [soft(z)[true], *shared], strict=True))
        same(H(onehot, [q[k] for k in range(4)]), surprises(z)[true])
    scores = as_tensor([z]).requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(scores, torch.tensor([true])), scores)
    for k in range(4):
        assert abs(slope[0, k].item() - (soft(z)[k] - onehot[k])) < 1e-14
        assert (slope[0, k] > 0) == (k != true)
    same(mp.fsum(soft(z)), mpf(1))


@says(
    "Both, for different questions. That one asks $K$ independent yes-or-no questions, and suits"
    " several labels per sample. For classes that exclude each other, it asks about answers that"
    " cannot go together.",
    "Several labels per sample need the binary loss. One of $K$ needs the sparse loss if"
    " the labels are integers 0 to $K - 1$, and the categorical loss otherwise.",
)
@given(distributions(3, least=1), distributions(3, least=1))
def two_sums_for_two_questions(q: Row, p: Row) -> None:
    """Let each loss ask what is least: the chance of each class, or the chances of each label."""
    one_of_three = H(p, q)
    assert one_of_three >= H(p) - TINY
    independent = mp.fsum(H([p_k, 1 - p_k], [q_k, 1 - q_k]) for p_k, q_k in zip(p, q, strict=True))
    # The likelihood of three independent answers gives all eight outcomes a chance: with it, the
    # three that can happen have less than 1.
    possible = mp.fsum(
        mp.fprod(q_j if j == k else 1 - q_j for j, q_j in enumerate(q)) for k in range(3)
    )
    assert possible < 1
    same(
        independent,
        -mp.fsum(
            p_k * mp.log(mp.fprod(q_j if j == k else 1 - q_j for j, q_j in enumerate(q)))
            for k, p_k in enumerate(p)
        ),
    )
    assert independent > one_of_three
    both = F.binary_cross_entropy(torch.tensor([0.9, 0.9]), torch.ones(2))
    assert both < 0.11  # two labels that hold together, each nearly certain
    assert F.cross_entropy(torch.tensor([9.0, 9.0]), torch.tensor([1.0, 1.0])) > 1.3


# --- Floors ---


@says(
    r"For $K$ classes, the loss is $\log(e + K - 1) - 1$.",
    r"the loss cannot fall below $\log(e + K - 1) - 1$: 1.461 for ten classes. At the other end, a"
    r" confident mistake costs $\log(e + K - 1)$ and no more ({ref}`proof"
    r" <ex-categorical-floor>`).",
    r"The loss is $\log \sum_j e^{\hat y_j} - \hat y_y$. *From below*: let $\hat y_y = a$. By"
    r" Jensen's inequality, the other $K - 1$ terms are at least $(K - 1) \, e^{(1 - a) / (K -"
    r" 1)}$,"
    r" so the loss is at least $\log\left(1 + (K - 1) \, e^{(1 - a) / (K - 1) - a}\right)$. That"
    r" falls as $a$ grows; at $a = 1$ it is $\log\left(1 + \frac{K - 1}{e}\right) = \log(e + K - 1)"
    r" - 1$. *From above*: on $[0, 1]$, convexity gives $e^x \le 1 + (e - 1) x$, so $\sum_j e^{\hat"
    r" y_j} \le K + e - 1$, and $-\hat y_y \le 0$.",
    "The accuracy may still be perfect, because the order of the classes survives any softmax.",
    r"Prove that with $\hat y = \operatorname{softmax}(z)$ given to a loss of logits, the loss lies"
    r" between $\log(e + K - 1) - 1$ and $\log(e + K - 1)$.",
)
@given(st.integers(2, 6).flatmap(distributions), distributions(2))
def a_double_softmax_has_a_floor(q: Row, pair: Row) -> None:
    K, a, x = len(q), q[0], pair[0]
    loss = surprises(q)[0]  # the probabilities go through another softmax
    same(loss, mp.log(mp.fsum(map(mp.exp, q))) - a)
    others = mp.fsum(map(mp.exp, q[1:]))
    least = (K - 1) * mp.exp((1 - a) / (K - 1))
    assert others >= least - TINY

    def bound(a: Real) -> Real:
        return mp.log(1 + (K - 1) * mp.exp((1 - a) / (K - 1) - a))

    assert loss >= bound(a) - TINY
    assert bound(a) >= bound(mpf(1)) - TINY
    assert bound(x) > bound(mpf(1)) or x == 1
    same(bound(mpf(1)), mp.log(1 + (K - 1) / mp.e))
    same(bound(mpf(1)), mp.log(mp.e + K - 1) - 1)
    assert mp.exp(x) <= 1 + (mp.e - 1) * x + TINY
    assert mp.fsum(map(mp.exp, q)) <= K + mp.e - 1 + TINY
    assert loss <= mp.log(mp.e + K - 1) + TINY
    certain = [mpf(k == 0) for k in range(K)]
    same(surprises(certain)[0], mp.log(mp.e + K - 1) - 1)  # and with the target as logits
    same(surprises(certain)[1], mp.log(mp.e + K - 1))
    assert abs(mp.log(mp.e + 9) - 1 - mpf("1.461")) < 0.0005
    twice = soft(q)
    for j, k in itertools.combinations(range(K), 2):
        assert (twice[j] > twice[k]) == (q[j] > q[k])


@says(
    r"The minimum of $H(y, \hat y)$ over all predictions is the entropy $H(y)$, reached for"
    r" $\hat y = y$ (Gibbs' inequality, {eq}`eq-gibbs`). Only for one-hot rows is that 0.",
    "The minimum is the entropy of the target, which is 0 only for one-hot rows.",
)
@given(distributions(4), distributions(4, least=1))
def the_minimum_is_the_entropy_of_the_target(y: Row, q: Row) -> None:
    assert H(y, q) >= H(y) - TINY
    same(H(y, y), H(y))
    assert (H(y) < TINY) == (max(y) == 1)


# --- Axes ---


@says(
    "The loss is the same: one term per token or pixel. What differs is the layout.",
    "PyTorch expects them at axis 1: logits (N, K, L), labels (N, L). (Its documentation writes C"
    " for"
    " $K$.)",
    "Transpose, do not reshape: `reshape` to the right shape mixes the tokens, without an error.",
    "PyTorch wants the classes at axis 1. Transpose, do not reshape, and test with a length that is"
    " not $K$.",
)
def pytorch_wants_the_classes_at_axis_1() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (2, 7), generator=generator)
    terms = [-z[n, t].log_softmax(dim=0)[y[n, t]] for n in range(2) for t in range(7)]
    truth = torch.stack(terms).mean()
    torch.testing.assert_close(F.cross_entropy(z.transpose(1, 2), y), truth)
    assert abs(F.cross_entropy(z.reshape(2, 5, 7), y) - truth) > 0.1
    with pytest.raises(RuntimeError, match="Expected target size"):
        F.cross_entropy(z, y)  # a length that is not K tells
    square = torch.randn(2, 5, 5, generator=generator)
    assert F.cross_entropy(square, y[:, :5]) != F.cross_entropy(square.transpose(1, 2), y[:, :5])
    assert r"C ={} & \text{number of classes}" in (torch.nn.CrossEntropyLoss.__doc__ or "")


# --- The exercises ---


@says(
    r"Two samples have the predictions $(\tfrac12, \tfrac14, \tfrac14)$ and $(\tfrac18, \tfrac18,"
    r" \tfrac34)$. Their labels are 0 and 1.",
    r"The probabilities of the true classes are $\tfrac12$ and $\tfrac18$. Their surprises are 1"
    r" and"
    r" 3 bits; the mean is 2 bits, or $2 \log 2 \approx 1.386$ nats.",
)
def by_hand() -> None:
    half, eighth = [mpf(1) / 2, mpf(1) / 4, mpf(1) / 4][0], [mpf(1) / 8, mpf(1) / 8, mpf(3) / 4][1]
    bits = [-mp.log(p, 2) for p in (half, eighth)]
    same(bits[0], mpf(1))
    same(bits[1], mpf(3))
    same(mp.fsum(bits) / 2, mpf(2))
    same(mp.fsum(-mp.log(p) for p in (half, eighth)) / 2, 2 * mp.log(2))
    assert abs(2 * mp.log(2) - mpf("1.386")) < 0.0005


@says(
    "Over many samples, integer labels act like a soft target: 0.9 for the true class and $0.1 / 9$"
    " for each other. The smallest loss is the entropy of that target, and the best prediction"
    r" equals it. The lead is the log-odds $\log \frac{0.9}{0.1 / 9} = \log 81$.",
)
@given(distributions(10, least=1))
def wrong_labels_act_like_a_soft_target(q: Row) -> None:
    labels = [0] * 81 + list(range(1, 10))  # one in ten is wrong, each equally often
    target = [mpf(labels.count(k)) / 90 for k in range(10)]
    same(target[0], mpf(9) / 10)
    same(target[1], mpf(1) / 10 / 9)
    same(mp.fsum(-mp.log(q[label]) for label in labels) / 90, H(target, q))
    assert H(target, q) >= H(target)
    lead = mp.log(target[0]) - mp.log(target[1])
    same(lead, mp.log(81))
    same(soft([lead] + [mpf(0)] * 9)[0], target[0])


@says(
    r"Let a loss be a differentiable function $s(\hat y_y)$ of the probability of the true class"
    r" alone, for $K \ge 3$ classes. Suppose that telling the truth is always best: for every $p$"
    r" with positive entries, the mean $\sum_k p_k \, s(q_k)$ is smallest at $q = p$. Show that"
    r" $s(q) = -c \log q + d$ with $c \ge 0$.",
    "Move a little probability from class $j$ to class $k$. At $q = p$ the mean must not change to"
    " first order: $p_k s'(p_k) = p_j s'(p_j)$. With three classes, every pair $a, b > 0$ with $a +"
    " b < 1$ occurs as $p_k, p_j$, so $a s'(a) = b s'(b)$; if $a + b \\ge 1$, compare both with a"
    " number smaller than $1 - a$ and $1 - b$. So $a s'(a)$ is a constant, $-c$, and $s(q) = -c"
    " \\log"
    " q + d$. By Gibbs' inequality, $c \\ge 0$.",
)
def only_the_logarithm() -> None:
    x, a, b, c = sympy.symbols("x a b c", positive=True)
    s = sympy.Function("s")
    moved = a * s(a + x) + b * s(b - x)  # the mean, after a little was moved
    slope = sympy.diff(moved, x).subs(x, 0).doit()
    expected = a * sympy.diff(s(a), a) - b * sympy.diff(s(b), b)
    assert sympy.simplify(slope - expected) == 0
    solution = sympy.dsolve(a * s(a).diff(a) + c, s(a)).rhs
    assert sympy.simplify(sympy.diff(solution, a) + c / a) == 0
    # A third class takes what a and b leave; so a pair like 0.7 and 0.6 needs a go-between.
    for one, other in itertools.product(range(1, 10), repeat=2):  # tenths
        between = min(10 - one, 10 - other) / 2
        assert one + between < 10
        assert other + between < 10
    honest, exaggerated = [mpf("0.5"), mpf("0.3"), mpf("0.2")], [mpf("0.6"), mpf("0.3"), mpf("0.1")]
    assert H(honest, exaggerated) > H(honest)  # so a negative c would make honesty worst


@says(
    "With two classes, only $b = 1 - a$ occurs, and $s(q) = (1 - q)^2$ is just as good."
    " With three it tempts the model to exaggerate, as the cell shows with the mean of"
    " both losses.",
)
@given(distributions(2, least=1), distributions(2, least=1))
def with_two_classes_squares_are_as_good(p: Row, q: Row) -> None:
    def mean(p: Row, q: Row) -> Real:
        return mp.fsum(p_k * (1 - q_k) ** 2 for p_k, q_k in zip(p, q, strict=True))

    same(p[1], 1 - p[0])
    assert mean(p, q) > mean(p, p) or abs(p[0] - q[0]) < TINY
    three = [mpf(5) / 10, mpf(3) / 10, mpf(2) / 10]
    exaggerated = [mpf(6) / 10, mpf(3) / 10, mpf(1) / 10]
    assert mean(three, exaggerated) < mean(three, three)
    assert H(three, exaggerated) > H(three)


@says("(Losses that look at all probabilities can be honest, too: {cite:t}`gneiting2007`.)")
@given(distributions(3), distributions(3))
def a_loss_of_all_probabilities_can_be_honest(p: Row, q: Row) -> None:
    def brier(q: Row) -> Real:
        return mp.fsum(
            p_k * mp.fsum(((j == k) - q_j) ** 2 for j, q_j in enumerate(q))
            for k, p_k in enumerate(p)
        )

    assert brier(q) > brier(p) or p == q


SHOWN = {
    "and naming does not help": "The number of classes in labels is different from that in y_prob",
}

NUMBERS = {
    "Since version 1.10 (October 2021)": Cited(
        "https://github.com/pytorch/pytorch/releases/tag/v1.10.0",
        "torch.nn: CrossEntropyLoss takes class probabilities; published on 21 October 2021",
    ),
}

UNTESTED = {
    '(Keras 2 said "Shapes (None, 1) and (None, 10) are incompatible".)': "history",
    "{cite:t}`good1952` proposed the logarithm, {cite:t}`bernardo1979` has a general proof.": (
        "history"
    ),
}
