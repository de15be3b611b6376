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
    """The functions that the hard cases ask, found from the first case of each family."""
    short = [
        replace(family, predictions=family.predictions[:1], targets=family.targets[:1])
        for family in hard_cases.families()
    ]
    return {check.function for family in short for check in hard_cases.checks(family, np.float64)}


# Where a loss has to be, and who is there
TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "LOSSES in tests/loss_table.py": lambda: [loss.name for loss in LOSSES],
    "OF_LOSS in tests/truth.py": lambda: truth.OF_LOSS,
    "a function of _CHECKS in tests/hard_cases.py": asked_in_hard_cases,
    "a peer in tests/peers.py": lambda: [name for peer in peers.PEERS for name in peer.entries],
    "CALLS in tests/test_gradients.py": lambda: [
        call[0].__name__ for call in test_gradients.CALLS.values()
    ],
    "LOSSES in tests/test_public_api.py": lambda: [
        loss.__name__ for loss, *_ in test_public_api.LOSSES
    ],
    "__all__ in crossent/__init__.py": lambda: crossent.__all__,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_registered_loss_is_in_every_table(table: str) -> None:
    known = set(TABLES[table]())
    for name in (loss.__name__ for loss in FORMS):
        if name in APART and "tests/" in table:
            assert name in APART[name].read_text(encoding="utf-8")
        else:
            assert name in known, f"{name} is registered as a loss: add it to {table}"
