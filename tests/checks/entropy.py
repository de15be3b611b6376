"""The chapter on entropy."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import stats

import crossent
from crossent.figures.style import GRAY, PALETTE
from tests.checks import Cited, Computed, H, Real, Row, distributions, same, says
from tests.figures import drawing_of
from tests.figures.bars import EntropyBars

if TYPE_CHECKING:
    from collections.abc import Callable

SHARES = st.fractions(0, 1, max_denominator=20).map(lambda f: mpf(f.numerator) / f.denominator)
POSITIVE = SHARES.filter(bool)

# --- The mean surprise ---


@given(distributions())
def eq_entropy(p: Row) -> None:
    r"""H(p) = -\sum_{k=1}^{K} p_k \log p_k ."""
    negative = -mp.fsum(p_k * mp.log(p_k) for p_k in p if p_k > 0)
    assert abs(stats.entropy([float(p_k) for p_k in p]) - negative) < 1e-14


def eq_entropy_container() -> None:
    r"""H = \tfrac{26}{30} \log_2 \tfrac{30}{26} + \tfrac{4}{30} \log_2 \tfrac{30}{4} ."""
    sum_of_two = mpf(26) / 30 * mp.log(mpf(30) / 26, 2) + mpf(4) / 30 * mp.log(mpf(30) / 4, 2)
    shapes = 26 * "△" + 4 * "○"
    surprises = [-mp.log(mpf(shapes.count(shape)) / len(shapes), 2) for shape in shapes]
    same(sum_of_two, mp.fsum(surprises) / 30)


@says(
    "**Entropy is the average surprise of an outcome**, and for this container it is",
    r"an outcome of probability $p_k$ surprises you by $-\log p_k$, not at all if it is certain,"
    " and more the rarer it is. Weight each surprise by how often it happens, and you have",
    "Before the draw, entropy is your uncertainty; on average, it is also the information that the"
    " draw gives you. High entropy means much of both.",
    "Entropy is its mean, what the game costs a player who believes what is true.",
)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4))
def entropy_is_the_average_surprise(counts: list[int]) -> None:
    shapes = [kind for kind, count in enumerate(counts) for _ in range(count)]
    p = [mpf(count) / len(shapes) for count in counts]
    surprise = [-mp.log(p_k) for p_k in p]
    for one, other in itertools.product(range(len(p)), repeat=2):
        assert (surprise[one] == 0) == (p[one] == 1)
        assert (surprise[one] > surprise[other]) == (p[one] < p[other])
    average = mp.fsum(surprise[shape] for shape in shapes) / len(shapes)
    same(average, H(p))
    after = [H([mpf(k == shape) for k in range(len(p))]) for shape in shapes]
    same(average, H(p) - mp.fsum(after) / len(shapes))  # what the draw takes from it


@says(
    r"say what 0.57 bits means, and prove the limits 0 and $\log K$;",
)
def the_numbers_that_the_chapter_explains() -> None:
    bits = (stats.entropy(counts, base=2) for counts in ([26, 4], [15, 15]))
    assert [f"{each:.2f}" for each in bits] == ["0.57", "1.00"]


# --- Why the logarithm ---


@says(
    "Call the price of an outcome its *surprise* $s(p)$, and ask two things of it, for all"
    " probabilities above 0:",
    "**The rarer, the more surprising**: $s$ decreases as $p$ grows.",
    r"**Independent surprises add**: $s(p \cdot p') = s(p) + s(p')$ for a draw from each of two"
    " containers.",
    "Only the logarithm does both, and the unit is yours to choose.",
    r"Surprise is $-\log p$: up to the unit, the only decreasing measure that adds for independent"
    " outcomes.",
)
@given(st.lists(POSITIVE, min_size=2, max_size=2, unique=True), st.integers(1, 5))
def the_logarithm_does_both(p: Row, unit: int) -> None:
    low, high = sorted(p)
    assert -unit * mp.log(low) > -unit * mp.log(high)
    same(-unit * mp.log(low * high), -unit * mp.log(low) - unit * mp.log(high))
    half, third = mpf(1) / 2, mpf(1) / 3
    rivals: list[Callable[[Real], Real]] = [
        lambda x: 1 - x,
        lambda x: 1 / x,
        lambda x: 1 / x - 1,
        lambda x: mp.sqrt(-mp.log(x)),
        lambda x: mp.log(x) ** 2,
        lambda x: 1 - mp.log(x),
        lambda x: 1 - x - mp.log(x),
    ]
    for rival in rivals:
        assert rival(low) > rival(high)
        assert abs(rival(half * third) - rival(half) - rival(third)) > 0.1


@says(
    "Write $f(x) = s(e^{-x})$ for $x \\ge 0$. The demands become: $f$ increases, and"
    " $f(x + y) = f(x) + f(y)$.",
    r"Adding $n$ equal steps gives $f(nx) = n f(x)$, so $f(m/n) = \tfrac{m}{n} f(1)$ for every"
    " fraction. Any other $x$ lies between fractions as close as you like, and because $f$"
    " increases, $f(x)$ lies between their values: $f(x) = x f(1)$ for all $x$.",
    r"Back in $p$, this reads $s(p) = -f(1) \ln p$. The positive number $f(1)$ is yours to choose:"
    " it is the unit. ∎",
)
def only_the_logarithm_does_both() -> None:
    x, y, unit, p = sympy.symbols("x y unit p", positive=True)
    s = sympy.Lambda(p, -unit * sympy.log(p))
    f = sympy.Lambda(x, sympy.simplify(s(sympy.exp(-x))))
    assert f(1) == unit
    assert sympy.diff(f(x), x).is_positive
    assert sympy.expand(f(x + y) - f(x) - f(y)) == 0
    assert sympy.simplify(s(p) + f(1) * sympy.log(p)) == 0
    # That no other f does it: what is known of one at 1 bounds it everywhere.
    for place in (mp.sqrt(2), mp.pi, mpf(1) / 7):
        for n in (1, 10, 1000, 10**9):
            below, above = (mpf(end(n * place)) / n for end in (mp.floor, mp.ceil))
            assert below <= place <= above
            assert above - below < mpf(1.01) / n
    g = sympy.Function("g")  # the same for those with a derivative, which then is constant
    constant = sympy.dsolve(g(x).diff(x) - g(1), g(x), ics={g(0): 0}).rhs
    assert sympy.simplify(constant - x * g(1)) == 0


@says(r"Choose $s(\tfrac12) = 1$, and the unit is the **bit**:")
@given(POSITIVE)
def eq_entropy_surprise(p: mpf) -> None:
    r"""s(p) = -\log_2 p = \log_2 \tfrac1p ."""
    unit = 1 / -mp.log(mpf(1) / 2)
    same(-unit * mp.log(p), -mp.log(p, 2))
    same(-mp.log(p, 2), mp.log(1 / p, 2))


# --- The figure ---


@says(
    "Each bar is as wide as its probability and as high as its surprise, so **its area is what the"
    " outcome adds to the entropy**. The widths sum to 1; therefore the height of the dashed line,"
    " the mean height of the bars, is the entropy, too.",
)
def a_bar_is_what_an_outcome_adds() -> None:
    at = EntropyBars(8, 4, 2, 2)
    drawing = drawing_of(at)
    bars = [np.ptp(drawing.seen("rect", color)[0], axis=0) for color in PALETTE[:4]]
    widths, heights = np.transpose(bars)
    assert widths == pytest.approx(np.array([8, 4, 2, 2]) / 16)
    assert heights == pytest.approx(-np.log2(widths))
    assert widths.sum() == pytest.approx(1)
    line = drawing.seen("rule", GRAY)[0][0, 1]
    assert np.dot(widths, heights) == pytest.approx(line, abs=1e-4)
    assert line == pytest.approx(stats.entropy([8, 4, 2, 2], base=2), abs=1e-4)


# --- Zeros and units ---


@says(
    r"As $p$ shrinks, $\log \tfrac1p$ grows, but far more slowly than $p$ falls: with"
    " $p = e^{-x}$, the product is $x e^{-x}$, which tends to 0.",
    r"What never happens never surprises, and $p \log \tfrac1p$ tends to 0 with $p$.",
    "It is 0 by continuity",
    r"$0 \log 0$ counts as 0.",
)
def zero_times_its_surprise_is_zero() -> None:
    p, x = sympy.symbols("p x", positive=True)
    assert sympy.limit(sympy.log(1 / p), p, 0, "+") == sympy.oo
    product = p * sympy.log(1 / p)
    at_x = sympy.expand_log(product.subs(p, sympy.exp(-x)), force=True)
    assert sympy.simplify(at_x - x * sympy.exp(-x)) == 0
    assert sympy.limit(x * sympy.exp(-x), x, sympy.oo) == 0
    assert sympy.limit(product, p, 0, "+") == 0
    assert stats.entropy([1, 0]) == crossent.entropy([1, 0]) == 0


@says(
    r"To convert, divide by a constant: $H_{\text{bits}} = H_{\text{nats}} / \ln 2$.",
    r"Bits are nats divided by $\ln 2$.",
)
@given(distributions())
def bits_are_nats_over_ln_2(p: Row) -> None:
    bits = -mp.fsum(p_k * mp.log(p_k, 2) for p_k in p if p_k)
    same(bits, H(p) / mp.log(2))
    same(mp.log(2), mp.ln(2))


@says(r"because the derivative of $\ln x$ is $1/x$ with no constant in front")
def the_derivative_of_the_natural_logarithm_has_no_constant() -> None:
    x = sympy.Symbol("x", positive=True)
    assert sympy.diff(sympy.log(x), x) == 1 / x
    for base in (2, 10):
        assert sympy.simplify(sympy.diff(sympy.log(x, base), x) * x) != 1


# --- Gibbs' inequality ---


@given(distributions(), distributions() | st.none(), st.integers(1, 3))
def eq_gibbs(p: Row, r: Row | None, over: int) -> None:
    r"""-\sum_k p_k \log p_k \;\le\; -\sum_k p_k \log r_k , \qquad \text{with equality only for }
    r = p .
    """
    r = p if r is None else [r_k / over for r_k in r]  # sums to 1, or to less
    excess = H(p, r) - H(p)
    if r == p:
        same(excess, mpf(0))
    else:  # shares of at most 12 that differ, differ by enough
        assert excess > 1e-6


@says(
    r"The line $x - 1$ touches $\ln x$ at $x = 1$ and lies above it for every other $x \ge 0$:"
    r" $\ln x \le x - 1$."
)
@given(st.fractions(0, 20, max_denominator=50))
def the_line_lies_above_the_logarithm(x: sympy.Rational) -> None:
    gap = mpf(x.numerator) / x.denominator - 1 - mp.log(mpf(x.numerator) / x.denominator)
    assert (gap > 0) == (x != 1)
    at_1 = mp.diff(mp.log, 1)
    same(at_1, mpf(1), 15)
    assert mp.log(1) == 1 - 1


@says(
    r"If $p$ is a distribution, $r_k \ge 0$ and $\sum_k r_k \le 1$, then",
    r"Sum over the outcomes with $p_k > 0$: $\sum_k p_k \ln \frac{r_k}{p_k} \le \sum_k p_k"
    r" \left(\frac{r_k}{p_k} - 1\right) \le \sum_k r_k - 1 \le 0$. The first step is an equality"
    " only if each of these $r_k = p_k$; then they sum to 1, nothing is left for the other $r_k$,"
    " and $r = p$. ∎",
)
@given(distributions(), distributions() | st.none(), st.integers(1, 3))
def the_proof_of_gibbs_inequality(p: Row, r: Row | None, over: int) -> None:
    tiny = mpf(10) ** -50
    r = p if r is None else [r_k / over for r_k in r]
    possible = [(p_k, r_k) for p_k, r_k in zip(p, r, strict=True) if p_k > 0]
    logarithms = mp.fsum(p_k * mp.log(r_k / p_k) for p_k, r_k in possible)
    lines = mp.fsum(p_k * (r_k / p_k - 1) for p_k, r_k in possible)
    assert logarithms <= lines + tiny
    assert lines <= mp.fsum(r) - 1 + tiny
    assert mp.fsum(r) - 1 <= tiny
    equal = all(p_k == r_k for p_k, r_k in possible)
    assert (abs(logarithms - lines) < tiny) == equal == (r == p)
    # Without the condition, the inequality may fail: r = (1, 1) sums to 2.
    half = mpf(1) / 2
    assert H([half, half], [mpf(1), mpf(1)]) < H([half, half])


@given(st.integers(1, 6).flatmap(distributions))
def eq_entropy_bounds(p: Row) -> None:
    r"""0 \le H(p) \le \log K :"""
    K = len(p)
    assert -(mpf(10) ** -50) < H(p) < mp.log(K) + mpf(10) ** -50


@says(
    r"Now put $r_k = 1/K$. The right-hand side is $\log K$ whatever $p$ is",
    r"zero only if one outcome is certain (each term is at least 0), and $\log K$ only if all $K$"
    " outcomes are equally probable.",
    r"$0 \le H(p) \le \log K$: zero if one outcome is certain, $\log K$ if all are equally"
    " probable.",
)
@given(st.integers(1, 6).flatmap(distributions))
def where_entropy_is_least_and_where_most(p: Row) -> None:
    K = len(p)
    same(H(p, [mpf(1) / K] * K), mp.log(K))
    assert all(-p_k * mp.log(p_k) >= 0 for p_k in p if p_k > 0)
    assert (H(p) < 1e-9) == (max(p) == 1)
    assert (H(p) > mp.log(K) - 1e-9) == (len(set(p)) == 1)


@says("Read backwards, $2^H$ equally probable outcomes, with $H$ in bits, would be just as")
@given(st.integers(1, 40))
def two_to_the_entropy_counts_equal_outcomes(K: int) -> None:
    bits = H([mpf(1) / K] * K) / mp.log(2)
    same(mpf(2) ** bits, mpf(K))


@says(
    "The arch is *concave*: mixing two distributions, in whatever proportion, never gives less"
    " than the mean of their entropies in the same proportion",
    r"Prove that pouring two containers of equal size together never gives less entropy than the"
    r" average of the two: $H\left(\tfrac12 (p + q)\right) \ge \tfrac12 H(p) + \tfrac12 H(q)$.",
    r"Let $m = \tfrac12 (p + q)$. Gibbs' inequality, once for $p$ and once for $q$, both with"
    r" $r = m$, gives $H(p) \le -\sum_k p_k \log m_k$ and $H(q) \le -\sum_k q_k \log m_k$. The mean"
    r" of the right-hand sides is $-\sum_k m_k \log m_k = H(m)$. Equality needs $p = m = q$.",
    r"With the shares $\lambda$ and $1 - \lambda$ in place of the two halves, the same lines give"
    r" $H(\lambda p + (1 - \lambda) q) \ge \lambda H(p) + (1 - \lambda) H(q)$: entropy is concave.",
)
@given(distributions(), distributions(), SHARES)
def entropy_is_concave(p: Row, q: Row, share: mpf) -> None:
    tiny = mpf(10) ** -50
    for part in (mpf(1) / 2, share):
        m = [part * p_k + (1 - part) * q_k for p_k, q_k in zip(p, q, strict=True)]
        if 0 < part < 1:
            assert H(p) <= H(p, m) + tiny
            assert H(q) <= H(q, m) + tiny
            mean = part * H(p, m) + (1 - part) * H(q, m)
            same(mean, H(m))
        gain = H(m) - part * H(p) - (1 - part) * H(q)
        assert gain > -tiny
        assert (gain > tiny) == (p != q and 0 < part < 1)


# --- Pairs ---


@given(distributions(3), distributions(2))
def eq_entropy_sum(p: Row, q: Row) -> None:
    r"""H(X, Y) = H(X) + H(Y) \quad\text{for independent } X, Y ."""
    pair = [p_x * q_y for p_x in p for q_y in q]
    same(-mp.fsum(each * mp.log(each) for each in pair if each), H(p) + H(q))


@given(st.lists(distributions(2), min_size=3, max_size=3), distributions(3))
def eq_entropy_conditional(rows: list[Row], p_x: Row) -> None:
    r"""H(Y \mid X) = -\sum_{x, y} p(x, y) \log p(y \mid x)
    = \sum_x p(x)\, H(Y \mid X = x) ,
    """
    mean = -mp.fsum(
        share * given * mp.log(given)
        for share, row in zip(p_x, rows, strict=True)
        for given in row
        if share * given
    )
    same(mean, mp.fsum(share * H(row) for share, row in zip(p_x, rows, strict=True)))


@says(
    r"Because $p(x, y) = p(x)\, p(y \mid x)$, the surprise of a pair is the sum of the two prices,"
    " and so is its mean. This is the **chain rule**:",
    r"The mean of this second price is the **conditional entropy**,",
    "The **joint entropy** $H(X, Y)$ is simply the entropy of the pair: six outcomes, six surprises"
    " $-\\log p(x, y)$, and their mean.",
    r"$H(X, Y) = H(X) + H(Y \mid X)$: learn one draw, then the other.",
)
@given(distributions(6))
def eq_entropy_chain(joint: Row) -> None:
    r"""H(X, Y) = H(X) + H(Y \mid X) ."""
    p_x = [joint[0] + joint[1], joint[2] + joint[3], joint[4] + joint[5]]
    for k, p in enumerate(joint):
        if p:
            same(-mp.log(p), -mp.log(p_x[k // 2]) - mp.log(p / p_x[k // 2]))
    same(H(joint), H(p_x) + conditional(joint))


def conditional(joint: Row) -> Real:
    """Return H(Y|X) of pairs, two by two for each X."""
    pairs = list(zip(joint[::2], joint[1::2], strict=True))
    return mp.fsum(sum(pair) * H([p / sum(pair) for p in pair]) for pair in pairs if sum(pair))


@says(
    r"Knowing $X$ never raises the entropy of $Y$ on average, and leaves it as it is only if the"
    " two are independent.",
    "**On average, knowing more never makes you more uncertain.**",
)
@given(distributions(4))
def eq_entropy_knowing(joint: Row) -> None:
    r"""H(Y \mid X) \le H(Y) , \qquad
    \text{equal only if } X \text{ and } Y \text{ are independent} .
    """
    gain = H([joint[0] + joint[2], joint[1] + joint[3]]) - conditional(joint)
    independent = abs(joint[0] * joint[3] - joint[1] * joint[2]) < mpf(10) ** -50
    assert abs(gain) < mpf(10) ** -50 if independent else gain > 1e-6


@given(distributions(8))
def eq_entropy_chain_many(joint: Row) -> None:
    r"""H(X_1, \dots, X_n) = \sum_{i=1}^{n} H(X_i \mid X_1, \dots, X_{i-1}) ."""
    starts = [[mp.fsum(joint[k : k + n]) for k in range(0, 8, n)] for n in (4, 2, 1)]
    same(H(joint), mp.fsum(map(conditional, starts)))  # the first is given nothing


@says(
    "Entropies of independent draws therefore add, as surprises do:",
    r"Put $r(x, y) = p(x)\, p(y)$ in {eq}`eq-gibbs`: its right-hand side is $H(X) + H(Y)$, so"
    r" $H(X, Y) \le H(X) + H(Y)$",
)
@given(distributions(4))
def pairs_have_the_sum_at_most(joint: Row) -> None:
    x = [joint[0] + joint[1], joint[2] + joint[3]]
    y = [joint[0] + joint[2], joint[1] + joint[3]]
    product = [p_x * p_y for p_x in x for p_y in y]
    for p_xy, (p_x, p_y) in zip(product, itertools.product(x, y), strict=True):
        assert not p_xy or abs(mp.log(p_xy) - mp.log(p_x) - mp.log(p_y)) < 1e-50
    less = H(x) + H(y) - H(joint)
    same(less, H(joint, product) - H(joint))  # Gibbs' two sides
    independent = all(abs(p - r) < 1e-50 for p, r in zip(joint, product, strict=True))
    assert abs(less) < 1e-50 if independent else less > 1e-6
    same(H(product), H(x) + H(y))


@says("It sees neither values nor labels nor order; it takes probabilities only.")
@given(st.permutations([mpf(1) / 10, mpf(2) / 10, mpf(3) / 10, mpf(4) / 10]))
def the_order_of_outcomes_does_not_matter(p: Row) -> None:
    same(H(p), H(sorted(p)))


# --- Codes ---

Code = tuple[str, ...]
WORDS = ["".join(digits) for n in (1, 2, 3) for digits in itertools.product("01", repeat=n)]


def prefix_free(code: Code) -> bool:
    return not any(b.startswith(a) for a, b in itertools.permutations(code, 2))


@says(
    "The tosses begin with a given word of $d_k$ digits with probability $2^{-d_k}$, and they"
    r" cannot begin with two of the words at once, so $\sum_k 2^{-d_k} \le 1$ {cite}`kraft1949`."
)
def the_tosses_of_a_coin_begin_with_one_word_at_most() -> None:
    tosses = WORDS[-8:]  # as many as the longest word has digits
    for code in filter(prefix_free, itertools.combinations(WORDS, 3)):
        begun = np.array([[toss.startswith(word) for word in code] for toss in tosses])
        chances = [2.0 ** -len(word) for word in code]
        assert begun.mean(axis=0).tolist() == chances
        assert begun.sum(axis=1).max() <= 1
        assert sum(chances) <= 1


@says(
    "**No prefix-free code beats the entropy.** Toss a fair coin forever.",
    r"Put $r_k = 2^{-d_k}$ in {eq}`eq-gibbs`, to base 2: $H(p) \le \sum_k p_k d_k$, the mean"
    " length. ∎",
    "In bits, entropy is a lower bound on the mean number of binary digits of a prefix-free code,"
    " or of yes-or-no answers.",
)
@given(distributions(3))
def no_prefix_free_code_beats_the_entropy(p: Row) -> None:
    codes = filter(prefix_free, itertools.combinations(WORDS, 3))
    for lengths in {order for code in codes for order in itertools.permutations(map(len, code))}:
        mean = mp.fsum(p_k * d_k for p_k, d_k in zip(p, lengths, strict=True))
        same(mean, H(p, [mpf(2) ** -d_k for d_k in lengths]) / mp.log(2))
        assert H(p) / mp.log(2) < mean + mpf(10) ** -50


@says("(The bound holds for every code that can be cut apart in one way only")
def no_decodable_code_beats_the_entropy() -> None:
    def rests(one: set[str], other: set[str]) -> set[str]:
        return {b[len(a) :] for a in one for b in other if b.startswith(a) and a != b}

    def decodable(code: set[str]) -> bool:  # what two ways to cut could leave over is no word
        left: set[str] = set()
        more = rests(code, code)
        while more - left:
            left |= more
            more = rests(code, left) | rests(left, code)
        return not left & code

    codes = [set(code) for code in itertools.combinations(WORDS, 3)]
    found = [code for code in codes if decodable(code)]
    assert any(not prefix_free(tuple(code)) for code in found)
    assert all(sum(2.0 ** -len(word) for word in code) <= 1 for code in found)


def huffman(p: Row) -> Real:
    """Return the mean length of Huffman's code: each merger puts a digit before its words."""
    groups, mean = list(p), 0
    heapq.heapify(groups)
    while len(groups) > 1:
        merged = heapq.heappop(groups) + heapq.heappop(groups)
        mean += merged
        heapq.heappush(groups, merged)
    return mean


