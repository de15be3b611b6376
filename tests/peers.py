"""The peers, asked in our convention: a helper for each library.

A helper knows which of our functions a peer has, with which options, and what its mean divides by.
It gives the value, and the gradient where the peer differentiates, always through the peer's own
public call; every difference in convention is mapped here and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
import optax
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics
import sklearn.utils.extmath
import tensorflow as tf
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss

Array = NDArray[Any]
Call = Callable[..., Any]
Answer = tuple[Array, Array | None]  # value, gradient

WEIGHTS = {
    "class_weight",
    "sample_weight",
    "pos_weight",
    "alpha",
}  # with these, the two means differ


class Entry(NamedTuple):
    """How a peer computes one of our functions."""

    call: Call
    options: frozenset[str]
    reductions: frozenset[str]  # of ours, when there are weights
    slope: bool  # whether its gradient is of the same function
    soft: bool  # whether it takes soft targets where we do


@dataclass(frozen=True)
class Peer:
    """A library that can be asked for the value and the gradient of our functions.

    Calls get arrays with the class axis last, and `reduction` in our words.
    """

    name: str
    run: Callable[[Call, tuple[Array, ...], dict[str, Any]], Answer]
    batched: bool = False  # its losses need a batch axis
    entries: dict[str, Entry] = field(default_factory=dict)

    def offers(
        self,
        function: str,
        *options: str,
        reductions: str = "",
        slope: bool = True,
        soft: bool = True,
    ) -> Callable[[Call], Call]:
        """Register how the peer computes a function: its options, its reductions under weights."""

        def register(call: Call) -> Call:
            known = frozenset(options), frozenset(reductions.split())
            self.entries[function] = Entry(call, *known, slope, soft)
            return call

        return register

    def has(self, function: str, options: dict[str, Any]) -> bool:
        """Whether the peer knows the function with all these options."""
        entry = self.entries.get(function)
        if entry is None or not options.keys() - {"reduction", "axis"} <= entry.options:
            return False
        reduction = options.get("reduction")
        if reduction in {"mean", "weighted_mean"} and not WEIGHTS & options.keys():
            return bool(entry.reductions & {"mean", "weighted_mean"})
        return reduction is None or reduction in entry.reductions

    def __call__(self, function: str, *args: Array, **options: Any) -> Answer:
        """Value and gradient with respect to the first argument (None without autograd)."""
        call, _, _, slope, _ = self.entries[function]
        axis = options.pop("axis", -1)
        if function == "logsumexp":  # every peer takes its axes
            return self.run(call, args, options | {"axis": axis})
        if axis != -1:
            args = tuple(
                np.moveaxis(arg, axis, -1) if arg.ndim == args[0].ndim else arg for arg in args
            )
        value, gradient = self.run(call, args, options)
        if axis != -1 and function in {"softmax", "log_softmax"}:
            value = np.moveaxis(value, -1, axis)
        if axis != -1 and gradient is not None:
            gradient = np.moveaxis(gradient, -1, axis)
        return value, gradient if slope else None


def _label_weights(class_weight: Array, sample_weight: Array | None, labels: Array) -> Array:
    weights: Array = class_weight[labels]
    return weights if sample_weight is None else weights * sample_weight


# --- torch ------------------------------------------------------------------------------------


def _run_torch(call: Call, args: tuple[Array, ...], options: dict[str, Any]) -> Answer:
    tensors = [torch.tensor(np.ascontiguousarray(arg)) for arg in args]
    arrays = {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    predictions = tensors[0].requires_grad_()
    result = call(*tensors, **arrays)
    result.sum().backward()
    assert predictions.grad is not None
    return result.detach().numpy(), predictions.grad.numpy()


TORCH = Peer("torch", _run_torch)


def _torch_reduction(reduction: str) -> str:
    return "mean" if reduction == "weighted_mean" else reduction


@TORCH.offers("logsumexp", "keepdims")
def _(z: Any, *, axis: Any = -1, keepdims: bool = False) -> Any:
    return torch.logsumexp(z, tuple(range(z.ndim)) if axis is None else axis, keepdim=keepdims)


@TORCH.offers("softmax")
def _(z: Any) -> Any:
    return torch.softmax(z, -1)


@TORCH.offers("log_softmax")
def _(z: Any) -> Any:
    return torch.log_softmax(z, -1)


TORCH.offers("sigmoid")(torch.sigmoid)
TORCH.offers("log_sigmoid")(F.logsigmoid)


@TORCH.offers("entropy")
def _(p: Any) -> Any:
    return torch.special.entr(p).sum(-1)


@TORCH.offers("cross_entropy")
def _(p: Any, q: Any) -> Any:
    return -torch.xlogy(p, q).sum(-1)


@TORCH.offers("kl_divergence")
def _(p: Any, q: Any) -> Any:
    return F.kl_div(q.log(), p, reduction="none").sum(-1)  # log-probabilities, and q first


@TORCH.offers("entropy_with_logits")
def _(z: Any) -> Any:
    entropy: Any = torch.distributions.Categorical(logits=z).entropy  # not typed
    return entropy()


# The slope of ours is with respect to q, the second argument.
@TORCH.offers("kl_divergence_with_logits", "temperature", slope=False)
def _(p: Any, q: Any, *, temperature: float = 1.0) -> Any:
    log_p, log_q = (torch.log_softmax(z / temperature, -1) for z in (p, q))
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


@TORCH.offers("perplexity", "ignore_index")
def _(z: Any, labels: Any, *, ignore_index: int = -100) -> Any:
    return F.cross_entropy(
        z.reshape(-1, z.shape[-1]), labels.ravel(), ignore_index=ignore_index
    ).exp()


def _torch_over_labels(loss: Call) -> Call:
    """Flatten the batch; the mean divides by the sum of the weights of the labels kept."""

    def call(
        predictions: Any,
        labels: Any,
        *,
        reduction: str,
        class_weight: Any = None,
        ignore_index: int = -100,
        **options: Any,
    ) -> Any:
        result = loss(
            predictions.reshape(-1, predictions.shape[-1]),
            labels.ravel(),
            weight=class_weight,
            ignore_index=ignore_index,
            reduction=_torch_reduction(reduction),
            **options,
        )
        return result.reshape(labels.shape) if reduction == "none" else result

    return call


TORCH.offers(
    "sparse_categorical_cross_entropy_with_logits",
    *("class_weight", "label_smoothing", "ignore_index"),
    reductions="none sum weighted_mean",
)(_torch_over_labels(F.cross_entropy))


@TORCH.offers(
    "sparse_categorical_cross_entropy",
    *("class_weight", "ignore_index"),
    reductions="none sum weighted_mean",
)
def _(probs: Any, labels: Any, **options: Any) -> Any:
    return _torch_over_labels(F.nll_loss)(probs.log(), labels, **options)  # log-probabilities


@TORCH.offers(
    "categorical_cross_entropy_with_logits",
    *("class_weight", "label_smoothing"),
    reductions="none sum mean",  # with target probabilities the mean divides by N
)
def _(z: Any, targets: Any, *, reduction: str, class_weight: Any = None, **options: Any) -> Any:
    result = F.cross_entropy(
        z.reshape(-1, z.shape[-1]),
        targets.reshape(-1, z.shape[-1]),
        weight=class_weight,
        reduction=_torch_reduction(reduction),
        **options,
    )
    return result.reshape(z.shape[:-1]) if reduction == "none" else result


@TORCH.offers("binary_cross_entropy", "sample_weight", reductions="none sum mean")
def _(probs: Any, targets: Any, *, reduction: str, sample_weight: Any = None) -> Any:
    reduced = _torch_reduction(reduction)
    return F.binary_cross_entropy(probs, targets, weight=sample_weight, reduction=reduced)


@TORCH.offers(
    "binary_cross_entropy_with_logits", "sample_weight", "pos_weight", reductions="none sum mean"
)
def _(
    z: Any, targets: Any, *, reduction: str, sample_weight: Any = None, pos_weight: Any = None
) -> Any:
    return F.binary_cross_entropy_with_logits(
        z,
        targets,
        weight=sample_weight,
        pos_weight=None if pos_weight is None else torch.tensor(pos_weight, dtype=z.dtype),
        reduction=_torch_reduction(reduction),
    )


# --- Keras and tf.nn --------------------------------------------------------------------------


def _run_tensorflow(call: Call, args: tuple[Array, ...], options: dict[str, Any]) -> Answer:
    tensors = [tf.constant(arg) for arg in args]
    with tf.GradientTape() as tape:
        tape.watch(tensors[0])
        result = call(*tensors, **options)
    return result.numpy(), tape.gradient(result, tensors[0]).numpy()


KERAS = Peer("keras", _run_tensorflow, batched=True)

_KERAS_REDUCTIONS = {
    "none": "none",
    "sum": "sum",
    "mean": "sum_over_batch_size",  # divides by N, whatever the weights
    "weighted_mean": "mean_with_sample_weight",
}

KERAS.offers("softmax")(keras.ops.softmax)
KERAS.offers("log_softmax")(keras.ops.log_softmax)
KERAS.offers("logsumexp", "keepdims")(
    lambda z, *, axis=-1, keepdims=False: keras.ops.logsumexp(z, axis=axis, keepdims=keepdims)
)
KERAS.offers("sigmoid")(keras.ops.sigmoid)
KERAS.offers("log_sigmoid")(keras.ops.log_sigmoid)


@KERAS.offers("kl_divergence")
def _(p: Any, q: Any) -> Any:
    return keras.losses.KLDivergence(reduction="none", dtype=p.dtype.name)(p, q)


@KERAS.offers("kl_divergence_with_logits", "temperature", slope=False)
def _(p: Any, q: Any, *, temperature: float = 1.0) -> Any:
    probs = (keras.ops.softmax(z / temperature) for z in (p, q))
    return keras.losses.KLDivergence(reduction="none", dtype=p.dtype.name)(*probs)


def _keras_categorical(*, from_logits: bool) -> Call:
    def call(
        predictions: Any,
        targets: Any,
        *,
        reduction: str,
        sample_weight: Any = None,
        label_smoothing: float = 0.0,
    ) -> Any:
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            reduction=_KERAS_REDUCTIONS[reduction],
            dtype=predictions.dtype.name,
        )
        return loss(targets, predictions, sample_weight=sample_weight)

    return call


def _keras_sparse(*, from_logits: bool) -> Call:
    def call(
        predictions: Any,
        labels: Any,
        *,
        reduction: str,
        class_weight: Any = None,
        sample_weight: Any = None,
        ignore_index: int | None = None,
    ) -> Any:
        if class_weight is not None:  # `fit` turns class weights into sample weights
            sample_weight = _label_weights(class_weight, sample_weight, labels.numpy())
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=from_logits,
            ignore_class=ignore_index,
            reduction=_KERAS_REDUCTIONS[reduction],
            dtype=predictions.dtype.name,
        )
        return loss(labels, predictions, sample_weight=sample_weight)

    return call


_ALL = "none sum mean weighted_mean"
_WEIGHTED = ("sample_weight", "label_smoothing")
KERAS.offers("categorical_cross_entropy_with_logits", *_WEIGHTED, reductions=_ALL)(
    _keras_categorical(from_logits=True)
)
# Probabilities are divided by their sum first, which takes the slope along it out of the gradient.
KERAS.offers("categorical_cross_entropy", *_WEIGHTED, reductions=_ALL, slope=False)(
    _keras_categorical(from_logits=False)
)
_SPARSE = ("class_weight", "sample_weight", "ignore_index")
KERAS.offers("sparse_categorical_cross_entropy_with_logits", *_SPARSE, reductions=_ALL)(
    _keras_sparse(from_logits=True)
)
KERAS.offers("sparse_categorical_cross_entropy", *_SPARSE, reductions=_ALL, slope=False)(
    _keras_sparse(from_logits=False)
)


def _keras_elementwise(make: Call, **settings: Any) -> Call:
    """A class axis of one: Keras averages a binary loss over the last axis."""

    def call(
        predictions: Any, targets: Any, *, reduction: str, sample_weight: Any = None, **options: Any
    ) -> Any:
        loss = make(
            reduction=_KERAS_REDUCTIONS[reduction],
            dtype=predictions.dtype.name,
            **settings,
            **options,
        )
        return loss(targets[..., None], predictions[..., None], sample_weight=sample_weight)

    return call


KERAS.offers("binary_cross_entropy", *_WEIGHTED, reductions=_ALL)(
    _keras_elementwise(keras.losses.BinaryCrossentropy, from_logits=False)
)
KERAS.offers("binary_cross_entropy_with_logits", *_WEIGHTED, reductions=_ALL)(
    _keras_elementwise(keras.losses.BinaryCrossentropy, from_logits=True)
)


@KERAS.offers(
    "binary_focal_loss_with_logits",
    *("gamma", "alpha", "sample_weight"),
    reductions="none sum mean",  # no mean knows of alpha
    soft=False,  # a soft target would go inside the focusing factor
)
def _(z: Any, targets: Any, *, alpha: float | None = None, **options: Any) -> Any:
    balance = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
    loss = _keras_elementwise(keras.losses.BinaryFocalCrossentropy, from_logits=True, **balance)
    return loss(z, targets, **options)


TF_NN = Peer("tf.nn", _run_tensorflow)

TF_NN.offers("softmax")(tf.nn.softmax)
TF_NN.offers("log_softmax")(tf.nn.log_softmax)
TF_NN.offers("logsumexp", "keepdims")(
    lambda z, *, axis=-1, keepdims=False: tf.reduce_logsumexp(z, axis=axis, keepdims=keepdims)
)
TF_NN.offers("sigmoid")(tf.nn.sigmoid)
TF_NN.offers("log_sigmoid")(tf.math.log_sigmoid)


@TF_NN.offers("sparse_categorical_cross_entropy_with_logits", reductions="none")
def _(z: Any, labels: Any, *, reduction: str) -> Any:  # noqa: ARG001
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z)


@TF_NN.offers("categorical_cross_entropy_with_logits", reductions="none")
def _(z: Any, targets: Any, *, reduction: str) -> Any:  # noqa: ARG001
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=z)


@TF_NN.offers("binary_cross_entropy_with_logits", "pos_weight", reductions="none")
def _(z: Any, targets: Any, *, reduction: str, pos_weight: float | None = None) -> Any:  # noqa: ARG001
    if pos_weight is None:
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=z)
    return tf.nn.weighted_cross_entropy_with_logits(targets, z, pos_weight)


# --- JAX --------------------------------------------------------------------------------------


def _run_jax(call: Call, args: tuple[Array, ...], options: dict[str, Any]) -> Answer:
    with jax.enable_x64(True):
        first, *others = map(jax.numpy.asarray, args)
        value, back = jax.vjp(lambda z: call(z, *others, **options), first)
        (gradient,) = back(jax.numpy.ones_like(value))
        return np.asarray(value), np.asarray(gradient)


OPTAX = Peer("optax", _run_jax)

OPTAX.offers("softmax")(jax.nn.softmax)
OPTAX.offers("log_softmax")(jax.nn.log_softmax)
OPTAX.offers("logsumexp", "keepdims")(jax.nn.logsumexp)
OPTAX.offers("sigmoid")(jax.nn.sigmoid)
OPTAX.offers("log_sigmoid")(jax.nn.log_sigmoid)


@OPTAX.offers("kl_divergence", slope=False)
def _(p: Any, q: Any) -> Any:
    return optax.kl_divergence(jax.numpy.log(q), p)


@OPTAX.offers("sparse_categorical_cross_entropy_with_logits", reductions="none")
def _(z: Any, labels: Any, *, reduction: str) -> Any:  # noqa: ARG001
    return optax.softmax_cross_entropy_with_integer_labels(z, labels)


@OPTAX.offers("categorical_cross_entropy_with_logits", "label_smoothing", reductions="none")
def _(z: Any, targets: Any, *, reduction: str, label_smoothing: float = 0.0) -> Any:  # noqa: ARG001
    return optax.softmax_cross_entropy(z, optax.smooth_labels(targets, label_smoothing))


@OPTAX.offers("binary_cross_entropy_with_logits", reductions="none")
def _(z: Any, targets: Any, *, reduction: str) -> Any:  # noqa: ARG001
    return optax.sigmoid_binary_cross_entropy(z, targets)


@OPTAX.offers("binary_focal_loss_with_logits", "gamma", reductions="none", soft=False)
def _(z: Any, targets: Any, *, reduction: str, gamma: float = 2.0) -> Any:  # noqa: ARG001
    return optax.sigmoid_focal_loss(z, targets, gamma=gamma)


# --- scikit-learn -----------------------------------------------------------------------------


def _run_arrays(call: Call, args: tuple[Array, ...], options: dict[str, Any]) -> Answer:
    result = call(*args, **options)
    return result if isinstance(result, tuple) else (np.asarray(result), None)


SKLEARN = Peer("scikit-learn", _run_arrays)

SKLEARN.offers("softmax")(
    lambda z: sklearn.utils.extmath.softmax(z.reshape(-1, z.shape[-1])).reshape(z.shape)
)


def _log_loss(labels: Array, probs: Array, reduction: str, weights: Array | None) -> Array:
    """`log_loss` over 2-D probabilities: no reduction is one call per row."""
    classes = range(probs.shape[-1])
    if reduction == "none":
        rows = [
            _log_loss(labels[i : i + 1], probs[i : i + 1], "sum", None) for i in range(len(probs))
        ]
        return np.array(rows) * (1 if weights is None else weights)
    loss = sklearn.metrics.log_loss(
        labels, probs, labels=classes, normalize=reduction != "sum", sample_weight=weights
    )
    return np.asarray(loss)


@SKLEARN.offers(
    "sparse_categorical_cross_entropy",
    *("class_weight", "sample_weight"),
    reductions="none sum weighted_mean",
)
def _(
    probs: Array,
    labels: Array,
    *,
    reduction: str,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
) -> Array:
    weights = sample_weight
    if class_weight is not None:  # scikit-learn's estimators do the same
        weights = _label_weights(class_weight, sample_weight, labels)
    flat = None if weights is None else np.broadcast_to(weights, labels.shape).ravel()
    loss = _log_loss(labels.ravel(), probs.reshape(-1, probs.shape[-1]), reduction, flat)
    return loss.reshape(labels.shape) if reduction == "none" else loss


@SKLEARN.offers(
    "binary_cross_entropy", "sample_weight", reductions="none sum weighted_mean", soft=False
)
def _(probs: Array, targets: Array, *, reduction: str, sample_weight: Array | None = None) -> Array:
    both = np.stack([1 - probs, probs], axis=-1).reshape(-1, 2)
    weights = sample_weight
    flat = None if weights is None else np.broadcast_to(weights, targets.shape).ravel()
    loss = _log_loss(targets.ravel().astype(int), both, reduction, flat)
    return loss.reshape(targets.shape) if reduction == "none" else loss


def _compiled_loss(loss: Any, predictions: Array, targets: Array, weights: Array | None) -> Answer:
    """The losses of scikit-learn's own models, its only ones with a gradient."""
    flat = None if weights is None else np.broadcast_to(weights, targets.shape).ravel()
    flat = None if flat is None else flat.astype(predictions.dtype)
    rows = predictions.reshape(targets.size, -1)
    arrays = np.ascontiguousarray(targets.ravel(), predictions.dtype), np.ascontiguousarray(rows)
    value, gradient = loss.loss_gradient(*arrays, sample_weight=flat)
    return value.reshape(targets.shape), gradient.reshape(predictions.shape)


