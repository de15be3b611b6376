"""The kernels: what computes the losses of a span of rows, and their gradient.

A careful kernel is right to the last digits for any input. A fast one takes the shortest way that
is accurate for moderate input, and tells which rows it is sure of. A `Kernel` is both.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import careful, divergences, fast
from crossent._kernels._exact import column, weighted
from crossent._spans import LARGE, SPAN, WIDE, Array, Span

# (z, want_gradient, *targets) -> of each row the loss, any gradient wanted, and the unit of both
Careful = Callable[..., tuple[Array, Any, Any]]
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
        loss, gradient, subnormal_unit = self.careful(span.x.astype(WIDE), want_gradient, *targets)
        if span.gradient is not None:
            span.gradient[...] = weighted(column(span.scale * subnormal_unit), gradient)
        return weighted(span.weight * subnormal_unit, loss)

    def redo(self, rows: NDArray[np.intp], span: Span, losses: Any, *targets: Any) -> None:
        """Do some rows of a span again, carefully."""
        step = max(1, SPAN // span.x.shape[1])
        for start in range(0, len(rows), step):
            which = rows[start : start + step]
            part = span.take(which)
            losses[which] = self.carefully(part, *(target[which] for target in targets))
            if span.gradient is not None:
                span.gradient[which] = part.gradient


LABEL_LOGITS = Kernel(careful.label_logits, fast.label_logits, fast_from=0, of_labels=True)
LABEL_PROBS = Kernel(careful.label_probs, domain=(0.0, np.inf), of_labels=True)
DENSE_LOGITS = Kernel(careful.dense_logits)
DENSE_PROBS = Kernel(careful.dense_probs, domain=(0.0, np.inf))
BINARY_PROBS = Kernel(careful.binary_probs, domain=(0.0, 1.0))


def binary_logits(gamma: float = 0.0) -> Kernel:
    """Return the kernel of binary cross-entropy, focused by γ."""
    return Kernel(
        partial(careful.binary_logits, gamma=gamma), partial(fast.binary_logits, gamma=gamma)
    )


def kl_logits(temperature: float, log_base: float) -> Kernel:
    """Return the kernel of the divergence from the softmax of given logits."""
    return Kernel(partial(divergences.kl_logits, temperature=temperature, log_base=log_base))