@says(
    "**The best code comes within one digit.** For the outcomes with $p_k > 0$, the lengths"
    r" $d_k = \lceil -\log_2 p_k \rceil$ satisfy $\sum_k 2^{-d_k} \le 1$ as well, and then a"
    " prefix-free code with these lengths exists",
    r"Its mean length is below $H + 1$, and no prefix-free code is shorter than Huffman's (section"
    r" 5.8): $H \le \bar d < H + 1$.",
)
@given(distributions(4, least=1))
def the_best_code_comes_within_one_digit(p: Row) -> None:
    bits = H(p) / mp.log(2)
    p = sorted(p, reverse=True)
    lengths = [int(mp.ceil(-mp.log(p_k, 2) - mpf(10) ** -50)) for p_k in p]
    assert sum(2.0**-length for length in lengths) <= 1
    starts = itertools.accumulate([0.0, *(2.0**-length for length in lengths[:-1])])
    words = [f"{int(a * 2**n):0{n}b}" for a, n in zip(starts, lengths, strict=True)]
    assert prefix_free(tuple(words))
    assert list(map(len, words)) == lengths
    assert mp.fsum(p_k * n for p_k, n in zip(p, lengths, strict=True)) < bits + 1
    best = min(
        mp.fsum(p_k * n for p_k, n in zip(p, other, strict=True))
        for other in itertools.product(range(1, 4), repeat=4)
        if sum(2.0**-n for n in other) <= 1
    )
    same(huffman(p), best)
    assert bits < best + mpf(10) ** -50 < bits + 1


