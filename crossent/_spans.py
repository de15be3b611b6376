"""Batches cut into spans of rows, which threads share.

A span fits the cache, so that no temporary is ever the size of the logits. Any axis may hold the
classes and any strides are taken: what is not contiguous is copied a span at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from itertools import pairwise
from threading import Lock, Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Index = tuple[int | slice, ...]  # of a span in an array of the shape of the batch
Fill = Callable[[NDArray[Any], NDArray[Any]], None]  # (row, where its result goes)

# The precision where every digit counts: float16 and float32 input is exact in it, and results are
# rounded to the dtype of the input once, at the end.
WIDE = np.dtype(np.float64)

# In predictions
SPAN = 1 << 15  # 256 KiB in float64, which fits a second-level cache with what is made of it
LONG = 1 << 21  # of what is done in tiles: makes light of what is done once per span
LARGE = 1 << 11  # above this, float32 in float32, and faster ways with a wider bound
SHARED = 1 << 20  # above this, threads share the spans

ROWS = 1 << 14  # of two or more classes, at most in a span
TURNED = 255  # classes at most for rows to stay side by side in memory, as channels first are
SCRATCH = 1 << 19  # bytes of each room for a tile
ROOMS = 2


def default_num_threads() -> int:
    """Return what OMP_NUM_THREADS asks for, or how many processors this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # of the outer level
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    usable = getattr(os, "process_cpu_count", None)  # of Python 3.13
    affinity = getattr(os, "sched_getaffinity", None)  # of Linux
    return (usable() if usable else len(affinity(0)) if affinity else os.cpu_count()) or 1


num_threads = default_num_threads()  # see `crossent.set_num_threads`

# Held by the call that has helpers; others at the same time do without. Each process has its own,
# for a fork may happen while that of the parent is held.
HELPED: dict[int, Lock] = {}

# When this is freed, the C library of Linux learns to keep blocks of up to its size for later. Else
# it returns the temporaries of every call to the system, and they cost page faults anew.
np.empty(1 << 24, np.uint8)


def scalar(x: Any, dtype: Any) -> Any:
    """Return a number in a dtype, or in a wider one where 16 bits would make it infinite."""
    if np.dtype(dtype).itemsize > 2:
        return np.dtype(dtype).type(x)
    with np.errstate(over="ignore"):
        results = [np.dtype(one).type(x) for one in (dtype, np.float32, WIDE)]
    return next((one for one in results if np.isfinite(one)), results[0])


class Span(NamedTuple):
    """A run of rows for a kernel to work on."""

    x: NDArray[Any]  # (R, C), contiguous, in the dtype of the input
    weight: Any  # of each loss: a number or (R,)
    scale: Any  # of each gradient: a number or (R,)
    gradient: Any  # where the gradient goes: (R, C); None if it is not wanted
    scratch: NDArray[Any]  # (ROOMS, …), in the dtype to compute in
    size: int  # predictions in the whole array: what is fast enough depends on it

    @property
    def is_large(self) -> bool:
        """Whether it is part of a large array."""
        return self.size > LARGE

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it is computed in."""
        return self.scratch.dtype

    def take(self, rows: Any) -> Span:
        """Return a span of some of the rows."""
        weight, scale = (w if isinstance(w, float) else w[rows] for w in (self.weight, self.scale))
        gradient = None if self.gradient is None else self.gradient[rows]
        return Span(self.x[rows], weight, scale, gradient, self.scratch, self.size)

    def tiles(self) -> Iterator[tuple[slice, Span]]:
        """Cut the span into tiles that fit the scratch: which rows, and the span of them."""
        count, classes = self.x.shape
        step = max(1, self.scratch.shape[1] // classes)
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            yield rows, self if step >= count else self.take(rows)

    def parts(self, some: NDArray[np.bool_]) -> Iterator[tuple[Any, Span]]:
        """Copy some of the rows, as many at a time as a span holds: which, and the span of them."""
        rows = np.flatnonzero(some)
        step = max(1, SPAN // self.x.shape[1])
        for start in range(0, len(rows), step):
            # A single row is a view.
            which = rows[start : start + step] if step > 1 else slice(rows[start], rows[start] + 1)
            yield which, self.take(which)

    def widened(self) -> Span:
        """Return the same to be computed in `WIDE`."""
        scratch = np.empty((ROOMS, min(self.x.size, SCRATCH // WIDE.itemsize)), WIDE)
        return self._replace(scratch=scratch)


def spans(batch: Shape, limit: int) -> Iterator[tuple[Index, slice]]:
    """Cut a batch into runs of at most ``limit`` rows: index in it, and place in its order."""
    inner, axis = 1, len(batch)
    while axis and inner * batch[axis - 1] <= limit:
        axis -= 1
        inner *= batch[axis]
    if axis == 0:
        yield (), slice(0, inner)
        return
    length = batch[axis - 1]
    pieces = -(-length // max(1, limit // inner))
    for row, lead in enumerate(np.ndindex(*batch[: axis - 1])):
        for start, stop in pairwise(length * piece // pieces for piece in range(pieces + 1)):
            place = slice((row * length + start) * inner, (row * length + stop) * inner)
            yield (*lead, slice(start, stop)), place


def moved(array: NDArray[Any], source: int, target: int) -> NDArray[Any]:
    """Return an array with one axis moved, from or to the last."""
    return array if {source, target} <= {-1, array.ndim - 1} else np.moveaxis(array, source, target)


def rows_of(array: NDArray[Any], index: Index) -> NDArray[Any]:
    """Return a span of an array whose last axis is not part of the batch, as rows.

    They are contiguous, or turned: a row beside the other.
    """
    rows = array[index].reshape(-1, array.shape[-1])
    return rows if is_turned(rows) else np.ascontiguousarray(rows)


def is_turned(rows: NDArray[Any]) -> bool:
    """Tell whether rows lie side by side in memory, instead of one after the other."""
    return rows.strides[0] == rows.itemsize and 1 < rows.shape[1] <= TURNED < len(rows)


def side_by_side(x: NDArray[Any]) -> int:
    """Return how many rows of an array lie side by side in memory, as with channels first."""
    count = 1
    for length, stride in zip(x.shape[-2::-1], x.strides[-2::-1], strict=True):
        if stride != count * x.itemsize:
            break
        count *= length
    return count if x.shape[-1] <= TURNED < count else 1


def empty_like(x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return an array of the shape of another, its rows side by side in memory if those are."""
    return np.empty_like(x, dtype, order="K" if side_by_side(x) > 1 else "C")


