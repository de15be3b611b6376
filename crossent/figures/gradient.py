"""The figure of the chapter on the gradient."""

import numpy as np

from crossent.activations import softmax
from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GRAY, ORANGE
from crossent.gradients import value_and_grad
from crossent.losses import sparse_categorical_cross_entropy_with_logits

_CLASSES = ("zero", "three", "nine")  # the digits 0, 3 and 9
_HEIGHT = 492
_BASE = 352  # y of the triangle's base, in pixels from the top
_GRID = 10  # arrows stand where the probabilities are multiples of a tenth


def simplex_gradient(logits: tuple[float, float, float], label: int = 0) -> vega.VegaLite:
    """Show the gradient of cross-entropy in the triangle of all predictions for three classes.

    A dashed arrow is the negative gradient, from the prediction to the label's corner. A curve is
    the way of the prediction as the logits follow it, small arrows are that way's direction
    elsewhere. Sliders set the logits, at first ``logits``, −4 to 4; a menu sets the true class, at
    first ``label``, 0 to 2.
    """
    z = np.asarray(logits, dtype=float)
    loss, gradient = value_and_grad(sparse_categorical_cross_entropy_with_logits)(z, label)
    table = "; ".join(
        f"{name} {p:.3f}, {int(k == label)}, {slope:.3f}"
        for k, (name, p, slope) in enumerate(zip(_CLASSES, softmax(z), gradient, strict=True))
    )
    return vega.figure(
        f"A triangle with the classes {vega.listed(_CLASSES)} at its corners; each point in it is"
        " a prediction. A dashed arrow, the negative gradient, runs straight from a dot to the"
        f" corner of the label, {_CLASSES[label]}. A curve shows the way of the prediction as the"
        " logits follow the gradient, to the same corner; small arrows show its direction"
        f" elsewhere. A table has the columns p, y and p − y: {table}. Below it stand the loss"
        f" {loss:.3f} and the length of the gradient, {np.linalg.norm(gradient):.3f}.",
        _HEIGHT,
        {
            **vega.sliders("logit_", "Score of ", _CLASSES, logits, -4, 4, 0.1),
            "label": vega.menu("Label", _CLASSES[label], _CLASSES),
            # The figure's own pixels: with an axis for each direction, the triangle would lean.
            "side": "min(width - 30, 340)",
            "half": "min(width / 2 - 2, 150)",  # of the table's width
            "total": " + ".join(f"exp(logit_{name})" for name in _CLASSES),
            **{f"p_{name}": f"exp(logit_{name}) / total" for name in _CLASSES},
            **{f"y_{name}": f"label == '{name}' ? 1 : 0" for name in _CLASSES},
            **{f"g_{name}": f"p_{name} - y_{name}" for name in _CLASSES},
            "loss": " + ".join(f"y_{name} * (log(total) - logit_{name})" for name in _CLASSES),
            "length": f"sqrt({' + '.join(f'pow(g_{name}, 2)' for name in _CLASSES)})",
        },
        [*_triangle(), _flow(), _path(), *_arrow(), *_table()],
        x=_base(),
        y=vega.as_is("y") | {"axis": None},
    )


def _base() -> vega.Json:
    """Return an axis in pixels that names the two corners at the base."""
    corners = {"expr": "[width / 2 - side / 2, width / 2 + side / 2]"}
    label = f"datum.index == 0 ? '{_CLASSES[0]}' : '{_CLASSES[1]}'"
    font = {"labelFontSize": 14, "labelFontWeight": "bold", "labelPadding": 8}
    place = {"values": corners, "offset": _BASE - _HEIGHT, "title": None}
    bare = {"domain": False, "grid": False, "ticks": False}
    pixels = {"domain": [0, {"expr": "width"}], "nice": False, "zero": False}
    axis = {"labelExpr": label} | place | font | bare
    return vega.as_is("x") | {"scale": pixels, "axis": axis}


def _place(probs: str, suffix: str = "") -> dict[str, str]:
    """Return the pixels of a prediction; ``{}`` in ``probs`` stands for the class."""
    left, right, top = (f"({probs.format(name)})" for name in _CLASSES)
    return {
        f"x{suffix}": f"width / 2 + side * ({right} - {left}) / 2",
        f"y{suffix}": f"{_BASE} - side * sqrt(3) / 2 * {top}",
    }


def _triangle() -> list[vega.Json]:
    """Draw the triangle and the name of its top."""
    corners = [{name: int(name == at) for name in _CLASSES} | {"at": at} for at in _CLASSES]
    around = {"values": [corners[i % 3] | {"order": i} for i in range(4)]}
    name: vega.Json = {"text": "at", "dy": -13, "fontSize": 14, "fontWeight": "bold"}
    place = _place("datum.{}")
    return [
        vega.layer("line", around, place, order="order", color=GRAY, strokeWidth=1.5),
        vega.layer("text", {"values": corners[2:]}, place, **name),
    ]