@says(
    r"The best code for a single draw has a mean length $\bar d$ with $H \le \bar d < H + 1$, and"
    " blocks of independent draws make the surplus per draw as small as you like."
)
@given(SHARES.filter(lambda share: 0 < share < 1))
def blocks_share_the_surplus(p: Real) -> None:
    block = [mpf(1)]
    for n in range(1, 6):
        block = [each * p_k for each in block for p_k in (p, 1 - p)]
        surplus = huffman(block) / n - H([p, 1 - p]) / mp.log(2)
        assert -(mpf(10) ** -50) < surplus < mpf(1) / n


# --- Estimates ---


def mean_plug_in(p: mpf, N: int) -> mpf:
    """Return the expected entropy of the frequencies of two outcomes, in nats."""
    chances = [mp.binomial(N, n) * p**n * (1 - p) ** (N - n) for n in range(N + 1)]
    same(mp.fsum(n * chance / N for n, chance in enumerate(chances)), p)
    terms = (c * H([mpf(n) / N, 1 - mpf(n) / N]) for n, c in enumerate(chances))
    return mp.fsum(terms)


@says(
    "This *plug-in estimate* is **too low** on average, unless one outcome is certain. Entropy is"
    " concave, so the mean entropy of the frequencies lies below the entropy of the mean"
    " frequencies, which are the true probabilities (Jensen's inequality).",
)
@given(SHARES, st.integers(1, 8))
def the_plug_in_estimate_is_too_low(p: mpf, N: int) -> None:
    truth = H([p, 1 - p])
    assert mean_plug_in(p, N) < truth if 0 < p < 1 else mean_plug_in(p, N) == truth == 0


