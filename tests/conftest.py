"""Hypothesis: the same inputs in every CI run, new ones on a laptop. As many threads as wanted."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import crossent

settings.register_profile("laptop", deadline=None, max_examples=30)
settings.register_profile("ci", parent=settings.get_profile("laptop"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


# What compares, searches or reads at length; coverage, which is complete without it, would take as
# much time again.
UNMEASURED = {"test_accuracy", "test_agreement", "test_checks", "test_notebooks", "test_site"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in UNMEASURED:
            item.add_marker(pytest.mark.no_cover)


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
