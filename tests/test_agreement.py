"""Every loss and option against every peer that has it, value and gradient.

The ids begin with the peer's name: `pytest --collect-only -q tests/test_agreement.py` counts them.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
import tensorflow as tf
import torch
import torch.nn.functional as F
from mpmath import mpf

import crossent
from tests import loss_table, truth
from tests.loss_table import LOSSES, REDUCTIONS, Loss
from tests.peers import KERAS, PEERS, TF_NN, TORCH, Array, Peer

Dtype = type[np.floating[Any]]

# Batch shape, and where the class axis stands in the predictions.
LAYOUTS = {"(N, C)": ((6,), -1), "(N, C, H, W)": ((2, 3, 2), 1), "(C,)": ((), -1)}
# What the predictions look like, and whether the targets are soft (where the peer takes those).
STRUCTURES = (("random", True), ("random", False), ("tied", False), ("confident", True))
DTYPES: tuple[Dtype, ...] = (np.float64, np.float32)


class Case(NamedTuple):
    """A peer, a loss, and how it is called."""

    peer: Peer
    loss: Loss
    options: tuple[str, ...]
    reduction: str
    layout: str
    dtype: Dtype

    def __str__(self) -> str:
        options = "+".join(self.options) or "plain"
        parts = self.peer.name, self.loss.name, options, self.reduction, self.layout
        return " ".join([*parts, self.dtype.__name__])


def cases() -> list[Case]:
    result = []
    for loss in LOSSES:
        calls = product(PEERS, loss.option_sets(), REDUCTIONS, LAYOUTS, DTYPES)
        for peer, options, reduction, layout, dtype in calls:
            if peer.batched and layout == "(C,)":
                continue
            if peer.has(loss.name, dict.fromkeys(options) | {"reduction": reduction}):
                result.append(Case(peer, loss, options, reduction, layout, dtype))
    return result


CASES = cases()


def tolerance(peer_value: Array, predictions: Array, options: dict[str, Any]) -> float:
    """What a peer may lose: it subtracts terms as large as its logits, each rounded a few times.

    So its absolute error is some eps of its dtype times the largest logit (or logarithm) and
    weight; our own error is far below that.
    """
    weights = [np.max(np.abs(options[name])) for name in options if name.endswith("weight")]
    largest = max(1.0, float(np.abs(predictions).max()), float(np.abs(peer_value).max()))
    scale = largest * float(np.prod([max(1.0, weight) for weight in weights]))
    return float(16 * np.finfo(predictions.dtype).eps * scale)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient(case: Case) -> None:
    batch, axis = LAYOUTS[case.layout]
    random = np.random.default_rng(sum(map(ord, str(case))))
    takes_soft = case.peer.entries[case.loss.name].soft
    for structure, soft in STRUCTURES:
        drawn = loss_table.inputs(case.loss, random, batch, structure, soft=soft and takes_soft)
        predictions, targets = drawn
        options = {name: loss_table.option(name, random, batch) for name in case.options}
        options |= {"reduction": case.reduction}
        predictions = predictions.astype(case.dtype)
        if targets.dtype.kind == "f":
            targets = targets.astype(case.dtype)
        options = {
            name: value.astype(case.dtype) if isinstance(value, np.ndarray) else value
            for name, value in options.items()
        }
        if case.loss.has_classes:
            predictions = np.moveaxis(predictions, -1, axis)
            options |= {"axis": axis}
            if case.loss.targets == "dense":
                targets = np.moveaxis(targets, -1, axis)
        expected, slope = case.peer(case.loss.name, predictions, targets, **options)
        close = tolerance(expected, predictions, options)
        value = case.loss.function(predictions, targets, **options)
        np.testing.assert_allclose(value, expected, rtol=0, atol=close)
        if slope is not None:
            if case.peer is TF_NN and "pos_weight" in options:
                slope = _repaired_at_zero(slope, predictions, targets, options["pos_weight"])
            gradient = crossent.grad(case.loss.function)(predictions, targets, **options)
            if case.loss.predictions == "probabilities":  # the logarithm is steep near 0
                close /= float(np.min([predictions, 1 - predictions])) ** 2
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=close)


def _repaired_at_zero(slope: Array, z: Array, targets: Array, pos_weight: float) -> Array:
    """At z = 0 tf.nn differentiates |z| and max(-z, 0) apart and is wrong: mpmath has the slope."""
    result = slope.copy()
    for index in np.argwhere(z == 0):
        place = tuple(index)
        true = truth.binary_with_logits_gradient(mpf(0), mpf(float(targets[place])), pos_weight)
        assert slope[place] != pytest.approx(float(true)), "tf.nn is repaired: so is this test"
        result[place] = float(true)
    return result


# --- activations and information functions ----------------------------------------------------


def _each(functions: str, *options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return product(functions.split(), options)


ALONG_AN_AXIS: list[tuple[str, dict[str, Any]]] = [
    *_each("softmax log_softmax logsumexp", {}, {"axis": 0}, {"axis": 1}),
    *_each("logsumexp", {"axis": (0, 2)}, {"axis": None}, {"axis": 1, "keepdims": True}),
    *_each("sigmoid log_sigmoid", {}),
]
OF_LOGITS: list[tuple[str, dict[str, Any]]] = [
    *_each("entropy_with_logits", {}, {"axis": 0}, {"base": 2}),
    *_each("kl_divergence_with_logits", {}, {"axis": 0}, {"temperature": 2.5}, {"base": 2}),
]
OF_DISTRIBUTIONS: list[tuple[str, dict[str, Any]]] = [
    *_each("entropy cross_entropy kl_divergence js_divergence", {}, {"axis": 0}),
    *_each("entropy kl_divergence js_divergence", {"base": 2}),
]


def _known(calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The calls that each peer has, as parameters with readable ids."""
    return [
        pytest.param(
            peer, function, options, dtype, id=f"{peer.name} {function} {options} {dtype.__name__}"
        )
        for peer, (function, options), dtype in product(PEERS, calls, DTYPES)
        if peer.has(function, options)
    ]


