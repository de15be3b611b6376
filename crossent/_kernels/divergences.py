"""Entropies and divergences: their terms for pairs of probabilities, and what logits give."""

import math
from typing import Any, NamedTuple

import numpy as np

from crossent._kernels._exact import (
    TwoParts,
    column,
    difference,
    leave_one_out,
    lift,
    minus,
    over,
    two_parts,
    weighted,
)
from crossent._spans import Array
from crossent._sums import row_sums

# For |u| up to the last one, as many terms as all digits need of two series in u²:
# (artanh(u) / u − 1) / u², and ((1 + u) log(1 + u) + (1 − u) log(1 − u)) / u².
ARTANH = [1.0 / (2.0 * k + 3.0) for k in range(14)], 0.3
SURPRISES = [1.0 / ((k + 1.0) * (2.0 * k + 1.0)) for k in range(23)], 0.5


def entropy_terms(p: Array) -> Array:
    """Return −p log p."""
    return cross_entropy_terms(p, p)


def cross_entropy_terms(p: Array, q: Array) -> Array:
    """Return −p log q, 0 for p = 0."""
    return np.where(p == 0.0, 0.0, p * (0.0 - np.log(q)))


def kl_terms(p: Array, q: Array) -> Array:
    """Return p log(p / q) − p + q ≥ 0.

    With u = (p − q) / (p + q) the logarithm is 2 artanh(u), and the whole is
    (p − q) (u + (1 + u) (artanh(u) / u − 1)).
    """
    difference, u = p - q, apart(p, q)
    square = u * u
    terms = difference * (u + (1.0 + u) * square * series(ARTANH, square))
    far = np.abs(u) > ARTANH[1]
    if np.count_nonzero(far):
        ratio = p / q
        finite = ratio < np.inf
        log = np.where(finite, np.log(ratio), np.log(p) - np.log(q))
        # With the rounded ratio here, too, its error cancels: the derivative for it is 0.
        excess = np.where(finite, (ratio - 1.0) * q, difference)
        terms = np.where(far, np.where(p == 0.0, 0.0, p * log) - excess, terms)
    return terms


def js_terms(p: Array, q: Array) -> Array:
    """Return the terms of the Jensen-Shannon divergence, the mean of two of `kl_terms`.

    With u as there they are (p + q) / 4 ((1 + u) log(1 + u) + (1 − u) log(1 − u)).
    """
    u = apart(p, q)
    terms = (p - q) * u * series(SURPRISES, u * u) / 4.0
    far = np.abs(u) > SURPRISES[1]
    if np.count_nonzero(far):
        large, small = np.maximum(p, q), np.minimum(p, q)
        a = 2.0 * large / (large + small)
        # Exact, and so both errors of their logarithms cancel. What is below 2^−53 matters to none.
        b = np.maximum(2.0 - a, 2.0**-60)
        terms = np.where(far, (large * np.log(a) + small * np.log(b)) / 2.0, terms)
    return terms


def apart(p: Array, q: Array) -> Array:
    """Return (p − q) / (p + q), 0 for two zeros."""
    both = p + q
    u: Array = (p - q) / (both + (both == 0.0))
    return u


def series(of: tuple[list[float], float], x: Array) -> Array:
    """Return the sum of a power series, of as many terms as the largest x ≥ 0 needs."""
    most = float(x.max(initial=0.0))
    *others, last = (
        factor for k, factor in enumerate(of[0]) if k == 0 or factor * most**k > 2.0**-60
    )
    result = np.full_like(x, last)
    for factor in reversed(others):
        result *= x
        result += factor
    return result


def entropy_logits(z: Array, *, log_base: float) -> Array:
    """Return Σ_k p_k (−log p_k) of each row, a sum of terms ≥ 0."""
    own = np.arange(len(z)), z.argmax(axis=1)
    top = z[own][:, None]
    parts = leave_one_out(z, own[1])
    unit = parts.subnormal_unit
    surprise = np.where(z == top, 0.0, top - z) + (parts.loss * unit)[:, None]
    terms = weighted(parts.p, surprise)
    terms[own] = parts.p[own] * unit * parts.loss  # of which only the loss may be subnormal
    sums: Array = row_sums(terms) * unit / log_base
    return sums


