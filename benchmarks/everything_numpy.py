"""The textbook's lines of NumPy, which a user would write instead of each function of crossent.

Classes are on axis 1. A loss returns its value, or with ``gradient`` value and gradient.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Line = Callable[..., Any]


def _softmax(z: Array) -> Array:
    p: Array = z - z.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def _log_softmax(z: Array) -> Array:
    log_p: Array = z - z.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    return log_p


def _logsumexp(z: Array) -> Any:
    top = z.max(axis=1, keepdims=True)
    return np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]


def _sigmoid(z: Array) -> Any:
    return 1 / (1 + np.exp(-z))


def _log_sigmoid(z: Array) -> Any:
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


def _entropy(p: Array) -> Any:
    return -(p * np.log(p)).sum(axis=1)


def _cross_entropy(p: Array, q: Array) -> Any:
    return -(p * np.log(q)).sum(axis=1)


def _kl_divergence(p: Array, q: Array) -> Any:
    return (p * np.log(p / q)).sum(axis=1)


def _js_divergence(p: Array, q: Array) -> Any:
    m = (p + q) / 2
    return (_kl_divergence(p, m) + _kl_divergence(q, m)) / 2


def _entropy_with_logits(z: Array) -> Any:
    log_p = _log_softmax(z)
    return -(np.exp(log_p) * log_p).sum(axis=1)


def _kl_divergence_with_logits(p_logits: Array, q_logits: Array, *, gradient: bool = False) -> Any:
    log_p, log_q = _log_softmax(p_logits), _log_softmax(q_logits)
    p = np.exp(log_p)
    value = (p * (log_p - log_q)).sum(axis=1)
    return (value, np.exp(log_q) - p) if gradient else value


def _perplexity(
    z: Array, y: Array, *, sample_weight: Array | None = None, ignore_index: int | None = None
) -> Any:
    loss = _label_logits(z, y, sample_weight=sample_weight, ignore_index=ignore_index)
    return np.exp(loss if sample_weight is None else loss / sample_weight.mean())


def _at(y: Array) -> tuple[Array, ...]:
    """Index of the entries of the labels."""
    if y.ndim == 1:
        return np.arange(len(y)), y
    row, *others = np.ix_(*map(np.arange, y.shape))
    return (row, y, *others)


def _along(w: Array, x: Array) -> Array:
    """Return class weights in a shape that broadcasts."""
    return w.reshape(-1, *[1] * (x.ndim - 2))


def _dot(x: Array, w: Array) -> Array:
    return x @ w if x.ndim == 2 else np.einsum("nc...,c->n...", x, w)


def _reduced(loss: Array, reduction: str) -> Any:
    return loss if reduction == "none" else loss.mean()


def _weights(
    y: Array,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[Array, Array | None, int]:
    """Return labels that are classes, the weight of each if there are any, and how many count."""
    weights, count = [], y.size
    if ignore_index is not None:
        kept = y != ignore_index
        weights.append(kept)
        y, count = np.where(kept, y, 0), int(np.count_nonzero(kept))
    if class_weight is not None:
        weights.append(class_weight[y])
    if sample_weight is not None:
        weights.append(sample_weight)
    return y, reduce(np.multiply, weights) if weights else None, count


def _label_logits(
    z: Array,
    y: Array,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
    **weights: Any,
) -> Any:
    if label_smoothing:
        return _smoothed_logits(z, y, label_smoothing, gradient=gradient, **weights)
    y, weight, count = _weights(y, **weights)
    place = _at(y)
    exps = z - z.max(axis=1, keepdims=True)
    own = exps[place]
    np.exp(exps, out=exps)
    sums = exps.sum(axis=1)
    loss = np.log(sums) - own
    if weight is not None:
        loss *= weight
    value = loss if reduction == "none" else loss.mean() * (loss.size / count)
    if not gradient:
        return value
    exps /= sums[:, None]
    exps[place] -= 1
    if weight is not None:
        exps *= weight[:, None]
    if reduction == "mean":
        exps *= 1 / count
    return value, exps


def _smoothed_logits(
    z: Array,
    y: Array,
    epsilon: float,
    *,
    class_weight: Array | None = None,
    gradient: bool = False,
) -> Any:
    place = _at(y)
    exps = z - z.max(axis=1, keepdims=True)
    own = exps[place]
    mass: Any = 1 - epsilon
    soft: Any = epsilon / z.shape[1]
    if class_weight is None:
        mean, whole = exps.mean(axis=1), 1.0
    else:
        shares = class_weight / z.shape[1]
        mean, whole = _dot(exps, shares), class_weight.mean()
        mass, soft = mass * class_weight[y], epsilon * _along(shares, z)
    np.exp(exps, out=exps)
    sums = exps.sum(axis=1)
    logs = np.log(sums)
    loss = mass * (logs - own) + epsilon * (whole * logs - mean)
    value = loss.mean()
    if not gradient:
        return value
    exps /= sums[:, None]
    if class_weight is not None:
        exps *= (mass + epsilon * whole)[:, None]
    exps -= soft
    exps[place] -= mass
    exps *= 1 / loss.size
    return value, exps


def _dense_logits(
    z: Array,
    t: Array,
    *,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
) -> Any:
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / z.shape[1]
    if class_weight is not None:
        t = t * _along(class_weight, z)
    log_p = z - z.max(axis=1, keepdims=True)
    exps = np.exp(log_p)
    sums = exps.sum(axis=1, keepdims=True)
    log_p -= np.log(sums)
    loss = -(t * log_p).sum(axis=1)
    if sample_weight is not None:
        loss *= sample_weight
    value = _reduced(loss, reduction)
    if not gradient:
        return value
    exps /= sums
    if class_weight is not None:
        exps *= t.sum(axis=1, keepdims=True)
    exps -= t
    if sample_weight is not None:
        exps *= sample_weight[:, None]
    if reduction == "mean":
        exps *= 1 / loss.size
    return value, exps


def _label_probs(
    p: Array,
    y: Array,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
    **weights: Any,
) -> Any:
    if label_smoothing:
        return _smoothed_probs(p, y, label_smoothing, gradient=gradient, **weights)
    y, weight, count = _weights(y, **weights)
    place = _at(y)
    own = p[place]
    loss = -np.log(own)
    if weight is not None:
        loss *= weight
    value = loss if reduction == "none" else loss.mean() * (loss.size / count)
    if not gradient:
        return value
    slope = -1 / own
    if weight is not None:
        slope *= weight
    if reduction == "mean":
        slope *= 1 / count
    result = np.zeros_like(p)
    result[place] = slope
    return value, result


def _smoothed_probs(
    p: Array,
    y: Array,
    epsilon: float,
    *,
    class_weight: Array | None = None,
    gradient: bool = False,
) -> Any:
    place = _at(y)
    logs = np.log(p)
    mass: Any = 1 - epsilon
    if class_weight is None:
        mean = logs.mean(axis=1)
    else:
        shares = class_weight / p.shape[1]
        mean, mass = _dot(logs, shares), mass * class_weight[y]
    loss = -mass * logs[place] - epsilon * mean
    value = loss.mean()
    if not gradient:
        return value
    result = -epsilon / p.shape[1] / p
    if class_weight is not None:
        result *= _along(class_weight, p)
    result[place] -= mass / p[place]
    result *= 1 / loss.size
    return value, result


def _dense_probs(
    p: Array,
    t: Array,
    *,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
) -> Any:
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / p.shape[1]
    if class_weight is not None:
        t = t * _along(class_weight, p)
    loss = -(t * np.log(p)).sum(axis=1)
    if sample_weight is not None:
        loss *= sample_weight
    value = _reduced(loss, reduction)
    if not gradient:
        return value
    slope = t / p
    if sample_weight is not None:
        slope *= sample_weight[:, None]
    slope *= -1 if reduction == "none" else -1 / loss.size
    return value, slope


def _binary_logits(
    z: Array,
    t: Array,
    *,
    pos_weight: float = 1.0,
    sample_weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
) -> Any:
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / 2
    exps = np.exp(-np.abs(z))
    if pos_weight == 1:
        loss = np.maximum(z, 0) - z * t + np.log1p(exps)
    else:
        loss = (1 - t) * z + (1 + (pos_weight - 1) * t) * (np.log1p(exps) + np.maximum(-z, 0))
    if sample_weight is not None:
        loss *= sample_weight
    value = _reduced(loss, reduction)
    if not gradient:
        return value
    slope = np.where(z >= 0, 1, exps) / (1 + exps)
    if pos_weight == 1:
        slope -= t
    else:
        slope *= 1 + (pos_weight - 1) * t
        slope -= pos_weight * t
    if sample_weight is not None:
        slope *= sample_weight
    if reduction == "mean":
        slope *= 1 / loss.size
    return value, slope


def _binary_probs(
    p: Array,
    t: Array,
    *,
    sample_weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    gradient: bool = False,
) -> Any:
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / 2
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    if sample_weight is not None:
        loss *= sample_weight
    value = _reduced(loss, reduction)
    if not gradient:
        return value
    slope = (p - t) / (p * (1 - p))
    if sample_weight is not None:
        slope *= sample_weight
    if reduction == "mean":
        slope *= 1 / loss.size
    return value, slope


def _focal_logits(
    z: Array,
    t: Array,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    gradient: bool = False,
) -> Any:
    sign = 2 * t - 1
    margin = sign * z
    exps = np.exp(-np.abs(margin))
    log_p = np.minimum(margin, 0) - np.log1p(exps)
    p = np.exp(log_p)
    factor = (1 - p) ** gamma
    if alpha is not None:
        factor *= alpha * t + (1 - alpha) * (1 - t)
    if sample_weight is not None:
        factor *= sample_weight
    value = _reduced(-factor * log_p, reduction)
    if not gradient:
        return value
    slope = sign * factor * (gamma * p * log_p + p - 1)
    if reduction == "mean":
        slope *= 1 / z.size
    return value, slope


def _linear(
    hidden: Array,
    weight: Array,
    y: Array,
    *,
    gradient: bool = False,
    bias: Array | None = None,
    **options: Any,
) -> Any:
    z = hidden @ weight.T
    if bias is not None:
        z += bias
    if not gradient:
        return _label_logits(z, y, **options)
    value, slope = _label_logits(z, y, gradient=True, **options)
    slopes = (slope @ weight, slope.T @ hidden)
    return value, slopes if bias is None else (*slopes, slope.sum(axis=0))


NUMPY: dict[str, Line] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "sigmoid": _sigmoid,
    "log_sigmoid": _log_sigmoid,
    "entropy": _entropy,
    "cross_entropy": _cross_entropy,
    "kl_divergence": _kl_divergence,
    "js_divergence": _js_divergence,
    "entropy_with_logits": _entropy_with_logits,
    "kl_divergence_with_logits": _kl_divergence_with_logits,
    "perplexity": _perplexity,
    "sparse_categorical_cross_entropy_with_logits": _label_logits,
    "categorical_cross_entropy_with_logits": _dense_logits,
    "sparse_categorical_cross_entropy": _label_probs,
    "categorical_cross_entropy": _dense_probs,
    "binary_cross_entropy_with_logits": _binary_logits,
    "binary_cross_entropy": _binary_probs,
    "binary_focal_loss_with_logits": _focal_logits,
    "linear_cross_entropy": _linear,
}
