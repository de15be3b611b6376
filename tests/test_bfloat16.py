"""Arrays of bfloat16, which ml_dtypes adds to NumPy, are taken like any other float."""

from typing import Any

import numpy as np
import pytest

import crossent
from tests import loss_table
from tests.loss_table import LOSSES, REDUCTIONS, Loss

BFLOAT16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
ULP = 2.0**-7  # the largest relative size of a unit in the last place of a bfloat16


def close(got: Any, exact: Any) -> None:
    """Kept in bfloat16, and rounded to it once."""
    assert got.dtype == BFLOAT16
    wide = np.asarray(exact, np.float64)
    assert got.shape == wide.shape
    np.testing.assert_allclose(np.asarray(got, np.float64), wide, rtol=0.51 * ULP, atol=1e-40)


def example(loss: Loss, batch: tuple[int, ...]) -> tuple[Any, Any, dict[str, Any]]:
    random = np.random.default_rng(0)
    predictions, targets = loss_table.inputs(loss, random, batch, "confident", soft=False)
    options = {name: loss_table.option(name, random, batch) for name in loss.options}
    if loss.predictions == "probabilities" and loss.has_classes:
        predictions = np.resize([0.125, 0.25, 0.5, 0.125], predictions.shape)
    return predictions.astype(BFLOAT16), targets, options


@pytest.mark.parametrize("rows", [7, 20_000])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_losses_and_gradients(loss: Loss, rows: int) -> None:
    predictions, targets, options = example(loss, (rows,))
    wide = predictions.astype(np.float64 if rows < 100 else np.float32)
    arrays = {k: v.astype(BFLOAT16) for k, v in options.items() if isinstance(v, np.ndarray)}
    exact = options | {k: v.astype(np.float64) for k, v in arrays.items()}
    for reduction in REDUCTIONS:
        both = crossent.value_and_grad(loss.function)
        got = both(predictions, targets, **(options | arrays), reduction=reduction)
        expected = both(wide, targets, **exact, reduction=reduction)
        close(got[0], expected[0])
        close(got[1], expected[1])
        close(loss.function(predictions, targets, **exact, reduction=reduction), expected[0])


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_targets(loss: Loss) -> None:
    predictions, targets, _ = example(loss, (7,))
    predictions = predictions.astype(np.float64)
    given = targets if loss.targets == "labels" else targets.astype(BFLOAT16)
    assert loss.function(predictions, given) == loss.function(predictions, targets)


@pytest.mark.parametrize(
    "function",
    [
        crossent.softmax, crossent.log_softmax, crossent.logsumexp, crossent.sigmoid,
        crossent.log_sigmoid, crossent.entropy_with_logits,
    ],
)  # fmt: skip
def test_functions_of_logits(function: Any) -> None:
    z = (np.random.default_rng(1).normal(size=(5, 4)) * 3).astype(BFLOAT16)
    close(function(z), function(z.astype(np.float64)))


def test_information() -> None:
    p = np.array([0.5, 0.25, 0.25], BFLOAT16)
    q = crossent.softmax(np.array([0.3, 1.7, -2.5], BFLOAT16))  # which sums to 1.0048828125
    close(crossent.entropy(p), 1.5 * np.log(2))
    for function in (crossent.cross_entropy, crossent.kl_divergence, crossent.js_divergence):
        value = function(p, q)
        assert value.dtype == BFLOAT16
        assert float(value) == pytest.approx(function(p, q / q.sum(dtype=np.float64)), rel=0.02)


def test_divergence_of_logits() -> None:
    p, q = np.random.default_rng(2).normal(size=(2, 5, 4)).astype(BFLOAT16)
    both = crossent.value_and_grad(crossent.kl_divergence_with_logits)
    got, expected = both(p, q), both(p.astype(np.float64), q.astype(np.float64))
    close(got[0], expected[0])
    close(got[1], expected[1])


def test_perplexity() -> None:
    z = np.random.default_rng(3).normal(size=(5, 4)).astype(BFLOAT16)
    labels = [0, 1, 2, 3, 0]
    close(crossent.perplexity(z, labels), crossent.perplexity(z.astype(np.float64), labels))


def test_linear_layer_is_computed_in_float32() -> None:
    random = np.random.default_rng(4)
    hidden, weight = (random.normal(size=shape).astype(BFLOAT16) for shape in ((9, 5), (7, 5)))
    labels = random.integers(0, 7, 9)
    both = crossent.value_and_grad(crossent.linear_cross_entropy)
    got = both(hidden, weight, labels)
    expected = both(hidden.astype(np.float32), weight.astype(np.float32), labels)
    close(got[0], expected[0])
    close(got[1].hidden, expected[1].hidden)
    close(got[1].weight, expected[1].weight)


@pytest.mark.parametrize(
    ("other", "result"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)],
)
def test_common_dtype(other: Any, result: Any) -> None:
    p, q = np.array([0.5, 0.5], BFLOAT16), np.array([0.25, 0.75], other)
    assert crossent.kl_divergence(p, q).dtype == crossent.kl_divergence(q, p).dtype == result
    assert crossent.kl_divergence_with_logits(p, q).dtype == result
    assert crossent.linear_cross_entropy([p], np.array([q, q]), [0]).dtype == result


def test_numerical_derivative() -> None:
    z = np.array([[1.0, 2.0, 0.5]], BFLOAT16)
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    assert crossent.check_grad(loss, z, [1]).error < 1e-10


def test_bad_probabilities_are_named() -> None:
    with pytest.raises(ValueError, match=r"^p\[0\] is 1\.5: probabilities lie in \[0, 1\]"):
        crossent.entropy(np.array([1.5, 0.5], BFLOAT16))
    with pytest.raises(ValueError, match=r"^p\[:\] sums to 0\.75, not 1"):
        crossent.entropy(np.array([0.5, 0.25], BFLOAT16))