@pytest.mark.parametrize(("peer", "function", "options", "dtype"), _known(ALONG_AN_AXIS))
def test_activation(peer: Peer, function: str, options: dict[str, Any], dtype: Dtype) -> None:
    random = np.random.default_rng(5)
    for structure in ("random", "tied", "confident"):
        z = loss_table.logits(random, (3, 4, 5), structure).astype(dtype)
        expected, _ = peer(function, z, **options)
        value = getattr(crossent, function)(z, **options)
        np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance(expected, z, {}))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16])
@pytest.mark.parametrize("axis", [0, -1, (0,), (0, 2), (-1, 1), (2, 1, 0), None])
@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_activation_over_axes_as_in_scipy(function: str, axis: Any, dtype: Dtype) -> None:
    random = np.random.default_rng(5)
    ours, scipys = getattr(crossent, function), getattr(scipy.special, function)
    for structure in ("random", "tied", "confident"):
        z = loss_table.logits(random, (3, 4, 5), structure).astype(dtype)
        z[0, 0, 0] = -np.inf
        for array in (z, z.T, z[:, ::2, ::-1]):
            value, expected = ours(array, axis=axis), scipys(array, axis=axis)
            assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
            finite = np.where(np.isfinite(array), array, 0.0)
            close = tolerance(np.nan_to_num(expected, neginf=0.0), finite, {})
            np.testing.assert_allclose(value, expected, rtol=0, atol=close)
    for number in (1000.0, [0.0], [[1.0, 1000.0]], [[5.0]]):
        value, expected = ours(number, axis=None), scipys(number, axis=None)
        assert np.shape(value) == np.shape(expected)
        np.testing.assert_allclose(value, expected, rtol=1e-15)


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_keras_softmax_over_axes(function: str) -> None:
    z = np.random.default_rng(5).normal(size=(3, 4, 5))
    keras_function = getattr(keras.ops, function)
    for axis in ((0, 2), (2, 1)):
        expected = keras_function(z, axis=axis)
        value = getattr(crossent, function)(z, axis=axis)
        np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance(value, z, {}))


