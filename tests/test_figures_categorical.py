"""The interactive figure of the chapter on categorical cross-entropy."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable

CLASSES = ("cat", "dog", "owl")


def test_categorical_terms_starts_where_it_is_told() -> None:
    spec = figures.categorical_terms((2, 1, 0), 1).spec
    assert [param["value"] for param in spec["params"]] == [2, 1, 0, "dog", 0]
    loss = crossent.sparse_categorical_cross_entropy_with_logits([2.0, 1.0, 0.0], 1)
    assert f"the target is dog alone, and the loss is {loss:.3f} nats" in spec["description"]
    for name, p in zip(CLASSES, crossent.softmax([2.0, 1.0, 0.0]), strict=True):
        assert f"{name} {p:.3f}" in spec["description"]


@pytest.mark.parametrize(
    ("logits", "label", "spread"),
    [((2, 1, 0), 0, 0), ((-3, 3, 3), 0, 0), ((-3, 3, 3), 2, 0.3), ((1, 1, 1), 1, 1)],
)
def test_categorical_terms_recomputes_when_a_control_moves(
    logits: tuple[float, float, float], label: int, spread: float
) -> None:
    moved = {f"logit_{name}": logit for name, logit in zip(CLASSES, logits, strict=True)}
    texts = readable(
        figures.categorical_terms((0, 0, 1)).spec,
        moved | {"label": CLASSES[label], "spread": spread},
    )
    target = (1 - spread) * np.eye(3)[label] + spread / 3
    surprise = -crossent.log_softmax(np.array(logits))
    for name, t, p, term in zip(CLASSES, target, np.exp(-surprise), target * surprise, strict=True):
        assert f"{name}:  {t:.3f} × −log {p:.3f} = {term:.3f}" in texts
    loss = crossent.categorical_cross_entropy_with_logits(np.array(logits), target)
    assert f"loss = sum = {loss:.3f} nats" in texts


def test_categorical_terms_fit_the_axis() -> None:
    worst = crossent.sparse_categorical_cross_entropy_with_logits([-3.0, 3.0, 3.0], 0)
    spec = figures.categorical_terms((0, 0, 0)).spec
    assert worst < spec["encoding"]["x"]["scale"]["domain"][1]
