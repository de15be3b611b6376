"""What a caller gives becomes an array, or an error that says why it cannot."""

import numbers
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]  # float16, bfloat16, float32 or float64

FLOATS = set(map(np.dtype, (np.float16, np.float32, np.float64)))
WEIGHED = {"logits", "probs", "hidden", "targets", "labels"}  # come with a sample_weight


def floating(name: str, value: ArrayLike) -> Floats:
    """Return an array of float16, float32 or float64; integers become float64."""
    array = real(name, value)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def real(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return an array of float16, float32, float64, integers or booleans."""
    array = as_array(name, value)
    if array.dtype.kind in "iub":
        return array
    if array.dtype not in FLOATS and not is_bfloat16(array):
        refuse_dtype(name, array, "give real numbers, as float16, float32 or float64")
    return array


def as_array(name: str, value: Any) -> NDArray[Any]:
    """Return an array in the byte order of the machine, or say why there is none."""
    refused = "" if type(value) is np.ndarray else _why_not(name, value)
    if refused:
        raise TypeError(f"{name} is {refused}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged{_first_ragged(name, value)}") from error
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise TypeError(
            f"{name} is a {type(value).__name__} that NumPy cannot read: give an array of its "
            "values, on the CPU, in a type that NumPy has"
        ) from error
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _why_not(name: str, value: Any) -> str:
    """Return what is wrong with a value that NumPy would take for another, or not at all."""
    if _has_mask(value):
        what = "a masked array" if isinstance(value, np.ndarray) else "made of masked arrays"
        weigh = ", or fill them and give them a sample_weight of 0" * (name in WEIGHED)
        return f"{what}, and the mask would be lost: leave the masked elements out{weigh}"
    if hasattr(value, "toarray"):
        return f"a sparse {type(value).__name__}: use {name}.toarray()"
    if isinstance(value, Mapping):
        return (
            f"a {type(value).__name__}: give an array in the order of the classes, "
            f"[{name}[k] for k in range(classes)]"
        )
    if getattr(value, "requires_grad", False):
        return (
            f"a tensor that requires grad: use {name}.detach().cpu().numpy(); gradients are those "
            "of crossent.grad"
        )
    return ""


def _has_mask(value: Any) -> bool:
    """Tell whether there is a masked array in lists of any depth."""
    if isinstance(value, list | tuple):
        nested = (list, tuple, np.ma.MaskedArray)
        kinds = {kind for kind in set(map(type, value)) if issubclass(kind, nested)}
        return any(_has_mask(one) for one in value if type(one) in kinds) if kinds else False
    return isinstance(value, np.ma.MaskedArray)


def _first_ragged(name: str, value: Any) -> str:
    """Say which elements differ in shape, if it is that of a whole one that differs."""
    with suppress(TypeError, ValueError, StopIteration):
        shapes = [np.shape(one) for one in value]
        other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        return (
            f": {name}[0] has shape {shapes[0]} and {name}[{other}] has shape {shapes[other]}; "
            "give it rows of equal length"
        )
    return ": give it rows of equal length"


def refuse_dtype(name: str, array: NDArray[Any], rule: str) -> NoReturn:
    """Refuse what is not made of numbers; name the first culprit among objects."""
    if array.dtype == object:
        for index in np.ndindex(array.shape):
            if not isinstance(array[index], numbers.Real):
                seen, kind = reprlib.repr(array[index]), type(array[index]).__name__
                raise TypeError(f"{element(name, index)} is {seen}, of type {kind}: {rule}")
        raise TypeError(f"{name} has dtype object, though of numbers: use {name}.astype(float)")
    raise TypeError(f"{name} has dtype {array.dtype}: {rule}")


def element(name: str, index: tuple[int | str, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def is_bfloat16(array: Floats) -> bool:
    """Tell whether an array is of the bfloat16 of ml_dtypes, which is not imported to find out."""
    return array.dtype.name == "bfloat16"


def common_dtype(*arrays: Floats) -> np.dtype[Any]:
    """Return the dtype of results: float32 where float16 and bfloat16 meet, which hold neither."""
    if len({array.dtype for array in arrays}) == 1:
        return arrays[0].dtype
    return np.result_type(*(np.float32 if is_bfloat16(array) else array.dtype for array in arrays))
