"""Fast kernels of losses of probabilities: see `fast`."""

from typing import Any

import numpy as np

from crossent._kernels._exact import column
from crossent._kernels.fast import Answer, fits_float32
from crossent._kernels.information import add_up, cast, fitting
from crossent._kernels.masses import Masses
from crossent._spans import Span
from crossent._sums import row_sums

NORMAL = {4: float(np.finfo(np.float32).tiny), 8: float(np.finfo(np.float64).tiny)}
LIGHT = 1e-30  # weights below this are for float64


def label_probs(span: Span, y: Any) -> Answer:
    """−log p_y."""
    own = np.arange(len(y)), y
    p = span.x[own].astype(span.dtype, copy=False)
    if span.gradient is not None:
        span.gradient[...] = 0.0
        span.gradient[own] = 0.0 - span.scale / p
    loss = 0.0 - np.log(p)
    return loss, None if p.min() >= NORMAL[p.itemsize] else p >= NORMAL[p.itemsize]


def dense_probs(span: Span, masses: Masses) -> Answer:
    """Σ_k m_k (−log p_k), for the masses m_k of the classes."""
    count, classes = span.x.shape
    step = min(classes, span.scratch.shape[1])
    loss, sure = np.zeros(count), np.full(count, fits(masses, span.dtype.itemsize))
    for start in range(0, classes, step):
        some = slice(start, start + step)
        p = cast(span.x[:, some], span.scratch[1])
        terms, soft = fitting(span.scratch[0], p), masses.soft(some, span.dtype)
        if not p.min() >= NORMAL[p.itemsize]:  # 1 + p instead, for what has no mass
            small = ~(p >= NORMAL[p.itemsize])
            sure &= ~(small & (soft > 0.0)).any(axis=1)
            p = np.add(p, small, out=fitting(span.scratch[1], p))
        if span.gradient is not None:
            slopes = fitting(span.scratch[0], p)
            np.divide(soft, p, out=slopes)
            slopes *= column(span.scale)
            np.subtract(0.0, slopes, out=span.gradient[:, some])
        np.log(p, out=terms)
        np.negative(terms, out=terms)
        is_number = not isinstance(soft, np.ndarray)
        if not is_number:
            terms *= soft
        sums = add_up(terms) if span.is_large else row_sums(terms)
        loss += soft * sums if is_number else sums
    if masses.labels is not None:
        own = np.arange(count), masses.labels
        hard = masses.hard()
        p_own = span.x[own].astype(span.dtype, copy=False)
        sure &= (p_own >= NORMAL[p_own.itemsize]) | np.equal(hard, 0.0)
        loss -= hard * np.log(p_own)
        if span.gradient is not None:
            span.gradient[own] -= span.scale * hard / p_own
    # What is nan where there is no mass is no loss.
    sure &= loss < np.inf
    return loss, sure


def fits(masses: Masses, size: int) -> bool:
    """Tell whether weights keep their digits in numbers of a size."""
    w = masses.weight
    return w is None or size == 8 or not ((w > 0.0) & (w < LIGHT)).any()


def binary_probs(span: Span, positive: Any, negative: Any) -> Answer:
    """Σ of the masses of the two classes times −log p and −log(1 − p)."""
    p = span.x[:, 0].astype(span.dtype, copy=False)
    miss = 1.0 - p
    rest = (1.0 - miss) - p  # what rounding took from it
    way = soft_probs if (positive * negative).any() else hard_probs
    loss, slope, sure = way(p, miss, rest, positive, negative, span.gradient is not None)
    if span.gradient is not None:
        # In an array, a scale that float32 does not hold stays one of float64.
        scale = np.asarray(span.scale, p.dtype if fits_float32(span.scale) else None)
        np.multiply(slope, scale, out=span.gradient[:, 0])
        if scale.ndim:  # where nothing is weighted the gradient is 0, not −0
            span.gradient[...] += 0.0
    return loss, sure


def hard_probs(
    p: Any, miss: Any, rest: Any, positive: Any, negative: Any, want_gradient: bool
) -> tuple[Any, Any, Any]:
    """Return −log of the probability of the class that is meant, its slope, and if it is sure."""
    own = p * positive
    own += miss * negative
    slope = (negative - positive) / own if want_gradient else None
    rest *= negative
    rest /= own
    loss = np.log(own)
    loss += rest
    tiny = NORMAL[p.itemsize]
    return 0.0 - loss, slope, None if own.min() >= tiny else own >= tiny


def soft_probs(
    p: Any, miss: Any, rest: Any, positive: Any, negative: Any, want_gradient: bool
) -> tuple[Any, Any, Any]:
    """Return the same of targets that may be between the classes."""
    sure, slope, tiny = None, None, NORMAL[p.itemsize]
    if not (p.min() >= tiny and miss.min() >= tiny):  # nor is nan
        sure = ((p >= tiny) | (positive == 0.0)) & ((miss >= tiny) | (negative == 0.0))
        p, miss = np.maximum(p, tiny), np.maximum(miss, tiny)
    if want_gradient:
        # p − t, near 1 kept by the small complements: see `careful`
        slope = np.where(np.minimum(p, positive) > 0.5, negative - miss, p - positive)
        slope /= p * miss
    rest /= miss
    rest += np.log(miss)
    rest *= negative
    loss = np.log(p)
    loss *= positive
    loss += rest
    return 0.0 - loss, slope, sure
