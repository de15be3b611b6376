"""Sums: correctly rounded ones, and those in blocks."""

import math
from typing import Any

import numpy as np
import pytest

from crossent import _sums

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("terms", [1, 2, 10, 127, 1000, 100_000])
def test_row_sums_are_correctly_rounded(terms: int) -> None:
    random = np.random.default_rng(terms)
    rows = np.stack(
        [
            np.full(terms, 0.7),
            np.full(terms, 0.7e-20),
            np.exp(random.normal(size=terms) * 10),
            np.exp(random.uniform(-600, 600, terms)),
            np.zeros(terms),
            np.full(terms, 5e-324),
        ]
    )
    np.testing.assert_array_equal(_sums.row_sums(rows), [math.fsum(row) for row in rows])


def test_row_sums_of_what_is_not_finite() -> None:
    with np.errstate(all="ignore"):
        sums = _sums.row_sums(np.array([[1.0, INF], [NAN, 1.0], [1e308, 1e308]]))
    np.testing.assert_array_equal(sums, [INF, NAN, INF])
    assert _sums.row_sums(np.zeros((2, 0))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("terms", [1, 31, 32, 33, 511, 512, 513, 3000, 40_000])
def test_block_sums_of_equal_terms_do_not_drift(terms: int, dtype: Any) -> None:
    rows = np.full((2, terms), 0.1, dtype)
    true = np.multiply(rows[0, 0], terms, dtype=np.longdouble)
    # A rounding for every eighth or sixteenth term of a block, and those of the blocks' sums.
    sums = _sums.block_sums(rows)
    assert (np.abs(sums - true) <= 4 * np.finfo(dtype).eps * true).all()


def test_block_sums_take_every_term() -> None:
    powers = 2.0 ** np.arange(40)
    for terms in (40, 512 + 40, 40 * 512 + 40):
        rows = np.zeros((3, terms))
        rows[1, :40], rows[2, -40:] = powers, powers
        np.testing.assert_array_equal(_sums.block_sums(rows), [0, powers.sum(), powers.sum()])


def test_total() -> None:
    assert _sums.total([0.1]) == 0.1
    assert _sums.total([0.1] * 10) == 1.0
    assert _sums.total(np.full(1000, 0.1)) == 100.0
    assert _sums.total([]) == 0.0
