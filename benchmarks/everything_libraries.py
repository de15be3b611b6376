"""Functions of torch and SciPy, or what their users write, for each function of crossent.

Classes are on axis 1; torch's gradients come from autograd.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import distance
from torch.nn import functional

Array = NDArray[Any]
Line = Callable[..., Any]


# --- SciPy -------------------------------------------------------------------------------------


def _label_log_softmax(z: Array, y: Array) -> Any:
    log_p = special.log_softmax(z, axis=1)
    return -np.take_along_axis(log_p, y[:, None], axis=1).mean()


SCIPY: dict[str, Line] = {
    "softmax": lambda z: special.softmax(z, axis=1),
    "log_softmax": lambda z: special.log_softmax(z, axis=1),
    "logsumexp": lambda z: special.logsumexp(z, axis=1),
    "sigmoid": special.expit,
    "log_sigmoid": special.log_expit,
    "entropy": lambda p: special.entr(p).sum(axis=1),
    "cross_entropy": lambda p, q: -special.xlogy(p, q).sum(axis=1),
    "kl_divergence": lambda p, q: special.kl_div(p, q).sum(axis=1),
    "js_divergence": lambda p, q: distance.jensenshannon(p, q, axis=1) ** 2,
    "sparse_categorical_cross_entropy_with_logits": _label_log_softmax,
}


# --- torch -------------------------------------------------------------------------------------


def tensor(given: Any) -> Any:
    """Return an array as a tensor on the same memory, and what is no array as it is."""
    return torch.from_numpy(given) if isinstance(given, np.ndarray) else given


def autograd(line: Callable[[], Any], leaves: Sequence[Any]) -> tuple[Any, Any]:
    """Return a value and the gradients of its sum."""
    for leaf in leaves:
        leaf.requires_grad_()
    value = line()
    return value, torch.autograd.grad(value.sum(), leaves)


def _reduced(loss: Any, sample_weight: Any, reduction: str) -> Any:
    loss = loss if sample_weight is None else loss * sample_weight
    return loss if reduction == "none" else loss.mean()


def _logits(
    z: Any,
    target: Any,
    *,
    class_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    # Its "mean" divides by the class weights.
    plain = class_weight is None and sample_weight is None
    loss = functional.cross_entropy(
        z,
        target,
        weight=class_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction if plain else "none",
    )
    return loss if plain else _reduced(loss, sample_weight, reduction)


def _perplexity(z: Any, y: Any, *, sample_weight: Any = None, ignore_index: int = -100) -> Any:
    loss = _logits(z, y, sample_weight=sample_weight, ignore_index=ignore_index)
    return (loss if sample_weight is None else loss / sample_weight.mean()).exp()


def _label_probs(
    p: Any,
    y: Any,
    *,
    class_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    kept = None if ignore_index is None else y != ignore_index
    y = y if kept is None else torch.where(kept, y, 0)
    loss = (label_smoothing - 1) * p.gather(1, y[:, None])[:, 0].log()
    if class_weight is not None:
        loss = loss * class_weight[y]
    if label_smoothing:
        logs = p.log()
        if class_weight is not None:
            logs = logs * class_weight.reshape(-1, *[1] * (p.ndim - 2))
        loss = loss - label_smoothing * logs.mean(1)
    return _reduced(loss if kept is None else loss[kept], sample_weight, reduction)


def _dense_probs(
    p: Any,
    t: Any,
    *,
    class_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / p.shape[1]
    if class_weight is not None:
        t = t * class_weight.reshape(-1, *[1] * (p.ndim - 2))
    return _reduced(-(t * p.log()).sum(1), sample_weight, reduction)


def _smoothed(t: Any, label_smoothing: float) -> Any:
    return (1 - label_smoothing) * t + label_smoothing / 2 if label_smoothing else t


def _binary_logits(
    z: Any,
    t: Any,
    *,
    pos_weight: float | None = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    return functional.binary_cross_entropy_with_logits(
        z,
        _smoothed(t, label_smoothing),
        weight=sample_weight,
        pos_weight=None if pos_weight is None else torch.tensor(pos_weight, dtype=z.dtype),
        reduction=reduction,
    )


def _binary_probs(
    p: Any,
    t: Any,
    *,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    t = _smoothed(t, label_smoothing)
    return functional.binary_cross_entropy(p, t, weight=sample_weight, reduction=reduction)


def _focal(
    z: Any,
    t: Any,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    sample_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    plain = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    p = torch.sigmoid(z)
    loss = plain * (p + t - 2 * p * t) ** gamma
    if alpha is not None:
        loss = loss * (alpha * t + (1 - alpha) * (1 - t))
    return _reduced(loss, sample_weight, reduction)


def _kl(p: Any, q: Any) -> Any:
    return (p * (p / q).log()).sum(1)


def _js(p: Any, q: Any) -> Any:
    m = (p + q) / 2
    return (_kl(p, m) + _kl(q, m)) / 2


def _entropy_with_logits(z: Any) -> Any:
    log_p = torch.log_softmax(z, 1)
    return -(log_p.exp() * log_p).sum(1)


def _kl_with_logits(p: Any, q: Any) -> Any:
    log_p, log_q = torch.log_softmax(p, 1), torch.log_softmax(q, 1)
    return functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(1)


def _linear(hidden: Any, weight: Any, y: Any, *, bias: Any = None, **options: Any) -> Any:
    return _logits(functional.linear(hidden, weight, bias), y, **options)


TORCH: dict[str, Line] = {
    "softmax": lambda z: torch.softmax(z, 1),
    "log_softmax": lambda z: torch.log_softmax(z, 1),
    "logsumexp": lambda z: torch.logsumexp(z, 1),
    "sigmoid": torch.sigmoid,
    "log_sigmoid": functional.logsigmoid,
    "entropy": lambda p: torch.special.entr(p).sum(1),
    "cross_entropy": lambda p, q: -torch.xlogy(p, q).sum(1),
    "kl_divergence": _kl,
    "js_divergence": _js,
    "entropy_with_logits": _entropy_with_logits,
    "kl_divergence_with_logits": _kl_with_logits,
    "perplexity": _perplexity,
    "sparse_categorical_cross_entropy_with_logits": _logits,
    "categorical_cross_entropy_with_logits": _logits,
    "sparse_categorical_cross_entropy": _label_probs,
    "categorical_cross_entropy": _dense_probs,
    "binary_cross_entropy_with_logits": _binary_logits,
    "binary_cross_entropy": _binary_probs,
    "binary_focal_loss_with_logits": _focal,
    "linear_cross_entropy": _linear,
}


def compiled(function: str) -> Line:
    """Return a function of torch to be compiled for the next shape."""
    torch.compiler.reset()
    line: Line = torch.compile(TORCH[function], fullgraph=True, dynamic=False)
    return line