@SKLEARN.offers("sparse_categorical_cross_entropy_with_logits", "sample_weight", reductions="none")
def _(z: Array, labels: Array, *, reduction: str, sample_weight: Array | None = None) -> Answer:  # noqa: ARG001
    return _compiled_loss(HalfMultinomialLoss(n_classes=z.shape[-1]), z, labels, sample_weight)


@SKLEARN.offers("binary_cross_entropy_with_logits", "sample_weight", reductions="none")
def _(z: Array, targets: Array, *, reduction: str, sample_weight: Array | None = None) -> Answer:  # noqa: ARG001
    return _compiled_loss(HalfBinomialLoss(), z, targets, sample_weight)


# --- SciPy ------------------------------------------------------------------------------------

SCIPY = Peer("SciPy", _run_arrays)

SCIPY.offers("softmax")(lambda z: scipy.special.softmax(z, axis=-1))
SCIPY.offers("log_softmax")(lambda z: scipy.special.log_softmax(z, axis=-1))
SCIPY.offers("logsumexp", "keepdims")(
    lambda z, *, axis=-1, keepdims=False: scipy.special.logsumexp(z, axis=axis, keepdims=keepdims)
)
SCIPY.offers("sigmoid")(scipy.special.expit)
SCIPY.offers("log_sigmoid")(scipy.special.log_expit)


