"""The one place that turns bad input into a clear error.

Each function takes the name the caller knows the argument by, and returns the argument in the form
the rest of the package works with.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Literal, NamedTuple, NoReturn, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent._arrays import Floats, as_array, element, floating, real, refuse_dtype
from crossent._spans import SHARED, SPAN, Index, Shape, in_threads, is_turned, moved, rows_of, spans
from crossent._sums import block_sums

Reduction = Literal["none", "sum", "mean", "weighted_mean"]
REDUCTIONS = get_args(Reduction)

CHECKED = 1 << 18  # probabilities at a time
ROUGH = 1 << 13  # at a time in a product, which BLAS then leaves to a single thread
ONES: dict[int, NDArray[Any]] = {4: np.ones(64, np.float32), 8: np.ones(64)}


def number(name: str, value: float, low: float, high: float, rule: str) -> float:
    """Return one finite real number from low to high."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r}: it must be one real number")
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"{name} is {value}: it must be {rule}")
    return float(value)


def positive(name: str, value: float) -> float:
    """Return one positive finite number."""
    return number(name, value, 5e-324, np.inf, "positive and finite")


def fraction(name: str, value: float) -> float:
    """Return a number from 0 to 1."""
    return number(name, value, 0.0, 1.0, "from 0 to 1")


def _integer(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} is {value!r}: it must be an integer") from error


def positive_integer(name: str, value: int) -> int:
    """Return an integer from 1."""
    found = _integer(name, value)
    if found < 1:
        raise ValueError(f"{name} is {found}: it must be 1 or more")
    return found


def log_base(base: float | None) -> float:
    """Return the natural logarithm of the base, 1 for nats."""
    rule = "positive and not 1; None means nats, 2 means bits"
    log = 1.0 if base is None else math.log(number("base", base, 5e-324, np.inf, rule))
    if log == 0.0:
        raise ValueError(f"base is {base}: it must be {rule}")
    return log


def reduction(value: str) -> None:
    """Refuse an unknown reduction."""
    if value not in REDUCTIONS:
        known = ", ".join(map(repr, REDUCTIONS))
        raise ValueError(f"reduction is {value!r}: it must be one of {known}")