@pytest.mark.parametrize(("peer", "function", "options", "dtype"), _known(OF_DISTRIBUTIONS))
def test_information(peer: Peer, function: str, options: dict[str, Any], dtype: Dtype) -> None:
    random = np.random.default_rng(6)
    for structure in ("random", "tied", "confident"):
        rows = (loss_table.probabilities(random, (6, 4), structure) for _ in "pq")
        p, q = (np.moveaxis(row, -1, options.get("axis", -1)).astype(dtype) for row in rows)
        args = (p,) if function == "entropy" else (p, q)
        expected, _ = peer(function, *args, **options)
        value = getattr(crossent, function)(*args, **options)
        close = tolerance(expected, np.log(q), {})
        np.testing.assert_allclose(value, expected, rtol=0, atol=close)


@pytest.mark.parametrize(("peer", "function", "options", "dtype"), _known(OF_LOGITS))
def test_information_of_logits(
    peer: Peer, function: str, options: dict[str, Any], dtype: Dtype
) -> None:
    random = np.random.default_rng(9)
    for structure in ("random", "tied", "confident"):
        rows = (loss_table.logits(random, (6, 4), structure).astype(dtype) for _ in "pq")
        p, q = (np.moveaxis(row, -1, options.get("axis", -1)) for row in rows)
        args = (p,) if function == "entropy_with_logits" else (p, q)
        expected, _ = peer(function, *args, **options)
        value = getattr(crossent, function)(*args, **options)
        close = tolerance(expected, np.stack(args), {})
        if peer is KERAS:  # which raises probabilities to 1e-7
            close += 1e-5
        np.testing.assert_allclose(value, expected, rtol=0, atol=close)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_slope_of_a_divergence_is_torchs(temperature: float) -> None:
    p, q = np.random.default_rng(10).normal(size=(2, 6, 4))
    logits = torch.tensor(q, requires_grad=True)
    log_p, log_q = (torch.log_softmax(z / temperature, -1) for z in (torch.tensor(p), logits))
    loss = F.kl_div(log_q, log_p, reduction="sum", log_target=True)
    (slope,) = torch.autograd.grad(loss, logits)
    ours = crossent.grad(crossent.kl_divergence_with_logits)(p, q, temperature=temperature)
    np.testing.assert_allclose(ours, slope, rtol=0, atol=1e-15)


@pytest.mark.parametrize("ignored", [{}, {"ignore_index": 1}])
def test_perplexity_is_torchs_exponential(ignored: dict[str, int]) -> None:
    random = np.random.default_rng(7)
    z, labels = random.normal(size=(20, 5)), random.integers(0, 5, 20)
    expected, _ = TORCH("perplexity", z, labels, **ignored)
    assert crossent.perplexity(z, labels, **ignored) == pytest.approx(float(expected), rel=1e-14)


def test_every_peer_is_asked() -> None:
    """A peer that loses its entries would pass in silence."""
    asked = Counter(case.peer.name for case in CASES)
    for known in (_known(ALONG_AN_AXIS), _known(OF_DISTRIBUTIONS)):
        asked.update(parameters.values[0].name for parameters in known)
    print(dict(asked))
    least = {"torch": 450, "keras": 600, "tf.nn": 50, "scikit-learn": 150, "SciPy": 80}
    assert all(asked[name] >= count for name, count in least.items()), asked


# --- where the peers disagree, or are wrong: what they do is pinned here -----------------------

Z = np.array([[2.0, 0.5, -1.0], [0.1, 1.5, 0.3], [-0.5, 0.2, 1.1], [1.0, -1.0, 0.4]])
LABELS = np.array([0, 1, 2, 1])
CLASS_WEIGHT = np.array([1.0, 2.0, 10.0])
SPARSE = crossent.sparse_categorical_cross_entropy_with_logits
DENSE = crossent.categorical_cross_entropy_with_logits
BINARY = crossent.binary_cross_entropy_with_logits


