"""Entropy, cross-entropy, the divergences and perplexity, against mpmath."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import crossent
from tests import bounds

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("kl_divergence", np.float64)


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(60):
        yield


def total(terms: Any) -> float:
    return float(mp.fsum(terms))


def kl(p: Any, q: Any) -> float:
    pairs = [(mpf(float(a)), mpf(float(b))) for a, b in zip(p, q, strict=True)]
    return total((a * mp.log(a / b) if a else 0) - a + b for a, b in pairs)


def js(p: Any, q: Any) -> float:
    pairs = [(mpf(float(a)), mpf(float(b))) for a, b in zip(p, q, strict=True)]
    terms = ((a * mp.log(2 * a / (a + b)) if a else 0) for a, b in pairs)
    swapped = ((b * mp.log(2 * b / (a + b)) if b else 0) for a, b in pairs)
    return total([*terms, *swapped]) / 2


@pytest.mark.parametrize("bits", range(5))
def test_uniform_distribution_has_log_c(bits: int) -> None:
    p = np.full(2**bits, 0.5**bits)
    assert crossent.entropy(p, base=2) == bits
    assert crossent.entropy(p) == pytest.approx(bits * np.log(2), rel=ULP, abs=0)
    assert crossent.entropy(p, base=10) == pytest.approx(bits * np.log10(2), rel=2 * ULP, abs=0)


def test_certain_outcome_has_no_surprise() -> None:
    assert crossent.entropy([0.0, 1.0, 0.0]) == 0.0
    assert not np.signbit(crossent.entropy([1.0, 0.0]))


def test_containers_of_triangles_and_circles() -> None:
    terms = (-mpf(k) / 30 * mp.log(mpf(k) / 30, 2) for k in (26, 4))
    assert crossent.entropy([26 / 30, 4 / 30], base=2) == pytest.approx(
        total(terms), rel=BOUND * ULP, abs=0
    )


def test_base_below_one_changes_the_sign() -> None:
    assert crossent.entropy([0.5, 0.5], base=0.5) == -1.0


def test_axis_is_the_axis_of_the_outcomes() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5]])
    q = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    expected = [crossent.kl_divergence(p[0], q[0]), crossent.kl_divergence(p[1], q[1])]
    assert crossent.kl_divergence(p, q).tolist() == expected
    assert crossent.kl_divergence(p.T, q.T, axis=0).tolist() == expected
    assert crossent.kl_divergence(p.T, q.T, axis=-2).tolist() == expected


def test_other_axes_broadcast() -> None:
    p, q = [0.5, 0.5], np.array([[[0.25, 0.75]], [[0.5, 0.5]]])
    result = crossent.cross_entropy(p, q)
    assert result.shape == (2, 1)
    assert result[0, 0] == crossent.cross_entropy(p, q[0, 0])
    assert crossent.js_divergence(q, np.full((4, 2), 0.5)).shape == (2, 4)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (np.float16, np.float16, np.float16),
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.int64, np.float32, np.float64),
    ],
)
def test_dtype_is_the_common_one(first: Any, second: Any, result: Any) -> None:
    p, q = np.array([1, 0], first), np.array([0.5, 0.5], second)
    assert isinstance(crossent.cross_entropy(p, q), result)
    assert isinstance(crossent.entropy(q), second)


def test_impossible_outcomes() -> None:
    assert crossent.cross_entropy([0.0, 1.0], [0.0, 1.0]) == 0.0
    assert crossent.cross_entropy([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert crossent.kl_divergence([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert crossent.kl_divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(
        np.log(2), rel=ULP, abs=0
    )
    assert crossent.js_divergence([0.0, 1.0], [1.0, 0.0], base=2) == 1.0


def test_subnormal_probabilities() -> None:
    p, q = [5e-324, 1.0], [0.5, 0.5]
    assert crossent.entropy(p) == pytest.approx(5e-324 * 744.44, rel=0.01, abs=0)
    assert crossent.kl_divergence(q, p) == pytest.approx(kl(q, p), rel=BOUND * ULP, abs=0)
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=BOUND * ULP, abs=0)
    assert crossent.js_divergence(p, q) == pytest.approx(js(p, q), rel=BOUND * ULP, abs=0)


# p and q whose difference goes from nothing to all: both sides of each form that is used.
APART = [2.0**-k for k in range(1, 53, 3)] + [0.4, 0.6, 0.7, 0.74, 0.76, 0.8, 0.9, 0.999]


@pytest.mark.parametrize("apart", APART)
def test_divergences_at_any_distance(apart: float) -> None:
    p, q = [0.5 + apart / 2, 0.5 - apart / 2], [0.5, 0.5]
    for a, b in ((p, q), (q, p), (p, p[::-1])):
        # mpmath: the definitions, in 60 digits, of the very floats
        assert crossent.kl_divergence(a, b) == pytest.approx(kl(a, b), rel=BOUND * ULP, abs=0)
        assert crossent.js_divergence(a, b) == pytest.approx(js(a, b), rel=BOUND * ULP, abs=0)
        assert crossent.js_divergence(b, a) == crossent.js_divergence(a, b)
        in_bits = float(mpf(kl(a, b)) / mp.log(2))
        assert crossent.kl_divergence(a, b, base=2) == pytest.approx(
            in_bits, rel=BOUND * ULP, abs=0
        )


def test_divergence_of_small_probabilities() -> None:
    # The logarithm of the ratio is small beside those of the probabilities.
    p = np.tile([1.75, 0.25], 500) / 1000
    q = np.tile([0.21, 1.79], 500) / 1000
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=3 * ULP, abs=0)
    assert crossent.js_divergence(p, q) == pytest.approx(js(p, q), rel=3 * ULP, abs=0)


def test_divergence_is_zero_only_for_equal_distributions() -> None:
    p = np.array([0.1, 0.2, 0.7])
    assert crossent.kl_divergence(p, p) == 0.0
    assert crossent.js_divergence(p, p) == 0.0
    # The sum of q is one unit in the last place above that of p: the textbook's sum is negative.
    q = np.array([0.1, 0.2, np.nextafter(0.7, 1)])
    assert float(mp.fsum(mpf(a) * mp.log(mpf(a) / mpf(b)) for a, b in zip(p, q, strict=True))) < 0
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=BOUND * ULP, abs=0)
    assert crossent.kl_divergence(p, q) > 0


def test_many_outcomes_add_up_without_drift() -> None:
    # 127 equal terms are where NumPy's sum is off by most: 6 units in the last place.
    for outcomes in (127, 1000, 100_000):
        p = np.full(outcomes, 1 / outcomes)
        each = mpf(float(p[0]))
        true = float(-outcomes * each * mp.log(each))
        assert crossent.entropy(p) == pytest.approx(true, rel=2 * ULP, abs=0)


def test_perplexity_of_guessing_is_the_number_of_classes() -> None:
    assert crossent.perplexity(np.zeros((5, 7)), [0, 1, 2, 3, 6]) == pytest.approx(
        7, rel=9 * ULP, abs=0
    )


def test_perplexity_is_the_exponential_of_the_mean_loss() -> None:
    z = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [1.0, 1.0, 1.0]])
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    expected = np.exp(loss(z[:2], [0, 1]))
    assert crossent.perplexity(z, [0, 1, -1], ignore_index=-1) == expected
    assert crossent.perplexity(z.T, [0, 1, -1], axis=0, ignore_index=-1) == expected


def test_perplexity_keeps_the_dtype_but_not_its_rounding() -> None:
    z = np.array([[0.0, 9.0]], np.float16)
    result = crossent.perplexity(z, [0])
    assert isinstance(result, np.float16)
    # Half a unit in the last place, 2^-11; exp of the loss rounded to float16 would be off by 4.
    assert float(result) == pytest.approx(1 + np.exp(9), rel=2**-11, abs=0)


def test_perplexity_may_be_infinite() -> None:
    assert crossent.perplexity([[0.0, 800.0]], [0]) == np.inf


def test_perplexity_of_nothing_is_nan_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match="mean over nothing is nan"):
        assert np.isnan(crossent.perplexity([[0.0, 1.0]], [7], ignore_index=7))
