"""The interactive figure of the chapter on weights."""

import numpy as np
import pytest

import crossent
from crossent import figures
from tests.drawing import readable

Pair = tuple[float, float]
# What the figure takes as given: a sample of class A has loss 0.5, one of class B loss 2.
PROBS = {"A": np.exp(-0.5), "B": np.exp(-2.0)}


def means(samples: tuple[int, int], weights: Pair) -> tuple[float, float, float]:
    """Return the sum, the mean and the weighted mean of samples with the losses of the figure."""
    true = np.repeat([PROBS["A"], PROBS["B"]], samples)
    probs, labels = np.stack([true, 1 - true], axis=-1), np.zeros(len(true), int)
    total, mean, weighted = (
        crossent.sparse_categorical_cross_entropy(
            probs, labels, sample_weight=np.repeat(weights, samples), reduction=reduction
        )
        for reduction in ("sum", "mean", "weighted_mean")
    )
    return float(total), float(mean), float(weighted)


def test_weighted_means_starts_where_it_is_told() -> None:
    spec = figures.weighted_means((5, 3), (1, 2.5)).spec
    assert [param["value"] for param in spec["params"]] == [5, 3, 1, 2.5]
    ranges = [(param["bind"]["min"], param["bind"]["max"]) for param in spec["params"]]
    assert ranges == [(0, 8)] * 2 + [(0, 6)] * 2
    total, mean, weighted = means((5, 3), (1, 2.5))
    assert f"at first {total:.2f}" in spec["description"]
    assert f"mean, {mean:.3f};" in spec["description"]
    assert f"weighted mean, {weighted:.3f}." in spec["description"]


@pytest.mark.parametrize(
    ("samples", "weights"),
    [((6, 2), (1, 3)), ((0, 1), (1, 5.5)), ((8, 8), (6, 6)), ((3, 2), (0, 0.5)), ((7, 0), (2, 1))],
)
def test_weighted_means_recomputes_when_a_slider_moves(
    samples: tuple[int, int], weights: Pair
) -> None:
    moved: dict[str, float] = {f"samples_{name}": n for name, n in zip("AB", samples, strict=True)}
    moved |= {f"weight_{name}": w for name, w in zip("AB", weights, strict=True)}
    texts = readable(figures.weighted_means((6, 2), (1, 3)).spec, moved)
    total, mean, weighted = means(samples, weights)
    mass = np.dot(samples, weights)
    assert f"sum of weight × loss = {total:.2f}" in texts
    assert f"mean {total:.2f} / {sum(samples)} = {mean:.3f}" in texts
    assert f"weighted mean {total:.2f} / {mass:g} = {weighted:.3f}" in texts


@pytest.mark.parametrize(("samples", "expected"), [((0, 0), 2), ((2, 0), 1)])
def test_weighted_means_over_nothing_is_nan(samples: tuple[int, int], expected: int) -> None:
    moved = {"samples_A": samples[0], "samples_B": samples[1], "weight_A": 0}
    texts = readable(figures.weighted_means((6, 2), (1, 3)).spec, moved)
    assert sum(text.endswith("/ 0 = nan") for text in texts) == expected
