"""The tables that the tests run over leave no loss out."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import crossent
from crossent._forms import FORMS
from tests import hard_cases, peers, test_gradients, test_public_api, truth
from tests.loss_table import LOSSES

# What has arguments of its own, and its own file.
APART = {
    "linear_cross_entropy": Path(__file__).with_name("test_linear.py"),
    "kl_divergence_with_logits": Path(__file__).with_name("test_information.py"),
}


def asked_in_hard_cases() -> set[str]:
    """The functions that the hard cases ask, found from one case of each sort of family."""
    sorts = {(family.kind, *sorted(family.options)): family for family in hard_cases.families()}
    short = [
        replace(family, predictions=family.predictions[:1], targets=family.targets[:1])
        for family in sorts.values()
    ]
    return {check.function for family in short for check in hard_cases.checks(family, np.float64)}


TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "tests/loss_table.py": lambda: [loss.name for loss in LOSSES],
    "tests/truth.py": lambda: truth.OF_LOSS,
    "tests/hard_cases.py": asked_in_hard_cases,
    "tests/peers.py": lambda: [name for peer in peers.PEERS for name in peer.entries],
    "tests/test_gradients.py": lambda: [call[0].__name__ for call in test_gradients.CALLS.values()],
    "tests/test_public_api.py": lambda: [loss.__name__ for loss, *_ in test_public_api.LOSSES],
    "crossent/__init__.py": lambda: crossent.__all__,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_registered_loss_is_in_every_table(table: str) -> None:
    known = set(TABLES[table]())
    for name in (loss.__name__ for loss in FORMS):
        if name in APART and table.startswith("tests/"):
            assert name in APART[name].read_text(encoding="utf-8")
        else:
            assert name in known, f"{name} is registered as a loss, but {table} leaves it out"