def drained(queue: deque[Any]) -> Iterator[Any]:
    """Yield what is taken from a queue that others may take from, too, until it is empty."""
    with suppress(IndexError):
        while True:
            yield queue.popleft()


def in_threads(begin: Callable[[], Callable[..., Any]], jobs: list[Any], size: int) -> list[Any]:
    """Return the results of all jobs, in order; each thread begins with what does one job.

    The calling thread does one after the other. Its helpers, as many as can start, take from the
    same queue. When the caller is interrupted, or a job fails, no thread takes another.
    """
    helpers = min(num_threads, len(jobs)) - 1
    helped = HELPED.setdefault(os.getpid(), Lock()) if size > SHARED and helpers else None
    if helped is None or not helped.acquire(blocking=False):
        return list(map(begin(), jobs))
    todo, done, errors = deque(enumerate(jobs)), dict[int, Any](), list[BaseException]()

    def take_part() -> None:
        try:
            do = begin()
            for place, job in drained(todo):
                done[place] = do(job)
        except BaseException as error:
            errors.append(error)
            todo.clear()

    started = []
    try:
        with suppress(RuntimeError):  # at the exit of the interpreter, or at a limit of the system
            for _ in range(helpers):
                # A copy of the context carries NumPy's error state into the thread.
                helper = Thread(target=copy_context().run, args=(take_part,))
                helper.start()
                started.append(helper)
        take_part()
    finally:
        todo.clear()
        helped.release()
        for helper in started:
            helper.join()
    if errors:
        raise errors.pop(0)
    return [done[place] for place in range(len(jobs))]


def map_spans(
    compute: Callable[..., Any],
    *arrays: NDArray[Any],
    long: bool,
    wide: bool = False,
    rooms: int = ROOMS,
) -> list[Any]:
    """Return what is computed of each span of arrays: of its index, its place and a scratch."""
    x = arrays[0]
    classes = x.shape[-1]
    narrow = x.size > LARGE and not wide and max(each.itemsize for each in arrays) < WIDE.itemsize
    dtype = np.dtype(np.float32) if narrow else WIDE
    length = min(SCRATCH // dtype.itemsize, x.size)
    if x.size <= SPAN and classes:  # the rest would take longer
        return [compute((), slice(0, x.size // classes), np.empty((rooms, length), dtype))]

    def begin() -> Callable[[tuple[Index, slice]], Any]:
        scratch = np.empty((rooms, length), dtype)
        return lambda span: compute(*span, scratch)

    # What is not contiguous is copied, so it is taken in short spans.
    turned = [side_by_side(each) for each in arrays]
    are_views = all(
        count > 1 or each.flags.c_contiguous for count, each in zip(turned, arrays, strict=True)
    )
    predictions = LONG if long and are_views else SPAN
    limit = max(1, min(predictions // classes, ROWS if classes > 1 else SPAN))
    limit = min([limit, *(count for count in turned if count > 1)])
    return in_threads(begin, list(spans(x.shape[:-1], limit)), x.size)


def pieces(row: NDArray[Any]) -> Iterator[tuple[slice, Array]]:
    """Cut a row that is longer than a span: which classes, and a copy of what is there."""
    for start in range(0, len(row), SPAN):
        classes = slice(start, start + SPAN)
        yield classes, row[classes].astype(WIDE)
