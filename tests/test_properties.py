"""What theory says of every loss, with inputs from Hypothesis."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import crossent
from tests import bounds, loss_table
from tests.loss_table import LOSSES, REDUCTIONS, Array, Loss

EPS = np.finfo(np.float64).eps
# Two results of the same number, each within its bound, differ by no more than both.
RTOL = 2 * bounds.ulp("sparse_categorical_cross_entropy_with_logits", np.float64) * EPS


def over(losses: Iterable[Loss]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("loss", list(losses), ids=lambda loss: loss.name)


def over_those_with(option: str) -> pytest.MarkDecorator:
    return over(loss for loss in LOSSES if option in loss.options)


every_loss = over(LOSSES)
every_loss_over_classes = over(loss for loss in LOSSES if loss.has_classes)
every_loss_over_logits = over(loss for loss in LOSSES if loss.predictions == "logits")
every_softmax_loss = over(
    loss for loss in LOSSES if loss.has_classes and loss.predictions == "logits"
)


class Call(NamedTuple):
    """Arguments of a loss; the class axis, if there is one, is the last."""

    predictions: Array
    targets: Array
    options: dict[str, Any]

    def __call__(self, loss: Loss, **options: Any) -> Any:
        return loss.function(self.predictions, self.targets, **(self.options | options))

    def grad(self, loss: Loss, **options: Any) -> Any:
        function = crossent.grad(loss.function)
        return function(self.predictions, self.targets, **(self.options | options))

    @property
    def scale(self) -> float:
        """The largest weight: what the terms of a gradient can reach."""
        weights = [value for name, value in self.options.items() if "weight" in name]
        return float(np.prod([max(1.0, np.max(value)) for value in weights]))

    def terms(self, loss: Loss) -> float:
        """What the terms of a gradient can reach: the weight; over probabilities, that over p."""
        if loss.predictions == "logits":
            return self.scale
        rest = 0.5 if loss.has_classes else 1 - self.predictions
        return self.scale / float(np.min(np.minimum(self.predictions, rest)))


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


def arrays(shape: tuple[int, ...], low: float, high: float) -> st.SearchStrategy[Array]:
    return hnp.arrays(np.float64, shape, elements=floats(low, high))


@st.composite
def distributions(draw: st.DrawFn, shape: tuple[int, ...], least: float = 0.0) -> Array:
    """Rows that sum to 1; with least = 0 some entries are 0."""
    rows = draw(arrays(shape, least, 1.0))
    if least == 0.0:
        rows = np.where(rows < 0.1, 0.0, rows)
        rows[..., 0] += rows.sum(axis=-1) == 0
    result: Array = rows / rows.sum(axis=-1, keepdims=True)
    return result


@st.composite
def targets(draw: st.DrawFn, loss: Loss, batch: tuple[int, ...], classes: int) -> Array:
    if loss.targets == "labels":
        return draw(hnp.arrays(np.int64, batch, elements=st.integers(0, classes - 1)))
    if loss.targets == "dense":
        one_hot = hnp.arrays(np.int64, batch, elements=st.integers(0, classes - 1)).map(
            lambda labels: np.eye(classes)[labels]
        )
        return draw(one_hot | distributions((*batch, classes)))
    return draw(hnp.arrays(np.float64, batch, elements=st.sampled_from([0.0, 1.0]) | floats(0, 1)))


@st.composite
def options_of(draw: st.DrawFn, loss: Loss, batch: tuple[int, ...], classes: int) -> dict[str, Any]:
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "class_weight": arrays((classes,), 0.1, 10) | arrays((*batch, classes), 0.1, 10),
        "sample_weight": arrays(batch, 0.1, 10),
        "label_smoothing": floats(0, 1),
        "ignore_index": st.integers(0, classes - 1),
        "pos_weight": floats(0.1, 10),
        "gamma": floats(0, 5),
        "alpha": floats(0.05, 0.95),
    }
    chosen = draw(st.sets(st.sampled_from(loss.options)))
    return {name: draw(strategies[name]) for name in sorted(chosen)}


@st.composite
def calls(draw: st.DrawFn, loss: Loss, *, plain: bool = False) -> Call:
    """A loss's arguments; plain ones have no option."""
    batch = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=4))
    classes = draw(st.integers(2, 5))
    shape = (*batch, classes) if loss.has_classes else batch
    if loss.predictions == "logits":
        predictions = draw(arrays(shape, -30, 30))
    else:
        rows = distributions(shape, 0.05) if loss.has_classes else arrays(shape, 0.01, 0.99)
        predictions = draw(rows)
    chosen = {} if plain else draw(options_of(loss, batch, classes))
    target = draw(targets(loss, batch, classes))
    if "ignore_index" in chosen:
        target.flat[0] = (chosen["ignore_index"] + 1) % classes  # not everything is ignored
    return Call(predictions, target, chosen)