@SCIPY.offers("entropy", "base")
def _(p: Array, *, base: float | None = None) -> Any:
    return scipy.stats.entropy(p, base=base, axis=-1)


@SCIPY.offers("cross_entropy")
def _(p: Array, q: Array) -> Any:
    return -scipy.special.xlogy(p, q).sum(axis=-1)


@SCIPY.offers("kl_divergence", "base")
def _(p: Array, q: Array, *, base: float | None = None) -> Any:
    return scipy.special.kl_div(p, q).sum(axis=-1) / (1 if base is None else np.log(base))


@SCIPY.offers("entropy_with_logits", "base")
def _(z: Array, *, base: float | None = None) -> Any:
    return scipy.stats.entropy(scipy.special.softmax(z, axis=-1), base=base, axis=-1)


@SCIPY.offers("kl_divergence_with_logits", "temperature", "base", slope=False)
def _(p: Array, q: Array, *, temperature: float = 1.0, base: float | None = None) -> Any:
    probs = (scipy.special.softmax(z / temperature, axis=-1) for z in (p, q))
    return scipy.special.rel_entr(*probs).sum(axis=-1) / (1 if base is None else np.log(base))


@SCIPY.offers("js_divergence", "base")
def _(p: Array, q: Array, *, base: float | None = None) -> Any:
    return scipy.spatial.distance.jensenshannon(p, q, base=base, axis=-1) ** 2  # a distance


