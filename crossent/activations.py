"""From logits to probabilities and their logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arrays, _kernels, _validate
from crossent._kernels import Function
from crossent._spans import WIDE, scalar


def logsumexp(
    z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False
) -> Any:
    r"""Logarithm of the sum of exponentials.

    .. math:: \operatorname{logsumexp}(z) = \log \sum_k e^{z_k}

    Parameters
    ----------
    z : array_like
        Logits, of any shape.
    axis : int, tuple of int or None
        The axis or axes to sum over; None for all of them.
    keepdims : bool
        Keep the summed axes with length 1.

    Returns
    -------
    numpy.ndarray or float
        In nats, in the dtype of ``z`` (float64 for integers), without the summed axes. A scalar
        where no axis is left.

    Raises
    ------
    ValueError
        If an axis does not exist, is named twice or is empty.
    TypeError
        If ``z`` is not made of real numbers, or an axis is not an integer.

    Notes
    -----
    A logit of −∞ adds nothing; only −∞ gives −∞, a +∞ gives +∞, a nan gives nan.

    The error is at most 8 ulp (float16: 1 ulp) of the largest logit or of the result, whichever is
    larger. Where the result is close to 0 it is ill-conditioned by nature: the last bit of the
    largest logit then matters more than all digits of the result. The losses do not go through
    this function.

    More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88) of the same, which is faster.

    The same as ``scipy.special.logsumexp``, whose default is all axes, and ``torch.logsumexp``,
    which has no default.

    References
    ----------
    P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41 (2021), 2311-2330.

    Examples
    --------
    >>> import crossent
    >>> crossent.logsumexp([1000.0, 1000.0])
    np.float64(1000.6931471805599)
    """
    array = _arrays.floating("z", z)
    reduced = _validate.axes("z", array, axis)
    rows, _ = _joined(array, reduced)
    whole = len(reduced) == array.ndim
    result = _kernels.LOGSUMEXP(rows, 1, WIDE if whole else array.dtype)[..., 0]
    if whole:
        result = np.asarray(scalar(result[()], array.dtype))
    return np.expand_dims(result, reduced)[()] if keepdims else result[()]


def softmax(z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1) -> NDArray[Any]:
    r"""Probabilities proportional to the exponentials of the logits.

    .. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}

    Parameters
    ----------
    z : array_like
        Logits, of any shape with a class axis.
    axis : int, tuple of int or None
        The class axis, or the axes whose probabilities add up to 1; None for all of them.

    Returns
    -------
    numpy.ndarray
        Probabilities of the shape and dtype of ``z`` (float64 for integers).

    Raises
    ------
    ValueError, TypeError
        As ``logsumexp`` does.

    Notes
    -----
    Every probability is within 6 ulp (float16: 1 ulp), however small: the rounding of
    :math:`z_k - z_{\max}` is repaired. A logit of −∞ gets 0. A single +∞ gets 1; two of them have
    no limit and give nan there, as do rows of −∞ only; a nan gives nan in its own row.

    More than 2,048 logits within 8 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88), which is faster. A probability below 1e-37 (float64: 1e-307) may be 0
    there.

    ``scipy.special.softmax``, ``torch.softmax`` and ``tf.nn.softmax`` give the same up to
    :math:`4 + |z_k - z_{\max}|` ulp, and nan for +∞. Of these, only SciPy takes several axes, by
    default all; ``keras.ops.softmax`` takes several, too.

    References
    ----------
    J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs, with
    relationships to statistical pattern recognition", Neurocomputing, NATO ASI Series 68 (1990),
    227-236.

    Examples
    --------
    >>> import crossent
    >>> crossent.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    return _along(_kernels.SOFTMAX, z, axis)


