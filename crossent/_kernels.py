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
    """One class y of each row against all the others, each in the row's unit."""

    loss: Array  # −log p_y
    miss: Array  # 1 − p_y, the sum of the other probabilities
    p: Array  # the probabilities of all classes
    unit: Array  # 1, or what keeps results from being subnormal before they are weighted


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
    parts = Parts(np.empty(len(z)), np.empty(len(z)), np.empty_like(z), np.empty(len(z)))
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
    return Parts(np.log1p(others / one), others / total, p, np.ones(len(z)))


def _shifted(z: Array, y: NDArray[np.intp]) -> Parts:
    """Split rows of any logits, infinite ones included, shifted by the largest of the others."""
    own = np.arange(len(z)), y
    z_y = z[own]
    z = z.copy()
    z[own] = -np.inf
    top = z.max(axis=1)
    gap, rounding = _difference(z, top[:, None])
    p = np.exp(gap) * (1.0 + rounding)
    p[z == top[:, None]] = 1.0
    others = row_sums(p)

    # The smaller side is scaled by e^−|margin|, the other by 1.
    margin, rounding = _difference(z_y, top)
    ahead = margin > 0.0
    lift = _lift(margin)
    unit = np.exp(-lift)
    small = np.exp(lift - np.abs(margin)) * np.where(ahead, 1.0 - rounding, 1.0 + rounding)
    one = np.where(ahead, 1.0, small)
    odds = np.where(ahead, others * small, others)
    total = odds + one
    loss = np.where(ahead, np.log1p(odds), (np.log(total) - rounding) - margin)
    p *= (np.where(ahead, small, 1.0) / total)[:, None]
    p[own] = one / (total * unit)
    miss = odds / total

    # Two logits at +∞ leave their own probabilities without a limit; the others still vanish.
    infinite = z == np.inf
    infinite[own] = z_y == np.inf
    tied = (infinite.sum(axis=1) > 1) & ~np.isnan(others + z_y)
    p[tied] = np.where(infinite[tied], np.nan, 0.0)
    return Parts(loss, miss, p, unit)


def _lift(margin: Array) -> Array:
    """Return k such that a result near e^−margin, which may be subnormal, is kept in units of e^−k.

    Margins outside of the range need no unit: e^−600 is normal and e^−900 vanishes with any weight.
    """
    return np.where((margin > 600.0) & (margin < 900.0), 64.0, 0.0)


def row_sums(x: Array) -> Array:
    """Return the sums of the rows of ``x`` ≥ 0, each as good as correctly rounded.

    NumPy's pairwise sum drifts by up to 6 ulp when many terms are equal. Here every term is cut at
    one common bit: the high parts then add up without any rounding, in any order, and the low
    parts are too small for theirs to matter.
    """
    exponent = np.frexp(x.max(axis=1, initial=0.0) * x.shape[1])[1]
    cut = np.ldexp(1.0, exponent)[:, None]
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


# Of each row: the loss, the gradient (an array if it is wanted), and the unit of both.
LossAndSlope = tuple[Array, Any, Array | float]
RowsKernel = Callable[[Array, slice, bool], LossAndSlope]  # a tile, its place, gradient wanted


