"""The figure of the chapter on training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GREEN, ORANGE, PINK
from crossent.losses import sparse_categorical_cross_entropy_with_logits

_BINS = 20  # of the probability


def training_epochs(
    epochs: Sequence[int], train_loss: ArrayLike, logits: ArrayLike, labels: ArrayLike, epoch: int
) -> vega.VegaLite:
    """Show the losses of a training, and which samples the validation loss comes from.

    A slider picks the epoch. Above are the training and the validation loss. Below, the samples
    are sorted by the probability that their true class gets; a bar is as high as what its samples
    add to the validation loss, in two colors: samples named right and named wrong. ``train_loss``,
    of shape (S,), is the training loss at the S ``epochs``, equally spaced; ``logits``, of shape
    (S, N, C), are those of the validation samples, and ``labels``, of shape (N,), their classes.
    The slider stands at ``epoch`` at first.
    """
    classes, stops, bars = np.asarray(labels), [], []
    for stop, train, scores in zip(epochs, np.asarray(train_loss), np.asarray(logits), strict=True):
        losses = sparse_categorical_cross_entropy_with_logits(scores, classes, reduction="none")
        wrong = scores.argmax(axis=-1) != classes
        share = losses[wrong].sum() / losses.sum()
        numbers = {"train": (train, 3), "valid": (losses.mean(), 3), "share": (share, 4)}
        numbers["accuracy"] = (1 - wrong.mean(), 6)
        stops.append({"epoch": stop} | {k: round(float(x), n) for k, (x, n) in numbers.items()})
        bars += [{"epoch": stop} | bar for bar in _bars(losses, wrong)]
    here = "datum.epoch == epoch"
    first = next(stop for stop in stops if stop["epoch"] == epoch)
    dearest = max(stop[name] for stop in stops for name, _ in _CURVES)
    highest = max(bar["high"] for bar in bars)
    right = {"right": f"datum.left + {0.92 / _BINS}"}
    bar = {"x": "left", "x2": "right", "y": "low", "y2": "high"}
    color = vega.colors("named", {"right": GREEN, "wrong": PINK})
    left: vega.Json = {"orient": "left", "tickCount": 5}
    start: vega.Json = {"titleAnchor": "start"}
    kinds: list[tuple[str, vega.Json]] = [("line", {}), ("point", {"only": here, "size": 130})]
    curves = [
        vega.layer(kind, x="epoch", y=name, color=tint, **look)
        for kind, look in kinds
        for name, tint in _CURVES
    ]
    curve_axes = {
        "x": vega.axis((0, epochs[-1]), "epoch", orient="top", tickCount=6, **start),
        "y": vega.axis((0, dearest), "loss", pixels=(150, 8), titleAnchor="end", **left),
    }
    histogram = vega.layer("rect", {"values": bars}, right, only=here, color=color, **bar)
    bar_axes = {
        "x": vega.axis((0, 1), "probability given to the true class", tickCount=5, **start),
        "y": vega.axis((0, highest), "adds to loss", pixels=(440, 290), **left, **start),
    }
    lines: list[texts.Cell] = [
        "epoch {epoch}",
        ("training loss {datum.train:.3f}", {"color": BLUE}),
        ("validation loss {datum.valid:.3f}", {"color": ORANGE}),
        ("{datum.accuracy:.1%} are named right", {"color": GREEN}),
        ("the others make {datum.share:.0%} of that loss", {"color": PINK}),
    ]
    return vega.figure(
        f"Curves of the training loss and the validation loss against the epoch, from {epochs[0]}"
        f" to {epochs[-1]}, with dots at epoch {epoch}: training loss {first['train']:.3f},"
        f" validation loss {first['valid']:.3f}; {first['accuracy']:.1%} are named right,"
        f" the others make {first['share']:.0%} of that loss. Below are bars along the probability"
        " that the model gives to the true class, as high as what the samples there add to the"
        " validation loss, in one color for those named right and in another for those named"
        " wrong.",
        440,
        {"epoch": vega.slider("Epoch", epoch, epochs[0], epochs[-1], epochs[1] - epochs[0])},
        [
            {"encoding": curve_axes, "layer": curves},
            {"encoding": bar_axes, "layer": [histogram]},
            *texts.lines(*lines, x=4, first=176, step=21, data=None, only=here),
        ],
        data={"values": stops},
        resolve={"scale": {"x": "independent", "y": "independent"}},
    )


_CURVES = (("train", BLUE), ("valid", ORANGE))


def _bars(losses: Any, wrong: Any) -> list[vega.Json]:
    """Sum the losses in each bin of probability, of samples named wrong on top of the others."""
    bins = np.minimum((np.exp(-losses) * _BINS).astype(int), _BINS - 1)
    bars = []
    for index in range(_BINS):
        low = 0.0
        for named, members in (("right", ~wrong), ("wrong", wrong)):
            high = round(low + float(losses[members & (bins == index)].sum()) / len(losses), 4)
            if high > low:
                bars.append({"named": named, "left": index / _BINS, "low": low, "high": high})
            low = high
    return bars
