"""The interactive figure of the chapter on the family of losses."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable


def readings(gamma: float, alpha: float, p_t: float) -> list[tuple[float, float]]:
    """Return the loss and the size of its gradient: cross-entropy, then focal for y = 1 and 0."""
    logit = np.log(p_t / (1 - p_t))
    plain = crossent.value_and_grad(crossent.binary_cross_entropy_with_logits)(logit, 1)
    focal = crossent.value_and_grad(crossent.binary_focal_loss_with_logits)
    positive = focal(logit, 1, gamma=gamma, alpha=alpha)
    negative = focal(-logit, 0, gamma=gamma, alpha=alpha)
    return [(float(loss), float(abs(slope))) for loss, slope in (plain, positive, negative)]


def shown(x: float) -> str:
    return f"{x:.4f}" if x >= 0.001 else f"{x:.1e}".replace("e-0", "e-").replace("e+00", "e+0")


def test_focal_curves_starts_where_it_is_told() -> None:
    spec = figures.focal_curves(2, 0.25, 0.9).spec
    assert [param["value"] for param in spec["params"]] == [2, 0.25, 0.9]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(0, 5), (0, 1), (0.01, 0.99)]
    (plain, plain_slope), (focal, focal_slope), _ = readings(2, 0.25, 0.9)
    assert f"cross-entropy {plain:.4f} with gradient {plain_slope:.4f}" in spec["description"]
    assert f"focal loss {focal:.4f} with gradient {focal_slope:.4f}" in spec["description"]


@pytest.mark.parametrize(
    ("gamma", "alpha", "p_t"),
    [(2, 0.25, 0.9), (0, 0.5, 0.3), (0.5, 0.75, 0.01), (5, 1, 0.2), (5, 0, 0.99), (1, 0.25, 0.5)],
)
def test_focal_curves_recomputes_when_a_slider_moves(
    gamma: float, alpha: float, p_t: float
) -> None:
    moved = {"gamma": gamma, "alpha": alpha, "probability": p_t}
    texts = readable(figures.focal_curves(3, 0.4, 0.6).spec, moved)
    table = texts[texts.index("cross-entropy") :]
    plain_slope = readings(gamma, alpha, p_t)[0][1]
    for column, (loss, slope) in enumerate(readings(gamma, alpha, p_t)):
        numbers = [shown(x) for x in (loss, slope, slope / plain_slope)]
        assert table[4 * column + 1 : 4 * column + 4] == numbers