NEAR = 2.0  # farther from 0, e^x − 1 − x loses no digits
TERMS = 24  # of its series, for |x| < NEAR
FAR = 300.0  # e^300 dwarfs 1, and does not overflow


def kl_logits(
    q: Array, want_gradient: bool, p: Array, *, temperature: float, log_base: float
) -> tuple[Array, Any, Any]:
    """Σ_k p_k log(p_k / q_k) of two softmaxes, and its gradient for the logits of q."""
    sides = compare(q, p, temperature)
    loss = divergence(sides)
    gradient: Any = slopes(sides, loss) if want_gradient else None
    # One that is infinite makes the sum infinite, or nan.
    if not np.isfinite(sides.x.sum() + p[sides.best].sum() + q[sides.best].sum()):
        loss = limits(loss, q, p)
        if want_gradient:
            rows = ~np.isfinite(loss)
            of_q, of_p = (any_softmax(z[rows], temperature) for z in (q, p))
            gradient[rows] = (of_q - of_p) / column(sides.unit[rows])
    if want_gradient:
        gradient = gradient / (temperature * log_base)
    return loss / log_base, gradient, sides.unit


class Sides(NamedTuple):
    """Rows of two softmaxes p and q, as odds against the class that is best under p.

    Let x_k be the difference of both logits less its mean under p: so Σ_k p_k x_k is 0. The odds
    of q are those of p times e^{x_k − shift}.
    """

    best: Any  # where that class is in each row
    x: Array  # (R, C), and
    error: Array  # what rounding took from it
    shift: Array  # (R,): what keeps the odds of q from overflow
    p: Array  # (R, C): the odds in the unit
    q: Array  # (R, C)
    whole_p: Array  # (R,): the sums of the odds
    whole_q: Array
    unit: Array  # (R,): keeps odds that matter from being subnormal


def compare(q: Array, p: Array, temperature: float) -> Sides:
    """Return the two sides, from their logits."""
    best = np.arange(len(p)), p.argmax(axis=1)
    above_p, above_q = above(p, best), above(q, best)
    x = over(minus(above_q, above_p), temperature)
    above_p, above_q = over(above_p, temperature), over(above_q, temperature)
    x[0][(above_p[0] == -np.inf) & (above_q[0] == -np.inf)] = 0.0  # a class that neither has
    odds_p, whole_p, lifted = odds(above_p, best)
    unit = np.exp(-lifted)
    mean = signed_sums(x[0], odds_p) * unit / whole_p
    x = minus(x, (column(mean), 0.0))
    rest = signed_sums(x[0], odds_p) * unit / whole_p  # what rounding left of the mean
    x = two_parts(x[0], x[1] - column(rest))
    most = (above_q[0].max(axis=1) - mean) - rest
    is_far = most > FAR
    shift = np.where(is_far, most, 0.0)
    # So far away, what rounding left is no small number: there q is seen from its own best class.
    rows = is_far.nonzero()[0]
    if len(rows):
        own = np.arange(len(rows)), q[rows].argmax(axis=1)
        for part, seen in zip(above_q, over(above(q[rows], own), temperature), strict=True):
            part[rows] = seen
    high, low = difference(np.where(is_far, 0.0, mean), lifted)
    low += np.where(is_far, 0.0, rest)
    above_q = minus(above_q, (column(high), column(low)))
    odds_q = np.exp(above_q[0])
    odds_q += odds_q * above_q[1]
    return Sides(best, *x, shift, odds_p, odds_q, whole_p, row_sums(odds_q) * unit, unit)


def signed_sums(x: Array, odds: Array) -> Array:
    """Return Σ x · odds of each row, in the unit: positive and negative terms apart."""
    terms = weighted(odds, x)
    mean: Array = row_sums(np.maximum(terms, 0.0)) - row_sums(np.maximum(-terms, 0.0))
    return mean


def above(z: Array, best: Any) -> TwoParts:
    """Return how far logits are above that of one class of the row."""
    top = column(z[best])
    high, low = difference(z, top)
    return np.where(z == top, 0.0, high), low