def map_rows(
    kernel: Callable[[Array], Array], rows: NDArray[Any], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Apply a kernel to the last axis of an array."""
    flat = rows.reshape(-1, rows.shape[-1])
    with np.errstate(all="ignore"):
        done = [kernel(flat[tile].astype(WORK)).astype(dtype) for tile in tiles(*flat.shape)]
    result = np.concatenate(done)
    return result.reshape(rows.shape[:-1] + result.shape[1:])


def map_loss(
    kernel: RowsKernel, rows: NDArray[Any], weight: Array, scale: Array, gradient: bool
) -> tuple[Array, NDArray[Any]]:
    """Return the loss of each row times its weight and, if wanted, the gradient times its scale."""
    losses = np.empty(len(rows))
    slopes = np.empty(rows.shape if gradient else 0, rows.dtype)
    for tile in tiles(*rows.shape):
        loss, slope, unit = kernel(rows[tile].astype(WORK), tile, gradient)
        losses[tile] = weighted(weight[tile] * unit, loss)
        if gradient:
            slopes[tile] = weighted((scale[tile] * unit)[:, None], slope)
    return losses, slopes


def weighted(weight: Array, x: Array) -> Array:
    """Return the product, 0 where the weight is 0, whatever it multiplies."""
    return np.where(weight == 0.0, 0.0, weight * x)


def total(x: Array) -> float:
    """Return the sum of non-negative terms, as good as correctly rounded."""
    return float(row_sums(x[None, :])[0])


def softmax(z: Array) -> Array:
    """Return the probabilities of each row."""
    parts = leave_one_out(z, z.argmax(axis=1))
    return parts.p * parts.unit[:, None]


def log_softmax(z: Array) -> Array:
    """Return the logarithms of the probabilities of each row."""
    best = z.argmax(axis=1)
    parts = leave_one_out(z, best)
    return 0.0 - _surprise(_gap(z, best), parts.loss * parts.unit)


def _gap(z: Array, best: NDArray[np.intp]) -> Array:
    """Return how far each logit is below the best."""
    top = z[np.arange(len(z)), best][:, None]
    return np.where(z == top, 0.0, top - z)


def _surprise(gap: Array, least: Array) -> Array:
    """Return −log p of each class, a sum of two terms ≥ 0, from that of the best class."""
    # An infinite gap needs no second term, which has no limit where two logits are +∞.
    return np.where(gap == np.inf, np.inf, gap + least[:, None])


def logsumexp(z: Array) -> Array:
    """Return the logarithm of the sum of the exponentials of each row."""
    best = z.argmax(axis=1)
    top: Array = z[np.arange(len(z)), best]
    parts = leave_one_out(z, best)
    return np.where(np.isinf(top), top, top + parts.loss * parts.unit)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^−z)."""
    small = np.exp(-np.abs(z))
    ratio: Array = np.where(z < 0.0, small, 1.0) / (1.0 + small)
    return ratio


def log_sigmoid(z: Array) -> Array:
    """Return log(1 / (1 + e^−z))."""
    return np.minimum(z, 0.0) - np.log1p(np.exp(-np.abs(z)))


def label_logits(z: Array, y: NDArray[np.intp], gradient: bool) -> LossAndSlope:
    """−log p_y."""
    parts = leave_one_out(z, y)
    if gradient:
        parts.p[np.arange(len(z)), y] = 0.0 - parts.miss
    return parts.loss, parts.p, parts.unit


def target_logits(z: Array, share: Array, gradient: bool) -> LossAndSlope:
    """Σ_k s_k (−log p_k), for the shares s_k of the target."""
    best = z.argmax(axis=1)
    parts = leave_one_out(z, best)
    gap = _gap(z, best) / parts.unit[:, None]
    loss = row_sums(weighted(share, _surprise(gap, parts.loss)))
    if not gradient:
        return loss, None, parts.unit
    # p_j Σ_k s_k − s_j, written without the difference of what is nearly equal for s one-hot.
    miss = 1.0 / parts.unit[:, None] - parts.p
    miss[np.arange(len(z)), best] = parts.miss
    most = np.arange(len(z)), share.argmax(axis=1)
    others = share.copy()
    others[most] = 0.0
    rest = row_sums(others)
    others = (rest + share[most])[:, None] - share
    others[most] = rest
    return loss, parts.p * others - share * miss, parts.unit


def one_hot(y: NDArray[np.intp], classes: int) -> Array:
    """Return a row for each label: 1 at the label, 0 elsewhere."""
    rows = np.zeros((len(y), classes))
    rows[np.arange(len(y)), y] = 1.0
    return rows


def label_probs(p: Array, y: NDArray[np.intp], gradient: bool) -> LossAndSlope:
    """−log p_y."""
    own = np.arange(len(p)), y
    slope = None
    if gradient:
        slope = np.zeros_like(p)
        slope[own] = -1.0 / p[own]
    return 0.0 - np.log(p[own]), slope, 1.0


def target_probs(p: Array, share: Array, gradient: bool) -> LossAndSlope:
    """Σ_k s_k (−log p_k), for the shares s_k of the target."""
    loss = row_sums(weighted(share, 0.0 - np.log(p)))
    return loss, 0.0 - weighted(share, 1.0 / p) if gradient else None, 1.0


def binary_logits(
    z: Array, positive: Array, negative: Array, gradient: bool, *, gamma: float
) -> LossAndSlope:
    """Σ of the two shares of the target times σ(∓z)^γ log(1 + e^∓z)."""
    lift = _lift(np.abs(z))
    unit = np.exp(-lift)
    small = np.exp(lift - np.abs(z))
    loss = np.zeros_like(z)
    slope = np.zeros_like(z)
    for share, x in ((positive, -z), (negative, z)):
        softplus = np.maximum(x, 0.0) / unit + np.log1p(small)
        focus = sigmoid_power(x, small, gamma) if gamma else 1.0
        loss += weighted(share, focus * softplus)
        if gradient:
            near = np.where(x < 0.0, small, 1.0 / unit)
            if gamma:
                near += gamma * weighted(np.where(x < 0.0, 1.0, small * unit), softplus)
            slope = weighted(share, focus * near / (1.0 + small)) - slope
    return loss[:, 0], slope, unit[:, 0]


def sigmoid_power(x: Array, small: Array, gamma: float) -> Array:
    """Return σ(x)^γ = e^(γ min(x, 0)) (1 + e^−|x|)^−γ, with γx and the sum repaired."""
    x = np.clip(x, -1e100, 0.0)
    exponent = gamma * x
    # Dekker's product: the error of a product is exact in halves of 26 bits.
    g, y = _head(np.float64(gamma)), _head(x)
    g_tail, y_tail = gamma - g, x - y
    error = ((g * y - exponent) + g * y_tail + g_tail * y) + g_tail * y_tail
    base = 1.0 + small
    error -= gamma * (small - (base - 1.0)) / base
    power: Array = np.exp(exponent) * np.power(base, -gamma) * (1.0 + error)
    return power


def _head(x: Any) -> Any:
    """Return the upper 26 bits of x."""
    big = 134217729.0 * x
    return big - (big - x)


def binary_probs(p: Array, positive: Array, negative: Array, gradient: bool) -> LossAndSlope:
    """Σ of the two shares of the target times −log p and −log(1 − p)."""
    loss = weighted(positive, 0.0 - np.log(p)) + weighted(negative, 0.0 - np.log1p(-p))
    if not gradient:
        return loss[:, 0], None, 1.0
    hard = weighted(negative, 1.0 / (1.0 - p)) - weighted(positive, 1.0 / p)
    # Near 1 the difference p − t is kept by the small complements.
    difference = np.where(np.minimum(p, positive) > 0.5, negative - (1.0 - p), p - positive)
    soft = difference / (p * (1.0 - p))
    return loss[:, 0], np.where((positive == 0.0) | (negative == 0.0), hard, soft), 1.0


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
    u = difference / (p + q)
    square = u * u
    fraction = np.full_like(u, 2.0 * DEPTH + 1.0)
    for n in range(DEPTH, 1, -1):
        fraction = (2.0 * n - 1.0) - n * n * square / fraction
    near = difference * (u + (1.0 + u) * square / (fraction - square))
    ratio = p / q
    log = np.where(ratio < np.inf, np.log(ratio), np.log(p) - np.log(q))
    far = np.where(p == 0.0, 0.0, p * log) - difference
    return np.where(np.abs(u) < 0.75, near, far)
