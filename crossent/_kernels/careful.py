"""Careful kernels: in `WIDE`, and right to the last digits for any input.

What they ask of a softmax comes from one primitive, `leave_one_out`: it splits a row into one class
and all the others, so that neither side is ever found by subtracting from 1.

The kernels of losses return of each row the loss, its gradient if that is wanted, and the unit that
both are in: 1, or what keeps them from being subnormal before they are weighted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._kernels._exact import column, difference, leave_one_out, lift, product, weighted
from crossent._spans import Array
from crossent._sums import row_sums

Answer = tuple[Array, Any, Any]


def softmax(z: Array) -> Array:
    """Return the probabilities of each row."""
    parts = leave_one_out(z, z.argmax(axis=1))
    p: Array = parts.p * column(parts.subnormal_unit)
    return p


def log_softmax(z: Array) -> Array:
    """Return the logarithms of the probabilities of each row."""
    best = z.argmax(axis=1)
    parts = leave_one_out(z, best)
    least = column(parts.loss * parts.subnormal_unit)
    return 0.0 - surprise(z, column(z[np.arange(len(z)), best]), least)


def logsumexp(z: Array) -> Array:
    """Return the logarithm of the sum of the exponentials of each row."""
    best = z.argmax(axis=1)
    top: Array = z[np.arange(len(z)), best]
    parts = leave_one_out(z, best)
    return np.where(np.isinf(top), top, top + parts.loss * parts.subnormal_unit)


def surprise(z: Array, top: Any, least: Any, unit: Any = 1.0) -> Array:
    """Return −log p of each class, a sum of two terms ≥ 0, from that of the best, in a unit."""
    gap = np.where(z == top, 0.0, top - z) / unit
    # An infinite gap needs no second term, which has no limit where two logits are +∞.
    return np.where(gap == np.inf, np.inf, gap + least)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^−z)."""
    small = np.exp(-np.abs(z))
    ratio: Array = np.where(z < 0.0, small, 1.0) / (1.0 + small)
    return ratio


def label_logits(z: Array, want_gradient: bool, y: NDArray[np.intp]) -> Answer:
    """−log p_y."""
    parts = leave_one_out(z, y)
    if want_gradient:
        parts.p[np.arange(len(z)), y] = 0.0 - parts.miss
    return parts.loss, parts.p, parts.subnormal_unit


def dense_logits(z: Array, want_gradient: bool, mass: Array) -> Answer:
    """Σ_k m_k (−log p_k), for the masses m_k of the classes."""
    best = z.argmax(axis=1)
    parts = leave_one_out(z, best)
    subnormal_unit = parts.subnormal_unit
    top = column(z[np.arange(len(z)), best])
    each = surprise(z, top, column(parts.loss), column(subnormal_unit))
    loss = row_sums(weighted(mass, each))
    if not want_gradient:
        return loss, None, subnormal_unit
    # p_j Σ_k m_k − m_j, written without the difference of what is nearly equal for m one-hot.
    miss = 1.0 / column(subnormal_unit) - parts.p
    miss[np.arange(len(z)), best] = parts.miss
    most = np.arange(len(z)), mass.argmax(axis=1)
    rest = mass.copy()
    rest[most] = 0.0
    without_most = row_sums(rest)
    whole = (without_most + mass[most])[:, None]
    others = whole - mass
    others[most] = without_most
    # A row without mass adds nothing, not even nan.
    gradient = np.where(whole == 0.0, 0.0, parts.p * others - mass * miss)
    return loss, gradient, subnormal_unit


def label_probs(p: Array, want_gradient: bool, y: NDArray[np.intp]) -> Answer:
    """−log p_y."""
    own = np.arange(len(p)), y
    gradient = None
    if want_gradient:
        gradient = np.zeros_like(p)
        gradient[own] = -1.0 / p[own]
    return 0.0 - np.log(p[own]), gradient, 1.0


def dense_probs(p: Array, want_gradient: bool, mass: Array) -> Answer:
    """Σ_k m_k (−log p_k), for the masses m_k of the classes."""
    loss = row_sums(weighted(mass, 0.0 - np.log(p)))
    return loss, 0.0 - quotients(mass, p) if want_gradient else None, 1.0


def quotients(mass: Array, p: Array) -> Any:
    """Return mass / p, 0 where the mass is 0."""
    return np.where(mass == 0.0, 0.0, mass / p)


def binary_logits(
    z: Array, want_gradient: bool, positive: Array, negative: Array, *, gamma: float
) -> Answer:
    """Σ of the masses of the two classes times σ(∓z)^γ log(1 + e^∓z)."""
    z = z[:, 0]
    size = np.abs(z)
    # What may be subnormal is lifted: e^−|z| or, where only its power is so small, that power.
    lifted = lift(size)
    power_lift = np.where(lifted == 0.0, lift((1.0 + gamma) * size), 0.0)
    large, small = np.exp(lifted), np.exp(lifted - size)

    def side(mass: Array, x: Array) -> tuple[Array, Any]:
        """Return the loss of one class, and its derivative with respect to x."""
        softplus = np.maximum(x, 0.0) * large + np.log1p(small)
        focus = sigmoid_power(x, small, gamma, gamma, power_lift) if gamma else 1.0
        loss = weighted(mass, focus * softplus)
        if not want_gradient:
            return loss, None
        slope = np.where(x < 0.0, small, large)
        if gamma:
            slope += gamma * weighted(np.where(x < 0.0, 1.0, small / large), softplus)
            slope *= sigmoid_power(x, small, gamma, gamma + 1.0, power_lift)
        else:
            slope /= 1.0 + small
        return loss, weighted(mass, slope)

    loss_1, slope_1 = side(positive, -z)
    loss_0, slope_0 = side(negative, z)
    gradient = (slope_0 - slope_1)[:, None] if want_gradient else None
    return loss_1 + loss_0, gradient, np.exp(-lifted - power_lift)


def sigmoid_power(x: Array, small: Array, gamma: float, power: float, lifted: Array) -> Array:
    """Return e^(lifted + γ min(x, 0)) (1 + e^−|x|)^−power: e^lifted σ(x)^γ for the power γ.

    The roundings of the exponent and of the base are repaired.
    """
    exponent, error = product(gamma, np.clip(x, -1e100, 0.0))
    exponent, rounding = difference(exponent, -lifted)
    base = 1.0 + small
    error += rounding - power * (small - (base - 1.0)) / base
    result: Array = np.exp(exponent) * np.power(base, -power) * (1.0 + error)
    return result


def binary_probs(p: Array, want_gradient: bool, positive: Array, negative: Array) -> Answer:
    """Σ of the masses of the two classes times −log p and −log(1 − p)."""
    p = p[:, 0]
    loss = weighted(positive, 0.0 - np.log(p)) + weighted(negative, 0.0 - np.log1p(-p))
    if not want_gradient:
        return loss, None, 1.0
    hard = quotients(negative, 1.0 - p) - quotients(positive, p)
    # Near 1 the difference p − t is kept by the small complements.
    distance = np.where(np.minimum(p, positive) > 0.5, negative - (1.0 - p), p - positive)
    soft = distance / (p * (1.0 - p))
    gradient = np.where((positive == 0.0) | (negative == 0.0), hard, soft)
    return loss, gradient[:, None], 1.0
