"""The interactive figure of the chapter on training."""

import numpy as np
import pytest

import crossent
from crossent import figures
from crossent.figures import VegaLite
from tests.drawing import readable

EPOCHS = range(5, 31, 5)
TRAIN_LOSS = np.linspace(0.9, 0.1, 6)
LABELS = np.arange(40) % 3
# The logits of the labels grow with the epochs, except for the last four samples.
STRENGTH = np.outer(np.arange(1, 7), np.where(np.arange(40) < 36, 0.8, -1.1))
LOGITS = STRENGTH[..., None] * np.eye(3)[LABELS] + np.array([0.1, 0.0, -0.2])


def figure(epoch: int) -> VegaLite:
    return figures.training_epochs(EPOCHS, TRAIN_LOSS, LOGITS, LABELS, epoch)


def numbers(epoch: int) -> tuple[str, str, str]:
    """Return the validation loss, the accuracy, and what part the samples named wrong make."""
    logits = LOGITS[epoch // 5 - 1]
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    each = loss(logits, LABELS, reduction="none")
    wrong = logits.argmax(axis=-1) != LABELS
    share = each[wrong].sum() / each.sum()
    return f"{each.mean():.3f}", f"{1 - wrong.mean():.1%}", f"{share:.0%}"


def test_training_epochs_starts_where_it_is_told() -> None:
    spec = figure(20).spec
    (param,) = spec["params"]
    assert param["value"] == 20
    assert [param["bind"][key] for key in ("min", "max", "step")] == [5, 30, 5]
    loss, accuracy, share = numbers(20)
    assert f"validation loss {loss}, accuracy {accuracy};" in spec["description"]
    assert f"{share} of the validation loss" in spec["description"]
    assert f"training loss {TRAIN_LOSS[3]:.3f}" in spec["description"]


@pytest.mark.parametrize("epoch", EPOCHS)
def test_training_epochs_recomputes_when_the_slider_moves(epoch: int) -> None:
    texts = readable(figure(20).spec, {"epoch": epoch})
    loss, accuracy, share = numbers(epoch)
    assert f"epoch {epoch}" in texts
    assert f"training loss {TRAIN_LOSS[epoch // 5 - 1]:.3f}" in texts
    assert f"validation loss {loss}" in texts
    assert f"{accuracy} are named right" in texts
    assert f"the others make {share} of that loss" in texts


@pytest.mark.parametrize("epoch", EPOCHS)
def test_the_bars_of_training_epochs_add_up_to_the_loss(epoch: int) -> None:
    values = figure(20).spec["layer"][1]["data"]["values"]
    bars = [bar for bar in values if bar["epoch"] == epoch]
    loss, _, share = numbers(epoch)
    heights = dict.fromkeys(("right", "wrong"), 0.0)
    for bar in bars:
        heights[bar["named"]] += bar["high"] - bar["low"]
    # the ends of each of the few bars are saved to four digits
    assert sum(heights.values()) == pytest.approx(float(loss), abs=2e-3)
    assert heights["wrong"] / float(loss) == pytest.approx(float(share[:-1]) / 100, abs=1e-2)


def test_the_bars_of_training_epochs_stand_where_the_probability_is() -> None:
    values = figure(20).spec["layer"][1]["data"]["values"]
    for epoch, logits in zip(EPOCHS, LOGITS, strict=True):
        probs = crossent.softmax(logits)
        true = probs[np.arange(40), LABELS]
        bars = [bar for bar in values if bar["epoch"] == epoch]
        for p in true:
            assert any(0 <= p - bar["left"] < 0.05 for bar in bars)
        for bar in bars:
            assert ((true >= bar["left"]) & (true < bar["left"] + 0.05)).any()
