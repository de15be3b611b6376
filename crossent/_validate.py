"""The one place that turns bad input into a clear error.

Each function takes the name the caller knows the argument by, and returns the argument in the form
the rest of the package works with.
"""

import math
import operator
from contextlib import suppress
from typing import Any, Literal, NoReturn, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent._spans import SPAN, Shape, moved, spans

Floats = NDArray[Any]  # float16, float32 or float64

FLOATS = set(map(np.dtype, (np.float16, np.float32, np.float64)))
Reduction = Literal["none", "sum", "mean", "weighted_mean"]


def floating(name: str, value: ArrayLike) -> Floats:
    """Return an array of float16, float32 or float64; integers become float64."""
    array = real(name, value)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def real(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return an array of float16, float32, float64, integers or booleans."""
    array = _array(name, value)
    if array.dtype.kind in "iub":
        return array
    if array.dtype not in FLOATS:
        raise TypeError(
            f"{name} has dtype {array.dtype}: give real numbers, as float16, float32 or float64"
        )
    return array


def _array(name: str, value: ArrayLike) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be lost: leave the masked elements out, "
            "or give them a sample_weight of 0"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: give it rows of equal length") from error


def number(name: str, value: float, low: float, high: float, rule: str) -> float:
    """Return one finite real number from low to high."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r}: it must be one real number")
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"{name} is {value}: it must be {rule}")
    return float(value)


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
    known = get_args(Reduction)
    if value not in known:
        raise ValueError(f"reduction is {value!r}: it must be one of {', '.join(map(repr, known))}")


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


def same_classes(arrays: dict[str, Floats], axes: dict[str, int]) -> None:
    """Refuse arrays whose class axes differ or whose other axes do not broadcast."""
    classes = {(axes[name], array.shape[axes[name]]) for name, array in arrays.items()}
    with suppress(ValueError):
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
        if len(classes) == 1:
            return
    shapes = " and ".join(f"{name} has shape {array.shape}" for name, array in arrays.items())
    raise ValueError(
        f"{shapes}: they need the same classes, and other axes that are equal or broadcast"
    )


def probabilities(name: str, array: Floats, remedy: str) -> None:
    """Refuse values outside [0, 1], nan included."""
    for index, _ in spans(array.shape, SPAN):
        part = array[index]
        if not (part.min(initial=0.0) >= 0.0 and part.max(initial=1.0) <= 1.0):
            inside = (array >= 0.0) & (array <= 1.0)
            _refuse_first(name, array, ~inside, f"probabilities lie in [0, 1]{remedy}")


def distribution(name: str, array: Floats, axis: int, remedy: str = "") -> None:
    """Refuse values outside [0, 1] and slices along ``axis`` that do not sum to 1.

    Rounding may move a sum of C terms by 64·√C·ε, where ε is the spacing of 1 in the dtype of the
    array, but by no more than 1 %.
    """
    probabilities(name, array, remedy)
    eps = float(np.finfo(np.result_type(array, np.float16)).eps)
    tolerance = min(64.0 * eps * array.shape[axis] ** 0.5, 0.01)
    rows = moved(array, axis, -1)
    for index, span in spans(rows.shape[:-1], max(1, SPAN // rows.shape[-1])):
        sums = rows[index].sum(axis=-1, dtype=np.float64).reshape(-1)
        wrong = np.abs(sums - 1.0) > tolerance
        if np.count_nonzero(wrong):
            first = int(np.argmax(wrong))
            at: list[Any] = list(map(int, np.unravel_index(span.start + first, rows.shape[:-1])))
            at.insert(axis, ":")
            raise ValueError(
                f"{_element(name, tuple(at))} sums to {sums[first]:.9g}, not 1 (within "
                f"{tolerance:.1g} for {array.dtype}): divide counts or weights by their sum{remedy}"
            )


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
    value: ArrayLike, predictions: str, shape: Shape, axis: int, ignore_index: int | None
) -> tuple[NDArray[np.integer[Any]], NDArray[np.bool_] | None]:
    """Return class indices, any where ignored, and a mask of those that count if any may not."""
    found = _array("labels", value)
    batch = _without(axis, shape)
    if found.shape != batch:
        others = [one for one in range(len(shape)) if _without(one, shape) == found.shape]
        if found.shape == shape:
            remedy = "labels are class indices; one-hot targets go to the loss without 'sparse_'"
        elif found.shape == (*batch, 1):
            remedy = "drop the trailing axis with labels.squeeze(-1)"
        elif others:
            remedy = f"labels needs shape {batch}; the shape it has would fit axis={others[0]}"
        else:
            remedy = f"labels needs shape {batch}"
        raise _mismatch("labels", found.shape, predictions, shape, remedy)
    if found.dtype.kind not in "iu":
        raise TypeError(
            f"labels has dtype {found.dtype}: class indices are integers; use labels.astype(int) "
            "if these are whole numbers"
        )
    classes = shape[axis]
    counted = None
    if ignore_index is not None:
        counted = found != _integer("ignore_index", ignore_index)
    for span, place in spans(found.shape, SPAN):
        wrong = (found[span] < 0) | (found[span] >= classes)
        if counted is not None:
            wrong &= counted[span]
        if np.count_nonzero(wrong):
            first = place.start + int(np.argmax(wrong))
            index = tuple(map(int, np.unravel_index(first, found.shape)))
            raise IndexError(
                f"{_element('labels', index)} is {found[index]}: the labels of {classes} classes "
                f"are 0 to {classes - 1}; to leave out a label, name it as ignore_index"
            )
    return found, counted


def dense_targets(value: ArrayLike, predictions: str, like: Floats, axis: int) -> NDArray[Any]:
    """Return target distributions of the shape of the predictions."""
    found = real("targets", value)
    if found.shape != like.shape:
        sparse = found.shape == _without(axis, like.shape)
        remedy = (
            "class indices go to the loss with 'sparse_'" if sparse else "give both the same shape"
        )
        raise _mismatch("targets", found.shape, predictions, like.shape, remedy)
    distribution("targets", found, axis, "; weights go to class_weight or sample_weight")
    return found


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


def binary(name: str, predictions: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
    """Return predictions for the positive class and targets in [0, 1] of the same shape."""
    array = floating(name, predictions)
    found = real("targets", targets)
    if found.shape != array.shape:
        remedy = "give both the same shape, for nothing is broadcast: squeeze or reshape one"
        raise _mismatch("targets", found.shape, name, array.shape, remedy)
    probabilities("targets", found, "; map labels -1 and 1 with (targets + 1) / 2")
    return array, found


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
    raise ValueError(f"{_element(name, index)} is {array[index]}: {rule}")


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _element(name: str, index: tuple[int | str, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name