def log_softmax(z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1) -> NDArray[Any]:
    r"""Logarithms of the softmax probabilities.

    .. math:: \log p_k = z_k - \log \sum_j e^{z_j}

    Parameters
    ----------
    z : array_like
        Logits, of any shape with a class axis.
    axis : int, tuple of int or None
        The class axis, or axes, as in ``softmax``.

    Returns
    -------
    numpy.ndarray
        In nats, of the shape and dtype of ``z`` (float64 for integers).

    Raises
    ------
    ValueError, TypeError
        As ``logsumexp`` does.

    Notes
    -----
    Every entry is within 6 ulp (float16: 1 ulp), the entry of a class that is all but certain
    included: for logits 40 and 0 it is −4.2e-18, where SciPy, torch and TensorFlow give 0.
    A logit of −∞ gets −∞. A single +∞ gets 0 and the others −∞; two of them have no limit and give
    nan there, as do rows of −∞ only; a nan gives nan in its own row.

    More than 2,048 logits within 8 ulp (float32: :math:`8 + 2 \max_k |z_k|` ulp, where no logit
    counts for more than 88), which is faster.

    References
    ----------
    P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41 (2021), 2311-2330.

    Examples
    --------
    >>> import crossent
    >>> crossent.log_softmax([40.0, 0.0])
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _along(_kernels.LOG_SOFTMAX, z, axis)


def sigmoid(z: ArrayLike) -> Any:
    r"""Probability of the positive class, from its logit.

    .. math:: \sigma(z) = \frac{1}{1 + e^{-z}}

    Parameters
    ----------
    z : array_like
        Logits, of any shape.

    Returns
    -------
    numpy.ndarray or float
        Probabilities of the shape and dtype of ``z`` (float64 for integers).

    Raises
    ------
    TypeError
        If ``z`` is not made of real numbers.

    Notes
    -----
    Within 4 ulp (float16: 1 ulp). The same as ``scipy.special.expit``. Of more than 2,048 logits
    those below -87 (float64: -707) may give 0.

    References
    ----------
    D. R. Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical
    Society B 20 (1958), 215-242.

    Examples
    --------
    >>> import crossent
    >>> crossent.sigmoid(0.0)
    np.float64(0.5)
    """
    return _elementwise(_kernels.SIGMOID, z)


def log_sigmoid(z: ArrayLike) -> Any:
    r"""Logarithm of the probability of the positive class, from its logit.

    .. math:: \log \sigma(z) = -\log(1 + e^{-z})

    Parameters
    ----------
    z : array_like
        Logits, of any shape.

    Returns
    -------
    numpy.ndarray or float
        In nats, of the shape and dtype of ``z`` (float64 for integers).

    Raises
    ------
    TypeError
        If ``z`` is not made of real numbers.

    Notes
    -----
    Within 4 ulp (float16: 1 ulp). The same as ``scipy.special.log_expit`` and
    ``torch.nn.functional.logsigmoid``.

    References
    ----------
    M. Mächler, "Accurately computing log(1 − exp(−\|a\|))", vignette of the R package Rmpfr (2012).

    Examples
    --------
    >>> import crossent
    >>> crossent.log_sigmoid(40.0)
    np.float64(-4.248354255291589e-18)
    """
    return _elementwise(_kernels.LOG_SIGMOID, z)


def _along(function: Function, z: ArrayLike, axis: int | tuple[int, ...] | None) -> NDArray[Any]:
    array = _arrays.floating("z", z)
    axes = _validate.axes("z", array, axis)
    if axes == (array.ndim - 1,):
        return function(array, array.shape[-1], array.dtype)
    rows, order = _joined(array, axes)
    result = function(rows, rows.shape[-1], array.dtype)
    ordered = result.reshape([array.shape[one] for one in order])
    return ordered.transpose(np.argsort(order))[()]


def _joined(array: NDArray[Any], axes: tuple[int, ...]) -> tuple[NDArray[Any], list[int]]:
    """Return an array with some axes joined to be the last, and the order they are in before."""
    order = [*(one for one in range(array.ndim) if one not in axes), *axes]
    kept = [array.shape[one] for one in order[: array.ndim - len(axes)]]
    joined = math.prod(array.shape[one] for one in axes)
    return array.transpose(order).reshape(*kept, joined), order


def _elementwise(function: Function, z: ArrayLike) -> Any:
    array = _arrays.floating("z", z)
    return function(array[..., None], 1, array.dtype)[..., 0][()]
