"""The losses.

A loss checks its arguments and brings them into one canonical form, `Form`; what it returns is the
value of that form. `crossent.gradients` asks the same form for its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crossent import _kernels, _validate
from crossent._arrays import Floats
from crossent._forms import Dense, Form, Labels, Pair, differentiable
from crossent._kernels import Kernel
from crossent._spans import moved
from crossent._validate import Counted, Reduction

RAW = "; raw scores go to the same loss _with_logits"


@differentiable
def binary_cross_entropy(
    probs: ArrayLike,
    targets: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Form:
    r"""Binary cross-entropy of probabilities.

    .. math:: \ell = -t \log p - (1 - t) \log(1 - p)

    Parameters
    ----------
    probs : array_like
        Probability p of the positive class, of any shape.
    targets : array_like
        Target t in [0, 1], hard or soft, of the same shape: nothing is broadcast.
    sample_weight, label_smoothing, reduction
        As in ``binary_cross_entropy_with_logits``.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``probs``; of their shape for "none".

    Raises
    ------
    ValueError
        If a probability or target is outside [0, 1] or nan, shapes differ, or an option is not
        valid.

    Notes
    -----
    Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`(p - t) / (p (1 - p))` without
    smoothing; more than 2,048 probabilities within 8 ulp, which is faster. Then t and 1 − t are
    rounded to float32, unless the probabilities are float64. Nothing is clipped: p = 0 with t = 1
    is infinite, where torch stops at 100, Keras at 16.118 and scikit-learn at 36.04 (float64).

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14 (1952), 107-114.

    Examples
    --------
    >>> import crossent
    >>> crossent.binary_cross_entropy([0.5, 0.01], [0, 1], reduction="none")
    array([0.69314718, 4.60517019])
    """
    array, t, sample = _validate.binary("probs", probs, targets, sample_weight)
    array = _validate.probabilities("probs", array, RAW, Counted(sample))
    target = Pair(t, (1.0, 1.0), _validate.fraction("label_smoothing", label_smoothing))
    return _binary(_kernels.BINARY_PROBS, array, target, sample, reduction)


@differentiable
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    pos_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Form:
    r"""Binary cross-entropy of logits.

    .. math:: \ell = w \, t \log(1 + e^{-z}) + (1 - t) \log(1 + e^z)

    Parameters
    ----------
    logits : array_like
        Logit z of the positive class, of any shape.
    targets : array_like
        Target t in [0, 1], hard or soft, of the same shape: nothing is broadcast.
    pos_weight : array_like, optional
        Weight w ≥ 0 of the positive class; broadcasts to the logits.
    sample_weight : array_like, optional
        Weights ≥ 0 that broadcast to the predictions. An element of weight 0 is not looked at: its
        prediction and target may be anything, and its gradient is 0.
    label_smoothing : float
        The share ε in [0, 1] of the target that is moved to ½: t becomes (1 − ε) t + ε/2.
    reduction : {"mean", "sum", "none", "weighted_mean"}
        "mean" divides the weighted sum by the number of elements, "weighted_mean" by the sum of
        sample_weight · (w t + 1 − t), with t as given. A mean over nothing is nan with a
        RuntimeWarning.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``logits``, reduced in float64; of their shape for "none".

    Raises
    ------
    ValueError
        If a target is outside [0, 1] or nan, shapes differ, a weight is negative, infinite or does
        not broadcast, or an option is not one of its values.
    TypeError
        If an argument is not made of real numbers.

    Notes
    -----
    Within 8 ulp (float16: 1 ulp). Infinite logits give the limit: (−∞, 0) is 0, where torch gives
    nan. The gradient is :math:`(1 - t)\,\sigma(z) - w\,t\,\sigma(-z)`, as accurate in units of its
    larger term: for soft targets, also smoothed ones, it is ill-conditioned by nature where the
    terms nearly cancel.

    References
    ----------
    D. R. Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical
    Society B 20 (1958), 215-242. G. King and L. Zeng, "Logistic regression in rare events data",
    Political Analysis 9 (2001), 137-163, for the weight.

    Examples
    --------
    >>> import crossent
    >>> crossent.binary_cross_entropy_with_logits([0.0, 17.0], [1, 0], reduction="none")
    array([ 0.69314718, 17.00000004])
    """
    array, t, sample = _validate.binary("logits", logits, targets, sample_weight)
    weights = _validate.weight("pos_weight", pos_weight, array.shape), 1.0
    target = Pair(t, weights, _validate.fraction("label_smoothing", label_smoothing))
    return _binary(_kernels.binary_logits(), array, target, sample, reduction)


@differentiable
def binary_focal_loss_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Form:
    r"""Focal loss of logits: binary cross-entropy in which easy elements count less.

    .. math::

       \ell = \alpha \, t \, \sigma(-z)^\gamma \log(1 + e^{-z})
       + (1 - \alpha) (1 - t) \, \sigma(z)^\gamma \log(1 + e^z)

    Parameters
    ----------
    logits, targets : array_like
        As in ``binary_cross_entropy_with_logits``.
    gamma : float
        Focusing exponent γ ≥ 0; 0 gives cross-entropy.
    alpha : float, optional
        Weight α in [0, 1] of the positive class, 1 − α that of the negative one. By default both
        weights are 1.
    sample_weight, reduction
        As in ``binary_cross_entropy_with_logits``; "weighted_mean" divides by the sum of
        sample_weight · (α t + (1 − α)(1 − t)).

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``logits``; of their shape for "none".

    Raises
    ------
    ValueError, TypeError
        As ``binary_cross_entropy_with_logits`` does.

    Notes
    -----
    Within 8 + γ ulp (float16: 1 ulp); more than 2,048 logits within 8 + 5 γ ulp, which is faster.
    The same holds for the gradient for hard targets; for soft targets its error is that of the
    larger of two terms that may cancel.

    A soft target mixes the losses of the two classes. Keras and torchvision put it inside the
    focusing factor, which is the same for targets 0 and 1 only. Their default α is 0.25, in Keras
    once ``apply_class_balancing`` is on.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection",
    ICCV 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import crossent
    >>> crossent.binary_focal_loss_with_logits([0.0, 4.0], [1, 1], reduction="none")
    array([1.73286795e-01, 5.87156972e-06])
    """
    array, t, sample = _validate.binary("logits", logits, targets, sample_weight)
    gamma = _validate.number("gamma", gamma, 0.0, np.inf, "finite and not negative")
    weights = (1.0, 1.0)
    if alpha is not None:
        alpha = _validate.fraction("alpha", alpha)
        weights = (alpha, 1.0 - alpha)
    target = Pair(t, weights, 0.0)
    return _binary(_kernels.binary_logits(gamma), array, target, sample, reduction)


@differentiable
def categorical_cross_entropy(
    probs: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Form:
    r"""Cross-entropy of probabilities under target distributions.

    .. math:: \ell = -\sum_k w_k \, t_k \log p_k

    Parameters
    ----------
    probs : array_like
        Probabilities p that sum to 1 along ``axis``; for example (N, C).
    targets : array_like
        Target distributions t, hard or soft, of the same shape.
    axis, class_weight, sample_weight, label_smoothing, reduction
        As in ``categorical_cross_entropy_with_logits``.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``probs``; without the class axis for "none".

    Raises
    ------
    ValueError
        If probabilities or targets are not the distributions that ``entropy`` takes, or shapes or
        options are not valid.

    Notes
    -----
    Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`-w_k t_k / p_k`, which takes each
    probability as free; more than 2,048 probabilities within 12 ulp, which is faster. A class of
    weight or target 0 adds nothing, even where p is 0 or nan; any other p = 0 is infinite, for
    nothing is clipped.

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14 (1952), 107-114.

    Examples
    --------
    >>> import crossent
    >>> crossent.categorical_cross_entropy([[0.7, 0.2, 0.1]], [[1, 0, 0]])
    np.float64(0.35667494393873245)
    """
    options = _Options(sample_weight, label_smoothing, reduction, axis, class_weight)
    return _categorical(PROBS, probs, targets, options, sparse=False)


@differentiable
def categorical_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Form:
    r"""Cross-entropy of logits under target distributions.

    .. math:: \ell = -\sum_k w_k \, t_k \log \operatorname{softmax}(z)_k

    Parameters
    ----------
    logits : array_like
        Logits z with two or more classes along ``axis``; for example (N, C).
    targets : array_like
        Target distributions t, hard or soft, of the same shape.
    axis, class_weight, sample_weight, label_smoothing, reduction
        As in ``sparse_categorical_cross_entropy_with_logits``; "weighted_mean" divides by the sum
        of sample_weight · Σ w_k t_k, with t as given (without class weights, of sample_weight).

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``logits``; without the class axis for "none".

    Raises
    ------
    ValueError
        If targets are not the distributions that ``entropy`` takes, or shapes or options are not
        valid.

    Notes
    -----
    Within 8 ulp (float16: 1 ulp). A class of weight or target 0 adds nothing, even at −∞, where
    torch gives nan. The gradient is :math:`p_j \sum_k s_k - s_j` for :math:`s_k = w_k t_k`. It is
    computed as :math:`p_j \sum_{k \ne j} s_k - s_j (1 - p_j)`, within 10 ulp of the larger term:
    for soft targets, also smoothed ones, it is ill-conditioned by nature where the terms nearly
    cancel.

    More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88), which is faster. A probability below 1e-37 (float64: 1e-307) may be 0
    in the gradient there.

    References
    ----------
    J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs",
    Neurocomputing, NATO ASI Series 68 (1990), 227-236.

    Examples
    --------
    >>> import crossent
    >>> crossent.categorical_cross_entropy_with_logits([[2.0, 1.0]], [[0.75, 0.25]])
    np.float64(0.5632616875182228)
    """
    options = _Options(sample_weight, label_smoothing, reduction, axis, class_weight)
    return _categorical(LOGITS, logits, targets, options, sparse=False)


@differentiable
def sparse_categorical_cross_entropy(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Form:
    r"""Cross-entropy of probabilities under class indices.

    .. math:: \ell = -w_y \log p_y

    Parameters
    ----------
    probs : array_like
        Probabilities p that sum to 1 along ``axis``; for example (N, C).
    labels : array_like
        Integers y from 0 to C − 1, of the same shape without the class axis: (N,).
    axis, class_weight, sample_weight, label_smoothing, ignore_index, reduction
        As in ``sparse_categorical_cross_entropy_with_logits``.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``probs``; of the shape of ``labels`` for "none".

    Raises
    ------
    ValueError, IndexError, TypeError
        As ``sparse_categorical_cross_entropy_with_logits`` does; ValueError also if probabilities
        are not those of ``categorical_cross_entropy``.

    Notes
    -----
    Within 6 ulp (float16: 1 ulp), and so is the gradient, :math:`-w_y / p_y` at the label and 0
    elsewhere, which takes each probability as free. p = 0 at the label is infinite; the
    other probabilities may be nan.

    References
    ----------
    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14 (1952), 107-114.

    Examples
    --------
    >>> import crossent
    >>> crossent.sparse_categorical_cross_entropy([[0.7, 0.2, 0.1]], [0])
    np.float64(0.35667494393873245)
    """
    options = _Options(sample_weight, label_smoothing, reduction, axis, class_weight, ignore_index)
    return _categorical(PROBS, probs, labels, options, sparse=True)


@differentiable
def sparse_categorical_cross_entropy_with_logits(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Form:
    r"""Cross-entropy of logits under class indices.

    .. math::

       \ell = -w_y \log \operatorname{softmax}(z)_y
       = w_y \log \Bigl(1 + \sum_{j \ne y} e^{z_j - z_y}\Bigr)

    Parameters
    ----------
    logits : array_like
        Logits z with two or more classes along ``axis``; for example (N, C).
    labels : array_like
        Integers y from 0 to C − 1, of the same shape without the class axis: (N,).
    axis : int
        The class axis: -1 for (N, C), 1 for (N, C, H, W).
    class_weight : array_like, optional
        Weights w ≥ 0 of shape (C,), or of any shape that broadcasts to the predictions.
    sample_weight : array_like, optional
        Weights ≥ 0 that broadcast to the unreduced loss. What does not count, because it is ignored
        or its sample or class weight is 0, is not looked at: its label, target or probability may
        be anything, and its gradient is 0.
    label_smoothing : float
        The share ε in [0, 1] of the target that is spread evenly over all C classes, before the
        class weights apply.
    ignore_index : int, optional
        The label of elements that do not count. By default every label counts.
    reduction : {"mean", "sum", "none", "weighted_mean"}
        "mean" divides the weighted sum by the number of elements that count, "weighted_mean" by the
        sum of sample_weight · w_y. A mean over nothing is nan with a RuntimeWarning.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the dtype of ``logits``, reduced in float64; of the shape of ``labels`` for
        "none". A number that 16 bits cannot hold comes in a wider type.

    Raises
    ------
    ValueError
        If shapes do not match, there is a single class, a weight is negative, infinite or does not
        broadcast, or an option is not one of its values.
    IndexError
        If a label that counts is outside 0 to C − 1.
    TypeError
        If labels are not integers, or another argument is not made of real numbers.

    Notes
    -----
    Within 8 ulp (float16: 1 ulp) at any margin: for logits 40 and 0 and label 0 the loss is
    4.2e-18, where torch, TensorFlow, SciPy and optax give 0. Infinite logits give the limit, nan
    only where there is none. The gradient is :math:`w_y p_j`, and :math:`-w_y \sum_{j \ne y} p_j`
    at the label, also within 8 ulp. Smoothed, loss and gradient are those of
    ``categorical_cross_entropy_with_logits`` with one-hot targets.

    More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88), which is faster. That is about what the rounding of every logit does,
    and less than two and a half digits. A probability below 1e-37 (float64: 1e-307) may be 0 in the
    gradient there. No temporary has the size of the logits.

    With class indices and weights torch's ``CrossEntropyLoss`` is "weighted_mean", also smoothed;
    with class probabilities, and in the binary losses, it is "mean", as Keras and its
    ``class_weight`` are. scikit-learn's ``log_loss`` is "weighted_mean". torch ignores the label
    -100 by default.

    References
    ----------
    J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs",
    Neurocomputing, NATO ASI Series 68 (1990), 227-236. C. Szegedy et al., "Rethinking the Inception
    architecture for computer vision", CVPR 2016, arXiv:1512.00567, for the smoothing.

    Examples
    --------
    >>> import crossent
    >>> crossent.sparse_categorical_cross_entropy_with_logits([[40.0, 0.0]], [0])
    np.float64(4.24835425529159e-18)
    """
    options = _Options(sample_weight, label_smoothing, reduction, axis, class_weight, ignore_index)
    return _categorical(LOGITS, logits, labels, options, sparse=True)


class _Options(NamedTuple):
    """The options of a loss, as they were given."""

    sample_weight: ArrayLike | None
    label_smoothing: float
    reduction: Reduction
    axis: int
    class_weight: ArrayLike | None
    ignore_index: int | None = None


class _Source(NamedTuple):
    """What predictions over classes are called, how they are checked, and the kernels for them."""

    name: str
    check: Callable[..., Floats]  # as `_validate.distribution`
    label: Kernel
    dense: Kernel


CHECK = partial(_validate.distribution, remedy=RAW)
PROBS = _Source("probs", CHECK, _kernels.LABEL_PROBS, _kernels.DENSE_PROBS)
LOGITS = _Source(
    "logits", lambda _, array, *__, **___: array, _kernels.LABEL_LOGITS, _kernels.DENSE_LOGITS
)


def _categorical(
    source: _Source, predictions: ArrayLike, targets: ArrayLike, options: _Options, *, sparse: bool
) -> Form:
    """Bring a loss over classes into canonical form."""
    array, axis = _validate.scores(source.name, predictions, options.axis)
    shape = moved(array, axis, -1).shape
    w = _validate.class_weight(options.class_weight, array, axis)
    sample = _validate.weight("sample_weight", options.sample_weight, shape[:-1])
    smoothing = _validate.fraction("label_smoothing", options.label_smoothing)
    _validate.reduction(options.reduction)
    counted = Counted(sample, None, w)
    target: Labels | Dense
    if sparse:
        y, kept, all_valid = _validate.labels(
            targets, source.name, array.shape, axis, options.ignore_index, counted
        )
        counted = counted._replace(kept=kept)
        target = Labels(y, w, smoothing, shape[-1], all_valid)
    else:
        t = _validate.dense_targets(targets, source.name, array, axis, counted)
        target = Dense(moved(t, axis, -1), w, smoothing)
    asked = None if smoothing else target.asked
    x = moved(source.check(source.name, array, axis, counted=counted, asked=asked), axis, -1)
    kernel = source.label if sparse and smoothing == 0.0 else source.dense
    return Form(x, axis, kernel, target, sample, options.reduction, counted.kept)


def _binary(kernel: Kernel, array: Floats, target: Pair, sample: Any, reduction: str) -> Form:
    """Bring a loss whose every element has a target from 0 to 1 into canonical form."""
    _validate.reduction(reduction)
    return Form(array[..., None], None, kernel, target, sample, reduction)
