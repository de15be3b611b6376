"""The figures of the chapter on binary cross-entropy: what they say at first, and after a move."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable

PROBS = np.array([0.02, 0.34, 0.36, 0.58, 0.77, 0.93, 1.0])
LABELS = np.array([0, 0, 1, 0, 1, 1, 1])


def value(texts: list[str], name: str) -> str:
    """Return the number that stands beside a name."""
    return texts[texts.index(name) + 1].replace("−", "-")


def test_binary_loss_starts_where_it_is_told() -> None:
    spec = figures.binary_loss(1.5, 0.7).spec
    starts = {param["name"]: param["value"] for param in spec["params"] if "bind" in param}
    assert starts == {"logit": 1.5, "target": 0.7}
    loss = crossent.binary_cross_entropy_with_logits(1.5, 0.7)
    floor = crossent.entropy([0.7, 0.3])
    slope = crossent.sigmoid(1.5) - 0.7
    for number in (loss, floor, slope):
        assert f"at first {number:.3f}" in spec["description"]


@pytest.mark.parametrize(
    ("logit", "target"), [(-6.0, 0.0), (-0.4, 0.3), (0.0, 0.3), (2.5, 0.3), (6.0, 1.0)]
)
def test_binary_loss_recomputes_when_a_slider_moves(logit: float, target: float) -> None:
    texts = readable(figures.binary_loss(-2, 1).spec, {"logit": logit, "target": target})
    loss = crossent.binary_cross_entropy_with_logits(logit, target)
    assert value(texts, "probability σ(z)") == f"{crossent.sigmoid(logit):.3f}"
    assert value(texts, "loss") == f"{loss:.3f}"
    floor = crossent.entropy([target, 1 - target])
    assert value(texts, "lowest loss for this target") == f"{floor:.3f}"
    slope = crossent.sigmoid(logit) - target
    assert value(texts, "gradient σ(z) − y") == f"{slope:.3f}"


@pytest.mark.parametrize(("threshold", "miss"), [(0.5, 1), (0.35, 4), (0.05, 20), (0.95, 2)])
def test_decision_threshold_recomputes_when_a_slider_moves(threshold: float, miss: int) -> None:
    spec = figures.decision_threshold(PROBS, LABELS).spec
    texts = readable(spec, {"threshold": threshold, "miss": miss})
    acts, yes = threshold <= PROBS, LABELS == 1
    cost = np.where(yes, miss * ~acts, acts).mean()
    assert value(texts, "accuracy") == f"{(acts == yes).mean():.3f}"
    assert value(texts, "precision") == f"{yes[acts].mean():.3f}"
    assert value(texts, "recall") == f"{acts[yes].mean():.3f}"
    assert value(texts, "cost (a false alarm is 1)") == f"{cost:.3f}"
    loss = crossent.binary_cross_entropy(PROBS, LABELS)
    assert value(texts, "log loss") == f"{loss:.3f}"


def test_decision_threshold_has_no_precision_where_nothing_is_acted_on() -> None:
    texts = readable(figures.decision_threshold(PROBS, LABELS).spec, {"threshold": 1})
    assert value(texts, "precision") == "–"
    assert value(texts, "recall") == "0.000"


def test_decision_threshold_starts_at_one_half_and_names_its_labels() -> None:
    figure = figures.decision_threshold(PROBS, LABELS, names=("repaid", "defaulted"))
    starts = {param["name"]: param["value"] for param in figure.spec["params"]}
    assert starts == {"threshold": 0.5, "miss": 1}
    accuracy = ((PROBS >= 0.5) == LABELS).mean()
    loss = crossent.binary_cross_entropy(PROBS, LABELS)
    assert f"accuracy (at first {accuracy:.3f})" in figure.spec["description"]
    assert f"{loss:.3f} at every threshold" in figure.spec["description"]
    assert {"defaulted ↑", "repaid ↓"} <= set(readable(figure.spec, {}))
