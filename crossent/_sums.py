"""Sums of terms ≥ 0: as good as correctly rounded, or in blocks, which is faster."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._spans import SPAN, WIDE, Array, is_turned


def row_sums(x: Array) -> Array:
    """Return the sums of the rows of ``x`` ≥ 0, each as good as correctly rounded.

    NumPy's pairwise sum drifts by up to 6 ulp when many terms are equal. Here every term is cut at
    one common bit: the high parts then add up without any rounding, in any order, and the low
    parts are too small for theirs to matter.
    """
    if x.size <= 128:  # the steps below would take longer
        with suppress(OverflowError):
            return np.array([math.fsum(row) for row in x.tolist()])
    exponent = np.frexp(x.max(axis=1) * x.shape[1])[1]
    cut = np.ldexp(1.0, exponent)[:, None]
    high = (x + cut) - cut
    sums: Array = np.einsum("ij->i", high) + np.einsum("ij->i", x - high)
    # An infinite term cannot be cut.
    uncut = np.isnan(sums)
    return np.where(uncut, x.sum(axis=1), sums) if np.count_nonzero(uncut) else sums


def sums_of(
    terms: Callable[..., Array],
    *rows: NDArray[Any],
    add_up: Callable[[Array], Array] = row_sums,
) -> Array:
    """Return the sums of terms ≥ 0 of rows, a span of classes at a time."""
    pieces = [
        add_up(terms(*(each[:, start : start + SPAN].astype(WIDE) for each in rows)))
        for start in range(0, rows[0].shape[1], SPAN)
    ]
    return pieces[0] if len(pieces) == 1 else row_sums(np.stack(pieces, axis=1))


def total(x: Sequence[float] | Array) -> float:
    """Return the sum of terms ≥ 0, as good as correctly rounded."""
    return float(x[0] if len(x) == 1 else row_sums(np.asarray(x)[None, :])[0])


def block_sums(x: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of the rows of ``x`` ≥ 0, in blocks of blocks.

    A block adds up with a rounding for every eighth (float64) or sixteenth (float32) of its terms.
    """
    block = 512 if x.itemsize == 4 else 32
    rows, classes = x.shape
    if is_turned(x):
        sums = np.zeros(rows)
        for start in range(0, classes, 16):
            sums += x[:, start : start + 16].sum(axis=1)
        return sums
    whole = classes - classes % block
    if whole == 0:
        return np.asarray(np.einsum("ij->i", x))
    blocks = np.einsum("ijk->ij", x[:, :whole].reshape(rows, whole // block, block))
    sums = block_sums(blocks.astype(WIDE, copy=False))
    if whole < classes:
        sums += np.einsum("ij->i", x[:, whole:])
    return sums
