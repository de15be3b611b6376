"""The interactive figure of the chapter on the gradient."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import crossent
from crossent import figures
from crossent.figures.style import GRAY, PALETTE
from tests.drawing import drawn, readable

CLASSES = ("cat", "dog", "owl")
CASES = [((2, 1, 0), 0), ((-4, 3, 4), 0), ((0, 0, 0), 2), ((4, -4, -4), 1), ((1.5, -0.5, 3), 1)]
loss = crossent.sparse_categorical_cross_entropy_with_logits


def signals(logits: tuple[float, float, float], label: int) -> dict[str, Any]:
    moved = {f"logit_{name}": logit for name, logit in zip(CLASSES, logits, strict=True)}
    return moved | {"label": CLASSES[label]}


def test_simplex_gradient_starts_where_it_is_told() -> None:
    spec = figures.simplex_gradient((2, 1, -1), 1).spec
    controls = [param for param in spec["params"] if "bind" in param]
    assert [param["value"] for param in controls] == [2, 1, -1, "dog"]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in controls[:3]]
    assert ranges == [(-4, 4)] * 3
    value, gradient = crossent.value_and_grad(loss)([2.0, 1.0, -1.0], 1)
    probs = crossent.softmax([2.0, 1.0, -1.0])
    for name, p, slope in zip(CLASSES, probs, gradient, strict=True):
        assert f"{name} {p:.3f}" in spec["description"]
        assert f"{name} {slope:.3f}" in spec["description"]
    assert f"the label is dog, the loss is {value:.3f}" in spec["description"]


@pytest.mark.parametrize(("logits", "label"), CASES)
def test_simplex_gradient_recomputes_when_a_control_moves(
    logits: tuple[float, float, float], label: int
) -> None:
    texts = readable(figures.simplex_gradient((1, 0, 2)).spec, signals(logits, label))
    value, gradient = crossent.value_and_grad(loss)(np.array(logits, dtype=float), label)
    for k, (name, p) in enumerate(zip(CLASSES, crossent.softmax(logits), strict=True)):
        row = [name, f"{p:.3f}", str(int(k == label)), f"{gradient[k]:.3f}".replace("-", "−")]
        assert any(texts[i : i + 4] == row for i in range(len(texts))), row
    assert f"loss {value:.3f}, length {np.linalg.norm(gradient):.3f}" in texts


@pytest.mark.parametrize(("logits", "label"), CASES)
def test_the_curve_follows_the_gradient(logits: tuple[float, float, float], label: int) -> None:
    svg = drawn(figures.simplex_gradient((1, 0, 2)).spec, signals(logits, label))
    curve = way(svg)
    start = crossent.softmax(np.array(logits, dtype=float))
    np.testing.assert_allclose(curve[0], start, atol=1e-4)  # the curve's first step
    np.testing.assert_allclose(curve[-1], np.eye(3)[label], atol=0.01)
    # At each point, it runs where one small step on the logits moves the prediction.
    steps = np.diff(curve, axis=0)
    seen = np.linalg.norm(steps, axis=1) > 0.002  # else the rounded pixels hide the direction
    assert seen.sum() > 10
    middle = ((curve[1:] + curve[:-1]) / 2)[seen]
    logits_there = np.log(middle)
    downhill = -1e-6 * crossent.grad(loss)(
        logits_there, np.full(len(middle), label), reduction="sum"
    )
    moves = crossent.softmax(logits_there + downhill) - crossent.softmax(logits_there)
    cosine = np.sum(moves * steps[seen], axis=1)
    cosine /= np.linalg.norm(moves, axis=1) * np.linalg.norm(steps[seen], axis=1)
    assert cosine.min() > 0.98  # the drawing's pixels have three decimals, the chords are short


def test_no_field_is_computed_twice() -> None:
    # Where the width changes later, as in a page, the second computation would start from its own
    # result and move the mark out of the drawing.
    for layer in figures.simplex_gradient((0, 0, 0)).spec["layer"]:
        names = [transform["as"] for transform in layer.get("transform", [])]
        assert len(names) == len(set(names)), names


def way(svg: str) -> NDArray[np.float64]:
    """Return the curve of the drawing as probabilities, one prediction a row."""
    corners = np.insert(line(svg, GRAY)[:3], 2, 1, axis=1)  # of cat, dog and owl
    places = np.insert(line(svg, PALETTE[0]), 2, 1, axis=1)
    return np.asarray(np.linalg.solve(corners.T, places.T).T, dtype=np.float64)


def line(svg: str, color: str) -> NDArray[np.float64]:
    """Return the places along the first line of a color."""
    path = re.search(rf'd="([^"]*)" stroke="{color}"', svg)
    assert path is not None
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path[1])]
    return np.array(numbers).reshape(-1, 2)
