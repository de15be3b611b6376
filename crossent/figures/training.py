"""The figure of the chapter on training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crossent.figures.style import PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.losses import sparse_categorical_cross_entropy_with_logits

_BINS = 20  # of the probability


def training_epochs(
    epochs: Sequence[int], train_loss: ArrayLike, logits: ArrayLike, labels: ArrayLike, epoch: int
) -> VegaLite:
    """Show the losses of a training, and which samples the validation loss comes from.

    A slider picks the epoch. Above are the training and the validation loss. Below, the samples
    are sorted by the probability that their true class gets; a bar is as high as what its samples
    add to the validation loss, in two colors: samples named right and named wrong.

    Parameters
    ----------
    epochs : sequence of int
        The epochs that the slider stops at, equally spaced.
    train_loss : array_like, shape (S,)
        The training loss at each of these S epochs.
    logits : array_like, shape (S, N, C)
        The logits of the N validation samples at each of them.
    labels : array_like, shape (N,)
        The classes of the validation samples.
    epoch : int
        The epoch at first, one of ``epochs``.

    Returns
    -------
    VegaLite
        The figure.
    """
    z, y = np.asarray(logits), np.asarray(labels)
    stops = [
        {"epoch": e, "train": round(float(loss), 3)} | _numbers(scores, y)
        for e, loss, scores in zip(epochs, np.asarray(train_loss), z, strict=True)
    ]
    bars = [bar for e, scores in zip(epochs, z, strict=True) for bar in _bars(e, scores, y)]
    first = next(stop for stop in stops if stop["epoch"] == epoch)
    here = {"filter": "datum.epoch == epoch"}
    dearest = max(stop[name] for stop in stops for name, _ in _CURVES)
    highest = max(bar["high"] for bar in bars)
    return VegaLite(
        {
            "description": (
                f"Two curves against the epoch, from {epochs[0]} to {epochs[-1]}: the training"
                " loss and the validation loss. Below are bars, one for each twentieth of the"
                " probability that the model gives to the true class: a bar is as high as what"
                " its validation samples add to the loss, in one color for samples named right"
                " and in another for those named wrong. A slider picks the epoch: at first"
                f" {epoch}, with training loss {first['train']:.3f}, validation loss"
                f" {first['valid']:.3f}, accuracy {first['accuracy']:.1%}; the samples named"
                f" wrong make {first['share']:.0%} of the validation loss."
            ),
            "height": 440,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("epoch", "Epoch", epoch, epochs[-1], epochs[1] - epochs[0], epochs[0])
            ],
            "resolve": {"scale": {"x": "independent", "y": "independent"}},
            "layer": [
                {
                    "data": {"values": stops},
                    "encoding": {
                        "x": _scaled([0, epochs[-1]], title="epoch", orient="top", tickCount=6),
                        "y": _scaled(
                            [0, dearest], [150, 8], title="loss", titleAnchor="end", orient="left"
                        ),
                    },
                    "layer": [
                        *(_curve(name, color) for name, color in _CURVES),
                        *(_dot(name, color, here) for name, color in _CURVES),
                    ],
                },
                {
                    "data": {"values": bars},
                    "transform": [here, calculate("right", f"datum.left + {0.92 / _BINS}")],
                    "mark": {"type": "rect"},
                    "encoding": {
                        "x": _scaled([0, 1], title="probability given to the true class")
                        | {"field": "left"},
                        "x2": {"field": "right"},
                        "y": _scaled([0, highest], [440, 290], title="adds to loss", orient="left")
                        | {"field": "low"},
                        "y2": {"field": "high"},
                        "color": {
                            "field": "named",
                            "scale": {"domain": ["right", "wrong"], "range": [*PALETTE[2:]]},
                            "legend": None,
                        },
                    },
                },
                *_texts(stops, here),
            ],
        }
    )


_CURVES = (("train", PALETTE[0]), ("valid", PALETTE[1]))


def _numbers(scores: Any, labels: Any) -> dict[str, float]:
    """Return the loss, the accuracy, and what part of the loss the samples named wrong make."""
    each = sparse_categorical_cross_entropy_with_logits(scores, labels, reduction="none")
    wrong = scores.argmax(axis=-1) != labels
    return {
        "valid": round(float(each.mean()), 3),
        "accuracy": round(float(1 - wrong.mean()), 4),
        "share": round(float(each[wrong].sum() / each.sum()), 4),
    }


def _bars(epoch: int, scores: Any, labels: Any) -> list[dict[str, Any]]:
    """Sum the losses in each bin of probability, of samples named wrong on top of the others."""
    each = sparse_categorical_cross_entropy_with_logits(scores, labels, reduction="none")
    bins = np.minimum((np.exp(-each) * _BINS).astype(int), _BINS - 1)
    wrong = scores.argmax(axis=-1) != labels
    bars = []
    for index in range(_BINS):
        low = 0.0
        for named, members in (("right", ~wrong), ("wrong", wrong)):
            high = round(low + float(each[members & (bins == index)].sum()) / len(each), 4)
            if high > low:
                bar = {"epoch": epoch, "named": named, "left": index / _BINS}
                bars.append(bar | {"low": low, "high": high})
            low = high
    return bars


def _scaled(domain: list[float], pixels: list[float] | None = None, **axis: Any) -> dict[str, Any]:
    scale = {"domain": domain} | ({"range": pixels, "nice": True} if pixels else {})
    axis = {"grid": False, "tickCount": 5, "titleAnchor": "start"} | axis
    return {"type": "quantitative", "scale": scale, "axis": axis}


def _curve(name: str, color: str) -> dict[str, Any]:
    return {
        "mark": {"type": "line", "strokeWidth": 3, "color": color},
        "encoding": {"x": {"field": "epoch"}, "y": {"field": name}},
    }


def _dot(name: str, color: str, here: dict[str, str]) -> dict[str, Any]:
    return {
        "transform": [here],
        "mark": {"type": "point", "filled": True, "size": 130, "color": color, "opacity": 1},
        "encoding": {"x": {"field": "epoch"}, "y": {"field": name}},
    }


def _texts(stops: list[dict[str, Any]], here: dict[str, str]) -> list[dict[str, Any]]:
    """Write the numbers between the curves and the histogram."""
    lines = [
        ("'epoch ' + epoch", None),
        ("'training loss ' + format(datum.train, '.3f')", PALETTE[0]),
        ("'validation loss ' + format(datum.valid, '.3f')", PALETTE[1]),
        ("format(datum.accuracy, '.1%') + ' are named right'", PALETTE[2]),
        (
            "'the others make ' + format(datum.share, '.0%') + ' of that loss'",
            PALETTE[3],
        ),
    ]
    return [
        {
            "data": {"values": stops},
            "transform": [here, calculate("text", content)],
            "mark": {"type": "text", "align": "left", "fontWeight": "bold"}
            | ({"color": color} if color else {}),
            "encoding": {
                "x": {"value": 4},
                "y": {"value": 176 + 21 * row},
                "text": {"field": "text"},
            },
        }
        for row, (content, color) in enumerate(lines)
    ]