def assert_same(got: Any, expected: Any, *, terms: float = 0.0) -> None:
    """Equal within the bounds of both; `terms` are those whose difference is taken, if any."""
    last = 2 * 5e-324  # among subnormal numbers a unit in the last place is more than its share
    np.testing.assert_allclose(got, expected, rtol=RTOL, atol=8 * EPS * terms + last)


# --- gradients --------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(data=st.data())
def test_gradient_is_the_derivative(loss: Loss, reduction: str, data: st.DataObject) -> None:
    """Along a direction that keeps the sum of probabilities, by differences of fourth order."""
    call = data.draw(calls(loss))
    direction = data.draw(arrays(call.predictions.shape, -1, 1))
    step = 1e-3
    if loss.predictions == "probabilities":
        step = 2e-5
        if loss.has_classes:
            direction -= direction.mean(axis=-1, keepdims=True)

    def along(distance: float) -> Any:
        moved = call._replace(predictions=call.predictions + distance * direction)
        return np.sum(moved(loss, reduction=reduction))

    slope = np.sum(call.grad(loss, reduction=reduction) * direction)
    outer, inner = along(2 * step) - along(-2 * step), along(step) - along(-step)
    difference = (8 * inner - outer) / (12 * step)
    # Rounding is divided by the step; the fifth derivative of the loss is below 200 over logits
    # in [-30, 30] and 24/p⁵ over probabilities, times step⁴/30.
    size = call.scale * call.predictions.size
    remainder = 200 if loss.predictions == "logits" else 24 / np.min(call.predictions) ** 5
    bound = size * (100 * EPS * 30 / step + remainder * step**4 / 30)
    assert abs(slope - difference) <= bound


