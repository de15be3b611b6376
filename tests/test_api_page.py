"""The page of the package: whoever comes from another library gets the same numbers."""

import re
from typing import Any

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
import tensorflow as tf
import torch
import torch.nn.functional as F
from scipy.spatial import distance

import crossent
from tests.pages import find

rng = np.random.default_rng(3)
z, image = rng.normal(size=(6, 3)), rng.normal(size=(2, 3, 4, 5))
v = rng.normal(size=(6, 3))
q, t = crossent.softmax(rng.normal(size=(2, 6, 3)))
x = rng.normal(size=6)
ARRAYS: dict[str, Any] = {
    "z": z,
    "v": v,
    "y": np.array([0, 1, 2, 2, 1, 0]),
    "q": q,
    "t": t,
    "x": x,
    "p": crossent.sigmoid(x),
    "b": np.array([0.0, 1, 1, 0, 1, 0]),
    "w": np.array([0.5, 2, 3]),
    "s": np.array([1, 2, 0.5, 1, 3, 1]),
    "image": image,
    "mask": rng.integers(0, 3, size=(2, 4, 5)),
}
TENSORS = {name: torch.as_tensor(array) for name, array in ARRAYS.items()}
LIBRARIES: dict[str, dict[str, Any]] = {
    "F": {"F": F, **TENSORS},
    "torch": {"torch": torch, **TENSORS},
    "L": {"L": keras.losses, **ARRAYS},
    "tf": {"tf": tf, **ARRAYS},
    "metrics": {"metrics": sklearn.metrics, **ARRAYS},
    "stats": {"stats": scipy.stats, **ARRAYS},
    "special": {"special": scipy.special, **ARRAYS},
    "distance": {"distance": distance, **ARRAYS},
}
ROWS = re.findall(r"^\| `(.*\))` \| `(.*)` \|$", find("api").read_text("utf-8"), re.MULTILINE)


def test_each_loss_of_the_others_is_in_the_chooser() -> None:
    libraries = {theirs.partition(".")[0] for theirs, _ in ROWS}
    assert libraries == LIBRARIES.keys()
    named = {ours.partition("(")[0] for _, ours in ROWS}
    apart = {"check_grad", "grad", "value_and_grad", "get_num_threads", "set_num_threads"}
    no_peer = {"cross_entropy", "linear_cross_entropy", "log_softmax", "perplexity"}
    wrong = named ^ ({*crossent.__all__} - apart - no_peer)
    assert not wrong, f"a row in a table of book/lookup/api.md, or a name in no_peer here: {wrong}"


@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_both_columns_of_the_chooser_give_the_same_number(theirs: str, ours: str) -> None:
    their_value = eval(theirs, LIBRARIES[theirs.partition(".")[0]])  # noqa: S307
    our_value = eval(ours, vars(crossent) | ARRAYS)  # noqa: S307
    # Keras computes in float32, and clips probabilities at 1e-7.
    np.testing.assert_allclose(np.asarray(their_value), our_value, rtol=2e-6)
