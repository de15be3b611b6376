"""What keeps the last digits: sums and products with their rounding, and a softmax in two parts."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._spans import Array
from crossent._sums import row_sums

NEAR = 300.0  # e^±300 and sums and ratios of such numbers neither overflow nor underflow


def weighted(weight: Any, x: Any) -> Any:
    """Return the product, 0 where the weight is 0, whatever it multiplies."""
    if isinstance(weight, float) and weight > 0.0:
        return weight * x
    return np.where(weight == 0.0, 0.0, weight * x)


def column(x: Any) -> Any:
    """Return numbers of rows so that they broadcast to the rows."""
    return x if isinstance(x, float) else x[:, None]


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return a − b rounded, and what rounding took from it (Knuth's two-sum)."""
    s = a - b
    t = s - a
    error = (a - (s - t)) - (b + t)
    return s, np.where(np.isfinite(error), error, 0.0)


def product(a: float, b: Array) -> tuple[Array, Array]:
    """Return a · b rounded, and what rounding took from it (Dekker's product)."""
    result = a * b
    # The error is exact in halves of 26 bits.
    x, y = _head(np.float64(a)), _head(b)
    x_tail, y_tail = a - x, b - y
    return result, ((x * y - result) + x * y_tail + x_tail * y) + x_tail * y_tail


def _head(x: Any) -> Any:
    """Return the upper 26 bits of x."""
    big = 134217729.0 * x
    return big - (big - x)


def lift(margin: Array) -> Array:
    """Return k such that a result near e^−margin, which may be subnormal, is kept in units of e^−k.

    Margins outside of the range need no unit: e^−600 is normal and e^−900 vanishes with any weight.
    """
    return np.where((margin > 600.0) & (margin < 900.0), 64.0, 0.0)


class Parts(NamedTuple):
    """One class y of each row against all the others, each in the row's subnormal unit."""

    loss: Array  # −log p_y
    miss: Array  # 1 − p_y, the sum of the other probabilities
    p: Array  # the probabilities of all classes
    subnormal_unit: Any  # 1, or (R,): keeps results from being subnormal before they are weighted


def leave_one_out(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split each row of logits (R, C) into class ``y`` (R,) and the rest."""
    near = (z.max(axis=1) <= NEAR) & (z.min(axis=1) >= -NEAR)
    if np.count_nonzero(near) == len(near):
        return _direct(z, y)
    parts = Parts(np.empty(len(z)), np.empty(len(z)), np.empty_like(z), np.empty(len(z)))
    for rows, method in ((near, _direct), (~near, _shifted)):
        for part, done in zip(parts, method(z[rows], y[rows]), strict=True):
            part[rows] = done
    return parts


def _direct(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split rows of logits near 0: nothing is subtracted, so nothing is lost."""
    own = np.arange(len(z)), y
    p = np.exp(z)
    one = p[own]
    p[own] = 0.0
    others = row_sums(p)
    whole = others + one
    p /= whole[:, None]
    p[own] = one / whole
    return Parts(np.log1p(others / one), others / whole, p, 1.0)


def _shifted(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split rows of any logits, infinite ones included, shifted by the largest of the others."""
    own = np.arange(len(z)), y
    z_y = z[own]
    z = z.copy()
    z[own] = -np.inf
    top = z.max(axis=1)
    gap, rounding = difference(z, top[:, None])
    p = np.exp(gap)
    p += p * rounding
    p[z == top[:, None]] = 1.0
    others = row_sums(p)

    # The smaller side is scaled by e^−|margin|, the other by 1.
    margin, rounding = difference(z_y, top)
    ahead = margin > 0.0
    lifted = lift(margin)
    subnormal_unit = np.exp(-lifted)
    small = np.exp(lifted - np.abs(margin))
    small += small * np.where(ahead, -rounding, rounding)
    one = np.where(ahead, 1.0, small)
    odds = np.where(ahead, others * small, others)
    whole = odds + one
    loss = np.where(ahead, np.log1p(odds), (np.log(whole) - rounding) - margin)
    p *= (np.where(ahead, small, 1.0) / whole)[:, None]
    p[own] = one / (whole * subnormal_unit)
    miss = odds / whole

    # Two logits at +∞ leave their own probabilities without a limit; the others still vanish.
    infinite = z == np.inf
    infinite[own] = z_y == np.inf
    tied = (infinite.sum(axis=1) > 1) & ~np.isnan(others + z_y)
    p[tied] = np.where(infinite[tied], np.nan, 0.0)
    return Parts(loss, miss, p, subnormal_unit)
