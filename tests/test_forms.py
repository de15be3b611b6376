"""Forms: masses, weights and divisors, what a mean over nothing is, and who is registered."""

import inspect
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
    value_and_grad,
)
from crossent._forms import FORMS, Dense, Labels, Pair
from crossent._validate import Reduction

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
P = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]])
WHOLE: Any = ()  # the index of a batch that is one span


def test_masses_of_labels() -> None:
    y, w = np.array([[0, 2], [1, 0]]), np.broadcast_to(np.array([1.0, 2.0, 10.0]), (2, 2, 3))
    plain, weighted = Labels(y, None, 0.0, 3), Labels(y, w, 0.0, 3)
    assert (
        plain.rows(WHOLE, None)[0].tolist()
        == weighted.rows(WHOLE, None)[0].tolist()
        == [0, 2, 1, 0]
    )
    assert plain.mass(WHOLE) == 1.0
    assert weighted.mass(WHOLE).tolist() == [1, 10, 2, 1]  # type: ignore[union-attr]
    smooth = Labels(y, w, 0.25, 3)
    second_row = (1, slice(0, 2))
    assert smooth.mass(second_row).tolist() == [2, 1]  # type: ignore[union-attr]
    expected = [[1 / 12, 2 * (0.75 + 1 / 12), 10 / 12], [0.75 + 1 / 12, 2 / 12, 10 / 12]]
    np.testing.assert_allclose(smooth.rows(second_row, None)[0].of(), expected, rtol=2 * ULP)


def test_masses_of_distributions() -> None:
    t, w = np.array([[0.5, 0.5], [0.0, 1.0]], np.float16), np.array([[1.0, 3.0], [2.0, 4.0]])
    assert Dense(t, None, 0.0).mass(WHOLE) == 1.0
    assert Dense(t, w, 0.5).mass(WHOLE).tolist() == [2, 4]  # type: ignore[union-attr]
    mass = Dense(t, w, 0.5).rows(WHOLE, None)[0].of()
    assert mass.dtype == np.float64
    assert mass.tolist() == [[0.5, 1.5], [0.5, 3]]


def test_masses_of_pairs() -> None:
    t = np.array([0.25, 1.0], np.float32)
    target = Pair(t, (3.0, 1.0), 0.5)
    positive, negative = target.rows(WHOLE, np.float32)
    assert positive.dtype == negative.dtype == np.float32
    assert positive.tolist() == [3 * 0.375, 3 * 0.75]
    assert negative.tolist() == [0.625, 0.25]
    assert target.mass(WHOLE).tolist() == [1.5, 3]
    wide = Pair(t, (1e30, 1.0), 0.0).rows(WHOLE, np.float32)
    assert wide[0].dtype == wide[1].dtype == np.float64  # float32 could not hold the product


@pytest.mark.parametrize("batch", [(4, 5), (2, 20_000)])
@pytest.mark.parametrize("axis", [1, -1])
def test_weighted_mean_of_any_batch(batch: tuple[int, int], axis: int) -> None:
    random = np.random.default_rng(11)
    z, labels = random.normal(size=(*batch, 3)), random.integers(0, 3, batch)
    soft = crossent.softmax(random.normal(size=z.shape))
    w, sample = np.array([1.0, 2.0, 10.0]), random.uniform(size=batch)
    moved = np.moveaxis(z, -1, axis), np.moveaxis(soft, -1, axis)
    options: dict[str, Any] = {"axis": axis, "class_weight": w, "sample_weight": sample}
    for loss, targets, target, mass in (
        (sparse_categorical_cross_entropy_with_logits, labels, labels[1, 3], w[labels]),
        (categorical_cross_entropy_with_logits, moved[1], soft[1, 3], soft @ w),
    ):
        each = loss(moved[0], targets, reduction="none", **options)
        mean = loss(moved[0], targets, reduction="weighted_mean", **options)
        one = loss(z[1, 3], target, class_weight=w)
        assert each[1, 3] == pytest.approx(one * sample[1, 3], rel=32 * ULP, abs=0)
        expected = each.sum() / (sample * mass).sum()
        assert mean == pytest.approx(expected, rel=64 * ULP, abs=0)


def test_weights_and_targets_are_taken_exactly() -> None:
    w, soft = np.array([0.1, 0.7, 3.3], np.float16), np.array([[0.25, 0.625, 0.125]], np.float16)
    loss = categorical_cross_entropy_with_logits
    for reduction in ("sum", "weighted_mean"):
        options: dict[str, Any] = {"reduction": reduction}
        expected = loss(np.log(P[:1]), soft.astype(float), class_weight=w.astype(float), **options)
        assert loss(np.log(P[:1]), soft, class_weight=w, **options) == expected
    rare = np.array([1e-4, 0.9], np.float16)  # 1 − t needs more digits than t has
    for binary in (binary_cross_entropy_with_logits, binary_focal_loss_with_logits):
        assert binary([0.0, -1.1], rare) == binary([0.0, -1.1], rare.astype(float))


@pytest.mark.parametrize("reduction", ["none", "mean", "weighted_mean"])
def test_weights_in_float16_are_computed_with_in_float64(reduction: Reduction) -> None:
    random = np.random.default_rng(8)
    z, labels = random.normal(size=(200, 5)), random.integers(0, 5, 200)
    sample = random.uniform(size=200).astype(np.float16)
    classes = random.uniform(size=5).astype(np.float16)
    call = value_and_grad(sparse_categorical_cross_entropy_with_logits)
    options: list[dict[str, Any]] = [
        {"sample_weight": sample},
        {"class_weight": classes},
        {"sample_weight": sample, "class_weight": classes},
    ]
    for weights in options:
        wide: dict[str, Any] = {name: weight.astype(np.float64) for name, weight in weights.items()}
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


# --- a mean over nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_mean_over_nothing_is_nan_with_a_warning(reduction: Reduction) -> None:
    warns = pytest.warns(
        RuntimeWarning,
        match="^mean over nothing is nan: every element is ignored, of weight 0, or missing$",
    )
    with warns as record:
        loss = sparse_categorical_cross_entropy(P, [1, 1, 1], ignore_index=1, reduction=reduction)
    assert np.isnan(loss)
    assert record[0].filename == __file__
    with warns:
        assert np.isnan(binary_cross_entropy([], [], reduction=reduction))


def test_sum_over_nothing_is_zero() -> None:
    assert sparse_categorical_cross_entropy(P, [1, 1, 1], ignore_index=1, reduction="sum") == 0.0
    assert binary_cross_entropy([], [], reduction="none").shape == (0,)


def test_weights_of_zero_leave_nothing_to_divide_by() -> None:
    with pytest.warns(RuntimeWarning, match="mean over nothing"):
        loss = binary_cross_entropy([0.5], [1], sample_weight=0, reduction="weighted_mean")
    assert np.isnan(loss)
    assert binary_cross_entropy([0.5], [1], sample_weight=0) == 0.0


def test_help_tells_what_a_loss_returns() -> None:
    for loss in FORMS:
        assert inspect.signature(loss).return_annotation is Any