@says(
    r"The Miller–Madow correction adds $\tfrac{1}{2N} (\hat K - 1)$ nats when $N$ independent"
    r" samples show $\hat K$ different outcomes {cite}`miller1955`."
)
def the_correction_is_the_first_term_of_the_error() -> None:
    p, N = mpf(3) / 10, 300
    missing = H([p, 1 - p]) - mean_plug_in(p, N)
    assert abs(missing / (mpf(2 - 1) / (2 * N)) - 1) < 0.01


@says("no estimator is unbiased for every distribution {cite}`paninski2003`")
def no_estimator_is_unbiased() -> None:
    # The mean of any estimate from N draws is a polynomial in p, whose slope at 0 is finite.
    p = sympy.Symbol("p", positive=True)
    arch = -p * sympy.log(p) - (1 - p) * sympy.log(1 - p)
    assert sympy.limit(sympy.diff(arch, p), p, 0, "+") == sympy.oo


@says("The *differential entropy* $h = -\\int f \\log f$ can therefore be negative")
def the_entropy_of_a_density_may_be_negative() -> None:
    x = sympy.Symbol("x")
    half = sympy.Rational(1, 2)
    assert sympy.integrate(2, (x, 0, half)) == 1
    assert -sympy.integrate(2 * sympy.log(2), (x, 0, half)) == -sympy.log(2) < 0


