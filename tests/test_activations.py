"""Softmax and its relatives: limits, axes, dtypes, and the accuracy of each path through a row."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import crossent
from crossent import _spans
from tests import bounds

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("softmax", np.float64)
INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(400):  # e^-800 is 10^-347
        yield


def exact(z: Any) -> list[Any]:
    return [mpf(float(value)) for value in np.ravel(z)]


def softmax(z: Any) -> list[float]:
    powers = [mp.exp(value) for value in exact(z)]
    return [float(power / mp.fsum(powers)) for power in powers]


def log_softmax(z: Any) -> list[float]:
    total = mp.log(mp.fsum(mp.exp(value) for value in exact(z)))
    return [float(value - total) for value in exact(z)]


def close(got: Any, true: list[float], ulps: float = BOUND) -> None:
    for one, other in zip(np.ravel(got), true, strict=True):
        with np.errstate(all="ignore"):
            spacing = float(np.spacing(abs(one.dtype.type(other))))
        # half a unit more, for the rounding of the true value to a float64
        assert one == other or abs(mpf(float(one)) - mpf(other)) <= (ulps + 0.5) * mpf(spacing)


ROWS = {
    "small": [0.1, -0.3, 0.2],
    "tied": [1.5, 1.5, 1.5],
    "offset": [1e6 + 0.1, 1e6, 1e6 - 3.3],
    "just moderate": [300.0, -300.0, 299.7],
    "not moderate": [300.1, -300.0, 299.7],
    "not moderate below": [300.0, -300.1, 299.7],
    "certain": [40.0, 0.0, 1.0],
    "last is certain": [0.3, -0.1, 350.7],
    "no longer normal": [715.3, 0.0, 1.7],
    "hardly anything": [744.9, 0.3, 0.0],
    "nothing": [801.0, 0.0, 0.0],
    "with an impossible class": [1.0, -INF, 2.0],
    "the best is zero": [-700.3, 0.0, -710.0],
    "far apart, with an offset": [-1e6, -1e6 - 0.7, -1e6 + 610.1],
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_each_path_through_a_row(row: list[float]) -> None:
    # mpmath: the definition, in 400 digits, of the very floats
    close(crossent.softmax(row), softmax(row))
    close(crossent.log_softmax(row), log_softmax(row))
    total = float(mp.log(mp.fsum(mp.exp(value) for value in exact(row))))
    top = max(abs(total), abs(max(row)))
    assert abs(float(crossent.logsumexp(row)) - total) <= BOUND * np.spacing(top)


def test_rows_do_not_influence_each_other() -> None:
    rows = np.array([*ROWS.values(), [NAN, 0.0, 1.0], [INF, 0.0, 1.0]])
    for function in (crossent.softmax, crossent.log_softmax, crossent.logsumexp):
        alone = [function(row) for row in rows]
        np.testing.assert_array_equal(function(rows), alone)


LIMITS: list[tuple[list[float], list[float], list[float], float]] = [
    # logits, probabilities, their logarithms, logsumexp
    ([INF, 0.0, 900.0], [1, 0, 0], [0, -INF, -INF], INF),
    ([0.0, -INF, INF], [0, 0, 1], [-INF, -INF, 0], INF),
    ([INF, 0.0, INF], [NAN, 0, NAN], [NAN, -INF, NAN], INF),
    ([0.0, INF, INF], [0, NAN, NAN], [-INF, NAN, NAN], INF),
    ([INF, INF], [NAN, NAN], [NAN, NAN], INF),
    ([-INF, 0.0], [0, 1], [-INF, 0], 0.0),
    ([-INF, -INF], [NAN, NAN], [NAN, NAN], -INF),
    ([NAN, 0.0], [NAN, NAN], [NAN, NAN], NAN),
    ([NAN, -INF], [NAN, NAN], [NAN, NAN], NAN),
    ([NAN, INF, INF], [NAN, NAN, NAN], [NAN, NAN, NAN], NAN),
    ([5.0], [1], [0], 5.0),
    ([INF], [1], [0], INF),
]


@pytest.mark.parametrize(("z", "p", "log_p", "total"), LIMITS)
def test_limits(z: list[float], p: list[float], log_p: list[float], total: float) -> None:
    np.testing.assert_array_equal(crossent.softmax(z), p)
    np.testing.assert_array_equal(crossent.log_softmax(z), log_p)
    np.testing.assert_array_equal(crossent.logsumexp(z), total)


def test_infinite_rows_are_limits_one_by_one() -> None:
    rows = [[INF, 0.0], [0.0, INF], [NAN, 0.0], [INF, -INF]]
    np.testing.assert_array_equal(crossent.softmax(rows), [[1, 0], [0, 1], [NAN, NAN], [1, 0]])


def test_certainty_is_positive_zero() -> None:
    assert not np.signbit(crossent.log_softmax([900.0, 0.0])[0])
    assert not np.signbit(crossent.log_sigmoid(900.0))


@pytest.mark.parametrize("function", [crossent.softmax, crossent.log_softmax])
def test_axis(function: Callable[..., Any]) -> None:
    z = np.arange(24.0).reshape(2, 3, 4) ** 1.5
    for axis in (0, 1, 2, -1, -2, -3):
        moved = np.moveaxis(z, axis, -1)
        np.testing.assert_array_equal(
            np.moveaxis(function(z, axis=axis), axis, -1),
            [[function(row) for row in rows] for rows in moved],
        )


AXES: list[Any] = [(0,), (1, 2), (2, 0), (-1, 0), (0, 1, 2), (), None]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("function", [crossent.softmax, crossent.log_softmax])
def test_over_several_axes(function: Callable[..., Any], axis: Any) -> None:
    z = np.random.default_rng(0).normal(size=(2, 3, 4)) * 10
    axes = (0, 1, 2) if axis is None else tuple(one % 3 for one in axis)
    result = function(z, axis=axis)
    assert result.shape == z.shape
    kept = [one for one in range(3) if one not in axes]
    for index in np.ndindex(*(z.shape[one] for one in kept)):
        place: list[Any] = [slice(None)] * 3
        for one, at in zip(kept, index, strict=True):
            place[one] = at
        # The order of the classes moves the last bit of their sum.
        row = np.ravel(z[tuple(place)])
        np.testing.assert_allclose(np.ravel(result[tuple(place)]), function(row), rtol=4 * ULP)


def test_over_all_axes_of_what_has_none() -> None:
    assert crossent.softmax(1000.0, axis=None) == 1.0
    assert crossent.log_softmax(-3.0, axis=None) == 0.0
    assert crossent.softmax(np.zeros((2, 0, 3)), axis=(0, 2)).shape == (2, 0, 3)


def test_infinite_logits_over_axes() -> None:
    z = np.array([[[INF, 0.0], [0.0, -INF]], [[0.0, 0.0], [-INF, -INF]]])
    np.testing.assert_array_equal(
        crossent.softmax(z, axis=(1, 2)), [[[1, 0], [0, 0]], [[0.5, 0.5], [0, 0]]]
    )
    assert crossent.log_softmax(z, axis=None)[0, 0, 0] == 0.0


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, -1, (0,), (1, 2), (2, 0), (0, 1, 2), (), None])
def test_logsumexp_over_axes(axis: Any, keepdims: bool) -> None:
    z = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    reduced = axis if axis != () else ()
    naive = np.log(np.sum(np.exp(z), axis=reduced, keepdims=keepdims))
    result = crossent.logsumexp(z, axis=axis, keepdims=keepdims)
    assert result.shape == naive.shape
    np.testing.assert_allclose(result, naive, rtol=0, atol=8 * np.spacing(np.abs(naive).max()))


def test_logsumexp_of_a_number() -> None:
    assert crossent.logsumexp(3.0, axis=None) == 3.0
    assert crossent.logsumexp([[2.0]], keepdims=True).shape == (1, 1)
    assert isinstance(crossent.logsumexp([1.0, 2.0]), np.float64)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept_and_rounded_once(dtype: Any) -> None:
    z = np.array([3.3, -7.1, 0.2], dtype)
    for function, true in ((crossent.softmax, softmax(z)), (crossent.log_softmax, log_softmax(z))):
        result = function(z)
        assert result.dtype == dtype
        close(result, true, BOUND if dtype == np.float64 else 0.01)
    assert crossent.logsumexp(z).dtype == dtype
    assert crossent.sigmoid(z).dtype == dtype
    assert crossent.softmax([1, 2]).dtype == np.float64


def test_no_rows() -> None:
    assert crossent.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert crossent.logsumexp(np.zeros((2, 0, 3), np.float32)).shape == (2, 0)
    assert crossent.sigmoid([]).shape == (0,)


def test_more_rows_than_a_tile_holds() -> None:
    z = np.random.default_rng(0).normal(size=(_spans.SPAN // 8 + 3, 16)) * 100
    parts = [crossent.softmax(part) for part in np.array_split(z, 7)]
    np.testing.assert_array_equal(crossent.softmax(z), np.concatenate(parts))


@pytest.mark.parametrize("z", [0.0, 1e-9, 0.5, -0.5, 3.0, -3.0, 40.0, -40.0, 745.0, -745.0, -800.0])
def test_sigmoid(z: float) -> None:
    p = 1 / (1 + mp.exp(-mpf(z)))
    close(crossent.sigmoid(z), [float(p)])
    close(crossent.log_sigmoid(z), [float(mp.log(p))])
    assert isinstance(crossent.sigmoid(z), np.float64)
    assert isinstance(crossent.log_sigmoid(z), np.float64)


def test_sigmoid_of_what_is_not_finite() -> None:
    np.testing.assert_array_equal(crossent.sigmoid([-INF, INF, NAN]), [0, 1, NAN])
    np.testing.assert_array_equal(crossent.log_sigmoid([-INF, INF, NAN]), [-INF, 0, NAN])


def test_sigmoid_is_elementwise() -> None:
    z = np.array([[0.0, -1.0, 2.0], [30.0, -40.0, 0.1]])
    assert crossent.sigmoid(z).tolist() == [[crossent.sigmoid(v) for v in row] for row in z]
    assert crossent.log_sigmoid(z.T).shape == (3, 2)
