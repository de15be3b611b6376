"""Cross-entropy of a linear layer, whose logits are never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _arrays, _kernels, _validate
from crossent._forms import Form, Labels, differentiable, divide_by
from crossent._kernels import fast
from crossent._spans import WIDE, Array, scalar
from crossent._sums import block_sums, total
from crossent._validate import Counted, Reduction

ROWS = 1 << 10  # of `hidden` at a time: enough to make a matrix product efficient
LOGITS = 1 << 19  # at a time


class LinearGradient(NamedTuple):
    """The gradient of the loss of a linear layer; ``bias`` is None where there is none."""

    hidden: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any] | None


@differentiable
def linear_cross_entropy(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> LinearForm:
    r"""Cross-entropy of the logits of a linear layer, which are never all in memory.

    .. math:: \ell = -w_y \log \operatorname{softmax}(W h + b)_y

    Parameters
    ----------
    hidden : array_like
        Inputs h of the layer: (N, D), or (..., D).
    weight : array_like
        Weight W of the layer, (V, D) for V classes, as in torch.
    labels : array_like
        Integers y from 0 to V − 1, of the shape of ``hidden`` without its last axis.
    bias : array_like, optional
        Bias b of the layer, (V,).
    class_weight : array_like, optional
        Weights w ≥ 0 of the classes, (V,).
    sample_weight, label_smoothing, ignore_index, reduction
        As in ``sparse_categorical_cross_entropy_with_logits``.

    Returns
    -------
    float or numpy.ndarray
        In nats, in the common dtype of ``hidden`` and ``weight``; of the shape of ``labels`` for
        "none".

    Raises
    ------
    ValueError, IndexError, TypeError
        As ``sparse_categorical_cross_entropy_with_logits`` does; ValueError also if the shapes of
        ``hidden``, ``weight`` and ``bias`` do not fit.

    Notes
    -----
    That loss of ``hidden @ weight.T + bias``, with the rounding of NumPy's matrix product in the
    common dtype (float32 for 16 bits) and, for these logits, the error that it states for more
    than 2,048 of them (smoothed, in float64, 10 + 2 max abs(logits) ulp). Half a million logits
    are held at a time; the gradient computes them again. The threads are those of the matrix
    product.

    ``value_and_grad`` and ``grad`` give the gradient as a named tuple of arrays in the common
    dtype, ``hidden``, ``weight`` and ``bias``. ``torch.nn.functional.linear_cross_entropy``, new in
    torch 2.13, takes the same arrays.

    References
    ----------
    E. Wijmans, B. Huval, A. Hertzberg, V. Koltun and P. Krähenbühl, "Cut your losses in
    large-vocabulary language models", ICLR 2025, arXiv:2411.09009.

    Examples
    --------
    >>> import crossent
    >>> hidden, weight = [[1.0, 0.0]], [[2.0, 1.0], [0.0, 3.0]]
    >>> crossent.linear_cross_entropy(hidden, weight, [0])
    np.float64(0.1269280110429725)
    """
    h, w, b = _validate.linear(hidden, weight, bias)
    logits = (*h.shape[:-1], len(w))
    sample = _validate.weight("sample_weight", sample_weight, logits[:-1])
    given, counted, all_valid = _validate.labels(
        labels, "hidden @ weight.T", logits, h.ndim - 1, ignore_index, Counted(sample)
    )
    class_weights = _validate.weight_of_classes(class_weight, len(w))
    smoothing = _validate.fraction("label_smoothing", label_smoothing)
    _validate.reduction(reduction)
    y = Labels(given, None, 0.0, len(w), all_valid).of(())
    counted = np.ones(y.shape, bool) if counted is None else counted
    sample = (counted * sample).reshape(-1).astype(WIDE)
    mass = sample * class_weights[y].reshape(-1)
    divisor = divide_by(reduction, int(counted.sum()), lambda index: mass[index], (mass.size, 1))
    # Smoothed, a label without mass leaves the masses of the other classes.
    rows = np.flatnonzero(sample if smoothing else mass)
    shapes, dtype = (h.shape, y.shape), _arrays.common_dtype(h, w)
    wide = np.result_type(dtype, np.float32)
    h, w, b = (_cast(each, wide) for each in (h.reshape(y.size, h.shape[-1]), w, b))
    y = y.reshape(-1)
    weights = sample, class_weights
    return LinearForm(h, w, b, y, rows, *weights, smoothing, divisor, reduction, shapes, dtype)


def _cast(array: Any, dtype: Any) -> Any:
    return None if array is None else array.astype(dtype, copy=False)


class LinearForm(NamedTuple):
    """The loss with valid arguments: see `_forms.Form`."""

    hidden: NDArray[Any]  # (N, D), float32 or float64 like the next two
    weight: NDArray[Any]  # (V, D)
    bias: NDArray[Any] | None  # (V,)
    labels: NDArray[np.intp]  # (N,)
    rows: NDArray[np.intp]  # that have a mass
    sample_weight: Array  # (N,), 0 for what does not count
    class_weight: Array  # (V,)
    smoothing: float
    divisor: float
    reduction: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]  # of hidden and labels, as they were given
    dtype: np.dtype[Any]  # of the result

    def evaluate(self, *, want_gradient: bool) -> tuple[Any, LinearGradient | None]:
        """Return the loss and, if wanted, its gradient."""
        losses = np.zeros(len(self.labels))
        gradient = None
        if want_gradient:
            bias = None if self.bias is None else np.zeros_like(self.bias)
            gradient = LinearGradient(np.zeros_like(self.hidden), np.zeros_like(self.weight), bias)
        for start in range(0, len(self.rows), ROWS):
            rows = self.rows[start : start + ROWS]
            losses[rows] = self.sample_weight[rows] * self.losses(rows, gradient)
        value: Any = losses.reshape(self.shapes[1])
        if self.reduction != "none":
            value = total(losses) / self.divisor if self.divisor else np.nan
        value = value.astype(self.dtype) if np.ndim(value) else scalar(value, self.dtype)
        if gradient is not None:
            h, w, b = (_cast(each, self.dtype) for each in gradient)
            gradient = LinearGradient(h.reshape(self.shapes[0]), w, b)
        return value, gradient

    def scale(self, rows: NDArray[np.intp]) -> Array:
        """Of the gradient of some rows."""
        weight = self.sample_weight[rows]
        return weight / self.divisor if self.divisor else 0.0 * weight

    def losses(self, rows: NDArray[np.intp], gradient: LinearGradient | None) -> Array:
        """Return the losses of some rows, unweighted, and add their gradient to ``gradient``."""
        chunks = Chunks(self, rows)
        one, others, linear = chunks.sums()
        # A class has the mass w_k ε / V, the label w_y (1 − ε) besides.
        soft = self.smoothing / len(self.weight) * self.class_weight
        hard, all_soft = (1.0 - self.smoothing) * self.class_weight[chunks.labels], soft.sum()
        scale, whole = self.scale(rows), others + one
        mass = scale * (hard + all_soft)
        losses, sure = fast.from_sums(others, one, mass / whole, mass, self.hidden.dtype)
        losses *= hard
        if self.smoothing:
            losses += all_soft * np.log(whole) - self.smoothing / len(self.weight) * linear
            sure &= np.isfinite(linear)  # a class at −∞ with a weight of 0 makes it nan
            sure &= ~self.is_lopsided(chunks.hidden, whole)
        if gradient is not None:
            at_label = (all_soft * one - hard * others) / whole - soft[chunks.labels]
            scaled = mass / whole, scale * at_label, (scale, soft)
            chunks.add_gradient(*scaled, ~sure, gradient)
        again = (~sure).nonzero()[0]
        step = max(1, LOGITS // len(self.weight))
        for start in range(0, len(again), step):
            some = again[start : start + step]
            losses[some] = self.redo(rows[some], gradient)
        return losses

    def is_lopsided(self, hidden: NDArray[Any], whole: Array) -> Any:
        """Tell of rows whether one class has most of the class weights and of the probability.

        Then the others make up the loss and the gradient, of which the sums over all leave little.
        """
        heavy = self.class_weight.argmax()
        if 2.0 * self.class_weight[heavy] <= self.class_weight.sum():
            return np.False_
        z = hidden @ self.weight[heavy] + (0.0 if self.bias is None else self.bias[heavy])
        return ~(np.exp(z, dtype=WIDE) <= 0.5 * whole)

    def redo(self, rows: NDArray[np.intp], gradient: LinearGradient | None) -> Array:
        """Return the losses of rows with all their logits, unweighted, and add their gradient."""
        h = self.hidden[rows]
        z = h @ self.weight.T
        if self.bias is not None:
            z += self.bias
        weight = np.broadcast_to(self.class_weight, z.shape)
        target = Labels(self.labels[rows], weight, self.smoothing, len(self.weight))
        kernel = _kernels.DENSE_LOGITS if self.smoothing else _kernels.LABEL_LOGITS
        form = Form(z, 1, kernel, target, 1.0, "none")
        losses, of_logits = form.evaluate(want_gradient=gradient is not None)
        if gradient is not None:
            of_logits *= self.scale(rows)[:, None]
            gradient.hidden[rows] = of_logits @ self.weight
            step = max(1, LOGITS // max(1, h.shape[1]))
            for start in range(0, len(self.weight), step):
                classes = slice(start, start + step)
                gradient.weight[classes] += of_logits[:, classes].T @ h
            if gradient.bias is not None:
                np.add(gradient.bias, of_logits.sum(axis=0), out=gradient.bias)
        return np.asarray(losses)


class Chunks:
    """The logits of some rows of a layer, a chunk of classes at a time."""

    def __init__(self, form: LinearForm, rows: NDArray[np.intp]) -> None:
        self.form, self.rows = form, rows
        self.hidden, self.labels = form.hidden[rows], form.labels[rows]
        self.scratch = np.empty(max(LOGITS, len(rows)), self.hidden.dtype)

    def __iter__(self) -> Iterator[tuple[slice, NDArray[Any], tuple[Any, Any]]]:
        """Yield chunks: which classes, their logits, and where in them the labels are."""
        rows, classes = len(self.hidden), len(self.form.weight)
        step = self.scratch.size // rows
        for start in range(0, classes, step):
            chunk = slice(start, min(start + step, classes))
            z = self.scratch[: rows * (chunk.stop - start)].reshape(rows, -1)
            np.matmul(self.hidden, self.form.weight[chunk].T, out=z)
            if self.form.bias is not None:
                z += self.form.bias[chunk]
            inside = np.flatnonzero((self.labels >= start) & (self.labels < chunk.stop))
            yield chunk, z, (inside, self.labels[inside] - start)

    def sums(self) -> tuple[Array, Array, Array]:
        """Return e^z of the label, the sum of the others, and Σ w z if that is needed."""
        one, others, linear = np.zeros((3, len(self.hidden)))
        for chunk, z, own in self:
            one[own[0]] = np.exp(z[own], dtype=WIDE)
            if self.form.smoothing:
                linear += np.einsum("ij,j->i", z, self.form.class_weight[chunk], dtype=WIDE)
            e = fast.exponentials(z, z.reshape(-1))
            e[own] = 0.0
            others += block_sums(e)
        return one, others, linear

    def add_gradient(
        self,
        factor: Array,
        at_label: Array,
        soft: tuple[Array, Array],  # of the rows and of the classes: their product is meant
        unsure: Any,
        gradient: LinearGradient,
    ) -> None:
        """Add the gradient of the rows that are sure: factor · e^z − soft, or that at the label."""
        self.hidden[unsure] = 0.0
        for chunk, z, own in self:
            e = fast.exponentials(z, z.reshape(-1))
            e *= factor.astype(e.dtype)[:, None]
            if self.form.smoothing:
                e -= np.multiply.outer(soft[0], soft[1][chunk]).astype(e.dtype)
            e[own] = at_label[own[0]]
            e[unsure] = 0.0
            gradient.hidden[self.rows] += e @ self.form.weight[chunk]
            gradient.weight[chunk] += e.T @ self.hidden
            if gradient.bias is not None:
                gradient.bias[chunk] += e.sum(axis=0)
