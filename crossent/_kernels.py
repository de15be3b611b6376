"""Kernels: what is computed of a span of rows, and of pairs of probabilities.

Careful kernels work in `WORK` and are right to the last digits for any input. What they ask of a
softmax comes from one primitive, `leave_one_out`: it splits a row into one class and all the
others, so that neither side is ever found by subtracting from 1.

Fast kernels take the shortest way that is accurate for moderate logits, and tell which rows it is
sure to be accurate for. A `Kernel` is both, and does the other rows again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._spans import LARGE, SPAN, WORK, Array, Span, row_sums, weighted

MODERATE = 300.0  # e^±300 and sums and ratios of such numbers neither overflow nor underflow
MODERATE_BINARY = {4: 80.0, 8: 600.0}  # for σ(z)^γ e^−z to be normal, by the size of a number
DEPTH = 25  # levels of the continued fraction in `_divergence`: full precision for |u| < 3/4


class Parts(NamedTuple):
    """One class y of each row against all the others, each in the row's unit."""

    loss: Array  # −log p_y
    miss: Array  # 1 − p_y, the sum of the other probabilities
    p: Array  # the probabilities of all classes
    unit: Array  # 1, or what keeps results from being subnormal before they are weighted


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


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Return a − b rounded, and what rounding took from it (Knuth's two-sum)."""
    s = a - b
    t = s - a
    error = (a - (s - t)) - (b + t)
    return s, np.where(np.isfinite(error), error, 0.0)


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


# (z, want_gradient, *targets) -> loss, gradient (an array if it is wanted), and the unit of both,
# of rows in `WORK`.
Careful = Callable[..., tuple[Array, Any, Any]]
# (span, *targets) -> loss, and which rows it is sure of, None for all; fills the slopes, scaled.
Fast = Callable[..., tuple[NDArray[Any], NDArray[np.bool_] | None]]


class Kernel(NamedTuple):
    """How a loss is computed: carefully, or fast and then carefully where that is not enough."""

    careful: Careful
    fast: Fast | None = None
    fast_from: int = LARGE  # predictions in the whole array; it is fast above this

    def is_fast(self, size: int) -> bool:
        """Tell whether arrays of so many predictions are computed fast."""
        return self.fast is not None and size > self.fast_from

    def __call__(self, span: Span, *targets: NDArray[Any]) -> NDArray[Any]:
        """Return the weighted losses of a span, and fill its slopes."""
        if self.fast is None or span.size <= self.fast_from:
            return self.carefully(span, *targets)
        loss, sure = self.fast(span, *targets)
        losses: NDArray[Any] = span.weight * loss
        if sure is not None and not sure.all():
            self.redo(np.flatnonzero(~sure), span, losses, *targets)
        return losses

    def carefully(self, span: Span, *targets: NDArray[Any]) -> Array:
        """Return the weighted losses of a span, and fill its slopes, carefully."""
        loss, slope, unit = self.careful(span.x.astype(WORK), span.slopes is not None, *targets)
        if span.slopes is not None:
            span.slopes[...] = weighted(np.reshape(span.scale * unit, (-1, 1)), slope)
        return np.asarray(weighted(span.weight * unit, loss))

    def redo(
        self, rows: NDArray[np.intp], span: Span, losses: NDArray[Any], *targets: NDArray[Any]
    ) -> None:
        """Do some rows of a span again, carefully."""
        step = max(1, SPAN // span.x.shape[1])
        for start in range(0, len(rows), step):
            which = rows[start : start + step]
            part = span.rows(which)
            losses[which] = self.carefully(part, *(target[which] for target in targets))
            if span.slopes is not None:
                span.slopes[which] = part.slopes


def careful_label_logits(z: Array, gradient: bool, y: NDArray[np.intp]) -> tuple[Array, Any, Any]:
    """−log p_y."""
    parts = leave_one_out(z, y)
    if gradient:
        parts.p[np.arange(len(z)), y] = 0.0 - parts.miss
    return parts.loss, parts.p, parts.unit


def fast_label_logits(span: Span, y: NDArray[np.intp]) -> tuple[Array, NDArray[np.bool_]]:
    """−log p_y = log(1 + Σ_{j≠y} e^{z_j} / e^{z_y}), without a shift and with one exp a logit."""
    x, slopes = span.x, span.slopes
    rows, classes = x.shape
    own = np.arange(0, x.size, classes) + y
    one = np.exp(x.reshape(-1)[own], dtype=WORK)
    others, factor = np.empty(rows), np.empty(rows)
    for tile, part in span.tiles():
        e = exponentials(part, span.scratch)
        mine = own[tile] - tile.start * classes
        e.reshape(-1)[mine] = 0.0
        others[tile] = block_sums(e, large=span.size > LARGE)
        if slopes is not None:
            scale = span.scale_of(tile)
            at_label = -others[tile]
            np.copyto(at_label, 0.0, where=np.equal(scale, 0.0))  # rather than −0
            e.reshape(-1)[mine] = at_label.astype(e.dtype)
            np.divide(scale, others[tile] + one[tile], out=factor[tile])
            np.multiply(e, factor[tile].astype(e.dtype)[:, None], out=slopes[tile])
    sure = moderate(others, one, span.scratch.dtype)
    if slopes is not None:
        sure &= liftless(factor, span.scale, span.scratch.dtype)
    return np.log1p(others / one), sure


def moderate(others: Array, one: Array, dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Tell which rows the sums of exponentials are accurate for."""
    floor, ceiling = WINDOW[dtype.itemsize]
    return (np.minimum(others, one) >= floor) & (others + one <= ceiling)


def liftless(factor: Array, scale: Any, dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Tell which factors neither underflow nor lift an e^z out of the subnormals."""
    fits: NDArray[np.bool_] = (factor >= np.finfo(dtype).tiny) | np.equal(scale, 0.0)
    return fits & (factor <= 2.0)


# The logits of a row are moderate while the sums of their exponentials stay in this window, by the
# size of a number: neither they nor their quotients then lose digits to overflow or underflow.
WINDOW = {4: (2.0**-80, 2.0**120), 8: (2.0**-500, 2.0**500)}
LOG2_E = np.float32(1.4426950408889634)


def exponentials(x: NDArray[Any], scratch: NDArray[Any]) -> NDArray[Any]:
    """Return the exponentials, in the scratch."""
    e = scratch[: x.size].reshape(x.shape)
    if e.dtype == np.float64:
        np.exp(x, out=e, dtype=np.float64)
        return e
    # In float32, where exp2 takes half the time of exp: the product is rounded, which is as much
    # as if x were.
    np.multiply(x, LOG2_E, out=e, dtype=np.float32)
    np.exp2(e, out=e)
    return e


def block_sums(x: NDArray[Any], *, large: bool) -> NDArray[Any]:
    """Return the sums of the rows of ``x`` ≥ 0: where there is much to sum, in blocks of blocks.

    A block adds up with a rounding for every eighth (float64) or sixteenth (float32) of its terms.
    """
    if not large:
        return row_sums(x)
    block = 512 if x.itemsize == 4 else 32
    rows, classes = x.shape
    whole = classes - classes % block
    if whole == 0:
        return np.asarray(np.einsum("ij->i", x))
    blocks = np.einsum("ijk->ij", x[:, :whole].reshape(rows, -1, block))
    sums = block_sums(blocks.astype(WORK, copy=False), large=True)
    if whole < classes:
        sums += np.einsum("ij->i", x[:, whole:])
    return sums


def target_logits(z: Array, gradient: bool, share: Array) -> tuple[Array, Any, Any]:
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
    whole = (rest + share[most])[:, None]
    others = whole - share
    others[most] = rest
    # A row without a share adds nothing, not even nan.
    slope = np.where(whole == 0.0, 0.0, parts.p * others - share * miss)
    return loss, slope, parts.unit


def one_hot(y: NDArray[np.intp], classes: int) -> Array:
    """Return a row for each label: 1 at the label, 0 elsewhere."""
    rows = np.zeros((len(y), classes))
    rows[np.arange(len(y)), y] = 1.0
    return rows


def label_probs(p: Array, gradient: bool, y: NDArray[np.intp]) -> tuple[Array, Any, Any]:
    """−log p_y."""
    own = np.arange(len(p)), y
    slope = None
    if gradient:
        slope = np.zeros_like(p)
        slope[own] = -1.0 / p[own]
    return 0.0 - np.log(p[own]), slope, 1.0


def target_probs(p: Array, gradient: bool, share: Array) -> tuple[Array, Any, Any]:
    """Σ_k s_k (−log p_k), for the shares s_k of the target."""
    loss = row_sums(weighted(share, 0.0 - np.log(p)))
    return loss, 0.0 - weighted(share, 1.0 / p) if gradient else None, 1.0


def careful_binary_logits(
    z: Array, gradient: bool, positive: Array, negative: Array, *, gamma: float
) -> tuple[Array, Any, Any]:
    """Σ of the two shares of the target times σ(∓z)^γ log(1 + e^∓z)."""
    z = z[:, 0]
    size = np.abs(z)
    # What may be subnormal is lifted: e^−|z| or, where only its power is so small, that power.
    lift = _lift(size)
    power_lift = np.where(lift == 0.0, _lift((1.0 + gamma) * size), 0.0)
    lifted = np.exp(lift)
    small = np.exp(lift - size)
    loss = np.zeros_like(z)
    slope = np.zeros_like(z)
    for share, x in ((positive, -z), (negative, z)):
        softplus = np.maximum(x, 0.0) * lifted + np.log1p(small)
        focus = sigmoid_power(x, small, gamma, gamma, power_lift) if gamma else 1.0
        loss += weighted(share, focus * softplus)
        if gradient:
            near = np.where(x < 0.0, small, lifted)
            if gamma:
                near += gamma * weighted(np.where(x < 0.0, 1.0, small / lifted), softplus)
                near *= sigmoid_power(x, small, gamma, gamma + 1.0, power_lift)
            else:
                near /= 1.0 + small
            slope = weighted(share, near) - slope
    return loss, slope[:, None], np.exp(-lift - power_lift)


def sigmoid_power(x: Array, small: Array, gamma: float, power: float, lift: Array) -> Array:
    """Return e^(lift + γ min(x, 0)) (1 + e^−|x|)^−power: e^lift σ(x)^γ for the power γ.

    The roundings of the exponent and of the base are repaired.
    """
    x = np.clip(x, -1e100, 0.0)
    exponent = gamma * x
    # Dekker's product: the error of a product is exact in halves of 26 bits.
    g, y = _head(np.float64(gamma)), _head(x)
    g_tail, y_tail = gamma - g, x - y
    error = ((g * y - exponent) + g * y_tail + g_tail * y) + g_tail * y_tail
    exponent, rounding = _difference(exponent, -lift)
    base = 1.0 + small
    error += rounding - power * (small - (base - 1.0)) / base
    result: Array = np.exp(exponent) * np.power(base, -power) * (1.0 + error)
    return result


def fast_binary_logits(
    span: Span, positive: Any, negative: Any, *, gamma: float
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Σ of the two shares of the target times σ(∓z)^γ log(1 + e^∓z), with one exp a logit."""
    z = span.x[:, 0].astype(span.scratch.dtype, copy=False)
    odds = np.exp(z)
    if_0, if_1 = np.log1p(odds), np.log1p(1.0 / odds)  # the losses, −log(1 − p) and −log p
    share_0, share_1 = negative, positive
    if gamma:
        p, miss = odds / (1.0 + odds), 1.0 / (1.0 + odds)
        # What float32 leaves of γ is made up for: p^δ = 1 + δ log p.
        rest = gamma - float(z.dtype.type(gamma))
        share_0 = share_0 * p**gamma * (1.0 - rest * if_1)
        share_1 = share_1 * miss**gamma * (1.0 - rest * if_0)
    terms = share_0 * if_0, share_1 * if_1
    if span.slopes is not None:
        slope = (share_0 * odds - share_1) / (1.0 + odds)
        if gamma:
            slope += gamma * (miss * terms[0] - p * terms[1])
        # In an array, a scale too large or small for float32 stays one of float64.
        scale = np.asarray(span.scale)
        if np.ndim(span.scale) == 0 and 1e-12 < span.scale < 1e12:
            scale = scale.astype(z.dtype)
        np.multiply(slope, scale, out=span.slopes[:, 0])
    limit = MODERATE_BINARY[z.itemsize] / (1.0 + gamma) - np.log(2.0)
    if z.min() >= -limit and z.max() <= limit:
        return terms[0] + terms[1], None  # a mask would take a tenth of the time
    return terms[0] + terms[1], np.abs(z) <= limit


def _head(x: Any) -> Any:
    """Return the upper 26 bits of x."""
    big = 134217729.0 * x
    return big - (big - x)


def binary_probs(
    p: Array, gradient: bool, positive: Array, negative: Array
) -> tuple[Array, Any, Any]:
    """Σ of the two shares of the target times −log p and −log(1 − p)."""
    p = p[:, 0]
    loss = weighted(positive, 0.0 - np.log(p)) + weighted(negative, 0.0 - np.log1p(-p))
    if not gradient:
        return loss, None, 1.0
    hard = weighted(negative, 1.0 / (1.0 - p)) - weighted(positive, 1.0 / p)
    # Near 1 the difference p − t is kept by the small complements.
    difference = np.where(np.minimum(p, positive) > 0.5, negative - (1.0 - p), p - positive)
    soft = difference / (p * (1.0 - p))
    slope = np.where((positive == 0.0) | (negative == 0.0), hard, soft)
    return loss, slope[:, None], 1.0


LABEL_LOGITS = Kernel(careful_label_logits, fast_label_logits, fast_from=0)
LABEL_PROBS = Kernel(label_probs)
TARGET_LOGITS = Kernel(target_logits)
TARGET_PROBS = Kernel(target_probs)
BINARY_PROBS = Kernel(binary_probs)


def binary_logits(gamma: float) -> Kernel:
    """Return the kernel of a binary loss that is focused by γ."""
    return Kernel(
        partial(careful_binary_logits, gamma=gamma), partial(fast_binary_logits, gamma=gamma)
    )


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
