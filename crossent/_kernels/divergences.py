"""The terms of entropies and divergences, for pairs of probabilities."""

import numpy as np

from crossent._spans import Array

DEPTH = 25  # levels of the continued fraction in `_divergence`: full precision for |u| < 3/4


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
