"""The figure of the chapter on the gradient."""

from typing import Any

import numpy as np

from crossent.activations import softmax
from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.gradients import value_and_grad
from crossent.losses import sparse_categorical_cross_entropy_with_logits

_CLASSES = ("cat", "dog", "owl")
_HEIGHT = 492
_BASE = 352  # y of the triangle's base, in pixels from the top
_GRID = 10  # arrows stand where the probabilities are multiples of a tenth
_ONE: dict[str, Any] = {"values": [{}]}


def simplex_gradient(logits: tuple[float, float, float], label: int = 0) -> VegaLite:
    """Show the gradient of cross-entropy in the triangle of all predictions for three classes.

    A dashed arrow is the negative gradient, from the prediction to the label's corner. A curve is
    the way of the prediction as the logits follow it, small arrows are that way's direction
    elsewhere. Sliders set the logits, a menu the label.

    Parameters
    ----------
    logits : tuple of three float
        Where the sliders of the logits stand at first, -4 to 4.
    label : int
        The true class at first, 0 to 2.

    Returns
    -------
    VegaLite
        The figure.
    """
    evaluate = value_and_grad(sparse_categorical_cross_entropy_with_logits)
    loss, gradient = evaluate(np.asarray(logits, dtype=float), label)
    probs = softmax(np.asarray(logits, dtype=float))
    shown = ", ".join(f"{name} {p:.3f}" for name, p in zip(_CLASSES, probs, strict=True))
    slopes = ", ".join(f"{name} {g:.3f}" for name, g in zip(_CLASSES, gradient, strict=True))
    return VegaLite(
        {
            "description": (
                "A triangle whose corners are the classes cat, dog and owl; each point in it is a"
                " prediction. A dashed arrow, the negative gradient, runs straight from the"
                " prediction to the corner of the label. A curve shows how the prediction moves"
                " as the logits follow the gradient: to the same corner, but on a bend. Small"
                f" arrows show its direction elsewhere. At first the probabilities are {shown},"
                f" the label is {_CLASSES[label]}, the loss is {loss:.3f} and the gradient"
                f" {slopes}. Three sliders set the logits, a menu the label."
            ),
            "height": _HEIGHT,
            "view": {"stroke": None},
            "config": CONFIG | {"text": {"fontSize": 13, "baseline": "middle"}},
            "params": [
                *(
                    slider(f"logit_{name}", f"Logit of {name}", logit, 4, 0.1, -4)
                    for name, logit in zip(_CLASSES, logits, strict=True)
                ),
                {
                    "name": "label",
                    "value": _CLASSES[label],
                    "bind": {"input": "select", "options": [*_CLASSES], "name": "Label"},
                },
                # The figure's own pixels: with an axis for each direction, the triangle would lean.
                {"name": "side", "expr": "min(width - 30, 340)"},
                {"name": "half", "expr": "min(width / 2 - 2, 150)"},  # of the table's width
                {"name": "total", "expr": " + ".join(f"exp(logit_{name})" for name in _CLASSES)},
                *({"name": f"p_{n}", "expr": f"exp(logit_{n}) / total"} for n in _CLASSES),
                *({"name": f"y_{n}", "expr": f"label == '{n}' ? 1 : 0"} for n in _CLASSES),
            ],
            "encoding": {
                "x": {
                    "field": "x",
                    "type": "quantitative",
                    "scale": {"domain": [0, {"expr": "width"}], "nice": False, "zero": False},
                    "axis": _base(),
                },
                "y": {"field": "y", "type": "quantitative", "scale": None, "axis": None},
            },
            "layer": [*_triangle(), *_flow(), *_path(), *_arrow(), *_captions(), *_table()],
        }
    )


def _base() -> dict[str, Any]:
    """Return an axis that names the two corners at the base."""
    return {
        "title": None,
        "offset": _BASE - _HEIGHT,
        "values": {"expr": "[width / 2 - side / 2, width / 2 + side / 2]"},
        "labelExpr": f"datum.index == 0 ? '{_CLASSES[0]}' : '{_CLASSES[1]}'",
        "labelFontSize": 14,
        "labelFontWeight": "bold",
        "labelPadding": 8,
        "domain": False,
        "grid": False,
        "ticks": False,
    }


