"""The interactive figure of the chapter on cross-entropy."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable


def numbers(truth: int, belief: int) -> list[str]:
    """Return the three numbers that the figure should show, in its order."""
    p, q = (np.array([n, 30 - n]) / 30 for n in (truth, belief))
    functions = (crossent.kl_divergence, crossent.cross_entropy)
    return [
        f"{bits:.3f} bits" if np.isfinite(bits) else "∞"
        for bits in (crossent.entropy(p, base=2), *(f(p, q, base=2) for f in functions))
    ]


def test_cross_entropy_bars_starts_where_it_is_told() -> None:
    spec = figures.cross_entropy_bars(26, 15).spec
    assert [param["value"] for param in spec["params"]] == [26, 15]
    assert {(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]} == {(0, 30)}
    ours, excess, both = (number.removesuffix(" bits") for number in numbers(26, 15))
    assert f"{ours} + {excess} = {both} bits" in spec["description"]


@pytest.mark.parametrize(
    ("truth", "belief"), [(26, 15), (15, 26), (7, 7), (0, 29), (30, 30), (26, 30), (1, 0), (0, 30)]
)
def test_cross_entropy_bars_recomputes_when_a_slider_moves(truth: int, belief: int) -> None:
    texts = readable(figures.cross_entropy_bars(26, 15).spec, {"truth": truth, "belief": belief})
    shown = [text.split(" = ")[-1] for text in texts if " = " in text]
    assert shown == numbers(truth, belief)
