"""The figure of the chapter on squared error: what it says at first, and after a move."""

from typing import Any

import pytest

import crossent
from crossent import figures
from tests.drawing import readable


def descend(z: Any, steps: int) -> list[list[str]]:
    """Return logit, loss and gradient of both losses, as the table prints them."""
    bce = crossent.binary_cross_entropy_with_logits
    other = z
    for _ in range(steps):
        z -= crossent.grad(bce)(z, 1)
        other += 2 * crossent.sigmoid(-other) ** 2 * crossent.sigmoid(other)
    miss = crossent.sigmoid(-other)
    slopes = crossent.grad(bce)(z, 1), -2 * miss**2 * crossent.sigmoid(other)
    pairs = (z, other), (bce(z, 1), miss**2), slopes
    return [[f"{number:.3f}" for number in pair] for pair in pairs]


@pytest.mark.parametrize(("start", "steps"), [(-6, 0), (-6, 100), (-2.5, 35), (0, 5), (6, 100)])
def test_two_losses_recomputes_when_a_slider_moves(start: float, steps: int) -> None:
    texts = readable(figures.two_losses(-4).spec, {"start": start, "steps": steps})
    first = texts.index("logit")
    assert texts[first : first + 9 : 3] == ["logit", "loss", "gradient"]
    for line, numbers in enumerate(descend(start, steps)):
        row = texts[first + 3 * line + 1 : first + 3 * line + 3]
        # stops are saved to four digits, which may move the third
        assert [float(text.replace("−", "-")) for text in row] == pytest.approx(
            [float(number) for number in numbers], abs=1.1e-3
        )


def test_two_losses_starts_where_it_is_told() -> None:
    spec = figures.two_losses(-4).spec
    starts = {param["name"]: param["value"] for param in spec["params"]}
    assert starts == {"start": -4, "steps": 0}
    for slope in descend(-4, 0)[2]:
        assert slope in spec["description"]