def _place(probs: str, suffix: str = "") -> list[dict[str, Any]]:
    """Return transforms that add the pixels of a prediction; ``{}`` in ``probs`` is the class.

    No later transform may write to a field again: as the width changes, Vega would add to the new.
    """
    cat, dog, owl = (probs.format(name) for name in _CLASSES)
    return [
        calculate(f"x{suffix}", f"width / 2 + side * ({dog} - ({cat})) / 2"),
        calculate(f"y{suffix}", f"{_BASE} - side * sqrt(3) / 2 * ({owl})"),
    ]


def _triangle() -> list[dict[str, Any]]:
    """Draw the triangle and the name of its top."""
    corners = [{name: int(name == at) for name in _CLASSES} | {"at": at} for at in _CLASSES]
    return [
        {
            "data": {"values": [{**corners[i % 3], "order": i} for i in range(4)]},
            "transform": _place("datum.{}"),
            "mark": {"type": "line", "color": GRAY, "strokeWidth": 1.5},
            "encoding": {"order": {"field": "order"}},
        },
        {
            "data": {"values": corners[2:]},
            "transform": _place("datum.{}"),
            "mark": {"type": "text", "dy": -13, "fontSize": 14, "fontWeight": "bold"},
            "encoding": {"text": {"field": "at"}},
        },
    ]


def _flow() -> list[dict[str, Any]]:
    """Draw the direction in which a step on the logits moves the prediction, on a grid."""
    inner = range(1, _GRID)
    grid = [
        {"cat": i / _GRID, "dog": j / _GRID, "owl": (_GRID - i - j) / _GRID}
        for i in inner
        for j in inner
        if i + j < _GRID
    ]
    # The Jacobian of softmax times the negative gradient r = y - p: p_k (r_k - p · r).
    mean = " + ".join(f"datum.{name} * (y_{name} - datum.{name})" for name in _CLASSES)
    return [
        {
            "data": {"values": grid},
            "transform": [
                calculate("mean", mean),
                *(
                    calculate(f"d_{n}", f"datum.{n} * (y_{n} - datum.{n} - datum.mean)")
                    for n in _CLASSES
                ),
                *_place("datum.{}"),
                *_place("(datum.{0} + datum.d_{0})", "2"),
                calculate("dx", "datum.x2 - datum.x"),
                calculate("dy", "datum.y2 - datum.y"),
                calculate("angle", "atan2(datum.dx, -datum.dy) * 180 / PI"),
                calculate("size", "60 + 5 * sqrt(datum.dx * datum.dx + datum.dy * datum.dy)"),
            ],
            "mark": {"type": "point", "shape": "arrow", "filled": True, "color": GRAY},
            "encoding": {
                "angle": {"field": "angle", "type": "quantitative", "scale": None},
                "size": {"field": "size", "type": "quantitative", "scale": None},
                "opacity": {"value": 0.75},
            },
        }
    ]


def _path() -> list[dict[str, Any]]:
    """Draw the way of the prediction as the logits flow down the gradient.

    The flow dz_j/dt = -p_j of a wrong class raises exp(-z_j) at the rate 1 / total, the same for
    all; and the sum of the logits stays. So the way has a closed form with one parameter s.
    """
    raised = {name: f"log(exp(-logit_{name}) + datum.s)" for name in _CLASSES}
    return [
        {
            "data": {"sequence": {"start": -12, "stop": 9, "step": 0.1, "as": "log_s"}},
            "transform": [
                calculate("s", "exp(datum.log_s)"),
                *(calculate(f"a_{name}", a) for name, a in raised.items()),
                calculate(
                    "z_label",
                    " + ".join(f"logit_{n} + (1 - y_{n}) * datum.a_{n}" for n in _CLASSES),
                ),
                *(
                    calculate(f"e_{n}", f"exp(y_{n} == 1 ? datum.z_label : -datum.a_{n})")
                    for n in _CLASSES
                ),
                calculate("total", " + ".join(f"datum.e_{name}" for name in _CLASSES)),
                *_place("datum.e_{} / datum.total"),
            ],
            "mark": {"type": "line", "color": PALETTE[0], "strokeWidth": 3.5},
            "encoding": {"order": {"field": "log_s"}},
        }
    ]


