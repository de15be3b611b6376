"""Entropy, cross-entropy and the divergences between two distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crossent import _arrays, _kernels, _validate
from crossent._forms import FORMS, Dense, Form, differentiable
from crossent._kernels import information
from crossent._kernels.information import Measure
from crossent._spans import WIDE, moved, scalar
from crossent.losses import sparse_categorical_cross_entropy_with_logits


def entropy(p: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    r"""Entropy of a distribution: its mean surprise.

    .. math:: H(p) = -\sum_k p_k \log p_k

    Parameters
    ----------
    p : array_like
        Probabilities that sum to 1 along ``axis``; for example (N, C).
    axis : int
        The axis of the outcomes.
    base : float, optional
        Base of the logarithm, positive and not 1: 2 for bits. By default nats.

    Returns
    -------
    float or numpy.ndarray
        In nats, or in units of the base, in the dtype of ``p`` (float64 for integers), without
        ``axis``: (N,). A number that 16 bits cannot hold comes in a wider type.

    Raises
    ------
    ValueError
        If probabilities are outside [0, 1], nan, or do not sum to 1 as far as float32 can tell
        (within 64·√C·2⁻²³ and 1 %, in any dtype; float16: 1 %, or C/2²⁵ if that is more), or the
        axis or base is not valid. A rounding above 1 is 1.
    TypeError
        If an argument is not made of real numbers.

    Notes
    -----
    Within 4 ulp (float16: 1 ulp); more than 2,048 probabilities within 12 ulp, which is faster. An
    outcome of probability 0 adds nothing. Nothing is renormalized: ``scipy.stats.entropy`` divides
    by the sum.

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27
    (1948), 379-423.

    Examples
    --------
    >>> import crossent
    >>> crossent.entropy([0.5, 0.25, 0.25], base=2)
    np.float64(1.5)
    """
    return _information(information.ENTROPY, {"p": p}, axis, base)


def cross_entropy(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    r"""Cross-entropy of q under the true distribution p: the mean surprise of who believes q.

    .. math:: H(p, q) = -\sum_k p_k \log q_k = H(p) + D(p \,\|\, q)

    Parameters
    ----------
    p, q : array_like
        Distributions along ``axis``, p the true one. Their other axes are equal or broadcast.
    axis, base
        As in ``entropy``.

    Returns
    -------
    float or numpy.ndarray
        As of ``entropy``, in the common dtype of ``p`` and ``q``; infinite where q excludes
        an outcome that p allows.

    Raises
    ------
    ValueError, TypeError
        As ``entropy`` does; ValueError also if the shapes do not match.

    Notes
    -----
    Within 4 ulp (float16: 1 ulp); more than 2,048 probabilities within 12 ulp, which is faster. An
    outcome with p = 0 adds nothing, whatever q is. Not symmetric, and H(p, p) is H(p), not 0.

    References
    ----------
    I. J. Good, "Some terminology and notation in information theory", Proceedings of the IEE C 103
    (1956), 200-204.

    Examples
    --------
    >>> import crossent
    >>> crossent.cross_entropy([0.5, 0.5], [0.25, 0.75], base=2)
    np.float64(1.207518749639422)
    """
    return _information(information.CROSS_ENTROPY, {"p": p, "q": q}, axis, base)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    r"""Kullback-Leibler divergence: what believing q costs when p is true.

    .. math:: D(p \,\|\, q) = \sum_k \left( p_k \log\frac{p_k}{q_k} - p_k + q_k \right)

    Parameters
    ----------
    p, q : array_like
        Distributions along ``axis``, p the true one. Their other axes are equal or broadcast.
    axis, base
        As in ``entropy``.

    Returns
    -------
    float or numpy.ndarray
        As of ``entropy``, in the common dtype of ``p`` and ``q``; infinite where q excludes
        an outcome that p allows.

    Raises
    ------
    ValueError, TypeError
        As ``entropy`` does; ValueError also if the shapes do not match.

    Notes
    -----
    Within 8 ulp (float16: 1 ulp) of this sum, also where p and q are nearly equal. Where p and q
    have the same sum, :math:`q_k - p_k` adds up to 0 and this is the textbook's
    :math:`\sum_k p_k \log(p_k / q_k)`. Where rounding makes their sums differ by δ, so do the two,
    and δ may be more than all of a small divergence: the textbook's sum may then be negative. This
    one is never negative in a base above 1, and 0 only for p = q or where the dtype has no number
    so small. More than 2,048 probabilities within 8 ulp (float64: :math:`10 + 4 / \sqrt{D}` ulp,
    where no divergence D counts for less than :math:`2^{-14}` nats), which is faster.

    The sum over ``scipy.special.kl_div``. ``scipy.stats.entropy(p, q)``, which renormalizes, and
    ``scipy.special.rel_entr`` are the textbook's form; ``torch.nn.functional.kl_div`` wants log q
    first, then p.

    References
    ----------
    S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical
    Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import crossent
    >>> crossent.kl_divergence([0.5, 0.5], [0.25, 0.75], base=2)
    np.float64(0.2075187496394219)
    """
    return _information(information.KL, {"p": p, "q": q}, axis, base)


def js_divergence(p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    r"""Jensen-Shannon divergence: symmetric, and at most log 2 (1 bit).

    .. math::

       J(p, q) = \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q)

    Parameters
    ----------
    p, q : array_like
        Distributions along ``axis``. Their other axes are equal or broadcast.
    axis, base
        As in ``entropy``.

    Returns
    -------
    float or numpy.ndarray
        As of ``entropy``, in the common dtype of ``p`` and ``q``.

    Raises
    ------
    ValueError, TypeError
        As ``entropy`` does; ValueError also if the shapes do not match.

    Notes
    -----
    Within 6 ulp (float16: 1 ulp), also where p and q are nearly equal; more than 2,048
    probabilities within 6 ulp (float64: :math:`10 + 4 / \sqrt{J}` ulp, where no divergence J counts
    for less than :math:`2^{-14}` nats), which is faster. The square of
    ``scipy.spatial.distance.jensenshannon``, which is the distance and renormalizes its input.

    References
    ----------
    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information
    Theory 37 (1991), 145-151.

    Examples
    --------
    >>> import crossent
    >>> crossent.js_divergence([1.0, 0.0], [0.0, 1.0], base=2)
    np.float64(1.0)
    """
    return _information(information.JS, {"p": p, "q": q}, axis, base)


def perplexity(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Any:
    r"""Perplexity of logits under labels: how many equally likely classes would surprise as much.

    .. math::

       \operatorname{PP} = \exp\Bigl(-\frac{\sum_i w_i \log p_{i, y_i}}{\sum_i w_i}\Bigr)

    Parameters
    ----------
    logits : array_like
        Logits of any shape with a class axis; for example (N, C).
    labels : array_like
        Integers 0 to C − 1, of the same shape without the class axis: (N,).
    axis : int
        The class axis.
    sample_weight : array_like, optional
        Weights w ≥ 0 that broadcast to ``labels``: 1 for the tokens and 0 for the padding of ragged
        sequences, for example. By default all are 1.
    ignore_index : int, optional
        The label of elements that do not count. By default every label counts.

    Returns
    -------
    float
        A number of classes, without a unit, in the dtype of the logits, or in a wider one if its 16
        bits cannot hold it.

    Raises
    ------
    ValueError, IndexError, TypeError
        As ``sparse_categorical_cross_entropy_with_logits`` does.

    Notes
    -----
    The exponential of the mean loss, of a "weighted_mean" if there are weights: over batches of
    different size, average the losses of all elements first. The exponential turns the last bit of
    the mean into log PP bits: the error is at most 4 + 4 log PP ulp (float16: 1 ulp), for more than
    2,048 logits that of their mean loss times log PP. A mean over nothing is nan with a
    RuntimeWarning.

    References
    ----------
    F. Jelinek, R. L. Mercer, L. R. Bahl and J. K. Baker, "Perplexity: a measure of the difficulty
    of speech recognition tasks", Journal of the Acoustical Society of America 62 (1977), S63.

    Examples
    --------
    >>> import crossent
    >>> crossent.perplexity([[0.0, 0.0, 0.0, 0.0]], [2])
    np.float64(4.0)
    """
    array = _arrays.floating("logits", logits)
    build = FORMS[sparse_categorical_cross_entropy_with_logits]
    with np.errstate(all="ignore"):
        options = {"axis": axis, "sample_weight": sample_weight, "ignore_index": ignore_index}
        # Without weights the number of elements is the sum of theirs.
        reduction = "mean" if sample_weight is None else "weighted_mean"
        form = build(array, labels, **options, reduction=reduction)
        loss, _ = form.evaluate(want_gradient=False, dtype=WIDE)
        return scalar(np.exp(loss), array.dtype)


@np.errstate(all="ignore")
def _information(
    measure: Measure, arguments: dict[str, ArrayLike], axis: int, base: float | None
) -> Any:
    """Sum non-negative terms over the class axis, in units of the base."""
    arrays = {name: _arrays.floating(name, value) for name, value in arguments.items()}
    positions = {
        name: _validate.class_axis(name, array, axis) - array.ndim for name, array in arrays.items()
    }
    log_base = _validate.log_base(base)
    if len(arrays) > 1:
        _validate.same_classes(arrays, positions)
    arrays = {
        name: _validate.distribution(name, array, positions[name] + array.ndim)
        for name, array in arrays.items()
    }
    rows = [moved(array, positions[name], -1) for name, array in arrays.items()]
    if rows[0].shape != rows[-1].shape:
        rows = list(np.broadcast_arrays(*rows))
    dtype, one = _arrays.common_dtype(*arrays.values()), rows[0].ndim == 1
    result = measure(*rows, dtype=WIDE if one else dtype, unit=log_base)
    return scalar(result[()], dtype) if one else result


def entropy_with_logits(logits: ArrayLike, *, axis: int = -1, base: float | None = None) -> Any:
    r"""Entropy of the softmax of logits.

    .. math:: H(p) = -\sum_k p_k \log p_k, \qquad p = \operatorname{softmax}(z)

    Parameters
    ----------
    logits : array_like
        Logits z of any shape with a class axis; for example (N, C).
    axis, base
        As in ``entropy``.

    Returns
    -------
    float or numpy.ndarray
        In nats, or in units of the base, in the dtype of ``logits`` (float64 for integers), without
        ``axis``: (N,).

    Raises
    ------
    ValueError
        If the axis or base is not valid.
    TypeError
        If an argument is not made of real numbers.

    Notes
    -----
    Within 5 ulp (float16: 1 ulp) at any margin: for logits 40 and 0 it is 1.7e-16, where
    log Σ e^z − Σ p z gives 0. Below 1e-307 nats digits may be lost. A class at −∞ adds nothing, and
    one at +∞ leaves no surprise. Two of these have no limit and give nan, as do rows of −∞ only and
    a nan.

    More than 2,048 logits within 8 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88), which is faster.

    The same as ``torch.distributions.Categorical(logits=z).entropy()``.

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27
    (1948), 379-423.

    Examples
    --------
    >>> import crossent
    >>> crossent.entropy_with_logits([0.0, 0.0, 0.0, 0.0], base=2)
    np.float64(2.0)
    """
    array = _arrays.floating("logits", logits)
    axis = _validate.class_axis("logits", array, axis)
    log_base = _validate.log_base(base)

    rows = moved(array, axis, -1)
    one = array.ndim == 1
    result = _kernels.entropy_logits(log_base)(rows, 1, WIDE if one else array.dtype)[..., 0]
    return scalar(result[()], array.dtype) if one else result


@differentiable
def kl_divergence_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    *,
    axis: int = -1,
    temperature: float = 1.0,
    base: float | None = None,
) -> Form:
    r"""Kullback-Leibler divergence of two softmaxes, from their logits.

    .. math::

       D(p \,\|\, q) = \sum_k p_k \log\frac{p_k}{q_k},
       \qquad p = \operatorname{softmax}(z_p / T), \quad q = \operatorname{softmax}(z_q / T)

    Parameters
    ----------
    p_logits, q_logits : array_like
        Logits of the true distribution p and of q, of the same shape: nothing is broadcast.
    axis : int
        The class axis.
    temperature : float
        T > 0, which both are divided by. There is no factor T²: distillation multiplies by it.
    base : float, optional
        Base of the logarithm, positive and not 1: 2 for bits. By default nats.

    Returns
    -------
    float or numpy.ndarray
        In nats, or in units of the base, in the common dtype of the logits, without ``axis``: (N,)
        for (N, C). Their mean is the loss of distillation, up to T².

    Raises
    ------
    ValueError
        If the shapes differ, the temperature is not positive and finite, or the axis or base is
        not valid.
    TypeError
        If an argument is not made of real numbers.

    Notes
    -----
    Within 6 ulp (float16: 1 ulp), also where the two are nearly equal or as far apart as a mask
    makes them: it is never negative in a base above 1, and 0 only where the logits differ by a
    constant or the dtype has no number so small. With :math:`x_k`
    the difference of the logits over T less its mean under p, it is
    :math:`\log(1 + \sum_k p_k (e^{x_k} - 1 - x_k))`, a sum of terms ≥ 0. Below 1e-307 nats digits
    may be lost. Infinite logits give the limit: infinite where p has mass and q has none, while a
    class at −∞ in both adds nothing; nan only where there is none.

    Of more than 2,048 logits in float64 a divergence D of 1e-5 nats or more, and its gradient, is
    within :math:`10 + 3 / \sqrt{D} + 3 \max_k |z_k| / T` ulp instead of 6, where no logit z counts
    for more than 450 T, which is faster.

    ``grad`` and ``value_and_grad`` give the gradient with respect to ``q_logits``, the second
    argument: :math:`(q_j - p_j) / T` in units of the base, the gradient of the sum of what is
    returned. It is within 6 ulp of the larger of :math:`q_j / T` and :math:`p_j / T`, times
    :math:`\max_k |\log(q_k / p_k)|` where that is less than 1. There is no gradient for p.

    ``torch.nn.functional.kl_div`` with ``log_target=True`` and
    ``optax.losses.kl_divergence_with_log_targets`` take log-probabilities, q first,
    ``scipy.special.rel_entr`` and ``keras.losses.KLDivergence`` probabilities, p first. They lose
    what the terms of either sign cancel, and may be negative.

    References
    ----------
    S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical
    Statistics 22 (1951), 79-86. G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a
    neural network", arXiv:1503.02531 (2015), for the temperature.

    Examples
    --------
    >>> import crossent
    >>> crossent.kl_divergence_with_logits([1.0, 0.0], [1.0, 1e-8])
    np.float64(9.830596677217051e-18)
    >>> crossent.grad(crossent.kl_divergence_with_logits)([1.0, 0.0], [0.0, 0.0])
    array([-0.23105858,  0.23105858])
    """
    p, q = _arrays.floating("p_logits", p_logits), _arrays.floating("q_logits", q_logits)
    _validate.same_shape({"p_logits": p, "q_logits": q})
    axis = _validate.class_axis("p_logits", p, axis)
    temperature = _validate.positive("temperature", temperature)
    log_base = _validate.log_base(base)
    kernel = _kernels.kl_logits(temperature, log_base)
    q = q.astype(_arrays.common_dtype(p, q), copy=False)
    p, q = moved(p, axis, -1), moved(q, axis, -1)
    return Form(q, axis, kernel, Dense(p, None, 0.0), 1.0, "none")
