"""What the interactive figures must show: one class each, by chapter."""

import numpy as np

from tests.drawing import Drawing, drawn
from tests.figures.bars import BARS
from tests.figures.likelihood import LIKELIHOOD
from tests.figures.losses import LOSSES
from tests.figures.positions import Position
from tests.figures.practice import PRACTICE
from tests.figures.theory import THEORY

# Each at two starts, the first as in its chapter.
FIGURES: list[tuple[Position, Position]] = BARS + THEORY + LIKELIHOOD + LOSSES + PRACTICE


def drawing_of(at: Position) -> Drawing:
    """Return a figure as it is drawn at first, after a look at where its marks are."""
    (drawing,) = drawn(at.figure().spec, {})
    for mark, seen, expected in at.marks(drawing):
        np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-3, err_msg=f"{mark} at {at}")
    return drawing
