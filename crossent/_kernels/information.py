"""Sums of terms of probabilities, for entropies and divergences: fast, or carefully if not sure.

A fast kernel is given a tile of each distribution and as many rooms to work in, and returns the sum
of each row, infinite where q excludes an outcome that p allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import divergences
from crossent._spans import LARGE, SPAN, WIDE, Array, Index, is_turned, map_spans, rows_of
from crossent._sums import block_sums, row_sums, sums_of

ROOMS = 4
LONG_ROW = 512
SMALLEST = 2.0**-1022  # of normal numbers in float64
Rooms = NDArray[Any]  # (ROOMS, …), in the dtype to compute in


class Measure(NamedTuple):
    """How the sums of terms ≥ 0 of rows are computed."""

    terms: Callable[..., Array]  # of probabilities in float64, right to the last digits
    fast: Callable[..., NDArray[Any]]  # (rooms, *tiles) -> sums
    wide: bool  # the fast one computes in float64 only
    least: dict[int, float]  # from here on the fast one is accurate, by the size of a number
    zero: bool  # and if it says 0, it is 0

    def __call__(self, *rows: NDArray[Any], dtype: Any, unit: float) -> NDArray[Any]:
        """Return the sums over the last axis of arrays of one shape, divided by a unit."""
        batch, size = rows[0].shape[:-1], rows[0].size
        if size <= LARGE:
            parts = [rows_of(each, ()) for each in rows]
            wide = max(each.itemsize for each in rows) == WIDE.itemsize
            sums = self.careful(parts) if wide else self.of(parts, np.empty((ROOMS, size)))
            return np.asarray((sums / unit).reshape(batch), dtype)
        result = np.empty(batch, dtype)

        def compute(index: Index, _: slice, rooms: Rooms) -> None:
            sums = self.of([rows_of(each, index) for each in rows], rooms)
            result[index] = (sums / unit).reshape(result[index].shape)

        map_spans(compute, *rows, long=True, wide=self.wide, rooms=ROOMS)
        return result

    def careful(self, rows: list[NDArray[Any]], add_up: Callable[..., Any] = row_sums) -> Array:
        """Return the sums of rows, whose terms are right to the last digits."""
        return sums_of(self.terms, *rows, add_up=add_up)

    def of(self, rows: list[NDArray[Any]], rooms: Rooms) -> Array:
        """Return the sums of rows, fast where that is sure."""
        sums = self.in_tiles(rows, rooms)
        sure = sums >= self.least[max(each.itemsize for each in rows)]
        if self.zero:
            sure |= sums == 0.0
        if np.count_nonzero(sure) < len(sure):
            unsure = np.flatnonzero(~sure)
            step = max(1, SPAN // rows[0].shape[1])
            for start in range(0, len(unsure), step):
                # A single row is a view.
                which: Any = unsure[start : start + step]
                which = which if step > 1 else slice(which[0], which[0] + 1)
                sums[which] = self.careful([each[which] for each in rows], add_up)
        return sums

    def in_tiles(self, rows: list[NDArray[Any]], rooms: Rooms) -> Array:
        """Return the sums of the fast kernel, of tiles that fit a room."""
        count, classes = rows[0].shape
        if rows[0].size <= rooms.shape[1]:
            return self.fast(rooms, *rows).astype(WIDE, copy=False)
        width = min(classes, rooms.shape[1])
        height = rooms.shape[1] // width
        sums = np.empty(count)
        for start in range(0, count, height):
            some = slice(start, start + height)
            pieces = [
                self.fast(rooms, *(each[some, first : first + width] for each in rows))
                for first in range(0, classes, width)
            ]
            sums[some] = pieces[0] if len(pieces) == 1 else row_sums(np.array(pieces, WIDE).T)
        return sums


def fitting(room: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Return an array in a room, of the shape of another and in its order."""
    part = room[: like.size]
    return part.reshape(like.shape[::-1]).T if is_turned(like) else part.reshape(like.shape)


