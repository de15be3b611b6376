"""The interactive figure of the chapter on likelihood."""

import mpmath
import pytest

import crossent
from crossent import figures
from tests.drawing import readable


def test_coin_likelihood_starts_where_it_is_told() -> None:
    spec = figures.coin_likelihood(0.5, 10).spec
    assert [param["value"] for param in spec["params"]] == [0.5, 10]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(0.01, 0.99), (10, 200)]
    loss = crossent.cross_entropy([0.7, 0.3], [0.5, 0.5])
    assert f"likelihood {0.5**10:.2e}, mean loss {loss:.4f} nats" in spec["description"]


@pytest.mark.parametrize(
    ("bias", "flips"), [(0.5, 10), (0.7, 200), (0.29, 30), (0.01, 200), (0.99, 100)]
)
def test_coin_likelihood_recomputes_when_a_slider_moves(bias: float, flips: int) -> None:
    texts = readable(figures.coin_likelihood(0.6, 20).spec, {"bias": bias, "flips": flips})
    heads = 7 * flips // 10
    likelihood = mpmath.mpf(bias) ** heads * mpmath.mpf(1 - bias) ** (flips - heads)
    shown = next(text for text in texts if text.startswith("likelihood "))
    digits = float(shown.removeprefix("likelihood ").replace("−", "-"))
    assert digits == pytest.approx(float(likelihood), rel=0.005)  # half a unit of its last digit
    loss = crossent.cross_entropy([0.7, 0.3], [bias, 1 - bias])
    assert f"mean loss {loss:.4f} nats" in texts