def _torch(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64 if np.asarray(array).dtype.kind == "f" else None)


def _true(z: Any, label: int) -> float:
    row = truth.exact(z)
    target = [mpf(int(k == label)) for k in range(len(row))]
    return float(truth.categorical_with_logits(row, target))


def test_class_weighted_means() -> None:
    """torch divides by the weights for indices but by N for one-hot targets; Keras by N."""
    weighted = SPARSE(Z, LABELS, class_weight=CLASS_WEIGHT, reduction="weighted_mean")
    plain = SPARSE(Z, LABELS, class_weight=CLASS_WEIGHT, reduction="mean")
    assert weighted != pytest.approx(plain, rel=0.5)
    weight, one_hot = _torch(CLASS_WEIGHT), np.eye(3)[LABELS]
    assert float(F.cross_entropy(_torch(Z), _torch(LABELS), weight)) == pytest.approx(weighted)
    assert float(F.cross_entropy(_torch(Z), _torch(one_hot), weight)) == pytest.approx(plain)
    probs = crossent.softmax(Z)
    each = CLASS_WEIGHT[LABELS]
    assert sklearn.metrics.log_loss(LABELS, probs, sample_weight=each) == pytest.approx(weighted)
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="identity")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    fitted = model.train_on_batch(
        Z.astype(np.float32), LABELS, class_weight=dict(enumerate(CLASS_WEIGHT))
    )
    assert float(fitted) == pytest.approx(plain, rel=1e-6)


def test_weight_of_a_single_sample_vanishes_in_a_weighted_mean() -> None:
    single = Z[:1], LABELS[:1]
    loss = SPARSE(*single, class_weight=7 * CLASS_WEIGHT, reduction="weighted_mean")
    assert loss == pytest.approx(SPARSE(*single))
    args = _torch(single[0]), _torch(single[1]), _torch(7 * CLASS_WEIGHT)
    assert float(F.cross_entropy(*args)) == pytest.approx(loss)


def test_smoothing_with_class_weights() -> None:
    """The sums agree; torch's mean divides by the weights for indices and by N for one-hot."""
    options: dict[str, Any] = {"class_weight": CLASS_WEIGHT, "label_smoothing": 0.1}
    one_hot = np.eye(3)[LABELS]
    by_weight = SPARSE(Z, LABELS, **options, reduction="weighted_mean")
    by_count = DENSE(Z, one_hot, **options, reduction="mean")
    assert SPARSE(Z, LABELS, **options, reduction="sum") == pytest.approx(4 * by_count)
    smooth = {"weight": _torch(CLASS_WEIGHT), "label_smoothing": 0.1}
    index = float(F.cross_entropy(_torch(Z), _torch(LABELS), **smooth))
    assert index == pytest.approx(by_weight)
    assert index != pytest.approx(by_count, rel=0.5)
    assert float(F.cross_entropy(_torch(Z), _torch(one_hot), **smooth)) == pytest.approx(by_count)


def test_smoothing_has_a_floor() -> None:
    """Ten classes, ε = 0.1: the entropy of the smoothed target, not 0."""
    smoothed = np.array([0.91] + 9 * [0.01])
    floor = crossent.entropy(smoothed)
    assert floor == pytest.approx(0.5003, abs=5e-5)
    z = np.log(smoothed)[None]
    assert SPARSE(z, [0], label_smoothing=0.1) == pytest.approx(floor)
    loss = F.cross_entropy(_torch(z), torch.tensor([0]), label_smoothing=0.1)
    assert float(loss) == pytest.approx(floor)


def test_softmax_in_front_of_logits_has_a_floor() -> None:
    confident = np.eye(10)[:1] * 50
    floor = np.log(np.e + 9) - 1
    twice = F.cross_entropy(torch.softmax(_torch(confident), -1), torch.tensor([0]))
    assert float(twice) == pytest.approx(floor) == pytest.approx(1.4611502)
    assert SPARSE(confident, [0]) < 1e-20


