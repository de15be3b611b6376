"""The curve in the figure of the chapter on the gradient, which has a formula of its own."""

import numpy as np
import pytest

import crossent
from crossent.figures.style import BLUE
from tests.drawing import drawn
from tests.figures.losses import SimplexGradient, predictions
from tests.figures.positions import sparse

CASES = [
    SimplexGradient(2, 1, 0, "zero"),
    SimplexGradient(-4, 3, 4, "zero"),
    SimplexGradient(0, 0, 0, "nine"),
    SimplexGradient(4, -4, -4, "three"),
    SimplexGradient(1.5, -0.5, 3, "three"),
]


@pytest.mark.parametrize("at", CASES)
def test_the_curve_follows_the_gradient(at: SimplexGradient) -> None:
    (drawing,) = drawn(at.figure().spec, {})
    (way,) = drawing.of("line", BLUE)
    curve = predictions(drawing, way.places)
    np.testing.assert_allclose(curve[0], at.p, atol=1e-4)  # the curve's first step
    np.testing.assert_allclose(curve[-1], at.y, atol=0.01)
    # At each point, it runs where one small step on the logits moves the prediction.
    steps = np.diff(curve, axis=0)
    seen = np.linalg.norm(steps, axis=1) > 0.002  # else the rounded pixels hide the direction
    assert seen.sum() > 10
    logits = np.log(((curve[1:] + curve[:-1]) / 2)[seen])
    downhill = -1e-6 * crossent.grad(sparse)(logits, np.full(len(logits), at.k), reduction="sum")
    moves = crossent.softmax(logits + downhill) - crossent.softmax(logits)
    cosine = np.sum(moves * steps[seen], axis=1)
    cosine /= np.linalg.norm(moves, axis=1) * np.linalg.norm(steps[seen], axis=1)
    assert cosine.min() > 0.98  # the drawing's pixels have three decimals, the chords are short
