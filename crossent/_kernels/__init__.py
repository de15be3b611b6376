"""The kernels: what computes the losses of a span of rows, and their gradient.

A careful kernel is right to the last digits for any input. A fast one takes the shortest way that
is accurate for moderate input, and tells which rows it is sure of. A `Kernel` is both.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import careful, divergences, fast, long
from crossent._kernels._exact import column, weighted
from crossent._spans import LARGE, SPAN, WIDE, Array, Span

# (z, want_gradient, *targets) -> of each row the loss, any gradient wanted, and the unit of both
Careful = Callable[..., tuple[Array, Any, Any]]
# The same of one row longer than a span, (z, want_gradient, target): the target is its label, or a
# function for the masses of some classes; the gradient comes as which classes, and theirs
Long = Callable[..., tuple[float, Iterable[tuple[slice, Array]], float]]
# (span, *targets) -> of each row the loss, and whether it is sure (None: all are); the gradient is
# filled, scaled
Fast = Callable[..., tuple[NDArray[Any], NDArray[np.bool_] | None]]


class Kernel(NamedTuple):
    """How a loss is computed: carefully, or fast and then carefully where that is not sure."""

    careful: Careful
    fast: Fast | None = None
    fast_from: int = LARGE  # predictions in the whole array; it is fast above this
    domain: tuple[float, float] = (-np.inf, np.inf)  # of a prediction
    of_labels: bool = False  # it is told labels alone: their masses are weights of its losses
    long: Long | None = None  # the careful one for a row that is longer than a span

    def __call__(self, span: Span, *targets: NDArray[Any]) -> Any:
        """Return the weighted losses of a span, and fill its gradient."""
        if self.fast is None or span.size <= self.fast_from:
            return self.carefully(span, *targets)
        loss, sure = self.fast(span, *targets)
        losses = span.weight * loss
        if sure is not None and np.count_nonzero(sure) < len(sure):
            self.redo(np.flatnonzero(~sure), span, losses, *targets)
        return losses

    def carefully(self, span: Span, *targets: NDArray[Any]) -> Any:
        """Return the weighted losses of a span, and fill its gradient, carefully."""
        want_gradient = span.gradient is not None
        if self.long is not None and span.x.shape[1] > SPAN:
            return self.in_pieces(self.long, span, targets[0])
        loss, gradient, subnormal_unit = self.careful(span.x.astype(WIDE), want_gradient, *targets)
        if span.gradient is not None:
            span.gradient[...] = weighted(column(span.scale * subnormal_unit), gradient)
        return weighted(span.weight * subnormal_unit, loss)

    def takes_pieces(self, x: NDArray[Any]) -> bool:
        """Tell whether it is told the masses of such predictions a piece at a time."""
        return self.long is not None and not self.of_labels and x.shape[-1] > SPAN

    def in_pieces(self, long: Long, span: Span, target: Any) -> Any:
        """Return the weighted loss of a span of one long row, and fill its gradient."""
        target = target if callable(target) else int(target[0])
        loss, gradient, subnormal_unit = long(span.x[0], span.gradient is not None, target)
        if span.gradient is not None:
            for classes, piece in gradient:
                span.gradient[:, classes] = weighted(column(span.scale * subnormal_unit), piece)
        return weighted(span.weight * subnormal_unit, np.array([loss]))

    def redo(self, rows: NDArray[np.intp], span: Span, losses: Any, *targets: Any) -> None:
        """Do some rows of a span again, carefully."""
        step = max(1, SPAN // span.x.shape[1])
        for start in range(0, len(rows), step):
            # A single row is a view.
            which = rows[start : start + step] if step > 1 else slice(rows[start], rows[start] + 1)
            part = span.take(which)
            losses[which] = self.carefully(part, *(target[which] for target in targets))
            if span.gradient is not None:
                span.gradient[which] = part.gradient


LABEL_LOGITS = Kernel(
    careful.label_logits, fast.label_logits, fast_from=0, of_labels=True, long=long.label_logits
)
LABEL_PROBS = Kernel(
    careful.label_probs, domain=(0.0, np.inf), of_labels=True, long=long.label_probs
)
DENSE_LOGITS = Kernel(careful.dense_logits, long=long.dense_logits)
DENSE_PROBS = Kernel(careful.dense_probs, domain=(0.0, np.inf), long=long.dense_probs)
BINARY_PROBS = Kernel(careful.binary_probs, domain=(0.0, 1.0))


def binary_logits(gamma: float = 0.0) -> Kernel:
    """Return the kernel of binary cross-entropy, focused by γ."""
    return Kernel(
        partial(careful.binary_logits, gamma=gamma), partial(fast.binary_logits, gamma=gamma)
    )


def kl_logits(temperature: float, log_base: float) -> Kernel:
    """Return the kernel of the divergence from the softmax of given logits."""
    return Kernel(partial(divergences.kl_logits, temperature=temperature, log_base=log_base))