# --- The exercises ---


@says("Three do suffice {cite}`mackay2003`.")
def three_weighings_suffice() -> None:
    # Each coin lies left (1), right (-1) or aside (0) in each weighing. A heavy coin gives its own
    # row as results, a light one the opposite: so no row may be another's or its opposite's.
    rows = [row for row in itertools.product((-1, 0, 1), repeat=3) if row > (0, 0, 0)]
    rows.remove((1, 1, 1))
    coins = np.array(rows)
    assert len(coins) == 12
    plans = (coins * np.array(signs)[:, None] for signs in itertools.product((-1, 1), repeat=12))
    plan = next(plan for plan in plans if (plan.sum(axis=0) == 0).all())
    assert (abs(plan).sum(axis=0) == 8).all()  # 4 against 4
    assert len({tuple(row) for row in [*plan, *-plan]}) == 24


@says(
    "Choosing the question whose answer has the largest entropy is a good rule for other guessing"
    " games, too, though it is not the best one in every game."
)
def the_most_uncertain_answer_is_not_always_best() -> None:
    def questions(greedy: tuple[float, ...]) -> float:
        """Count, in the mean, what is asked if each question splits as evenly as it can."""
        if len(greedy) == 1:
            return 0.0
        sets = [s for n in range(1, len(greedy)) for s in itertools.combinations(greedy, n)]
        yes = max(sets, key=lambda s: stats.entropy([sum(s), sum(greedy) - sum(s)]))
        no = list(greedy)
        for each in yes:
            no.remove(each)
        return sum(greedy) + questions(yes) + questions(tuple(no))

    p = (0.35, 0.17, 0.17, 0.16, 0.15)
    best = huffman(p)
    assert best + 0.01 < questions(p) < best * 1.02  # good, but not the best
    assert questions((0.5, 0.25, 0.125, 0.125)) == huffman((0.5, 0.25, 0.125, 0.125))


