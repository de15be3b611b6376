"""Batches cut into spans of rows, which threads share.

A span fits the cache, so that no temporary is ever the size of the logits. Any axis may hold the
classes and any strides are taken: what is not contiguous is copied a span at a time.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = tuple[int | slice, ...]  # of a span in an array of the shape of the batch
Job = TypeVar("Job")
Result = TypeVar("Result")

# The working precision where every digit counts: float16 and float32 input is exact in it, and
# results are rounded to the dtype of the input once, at the end.
WORK = np.float64

# In elements of the predictions
SPAN = 1 << 15  # 256 KiB in float64, which fits a second-level cache with what is made of it
LONG = 1 << 21  # of what is computed tile by tile: makes light of what is done once per span
SCRATCH = 1 << 20  # bytes
LARGE = 1 << 16  # above this, fast kernels, and float32 in float32
SHARED = 1 << 20  # above this, threads share the work

ROWS = 1 << 15  # that are at most in a span

# When this is freed, the C library of Linux learns to keep blocks of up to its size for later. Else
# it returns the temporaries of every call to the system, and they cost page faults anew.
np.empty(1 << 24, np.uint8)


class Threads:
    """The number of threads that share a large computation: see `crossent.set_num_threads`."""

    number = os.cpu_count() or 1


class Span(NamedTuple):
    """A run of rows for a kernel to work on."""

    x: NDArray[Any]  # (R, C), contiguous, in the dtype of the input
    weight: Any  # of each loss: a number or (R,)
    scale: Any  # of each gradient: a number or (R,)
    slopes: NDArray[Any] | None  # where the gradients go: (R, C); None if they are not wanted
    scratch: NDArray[Any]  # at least one row, in the dtype to compute in
    size: int  # predictions in the whole array: what is fast enough depends on it

    def tiles(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Cut the span into tiles that fit the scratch: which rows, and their predictions."""
        step = max(1, self.scratch.size // self.x.shape[1])
        for start in range(0, len(self.x), step):
            rows = slice(start, start + step)
            yield rows, self.x[rows]

    def scale_of(self, rows: slice) -> Any:
        """Return the scales of some of the rows."""
        return self.scale if isinstance(self.scale, float) else self.scale[rows]

    def rows(self, which: NDArray[np.intp]) -> "Span":
        """Return a span of some of the rows."""
        weight, scale = (np.broadcast_to(w, len(self.x))[which] for w in (self.weight, self.scale))
        slopes = None if self.slopes is None else np.empty_like(self.x[which])
        return self._replace(x=self.x[which], weight=weight, scale=scale, slopes=slopes)


def spans(batch: tuple[int, ...], limit: int) -> list[tuple[Index, slice]]:
    """Cut a batch into runs of at most ``limit`` rows: index in it, and place in its order."""
    inner, axis = 1, len(batch)
    while axis and inner * batch[axis - 1] <= limit:
        axis -= 1
        inner *= batch[axis]
    if axis == 0:
        return [((), slice(0, inner))]
    length = batch[axis - 1]
    pieces = -(-length // max(1, limit // inner))
    cuts = list(pairwise(length * piece // pieces for piece in range(pieces + 1)))
    return [
        (
            (*lead, slice(*cut)),
            slice((row * length + cut[0]) * inner, (row * length + cut[1]) * inner),
        )
        for row, lead in enumerate(np.ndindex(*batch[: axis - 1]))
        for cut in cuts
    ]


def block(array: NDArray[Any], index: Index) -> NDArray[Any]:
    """Return a span of an array whose last axis is not part of the batch, as contiguous rows."""
    return np.ascontiguousarray(array[index]).reshape(-1, array.shape[-1])


def share(work: Callable[[list[Job]], list[Result]], jobs: list[Job], size: int) -> list[Result]:
    """Return the results of all jobs, in order; each thread works on a run of them."""
    workers = min(Threads.number, len(jobs)) if size > SHARED else 1
    if workers == 1:
        return work(jobs)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (slow to import)

    cuts = [len(jobs) * worker // workers for worker in range(workers + 1)]
    runs = [jobs[start:stop] for start, stop in pairwise(cuts)]
    with ThreadPoolExecutor(workers) as pool:
        # A copy of the context carries NumPy's error state into the thread.
        futures = [pool.submit(copy_context().run, work, run) for run in runs]
        return [result for future in futures for result in future.result()]


def map_loss(
    kernel: Any,
    rows: NDArray[Any],
    targets: Callable[[Index, Any], tuple[NDArray[Any], ...]],
    weight: Any,
    divisor: float,
    *,
    fast: bool,
    gradient: bool,
    each: bool,
) -> tuple[Any, NDArray[Any] | None]:
    """Return the weighted losses of all rows, or else their sum, and their gradients if wanted.

    The gradients are those of the weighted losses divided by ``divisor``.
    """
    *batch, classes = rows.shape
    large = rows.size > LARGE
    dtype = np.dtype(np.float32 if large and rows.itemsize < 8 else WORK)
    losses = np.empty(rows.size // classes, rows.dtype) if each else None
    slopes = np.empty((rows.size // classes, classes), rows.dtype) if gradient else None

    def work(jobs: list[tuple[Index, slice]]) -> list[float]:
        scratch = np.empty(max(classes, min(SCRATCH // dtype.itemsize, rows.size)), dtype)
        sums = []
        for index, place in jobs:
            w = weight if isinstance(weight, float) else weight[index].reshape(-1).astype(WORK)
            scale = w / divisor if divisor else 0.0 * w
            where = None if slopes is None else slopes[place]
            span = Span(block(rows, index), w, scale, where, scratch, rows.size)
            loss = kernel(span, *targets(index, dtype))
            if losses is None:
                sums.append(float(loss.sum(dtype=WORK)) if large else total(loss))
            else:
                losses[place] = loss
        return sums

    # What is not contiguous is copied, so it is taken in short spans.
    elements = LONG if fast and rows.flags.c_contiguous else SPAN
    limit = max(1, min(elements // classes, ROWS))
    sums = share(work, spans(tuple(batch), limit), rows.size)
    value = np.array(total(np.array(sums))) if losses is None else losses.reshape(batch)
    return value, None if slopes is None else slopes.reshape(rows.shape)


@np.errstate(all="ignore")
def map_rows(
    kernel: Callable[[Array], Array], rows: NDArray[Any], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Apply a kernel to the last axis of an array."""
    *batch, classes = rows.shape
    jobs = spans(tuple(batch), max(1, SPAN // classes))
    done = [kernel(block(rows, index).astype(WORK)).astype(dtype) for index, _ in jobs]
    result = np.concatenate(done)
    return result.reshape((*batch, *result.shape[1:]))


def weighted(weight: Any, x: Any) -> Any:
    """Return the product, 0 where the weight is 0, whatever it multiplies."""
    return np.where(weight == 0.0, 0.0, weight * x)


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
    sums: Array = high.sum(axis=1) + (x - high).sum(axis=1)
    # An infinite term cannot be cut.
    return np.where(np.isnan(sums), x.sum(axis=1), sums)


def total(x: Array) -> float:
    """Return the sum of non-negative terms, as good as correctly rounded."""
    return float(x[0] if x.size == 1 else row_sums(x[None, :])[0])


def total_of(weights: Callable[[Index], Any], batch: tuple[int, ...], classes: int) -> float:
    """Return the sum of weights that are found, from some numbers of each class, by spans."""
    sums = [
        total(np.broadcast_to(np.ravel(weights(index)), place.stop - place.start).astype(WORK))
        for index, place in spans(batch, max(1, SPAN // classes))
    ]
    return total(np.array(sums))
