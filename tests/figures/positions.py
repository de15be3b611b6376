"""A figure whose controls stand somewhere: what it should show there.

The figures themselves are in ``theory``, ``losses`` and ``practice``. They know no formula of the
drawings: what a text tells and where a mark stands comes from ``crossent``, from NumPy or mpmath,
or from the definition. The docstring of a figure is its description, with … for each number, which
``told`` knows, and {names} for what a control chose.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

import crossent
from crossent.figures import VegaLite
from tests.drawing import Drawing

Array: TypeAlias = NDArray[np.float64]
Text: TypeAlias = str | tuple[Any, ...]  # as it is, or a template with its numbers
Seen: TypeAlias = tuple[str, Any, Any]  # what, where it is seen, where it should be

NUMBER = r"−?\d+(?:\.\d+)?(?:e[-+]\d+)?%?|∞|–|\bnan\b"
CLASSES = ("cat", "dog", "owl")
sparse = crossent.sparse_categorical_cross_entropy_with_logits
binary = crossent.binary_cross_entropy_with_logits


@dataclass
class Position(ABC):
    """Where the controls stand is in the fields, which are named as the controls are."""

    also: ClassVar[tuple[dict[str, Any], ...]] = ()  # positions that a grid may leave out

    @classmethod
    def is_described(cls, description: str) -> bool:
        """Return whether this is how the docstring describes the figure, whatever the numbers."""
        pattern = re.escape(" ".join(str(cls.__doc__).split()))
        pattern = re.sub(r"\\\{\w+\\\}", r"\\w+", pattern).replace("…", f"(?:{NUMBER})")
        return re.fullmatch(pattern, description) is not None

    @abstractmethod
    def figure(self) -> VegaLite:
        """Return the figure that starts here."""

    @abstractmethod
    def texts(self) -> Iterable[Text]:
        """Return all texts with a number, in the order in which they are drawn."""

    @abstractmethod
    def told(self) -> Iterable[Text]:
        """Return all numbers that the description tells, in their order, but not the controls'."""

    @abstractmethod
    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        """Return where marks are seen, read on the axes, and where they should be."""


def without_controls(description: str) -> tuple[str, str]:
    """Return a description without its last sentence, and what that says of the controls."""
    text, _, settings = description.partition(" Controls set ")
    return text, settings.removesuffix(".")


def numbers(*values: Any, form: str = ".3f") -> list[Text]:
    """Return texts that are a number each."""
    return [(f"{{:{form}}}", value) for value in values]


def numbers_in(*texts: Text) -> Iterable[Text]:
    """Return the numbers of templates, without the words around them."""
    for template, *values in (text for text in texts if not isinstance(text, str)):
        yield from zip(re.findall(r"\{.*?\}", template), values, strict=True)


def ends(bars: list[Array]) -> Array:
    """Return where bars begin and end along x."""
    return np.array([bar[:, 0] for bar in bars])


def typeset(text: str) -> str:
    """Write numbers as the drawings do: with a true minus, ∞, and neither −0 nor e-04."""
    text = re.sub(r"(?<=e)([+-])0", r"\1", re.sub(r"-(0(?:\.0+)?)(?![\d.])", r"\1", text))
    return re.sub(r"(?<!\w)-(?=\d)", "−", text).replace("inf", "∞")


def spellings(text: Text) -> set[str]:
    """Return how a text may be written: a number between two roundings may take either."""
    if isinstance(text, str):
        return {text}
    template, *values = text
    near = [[x * (1 + part) + part for x in values] for part in (-1e-8, 0, 1e-8)]
    return {typeset(template.format(*each)) for each in near}