def _arrow() -> list[dict[str, Any]]:
    """Draw the prediction and the negative gradient, which ends at the label."""
    return [
        {
            "data": _ONE,
            "transform": [*_place("p_{}"), *_place("y_{}", "2")],
            "mark": {
                "type": "rule",
                "color": PALETTE[1],
                "strokeWidth": 3,
                "strokeDash": [7, 5],
            },
            "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
        },
        {
            "data": _ONE,
            "transform": [
                *_place("p_{}", "1"),
                *_place("y_{}", "2"),
                calculate("turn", "atan2(datum.x2 - datum.x1, datum.y1 - datum.y2)"),
                calculate("x", "datum.x2 - 6 * sin(datum.turn)"),
                calculate("y", "datum.y2 + 6 * cos(datum.turn)"),
                calculate("angle", "datum.turn * 180 / PI"),
            ],
            "mark": {"type": "point", "shape": "triangle", "filled": True, "color": PALETTE[1]},
            "encoding": {
                "angle": {"field": "angle", "type": "quantitative", "scale": None},
                "size": {"value": 150},
                "opacity": {"value": 1},
            },
        },
        {
            "data": _ONE,
            "transform": _place("p_{}"),
            "mark": {"type": "point", "filled": True, "color": PALETTE[1]},
            "encoding": {"size": {"value": 170}, "opacity": {"value": 1}},
        },
    ]


def _captions() -> list[dict[str, Any]]:
    """Name the two ways, in their colors."""
    captions = (
        ("dashed: the negative gradient", PALETTE[1], 8),
        ("curve: the way of the prediction", PALETTE[0], 27),
    )
    return [
        _text({"value": text}, "0", y, "center", fontWeight="bold", color=color)
        for text, color, y in captions
    ]


def _table() -> list[dict[str, Any]]:
    """Write each class with its probability, its target and its gradient; below them the loss."""
    columns = (("p", "-0.1 * half"), ("y", "0.4 * half"), ("p − y", "half"))
    heads = [
        _text({"value": name}, x, _BASE + 42, "right", fontWeight="bold") for name, x in columns
    ]
    rows = []
    for line, name in enumerate(_CLASSES):
        y = _BASE + 64 + 20 * line
        numbers = (f"p_{name}", f"y_{name}", f"p_{name} - y_{name}")
        formats = (".3f", ".0f", ".3f")
        rows.append(_text({"value": name}, "-half", y, "left"))
        rows += [
            _text({"value": {"expr": f"format({number}, '{form}')"}}, x, y, "right")
            for number, form, (_, x) in zip(numbers, formats, columns, strict=True)
        ]
    loss = " + ".join(f"y_{name} * (log(total) - logit_{name})" for name in _CLASSES)
    length = " + ".join(f"pow(p_{name} - y_{name}, 2)" for name in _CLASSES)
    below = f"'loss ' + format({loss}, '.3f') + ', length ' + format(sqrt({length}), '.3f')"
    return [*heads, *rows, _text({"value": {"expr": below}}, "-half", _BASE + 130, "left")]


def _text(text: dict[str, Any], x: str, y: float, align: str, **mark: Any) -> dict[str, Any]:
    """Return a text at ``x`` pixels from the middle and ``y`` from the top."""
    return {
        "data": _ONE,
        "mark": {"type": "text", "align": align, **mark},
        "encoding": {
            "x": {"value": {"expr": f"width / 2 + {x}"}},
            "y": {"value": y},
            "text": text,
        },
    }