@every_loss
@given(data=st.data())
def test_value_and_grad_are_both(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    value, gradient = crossent.value_and_grad(loss.function)(
        call.predictions, call.targets, **call.options
    )
    assert_same(value, call(loss))
    assert_same(gradient, call.grad(loss), terms=call.terms(loss))


@every_softmax_loss
@given(data=st.data())
def test_gradient_over_classes_adds_up_to_0(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    total = call.grad(loss, reduction="sum").sum(axis=-1)
    np.testing.assert_allclose(total, 0, atol=16 * EPS * call.scale * call.predictions.shape[-1])


# --- invariances ------------------------------------------------------------------------------


@every_softmax_loss
@given(data=st.data(), shift=st.integers(-1000, 1000))
def test_shift_of_the_logits_changes_nothing(loss: Loss, data: st.DataObject, shift: int) -> None:
    call = data.draw(calls(loss))
    logits = np.rint(call.predictions * 64) / 64  # on this grid the shift rounds nothing
    call, moved = (call._replace(predictions=z) for z in (logits, logits + shift))
    assert_same(moved(loss, reduction="none"), call(loss, reduction="none"))
    assert_same(moved.grad(loss), call.grad(loss), terms=call.scale)


@every_loss_over_classes
@given(data=st.data())
def test_order_of_the_classes_does_not_matter(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    classes = call.predictions.shape[-1]
    order = np.array(data.draw(st.permutations(range(classes))))
    place = np.argsort(order)
    options = dict(call.options)
    if "class_weight" in options:
        options["class_weight"] = options["class_weight"][..., order]
    if "ignore_index" in options:
        options["ignore_index"] = int(place[options["ignore_index"]])
    labels = loss.targets == "labels"
    target = place[call.targets] if labels else call.targets[..., order]
    permuted = Call(call.predictions[..., order], target, options)
    assert_same(permuted(loss), call(loss))
    assert_same(permuted.grad(loss), call.grad(loss)[..., order], terms=call.terms(loss))


@every_loss
@given(data=st.data())
def test_rows_do_not_see_each_other(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss, plain=True))
    whole, slopes = call(loss, reduction="none"), call.grad(loss, reduction="sum")
    for index in np.ndindex(call.targets.shape[: np.ndim(whole)]):
        row = Call(call.predictions[index], call.targets[index], {})
        assert_same(row(loss, reduction="none"), np.asarray(whole)[index])
        assert_same(row.grad(loss, reduction="sum"), slopes[index], terms=row.terms(loss))


@every_loss
def test_large_batch_is_a_small_one_repeated(loss: Loss) -> None:
    """Larger than any tile, with every option; no row takes the weight or target of another."""
    random, times = np.random.default_rng(8), 3000
    small_batch = (37,)
    predictions, target = loss_table.inputs(loss, random, small_batch, "random", soft=True)
    options = {name: loss_table.option(name, random, small_batch) for name in loss.options}
    if "class_weight" in options:
        options["class_weight"] = random.uniform(0.1, 5, predictions.shape)
    small = Call(predictions, target, options)

    def repeated(array: Array) -> Array:
        return np.tile(array, (times,) + (1,) * (array.ndim - 1))

    many = {
        name: repeated(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    large = Call(repeated(predictions), repeated(target), many)
    assert_same(large(loss, reduction="none"), repeated(small(loss, reduction="none")))
    slopes = small.grad(loss, reduction="sum")
    assert_same(large.grad(loss, reduction="sum"), repeated(slopes), terms=small.terms(loss))
    for reduction in ("mean", "weighted_mean"):
        assert_same(large(loss, reduction=reduction), small(loss, reduction=reduction))


@every_loss_over_classes
@pytest.mark.parametrize("classes", [4, 5, 64, 1023, 70_000])
def test_impossible_classes_change_nothing(loss: Loss, classes: int) -> None:
    """Also where a row is wider than any tile, or not a multiple of a vector."""
    random = np.random.default_rng(9)
    places = np.sort(random.choice(classes, 4, replace=False))
    predictions, target = loss_table.inputs(loss, random, (5,), "random", soft=True)
    options = {"class_weight": random.uniform(0.1, 5, 4), "sample_weight": random.uniform(0, 2, 5)}
    narrow = Call(predictions, target, options)

    def padded(array: Array, value: float) -> Array:
        result = np.full((*array.shape[:-1], classes), value)
        result[..., places] = array
        return result

    wide = Call(
        padded(predictions, -np.inf if loss.predictions == "logits" else 0.0),
        places[target] if loss.targets == "labels" else padded(target, 0.0),
        options | {"class_weight": padded(options["class_weight"], 3.0)},
    )
    for reduction in REDUCTIONS:
        assert_same(wide(loss, reduction=reduction), narrow(loss, reduction=reduction))
        gradient = wide.grad(loss, reduction=reduction)
        expected = padded(narrow.grad(loss, reduction=reduction), 0.0)
        assert_same(gradient, expected, terms=narrow.terms(loss))


@every_loss_over_classes
@given(data=st.data())
def test_class_axis_may_be_anywhere(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    axis = data.draw(st.integers(-call.predictions.ndim, call.predictions.ndim - 1))
    options = call.options | {"axis": axis}
    if np.ndim(options.get("class_weight", 0)) > 1:
        options["class_weight"] = np.moveaxis(options["class_weight"], -1, axis)
    labels = loss.targets == "labels"
    target = call.targets if labels else np.moveaxis(call.targets, -1, axis)
    moved = Call(np.moveaxis(call.predictions, -1, axis), target, options)
    assert_same(moved(loss, reduction="none"), call(loss, reduction="none"))
    gradient = np.moveaxis(moved.grad(loss), axis, -1)
    assert_same(gradient, call.grad(loss), terms=call.terms(loss))


@every_loss
@given(data=st.data())
def test_memory_layout_does_not_matter(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    value, gradient = call(loss, reduction="none"), call.grad(loss)
    doubled = np.repeat(call.predictions[..., None], 2, axis=-1)[..., 0]
    backwards = call.predictions[..., ::-1].copy()[..., ::-1] if doubled.ndim else doubled
    for predictions in (np.array(call.predictions, order="F"), doubled, backwards):
        other = call._replace(predictions=predictions)
        np.testing.assert_array_equal(other(loss, reduction="none"), value)
        np.testing.assert_array_equal(other.grad(loss), gradient)


@every_loss
@given(data=st.data())
def test_input_is_left_alone_and_answers_repeat(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    given_arrays = [call.predictions, call.targets, *call.options.values()]
    for array in given_arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    first, second = (
        (call(loss), call.grad(loss), call.grad(loss, reduction="none")) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@every_loss
@given(data=st.data())
def test_good_input_raises_no_floating_point_error(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    extreme = call
    if loss.predictions == "logits":
        extreme = call._replace(predictions=call.predictions * 1e4)
    with np.errstate(all="raise"):
        for one in (call, extreme):
            assert np.isfinite(one(loss)).all()
            assert np.isfinite(one.grad(loss)).all()


# --- weights, smoothing, reductions -----------------------------------------------------------


@every_loss
@given(data=st.data())
def test_sample_weights_multiply(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss, plain=True))
    unreduced = call(loss, reduction="none")
    weight = data.draw(arrays(np.shape(unreduced), 0, 10))
    weighted = call._replace(options={"sample_weight": weight})
    assert_same(weighted(loss, reduction="none"), weight * unreduced)
    over_classes = weight[..., None] if loss.has_classes else weight
    slope = over_classes * call.grad(loss, reduction="sum")
    assert_same(weighted.grad(loss, reduction="sum"), slope, terms=10 * call.terms(loss))


@every_loss_over_classes
@given(data=st.data())
def test_class_weights_multiply(loss: Loss, data: st.DataObject) -> None:
    """The loss is linear in the weight of each class, and a full matrix may hold the weights."""
    call = data.draw(calls(loss, plain=True))
    classes = call.predictions.shape[-1]
    weight = data.draw(arrays((classes,), 0, 10))
    parts = [call(loss, reduction="none", class_weight=one) for one in np.eye(classes)]
    whole = call(loss, reduction="none", class_weight=weight)
    assert_same(whole, np.tensordot(weight, parts, axes=1))
    assert_same(sum(parts), call(loss, reduction="none"))
    matrix = np.broadcast_to(weight, call.predictions.shape)
    assert_same(call(loss, reduction="none", class_weight=matrix), whole)


@over_those_with("label_smoothing")
@given(data=st.data(), eps=floats(0, 1))
def test_smoothing_is_linear(loss: Loss, data: st.DataObject, eps: float) -> None:
    call = data.draw(calls(loss))
    call.options.pop("label_smoothing", None)
    none, some, all_ = (
        call(loss, reduction="none", label_smoothing=share) for share in (0.0, eps, 1.0)
    )
    # Three roundings of its own: (1 - eps), the products and their sum.
    np.testing.assert_allclose(some, (1 - eps) * none + eps * all_, rtol=2 * RTOL)


@over_those_with("label_smoothing")
@given(data=st.data())
def test_full_smoothing_is_the_mean_over_the_targets(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    call.options.pop("label_smoothing", None)
    call.options.pop("ignore_index", None)
    classes = call.predictions.shape[-1] if loss.has_classes else 2
    if loss.targets == "dense":
        certain = [np.broadcast_to(row, call.targets.shape) for row in np.eye(classes)]
    else:
        certain = [np.full_like(call.targets, label) for label in range(classes)]
    each = [call._replace(targets=target)(loss, reduction="none") for target in certain]
    smooth = call(loss, reduction="none", label_smoothing=1.0)
    # The sum of C losses within 4 ulp, and its own C roundings.
    np.testing.assert_allclose(smooth, sum(each) / classes, rtol=(8 + classes) * EPS)


@every_loss
@given(data=st.data())
def test_reductions_are_consistent(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss))
    options = call.options
    unreduced = np.asarray(call(loss, reduction="none"))
    weights = np.asarray(options.get("sample_weight", 1.0)) * np.ones(unreduced.shape)
    counted = np.ones(unreduced.shape, bool)
    if loss.has_classes:
        labels = loss.targets == "labels"
        share = np.eye(call.predictions.shape[-1])[call.targets] if labels else call.targets
        weights = weights * np.sum(options.get("class_weight", 1.0) * share, axis=-1)
        if "ignore_index" in options:
            counted = call.targets != options["ignore_index"]
    elif "pos_weight" in options:
        weights = weights * (options["pos_weight"] * call.targets + 1 - call.targets)
    elif "alpha" in options:
        alpha = options["alpha"]
        weights = weights * (alpha * call.targets + (1 - alpha) * (1 - call.targets))
    assert not unreduced[~counted].any()
    total = unreduced.sum()
    assert_same(call(loss, reduction="sum"), total)
    assert_same(call(loss, reduction="mean"), total / counted.sum())
    assert_same(call(loss), total / counted.sum())
    assert_same(call(loss, reduction="weighted_mean"), total / (weights * counted).sum())
    slope = call.grad(loss, reduction="sum")
    assert_same(call.grad(loss, reduction="none"), slope, terms=call.terms(loss))
    mean = call.grad(loss, reduction="mean") * counted.sum()
    assert_same(mean, slope, terms=call.terms(loss))
    weighted = call.grad(loss, reduction="weighted_mean") * (weights * counted).sum()
    assert_same(weighted, slope, terms=call.terms(loss))


@over_those_with("ignore_index")
@given(data=st.data())
def test_ignored_is_as_if_absent(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss, plain=True))
    ignored = data.draw(st.integers(0, call.predictions.shape[-1] - 1) | st.just(-100))
    target = np.array(call.targets)
    hidden = data.draw(hnp.arrays(bool, target.shape))
    target[hidden] = ignored
    kept = target != ignored
    assume(kept.any())
    there = Call(call.predictions[kept], target[kept], {})
    call = Call(call.predictions, target, {"ignore_index": ignored})
    for reduction in ("sum", "mean", "weighted_mean"):
        assert_same(call(loss, reduction=reduction), there(loss, reduction=reduction))
    gradient = call.grad(loss)
    assert not gradient[~kept].any()
    assert_same(gradient[kept], there.grad(loss), terms=there.terms(loss))


@every_loss
@given(data=st.data())
def test_weight_0_is_as_if_infinite_losses_were_absent(loss: Loss, data: st.DataObject) -> None:
    call = data.draw(calls(loss, plain=True))
    batch = np.shape(call(loss, reduction="none"))
    weight = data.draw(hnp.arrays(np.float64, batch, elements=st.sampled_from([0.0, 1.0])))
    predictions = np.array(call.predictions)
    if loss.predictions == "logits":
        predictions[weight == 0] = np.inf
    hidden = Call(predictions, call.targets, {"sample_weight": weight})
    visible = call._replace(options={"sample_weight": weight})
    assert_same(hidden(loss, reduction="sum"), visible(loss, reduction="sum"))
    gradient = np.asarray(hidden.grad(loss, reduction="sum"))
    assert not gradient[weight == 0].any()


# --- one loss is another ----------------------------------------------------------------------


@given(data=st.data())
def test_two_class_softmax_is_the_sigmoid(data: st.DataObject) -> None:
    z = data.draw(hnp.arrays(np.float64, (3,), elements=floats(-800, 800)))
    labels = data.draw(hnp.arrays(np.int64, (3,), elements=st.integers(0, 1)))
    two = np.stack([np.zeros(3), z], axis=-1)
    softmax, sigmoid = (
        crossent.sparse_categorical_cross_entropy_with_logits,
        crossent.binary_cross_entropy_with_logits,
    )
    for reduction in REDUCTIONS:
        over_two = softmax(two, labels, reduction=reduction)
        assert_same(over_two, sigmoid(z, labels, reduction=reduction))
        slopes = crossent.grad(softmax)(two, labels, reduction=reduction)
        assert_same(slopes[:, 1], crossent.grad(sigmoid)(z, labels, reduction=reduction))
    assert_same(crossent.softmax(two)[:, 1], crossent.sigmoid(z))
    assert_same(crossent.log_softmax(two)[:, 1], crossent.log_sigmoid(z))


@pytest.mark.parametrize("ending", ["", "_with_logits"])
@given(data=st.data())
def test_sparse_is_one_hot(ending: str, data: st.DataObject) -> None:
    by_name = {loss.name: loss for loss in LOSSES}
    dense = by_name[f"categorical_cross_entropy{ending}"]
    sparse = by_name[f"sparse_categorical_cross_entropy{ending}"]
    call = data.draw(calls(sparse))
    call.options.pop("ignore_index", None)
    reduction = data.draw(st.sampled_from(REDUCTIONS))
    one_hot = call._replace(targets=np.eye(call.predictions.shape[-1])[call.targets])
    assert_same(one_hot(dense, reduction=reduction), call(sparse, reduction=reduction))
    terms = call.terms(sparse) if "label_smoothing" in call.options else 0.0
    assert_same(one_hot.grad(dense), call.grad(sparse), terms=terms)


@given(data=st.data())
def test_probabilities_of_the_softmax_give_the_same_loss(data: st.DataObject) -> None:
    """Up to the rounding of the probabilities, whose relative error is log p's absolute one."""
    loss = next(loss for loss in LOSSES if loss.name == "categorical_cross_entropy_with_logits")
    call = data.draw(calls(loss))
    probs = call._replace(predictions=crossent.softmax(call.predictions))
    of_probs = crossent.categorical_cross_entropy
    got = of_probs(probs.predictions, probs.targets, **probs.options, reduction="none")
    np.testing.assert_allclose(got, call(loss, reduction="none"), rtol=RTOL, atol=RTOL * call.scale)


@given(data=st.data())
def test_focal_loss_without_focus_is_cross_entropy(data: st.DataObject) -> None:
    loss = next(loss for loss in LOSSES if "focal" in loss.name)
    call = data.draw(calls(loss, plain=True))
    cross_entropy = crossent.binary_cross_entropy_with_logits
    args = call.predictions, call.targets
    assert_same(call(loss, gamma=0.0), cross_entropy(*args))
    assert_same(call.grad(loss, gamma=0.0), crossent.grad(cross_entropy)(*args), terms=1.0)
    halves = call(loss, gamma=0.0, alpha=0.5, reduction="none")
    assert_same(halves, 0.5 * cross_entropy(*args, reduction="none"))


@given(data=st.data())
def test_perplexity_is_the_exponential_of_the_mean(data: st.DataObject) -> None:
    name = "sparse_categorical_cross_entropy_with_logits"
    loss = next(loss for loss in LOSSES if loss.name == name)
    call = data.draw(calls(loss, plain=True))
    mean = call(loss)
    perplexity = crossent.perplexity(call.predictions, call.targets)
    ulp = bounds.ulp("perplexity", np.float64, {"log PP": mean})
    np.testing.assert_allclose(perplexity, np.exp(mean), rtol=2 * ulp * EPS)
    assert perplexity >= 1
    weight = data.draw(arrays(call.targets.shape, 0.1, 10))
    mean = call(loss, sample_weight=weight, reduction="weighted_mean")
    perplexity = crossent.perplexity(call.predictions, call.targets, sample_weight=weight)
    ulp = bounds.ulp("perplexity", np.float64, {"log PP": mean})
    np.testing.assert_allclose(perplexity, np.exp(mean), rtol=2 * ulp * EPS)


# --- dtypes -----------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_results_keep_the_dtype(
    loss: Loss, dtype: type[np.floating[Any]], data: st.DataObject
) -> None:
    call = data.draw(calls(loss))
    low = call._replace(predictions=call.predictions.astype(dtype))
    for reduction in REDUCTIONS:
        value = low(loss, reduction=reduction)
        too_large = np.ndim(value) == 0 and np.abs(value) > np.finfo(dtype).max
        assert value.dtype == (np.float32 if too_large else dtype)
        assert np.ndim(value) == (call.targets.ndim - (loss.targets == "dense")) * (
            reduction == "none"
        )
        gradient = low.grad(loss, reduction=reduction)
        assert gradient.dtype == dtype
        assert gradient.shape == call.predictions.shape


@over(  # rounded probabilities do not sum to 1 in float64
    loss for loss in LOSSES if loss.predictions == "logits" or not loss.has_classes
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@given(data=st.data())
def test_low_precision_is_high_precision_rounded(
    loss: Loss, dtype: type[np.floating[Any]], data: st.DataObject
) -> None:
    call = data.draw(calls(loss))
    bound = bounds.ulp(loss.name, dtype, {"γ": call.options.get("gamma", 2.0)})
    low = call._replace(predictions=call.predictions.astype(dtype))
    high = low._replace(predictions=low.predictions.astype(np.float64))
    reduction = data.draw(st.sampled_from(REDUCTIONS))
    rounded = np.asarray(high(loss, reduction=reduction)).astype(dtype)
    ulp = np.spacing(np.abs(rounded)).astype(float)
    difference = np.asarray(low(loss, reduction=reduction)).astype(float) - rounded
    assert (np.abs(difference) <= bound * ulp).all()
    slopes = high.grad(loss, reduction=reduction)
    gap = np.abs(low.grad(loss, reduction=reduction).astype(float) - slopes)
    eps = float(np.finfo(dtype).eps)
    tiny = float(np.finfo(dtype).smallest_subnormal)
    # Half an ulp more, for the slope in high precision is not rounded here.
    assert (gap <= (bound + 0.5) * np.maximum(eps * np.abs(slopes), tiny)).all()


@every_loss_over_logits
def test_integers_become_float64(loss: Loss) -> None:
    shape = (2, 3) if loss.has_classes else (2,)
    logits = np.arange(np.prod(shape)).reshape(shape)
    target = np.array([0, 1])
    if loss.targets == "dense":
        target = np.eye(3, dtype=int)[target]
    value, gradient = crossent.value_and_grad(loss.function)(logits, target)
    assert value.dtype == gradient.dtype == np.float64
    assert value == loss.function(logits.astype(float).tolist(), target.tolist())


# --- activations ------------------------------------------------------------------------------


@given(data=st.data())
def test_softmax(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=5))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    z = data.draw(arrays(shape, -1000, 1000))
    z.flags.writeable = False
    p, log_p = crossent.softmax(z, axis=axis), crossent.log_softmax(z, axis=axis)
    assert p.shape == log_p.shape == shape
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=8 * EPS)
    assert (log_p <= 0).all()
    # exp turns the rounding of log p, half an ulp and 4 more, into a relative error.
    seen = p > 1e-300
    np.testing.assert_allclose(np.exp(log_p[seen]), p[seen], rtol=5e-13)
    total = crossent.logsumexp(z, axis=axis, keepdims=True)
    np.testing.assert_allclose(z - total, log_p, rtol=RTOL, atol=RTOL * 1000)
    flat = crossent.softmax(z.reshape(-1))
    np.testing.assert_array_equal(crossent.softmax(z, axis=None), flat.reshape(shape))
    everything = crossent.logsumexp(z, axis=None)
    one_by_one = crossent.logsumexp(crossent.logsumexp(z, axis=axis), axis=None)
    np.testing.assert_allclose(everything, one_by_one, rtol=2 * RTOL, atol=RTOL * 1000)
    assert everything == crossent.logsumexp(z, axis=tuple(range(len(shape))))


@given(z=arrays((7,), -800, 800))
def test_sigmoid(z: Array) -> None:
    z.flags.writeable = False
    p = crossent.sigmoid(z)
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p + crossent.sigmoid(-z), 1, rtol=8 * EPS)
    assert_same(crossent.log_sigmoid(z) - crossent.log_sigmoid(-z), z, terms=800)
    increasing = np.sort(z)
    slack = 1 + RTOL  # each is within 4 ulp, so neighbors may change places
    assert (np.diff(crossent.sigmoid(increasing)) >= -RTOL).all()
    assert (crossent.log_sigmoid(increasing)[:-1] * slack <= 0).all()


# --- information ------------------------------------------------------------------------------


@st.composite
def pairs(draw: st.DrawFn, least: float = 0.0) -> tuple[Array, Array]:
    shape = draw(hnp.array_shapes(max_dims=2, max_side=6))
    return draw(distributions(shape)), draw(distributions(shape, least))


@given(pair=pairs(0.05))
def test_cross_entropy_is_entropy_plus_divergence(pair: tuple[Array, Array]) -> None:
    p, q = pair
    whole = crossent.cross_entropy(p, q)
    parts = crossent.entropy(p) + crossent.kl_divergence(p, q)
    # The sums of p and q are 1 up to an eps for each outcome.
    np.testing.assert_allclose(parts, whole, rtol=2 * RTOL, atol=p.shape[-1] * 8 * EPS)
    assert (whole >= crossent.entropy(p) * (1 - RTOL) - p.shape[-1] * 8 * EPS).all()


@given(pair=pairs(), power=st.integers(0, 17))
def test_divergences_are_not_negative(pair: tuple[Array, Array], power: int) -> None:
    p, q = pair
    q = p + 10.0**-power * (q - p)  # up to neighbors, whose divergence is below an eps
    p.flags.writeable = q.flags.writeable = False
    assert (crossent.kl_divergence(p, q) >= 0).all()
    assert (crossent.kl_divergence(p, p) == 0).all()
    js = crossent.js_divergence(p, q)
    assert ((js >= 0) & (js <= np.log(2) * (1 + RTOL))).all()
    np.testing.assert_array_equal(js, crossent.js_divergence(q, p))
    assert (crossent.js_divergence(p, p) == 0).all()
    middle = (p + q) / 2
    halves = (crossent.kl_divergence(p, middle) + crossent.kl_divergence(q, middle)) / 2
    # The middle is rounded, which shifts both halves by an eps for each outcome.
    np.testing.assert_allclose(js, halves, rtol=2 * RTOL, atol=p.shape[-1] * EPS)


@given(pair=pairs())
def test_divergence_is_infinite_where_an_outcome_is_excluded(pair: tuple[Array, Array]) -> None:
    p, q = pair
    excluded = ((p > 0) & (q == 0)).any(axis=-1)
    for function in (crossent.cross_entropy, crossent.kl_divergence):
        np.testing.assert_array_equal(np.isinf(function(p, q)), excluded)


@given(pair=pairs(0.05), base=floats(1.5, 100))
def test_base_is_a_unit(pair: tuple[Array, Array], base: float) -> None:
    p, q = pair
    for function, args in (
        (crossent.entropy, (p,)),
        (crossent.cross_entropy, (p, q)),
        (crossent.kl_divergence, (p, q)),
        (crossent.js_divergence, (p, q)),
    ):
        in_nats = function(*args)
        assert_same(function(*args, base=base) * np.log(base), in_nats)
        axis = 0 - p.ndim
        moved = (np.moveaxis(arg, -1, axis) for arg in args)
        assert_same(function(*moved, axis=axis), in_nats)


@given(data=st.data(), classes=st.integers(1, 8))
def test_entropy_is_largest_for_the_uniform(data: st.DataObject, classes: int) -> None:
    p = data.draw(distributions((classes,)))
    entropy = crossent.entropy(p)
    assert 0 <= entropy <= np.log(classes) * (1 + RTOL) + classes * EPS
    uniform = np.full(classes, 1 / classes)
    assert_same(crossent.entropy(uniform), np.log(classes), terms=1.0)


# --- information of logits --------------------------------------------------------------------


@st.composite
def logit_pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    """Two arrays of logits, from far apart to neighbors."""
    shape = draw(hnp.array_shapes(max_dims=2, max_side=6))
    p, q = draw(arrays(shape, -30, 30)), draw(arrays(shape, -30, 30))
    return p, p + 10.0 ** -draw(st.integers(0, 17)) * (q - p)


@given(pair=logit_pairs(), temperature=floats(0.1, 100))
def test_divergence_of_logits_is_not_negative(
    pair: tuple[Array, Array], temperature: float
) -> None:
    p, q = pair
    p.flags.writeable = q.flags.writeable = False
    options: dict[str, Any] = {"temperature": temperature}
    value, slope = crossent.value_and_grad(crossent.kl_divergence_with_logits)(p, q, **options)
    assert (value >= 0).all()
    assert not np.signbit(value).any()
    np.testing.assert_array_equal(value, crossent.kl_divergence_with_logits(p, q, **options))
    assert (crossent.kl_divergence_with_logits(p, p, **options) == 0).all()
    np.testing.assert_allclose(slope.sum(axis=-1), 0, atol=32 * EPS * p.shape[-1] / temperature)
    # A slope that points away from p, in all, for the divergence is convex and 0 at p.
    away = ((q - p) * slope).sum(axis=-1)
    assert (away >= value * (1 - 1e-9) - 1e-12).all()


@given(pair=logit_pairs(), shifts=st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)))
def test_shift_of_logits_changes_no_information(
    pair: tuple[Array, Array], shifts: tuple[int, int]
) -> None:
    p, q = (np.rint(z * 64) / 64 for z in pair)  # on this grid the shift rounds nothing
    both = crossent.value_and_grad(crossent.kl_divergence_with_logits)
    value, slope = both(p, q)
    moved, moved_slope = both(p + shifts[0], q + shifts[1])
    np.testing.assert_array_equal(moved, value)
    np.testing.assert_array_equal(moved_slope, slope)
    moved_entropy = crossent.entropy_with_logits(p + shifts[0])
    assert_same(moved_entropy, crossent.entropy_with_logits(p), terms=0.0)


@given(pair=logit_pairs())
def test_cross_entropy_of_logits_is_entropy_plus_divergence(pair: tuple[Array, Array]) -> None:
    p, q = pair
    assume(p.shape[-1] > 1)
    targets = crossent.softmax(p)
    loss = crossent.categorical_cross_entropy_with_logits
    whole = loss(q, targets, reduction="none")
    parts = crossent.entropy_with_logits(p) + crossent.kl_divergence_with_logits(p, q)
    # A target is rounded, which counts for as much as its surprise, of up to 64.
    np.testing.assert_allclose(parts, whole, rtol=2 * RTOL, atol=64 * 4 * EPS)
    slope = crossent.grad(crossent.kl_divergence_with_logits)(p, q)
    np.testing.assert_allclose(
        slope, crossent.grad(loss)(q, targets, reduction="sum"), rtol=0, atol=16 * EPS
    )
    entropy = crossent.entropy_with_logits(p)
    assert ((entropy >= 0) & (entropy <= np.log(p.shape[-1]) * (1 + RTOL))).all()
    np.testing.assert_allclose(entropy, crossent.entropy(targets), rtol=0, atol=64 * 4 * EPS)
