"""Cross-entropy of a linear layer, whose logits are never all in memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent import _kernels, _validate
from crossent._forms import Form, Labels, differentiable, divide_by
from crossent._kernels import fast
from crossent._spans import WIDE, Array
from crossent._sums import block_sums, total

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
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
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
    label_smoothing, ignore_index, reduction
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
    common dtype (float32 for float16) and, for these logits, the error that it states for more
    than 65,536 of them (smoothed, in float64, 10 + 2 max abs(logits) ulp). Half a million logits
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
    logits = np.broadcast_to(h.dtype.type(0.0), (*h.shape[:-1], len(w)))
    y, counted = _validate.labels(labels, "hidden @ weight.T", logits, h.ndim - 1, ignore_index)
    class_weights = _validate.weight_of_classes(class_weight, len(w))
    smoothing = _validate.fraction("label_smoothing", label_smoothing)
    _validate.reduction(reduction)
    kept = np.ones(y.size, bool) if counted is None else counted.reshape(-1)
    count = int(kept.sum())
    y = y.reshape(-1)
    mass = kept * class_weights[y]
    divisor = divide_by(reduction, count, lambda index: mass[index], mass.shape)
    if smoothing == 0.0:
        kept = mass > 0.0
    return LinearForm(h, w, b, y, kept, class_weights, smoothing, divisor, reduction)


class LinearForm(NamedTuple):
    """The loss with valid arguments: see `losses.Form`."""

    hidden: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    labels: NDArray[np.intp]  # (N,)
    kept: NDArray[np.bool_]  # (N,)
    class_weight: Array  # (V,)
    smoothing: float
    divisor: float
    reduction: str

    def evaluate(self, *, with_gradient: bool) -> tuple[Any, LinearGradient | None]:
        """Return the loss and, if wanted, its gradient."""
        dtype = np.result_type(self.hidden, self.weight)
        work = np.result_type(dtype, np.float32)
        layer = Layer(
            self.hidden.reshape(len(self.labels), self.hidden.shape[-1]).astype(work, copy=False),
            self.weight.astype(work, copy=False),
            None if self.bias is None else self.bias.astype(work, copy=False),
            self.labels,
            self.class_weight,
            self.smoothing,
            1.0 / self.divisor if self.divisor else 0.0,
        )
        slopes = layer.zeros() if with_gradient else None
        each = np.zeros(len(self.labels))
        rows = np.flatnonzero(self.kept)
        for start in range(0, len(rows), ROWS):
            which = rows[start : start + ROWS]
            each[which] = layer.work(which, slopes)
        value = np.reshape(each, self.hidden.shape[:-1])
        if self.reduction != "none":
            value = np.asarray(total(each) / self.divisor if self.divisor else np.nan)
        if slopes is not None:
            slopes = LinearGradient(
                slopes.hidden.reshape(self.hidden.shape).astype(dtype, copy=False),
                slopes.weight.astype(dtype, copy=False),
                None if slopes.bias is None else slopes.bias.astype(dtype, copy=False),
            )
        return value.astype(dtype)[()], slopes


class Layer(NamedTuple):
    """A linear layer, its labels, and what the loss of them is weighted with."""

    hidden: NDArray[Any]  # (N, D), float32 or float64 like the next two
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    labels: NDArray[np.intp]
    class_weight: Array
    smoothing: float
    scale: float  # of the gradient

    def zeros(self) -> LinearGradient:
        """Return a gradient to add to."""
        bias = None if self.bias is None else np.zeros_like(self.bias)
        return LinearGradient(np.zeros_like(self.hidden), np.zeros_like(self.weight), bias)

    def work(self, which: NDArray[np.intp], slopes: LinearGradient | None) -> Array:
        """Return the losses of some rows, and add their gradient to ``slopes``."""
        h, y = self.hidden[which], self.labels[which]
        scratch = np.empty(max(LOGITS, len(h)), h.dtype)
        one, others, linear = np.empty(len(h)), np.zeros(len(h)), np.zeros(len(h))
        for block, z, own in self.blocks(h, y, scratch):
            one[own[0]] = np.exp(z[own], dtype=WIDE)
            if self.smoothing:
                linear += np.einsum("ij,j->i", z, self.class_weight[block], dtype=WIDE)
            e = fast.exponentials(z, z.reshape(-1))
            e[own] = 0.0
            others += block_sums(e)

        # A class has the share w_k ε / V of the target, the label w_y (1 − ε) besides.
        hard = (1.0 - self.smoothing) * self.class_weight[y]
        soft = self.smoothing / len(self.weight) * self.class_weight
        whole = others + one
        result: Array = hard * np.log1p(others / one)
        if self.smoothing:
            result += soft.sum() * np.log(whole) - self.smoothing / len(self.weight) * linear
        share = hard + soft.sum()
        factor = self.scale * share / whole
        good = fast.sums_are_safe(others, one, h.dtype)
        good &= np.isfinite(linear)  # a class at −∞ with a weight of 0 makes it nan
        good &= fast.factor_is_safe(factor, self.scale * share, h.dtype)
        if slopes is not None:
            at_label = self.scale * ((soft.sum() * one - hard * others) / whole - soft[y])
            if not good.all():
                h[~good] = 0.0
            slopes.hidden[which] = 0.0
            for block, z, own in self.blocks(h, y, scratch):
                e = fast.exponentials(z, z.reshape(-1))
                e *= factor.astype(e.dtype)[:, None]
                if self.smoothing:
                    e -= (self.scale * soft[block]).astype(e.dtype)
                e[own] = at_label[own[0]]
                e[~good] = 0.0
                slopes.hidden[which] += e @ self.weight[block]
                slopes.weight[block] += e.T @ h
                if slopes.bias is not None:
                    slopes.bias[block] += e.sum(axis=0)
        bad = np.flatnonzero(~good)
        step = max(1, LOGITS // len(self.weight))
        for start in range(0, len(bad), step):
            rows = bad[start : start + step]
            result[rows] = self.carefully(which[rows], slopes)
        return result

    def blocks(
        self, h: NDArray[Any], y: NDArray[np.intp], scratch: NDArray[Any]
    ) -> Iterator[tuple[slice, NDArray[Any], tuple[NDArray[np.intp], NDArray[np.intp]]]]:
        """Yield the classes in blocks: which, their logits, and where in them the labels are."""
        step = scratch.size // len(h)
        for start in range(0, len(self.weight), step):
            block = slice(start, min(start + step, len(self.weight)))
            z = scratch[: len(h) * (block.stop - start)].reshape(len(h), -1)
            np.matmul(h, self.weight[block].T, out=z)
            if self.bias is not None:
                z += self.bias[block]
            rows = np.flatnonzero((y >= start) & (y < block.stop))
            yield block, z, (rows, y[rows] - start)

    def carefully(self, rows: NDArray[np.intp], slopes: LinearGradient | None) -> Array:
        """Return the losses of rows whose logits are not moderate, and add their gradient."""
        h = self.hidden[rows]
        z = h @ self.weight.T
        if self.bias is not None:
            z += self.bias
        weight = np.broadcast_to(self.class_weight, z.shape)
        target = Labels(self.labels[rows], None, weight, self.smoothing, len(self.weight))
        kernel = _kernels.DENSE_LOGITS if self.smoothing else _kernels.LABEL_LOGITS
        form = Form(z, -1, kernel, target, 1.0, "none")
        result, slope = form.evaluate(with_gradient=slopes is not None)
        if slopes is not None:
            slope *= self.scale
            slopes.hidden[rows] = slope @ self.weight
            step = max(1, LOGITS // max(1, h.shape[1]))
            for start in range(0, len(self.weight), step):
                part = slice(start, start + step)
                slopes.weight[part] += slope[:, part].T @ h
            if slopes.bias is not None:
                np.add(slopes.bias, slope.sum(axis=0), out=slopes.bias)
        return np.asarray(result)
