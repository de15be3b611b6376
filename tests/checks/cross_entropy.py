"""The chapter on cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import special, stats
from scipy.spatial.distance import jensenshannon
from torch.nn import functional as F

import crossent
from crossent.figures.style import BLUE, GRAY
from tests.checks import (
    KL,
    Cited,
    Given,
    H,
    Real,
    Row,
    distributions,
    logits,
    same,
    says,
    soft,
)
from tests.figures import drawing_of
from tests.figures.bars import CrossEntropyBars

if TYPE_CHECKING:
    from collections.abc import Callable

TINY = mpf(10) ** -50
POSSIBLE_THREE = distributions(3, least=1)
POSSIBLE = distributions(least=1)  # what nobody thinks impossible is never infinitely surprising


def floats(p: Row) -> list[float]:
    return [float(p_k) for p_k in p]


def mixed(p: Row, q: Row, share: Real) -> list[Real]:
    return [share * p_k + (1 - share) * q_k for p_k, q_k in zip(p, q, strict=True)]


def middle(p: Row, q: Row) -> list[Real]:
    return mixed(p, q, mpf(1) / 2)


def slope(graph: Callable[[Real], Real], at: Real) -> Real:
    h = mpf(10) ** -20
    return (graph(at + h) - graph(at - h)) / (2 * h)


def JS(p: Row, q: Row) -> Real:
    """Return what pouring two containers of equal size together gains."""
    return H(middle(p, q)) - (H(p) + H(q)) / 2


# --- The equations ---


@given(distributions(), POSSIBLE)
def eq_cross_entropy(p: Row, q: Row) -> None:
    r"""H(p, q) = -\sum_{k=1}^{K} p_k \log q_k ."""
    negative = -mp.fsum(p_k * mp.log(q_k) for p_k, q_k in zip(p, q, strict=True))
    log_q, target = torch.tensor(np.log(floats(q))), torch.tensor(floats(p), dtype=torch.float64)
    assert abs(F.cross_entropy(log_q, target).item() - negative) < 1e-14


@given(distributions(), distributions())
def eq_cross_entropy_split(p: Row, q: Row) -> None:
    r"""H(p, q) = H(p) + D_{\mathrm{KL}}(p \,\Vert\, q) ."""
    if any(q_k == 0 < p_k for p_k, q_k in zip(p, q, strict=True)):
        assert H(p, q) == H(p) + KL(p, q) == mp.inf
    else:
        same(H(p, q), H(p) + KL(p, q))
        assert abs(stats.entropy(floats(p), floats(q)) - (H(p, q) - H(p))) < 1e-14


@given(POSSIBLE, st.integers(0, 3))
def eq_cross_entropy_label(q: Row, y: int) -> None:
    r"""H(\text{one-hot}_y, q) = -\log q_y ."""
    one_hot = [mpf(k == y) for k in range(4)]
    every_term = mp.fsum(-t * mp.log(q_k) for t, q_k in zip(one_hot, q, strict=True))
    same(every_term, -mp.log(q[y]))


@given(distributions(), distributions() | st.none())
def eq_cross_entropy_gibbs(p: Row, q: Row | None) -> None:
    r"""H(p) \le H(p, q) , \qquad\text{equal only for } q = p ."""
    q = p if q is None else q
    assert H(p) <= H(p, q) + TINY
    assert (H(p, q) < H(p) + 1e-6) == (q == p)  # shares of at most 12 that differ, differ by enough


@given(distributions(), POSSIBLE)
def eq_kl(p: Row, q: Row) -> None:
    r"""\begin{aligned}
    D_{\mathrm{KL}}(p \,\Vert\, q) &= H(p, q) - H(p) \\
    &= -\sum_k p_k \log q_k + \sum_k p_k \log p_k \\
    &= \sum_k p_k \log \frac{p_k}{q_k} .
    \end{aligned}
    """
    there = [(p_k, q_k) for p_k, q_k in zip(p, q, strict=True) if p_k > 0]
    difference = H(p, q) - H(p)
    two_sums = -mp.fsum(a * mp.log(b) for a, b in there) + mp.fsum(a * mp.log(a) for a, _ in there)
    one_sum = mp.fsum(a * mp.log(a / b) for a, b in there)
    same(difference, two_sums)
    same(two_sums, one_sum)
    assert abs(special.rel_entr(floats(p), floats(q)).sum() - one_sum) < 1e-14


@given(distributions(), distributions())
def eq_js(p: Row, q: Row) -> None:
    r"""\mathrm{JS}(p, q) = \tfrac12 D_{\mathrm{KL}}(p \,\Vert\, m)
    + \tfrac12 D_{\mathrm{KL}}(q \,\Vert\, m) = H(m) - \tfrac12 H(p) - \tfrac12 H(q) .
    """
    m = middle(p, q)
    halves = KL(p, m) / 2 + KL(q, m) / 2
    same(halves, H(m) - H(p) / 2 - H(q) / 2)
    squared = jensenshannon(floats(p), floats(q)) ** 2
    assert p == q or abs(squared - halves) < 1e-14  # SciPy may say nan for p = q


BELLS = st.tuples(st.fractions(-3, 3, max_denominator=4), st.fractions(1, 3, max_denominator=4))


@given(BELLS)
def eq_cross_entropy_bell(model: tuple[sympy.Rational, sympy.Rational]) -> None:
    r"""\begin{aligned}
    -\log q(x) &= \log s + \frac{(x - \mu)^2}{2 s^2} + \text{constant}, \\
    H(p, q) &= \log s + \frac{\mathbb{E}_p (x - \mu)^2}{2 s^2} + \text{constant}.
    \end{aligned}
    """
    mu, s = (mpf(each.numerator) / each.denominator for each in model)
    constant = mp.log(2 * mp.pi) / 2  # of x, mu and s
    points = [mpf(-2), mpf(1) / 3, mpf(5)]
    for x in points:
        density = mp.npdf(x, mu, s)
        same(-mp.log(density), mp.log(s) + (x - mu) ** 2 / (2 * s**2) + constant)
    p = [mpf(1) / 2, mpf(1) / 3, mpf(1) / 6]
    mean_square = mp.fsum(p_x * (x - mu) ** 2 for p_x, x in zip(p, points, strict=True))
    both = H(p, [mp.npdf(x, mu, s) for x in points])
    same(both, mp.log(s) + mean_square / (2 * s**2) + constant)


# --- The figure ---


@says(
    "Here the world has the first container of the last chapter, with 26 triangles and 4 circles."
    " You believe that there are 10 triangles and 20 circles.",
    "The solid part is what a draw would cost somebody who knows the container. The pale part is"
    " what your belief makes you pay on top, for the triangles, which you thought rare. The dashed"
    " box is what your belief saves you on the circles, which you thought frequent.",
    "Move the second slider of the first picture to 30: you are sure of a triangle.",
)
def what_the_picture_shows() -> None:
    at = CrossEntropyBars(26, 10)
    drawing = drawing_of(at)
    (pale,) = (bar for bar in drawing.of("rect", BLUE) if bar.look.get("fill-opacity") == "0.4")
    (box,) = (bar for bar in drawing.of("rect", GRAY) if bar.look.get("fill-opacity") == "0")
    assert pale.places[:, 0].max() <= box.places[:, 0].min() + 1  # triangles, then circles
    assert at.surprise[0] > at.own[0]
    assert at.surprise[1] < at.own[1]
    p = [mpf(26) / 30, mpf(4) / 30]
    assert KL(p, [mpf(1), mpf(0)]) == mp.inf


# --- The mean surprise of a belief ---


@says(
    "**Cross-entropy is the average surprise of someone who believes $q$ while outcomes follow"
    r" $p$.** When outcome $k$ comes, it surprises you by $-\log q_k$, because your belief is all"
    " you have. How often it comes is decided by $p_k$:",
    "Because the world draws, not you. Your belief says how surprised you *will be* by an outcome;"
    " how often you are in that situation is not for your belief to decide.",
    r"$H(p, q) = -\sum_k p_k \log q_k$: the world draws from $p$, you are surprised by $q$.",
    "The first argument is the world, the second one the belief",
)
@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def cross_entropy_is_an_average_surprise(true: list[int], believed: list[int]) -> None:
    p, q = ([mpf(n) / sum(counts) for n in counts] for counts in (true, believed))
    for world, frequencies, beliefs in ((true, p, q), (believed, q, p)):
        shapes = [kind for kind, count in enumerate(world) for _ in range(count)]
        surprises = [-mp.log(beliefs[shape]) for shape in shapes]
        same(mp.fsum(surprises) / len(shapes), H(frequencies, beliefs))


@says(
    r"Libraries work in nats; dividing by $\ln 2$ gives bits. The base changes the unit, never"
    " which of two beliefs is better."
)
@given(distributions(), POSSIBLE, POSSIBLE, st.sampled_from([2, 10, 4]))
def the_base_is_a_unit(p: Row, q: Row, other: Row, base: int) -> None:
    def to_base(belief: Row) -> Real:
        return -mp.fsum(p_k * mp.log(b, base) for p_k, b in zip(p, belief, strict=True))

    same(to_base(q), H(p, q) / mp.log(base))
    if abs(H(p, q) - H(p, other)) > TINY:
        assert (to_base(q) < to_base(other)) == (H(p, q) < H(p, other))


@says(
    "As a distribution, it puts everything on one class. All terms but one are multiplied by 0,"
    " and what is left is the surprise at the truth, the loss of a classifier:",
    r"For a label it is $-\log q_y$.",
)
@given(POSSIBLE, st.integers(0, 3))
def a_label_leaves_one_term(q: Row, y: int) -> None:
    one_hot = np.eye(4)[y]
    assert one_hot.sum() == np.count_nonzero(one_hot) == one_hot[y] == 1
    log_q = np.log([floats(q)])
    terms = -one_hot * log_q[0]
    assert np.count_nonzero(np.delete(terms, y)) == 0
    loss = F.nll_loss(torch.tensor(log_q), torch.tensor([y]))
    assert loss.item() == pytest.approx(terms[y]) == pytest.approx(float(-mp.log(q[y])))


@says(
    "The sum over classes is already a mean, because it is weighted by $p$. Divide by the number"
    " of *samples*, if there are several."
)
@given(POSSIBLE, POSSIBLE)
def the_sum_over_classes_is_a_mean(p: Row, q: Row) -> None:
    same(mp.fsum(p), mpf(1))
    log_q, target = (torch.tensor(np.array([floats(row)] * 5)) for row in (q, p))
    loss = F.cross_entropy(log_q.log(), target, reduction="sum")
    assert loss.item() / 5 == pytest.approx(float(H(p, q)))


# --- Gibbs' inequality ---


@says(
    "On the diagonal stands the entropy, $H(p, p) = H(p)$. It is what remains when your belief is"
    " perfect, and it is not 0, because knowing the odds is not knowing the outcome.",
    "say why `cross_entropy(p, p)` is rarely 0, and prove that no other belief does better;",
    "With $q = p$ the divergence is 0 and the entropy remains: $H(p, p) = H(p)$. It is the *least*"
    " that any belief can reach, not a sign of an error.",
    "The loss can be 0 only if the entropy is, that is, if the target is one class for certain.",
    "**Gibbs' inequality**, {eq}`eq-gibbs` in the chapter on entropy, says so already: put $r ="
    " q$, and its right-hand side is the cross-entropy,",
    r"So $D_{\mathrm{KL}}(p \,\Vert\, q) \ge 0$, and 0 only for $q = p$.",
    r"By Gibbs' inequality, $D_{\mathrm{KL}} \ge 0$, and it is 0 only for $q = p$. So"
    " `cross_entropy(p, p)` is the entropy, the lowest value, and not 0 unless the outcome is"
    " certain.",
    r"$H(p, q) = H(p) + D_{\mathrm{KL}}(p \,\Vert\, q)$.",
)
@given(distributions(), distributions() | st.none())
def no_belief_does_better_than_the_truth(p: Row, q: Row | None) -> None:
    q = p if q is None else q
    assert KL(p, p) == 0
    same(mp.fsum(-p_k * mp.log(p_k) for p_k in p if p_k), H(p, p))
    assert H(p, q) == mp.inf or abs(H(p, q) - H(p) - KL(p, q)) < TINY
    assert KL(p, q) > -TINY
    assert (KL(p, q) < 1e-6) == (p == q)
    assert (H(p) == 0) == (max(p) == 1)
    assert H(p, q) > 0 or H(p) == 0
    assert abs(crossent.cross_entropy(floats(p), floats(p)) - H(p)) < 1e-14


@says(
    r"Fix $q$ with all $q_k > 0$ and let $p$ vary. First, $H(p, q) = \sum_k p_k (-\log q_k)$ is"
    " *linear* in $p$: its graph is straight. Second, at $p = q$ it touches the graph of the"
    " entropy: $H(q, q) = H(q)$. Third, it has the same slope there.",
    r"A small change $\delta$ of $p$ keeps the sum at 1, so $\sum_k \delta_k = 0$, the $-1$ drops"
    r" out, and both graphs change by $-\sum_k \delta_k \log q_k$. The cross-entropy is therefore"
    " the *tangent* of the entropy at $q$.",
    "Such a graph lies below each of its tangents and meets it only where it touches.",
)
@given(distributions(), distributions(), POSSIBLE, st.fractions(0, 1, max_denominator=9))
def cross_entropy_is_a_tangent(p: Row, other: Row, q: Row, part: sympy.Rational) -> None:
    share = mpf(part.numerator) / part.denominator
    same(H(mixed(p, other, share), q), share * H(p, q) + (1 - share) * H(other, q))
    same(H(q, q), H(q))
    change = [p_k - q_k for p_k, q_k in zip(p, q, strict=True)]
    same(mp.fsum(change), mpf(0))
    steepness = -mp.fsum(d_k * mp.log(q_k) for d_k, q_k in zip(change, q, strict=True))
    assert abs(slope(lambda t: H(mixed(p, q, t)), 0) - steepness) < 1e-30  # from q towards p
    assert abs(slope(lambda t: H(mixed(p, q, t), q), 0) - steepness) < 1e-30
    assert H(p) < H(p, q) if p != q else abs(H(p) - H(p, q)) < TINY


@says(
    r"The derivative of $-p_k \log p_k$ is $-\log p_k - 1$.",
    r"The entropy is strictly concave, because each $-p_k \log p_k$ is: its second derivative"
    " $-1/p_k$ is negative, and it is continuous at 0.",
)
def a_term_of_the_entropy_is_strictly_concave() -> None:
    p = sympy.Symbol("p", positive=True)
    term = -p * sympy.log(p)
    assert sympy.simplify(sympy.diff(term, p) - (-sympy.log(p) - 1)) == 0
    assert sympy.diff(term, p, 2) == -1 / p
    assert (-1 / p).is_negative
    assert sympy.limit(term, p, 0, "+") == 0


@says(
    "If some $q_k = 0$ where $p_k > 0$, the cross-entropy is infinite; where $p_k = 0$ as well,"
    " leave that outcome out. ∎",
    "A zero in the first argument makes its term 0. A zero in the second, where the first is"
    " positive, makes the divergence infinite.",
    "Excluding what can happen costs infinitely much; allowing what never happens has a finite"
    " price.",
    "Believing that something is possible when it never happens has a finite price.",
    "Believing that something is impossible when it can happen costs you everything.",
)
@given(distributions(), distributions())
def only_what_happens_and_was_excluded_costs_infinitely(p: Row, q: Row) -> None:
    excluded = any(q_k == 0 < p_k for p_k, q_k in zip(p, q, strict=True))
    assert (H(p, q) == mp.inf) == (KL(p, q) == mp.inf) == excluded
    assert np.isinf(stats.entropy(floats(p), floats(q))) == excluded
    left = [(p_k, q_k) for p_k, q_k in zip(p, q, strict=True) if p_k or q_k]
    assert H(p, q) == H(*map(list, zip(*left, strict=True)))


# --- The excess ---


@says("It was introduced by {cite:t}`kullback1951` and is also called *relative entropy*.")
def scipy_calls_it_relative_entropy() -> None:
    assert "relative entropy" in " ".join((special.rel_entr.__doc__ or "").split())
    p, q = [0.7, 0.2, 0.1], [0.2, 0.3, 0.5]
    assert special.rel_entr(p, q).sum() == pytest.approx(crossent.kl_divergence(p, q))


@says(
    "For training, the two are equivalent as long as $p$ is fixed: they differ by $H(p)$, which no"
    " parameter of the model can change then. Hence the gradients agree, and training takes the"
    " same steps.",
    "While $p$ is fixed, training can reduce only the second part, and the cross-entropy has the"
    " gradient of the divergence.",
    "Cross-entropy is the sum of what training cannot reduce and what it can.",
    "While $p$ is fixed, no belief changes $H(p)$: it is the floor, and it belongs to the world."
    " The divergence belongs to you, and it is all that training can reduce.",
)
@given(distributions(), logits(), logits())
def the_gradients_agree(p: Row, z: Row, other: Row) -> None:
    for each in (z, other):
        same(H(p, soft(each)) - KL(p, soft(each)), H(p))
    for k in range(4):

        def moved(z_k: Real, k: int = k) -> Row:
            return soft([*z[:k], z_k, *z[k + 1 :]])

        both = slope(lambda z_k: H(p, moved(z_k)), z[k])
        one = slope(lambda z_k: KL(p, moved(z_k)), z[k])
        assert abs(both - one) < 1e-30


@says(
    "A label, taken as a distribution of its own, has the entropy 0, so even the values agree,"
    " though the world that draws the labels need not be certain. If the targets are known soft"
    " probabilities, KL is the easier one to read, because its floor is 0.",
    "Cross-entropy is the one that you can compute: with data, you have draws from $p$ but not"
    " $H(p)$.",
)
@given(POSSIBLE, POSSIBLE, st.integers(0, 3))
def a_label_has_no_entropy(p: Row, q: Row, y: int) -> None:
    label = [mpf(k == y) for k in range(4)]
    assert H(label) == 0
    same(H(label, q), KL(label, q))
    assert H(p) > 0  # of the world that draws the labels
    assert KL(p, p) == 0 < H(p, p)
    labels = [[mpf(k == y) for k in range(4)] for y in range(4)]  # drawn with the chances p
    drawn = mp.fsum(p_y * H(each, q) for p_y, each in zip(p, labels, strict=True))
    same(drawn, H(p, q))  # needs q alone
    assert abs(drawn - KL(p, q)) > 1e-9  # what is missing is H(p)


# --- Distances ---


@says(
    "A distance is 0 from a point to itself, the same there and back, and never longer than a"
    " detour. KL keeps only the first of these promises, cross-entropy none (breaking the third"
    " takes {ref}`a more extreme example <ex-cross-entropy-detour>`).",
    "The detour through a third distribution is often the longer way, if only because it counts"
    " two entropies.",
)
def neither_is_a_distance() -> None:
    a, b, c = ([mpf(n) / 30, mpf(30 - n) / 30] for n in (26, 15, 4))
    assert KL(a, a) == 0
    assert KL(a, b) + 0.01 < KL(b, a)
    assert KL(a, c) > KL(a, b) + KL(b, c) + 0.01
    assert H(a, a) > 0.01
    assert H(a, b) + 0.01 < H(b, a)
    assert H(a, c) < H(a, b) + H(b, c)
    same(H(a, b) + H(b, c) - KL(a, b) - KL(b, c), H(a) + H(b))
    assert H(a, c) - H(a) > H(a, b) + H(b, c) - H(a) - H(b)
    a, b, c = ([1 - mpf(x), mpf(x)] for x in ("0.1", "0.01", "1e-9"))
    assert H(a, c) > H(a, b) + H(b, c) + 1


@says(
    "If one outcome is sure and you gave it the probability $b$, the price is"
    r" $D_{\mathrm{KL}}\big((1, 0) \,\Vert\, (b, 1 - b)\big) = -\log b$: it is small for $b$ near"
    " 1, and it grows without bound as $b$ shrinks."
)
@given(st.integers(1, 99))
def the_price_of_allowing_too_much(percent: int) -> None:
    b, sure = mpf(percent) / 100, [mpf(1), mpf(0)]
    price = KL(sure, [b, 1 - b])
    same(price, -mp.log(b))
    assert KL(sure, [b - b / 10, 1 - b + b / 10]) > price > 0
    assert KL(sure, [1 - mpf(10) ** -9, mpf(10) ** -9]) < 1e-8
    assert KL(sure, [mp.exp(-1000), 1 - mp.exp(-1000)]) > 999


@says(
    r"With a label, $p$ has zeros, and the second term is $+\infty$ as soon as the model gives any"
    " probability to another class:"
)
@given(distributions(), st.integers(0, 3))
def the_symmetric_sum_of_a_label_is_infinite(model: Row, y: int) -> None:
    label = [mpf(k == y) for k in range(4)]
    assert (H(model, label) == mp.inf) == (model[y] < 1)


@says(
    r"The second form follows from {eq}`eq-kl`: the two terms with $\log m_k$ add up to $-\sum_k"
    r" \tfrac12 (p_k + q_k) \log m_k = H(m)$. It is what {ref}`pouring two containers together"
    r" <ex-entropy-mixing>` gains. And it never exceeds $\log 2$: because $m_k \ge \tfrac12 p_k$,"
    r" each $p_k \log (p_k / m_k) \le p_k \log 2$, and these sum to $\log 2$; the same holds for"
    " $q$.",
    r"Compare both with the middle between them, $m = \tfrac12 (p + q)$. The **Jensen–Shannon"
    " divergence** {cite}`lin1991` is",
)
@given(distributions(), distributions())
def js_is_what_mixing_gains(p: Row, q: Row) -> None:
    m = middle(p, q)
    same((H(p, m) + H(q, m)) / 2, H(m))
    poured = H(m) - (H(p) + H(q)) / 2
    same((KL(p, m) + KL(q, m)) / 2, poured)
    for each in (p, q):
        for x_k, m_k in zip(each, m, strict=True):
            assert m_k >= x_k / 2
            assert x_k == 0 or x_k * mp.log(x_k / m_k) <= x_k * mp.log(2) + TINY
    assert poured <= mp.log(2) + TINY


@says(
    "Its square root is one {cite}`endres2003`; the divergence itself is not. Between two beliefs"
    " that are sure of different outcomes, the detour through the middle is shorter:",
)
@given(distributions(2), distributions(2), distributions(2))
def the_root_of_js_is_a_distance(p: Row, q: Row, r: Row) -> None:
    assert abs(JS(p, p)) < TINY
    same(JS(p, q), JS(q, p))
    assert -TINY < JS(p, q) < mp.log(2) + TINY
    there, back, straight = (mp.sqrt(abs(JS(*pair))) for pair in ((p, q), (q, r), (p, r)))
    assert straight < there + back + mpf(10) ** -20
    a, b, c = [mpf(1), mpf(0)], [mpf(1) / 2] * 2, [mpf(0), mpf(1)]
    assert JS(a, c) > JS(a, b) + JS(b, c) + 0.1
    same(JS(a, c), mp.log(2))


@says(r"First, $\log m$ needs the probability of your data under $p$, and you only have draws.")
def the_middle_needs_the_truth() -> None:
    q = mpf(1) / 2  # what the model gives to a draw, whatever p gave it
    middles = {mp.log((p + q) / 2) for p in (mpf(1) / 5, mpf(2) / 5)}
    surprises = {-mp.log(q) for p in (mpf(1) / 5, mpf(2) / 5)}
    assert (len(middles), len(surprises)) == (2, 1)


# --- Forward and reverse ---


@says(
    r"**forward**, $D_{\mathrm{KL}}(p \,\Vert\, q)$: the average is taken over the truth. Wherever"
    " $p$ has mass, $q$ must have some, so $q$ *covers* both humps.",
    r"**reverse**, $D_{\mathrm{KL}}(q \,\Vert\, p)$: the average is taken over the model. Where"
    " $p$ has no mass, $q$ must have none, so $q$ *picks* one hump.",
)
@given(distributions(), distributions())
def what_each_direction_demands(p: Row, q: Row) -> None:
    covers = all(q_k > 0 for p_k, q_k in zip(p, q, strict=True) if p_k > 0)
    stays_inside = all(q_k == 0 for p_k, q_k in zip(p, q, strict=True) if p_k == 0)
    assert (KL(p, q) < mp.inf) == covers
    assert (KL(q, p) < mp.inf) == stays_inside
    if covers:
        same(KL(p, q), H(p, q) - H(p))


@says(
    r"For any $s$, this is least at $\mu = \mathbb{E}_p\, x$. With that $\mu$, the derivative with"
    r" respect to $s$ is $\frac1s - \frac{\mathbb{E}_p (x - \mu)^2}{s^3}$, which is negative while"
    " $s^2$ is below the variance of $p$ and positive above it.",
    r"As a density, the logarithm of a bell with mean $\mu$ and deviation $s$ is a parabola",
)
def the_best_bell_copies_mean_and_variance() -> None:
    s, variance = sympy.symbols("s variance", positive=True)
    x, mu, mean = sympy.symbols("x mu mean", real=True)
    bell = sympy.exp(-((x - mu) ** 2) / (2 * s**2)) / (s * sympy.sqrt(2 * sympy.pi))
    logarithm = sympy.expand_log(sympy.log(bell), force=True)
    assert sympy.Poly(logarithm, x).degree() == 2
    # The mean of (x - mu)² is the variance and the square of what mu misses.
    loss = sympy.log(s) + (variance + (mean - mu) ** 2) / (2 * s**2)
    assert sympy.solve(sympy.diff(loss, mu), mu) == [mean]
    assert sympy.diff(loss, mu, 2).is_positive
    derivative = sympy.diff(loss.subs(mu, mean), s)
    assert sympy.simplify(derivative - (1 / s - variance / s**3)) == 0
    assert derivative.subs(s, sympy.sqrt(variance) / 2).is_negative
    assert derivative.subs(s, sympy.sqrt(variance) * 2).is_positive
    assert sympy.solve(derivative, s) == [sympy.sqrt(variance)]


@says(
    "Training on data is forward, because the forward direction needs only draws from $p$, and a"
    " data set is just that. Reverse KL needs $p$ itself, at least up to a factor, as in"
    " variational inference ({cite:t}`mackay2003`, chapter 33). If the model can represent the"
    ' truth, both directions have the same minimum, $q = p$; "covering" and "picking" describe'
    " models that cannot.",
    "Forward KL needs only draws from the truth; reverse KL needs the truth itself, up to a"
    " factor.",
)
@given(POSSIBLE, POSSIBLE, POSSIBLE, st.integers(2, 9))
def what_each_direction_needs(p: Row, q: Row, other: Row, factor: int) -> None:
    # A draw k moves the forward mean by -log q_k: what it says of two models is free of p.
    apart = mp.fsum(p_k * (mp.log(b) - mp.log(a)) for p_k, a, b in zip(p, q, other, strict=True))
    same(apart, KL(p, q) - KL(p, other))
    scaled = [factor * p_k for p_k in p]
    same(KL(q, scaled) - KL(other, scaled), KL(q, p) - KL(other, p))
    assert KL(p, p) == 0
    assert q == p or min(KL(p, q), KL(q, p)) > 1e-6


# --- Two variables ---


def margins(joint: Row) -> tuple[Row, Row]:
    """Return the distributions of X and of Y, for pairs two by two for each X."""
    x = [joint[0] + joint[1], joint[2] + joint[3], joint[4] + joint[5]]
    return x, [mp.fsum(joint[::2]), mp.fsum(joint[1::2])]


def conditionals(joint: Row, x: Row) -> list[Row]:
    """Return the distributions of Y for each X; an X that never comes may have any."""
    pairs = zip(joint[::2], joint[1::2], x, strict=True)
    return [[a / p_x, b / p_x] if p_x else [mpf(1), mpf(0)] for a, b, p_x in pairs]


@says(
    "The second form does not change when $X$ and $Y$ change places: the shape tells as much about"
    " the container as the container tells about the shape.",
    "What seeing the container is worth is the **mutual information**,",
)
@given(distributions(6))
def eq_mutual_information(joint: Row) -> None:
    r"""\begin{aligned}
    I(X; Y) &= H(Y) - H(Y \mid X) \\
    &= H(X) + H(Y) - H(X, Y) ,
    \end{aligned}
    """
    x, y = margins(joint)
    rest = mp.fsum(p_x * H(row) for p_x, row in zip(x, conditionals(joint, x), strict=True))
    same(H(y) - rest, H(x) + H(y) - H(joint))
    columns = [
        [p / p_y for p in part]
        for part, p_y in zip((joint[::2], joint[1::2]), y, strict=True)
        if p_y
    ]
    turned = mp.fsum(p_y * H(c) for p_y, c in zip(filter(None, y), columns, strict=True))
    same(H(y) - rest, H(x) - turned)


@says(
    "So mutual information is never negative, and 0 only for independent variables.",
    "Mutual information is the excess cost of believing in independence: $I(X; Y) = H(Y) - H(Y"
    r" \mid X) \ge 0$.",
    "Somebody who believes that the two have nothing to do with each other, $q(x, y) ="
    r" p(x)\,p(y)$, pays $H(X) + H(Y)$ for a pair that costs somebody who knows the truth only"
    " $H(X, Y)$:",
)
@given(distributions(6))
def eq_mutual_kl(joint: Row) -> None:
    r"""I(X; Y) = D_{\mathrm{KL}}\big(p(x, y) \,\Vert\, p(x)\, p(y)\big) \ge 0 ."""
    x, y = margins(joint)
    apart = [p_x * p_y for p_x in x for p_y in y]
    same(H(joint, apart), H(x) + H(y))
    told = H(x) + H(y) - H(joint)
    same(told, KL(joint, apart))
    independent = all(abs(a - b) < TINY for a, b in zip(joint, apart, strict=True))
    assert abs(told) < TINY if independent else told > 1e-6


@says(
    r"Because $\log \frac{p(x, y)}{q(x, y)} = \log \frac{p(x)}{q(x)} + \log \frac{p(y \mid"
    r" x)}{q(y \mid x)}$, the mean is",
    "**The chain rule of the divergence** says how you pay for a wrong belief about a pair when"
    " $X$ comes first and then $Y$.",
    "The divergence of a pair is that of $X$ plus the mean divergence of $Y$ given $X$.",
    "A classifier takes the inputs $x$ as they come, so it pays only the second part.",
)
@given(distributions(6), distributions(6, least=1))
def eq_kl_chain(p: Row, q: Row) -> None:
    r"""\begin{aligned}
    &D_{\mathrm{KL}}\big(p(x, y) \,\Vert\, q(x, y)\big) \\
    &\quad = D_{\mathrm{KL}}\big(p(x) \,\Vert\, q(x)\big) \\
    &\qquad + \sum_x p(x)\, D_{\mathrm{KL}}\big(p(y \mid x) \,\Vert\, q(y \mid x)\big) .
    \end{aligned}
    """
    (p_x, _), (q_x, _) = margins(p), margins(q)
    rows = list(zip(p_x, conditionals(p, p_x), conditionals(q, q_x), strict=True))
    second = mp.fsum(share * KL(a, b) for share, a, b in rows)
    same(KL(p, q), KL(p_x, q_x) + second)
    as_they_come = [share * b_y for share, _, b in rows for b_y in b]  # q(y|x), and p(x) itself
    assert abs(KL(p, as_they_come) - second) < TINY


# --- Negative divergences ---


@says(
    r"Single terms $p_k \log (p_k / q_k)$ may be negative. Their sum may not, if both are"
    " distributions and it is computed exactly."
)
@given(POSSIBLE, POSSIBLE)
def terms_may_be_negative_their_sum_may_not(p: Row, q: Row) -> None:
    terms = [p_k * mp.log(p_k / q_k) for p_k, q_k in zip(p, q, strict=True)]
    assert p == q or min(terms) < 0
    assert mp.fsum(terms) > -TINY


@says(
    "Add $q / p - 1$ to each term. Its mean over $p$ is 0 if $q$ is 0 wherever $p$ is, and no term"
    r" is negative any more: $\ln x \le x - 1$ with $x = q / p$."
)
@given(distributions(), distributions())
def what_is_added_has_the_mean_0(p: Row, q: Row) -> None:
    possible = [(p_k, q_k) for p_k, q_k in zip(p, q, strict=True) if p_k > 0]
    mean = mp.fsum(p_k * (q_k / p_k - 1) for p_k, q_k in possible)
    inside = all(q_k == 0 for p_k, q_k in zip(p, q, strict=True) if p_k == 0)
    assert (abs(mean) < TINY) == inside
    for x in (q_k / p_k for p_k, q_k in possible):
        assert mp.log(x) <= x - 1
        assert -mp.log(x) + x - 1 >= 0


# --- The exercises ---


@says(
    "the log loss of the bookmaker minus yours. Each bit is a doubling. By Gibbs' inequality the"
    r" best belief is the truth, and it earns $D_{\mathrm{KL}}(p \,\Vert\, r)$ bits a day.",
    "In bits, the mean of the logarithm is",
    "So gamblers, like forecasters, are judged by their log loss.",
)
@given(distributions(3), POSSIBLE_THREE, POSSIBLE_THREE)
def eq_cross_entropy_kelly(p: Row, q: Row, r: Row) -> None:
    r"""\sum_k p_k \log_2 \frac{q_k}{r_k} = H(p, r) - H(p, q)
    = D_{\mathrm{KL}}(p \,\Vert\, r) - D_{\mathrm{KL}}(p \,\Vert\, q) :
    """
    growth = mp.fsum(p_k * mp.log(q_k / r_k, 2) for p_k, q_k, r_k in zip(p, q, r, strict=True))
    same(growth, (H(p, r) - H(p, q)) / mp.log(2))
    same(growth, (KL(p, r) - KL(p, q)) / mp.log(2))
    assert growth < KL(p, r) / mp.log(2) + TINY


@says(
    r"Expand the Jensen–Shannon divergence {eq}`eq-js` of $(0, 1)$ and $(\epsilon, 1 - \epsilon)$"
    r" for small $\epsilon$, and check your formula with `crossent` at larger $\epsilon$.",
    r"The distribution in the middle is $(\tfrac\epsilon2, 1 - \tfrac\epsilon2)$. With $\log(1 -"
    r" x) \approx -x$, the first half is $-\tfrac12 \log (1 - \tfrac\epsilon2) \approx"
    r" \tfrac\epsilon4$, the second $\tfrac12 \left(\epsilon \log 2 - \tfrac\epsilon2\right)$."
    r" They add up to $\tfrac12 \epsilon \log 2$. At the smallest positive number, the distance is"
    " the square root of that, about $10^{-162}$: for practical purposes it is 0, neither 1 nor"
    " infinite.",
)
def the_divergence_of_almost_the_same() -> None:
    eps = mpf(10) ** -20
    p, q = [mpf(0), mpf(1)], [eps, 1 - eps]
    m = middle(p, q)
    same(m[0], eps / 2)
    same(m[1], 1 - eps / 2)
    same(KL(p, m) / 2, -mp.log(1 - eps / 2) / 2)
    small = mpf(10) ** -19  # of the next order
    assert abs(KL(p, m) / 2 / (eps / 4) - 1) < small
    assert abs(KL(q, m) / 2 / ((eps * mp.log(2) - eps / 2) / 2) - 1) < 10 * small
    assert abs(JS(p, q) / (eps * mp.log(2) / 2) - 1) < small
    smallest = mpf(5e-324)
    distance = mp.sqrt(smallest * mp.log(2) / 2)
    assert 1e-162 < distance < mpf("1.5e-162")
    larger = crossent.js_divergence([0, 1], [1e-6, 1 - 1e-6])
    assert larger == pytest.approx(1e-6 * np.log(2) / 2, rel=1e-5)


@says(
    "You meet $n$ containers $p_1, \\dots, p_n$ equally often but must hold one belief $q$ for all."
    r" Prove that $\frac1n \sum_i D_{\mathrm{KL}}(p_i \,\Vert\, q) = \frac1n \sum_i"
    r" D_{\mathrm{KL}}(p_i \,\Vert\, m) + D_{\mathrm{KL}}(m \,\Vert\, q)$ where $m$ is the mean of"
    " the $p_i$.",
    r"Write $\log \frac{p_{ik}}{q_k} = \log \frac{p_{ik}}{m_k} + \log \frac{m_k}{q_k}$, multiply by"
    r" $p_{ik}$ and sum over $k$. In the mean over $i$, the last part becomes"
    r" $\sum_k m_k \log \frac{m_k}{q_k}$. (If some $q_k$ is 0 where $m_k$ is not, both sides are"
    " infinite.) Only that part depends on $q$, and by Gibbs' inequality it is least, 0, at"
    " $q = m$. For two containers, what remains is the Jensen–Shannon divergence. The best"
    " prediction for an input whose label varies is the mean of the labels, that is, how often each"
    " occurs: cross-entropy rewards true frequencies.",
)
@given(st.lists(distributions(3), min_size=2, max_size=3), distributions(3))
def the_center_costs_least(containers: list[Row], q: Row) -> None:
    n = len(containers)
    m = [mp.fsum(column) / n for column in zip(*containers, strict=True)]
    left = mp.fsum(KL(p, q) for p in containers) / n
    rest = mp.fsum(KL(p, m) for p in containers) / n
    if any(q_k == 0 < m_k for q_k, m_k in zip(q, m, strict=True)):
        assert left == rest + KL(m, q) == mp.inf
    else:
        same(left, rest + KL(m, q))
        parts = [
            [p_k * mp.log(m_k / q_k) for p_k, m_k, q_k in zip(p, m, q, strict=True) if m_k]
            for p in containers
        ]
        same(mp.fsum(map(mp.fsum, parts)) / n, KL(m, q))
    assert left > rest - TINY
    if n == 2:
        same(rest, JS(*containers))
    labels = [[mpf(k == y) for k in range(3)] for y in (0, 0, 2)]
    often = [mpf(2) / 3, mpf(0), mpf(1) / 3]
    assert mp.fsum(H(y, often) for y in labels) <= mp.fsum(H(y, q) for y in labels) + TINY


NUMBERS = {
    "{cite:t}`cover2006`, chapter 2, has the inequalities": Cited(
        "cover2006", "chapter 2: Entropy, relative entropy, and mutual information"
    ),
    "chapter 33)": Cited("mackay2003", "chapter 33, Variational Methods"),
    "uses the reverse direction in its chapter 33, and": Cited(
        "mackay2003", "chapter 33, Variational Methods"
    ),
    "since 2018": Cited(
        "https://github.com/pytorch/pytorch/pull/14457", "opened on 28 November 2018"
    ),
    "(seen in SciPy 1.17)": Given("the version that this page was run with"),
}

UNTESTED = {
    "The next question is a practical one, because nobody shows you $p$. What becomes of the"
    " cross-entropy when all you have is a sample? That is the subject of {doc}`maximum likelihood"
    " <likelihood>`.": "what the next chapter asks",
}
