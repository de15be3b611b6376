"""Rows longer than a span, which careful kernels take in pieces: as accurate, in any piece."""

import sys
from typing import Any

import numpy as np
import pytest

import crossent
from crossent._kernels import careful, long
from tests import bounds, hard_cases
from tests.hard_cases import Family

INF, NAN = np.inf, np.nan
FAMILIES = [
    family
    for family in hard_cases.families()
    if not family.kind.startswith(("binary", "batches")) and family.predictions.shape[1] <= 10
]


@pytest.fixture
def _short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a span so short that every row of three or more classes is a long one."""
    for name, module in sys.modules.items():
        if name.startswith("crossent.") and hasattr(module, "SPAN"):
            monkeypatch.setattr(module, "SPAN", 2)


@pytest.mark.usefixtures("_short_spans")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_error_in_ulp(family: Family) -> None:
    for check in hard_cases.checks(family, np.float64):
        got = hard_cases.ask(check)
        errors = hard_cases.errors_in_ulp(check, got, of_terms=True)
        errors[(got == 0) & [abs(value) < 1e-307 for value in check.true]] = 0  # as its notes say
        # In a row as short as these, 1 − p may have half of the error of p besides.
        bound = bounds.ulp(check.function, np.float64, check.quantities) + 0.5
        assert (errors <= bound).all(), check


ROWS: list[list[float]] = [
    [0.0, INF, 0.0, 1.0], [INF, 0.0, INF, 0.0], [0.0, 1.0, INF, INF], [INF, INF, INF, 0.0],
    [-INF, 0.0, -INF, -INF], [-INF, -INF, -INF, -INF], [NAN, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, NAN],
    [NAN, INF, INF, 0.0], [-INF, 5.0, 5.0, -INF], [3.0, 3.0, 3.0, 3.0],
]  # fmt: skip
MASSES = [
    [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0], [0.25, 0.25, 0.25, 0.25],
    [0.0, 0.5, 0.5, 0.0],
]  # fmt: skip


@pytest.mark.usefixtures("_short_spans")
@pytest.mark.parametrize("row", ROWS)
def test_limits_are_those_of_short_rows(row: list[float]) -> None:
    z = np.array(row)
    with np.errstate(all="ignore"):
        for short, in_pieces in (
            (careful.softmax, long.softmax),
            (careful.log_softmax, long.log_softmax),
            (careful.logsumexp, long.logsumexp),
        ):
            expected = short(z[None])[0]
            result = np.empty_like(expected)
            in_pieces(z, result[...] if result.ndim else result)
            np.testing.assert_allclose(result, expected, rtol=1e-15)
        calls: list[tuple[Any, Any, Any, Any]] = [
            (careful.label_logits, long.label_logits, np.array([y]), y) for y in range(len(row))
        ]
        for values in MASSES:
            mass = np.array([values])
            calls.append((careful.dense_logits, long.dense_logits, mass, mass_of(mass)))
        for short, in_pieces, target, piecewise in calls:
            loss, slope, unit = short(z[None], True, target)
            its_loss, gradient, its_unit = in_pieces(z, True, piecewise)
            np.testing.assert_allclose(its_loss * its_unit, loss[0] * unit, rtol=1e-15)
            its_slope = np.concatenate([np.ravel(piece) for _, piece in gradient])
            np.testing.assert_allclose(its_slope * its_unit, (slope * unit)[0], rtol=1e-15)


def mass_of(mass: Any) -> Any:
    return lambda classes: mass[:, classes].copy()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1])
def test_many_classes_along_any_axis(dtype: Any, axis: int) -> None:
    z = np.random.default_rng(6).normal(size=(2, 40_000)).astype(dtype)
    wide = z.astype(np.float64)
    p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    eps = 4 * np.finfo(dtype).eps
    given = z.swapaxes(1, axis)
    softmax = crossent.softmax(given, axis=axis)
    assert softmax.dtype == dtype
    np.testing.assert_allclose(softmax.swapaxes(1, axis), p, rtol=eps, atol=6e-8)
    log_p = crossent.log_softmax(given, axis=axis).swapaxes(1, axis)
    np.testing.assert_allclose(log_p, np.log(p), rtol=eps)
    total = crossent.logsumexp(given, axis=axis)
    np.testing.assert_allclose(total, np.log(np.exp(wide).sum(axis=1)), rtol=eps)
    assert (
        crossent.logsumexp(given, axis=axis, keepdims=True).shape
        == total[:, None].swapaxes(1, axis).shape
    )


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_losses_of_many_classes(reduction: Any) -> None:
    random = np.random.default_rng(9)
    classes, labels = 40_000, np.array([3, 39_999, 7])
    z, w = random.normal(size=(3, classes)) * 2, random.uniform(0.5, 2, classes)
    z[2, 5] = 900.0  # the fast kernel is not sure of this row
    p, one_hot = crossent.softmax(z), np.zeros((3, classes))
    one_hot[range(3), labels] = 1.0
    options: dict[str, Any] = {"reduction": reduction, "sample_weight": [1.0, 2.0, 0.5]}
    scale = np.array([1.0, 2.0, 0.5])[:, None] / (3.0 if reduction == "mean" else 1.0)
    for smoothing in (0.0, 0.1):
        more = options | {"label_smoothing": smoothing, "class_weight": w}
        mass = w * ((1 - smoothing) * one_hot + smoothing / classes)
        slope = scale * (p * mass.sum(axis=1, keepdims=True) - mass)
        pairs: list[tuple[Any, Any]] = [
            (crossent.sparse_categorical_cross_entropy_with_logits, labels),
            (crossent.categorical_cross_entropy_with_logits, one_hot),
        ]
        for loss, targets in pairs:
            value, gradient = crossent.value_and_grad(loss)(z, targets, **more)
            each = scale[:, 0] * -(mass * crossent.log_softmax(z)).sum(axis=1)
            np.testing.assert_allclose(
                value, each if reduction == "none" else each.sum(), rtol=1e-12
            )
            np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-18)
    p = np.full((3, classes), 1 / classes)
    pairs = [
        (crossent.sparse_categorical_cross_entropy, labels),
        (crossent.categorical_cross_entropy, one_hot),
    ]
    for loss, targets in pairs:
        value, gradient = crossent.value_and_grad(loss)(p, targets, **options)
        each = scale[:, 0] * np.log(classes)
        np.testing.assert_allclose(value, each if reduction == "none" else each.sum(), rtol=1e-12)
        np.testing.assert_allclose(gradient, -scale * one_hot / p, rtol=1e-12)
