"""The kernels: what computes the losses of a span of rows, and their gradient.

A careful kernel is right to the last digits for any input. A fast one takes the shortest way that
is accurate for moderate input, and tells which rows it is sure of. A `Kernel` is both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import careful, divergences, fast, fast_probs, long
from crossent._kernels._exact import column, weighted
from crossent._kernels.masses import Masses
from crossent._spans import SPAN, WIDE, Array, Fill, Index, Span, empty_like, map_spans, rows_of

# (z, want_gradient, *targets) -> of each row the loss, any gradient wanted, and the unit of both
Careful = Callable[..., tuple[Array, Any, Any]]
# The same of one row longer than a span, (z, want_gradient, target): the target is its label, or a
# function for the masses of some classes; the gradient comes as which classes, and theirs
Long = Callable[..., tuple[float, Iterable[tuple[slice, Array]], float]]
# (tile, *targets) -> of each row the loss, and whether it is sure (None: all are); the gradient is
# filled, scaled
Fast = Callable[..., tuple[NDArray[Any], NDArray[np.bool_] | None]]


class Kernel(NamedTuple):
    """How a loss is computed: fast, and where that is not sure wider, and then carefully."""

    careful: Careful
    fast: Fast | None = None
    domain: tuple[float, float] = (-np.inf, np.inf)  # of a prediction
    of_labels: bool = False  # it is told labels alone: their masses are weights of its losses
    long: Long | None = None  # the careful one for a row that is longer than a span

    def __call__(self, span: Span, *targets: Any) -> Any:
        """Return the weighted losses of a span, and fill its gradient."""
        if self.fast is None:
            return self.carefully(span, *targets)
        losses = np.empty(len(span.x))
        for rows, tile in span.tiles():
            some = [target[rows] for target in targets]
            loss, sure = self.fast(tile, *some)
            losses[rows] = tile.weight * loss
            if sure is not None and not sure.all():
                self.redo(~sure, tile, losses[rows], *some)
        return losses

    def redo(self, rows: NDArray[np.bool_], span: Span, losses: Array, *targets: Any) -> None:
        """Do some rows of a span again, in float64 if they were not, or else carefully."""
        for which, part in span.parts(rows):
            some = [target[which] for target in targets]
            if part.dtype == WIDE:
                losses[which] = self.carefully(part, *some)
            else:
                losses[which] = self(part.widened(), *some)
            if span.gradient is not None:
                span.gradient[which] = part.gradient

    def carefully(self, span: Span, *targets: Any) -> Any:
        """Return the weighted losses of a span, and fill its gradient, carefully."""
        want_gradient = span.gradient is not None
        if self.long is not None and span.x.shape[1] > SPAN:
            return self.in_pieces(self.long, span, targets[0])
        arrays = [target.of() if isinstance(target, Masses) else target for target in targets]
        loss, gradient, subnormal_unit = self.careful(span.x.astype(WIDE), want_gradient, *arrays)
        if span.gradient is not None:
            span.gradient[...] = weighted(column(span.scale * subnormal_unit), gradient)
        return weighted(span.weight * subnormal_unit, loss)

    def in_pieces(self, long: Long, span: Span, targets: Any) -> Any:
        """Return the weighted losses of rows that are longer than a span, and fill the gradient."""
        losses = np.empty(len(span.x))
        for number in range(len(losses)):
            row = span.take(slice(number, number + 1))
            target = targets[number : number + 1]
            told = target.of if isinstance(target, Masses) else int(target[0])
            loss, gradient, subnormal_unit = long(row.x[0], row.gradient is not None, told)
            losses[number : number + 1] = weighted(row.weight * subnormal_unit, np.array([loss]))
            if row.gradient is not None:
                for classes, piece in gradient:
                    scaled = weighted(column(row.scale * subnormal_unit), piece)
                    row.gradient[:, classes] = scaled
        return losses


LABEL_LOGITS = Kernel(
    careful.label_logits, fast.label_logits, of_labels=True, long=long.label_logits
)
LABEL_PROBS = Kernel(
    careful.label_probs,
    fast_probs.label_probs,
    domain=(0.0, np.inf),
    of_labels=True,
    long=long.label_probs,
)
DENSE_LOGITS = Kernel(careful.dense_logits, fast.dense_logits, long=long.dense_logits)
DENSE_PROBS = Kernel(
    careful.dense_probs, fast_probs.dense_probs, domain=(0.0, np.inf), long=long.dense_probs
)
BINARY_PROBS = Kernel(careful.binary_probs, fast_probs.binary_probs, domain=(0.0, 1.0))


def binary_logits(gamma: float = 0.0) -> Kernel:
    """Return the kernel of binary cross-entropy, focused by γ."""
    return Kernel(
        partial(careful.binary_logits, gamma=gamma), partial(fast.binary_logits, gamma=gamma)
    )


def kl_logits(temperature: float, log_base: float) -> Kernel:
    """Return the kernel of the divergence from the softmax of given logits."""
    options: Any = {"temperature": temperature, "log_base": log_base}
    return Kernel(partial(divergences.kl_logits, **options), partial(fast.kl_logits, **options))


class Function(NamedTuple):
    """How a function of rows of logits is computed: as a `Kernel` computes a loss."""

    careful: Callable[[Array], Array] | None  # None: fast is sure of every row
    fast: Callable[[Span], NDArray[np.bool_] | None]  # fills span.gradient
    long: Fill | None = None

    def __call__(self, x: NDArray[Any], width: int, dtype: Any) -> NDArray[Any]:
        """Return the results of all rows, ``width`` numbers each."""
        like = x if width == x.shape[-1] else x[..., :width]
        result = empty_like(like, dtype) if width > 1 else np.empty(like.shape, dtype)

        def compute(index: Index, _: slice, scratch: NDArray[Any]) -> None:
            filled = result[index].reshape(-1, width)
            self.fill(Span(rows_of(x, index), 1.0, 1.0, filled, scratch, x.size))

        with np.errstate(all="ignore"):
            map_spans(compute, x, long=True)
        return result

    def fill(self, span: Span) -> None:
        """Fill in the results of a span."""
        for _, tile in span.tiles():
            sure = self.fast(tile)
            if sure is None or self.careful is None or sure.all():
                continue
            for which, part in tile.parts(~sure):
                if part.dtype == WIDE:
                    self.carefully(part, self.careful)
                else:
                    self.fill(part.widened())
                tile.gradient[which] = part.gradient

    def carefully(self, span: Span, careful: Callable[[Array], Array]) -> None:
        """Fill in the results of a span, carefully."""
        result = span.gradient
        if self.long is not None and span.x.shape[1] > SPAN:
            for row, place in zip(span.x, result, strict=True):
                self.long(row, place)
        else:
            result[...] = careful(span.x.astype(WIDE)).reshape(result.shape)


SOFTMAX = Function(careful.softmax, fast.softmax, long.softmax)
LOG_SOFTMAX = Function(careful.log_softmax, fast.log_softmax, long.log_softmax)
LOGSUMEXP = Function(careful.logsumexp, fast.logsumexp, long.logsumexp)
SIGMOID = Function(careful.sigmoid, fast.sigmoid)
LOG_SIGMOID = Function(None, fast.log_sigmoid)


def entropy_logits(log_base: float) -> Function:
    """Return the entropy of the softmax of logits, in units of a base."""
    options: Any = {"log_base": log_base}
    careful_one = partial(divergences.entropy_logits, **options)
    return Function(careful_one, partial(fast.entropy_logits, **options))
