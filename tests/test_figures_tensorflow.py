"""The interactive figure of the chapter on TensorFlow and Keras."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import drawn, readable

LOSS = crossent.sparse_categorical_cross_entropy_with_logits


def by_default(logits: np.ndarray, label: int) -> float:
    """Return what Keras computes when it takes the logits for probabilities."""
    q = logits.clip(1e-7, 1 - 1e-7)
    return float(np.log(q.sum()) - np.log(q[label]))


def test_forgotten_logits_starts_where_it_is_told() -> None:
    spec = figures.forgotten_logits((2, 1, 0), 1).spec
    assert [param["value"] for param in spec["params"]] == [2, 1, 0, "class 1"]
    logits = np.array([2.0, 1.0, 0.0])
    losses = f"{LOSS(logits, 1):.3f} and {by_default(logits, 1):.3f}"
    assert (
        f"the logits are 2, 1, 0, the label is 1, and the losses are {losses}"
        in (spec["description"])
    )


@pytest.mark.parametrize(
    ("logits", "label"),
    [((2, 1, 0), 0), ((2.5, -1, -2), 1), ((-2, -1, -0.5), 2), ((0.3, 0.6, 3), 0), ((1, 0, 0.5), 2)],
)
def test_forgotten_logits_recomputes_when_a_control_moves(
    logits: tuple[float, float, float], label: int
) -> None:
    z = np.array(logits, dtype=float)
    moved = {f"z{k}": value for k, value in enumerate(logits)} | {"label": f"class {label}"}
    texts = readable(figures.forgotten_logits((0.5, 0.5, 0.5)).spec, moved)
    assert f"loss {LOSS(z, label):.3f}, default {by_default(z, label):.3f}" in texts
    step = 1e-6
    for k, right in enumerate(crossent.grad(LOSS)(z, label)):
        e = step * np.eye(3)[k]
        difference = (by_default(z + e, label) - by_default(z - e, label)) / (2 * step)
        # At 0 and 1 the clip has a corner just inside; the gradient there is that of the flat side.
        wrong = difference if 0 < z[k] < 1 else 0.0
        values = f"gradient {right:.3f}, default {wrong:.3f}".replace("-", "−")
        assert f"class {k}:  {values}" in texts


@pytest.mark.parametrize("control", ["z0", "z1", "z2", "label"])
def test_every_control_of_forgotten_logits_changes_the_drawing(control: str) -> None:
    spec = figures.forgotten_logits((0.5, 0.5, 0.5)).spec
    moved = {"label": "class 2"} if control == "label" else {control: 2.0}
    assert drawn(spec, {}) != drawn(spec, moved)
