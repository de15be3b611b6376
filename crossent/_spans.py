"""Batches cut into spans of rows, which threads share.

A span fits the cache, so that no temporary is ever the size of the logits. Any axis may hold the
classes and any strides are taken: what is not contiguous is copied a span at a time.
"""

import os
from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
Index = tuple[int | slice, ...]  # of a span in an array of the shape of the batch

# The precision where every digit counts: float16 and float32 input is exact in it, and results are
# rounded to the dtype of the input once, at the end.
WIDE = np.dtype(np.float64)

# In predictions
SPAN = 1 << 15  # 256 KiB in float64, which fits a second-level cache with what is made of it
LONG = 1 << 21  # of what is done in tiles: makes light of what is done once per span
LARGE = 1 << 16  # above this, fast kernels, and float32 in float32
SHARED = 1 << 20  # above this, threads share the spans

ROWS = 1 << 15  # at most in a span
SCRATCH = 1 << 20  # bytes

num_threads = os.cpu_count() or 1  # see `crossent.set_num_threads`

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
    gradient: NDArray[Any] | None  # where the gradient goes: (R, C); None if it is not wanted
    scratch: NDArray[Any]  # at least one row, in the dtype to compute in
    size: int  # predictions in the whole array: what is fast enough depends on it

    @property
    def is_large(self) -> bool:
        """Whether it is part of a large array."""
        return self.size > LARGE

    def take(self, rows: Any) -> "Span":
        """Return a span of some of the rows."""
        weight, scale = (w if isinstance(w, float) else w[rows] for w in (self.weight, self.scale))
        gradient = None if self.gradient is None else self.gradient[rows]
        return Span(self.x[rows], weight, scale, gradient, self.scratch, self.size)

    def tiles(self) -> Iterator[tuple[slice, "Span"]]:
        """Cut the span into tiles that fit the scratch: which rows, and the span of them."""
        count, classes = self.x.shape
        step = max(1, self.scratch.size // classes)
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            yield rows, self if step >= count else self.take(rows)


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
    """Return a span of an array whose last axis is not part of the batch, as contiguous rows."""
    return np.ascontiguousarray(array[index]).reshape(-1, array.shape[-1])


def in_threads(work: Callable[[list[Any]], list[Any]], jobs: list[Any], size: int) -> list[Any]:
    """Return the results of all jobs, in order; each thread works on a run of them."""
    workers = min(num_threads, len(jobs)) if size > SHARED else 1
    if workers == 1:
        return work(jobs)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (slow to import)

    cuts = [len(jobs) * worker // workers for worker in range(workers + 1)]
    runs = [jobs[start:stop] for start, stop in pairwise(cuts)]
    with ThreadPoolExecutor(workers) as pool:
        # A copy of the context carries NumPy's error state into the thread.
        futures = [pool.submit(copy_context().run, work, run) for run in runs]
        return [result for future in futures for result in future.result()]


def map_spans(compute: Callable[..., Any], x: NDArray[Any], *, long: bool) -> list[Any]:
    """Return what is computed of each span of ``x``: of its index, its place and a scratch."""
    classes = x.shape[-1]
    dtype = np.dtype(np.float32) if x.size > LARGE and x.itemsize < 8 else WIDE
    length = max(classes, min(SCRATCH // dtype.itemsize, x.size))

    def work(jobs: list[tuple[Index, slice]]) -> list[Any]:
        scratch = np.empty(length, dtype)
        return [compute(index, place, scratch) for index, place in jobs]

    # What is not contiguous is copied, so it is taken in short spans.
    predictions = LONG if long and x.flags.c_contiguous else SPAN
    limit = max(1, min(predictions // classes, ROWS))
    return in_threads(work, list(spans(x.shape[:-1], limit)), x.size)


@np.errstate(all="ignore")
def map_rows(kernel: Callable[[Array], Array], x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Apply a kernel to the last axis of an array."""
    *batch, classes = x.shape
    jobs = spans(tuple(batch), max(1, SPAN // classes))
    done = [kernel(rows_of(x, index).astype(WIDE)).astype(dtype) for index, _ in jobs]
    result = np.concatenate(done)
    return result.reshape((*batch, *result.shape[1:]))