def test_nothing_but_ignored_labels() -> None:
    """torch and crossent: nan (crossent warns); Keras: 0."""
    ones = np.ones(4, int)
    with pytest.warns(RuntimeWarning, match="mean over nothing"):
        assert np.isnan(SPARSE(Z, ones, ignore_index=1))
    assert SPARSE(Z, ones, ignore_index=1, reduction="sum") == 0
    assert torch.isnan(F.cross_entropy(_torch(Z), _torch(ones), ignore_index=1))
    assert float(F.cross_entropy(_torch(Z), _torch(ones), ignore_index=1, reduction="sum")) == 0
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    assert float(loss(ones, Z)) == 0


def test_negative_labels() -> None:
    """torch ignores -100 by default and refuses -1; crossent ignores nothing by default."""
    labels = np.array([0, -100, 2, 1])
    kept = labels != -100
    assert float(F.cross_entropy(_torch(Z), _torch(labels))) == pytest.approx(
        SPARSE(Z, labels, ignore_index=-100)
    )
    assert SPARSE(Z, labels, ignore_index=-100) == pytest.approx(SPARSE(Z[kept], labels[kept]))
    with pytest.raises(IndexError, match=r"labels\[1\] is -100"):
        SPARSE(Z, labels)
    for loss in (lambda y: F.cross_entropy(_torch(Z), _torch(y)), lambda y: SPARSE(Z, y)):
        with pytest.raises(IndexError):
            loss(np.array([0, -1, 2, 1]))


def test_ignored_class_stays_in_the_denominator() -> None:
    labels = np.array([1, 1, 2, 1])
    assert SPARSE(Z, labels, ignore_index=0) == SPARSE(Z, labels)
    ignoring = F.cross_entropy(_torch(Z), _torch(labels), ignore_index=0)
    assert float(ignoring) == pytest.approx(SPARSE(Z, labels))


def test_label_out_of_range() -> None:
    labels = np.array([0, 3, 2, 1])
    with pytest.raises(IndexError, match=r"labels\[1\] is 3"):
        SPARSE(Z, labels)
    with pytest.raises(IndexError):
        F.cross_entropy(_torch(Z), _torch(labels))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=Z)
    with pytest.raises(ValueError, match="labels"):
        sklearn.metrics.log_loss(labels, crossent.softmax(Z), labels=range(3))


def test_float_labels() -> None:
    """torch and crossent refuse them; Keras makes 0.9 a 0."""
    labels = np.array([0.9, 1.0, 2.0, 1.0])
    with pytest.raises(TypeError, match="labels"):
        SPARSE(Z, labels)
    with pytest.raises(RuntimeError):
        F.cross_entropy(_torch(Z), _torch(labels))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    assert float(loss(labels, Z)) == pytest.approx(SPARSE(Z, labels.astype(int)))


def test_single_class() -> None:
    """One output is no softmax: torch returns 0 whatever it is, crossent refuses."""
    assert float(F.cross_entropy(torch.tensor([[3.0]]), torch.tensor([0]))) == 0
    with pytest.raises(ValueError, match="class"):
        SPARSE([[3.0]], [0])


def test_targets_that_are_no_distribution() -> None:
    """torch and tf.nn double the loss in silence, scipy.stats.entropy renormalises."""
    targets = 2 * np.eye(3)[LABELS]
    once = DENSE(Z, np.eye(3)[LABELS])
    assert float(F.cross_entropy(_torch(Z), _torch(targets))) == pytest.approx(2 * once)
    loss = tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=Z)
    assert float(np.mean(loss)) == pytest.approx(2 * once)
    assert scipy.stats.entropy([1.0, 1.0]) == pytest.approx(np.log(2))
    with pytest.raises(ValueError, match=r"targets\[0, 0\] is 2\.0"):
        DENSE(Z, targets)
    with pytest.raises(ValueError, match="sums to 2"):
        crossent.entropy([1.0, 1.0])


