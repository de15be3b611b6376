"""The hard cases against mpmath: how many units in the last place each function is away."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from crossent import _spans
from tests import bounds, hard_cases, loss_table, truth
from tests.hard_cases import Array, Check, Family
from tests.loss_table import LOSSES, Loss

DTYPES = (np.float64, np.float32, np.float16)
FAMILIES = hard_cases.families()


def bound(check: Check, dtype: Any) -> Any:
    """The error in ulp that the docstring of a function allows it."""
    logits = check.args[0]
    quantities = check.quantities | bounds.largest(logits)
    if check.function.endswith("_divergence"):  # of a D no less than 2^-14
        true = np.array(check.true, float)
        root = 1 / np.sqrt(np.maximum(true, 2.0**-14))
        quantities |= {rf"/ \sqrt{{{name}}}": root for name in "DJ"}
    return bounds.ulp(check.function, dtype, quantities, size=logits.size)


def describe(check: Check, errors: Array, got: Array) -> str:
    """The worst entry of a check, as a line that can be pasted."""
    entry = int(np.nanargmax(errors))
    predictions = check.args[0]
    row = entry * len(predictions) // len(check.true)
    args = ", ".join(f"{np.asarray(arg)[row].tolist()!s:.300}" for arg in check.args)
    return (
        f"{errors[entry]:.3g} ulp: {check.name}({args}, {check.options}) in {predictions.dtype}: "
        f"entry {entry} of row {row} is {got[entry]!r}, truly {mp.nstr(check.true[entry], 20)}"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_error_in_ulp(family: Family, dtype: type[np.floating[Any]]) -> None:
    failures = []
    for check in hard_cases.checks(family, dtype):
        got = hard_cases.ask(check)
        if got.size > 1 or np.abs(got[0]) <= np.finfo(dtype).max:
            assert got.dtype == dtype
        errors = hard_cases.errors_in_ulp(check, got, of_terms=True)
        if check.args[0].size > _spans.LARGE:  # what is hardly a normal number may be 0 there
            tiny = 10 * np.finfo(np.result_type(dtype, np.float32)).tiny
            errors[(got == 0.0) & [abs(value) < tiny for value in check.true]] = 0.0
        if not (errors <= bound(check, got.dtype)).all():
            failures.append(describe(check, errors, got))
    assert not failures, "\n".join(failures)


def test_suite_is_large() -> None:
    sizes = {family.name: len(family) for family in FAMILIES}
    print("\n".join(f"{size:5} {name}" for name, size in sizes.items()))
    assert len(sizes) == len(FAMILIES)  # no name twice
    for dtype in DTYPES:
        assert sum(len(family.cast(dtype)) for family in FAMILIES) >= 2000


def test_suite_reaches_what_it_names() -> None:
    logits = [family.predictions for family in FAMILIES if family.kind == "logits"]
    assert {2, 3, 10, 1000, 100_000} <= {rows.shape[1] for rows in logits}
    finite = [rows[np.isfinite(rows)] for rows in logits]
    assert max(values.max() for values in finite) >= 1e6
    assert min(values.min() for values in finite) <= -1e6
    by_name = {family.name: family for family in FAMILIES}
    for check in hard_cases.checks(by_name["subnormal float64 losses"], np.float64):
        if check.name == "sparse_categorical_cross_entropy_with_logits":
            true = hard_cases.rounded(check.true, np.float64)
            assert ((true > 0) & (true < np.finfo(float).tiny)).all()
    for name in ("logsumexp near 0", "soft-label gradient near p = y"):
        found = hard_cases.checks(by_name[name], np.float64)
        assert sum(int(hard_cases.is_ill_conditioned(check).sum()) for check in found) >= 40


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_reductions(dtype: type[np.floating[Any]]) -> None:
    """Sums of 300 001 losses over 14 decades, only 61 of them different: the truth is quick."""
    random = np.random.default_rng(4)
    z = random.integers(-30, 31, 300_001).astype(dtype)
    targets = np.ones_like(z)
    values, counts = np.unique(z, return_counts=True)
    total = mp.fsum(
        int(count) * truth.binary_with_logits(*truth.exact([value, 1.0]))
        for value, count in zip(values, counts, strict=True)
    )
    two = np.stack([np.zeros_like(z), z], axis=-1)
    calls: list[tuple[str, Array, Array]] = [
        ("binary_cross_entropy_with_logits", z, targets),
        ("sparse_categorical_cross_entropy_with_logits", two, targets.astype(int)),
    ]
    for function, *args in calls:
        for reduction, true in (("sum", total), ("mean", total / len(z))):
            check = Check(function, False, tuple(args), {"reduction": reduction}, [true])
            # In a sum the errors of single losses average out: the bound is that of small arrays.
            errors = hard_cases.errors_in_ulp(check, hard_cases.ask(check))
            assert (errors <= bounds.ulp(function, dtype)).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_every_loss_is_its_definition(loss: Loss) -> None:
    predictions, targets = loss_table.inputs(
        loss, np.random.default_rng(3), (6,), "random", soft=False
    )
    asked = np.eye(loss_table.CLASSES)[targets] if loss.targets == "labels" else targets
    pairs = [
        tuple(truth.exact(np.ravel(each)) for each in pair)
        for pair in zip(predictions, asked, strict=True)
    ]
    value, gradient = (
        [define(*pair) if loss.has_classes else define(pair[0][0], pair[1][0]) for pair in pairs]
        for define in truth.OF_LOSS[loss.name]
    )
    calls = (False, {"reduction": "none"}, value), (True, {"reduction": "sum"}, gradient)
    for of_gradient, options, true in calls:
        flat = [v for row in true for v in (row if isinstance(row, list) else [row])]
        check = Check(loss.name, of_gradient, (predictions, targets), options, flat)
        errors = hard_cases.errors_in_ulp(check, hard_cases.ask(check))
        assert (errors <= bounds.ulp(loss.name, np.float64, {"γ": 2.0})).all()


# --- the truths are checked too ----------------------------------------------------------------

STEP = mpf("1e-15")  # of 60 digits, the error of central differences leaves 25

GRADIENTS: list[tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = [
    (truth.binary_with_logits, truth.binary_with_logits_gradient, (mpf("0.3"), 9.7, 0.1)),
    (truth.binary, truth.binary_gradient, (mpf("0.3"), 0.1)),
    (truth.focal, truth.focal_gradient, (1, 2.5, 0.25)),
    (truth.focal, truth.focal_gradient, (0, 0.5, None)),
]
ROW_GRADIENTS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (truth.categorical_with_logits, truth.categorical_with_logits_gradient),
    (truth.categorical, truth.categorical_gradient),
]


@pytest.mark.parametrize(("value", "gradient", "args"), GRADIENTS)
def test_true_gradient_is_the_derivative(
    value: Callable[..., Any], gradient: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    for x in (mpf("0.2"), mpf("0.9")):
        slope = (value(x + STEP, *args) - value(x - STEP, *args)) / (2 * STEP)
        assert mp.almosteq(gradient(x, *args), slope, 1e-20)


@pytest.mark.parametrize(("value", "gradient"), ROW_GRADIENTS)
@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.1, 3.0, 1.7]])
def test_true_row_gradient_is_the_derivative(
    value: Callable[..., Any], gradient: Callable[..., Any], smoothing: float, weights: Any
) -> None:
    row, target = truth.exact([0.5, 0.3, 0.2]), truth.exact([0.25, 0.75, 0.0])
    options = weights and truth.exact(weights), smoothing
    slopes = gradient(row, target, *options)
    for entry, slope in enumerate(slopes):
        ends = [list(row), list(row)]
        ends[0][entry] -= STEP
        ends[1][entry] += STEP
        low, high = (value(end, target, *options) for end in ends)
        assert mp.almosteq(slope, (high - low) / (2 * STEP), 1e-20)


def test_true_kl_divergence_is_the_textbooks_where_sums_are_exact() -> None:
    for family in FAMILIES:
        if "grid" in family.name:
            for p, q in zip(family.predictions, family.targets, strict=True):
                a, b = truth.exact(p), truth.exact(q)
                assert mp.fsum(a) == mp.fsum(b) == 1
                textbook = truth.cross_entropy(a, b) - truth.entropy(a)
                divergence = truth.kl_divergence(a, b)
                assert divergence == textbook or mp.almosteq(divergence, textbook, 1e-20, 1e-50)
