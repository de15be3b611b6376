"""The interactive figure of the chapter on softmax."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable

CLASSES = ("cat", "dog", "owl", "fox")


def test_softmax_bars_starts_where_it_is_told() -> None:
    spec = figures.softmax_bars((2, 1, 0, -1), 0.5).spec
    assert [param["value"] for param in spec["params"]] == [2, 1, 0, -1, 0.5]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(-5, 5)] * 4 + [(0.1, 5)]
    probs = crossent.softmax([4.0, 2.0, 0.0, -2.0])
    for name, p in zip(CLASSES, probs, strict=True):
        assert f"{name} {p:.3f}" in spec["description"]
    assert f"entropy {crossent.entropy(probs):.3f} nats" in spec["description"]


@pytest.mark.parametrize(
    ("logits", "temperature"),
    [
        ((2, 1, 0, -1), 1),
        ((2, 1, 0, -1), 5),
        ((5, -5, -5, -5), 0.1),
        ((0, 0, 0, 0), 2.5),
        ((-5, -4.9, 3, 3), 0.3),
    ],
)
def test_softmax_bars_recomputes_when_a_slider_moves(
    logits: tuple[float, float, float, float], temperature: float
) -> None:
    moved = {f"logit_{name}": logit for name, logit in zip(CLASSES, logits, strict=True)}
    texts = readable(figures.softmax_bars((1, 1, 1, 2)).spec, moved | {"temperature": temperature})
    probs = crossent.softmax(np.divide(logits, temperature))
    first = texts.index("cat")
    assert texts[first : first + 8] == [*CLASSES, *(f"{p:.3f}" for p in probs)]
    assert f"entropy {crossent.entropy(probs):.3f} nats (at most 1.386)" in texts