@SCIPY.offers("binary_cross_entropy", reductions="none")
def _(probs: Array, targets: Array, *, reduction: str) -> Any:  # noqa: ARG001
    return -scipy.special.xlogy(targets, probs) - scipy.special.xlog1py(1 - targets, -probs)


@SCIPY.offers("binary_cross_entropy_with_logits", reductions="none")
def _(z: Array, targets: Array, *, reduction: str) -> Any:  # noqa: ARG001
    log_p, log_rest = scipy.special.log_expit(z), scipy.special.log_expit(-z)
    return -targets * log_p - (1 - targets) * log_rest


@SCIPY.offers("categorical_cross_entropy", reductions="none")
def _(probs: Array, targets: Array, *, reduction: str) -> Any:  # noqa: ARG001
    return -scipy.special.xlogy(targets, probs).sum(axis=-1)


@SCIPY.offers("categorical_cross_entropy_with_logits", reductions="none")
def _(z: Array, targets: Array, *, reduction: str) -> Any:  # noqa: ARG001
    return -(targets * scipy.special.log_softmax(z, axis=-1)).sum(axis=-1)


@SCIPY.offers("sparse_categorical_cross_entropy_with_logits", reductions="none")
def _(z: Array, labels: Array, *, reduction: str) -> Any:  # noqa: ARG001
    log_p = scipy.special.log_softmax(z, axis=-1)
    return -np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]


PEERS = (TORCH, KERAS, TF_NN, OPTAX, SKLEARN, SCIPY)
