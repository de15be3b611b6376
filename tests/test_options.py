"""Every loss with every option against mpmath, on extreme inputs from Hypothesis."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from crossent import linear_cross_entropy, value_and_grad
from tests import bounds, hard_cases, truth
from tests.hard_cases import Check
from tests.loss_table import LOSSES, Array, Loss

WEIGHTS = st.sampled_from([0.0, 1.0, 0.3, 1e-6, 1000.0])
SHARES = st.sampled_from([0.0, 1.0, 0.1, 1e-6, 1e-20]) | st.floats(1e-30, 1)
MARGINS = st.sampled_from([sign * margin for margin in hard_cases.MARGINS for sign in (1, -1)])
SMALL = st.floats(-3, 3, allow_subnormal=False)


def one_row(data: st.DataObject, loss: Loss, dtype: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Predictions and targets of one element, and options, of which weights may be 0."""
    classes = data.draw(st.integers(2, 4)) if loss.has_classes else 1
    z = data.draw(st.lists(SMALL | MARGINS, min_size=classes, max_size=classes).map(np.array))
    if loss.predictions == "probabilities":
        spread = 600.0 if dtype == np.float64 else 80.0
        z = np.clip(z, -spread, spread)
        e = np.exp(z - max(z.max(), 0.0))
        z = e / e.sum() if loss.has_classes else np.where(z > 0, 1 / (1 + e), e)
    options: dict[str, Any] = {"sample_weight": data.draw(WEIGHTS)}
    draws: dict[str, Any] = {
        "class_weight": st.lists(WEIGHTS, min_size=classes, max_size=classes),
        "label_smoothing": SHARES,
        "pos_weight": WEIGHTS,
        "gamma": st.sampled_from([0.0, 0.5, 2.0, 7.0]),
        "alpha": SHARES,
    }
    options |= {name: data.draw(draws[name]) for name in loss.options if name in draws}
    if loss.targets == "labels":
        target: Any = data.draw(st.integers(0, classes - 1))
    elif loss.targets == "dense":
        shares = data.draw(st.lists(SHARES, min_size=classes, max_size=classes).map(np.array))
        shares[data.draw(st.integers(0, classes - 1))] += 1.0
        target = shares / shares.sum()
    else:
        target = float(data.draw(st.integers(0, 1) if "gamma" in options else SHARES))
    return z.astype(dtype) if loss.has_classes else z.astype(dtype)[0], target, options


def true_row(loss: Loss, z: Any, target: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    """Value, gradient and the larger of the terms whose difference is the gradient."""
    define = truth.OF_LOSS[loss.name]
    smoothing, scale = options.get("label_smoothing", 0.0), mpf(options["sample_weight"])
    term: Any = None
    if loss.has_classes:
        t = np.eye(len(z))[target] if loss.targets == "labels" else target
        args: Any = truth.exact(z), truth.exact(t), truth.exact(options["class_weight"]), smoothing
        if loss.predictions == "logits":
            term = truth.categorical_with_logits_term(*args)
    else:
        own = ("gamma", "alpha", "pos_weight", "label_smoothing")  # as the definitions take them
        args = *truth.exact([z, target]), *(options[each] for each in own if each in options)
        if "pos_weight" in options:
            term = truth.binary_with_logits_term(*args)
        elif smoothing:
            term = truth.binary_term(*args)
    value, gradient = (function(*args) for function in define)

    def scaled(numbers: Any) -> Any:
        numbers = numbers if isinstance(numbers, list) else [numbers]
        return [scale * number if scale else mpf(0) for number in numbers]

    return scaled(value), scaled(gradient), None if term is None else scaled(term)


def assert_right(name: str, got: Any, true: Any, ulp: float, term: Any = None) -> None:
    """Within the bound of the term, and where that is of the result, of its sign."""
    got = np.ravel(got)
    check = Check(name, term is not None, (got,), {}, true, term)
    errors = hard_cases.errors_in_ulp(check, got, of_terms=True)
    # What is subnormal before it is weighted has lost its digits: see the notes of `grad`.
    lost = (np.abs(got) < 1e-290) & (got.dtype == np.float64)
    assert (errors[~lost] <= ulp).all(), (got, true)
    expected = hard_cases.rounded(true, got.dtype)
    sure = ~hard_cases.is_ill_conditioned(check)
    assert (np.sign(got) == np.sign(expected))[sure & ~lost].all(), (got, true)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@given(data=st.data())
def test_every_loss_with_every_option(loss: Loss, dtype: Any, data: st.DataObject) -> None:
    z, target, options = one_row(data, loss, dtype)
    true, true_gradient, term = true_row(loss, z, target, options)
    value, gradient = value_and_grad(loss.function)(z, target, reduction="none", **options)
    assert value >= 0
    ulp = bounds.ulp(loss.name, dtype, {"γ": options.get("gamma", 0.0)})
    assert_right(loss.name, value, true, ulp)
    assert_right(loss.name, gradient, true_gradient, ulp, term or true_gradient)


def in_a_layer(z: Array, label: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """Loss of a linear layer that has these logits, and its gradient with respect to them."""
    one = np.ones((1, 1), z.dtype)
    ask = value_and_grad(linear_cross_entropy)
    value, gradient = ask(one, z[:, None], [label], reduction="sum", **options)
    return value, gradient.weight


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_a_linear_layer_with_every_option(dtype: Any, data: st.DataObject) -> None:
    loss = next(loss for loss in LOSSES if loss.name.startswith("sparse") and "logits" in loss.name)
    z, label, options = one_row(data, loss, dtype)
    options["sample_weight"] = 1.0
    true, true_gradient, term = true_row(loss, z, label, options)
    del options["sample_weight"]
    value, gradient = in_a_layer(z, label, options)
    assert value >= 0
    ulp = bounds.ulp(loss.name, dtype, bounds.largest(z), size=70_000)
    if options["label_smoothing"] and dtype == np.float64:
        ulp = 10.0 + 2.0 * float(np.abs(z).max())
    assert_right("linear_cross_entropy", value, true, ulp)
    assert_right("linear_cross_entropy", gradient, true_gradient, ulp, term)
