"""Gradients: against numerical derivatives, in the limits, and as accurate as the losses."""

import inspect
import multiprocessing
import pickle
import pydoc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import crossent
from crossent import check_grad, grad, value_and_grad
from crossent._forms import FORMS
from crossent._kernels import Kernel
from tests import bounds

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("sparse_categorical_cross_entropy_with_logits", np.float64)
INF, NAN = np.inf, np.nan
LABELS = np.array([2, 0, 1, 2])
SOFT = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0.1, 0.8, 0.1], [0.25, 0.5, 0.25]])
LOGITS = np.array([[0.3, -1.2, 2.1], [5.0, 5.1, -3.0], [0.0, 0.0, 0.0], [-7.0, 2.0, 1.5]])
SMOOTH_AND_WEIGHTED: dict[str, Any] = {
    "class_weight": [0.5, 2.0, 3.0],
    "sample_weight": [1.0, 0.0, 2.5, 0.3],
    "label_smoothing": 0.2,
}
sparse_logits: Any = crossent.sparse_categorical_cross_entropy_with_logits
dense_logits: Any = crossent.categorical_cross_entropy_with_logits
binary_logits: Any = crossent.binary_cross_entropy_with_logits

CALLS: dict[str, tuple[Callable[..., Any], Any, Any, dict[str, Any]]] = {
    "binary": (crossent.binary_cross_entropy, crossent.softmax(LOGITS), SOFT, {}),
    "binary logits": (binary_logits, LOGITS, SOFT, {"pos_weight": [1.0, 2.0, 0.5]}),
    "focal": (
        crossent.binary_focal_loss_with_logits, LOGITS, SOFT, {"gamma": 1.7, "alpha": 0.3}
    ),
    "dense": (crossent.categorical_cross_entropy, crossent.softmax(LOGITS), SOFT, {}),
    "dense logits": (dense_logits, LOGITS, SOFT, {}),
    "sparse": (crossent.sparse_categorical_cross_entropy, crossent.softmax(LOGITS), LABELS, {}),
    "sparse logits": (sparse_logits, LOGITS, LABELS, {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(400):  # e^-800 is 10^-347
        yield


def options_of(name: str) -> list[dict[str, Any]]:
    loss, predictions, _, special = CALLS[name]
    known = inspect.signature(loss).parameters
    rich = {key: value for key, value in SMOOTH_AND_WEIGHTED.items() if key in known}
    if "axis" not in known:  # a weight for each element
        rich["sample_weight"] = np.linspace(0, 2, np.size(predictions)).reshape(4, 3)
    result = [special, special | rich]
    if name.startswith("sparse"):
        result += [{"ignore_index": 2}, rich | {"ignore_index": 2}]
    return result


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
@pytest.mark.parametrize("name", CALLS)
def test_closed_form_is_the_numerical_derivative(name: str, reduction: str) -> None:
    loss, predictions, targets, _ = CALLS[name]
    for options in options_of(name):
        check = check_grad(loss, predictions, targets, reduction=reduction, **options)
        # Rounding of a loss of up to 100 over a step of 1/512 of the distance to the next
        # singularity, which is 1e-4 for the smallest probability.
        assert check.error < (1e-10 if "logits" in loss.__name__ else 1e-6)
        assert check.analytic != check.numerical


def test_gradient_of_one_number_is_a_number() -> None:
    assert isinstance(grad(binary_logits)(0.0, 1), np.float64)
    assert grad(binary_logits)(0.0, 1) == -0.5


# --- what is returned is a function like any other ------------------------------------------------


@pytest.mark.parametrize("make", [grad, value_and_grad])
@pytest.mark.parametrize("loss", FORMS)
def test_what_is_returned_has_a_name_and_says_what_it_does(
    make: Callable[..., Any], loss: Callable[..., Any]
) -> None:
    function, name = make(loss), f"{make.__name__}_of_{loss.__name__}"
    assert function.__name__ == function.__qualname__ == name
    assert make(loss) is function
    own = inspect.signature(loss).parameters.values()
    bare = [one.replace(annotation=one.empty) for one in own]
    signature = inspect.signature(function)
    assert list(signature.parameters.values()) == bare
    text = pydoc.plain(pydoc.render_doc(function))
    # Python 3.13 spreads a long signature over lines.
    assert f"{name}{signature}".replace(" ", "") in "".join(text.split())
    assert f"radient of ``{loss.__name__}``" in text
    assert f"``crossent.{make.__name__}``" in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", [grad, value_and_grad])
@pytest.mark.parametrize("loss", FORMS)
def test_what_is_returned_can_be_pickled(
    loss: Callable[..., Any], make: Callable[..., Any], protocol: int
) -> None:
    function = make(loss)
    assert pickle.loads(pickle.dumps(function, protocol)) is function  # noqa: S301


def test_what_is_returned_reaches_a_process_that_never_made_it() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (slope,) = pool.starmap(grad(sparse_logits), [([[0.0, 0.0]], [0])])
        ((value, _),) = pool.starmap(value_and_grad(sparse_logits), [([[0.0, 0.0]], [0])])
    assert slope.tolist() == [[-0.5, 0.5]]
    assert value == np.log(2)


@pytest.mark.parametrize("name", ["grad_of_nothing", "entropy_of_binary_cross_entropy", "gard"])
def test_other_names_are_not_found(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'crossent.gradients' has no .* '{name}'"):
        getattr(crossent.gradients, name)


# --- accuracy -------------------------------------------------------------------------------------

ROWS = {
    "tied": [1.0, 1.0, 1.0],
    "moderate": [0.3, -1.2, 40.1],
    "offset": [1e6, 1e6 + 12.25, 1e6 - 3.3],
    "certain": [350.7, 1.3, -0.7],
    "no longer normal": [0.7, 726.3, 2.0],
    "vanishing": [744.3, 0.3, 0.2],
}


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_error_in_ulp(row: list[float], label: int) -> None:
    powers = [mp.exp(mpf(v)) for v in row]
    p = [power / mp.fsum(powers) for power in powers]
    one_hot = np.eye(3)[label]
    for weight in (1.0, 37.0):
        true = [float(mpf(weight) * (p[k] - int(k == label))) for k in range(3)]
        for gradient in (
            grad(sparse_logits)(row, label, sample_weight=weight),
            grad(sparse_logits)(row, label, class_weight=weight),
            grad(dense_logits)(row, one_hot, sample_weight=weight),
            grad(dense_logits)(row, one_hot, class_weight=weight),
        ):
            # A probability that is subnormal itself is rounded before it is weighted.
            bound = np.maximum(BOUND * np.spacing(np.abs(true)), 5e-324 * weight)
            assert np.all(np.abs(gradient - true) <= bound)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_soft_gradient_is_accurate_in_its_larger_term(row: list[float]) -> None:
    powers = [mp.exp(mpf(v)) for v in row]
    p = [power / mp.fsum(powers) for power in powers]
    for target in ([0.5, 0.25, 0.25], [1 - 2.0**-40, 2.0**-41, 2.0**-41], [0.0, 1.0, 0.0]):
        gradient = grad(dense_logits)(row, target)
        for k in range(3):
            terms = p[k] * (1 - mpf(target[k])), mpf(target[k]) * (1 - p[k])
            spacing = mpf(float(np.spacing(float(max(terms)))))
            assert abs(mpf(float(gradient[k])) - (terms[0] - terms[1])) <= BOUND * spacing


def test_label_entry_is_minus_the_others() -> None:
    gradient = grad(sparse_logits)([[17.0, 0.0, 0.0]], [0]).astype(np.float32)
    single = grad(sparse_logits)(np.array([[17.0, 0.0, 0.0]], np.float32), [0])
    np.testing.assert_array_equal(single, gradient)
    assert single[0, 0] == -2 * single[0, 1] != 0


@pytest.mark.parametrize("z", [0.0, 0.3, -0.3, 37.9, -37.9, 727.7, -727.7])
def test_binary_error_in_ulp(z: float) -> None:
    p, rest = 1 / (1 + mp.exp(-mpf(z))), 1 / (1 + mp.exp(mpf(z)))
    for weight in (1.0, 37.0):
        true = [float(-mpf(weight) * rest), float(p)]
        gradient = grad(binary_logits)([z, z], [1, 0], pos_weight=weight, reduction="sum")
        assert np.all(np.abs(gradient - true) <= BOUND * np.spacing(np.abs(true)))


@pytest.mark.parametrize("smoothing", [0.0, 1e-9, 0.1])
@pytest.mark.parametrize("target", [0.0, 1e-3, 0.4999, 0.5001, 0.999, 1.0])
@pytest.mark.parametrize("p", [2.0**-60, 1e-3, 0.4998, 0.5002, 0.998, 1 - 2.0**-50])
def test_gradient_of_probabilities(p: float, target: float, smoothing: float) -> None:
    epsilon = mpf(smoothing)
    positive = (1 - epsilon) * mpf(target) + epsilon / 2
    terms = positive / mpf(p), (1 - positive) / (1 - mpf(p))
    gradient = grad(crossent.binary_cross_entropy)(p, target, label_smoothing=smoothing)
    true = terms[1] - terms[0]
    # Without smoothing p − t is exact but for its own rounding, and nothing is lost.
    scale = abs(true) if smoothing == 0 else max(terms)
    assert abs(mpf(float(gradient)) - true) <= BOUND * mpf(float(np.spacing(float(scale))))


def test_gradient_of_certain_probabilities() -> None:
    p, t = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.5, 0.5]
    gradient = grad(crossent.binary_cross_entropy)(p, t, reduction="sum")
    assert gradient.tolist() == [1.0, -1.0, -INF, INF, -INF, INF]
    dense = grad(crossent.categorical_cross_entropy)
    assert dense([[0.0, 1.0], [1.0, 0.0]], [[0, 1], [0, 1]], reduction="sum").tolist() == [
        [0, -1],
        [0, -INF],
    ]
    sparse = grad(crossent.sparse_categorical_cross_entropy)
    assert sparse([[0.0, 1.0], [1.0, 0.0]], [1, 1], reduction="sum").tolist() == [
        [0, -1],
        [0, -INF],
    ]


LIMITS: list[tuple[list[float], int, list[float]]] = [
    ([-INF, 0.0, 0.0], 1, [0, -0.5, 0.5]),
    ([-INF, 0.0], 0, [-1, 1]),
    ([INF, 0.0], 0, [0, 0]),
    ([INF, 0.0], 1, [1, -1]),
    ([INF, INF, 0.0], 2, [NAN, NAN, -1]),
    ([INF, INF, 0.0], 0, [NAN, NAN, 0]),
    ([-INF, -INF], 0, [NAN, NAN]),
    ([NAN, 0.0], 1, [NAN, NAN]),
]


@pytest.mark.parametrize(("z", "label", "slope"), LIMITS)
def test_limits(z: list[float], label: int, slope: list[float]) -> None:
    np.testing.assert_array_equal(grad(sparse_logits)(z, label), slope)
    np.testing.assert_array_equal(grad(dense_logits)(z, np.eye(len(z))[label]), slope)


@pytest.mark.parametrize("loss", [binary_logits, crossent.binary_focal_loss_with_logits])
def test_binary_limits(loss: Callable[..., Any]) -> None:
    z, t = [INF, -INF, INF, -INF, NAN], [1, 0, 0, 1, 1]
    gradient = grad(loss)(z, t, reduction="sum")
    np.testing.assert_array_equal(gradient, [0, 0, 1, -1, NAN])


def test_what_counts_nothing_has_no_slope() -> None:
    z = np.array([[0.0, 0.0], [NAN, 0.0], [0.0, -INF]])
    gradient = grad(sparse_logits)(z, [0, 5, 1], ignore_index=5, sample_weight=[1, 1, 0])
    np.testing.assert_array_equal(gradient, [[-0.25, 0.25], [0, 0], [0, 0]])


@pytest.mark.parametrize("ask", [grad, value_and_grad])
def test_mean_over_nothing_warns_and_has_no_slope(ask: Callable[..., Any]) -> None:
    with pytest.warns(RuntimeWarning, match="mean over nothing") as record:
        result = ask(sparse_logits)([[0.0, 1.0]], [3], ignore_index=3)
    assert record[0].filename == __file__
    gradient = result if ask is grad else result[1]
    assert gradient.tolist() == [[0.0, 0.0]]


def test_nothing_to_divide_by_leaves_no_slope() -> None:
    # Smoothing reaches the class that has a weight, but what is divided by is that of the label.
    options: dict[str, Any] = {"class_weight": [0, 1], "label_smoothing": 0.5}
    with pytest.warns(RuntimeWarning, match="mean over nothing"):
        slope = grad(sparse_logits)([[1.0, 0.0]], [0], reduction="weighted_mean", **options)
    assert slope.tolist() == [[0.0, 0.0]]
    assert grad(sparse_logits)([[1.0, 0.0]], [0], reduction="sum", **options).all()


def test_classes_without_weight_hide_what_is_not_finite() -> None:
    value, slope = value_and_grad(dense_logits)(
        [[NAN, 0.0]], [[1, 0]], class_weight=[0, 0], reduction="sum"
    )
    assert value == 0.0
    assert slope.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("rows", [3, 7000])
def test_nothing_is_not_negative(rows: int) -> None:
    z, weight = np.ones((rows, 10), np.float32), np.zeros(rows)
    slope = grad(sparse_logits)(z, np.zeros(rows, int), sample_weight=weight, reduction="sum")
    assert not np.signbit(slope).any()
    slope = grad(sparse_logits)([1.0, 2.0], 0, class_weight=[0, 1])
    assert not np.signbit(slope).any()


# --- check_grad ---------------------------------------------------------------------------------


def test_check_grad_finds_the_wrong_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    build: Any = FORMS[sparse_logits]

    def wrong_build(*args: Any, **options: Any) -> Any:
        form = build(*args, **options)

        def wrong(z: Any, gradient: bool, *targets: Any) -> Any:
            loss, slope, unit = form.kernel.careful(z, gradient, *targets)
            if gradient:
                slope[2, 1] += 0.5
            return loss, slope, unit

        return form._replace(kernel=Kernel(wrong))

    monkeypatch.setitem(FORMS, sparse_logits, wrong_build)
    check = check_grad(sparse_logits, LOGITS, LABELS, reduction="sum")
    assert check.error == pytest.approx(0.5, abs=1e-9)
    assert check.index == (2, 1)
    assert check.analytic == pytest.approx(-2 / 3 + 0.5, rel=1e-9, abs=0)
    assert check.numerical == pytest.approx(-2 / 3, rel=1e-9, abs=0)
    text = str(check)
    assert text == (
        "largest difference 0.5 at [2, 1]: closed form -0.166666667, "
        "numerical derivative -0.666666667"
    )


def test_check_grad_computes_in_float64() -> None:
    check = check_grad(sparse_logits, LOGITS.astype(np.float16), LABELS)
    assert 0 < check.error < 1e-11


def test_check_grad_of_one_number() -> None:
    check = check_grad(binary_logits, 0.3, 1)
    assert check.index == ()
    assert check.error < 1e-12


def test_check_grad_steps_inside_the_domain() -> None:
    # A fixed step would leave [0, 1]; at the ends themselves the class has no weight.
    p, t = [1e-9, 1 - 1e-9, 0.0, 1.0], [1, 0, 0, 1]
    check = check_grad(crossent.binary_cross_entropy, p, t, reduction="none")
    assert check.error < 1e-8 * 1e9
    check = check_grad(crossent.sparse_categorical_cross_entropy, [[1e-9, 1 - 1e-9]], [0])
    assert check.error < 1e-8 * 1e9


@pytest.mark.parametrize("value", [INF, NAN])
def test_check_grad_wants_a_finite_loss(value: float) -> None:
    with pytest.raises(ValueError, match=f"the loss is {value}, so it has no derivative"):
        check_grad(binary_logits, value, 0)
