"""What a loss over classes is asked: the masses of the classes in the rows of a span."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossent._spans import WIDE, Array

ALL = slice(None)


@dataclass(frozen=True)
class Masses:
    """Masses w_k ((1 − ε) t_k + ε / C), for a target t that is one-hot or any distribution.

    Each is the sum of a hard part, which only the label of a one-hot target has, and of a soft one.
    """

    labels: Any  # (R,), or
    targets: Any  # (R, C): of the two one is None
    weight: Any  # w: (R, C), (1, C) where it is the same for all rows, or None
    smoothing: float  # ε
    classes: int  # C

    def __getitem__(self, rows: Any) -> "Masses":
        """Return those of some rows."""
        labels, targets = (None if x is None else x[rows] for x in (self.labels, self.targets))
        own = self.weight is None or len(self.weight) == 1
        return replace(
            self, labels=labels, targets=targets, weight=self.weight if own else self.weight[rows]
        )

    def of(self, some: slice = ALL) -> Array:
        """Return a copy of the masses of some classes, right to the last digit."""
        if self.targets is not None:
            return np.array(self.soft(some, WIDE))
        start, stop, _ = some.indices(self.classes)
        inside = np.flatnonzero((self.labels >= start) & (self.labels < stop))
        one_hot = np.zeros((len(self.labels), stop - start))
        one_hot[inside, self.labels[inside] - start] = 1.0
        mass: Array = (1.0 - self.smoothing) * one_hot + self.smoothing / self.classes
        return mass if self.weight is None else mass * self.weight[:, some]

    def soft(self, some: slice, dtype: np.dtype[Any]) -> Any:
        """Return the soft part: (R, c), (1, c) or a number."""
        result: Any = self.smoothing / self.classes
        if self.targets is not None:
            mass = self.targets[:, some].astype(dtype, copy=False)
            result = (1.0 - self.smoothing) * mass + result if self.smoothing else mass
        if self.weight is not None:
            result = self.weight[:, some].astype(dtype, copy=False) * result
        return result

    def hard(self) -> Any:
        """Return the hard part of the labels: (R,), or a number."""
        if self.weight is None:
            return 1.0 - self.smoothing
        own = 0 if len(self.weight) == 1 else np.arange(len(self.labels))
        return (1.0 - self.smoothing) * self.weight[own, self.labels].astype(WIDE)