def test_binary_target_outside_0_and_1() -> None:
    """torch's loss turns negative; crossent refuses."""
    z, target = torch.tensor([5.0]), torch.tensor([2.0])
    assert float(F.binary_cross_entropy_with_logits(z, target)) == pytest.approx(-4.993, abs=1e-3)
    with pytest.raises(ValueError, match="targets"):
        BINARY([5.0], [2.0])


def test_certain_and_wrong_probability() -> None:
    """The truth is infinite: torch stops at 100, Keras and scikit-learn clip the probability."""
    pairs = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    ours = crossent.binary_cross_entropy(*pairs, reduction="none")
    assert np.isinf(ours).all()
    probs, targets = map(torch.tensor, pairs)
    assert F.binary_cross_entropy(probs, targets, reduction="none").tolist() == [100, 100]
    value, slope = KERAS("binary_cross_entropy", *pairs, reduction="none")
    np.testing.assert_allclose(value, [16.118, 15.942], atol=1e-3)
    assert slope is not None
    assert not slope.any()
    for dtype, clipped in ((np.float64, 36.04), (np.float32, 15.94), (np.float16, 6.93)):
        rows = np.array([[1, 0], [0.5, 0.5]], dtype)
        loss = 2 * sklearn.metrics.log_loss([1, 1], rows, labels=[0, 1]) - np.log(2)
        assert loss == pytest.approx(clipped, abs=0.01)


def test_sigmoid_in_front_of_torchs_bce() -> None:
    z = torch.tensor([17.0], requires_grad=True)
    loss = F.binary_cross_entropy(torch.sigmoid(z), torch.tensor([0.0]))
    (slope,) = torch.autograd.grad(loss, z)
    assert loss.item() == 100
    assert slope.item() == 0
    assert BINARY(np.array([17.0], np.float32), [0.0]) == pytest.approx(17.0)


def test_keras_gradient_of_probabilities() -> None:
    """Keras divides probabilities by their sum, so its gradient lacks the slope along it."""
    probs, targets = crossent.softmax(Z), np.eye(3)[LABELS]
    q = tf.constant(probs)
    with tf.GradientTape() as tape:
        tape.watch(q)
        loss = keras.losses.CategoricalCrossentropy(reduction="sum", dtype="float64")(targets, q)
    ours = crossent.grad(crossent.categorical_cross_entropy)(probs, targets, reduction="sum")
    np.testing.assert_allclose(tape.gradient(loss, q), ours + 1, atol=1e-6)


def test_scipys_entropy_of_two_is_the_divergence() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    assert scipy.stats.entropy(p, q) == pytest.approx(crossent.kl_divergence(p, q))
    assert F.kl_div(_torch(p), _torch(p), reduction="sum") != pytest.approx(0, abs=0.1)
    assert F.kl_div(_torch(q).log(), _torch(p), reduction="sum") == pytest.approx(
        crossent.kl_divergence(p, q)
    )


def test_keras_focal_crossentropy_has_an_alpha() -> None:
    """With γ = 0 the categorical one is a quarter of the cross-entropy."""
    loss = keras.losses.CategoricalFocalCrossentropy(gamma=0.0, from_logits=True, dtype="float64")
    assert float(loss(np.eye(3)[LABELS], Z)) == pytest.approx(0.25 * SPARSE(Z, LABELS))


INFINITY = np.inf


