"""The losses, their options, and inputs for them: the table that the shared tests run over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import crossent
from crossent._validate import Reduction

Array = NDArray[Any]

REDUCTIONS: tuple[Reduction, ...] = ("none", "sum", "mean", "weighted_mean")


@dataclass(frozen=True)
class Loss:
    """One loss: what it takes, and the options it has beside `axis` and `reduction`."""

    name: str
    predictions: Literal["logits", "probabilities"]
    targets: Literal["binary", "dense", "labels"]
    options: tuple[str, ...]

    @property
    def function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(crossent, self.name)
        return function

    @property
    def has_classes(self) -> bool:
        return self.targets != "binary"

    def option_sets(self) -> Iterator[tuple[str, ...]]:
        """Every combination of its options."""
        for size in range(len(self.options) + 1):
            yield from combinations(self.options, size)


_DENSE = ("class_weight", "sample_weight", "label_smoothing")
_SPARSE = (*_DENSE, "ignore_index")
_BINARY = ("sample_weight", "label_smoothing")

LOSSES = (
    Loss("binary_cross_entropy", "probabilities", "binary", _BINARY),
    Loss("binary_cross_entropy_with_logits", "logits", "binary", ("pos_weight", *_BINARY)),
    Loss("categorical_cross_entropy", "probabilities", "dense", _DENSE),
    Loss("categorical_cross_entropy_with_logits", "logits", "dense", _DENSE),
    Loss("sparse_categorical_cross_entropy", "probabilities", "labels", _SPARSE),
    Loss("sparse_categorical_cross_entropy_with_logits", "logits", "labels", _SPARSE),
    Loss("binary_focal_loss_with_logits", "logits", "binary", ("gamma", "alpha", "sample_weight")),
)

CLASSES = 4
IGNORED = 1


def logits(random: np.random.Generator, shape: tuple[int, ...], structure: str) -> Array:
    """Random logits, tied ones, or ones in which a class stands out."""
    if structure == "tied":
        return random.integers(-1, 2, shape).astype(float)
    z = random.normal(scale=2, size=shape)
    return z + 12 * (random.random(shape) < 0.3) if structure == "confident" else z


def probabilities(random: np.random.Generator, shape: tuple[int, ...], structure: str) -> Array:
    """The softmax of such logits along the last axis; none is under 10⁻⁶."""
    powers = np.exp(np.clip(logits(random, shape, structure), -5, 7))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def inputs(
    loss: Loss, random: np.random.Generator, batch: tuple[int, ...], structure: str, *, soft: bool
) -> tuple[Array, Array]:
    """Predictions and targets for a batch of that shape, the class axis last."""
    shape = (*batch, CLASSES)
    draw = logits if loss.predictions == "logits" else probabilities
    if loss.targets == "labels":
        labels = np.array(random.integers(0, CLASSES, batch))
        labels.flat[0] = IGNORED + 1  # not everything is ignored
        return draw(random, shape, structure), labels
    if loss.targets == "dense":
        one_hot = np.eye(CLASSES)[random.integers(0, CLASSES, batch)]
        mixed = probabilities(random, shape, structure)
        return draw(random, shape, structure), mixed if soft else one_hot
    predictions = np.asarray(draw(random, (*batch, 2), structure)[..., 0])
    targets = random.random(batch) if soft else random.integers(0, 2, batch)
    return predictions, np.asarray(targets, dtype=float)


def option(name: str, random: np.random.Generator, batch: tuple[int, ...]) -> Any:
    """A value for an option, other than its default."""
    values: dict[str, Callable[[], Any]] = {
        "class_weight": lambda: random.uniform(0.1, 5, CLASSES),
        "sample_weight": lambda: np.asarray(random.integers(0, 4, batch) / 2.0 + 0.5),
        "label_smoothing": lambda: 0.1,
        "ignore_index": lambda: IGNORED,
        "pos_weight": lambda: 3.7,
        "gamma": lambda: 1.5,
        "alpha": lambda: 0.3,
    }
    return values[name]()