def _flow() -> vega.Json:
    """Draw the direction in which a step on the logits moves the prediction, on a grid."""
    grid = [
        dict(zip(_CLASSES, (i / _GRID, j / _GRID, (_GRID - i - j) / _GRID), strict=True))
        for i in range(1, _GRID)
        for j in range(1, _GRID - i)
    ]
    left, right, top = _CLASSES
    # The Jacobian of softmax times the negative gradient r = y - p: p_k (r_k - p · r).
    fields = {
        "mean": " + ".join(f"datum.{name} * (y_{name} - datum.{name})" for name in _CLASSES),
        **{f"d_{n}": f"datum.{n} * (y_{n} - datum.{n} - datum.mean)" for n in _CLASSES},
        **_place("datum.{}"),
        "dx": f"side * (datum.d_{right} - datum.d_{left}) / 2",
        "dy": f"-side * sqrt(3) / 2 * datum.d_{top}",
        "angle": "atan2(datum.dx, -datum.dy) * 180 / PI",
        "size": "60 + 5 * sqrt(datum.dx * datum.dx + datum.dy * datum.dy)",
    }
    look: vega.Json = {"shape": "arrow", "color": GRAY, "opacity": 0.75}
    look |= {"angle": vega.as_is("angle"), "size": vega.as_is("size")}
    return vega.layer("point", {"values": grid}, fields, **look)


def _path() -> vega.Json:
    """Draw the way of the prediction as the logits flow down the gradient.

    The flow dz_j/dt = -p_j of a wrong class raises exp(-z_j) at the rate 1 / total, the same for
    all; and the sum of the logits stays. So the way has a closed form with one parameter s.
    """
    fields = {
        "s": "exp(datum.log_s)",
        **{f"a_{name}": f"log(exp(-logit_{name}) + datum.s)" for name in _CLASSES},
        "z_label": " + ".join(f"logit_{n} + (1 - y_{n}) * datum.a_{n}" for n in _CLASSES),
        **{f"e_{n}": f"exp(y_{n} == 1 ? datum.z_label : -datum.a_{n})" for n in _CLASSES},
        "total": " + ".join(f"datum.e_{name}" for name in _CLASSES),
        **_place("datum.e_{} / datum.total"),
    }
    steps = vega.along("log_s", -12, 9, 0.1)
    return vega.layer("line", steps, fields, order="log_s", color=BLUE, strokeWidth=3.5)


def _arrow() -> list[vega.Json]:
    """Draw the prediction and the negative gradient, which ends at the label."""
    fields = {
        **_place("p_{}"),
        **_place("y_{}", "2"),
        "turn": "atan2(datum.x2 - datum.x, datum.y - datum.y2)",
        "tip_x": "datum.x2 - 6 * sin(datum.turn)",
        "tip_y": "datum.y2 + 6 * cos(datum.turn)",
        "angle": "datum.turn * 180 / PI",
    }
    line: vega.Json = {"x2": "x2", "y2": "y2", "strokeWidth": 3, "strokeDash": [7, 5]}
    tip: vega.Json = {"x": "tip_x", "y": "tip_y", "angle": vega.as_is("angle"), "size": 150}
    return [
        vega.layer("rule", vega.ONE, fields, color=ORANGE, **line),
        vega.layer("point", vega.ONE, fields, color=ORANGE, shape="triangle", **tip),
        vega.layer("point", vega.ONE, fields, color=ORANGE, size=170),
    ]


def _table() -> list[vega.Json]:
    """Name the two ways, and write the probabilities, the target, the gradient, and the loss."""
    places = ("width / 2", *(f"width / 2 + {x} * half" for x in (-1, -0.1, 0.4, 1)))
    middle, *columns = ({"value": {"expr": place}} for place in places)
    bold: vega.Json = {"fontWeight": "bold"}
    title: vega.Json = {"x": middle, "align": "center"} | bold
    heads: list[texts.Cell] = ["", *((name, bold) for name in ("p", "y", "p − y"))]
    cells = "{}", "{{p_{}:.3f}}", "{{y_{}:.0f}}", "{{g_{}:.3f}}"
    rows = [[cell.format(name) for cell in cells] for name in _CLASSES]
    below = "loss {loss:.3f}, length {length:.3f}"
    return [
        texts.text("dashed: the negative gradient", y={"value": 8}, color=ORANGE, **title),
        texts.text("curve: the way of the prediction", y={"value": 27}, color=BLUE, **title),
        *texts.table([heads], columns, _BASE + 42, 0),
        *texts.table(rows, columns, _BASE + 64, 20),
        *texts.table([[below]], columns[:1], _BASE + 130, 0),
    ]