def odds(gap: TwoParts, best: Any) -> tuple[Array, Array, Array]:
    """Return the odds against the best class, their sum, and how far the odds are lifted."""
    rest = gap[0].copy()
    rest[best] = -np.inf
    lifted = lift(-rest.max(axis=1))
    result = np.exp(rest + column(lifted))
    result += result * gap[1]
    whole = row_sums(result) * np.exp(-lifted) + 1.0
    result[best] = np.exp(lifted)
    return result, whole, lifted


def divergence(sides: Sides) -> Array:
    """Return log Σ_k p_k e^{x_k} = log(1 + Σ_k p_k (e^{x_k} − 1 − x_k)): no term is negative."""
    x = sides.x
    tangent = exp_minus_tangent(x)
    tangent += (x + tangent) * sides.error
    far = sides.q - weighted(sides.p, 1.0 + x)
    sums = row_sums(np.where(np.abs(x) < NEAR, sides.p * tangent, far)) / sides.whole_p
    # Where the unit matters, so small a sum is its own logarithm.
    small = sums * sides.unit < 1e-20
    loss = np.where(small, sums, np.log1p(sums * sides.unit) / sides.unit)
    large = sides.shift + np.log(sides.whole_q / sides.whole_p)
    return np.where(sides.shift > 0.0, large / sides.unit, loss)


def exp_minus_tangent(x: Array) -> Array:
    """Return e^x − 1 − x = x² (1/2! + x/3! + x²/4! + …), for |x| < NEAR."""
    series = np.full_like(x, 1.0 / math.factorial(TERMS))
    for n in range(TERMS - 1, 1, -1):
        series *= x
        series += 1.0 / math.factorial(n)
    series *= x * x
    return series


def slopes(sides: Sides, loss: Array) -> Array:
    """Return q − p, which is p (e^{x − loss} − 1) where they are near."""
    loss = loss * sides.unit
    p, q = sides.p / column(sides.whole_p), sides.q / column(sides.whole_q)
    near = (np.abs(sides.x) < 1.0) & (column(loss) < 1.0)
    exponent = (sides.x - column(loss)) + sides.error
    gradient: Array = np.where(near, p * np.expm1(exponent), q - p)
    # The best class has an x below the unit: its slope is what the others leave.
    rows = (sides.unit < 1.0).nonzero()[0]
    place = rows, sides.best[1][rows]
    gradient[place] = 0.0
    gradient[place] = -gradient[rows].sum(axis=1)
    return gradient


def limits(loss: Array, q: Array, p: Array) -> Array:
    """Return the divergences, infinite or nan where infinite logits make them so."""
    top_p, top_q = column(p.max(axis=1)), column(q.max(axis=1))
    possible = np.where(top_p == np.inf, p == np.inf, p > -np.inf)
    excluded = np.where(top_q == np.inf, q < np.inf, q == -np.inf)
    ties_p, ties_q = ((z == np.inf).sum(axis=1) for z in (p, q))
    # Classes at +∞ share all of p, nobody knows how: q must exclude all of them.
    infinite = (possible & excluded).sum(axis=1) >= np.maximum(ties_p, 1)
    no_limit = (ties_p > 1) | (ties_q > 1)
    no_softmax = ~(np.minimum(top_p, top_q)[:, 0] > -np.inf)  # nan, or −∞ only
    # What is nan otherwise has overflowed.
    result: Array = np.where(infinite | (np.isnan(loss) & ~no_limit), np.inf, loss)
    result[no_softmax | (no_limit & ~infinite)] = np.nan
    return result


def any_softmax(z: Array, temperature: float) -> Array:
    """Return the softmax of any logits over a temperature."""
    best = np.arange(len(z)), z.argmax(axis=1)
    result, whole, lifted = odds(over(above(z, best), temperature), best)
    result *= column(np.exp(-lifted) / whole)
    infinite = z == np.inf
    result[infinite & (infinite.sum(axis=1, keepdims=True) > 1)] = np.nan
    result[~(z.max(axis=1) > -np.inf)] = np.nan
    return result
