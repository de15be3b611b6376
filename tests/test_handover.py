"""Large arrays where a fast kernel hands rows over to a careful one, and weights at the extremes.

The reference for float32 is the same call in float64; that for float64 is the same call in pieces
that are not large, which go to other kernels or sum in other ways.
"""

import math
from typing import Any

import numpy as np
import pytest

from crossent import (
    _spans,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    linear_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
    value_and_grad,
)

FAR = {np.float32: 110.0, np.float64: 780.0}  # beyond where e^z is 0 or infinite
WEIGHTS = [1.0, 1e-10, 1e9, 1e30]  # large ones would show digits that were lost in the subnormals


def in_small_pieces(loss: Any, z: Any, t: Any, weight: Any, **options: Any) -> list[Any]:
    """Value and gradient in float64, from calls too small for the ways of large arrays."""
    step = _spans.LARGE * len(z) // (2 * z.size)
    pieces = [
        value_and_grad(loss)(
            z[start : start + step].astype(np.float64),
            t[start : start + step],
            sample_weight=weight[start : start + step],
            reduction="none",
            **options,
        )
        for start in range(0, len(z), step)
    ]
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def assert_close(got: Any, expected: Any, ulp: Any) -> None:
    """Within so many ulp of what is expected, or infinite where that is out of range."""
    most = np.finfo(got.dtype).max
    inside = np.abs(expected) <= most
    assert np.isinf(got[~inside]).all()
    unit = np.spacing(np.where(inside, np.abs(expected), most).astype(got.dtype))
    room = np.reshape(ulp, (-1, *[1] * (got.ndim - 1))) * unit.astype(np.float64)
    bad = inside & ~(np.abs(got.astype(np.float64) - expected) <= room)
    assert not bad.any(), (np.argwhere(bad)[0], got[bad][0], expected[bad][0])


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_label_logits_of_every_height(dtype: Any, weight: float) -> None:
    steps = np.linspace(-FAR[dtype], FAR[dtype], 152)
    first, second = (grid.ravel() for grid in np.meshgrid(steps, steps))
    z = np.stack([first, second, second - 0.3], axis=1).astype(dtype)
    assert z.size > _spans.LARGE
    labels, weights = np.zeros(len(z), int), np.full(len(z), weight)
    expected = in_small_pieces(sparse_categorical_cross_entropy_with_logits, z, labels, weights)
    got = value_and_grad(sparse_categorical_cross_entropy_with_logits)(
        z, labels, sample_weight=weights, reduction="none"
    )
    # The docstring's bound; in float64 the reference has 4 ulp of its own.
    ulp: Any = 12.0
    if dtype is np.float32:
        ulp = 8.0 + 2.5 * np.minimum(np.abs(z).max(axis=1), 88.0)
    for whole, true in zip(got, expected, strict=True):
        assert_close(whole, true, ulp)
    # Without the gradient, other rows are careful ones.
    value = sparse_categorical_cross_entropy_with_logits(
        z, labels, sample_weight=weights, reduction="none"
    )
    assert_close(value, expected[0], ulp)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("gamma", [None, 0.3, 2.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_logits_of_every_height(dtype: Any, gamma: float | None, weight: float) -> None:
    z = np.linspace(-FAR[dtype], FAR[dtype], _spans.LARGE + 1).astype(dtype)
    targets, weights = np.arange(len(z)) % 2, np.full(len(z), weight)
    loss: Any = binary_cross_entropy_with_logits
    options = {}
    if gamma is not None:
        loss, options = binary_focal_loss_with_logits, {"gamma": gamma}
    expected = in_small_pieces(loss, z, targets, weights, **options)
    got = value_and_grad(loss)(z, targets, sample_weight=weights, reduction="none", **options)
    # The docstring's bound, and in float64 that of the reference.
    ulp = 8.0 + 3.0 * (gamma or 0.0) + (5.0 + (gamma or 0.0) if dtype is np.float64 else 0.0)
    for whole, true in zip(got, expected, strict=True):
        assert_close(whole, true, ulp)


def test_a_focal_loss_that_is_subnormal_only_with_its_power() -> None:
    z, weight = -250.0, 1e30  # the power is e^−500, the loss e^−750
    loss = binary_focal_loss_with_logits(z, 0, gamma=2.0, sample_weight=weight)
    half = math.exp(-375.0)  # σ(z)² log(1 + e^z) is e^3z to all digits
    # 5 + γ ulp of the loss, and 3 of what is written here.
    assert loss == pytest.approx(half * weight * half, rel=10 * 2.0**-52, abs=0)


@pytest.mark.parametrize("reduction", ["none", "mean", "weighted_mean"])
def test_weights_in_float16_are_computed_with_in_float64(reduction: str) -> None:
    random = np.random.default_rng(8)
    z, labels = random.normal(size=(200, 5)), random.integers(0, 5, 200)
    sample = random.uniform(size=200).astype(np.float16)
    classes = random.uniform(size=5).astype(np.float16)
    call = value_and_grad(sparse_categorical_cross_entropy_with_logits)
    weights: dict[str, Any]
    for weights in (
        {"sample_weight": sample},
        {"class_weight": classes},
        {"sample_weight": sample, "class_weight": classes},
    ):
        wide = {name: weight.astype(np.float64) for name, weight in weights.items()}
        got = call(z, labels, reduction=reduction, **weights)
        expected = call(z, labels, reduction=reduction, **wide)
        for half, double in zip(got, expected, strict=True):
            np.testing.assert_array_equal(half, double)


def test_a_weighted_mean_divides_by_weights_of_any_sum() -> None:
    z, labels, weight = [[0.0, 1.0], [2.0, 0.5]], [0, 1], np.array([1.0, 3.0])
    call = value_and_grad(sparse_categorical_cross_entropy_with_logits)
    expected = call(z, labels, sample_weight=weight, reduction="weighted_mean")
    got = call(z, labels, sample_weight=weight / 1024, reduction="weighted_mean")
    for small, large in zip(got, expected, strict=True):
        np.testing.assert_array_equal(small, large)


def test_a_mean_of_equals_is_each_of_them() -> None:
    # A sum in float32 would drift.
    for value in np.linspace(0.1, 3.0, 20, dtype=np.float32):
        z = np.full(_spans.LARGE + 1, value)
        each = binary_cross_entropy_with_logits(z, np.zeros_like(z), reduction="none")
        assert binary_cross_entropy_with_logits(z, np.zeros_like(z)) == each[0]


def test_a_linear_layer_does_not_lift_subnormal_exponentials() -> None:
    bias = np.full(1000, -50.0, np.float32)
    bias[7:27] = np.linspace(-93.0, -98.0, 20)  # 15 to 8 bits in float32; probabilities of 1e-23
    hidden, weight = np.zeros((1, 1), np.float32), np.zeros((1000, 1), np.float32)
    _, slopes = value_and_grad(linear_cross_entropy)(hidden, weight, [0], bias=bias)
    expected = value_and_grad(sparse_categorical_cross_entropy_with_logits)(
        bias.astype(np.float64), 0
    )[1]
    # The docstring's bound, with logits of 88 at most.
    np.testing.assert_allclose(slopes.bias, expected, rtol=(8 + 2.5 * 88) * 2.0**-23)
