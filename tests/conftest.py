"""Hypothesis: the same inputs in every CI run, new ones on a laptop. As many threads as wanted."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import crossent

settings.register_profile("laptop", deadline=None, max_examples=30)
settings.register_profile("ci", parent=settings.get_profile("laptop"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Share large computations between two threads, however many processors there are."""
    yield from threads(2)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Share nothing, however many processors there are."""
    yield from threads(1)


def threads(number: int) -> Iterator[None]:
    before = crossent.get_num_threads()
    crossent.set_num_threads(number)
    yield
    crossent.set_num_threads(before)