def axes(name: str, array: Floats, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Return distinct axes of ``array``, none of them empty, counted from 0."""
    if axis is None:
        axis = tuple(range(array.ndim))
    found = [_integer("axis", one) for one in (axis if isinstance(axis, tuple) else (axis,))]
    if [one for one in found if not -array.ndim <= one < array.ndim]:
        raise ValueError(
            f"axis is {axis}, but {name} has shape {array.shape}: an axis is from {-array.ndim} "
            f"to {array.ndim - 1}"
            if array.ndim
            else f"{name} is a single number: it needs a class axis"
        )
    found = [one % array.ndim for one in found]
    if len(set(found)) < len(found):
        raise ValueError(
            f"axis is {axis}, which names an axis of {name} twice: name each axis once"
        )
    if 0 in [array.shape[one] for one in found]:
        raise ValueError(
            f"{name} has shape {array.shape}, empty along axis {axis}: it needs a class"
        )
    return tuple(found)


def class_axis(name: str, array: Floats, axis: int) -> int:
    """Return the class axis, counted from 0."""
    return axes(name, array, _integer("axis", axis))[0]


def same_shape(arrays: dict[str, Floats]) -> None:
    """Refuse two arrays of different shapes."""
    (first, a), (second, b) = arrays.items()
    if a.shape != b.shape:
        remedy = "give both the same shape, for nothing is broadcast"
        raise _mismatch(first, a.shape, second, b.shape, remedy)


def same_classes(arrays: dict[str, Floats], axes: dict[str, int]) -> None:
    """Refuse arrays whose class axes differ or whose other axes do not broadcast."""
    classes = {(axes[name], array.shape[axes[name]]) for name, array in arrays.items()}
    if len(classes) == 1 and len({array.shape for array in arrays.values()}) == 1:
        return
    with suppress(ValueError):
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
        if len(classes) == 1:
            return
    shapes = " and ".join(f"{name} has shape {array.shape}" for name, array in arrays.items())
    raise ValueError(
        f"{shapes}: they need the same classes, and other axes that are equal or broadcast"
    )


class Counted(NamedTuple):
    """What of the predictions and targets of a loss counts; the rest is not looked at."""

    sample: Floats | float = 1.0  # weights of the shape of the batch
    kept: NDArray[np.bool_] | None = None  # of the batch: what is not ignored
    classes: Floats | None = None  # weights of the shape of the predictions, classes last

    def rows(self) -> Any:
        """Tell which elements of the batch count."""
        counts = np.not_equal(self.sample, 0.0)
        if self.kept is not None:
            counts = counts & self.kept
        return counts if self.classes is None else counts & (self.classes != 0.0).any(axis=-1)

    def entries(self) -> Any:
        """Tell which classes of which elements count."""
        counts = np.expand_dims(self.rows(), -1)
        return counts if self.classes is None else counts & (self.classes != 0.0)


ALL = Counted()


def tolerance(dtype: np.dtype[Any], classes: int = 1) -> float:
    """Return how far rounding may move the sum of so many probabilities from 1.

    It is 64·√C·ε, where ε is the spacing of 1 in float32, for what was computed in float32 may
    arrive in any type, and 1 % at most. In 16 bits it is 1 %, or C/2²⁵ if that is more, as it is
    where the probabilities of float16 are subnormal.
    """
    if dtype.itemsize == 2:
        return max(0.01, classes * 2.0**-25)
    return min(64.0 * 2.0**-23 * math.sqrt(classes), 0.01)


def probabilities(name: str, array: Floats, remedy: str, counted: Counted = ALL) -> Floats:
    """Return probabilities: a rounding above 1 is 1, and what does not count is 0 if it is none."""
    return _probabilities(name, array, remedy, counted.rows)[0]


def _probabilities(
    name: str, array: Floats, remedy: str, counts: Callable[[], Any]
) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Return probabilities, and if any is not in [0, 1], which are none and do not count."""

    def is_plain(index: Index) -> bool:
        return _in_unit_interval(array[index])

    pieces = [index for index, _ in spans(array.shape, SHARED)]
    if all(in_threads(lambda: is_plain, pieces, array.size)):
        return array, None
    none = ~((array >= 0.0) & (array <= 1.0 + tolerance(array.dtype)))
    bad = none & counts()
    if bad.any():
        _refuse_first(name, array, bad, f"probabilities lie in [0, 1]{remedy}")
    zero, one = array.dtype.type(0), array.dtype.type(1)
    return np.where(none, zero, np.minimum(array, one)), none


def distribution(
    name: str,
    array: Floats,
    axis: int,
    remedy: str = "",
    counted: Counted = ALL,
    asked: Callable[[], Any] | None = None,
) -> Floats:
    """Return probabilities that sum to 1 along ``axis``; what is not asked for may be nan.

    A row with something that does not count and is no probability has no sum to look at.
    """
    batch, allowed = _without(axis, array.shape), tolerance(array.dtype, array.shape[axis])
    given = moved(array, axis, -1)

    def is_plain(index: Index) -> bool:
        x = rows_of(given, index)
        return _in_unit_interval(x) and bool(_is_one(_rough_sums(x), allowed).all())

    indices = [index for index, _ in spans(batch, max(1, CHECKED // given.shape[-1]))]
    if all(in_threads(lambda: is_plain, indices, array.size)):
        return array

    def counts() -> Any:
        entries = np.broadcast_to(counted.entries(), (*batch, array.shape[axis]))
        if asked is not None:
            entries = entries & (asked() | ~np.isnan(moved(array, axis, -1)))
        return moved(entries, -1, axis)

    found, none = _probabilities(name, array, remedy, counts)
    rows = moved(found, axis, -1)
    rows_that_count = cache(lambda: np.broadcast_to(counted.rows(), batch))

    def wrong(span: tuple[Index, slice]) -> tuple[int, float] | None:
        """Return the first row that does not sum to 1 though it counts, and its sum."""
        index, place = span
        x = rows_of(rows, index)
        doubtful = np.flatnonzero(~_is_one(_rough_sums(x), allowed))
        if len(doubtful) == 0:
            return None
        x = x if len(doubtful) == len(x) else x[doubtful]
        sums = x.sum(axis=-1, dtype=np.float64)
        bad = np.abs(sums - 1.0) > allowed
        bad &= rows_that_count()[index].reshape(-1)[doubtful]
        if none is not None:
            bad &= ~moved(none, axis, -1)[index].any(axis=-1).reshape(-1)[doubtful]
        if not np.count_nonzero(bad):
            return None
        first = int(np.argmax(bad))
        return place.start + int(doubtful[first]), sums[first]

    pieces = list(spans(batch, max(1, CHECKED // rows.shape[-1])))
    for found_wrong in filter(None, in_threads(lambda: wrong, pieces, array.size)):
        first, its_sum = found_wrong
        at: list[Any] = list(map(int, np.unravel_index(first, batch)))
        at.insert(axis, ":")
        raise ValueError(
            f"{element(name, tuple(at))} sums to {its_sum:.9g}, not 1 (within "
            f"{allowed:.1g}): divide counts or weights by their sum{remedy}"
        )
    return found


def _in_unit_interval(x: NDArray[Any]) -> bool:
    """Tell whether all of x is in [0, 1]."""
    if x.dtype.kind not in "iub":
        # As unsigned integers they have the same order, and −0, negative numbers and nan are above
        # all others: a single pass, in 16 bits, too.
        unsigned, one = _unsigned(x.dtype)
        if x.view(unsigned).max(initial=0) <= one:
            return True
    return bool(x.min(initial=0.0) >= 0.0 and x.max(initial=1.0) <= 1.0)


@cache
def _unsigned(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """Return the unsigned integers of the size of a float, and what 1 is as one of them."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return unsigned, int(np.ones((), dtype).view(unsigned))


def _is_one(sums: NDArray[Any], allowed: float) -> NDArray[np.bool_]:
    """Tell which are 1 though rounded as in `_rough_sums`: within half of what is allowed."""
    close: NDArray[np.bool_] = np.abs(sums - 1.0) <= allowed / 2.0
    return close


def _rough_sums(x: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of rows of numbers in [0, 1], with a rounding below half the `tolerance`."""
    x = x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False)
    count, classes = x.shape
    if classes > len(ONES[4]) or is_turned(x):
        return block_sums(x)
    ones, sums = ONES[x.itemsize][:classes], np.empty(count, x.dtype)
    rows = ROUGH // classes
    for start in range(0, count, rows):
        np.dot(x[start : start + rows], ones, out=sums[start : start + rows])
    return sums


def scores(name: str, value: ArrayLike, axis: int) -> tuple[Floats, int]:
    """Return the predictions of a loss over two or more classes, and the class axis."""
    array = floating(name, value)
    position = class_axis(name, array, axis)
    if array.shape[position] == 1:
        binary = "binary_cross_entropy" + "_with_logits" * (name == "logits")
        raise ValueError(
            f"{name} has shape {array.shape}, a single class along axis {axis}, for which the loss "
            f"is always 0: for two classes from one output use {binary}({name}.squeeze({axis}), …)"
        )
    return array, position


def labels(
    value: ArrayLike,
    predictions: str,
    shape: Shape,
    axis: int,
    ignore_index: int | None,
    counted: Counted = ALL,
) -> tuple[NDArray[np.integer[Any]], NDArray[np.bool_] | None, bool]:
    """Return class indices, a mask if any is ignored, and whether all are valid, counted or not."""
    found, classes = _indices(value, predictions, shape, axis), shape[axis]
    kept, rows = None, None
    if ignore_index is not None:
        kept = found != _integer("ignore_index", ignore_index)
    if found.view(f"u{found.itemsize}").max(initial=0) < classes:  # negative ones are large, too
        return found, kept, True
    for span, place in spans(found.shape, SPAN):
        wrong = ((found[span] < 0) | (found[span] >= classes)).reshape(-1)
        if not np.count_nonzero(wrong):
            continue
        if rows is None:
            rows = np.broadcast_to(counted._replace(kept=kept).rows(), found.shape)
        wrong &= rows[span].reshape(-1)
        if np.count_nonzero(wrong):
            first = place.start + int(np.argmax(wrong))
            index = tuple(map(int, np.unravel_index(first, found.shape)))
            raise IndexError(
                f"{element('labels', index)} is {found[index]}: the labels of {classes} classes "
                f"are 0 to {classes - 1}; to leave out a label, name it as ignore_index"
            )
    return found, kept, rows is None


def _indices(
    value: ArrayLike, predictions: str, shape: Shape, axis: int
) -> NDArray[np.integer[Any]]:
    """Return integers of the shape that labels of such predictions have."""
    found = as_array("labels", value)
    if found.size == 0:
        found = found.astype(np.intp)  # [] has no type of its own
    if found.shape != _without(axis, shape):
        remedy = _remedy_for_labels(found.shape, predictions, shape, axis)
        raise _mismatch("labels", found.shape, predictions, shape, remedy)
    if found.dtype.kind in "UST" or (found.dtype == object and _is_text(found)):
        raise TypeError(
            f"{element('labels', (0,) * found.ndim)} is {str(found.flat[0])!r}: class indices are "
            "integers; np.unique(labels, return_inverse=True) gives the names and numbers them"
        )
    if found.dtype.kind not in "iu":
        rule = "class indices are integers; use labels.astype(int) if these are whole numbers"
        refuse_dtype("labels", found, rule)
    return found


def _remedy_for_labels(found: Shape, predictions: str, shape: Shape, axis: int) -> str:
    """Say what may be meant by labels of a shape that does not fit."""
    batch = _without(axis, shape)
    if found == shape:
        return "labels are class indices; one-hot targets go to the loss without 'sparse_'"
    if found == (*batch, 1):
        return "drop the trailing axis with labels.squeeze(-1)"
    if shape in [_without(one, found) for one in range(len(found))]:
        return f"are they swapped? {predictions} come first"
    others = [one for one in range(len(shape)) if _without(one, shape) == found]
    hint = f"; the shape it has would fit axis={others[0]}" if others else ""
    return f"labels needs shape {batch}{hint}"


def _is_text(array: NDArray[Any]) -> bool:
    return array.size > 0 and isinstance(array.flat[0], str)


def dense_targets(
    value: ArrayLike, predictions: str, like: Floats, axis: int, counted: Counted = ALL
) -> NDArray[Any]:
    """Return target distributions of the shape of the predictions."""
    found = real("targets", value)
    if found.shape != like.shape:
        sparse = found.shape == _without(axis, like.shape)
        remedy = (
            "class indices go to the loss with 'sparse_'" if sparse else "give both the same shape"
        )
        raise _mismatch("targets", found.shape, predictions, like.shape, remedy)
    remedy = "; weights go to class_weight or sample_weight"
    with _hint_if_swapped(predictions, like):
        return distribution("targets", found, axis, remedy, counted)


@contextmanager
def _hint_if_swapped(name: str, predictions: Floats) -> Iterator[None]:
    """Add to a complaint about targets that the predictions look as if they were the targets."""
    try:
        yield
    except ValueError as error:
        if ((predictions == 0.0) | (predictions == 1.0)).all() and predictions.any():
            hint = f"; {name} hold 0 and 1 only: are they swapped? {name} come first"
            raise ValueError(f"{error}{hint}") from None
        raise


def linear(
    hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    """Return the arrays of a linear layer of two or more classes."""
    h, w = floating("hidden", hidden), floating("weight", weight)
    if h.ndim == 0 or w.ndim != 2 or h.shape[-1] != w.shape[1]:
        turned = h.ndim and w.ndim == 2 and h.shape[-1] == w.shape[0]
        remedy = "it needs a row for each class and a column for each hidden unit"
        remedy += "; use weight.T" * bool(turned)
        raise _mismatch("weight", w.shape, "hidden", h.shape, remedy)
    if len(w) < 2:
        raise ValueError(
            f"weight has shape {w.shape}: it needs two or more rows, one for each class"
        )
    if bias is None:
        return h, w, None
    b = floating("bias", bias)
    if b.shape != w.shape[:1]:
        raise _mismatch("bias", b.shape, "weight", w.shape, f"bias needs shape ({len(w)},)")
    return h, w, b


def weight_of_classes(value: ArrayLike | None, classes: int) -> NDArray[np.float64]:
    """Return a weight for each class, ones for None."""
    found = np.ones(classes) if value is None else floating("class_weight", value)
    if found.shape != (classes,):
        raise ValueError(f"class_weight has shape {found.shape}: it needs shape ({classes},)")
    return _weight("class_weight", found, found.shape, "a shape").astype(np.float64)


def binary(
    name: str, predictions: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats | float]:
    """Return predictions for the positive class, targets in [0, 1] and weights of that shape."""
    array = floating(name, predictions)
    found = real("targets", targets)
    if found.shape != array.shape:
        remedy = "give both the same shape, for nothing is broadcast: squeeze or reshape one"
        raise _mismatch("targets", found.shape, name, array.shape, remedy)
    sample = weight("sample_weight", sample_weight, array.shape)
    remedy = "; map labels -1 and 1 with (targets + 1) / 2"
    with _hint_if_swapped(name, array):
        found = probabilities("targets", found, remedy, Counted(sample))
    return array, found, sample


def class_weight(value: ArrayLike | None, array: Floats, axis: int) -> Floats | None:
    """Return class weights in the shape of the predictions, classes last."""
    if value is None:
        return None
    found = floating("class_weight", value)
    classes = array.shape[axis]
    if found.shape == (classes,):
        found = np.expand_dims(found, tuple(range(1, array.ndim - axis)))
    fits = f"shape ({classes},), one for each class, or one"
    return moved(_weight("class_weight", found, array.shape, fits), axis, -1)


def weight(name: str, value: ArrayLike | None, shape: Shape) -> Floats | float:
    """Return weights broadcast to ``shape``, 1 for None."""
    return 1.0 if value is None else _weight(name, floating(name, value), shape, "a shape")


def _weight(name: str, found: Floats, shape: Shape, fits: str) -> Floats:
    if not (found.min(initial=0.0) >= 0.0 and found.max(initial=0.0) < np.inf):
        valid = (found >= 0.0) & (found < np.inf)
        _refuse_first(name, found, ~valid, "weights are finite and not negative")
    try:
        return np.broadcast_to(found, shape)
    except ValueError as error:
        raise ValueError(
            f"{name} has shape {found.shape}: it needs {fits} that broadcasts to {shape}"
        ) from error


def _mismatch(first: str, shape: Shape, second: str, other: Shape, remedy: str) -> ValueError:
    return ValueError(f"{first} has shape {shape} and {second} has shape {other}: {remedy}")


def _without(axis: int, shape: Shape) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _refuse_first(name: str, array: Floats, bad: NDArray[np.bool_], rule: str) -> NoReturn:
    index = _first(bad)
    raise ValueError(f"{element(name, index)} is {array[index]}: {rule}")


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))
