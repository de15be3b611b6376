"""The canonical form of a loss: what it is of, as data, and how that becomes a number.

The words of the whole package: a *batch* is all leading axes, a *row* the predictions of one
element, a *span* the rows of one call of a kernel, a *tile* the part of a span that fits the
scratch. The *target* is what was asked for; the *mass* of a class is its class weight times its
smoothed target. A loss has a *weight*, and its gradient a *scale*: the weight by the divisor.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import Kernel
from crossent._kernels.fast import fits_float32
from crossent._kernels.masses import Masses
from crossent._spans import (
    SPAN,
    WIDE,
    Index,
    Shape,
    Span,
    empty_like,
    map_spans,
    moved,
    rows_of,
    scalar,
    spans,
)
from crossent._sums import row_sums, total

P = ParamSpec("P")
Weight = NDArray[Any] | float


class Labels(NamedTuple):
    """Class indices."""

    labels: NDArray[np.integer[Any]]  # of the shape of the batch
    class_weight: NDArray[Any] | None  # of the shape of the predictions, classes last
    smoothing: float
    classes: int
    all_valid: bool = True  # those that do not count may be no classes

    def of(self, index: Index) -> NDArray[np.intp]:
        """Return the labels of a span, 0 for what is no class."""
        y = self.labels[index].astype(np.intp, copy=False)
        return y if self.all_valid else np.where((y >= 0) & (y < self.classes), y, 0)

    def rows(self, index: Index, _: Any) -> tuple[Any, ...]:
        """Return the labels of a span, or the masses of all classes if they are smoothed."""
        y = self.of(index).reshape(-1)
        if self.smoothing == 0.0:
            return (y,)
        return (Masses(y, None, weights_of(self, index), self.smoothing, self.classes),)

    def mass(self, index: Index) -> Weight:
        """Return the mass of each label of a span, as if not smoothed."""
        if self.class_weight is None:
            return 1.0
        w = weights_of(self, index)
        masses = Masses(self.of(index).reshape(-1), None, w, 0.0, self.classes)
        return np.asarray(masses.hard())

    def asked(self) -> Any:
        """Tell which classes have a mass, if not smoothed."""
        return np.equal.outer(self.labels, np.arange(self.classes))


class Dense(NamedTuple):
    """Distributions over the classes."""

    targets: NDArray[Any]  # of the shape of the predictions, classes last, as is the next
    class_weight: NDArray[Any] | None
    smoothing: float

    def rows(self, index: Index, _: Any) -> tuple[Any, ...]:
        """Return the masses of the classes in a span."""
        targets = rows_of(self.targets, index)
        w = weights_of(self, index)
        return (Masses(None, targets, w, self.smoothing, self.targets.shape[-1]),)

    def mass(self, index: Index) -> Weight:
        """Return the sum of the masses of each row of a span, as if not smoothed."""
        if self.class_weight is None:
            return 1.0
        (masses,) = self._replace(smoothing=0.0).rows(index, WIDE)
        return row_sums(masses.of())

    def asked(self) -> Any:
        """Tell which classes have a mass, if not smoothed."""
        return self.targets != 0.0


def weights_of(target: Labels | Dense, index: Index) -> NDArray[Any] | None:
    """Return the class weights of the rows of a span, or the one row that is theirs."""
    w = target.class_weight
    if w is None:
        return None
    if not any(w.strides[:-1]):
        return np.asarray(w[(0,) * (w.ndim - 1)])[None]
    return rows_of(w, index)


class Pair(NamedTuple):
    """Targets t from 0 to 1, of the shape of the batch: t is of class 1, and 1 − t of class 0."""

    targets: NDArray[Any]
    weights: tuple[Weight, Weight]  # of class 1 and of class 0
    smoothing: float

    def rows(self, index: Index, dtype: Any) -> tuple[NDArray[Any], ...]:
        """Return the masses of both classes in a span, in a dtype that holds their weights."""
        if not all(map(fits_float32, self.weights)):
            dtype = WIDE
        # 1 − t keeps the digits that the targets came with.
        own = self.targets.dtype
        wide = np.promote_types(own, dtype) if own.kind == "f" else dtype
        t = self.targets[index].reshape(-1).astype(wide, copy=False)
        both = [t, 1.0 - t]
        if self.smoothing:
            both = [(1.0 - self.smoothing) * each + self.smoothing / 2.0 for each in both]
        both = [times(w, each, index) for w, each in zip(self.weights, both, strict=True)]
        return tuple([each.astype(dtype, copy=False) for each in both])

    def mass(self, index: Index) -> Any:
        """Return the sum of both masses of each element of a span, as if not smoothed."""
        return sum(self._replace(smoothing=0.0).rows(index, WIDE))


def times(weight: Weight, x: Any, index: Index) -> Any:
    """Return x of a span times weights of a batch."""
    if isinstance(weight, float):
        return x if weight == 1.0 else weight * x
    return weight[index].reshape(-1).astype(WIDE) * x


class Form(NamedTuple):
    """A loss with valid arguments."""

    predictions: NDArray[Any]  # (..., C), classes last; C is 1 in a binary loss
    axis: int | None  # where the classes were; None in a binary loss
    kernel: Kernel
    target: Labels | Dense | Pair
    weight: Weight  # of each element
    reduction: str
    counted: NDArray[np.bool_] | None = None  # which elements count; None for all

    def evaluate(self, *, want_gradient: bool, dtype: Any = None) -> tuple[Any, Any]:
        """Return the loss, by default in the dtype of the predictions, and any gradient wanted."""
        x, divisor = self.predictions, self.divisor()
        # What becomes a number on its own may not fit the dtype.
        own = x.dtype if x.ndim > 1 else WIDE
        each = np.empty(x.size // x.shape[-1], own) if self.reduction == "none" else None
        own = own if self.axis is None else x.dtype
        gradient = empty_like(x, own) if want_gradient else None

        def compute(index: Index, place: slice, scratch: NDArray[Any]) -> float:
            weight = self.weighted_mass(index) if self.kernel.of_labels else self.weights(index)
            scale = weight / divisor if divisor else 0.0 * weight
            filled = None if gradient is None else gradient[index].reshape(-1, x.shape[-1])
            span = Span(rows_of(x, index), weight, scale, filled, scratch, x.size)
            losses = self.kernel(span, *self.target.rows(index, scratch.dtype))
            if each is None:
                return float(losses.sum(dtype=WIDE)) if span.is_large else total(losses)
            each[place] = losses
            return 0.0

        sums = map_spans(compute, x, long=self.kernel.fast is not None)
        if each is None:
            value = scalar(total(sums) / divisor if divisor else np.nan, dtype or x.dtype)
        else:
            value = each.reshape(x.shape[:-1]) if x.ndim > 1 else scalar(each[0], x.dtype)
        return value, None if gradient is None else self.restore(gradient)

    def weights(self, index: Index) -> Any:
        """Return the weights of the elements of a span, 0 for what does not count."""
        counted = 1.0 if self.counted is None else self.counted[index].reshape(-1).astype(WIDE)
        return times(self.weight, counted, index)

    def weighted_mass(self, index: Index) -> Any:
        """Return the weights times the masses of the elements of a span, as if not smoothed."""
        return self.weights(index) * self.target.mass(index)

    def divisor(self) -> float:
        """Return what the losses, or their sum, are divided by."""
        if self.reduction in {"none", "sum"}:
            return 1.0
        shape = self.predictions.shape
        count = math.prod(shape[:-1]) if self.counted is None else int(self.counted.sum())
        return divide_by(self.reduction, count, self.weighted_mass, shape)

    def restore(self, x: NDArray[Any]) -> Any:
        """Return an array like the predictions, with the class axis where it was."""
        if self.axis is not None:
            return moved(x, -1, self.axis)
        return x[..., 0] if x.ndim > 1 else scalar(x[0], self.predictions.dtype)


def divide_by(reduction: str, count: int, mass: Callable[[Index], Any], shape: Shape) -> float:
    """Return what a sum of losses is divided by, and warn the caller if that is nothing."""
    divisor = float(count) if reduction == "mean" else 1.0
    if reduction == "weighted_mean":
        sums = [
            total(np.broadcast_to(mass(index), place.stop - place.start).astype(WIDE))
            for index, place in spans(shape[:-1], max(1, SPAN // shape[-1]))
        ]
        divisor = total(sums)
    if divisor == 0.0:
        message = "mean over nothing is nan: every element is ignored, of weight 0, or missing"
        frame, level = sys._getframe().f_back, 2  # noqa: SLF001
        while frame and frame.f_globals.get("__name__", "").startswith("crossent."):
            frame, level = frame.f_back, level + 1
        warnings.warn(message, RuntimeWarning, stacklevel=level)
    return divisor


FORMS: dict[Callable[..., Any], Callable[..., Any]] = {}


def differentiable(build: Callable[P, Any]) -> Callable[P, Any]:
    """Turn a function that builds a form into the loss, and remember it for the gradient."""

    @wraps(build)
    def loss(*args: P.args, **kwargs: P.kwargs) -> Any:
        with np.errstate(all="ignore"):
            return build(*args, **kwargs).evaluate(want_gradient=False)[0]

    build.__annotations__["return"] = Any  # for help(): callers get a number or an array
    FORMS[loss] = build
    return loss
