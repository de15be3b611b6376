"""The interactive figures of the chapter on smoothing."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable

loss = crossent.sparse_categorical_cross_entropy_with_logits


def target(classes: int, smoothing: float) -> list[float]:
    other = smoothing / classes
    return [1 - smoothing + other, *[other] * (classes - 1)]


def test_smoothing_floor_starts_where_it_is_told() -> None:
    spec = figures.smoothing_floor(27, 0.25, 4.5).spec
    assert [param["value"] for param in spec["params"]] == [0.25, 27, 4.5]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(0, 0.5), (2, 100), (-2, 12)]
    value = loss([[4.5] + [0] * 26], [0], label_smoothing=0.25)
    assert f"at first {value:.4f}" in spec["description"]
    assert f"at first {crossent.entropy(target(27, 0.25)):.4f}" in spec["description"]


@pytest.mark.parametrize(
    ("classes", "smoothing", "margin"),
    [(10, 0.1, 3), (2, 0.5, -2), (100, 0.01, 12), (50, 0, 0)],
)
def test_smoothing_floor_recomputes_when_a_slider_moves(
    classes: int, smoothing: float, margin: float
) -> None:
    moved = {"classes": classes, "smoothing": smoothing, "margin": margin}
    texts = readable(figures.smoothing_floor(3, 0.2, 1).spec, moved)
    logits = np.zeros((1, classes))
    logits[0, 0] = margin
    true, other = target(classes, smoothing)[:2]
    best = f"{np.log(true / other):.2f}" if smoothing else "∞"
    assert f"loss {loss(logits, [0], label_smoothing=smoothing):.4f}" in texts
    assert f"floor H(target) {crossent.entropy(target(classes, smoothing)):.4f}" in texts
    assert f"best margin {best}" in texts


def test_loss_ruler_starts_where_it_is_told() -> None:
    spec = figures.loss_ruler(1.25, 27, 0.2).spec
    assert [param["value"] for param in spec["params"]] == [1.25, 27, 0.2]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(0, 8), (2, 1000), (0, 0.5)]
    for number in (1.25, crossent.entropy(target(27, 0.2)), np.log(27)):
        assert f"{number:.3f}" in spec["description"]


@pytest.mark.parametrize(
    ("value", "classes", "smoothing", "verdict"),
    [
        (0.65, 10, 0.1, "better than guessing by 72%"),
        (2.5, 10, 0.0, "worse than guessing"),
        (0.4, 10, 0.1, "below the floor: another smoothing, or a wrong loss"),
        (6.5, 1000, 0.5, "better than guessing by 6%"),
    ],
)
def test_loss_ruler_recomputes_when_a_slider_moves(
    value: float, classes: int, smoothing: float, verdict: str
) -> None:
    moved = {"loss": value, "classes": classes, "smoothing": smoothing}
    texts = readable(figures.loss_ruler(1, 2, 0.3).spec, moved)
    right = np.eye(classes)[:1]  # the best that probabilities can do as logits
    assert f"your loss {value:.3f}" in texts
    assert f"floor of smoothing {crossent.entropy(target(classes, smoothing)):.3f}" in texts
    assert f"floor after a second softmax {loss(right, [0]):.3f}" in texts
    assert f"guessing: log K {loss(0 * right, [0]):.3f}" in texts
    assert f"geometric mean of p(truth) {np.exp(-value):.3f}" in texts
    assert verdict in texts