# --- What comes next ---


@says(
    "what if you believe in the wrong probabilities? The answer is {doc}`cross-entropy"
    " <cross_entropy>`.",
)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), distributions(3, least=1))
def cross_entropy_is_the_average_surprise_of_a_wrong_belief(counts: list[int], q: Row) -> None:
    shapes = [kind for kind, count in enumerate(counts) for _ in range(count)]
    average = mp.fsum(-mp.log(q[shape]) for shape in shapes) / len(shapes)
    same(average, H([mpf(count) / len(shapes) for count in counts], q))


NUMBERS = {
    "Naming one order of a whole deck takes 226 questions.": Computed(
        lambda: math.ceil(math.log2(math.factorial(52)))
    ),
    "Section 6 of {cite:t}`shannon1948` introduces entropy": Cited(
        "shannon1948", "section 6: Choice, uncertainty and entropy"
    ),
    "section 5.5": Cited("cover2006", "section 5.5, on uniquely decodable codes"),
    "section 5.2": Cited("cover2006", "section 5.2, on the Kraft inequality"),
    "section 5.8": Cited("cover2006", "section 5.8, on the optimality of Huffman codes"),
}

UNTESTED = {
    "To make this concrete, let **one bit cost one cent**, here and in every chapter that"
    " follows.": "the rule of the game",
    "A number without a unit is not an entropy.": "a convention",
    "Always write the unit.": "advice",
    "(Shannon's own proof {cite}`shannon1948` asks similar things of the mean instead.)": "history",
}
