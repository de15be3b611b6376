"""The one place that turns bad input into a clear error.

Each function takes the name the caller knows the argument by, and returns the argument in the form
the rest of the package works with.
"""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]  # float16, float32 or float64

_FLOATS = (np.float16, np.float32, np.float64)


def floating(name: str, value: ArrayLike) -> Floats:
    """Return ``value`` as an array of float16, float32 or float64; integers become float64."""
    if isinstance(value, np.ma.MaskedArray):
        message = (
            f"{name} is a masked array, whose mask would be lost: select the valid elements first "
            "or give the others a sample_weight of 0"
        )
        raise TypeError(message)
    try:
        array = np.asarray(value)
    except ValueError as error:
        message = f"{name} is ragged: its rows must all have the same length"
        raise ValueError(message) from error
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype not in _FLOATS:
        message = (
            f"{name} has dtype {array.dtype}: convert it to float16, float32 or float64 with "
            f"{name}.astype"
        )
        raise TypeError(message)
    return array


def class_axis(name: str, array: Floats, axis: int) -> int:
    """Return ``axis`` as a non-negative index of a non-empty axis of ``array``."""
    position = _axis(name, array, axis)
    if array.shape[position] == 0:
        message = (
            f"{name} has shape {array.shape}, with no class along axis {axis}: "
            "it needs at least one"
        )
        raise ValueError(message)
    return position


def axes(name: str, array: Floats, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Return ``axis`` as a tuple of distinct non-negative axes that are not empty."""
    if axis is None:
        wanted: tuple[int, ...] = tuple(range(array.ndim))
    elif isinstance(axis, tuple):
        wanted = tuple(_axis(name, array, one) for one in axis)
    else:
        wanted = (_axis(name, array, axis),)
    if len(set(wanted)) < len(wanted):
        message = f"axis is {axis}, which names an axis of {name} twice: name each axis once"
        raise ValueError(message)
    if any(array.shape[one] == 0 for one in wanted):
        message = f"{name} has shape {array.shape}, which is empty along axis {axis}"
        raise ValueError(message)
    return wanted


def _axis(name: str, array: Floats, axis: int) -> int:
    try:
        index = operator.index(axis)
    except TypeError as error:
        message = f"axis is {axis!r}: it must be an integer"
        raise TypeError(message) from error
    if not -array.ndim <= index < array.ndim:
        hint = "it needs a class axis" if array.ndim == 0 else f"axis must be below {array.ndim}"
        message = f"axis is {index}, but {name} has shape {array.shape}: {hint}"
        raise ValueError(message)
    return index % array.ndim


def probabilities(name: str, array: Floats, remedy: str = "") -> None:
    """Refuse values outside [0, 1], nan included."""
    refuse_first(
        name, array, ~((array >= 0.0) & (array <= 1.0)), f"probabilities lie in [0, 1]{remedy}"
    )


def distribution(name: str, array: Floats, axis: int, remedy: str = "") -> None:
    """Refuse values outside [0, 1] and slices along ``axis`` that do not sum to 1.

    Sums may be off by rounding: by 64·√C·ε for C classes, where ε is the spacing of 1 in the dtype
    of the array, and by 1 % at most.
    """
    probabilities(name, array, remedy)
    tolerance = min(64.0 * np.finfo(array.dtype).eps * array.shape[axis] ** 0.5, 0.01)
    sums = array.sum(axis=axis, dtype=np.float64, keepdims=True)
    wrong = np.abs(sums - 1.0) > tolerance
    if wrong.any():
        index = list(_first(wrong))
        total = sums[tuple(index)]
        place = ", ".join(":" if one == axis else str(i) for one, i in enumerate(index))
        message = (
            f"{name}[{place}] sums to {total:.9g}, not 1 along axis {axis} (tolerance "
            f"{tolerance:.1g} for {array.dtype}): divide by the sum if these are counts or weights"
            f"{remedy}"
        )
        raise ValueError(message)


def refuse_first(name: str, array: NDArray[Any], bad: NDArray[np.bool_], rule: str) -> None:
    """Raise a ValueError about the first element of ``array`` that is ``bad``, if there is one."""
    if bad.any():
        index = _first(bad)
        message = f"{element(name, index)} is {array[index]!s}: {rule}"
        raise ValueError(message)


def element(name: str, index: tuple[int, ...]) -> str:
    """Return how the element would be written in code."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def number(name: str, value: float) -> float:
    """Return ``value`` as a float, refusing what is not one finite real number."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf":
        message = f"{name} is {value!r}: it must be one real number"
        raise TypeError(message)
    if not np.isfinite(array):
        message = f"{name} is {value}: it must be finite"
        raise ValueError(message)
    return float(array)


def log_base(base: float | None) -> float:
    """Return the natural logarithm of the base, 1 for nats."""
    if base is None:
        return 1.0
    checked = number("base", base)
    if checked <= 0.0 or checked == 1.0:
        message = f"base is {base}: it must be positive and not 1; None means nats, 2 means bits"
        raise ValueError(message)
    return float(np.log(checked))


def same_classes(arrays: dict[str, Floats], axes: dict[str, int]) -> None:
    """Refuse arrays whose class axes differ or whose other axes do not broadcast."""
    shapes = " and ".join(f"{name} has shape {array.shape}" for name, array in arrays.items())
    classes = {array.shape[axes[name]] for name, array in arrays.items()}
    if len(classes) > 1 or len(set(axes.values())) > 1:
        message = f"{shapes}: both need the same number of classes along the class axis"
        raise ValueError(message)
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError as error:
        message = f"{shapes}: the shapes must be equal or broadcast"
        raise ValueError(message) from error