def test_impossible_wrong_class() -> None:
    """A wrong class at -∞ adds nothing: right in every peer for labels, nan for one-hot targets."""
    z = np.array([[0.0, 1.0, -INFINITY]])
    true = np.log1p(np.e)
    one_hot = np.array([[1.0, 0.0, 0.0]])
    assert SPARSE(z, [0]) == pytest.approx(true)
    assert DENSE(z, one_hot) == pytest.approx(true)
    assert SPARSE(z, [0], label_smoothing=0.1) == INFINITY
    for peer in (TORCH, KERAS, TF_NN):
        name, dense = SPARSE.__name__, DENSE.__name__
        value, _ = peer(name, z, np.array([0]), reduction="none")
        assert value[0] == pytest.approx(true)
        assert np.isnan(peer(dense, z, one_hot, reduction="none")[0]).all()
    smoothed = F.cross_entropy(_torch(z), torch.tensor([0]), label_smoothing=0.1)
    assert float(smoothed) == INFINITY


def test_certain_class() -> None:
    """At +∞ the loss has a limit; the peers return nan."""
    z = np.array([[0.0, INFINITY]])
    np.testing.assert_array_equal(SPARSE([z[0], z[0]], [0, 1], reduction="none"), [INFINITY, 0])
    for peer in (TORCH, KERAS, TF_NN):
        assert np.isnan(peer(SPARSE.__name__, z, np.array([1]), reduction="none")[0]).all()


def test_binary_logit_at_infinity() -> None:
    z, targets = np.array([-INFINITY, INFINITY]), np.array([0.0, 1.0])
    assert BINARY(z, targets, reduction="sum") == 0
    assert not crossent.grad(BINARY)(z, targets).any()
    for peer in (TORCH, TF_NN):
        assert np.isnan(peer(BINARY.__name__, z, targets, reduction="none")[0]).any()


@pytest.mark.parametrize(("margin", "dtype"), [(17, np.float32), (40, np.float64)])
def test_small_loss(margin: float, dtype: Dtype) -> None:
    """Every peer returns 0.0, and 0 for the gradient of the true class; mpmath knows better."""
    z, labels = np.array([[margin, 0]], dtype), np.array([0])
    true = _true(z[0], 0)
    loss, gradient = crossent.value_and_grad(SPARSE)(z, labels)
    assert loss == pytest.approx(true, rel=1e-6, abs=0)
    assert gradient[0] == pytest.approx([-true, true], rel=1e-6, abs=0)
    for peer in (TORCH, KERAS, TF_NN):
        value, slope = peer(SPARSE.__name__, z, labels, reduction="none")
        assert value[0] == 0
        assert slope is not None
        assert slope[0, 0] == 0
        assert slope[0, 1] == pytest.approx(true, rel=1e-6, abs=0)
    for scipys in (scipy.special.log_softmax(z)[0, 0], scipy.special.logsumexp(z) - z[0, 0]):
        assert scipys == 0


def test_divergence_of_near_logits() -> None:
    """Every peer subtracts logarithms: no digit is left at 1e-9, and some results are negative."""
    random = np.random.default_rng(11)
    p = random.normal(size=(100, 4))
    q = p + 1e-9 * random.normal(size=p.shape)
    name = "kl_divergence_with_logits"
    true = [
        float(truth.kl_divergence_with_logits(truth.exact(a), truth.exact(b)))
        for a, b in zip(p, q, strict=True)
    ]
    np.testing.assert_allclose(crossent.kl_divergence_with_logits(p, q), true, rtol=2e-15)
    for peer in PEERS:
        if peer.has(name, {}):
            value, _ = peer(name, p, q)
            assert value.min() < 0
            assert (np.abs(value - true) > true).mean() > 0.5
    both_masked = np.array([[0.0, 1.0, -INFINITY]])
    assert crossent.kl_divergence_with_logits(both_masked, both_masked) == 0
    assert np.isnan(TORCH(name, both_masked, both_masked)[0]).all()


def test_large_offset() -> None:
    """logsumexp(z) - z_y in float32 keeps no digit at an offset of 10⁶."""
    z = np.array([[1e6, 1e6 - 3]], np.float32)
    true = _true(z[0], 0)
    assert SPARSE(z, [0]) == pytest.approx(true, rel=1e-6)
    assert scipy.special.logsumexp(z) - z[0, 0] == pytest.approx(0.0625)
    assert true == pytest.approx(0.0486, abs=1e-4)
