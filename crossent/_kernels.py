"""Accurate passes over rows of logits and over pairs of probabilities.

Everything a softmax is asked for comes from one primitive, `leave_one_out`: it splits a row into
one class and all the others, so that neither side is ever found by subtracting from 1. Rows are
taken in tiles that fit the cache; inside a tile all arithmetic is done in `WORK`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The working precision of every kernel: float16 and float32 input is exact in it, and results are
# rounded to the dtype of the input once, at the end.
WORK = np.float64

TILE = 1 << 15  # elements of a tile: 256 KiB in float64, which fits a second-level cache
MODERATE = 300.0  # e^±300 and sums and ratios of such numbers neither overflow nor underflow


DEPTH = 25  # levels of the continued fraction in `_divergence`: full precision for |u| < 3/4


class Parts(NamedTuple):
    """One class y of each row against all the others."""

    loss: Array  # −log p_y
    miss: Array  # 1 − p_y, the sum of the other probabilities
    p: Array  # the probabilities of all classes


def tiles(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of rows that hold at most `TILE` elements, or one row; at least one slice."""
    step = max(1, TILE // columns)
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


def leave_one_out(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split each row of the tile `z` (R, C) into class ``y`` (R,) and the rest."""
    moderate = (z.max(axis=1) <= MODERATE) & (z.min(axis=1) >= -MODERATE)
    if moderate.all():
        return _direct(z, y)
    parts = Parts(np.empty(len(z)), np.empty(len(z)), np.empty_like(z))
    for rows, method in ((moderate, _direct), (~moderate, _shifted)):
        for part, done in zip(parts, method(z[rows], y[rows]), strict=True):
            part[rows] = done
    return parts


def _direct(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split rows of moderate logits: nothing is subtracted, so nothing is lost."""
    own = np.arange(len(z)), y
    p = np.exp(z)
    one = p[own]
    p[own] = 0.0
    others = row_sums(p)
    total = others + one
    p /= total[:, None]
    p[own] = one / total
    return Parts(np.log1p(others / one), others / total, p)


def _shifted(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split rows of any logits, infinite ones included, shifted by the largest of the others."""
    own = np.arange(len(z)), y
    z_y = z[own]
    z = z.copy()
    z[own] = -np.inf
    top = z.max(axis=1)
    shift = np.where(top == -np.inf, 0.0, top)[:, None]
    gap, rounding = _difference(z, shift)
    p = np.exp(gap) * (1.0 + rounding)
    p[z == shift] = 1.0
    others = row_sums(p)

    # One side is scaled by e^−|margin|, the other by 1. The square root of that factor is applied
    # twice, because the factor alone may be subnormal where its product with `others` is not.
    margin, rounding = _difference(z_y, top)
    ahead = margin > 0.0
    root = np.exp(-np.abs(margin) / 2.0)
    repaired = root * np.where(ahead, 1.0 - rounding, 1.0 + rounding)
    small = repaired * root
    one = np.where(ahead, 1.0, small)
    odds = np.where(ahead, repaired * others * root, others)
    total = odds + one
    loss = np.where(ahead, np.log1p(odds), np.log(total) - margin)
    p *= (np.where(ahead, small, 1.0) / total)[:, None]
    p[own] = one / total
    miss = odds / total

    # Two logits at +∞ leave their own probabilities without a limit; the others still vanish.
    infinite = z == np.inf
    infinite[own] = z_y == np.inf
    tied = (infinite.sum(axis=1) > 1) & ~np.isnan(others + z_y)
    p[tied] = np.where(infinite[tied], np.nan, 0.0)
    return Parts(loss, miss, p)


def row_sums(x: Array) -> Array:
    """Return the sums of the rows of ``x`` ≥ 0, each as good as correctly rounded.

    NumPy's pairwise sum drifts by up to 6 ulp when many terms are equal. Here every term is cut at
    one common bit: the high parts then add up without any rounding, in any order, and the low
    parts are too small for theirs to matter.
    """
    exponent = np.frexp(x.max(axis=1, initial=0.0) * x.shape[1])[1]
    cut = np.ldexp(1.0, exponent + 1)[:, None]
    high = (x + cut) - cut
    sums: Array = high.sum(axis=1) + (x - high).sum(axis=1)
    # An infinite term cannot be cut.
    return np.where(np.isnan(sums), x.sum(axis=1), sums)


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return a − b rounded, and what rounding took from it (Knuth's two-sum)."""
    s = a - b
    t = s - a
    error = (a - (s - t)) - (b + t)
    return s, np.where(np.isfinite(error), error, 0.0)


RowsKernel = Callable[[Array], Array]


@np.errstate(all="ignore")
def map_rows(kernel: RowsKernel, rows: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """Apply ``kernel`` tile by tile along the last axis of ``rows``."""
    flat = rows.reshape(-1, rows.shape[-1])
    done = [kernel(flat[tile].astype(WORK)).astype(dtype) for tile in tiles(*flat.shape)]
    result = np.concatenate(done)
    return result.reshape(rows.shape[:-1] + result.shape[1:])[()]


def softmax(z: Array) -> Array:
    """Return the probabilities of each row."""
    return leave_one_out(z, z.argmax(axis=1)).p


def surprise(z: Array) -> Array:
    """Return −log p of each class of each row, as a sum of two terms that are not negative."""
    best = z.argmax(axis=1)
    top = z[np.arange(len(z)), best][:, None]
    gap = np.where(z == top, 0.0, top - z)
    least = leave_one_out(z, best).loss[:, None]
    # An infinite gap needs no `least`, which has no limit where two logits are +∞.
    return np.where(gap == np.inf, np.inf, gap + least)


def log_softmax(z: Array) -> Array:
    """Return the logarithms of the probabilities of each row."""
    return 0.0 - surprise(z)


def logsumexp(z: Array) -> Array:
    """Return the logarithm of the sum of the exponentials of each row."""
    best = z.argmax(axis=1)
    top: Array = z[np.arange(len(z)), best]
    return np.where(np.isinf(top), top, top + leave_one_out(z, best).loss)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^−z)."""
    small = np.exp(-np.abs(z))
    ratio: Array = np.where(z < 0.0, small, 1.0) / (1.0 + small)
    return ratio


def softplus(z: Array) -> Array:
    """Return log(1 + e^z)."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def log_sigmoid(z: Array) -> Array:
    """Return log(1 / (1 + e^−z))."""
    return 0.0 - softplus(-z)


def entropy_terms(p: Array) -> Array:
    """Return −p log p."""
    return cross_entropy_terms(p, p)


def cross_entropy_terms(p: Array, q: Array) -> Array:
    """Return −p log q, 0 for p = 0."""
    return np.where(p == 0.0, 0.0, p * (0.0 - np.log(q)))


def kl_terms(p: Array, q: Array) -> Array:
    """Return p log(p / q) − p + q ≥ 0."""
    return _divergence(p, q, p - q)


def js_terms(p: Array, q: Array) -> Array:
    """Return the terms of the Jensen-Shannon divergence: the mean of two of `kl_terms`."""
    middle = (p + q) / 2.0
    half = (p - q) / 2.0
    return (_divergence(p, middle, half) + _divergence(q, middle, -half)) / 2.0


def _divergence(p: Array, q: Array, difference: Array) -> Array:
    """Return p log(p / q) − p + q, given also p − q, for which rounded p and q are too coarse.

    With u = (p − q) / (p + q) the logarithm is 2 artanh(u), and the whole is
    (p − q) (u + (1 + u) (artanh(u) / u − 1)), where the last bracket comes from the continued
    fraction artanh(u) / u = 1 / (1 − u² / (3 − 4 u² / (5 − 9 u² / (7 − …)))).
    """
    u = np.where(difference == 0.0, 0.0, difference / (p + q))
    square = u * u
    fraction = np.full_like(u, 2.0 * DEPTH + 1.0)
    for n in range(DEPTH, 1, -1):
        fraction = (2.0 * n - 1.0) - n * n * square / fraction
    near = difference * (u + (1.0 + u) * square / (fraction - square))
    far = np.where(p == 0.0, 0.0, p * np.log(p / q)) - difference
    return np.where(np.abs(u) < 0.75, near, far)
