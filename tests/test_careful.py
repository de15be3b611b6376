"""Careful kernels: each path through a row, and what keeps the last digits."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from crossent import (
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy_with_logits,
)
from crossent._kernels import _exact, careful
from tests import bounds, calls

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("sparse_categorical_cross_entropy_with_logits", np.float64)


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(400):  # e^-800 is 10^-347
        yield


def test_row_with_its_label_behind() -> None:
    row = np.array([-1e6, -1e6 - 0.7, -1e6 + 610.1])
    with np.errstate(all="ignore"):  # as its callers do
        parts = _exact.leave_one_out(row[None], np.array([1]))
    powers = [mp.exp(mpf(v)) for v in row]
    for got, power in zip(parts.p[0], powers, strict=True):
        true = float(power / mp.fsum(powers))
        assert abs(got - true) <= BOUND * np.spacing(true)
    assert parts.subnormal_unit == parts.miss == 1.0


def test_rows_near_0_take_the_short_way() -> None:
    rows = np.array([[300.0, -300.0, 299.7], [299.0, 300.0, 1.0]])
    ask, own = np.errstate(all="ignore")(_exact.leave_one_out), np.zeros(2, np.intp)
    long_way, parts = calls.count([_exact._shifted], ask, rows, own)  # noqa: SLF001
    assert long_way == 0
    assert parts.p[0].tolist() == ask(rows[:1], own[:1]).p[0].tolist()
    rows[1, 1] = 300.1
    long_way, _ = calls.count([_exact._shifted], ask, rows, own)  # noqa: SLF001
    assert long_way == 1


def test_what_rounding_takes_is_known_exactly() -> None:
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 200)) * 10.0 ** random.integers(-9, 9, (2, 200))
    for (result, error), exactly in (
        (_exact.difference(a, b), [Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)]),
        (_exact.product(0.3, b), [Fraction(0.3) * Fraction(y) for y in b]),
    ):
        for rounded, rest, true in zip(result, error, exactly, strict=True):
            assert Fraction(float(rounded)) + Fraction(float(rest)) == true


def focal_in_full(z: float, target: int, gamma: float) -> Any:
    toward = mpf(z if target else -z)
    rest = 1 / (1 + mp.exp(toward))
    return rest ** mpf(gamma) * mp.log(1 + mp.exp(-toward))


@pytest.mark.parametrize("gamma", [0.3, 2.0, 5.0])
def test_power_of_the_sigmoid_is_not_less_accurate_for_its_exponent(gamma: float) -> None:
    x = np.random.default_rng(1).uniform(-60, 5, 300)
    result = careful.sigmoid_power(x, np.exp(-np.abs(x)), gamma, gamma, np.zeros_like(x))
    for one, got in zip(x, result, strict=True):
        true = (1 + mp.exp(-mpf(one))) ** -mpf(gamma)
        assert abs(mpf(float(got)) - true) <= 3 * mpf(np.spacing(float(true)))


@pytest.mark.parametrize("weight", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("margin", [590.0, 611.3, 729.5, 744.7, 760.1, 899.0])
def test_weighted_losses_that_would_be_subnormal(margin: float, weight: float) -> None:
    true = float(mpf(weight) * mp.log(1 + mp.exp(-mpf(margin))))
    z = [0.0, margin]
    options: dict[str, Any] = {"sample_weight": weight}
    for result in (
        sparse_categorical_cross_entropy_with_logits(z, 1, **options),
        sparse_categorical_cross_entropy_with_logits(z, 1, class_weight=weight),
        categorical_cross_entropy_with_logits(z, [0, 1], class_weight=weight),
        binary_cross_entropy_with_logits(margin, 1, **options),
        binary_cross_entropy_with_logits(margin, 1, pos_weight=weight),
        binary_cross_entropy_with_logits(-margin, 0, **options),
    ):
        assert abs(mpf(float(result)) - mpf(true)) <= BOUND * mpf(max(5e-324, true * ULP))


@pytest.mark.parametrize("weight", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("margin", [196.7, 203.8, 243.2, 248.2, 253.4, 299.7])
def test_weighted_focal_losses_that_would_be_subnormal(margin: float, weight: float) -> None:
    # With γ = 2 the loss is near e^(−3 margin).
    focused = bounds.ulp("binary_focal_loss_with_logits", np.float64, {"γ": 2.0})
    true = float(mpf(weight) * focal_in_full(margin, 1, 2.0))
    for z, target in ((margin, 1), (-margin, 0)):
        result = binary_focal_loss_with_logits(z, target, sample_weight=weight)
        assert abs(mpf(float(result)) - mpf(true)) <= focused * mpf(max(5e-324, true * ULP))


def test_large_losses_lose_nothing_to_the_margin() -> None:
    random = np.random.default_rng(5)
    z = random.uniform(-700, -300, (300, 3))
    z[:, 2] += 1000.3
    result = sparse_categorical_cross_entropy_with_logits(z, np.zeros(300, int), reduction="none")
    for row, loss in zip(z, result, strict=True):
        true = mp.log(mp.fsum(mp.exp(mpf(v)) for v in row)) - mpf(row[0])
        # Half a unit for the last operation, and a little for the logarithm.
        assert abs(mpf(float(loss)) - true) <= 0.75 * mpf(np.spacing(float(true)))


def test_far_losses_keep_their_size_in_every_unit() -> None:
    for margin in (599.0, 700.0, 899.0, 901.0):
        for result in (
            categorical_cross_entropy_with_logits([0.0, margin], [1.0, 0.0]),
            2 * categorical_cross_entropy_with_logits([0.0, margin], [0.5, 0.5]),
            binary_cross_entropy_with_logits(margin, 0.0),
            binary_cross_entropy_with_logits(-margin, 1.0),
            2 * binary_cross_entropy_with_logits(margin, 0.5),
        ):
            assert result == margin


def test_a_focal_loss_that_is_subnormal_only_with_its_power() -> None:
    z, weight = -250.0, 1e30  # the power is e^−500, the loss e^−750
    loss = binary_focal_loss_with_logits(z, 0, gamma=2.0, sample_weight=weight)
    half = math.exp(-375.0)  # σ(z)² log(1 + e^z) is e^3z to all digits
    # Its own error, and 3 ulp of what is written here.
    focused = bounds.ulp("binary_focal_loss_with_logits", np.float64, {"γ": 2.0})
    assert loss == pytest.approx(half * weight * half, rel=(focused + 3) * ULP, abs=0)