def cast(x: NDArray[Any], room: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the dtype of a room, and there if it has another."""
    if x.dtype == room.dtype:
        return x
    result = fitting(room, x)
    np.copyto(result, x)
    return result


def add_up(x: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of rows, in the order that is quickest."""
    return np.asarray(x.sum(axis=1)) if x.shape[1] >= LONG_ROW else block_sums(x)


def exclude(sums: NDArray[Any], p: NDArray[Any], excluded: NDArray[np.bool_]) -> None:
    """Make the sums infinite of rows in which p allows what is excluded."""
    impossible = excluded & (p > 0.0)
    if impossible.any():
        sums[impossible.any(axis=1)] = np.inf


def entropy(rooms: Rooms, p: NDArray[Any]) -> NDArray[Any]:
    """Σ p (−log p)."""
    return cross_entropy(rooms, p, p)


def cross_entropy(rooms: Rooms, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Σ p (−log q)."""
    same = p is q
    q = cast(q, rooms[0])
    p = q if same else cast(p, rooms[1])
    terms, excluded = fitting(rooms[2], q), None
    if q.min() == 0.0:  # log 1 instead, and what p gives to it is infinite
        excluded = q == 0.0
        q = np.add(q, excluded, out=terms)
    np.log(q, out=terms)
    terms *= p
    sums = 0.0 - add_up(terms)
    if excluded is not None and not same:
        exclude(sums, p, excluded)
    return sums


def kl(rooms: Rooms, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Σ p log r − q (r − 1) for r = p / q, whose rounding cancels: the derivative for r is 0."""
    p, q = cast(p, rooms[0]), cast(q, rooms[1])
    ratio, rest, excluded = fitting(rooms[2], q), fitting(rooms[3], q), None
    if q.min() == 0.0:
        excluded = q == 0.0
        np.divide(p, np.maximum(q, SMALLEST, out=rest), out=ratio)
    else:
        np.divide(p, q, out=ratio)
    np.subtract(ratio, 1.0, out=rest)
    rest *= q
    if p.min() == 0.0:
        np.maximum(ratio, SMALLEST, out=ratio)
    np.log(ratio, out=ratio)
    ratio *= p
    ratio -= rest
    sums = add_up(ratio)
    if excluded is not None:
        exclude(sums, p, excluded)
    return sums


def js(rooms: Rooms, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Σ (p log a + q log b) / 2 for a = 2 p / (p + q), if p is the larger, and b = 2 − a.

    As in `js_terms`, rounding of a has no effect, and b is exact.
    """
    p, q = cast(p, rooms[0]), cast(q, rooms[1])
    small, b, large, a = (fitting(room, q) for room in rooms)
    np.maximum(p, q, out=large)
    np.minimum(p, q, out=small)
    both = np.add(large, small, out=b)
    if large.min() == 0.0:
        np.maximum(both, SMALLEST, out=both)
    np.divide(large, both, out=a)
    a *= 2.0
    np.maximum(a, 1.0, out=a)
    np.subtract(2.0, a, out=b)
    if small.min() < 2.0**-50:
        np.maximum(b, 2.0**-60, out=b)
    np.log(a, out=a)
    np.log(b, out=b)
    a *= large
    b *= small
    a += b
    return np.asarray(add_up(a) / 2.0)


# What the terms of a divergence D lose to rounding is less than 6 ε Σ |p − q| / 2, and by Pinsker's
# inequality less than 6 ε √(D / 2): in float64 at most 3 decimal digits from this on. Of narrower
# numbers no ratio is so near to 1, unless it is 1, that a term loses what float32 would show.
APART = {2: 0.0, 4: 0.0, 8: 2.0**-14}
# Below this, what has underflowed may matter.
NORMAL = {2: 2.0**-100, 4: 2.0**-100, 8: 2.0**-900}

ENTROPY = Measure(divergences.entropy_terms, entropy, wide=False, least=NORMAL, zero=True)
CROSS_ENTROPY = Measure(
    divergences.cross_entropy_terms, cross_entropy, wide=False, least=NORMAL, zero=True
)
KL = Measure(divergences.kl_terms, kl, wide=True, least=APART, zero=False)
JS = Measure(divergences.js_terms, js, wide=True, least=APART, zero=False)
