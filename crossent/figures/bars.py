"""The picture that grows through the course: bars as wide as what happens, as high as it costs.

A bar for each outcome is as wide as its probability p and as high as its surprise −log q for
somebody who believes in q; so its area is what the outcome adds to the cross-entropy. What the
outcome costs at least, its surprise −log p, is solid; what a wrong belief costs more is pale; and
where a belief pays less than that for an outcome, the rest is a dashed box. With q = p all is
solid, and the area is the entropy. A table above the bars gives the same in numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossent.figures import texts, vega
from crossent.figures.style import GRAY, PALETTE

HIGHEST = 6  # on the vertical axis; what is higher ends there, and the table tells its height
_TOP, _LINE = 10, 0.65  # the lines of the table are above the bars
_COLUMNS = 0.02, 0.38, 0.64, 1
_BOLD: vega.Json = {"fontWeight": "bold"}


def surprise_bars(
    description: str,
    params: Mapping[str, str | vega.Json],
    outcomes: Mapping[str, tuple[str, str]],
    sums: Iterable[tuple[str, str]],
    *,
    lines: Mapping[str, str] | None = None,
    unit: str = "bits",
    surprise: str = "surprise",
) -> vega.VegaLite:
    """Return the bars of outcomes, each with the expressions of its p and of its q.

    The first outcome gives expressions the names ``p_0``, ``q_0``, ``surprise_0``, which is −log q
    in the unit, ``own_0``, which is −log p, and ``share_0``, which is p × surprise; all of them
    give ``entropy``, ``cross_entropy`` and ``divergence``. The ``sums``, pairs of a name and a
    template, are the last lines of the table; ``lines`` are names of expressions at whose height a
    line is drawn, with its color.
    """
    names, rows = [*outcomes], range(len(outcomes))
    table: list[list[Any]] = [["outcome", "p", surprise, f"p × {surprise}"]]
    table += [[name, *_numbers(row)] for row, name in enumerate(names)]
    table += [[(name, _BOLD), "", "", (template, _BOLD)] for name, template in sums]
    color: vega.Json = {"color": vega.colors("outcome", _palette(names))}
    pale = color | {"fillOpacity": 0.4, "stroke": color["color"]}  # the edge shows on a dark page
    box: vega.Json = {"x": "left", "x2": "right"}
    return vega.figure(
        description,
        380,
        {**params, **_expressions([*outcomes.values()], unit)},
        [
            vega.layer("rect", y="solid", y2=0, **box, **color),
            vega.layer("rect", only=_MORE, y="high", y2="solid", **box, **pale, **_SILENT),
            vega.layer("rect", only=_LESS, y="own", y2="solid", **box, **_EMPTY, **_SILENT),
            vega.layer("text", **_LABEL),
            *(_line(name, each) for name, each in (lines or {}).items()),
            *texts.table(table, _COLUMNS, _TOP - _LINE / 2, -_LINE, data=vega.ONE),
        ],
        data=vega.rows("outcome", names),
        fields={
            "p": vega.of_row(f"p_{row}" for row in rows),
            "high": f"min({HIGHEST}, {vega.of_row(f'surprise_{row}' for row in rows)})",
            "own": f"min({HIGHEST}, {vega.of_row(f'own_{row}' for row in rows)})",
            "solid": "min(datum.high, datum.own)",
            "tall": "max(datum.high, datum.own)",
            "right": vega.so_far("p"),
            "left": "datum.right - datum.p",
            "middle": "datum.right - datum.p / 2",
            "label": "datum.p > 0 ? datum.outcome : ''",
        },
        x=vega.axis((0, 1), "probability", **vega.QUARTERS),
        y=vega.axis((0, _TOP), f"surprise in {unit}", values=[*range(7)], **vega.UPRIGHT),
    )


_MORE, _LESS = (f"datum.p > 0 && datum.high {sign} datum.own" for sign in "><")
# Where no belief is wrong, nothing is pale or empty, and a reader of the screen hears of nothing.
_SILENT: vega.Json = {"aria": False}
_EMPTY: vega.Json = {"color": GRAY, "fillOpacity": 0, "stroke": GRAY, "strokeDash": [4, 3]}
_LABEL: vega.Json = {"x": "middle", "y": "tall", "text": "label", "dy": -9} | _BOLD


def _palette(names: Sequence[str]) -> dict[str, str]:
    return {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(names)}


def _expressions(pairs: Sequence[tuple[str, str]], unit: str) -> dict[str, str]:
    one = {"bits": "LN2", "nats": "1"}[unit]
    found = {}
    for k, (p, q) in enumerate(pairs):
        found[f"p_{k}"], found[f"q_{k}"] = p, q
        found[f"own_{k}"] = f"-log(p_{k}) / {one}"
        found[f"surprise_{k}"] = f"-log(q_{k}) / {one}"
        found[f"least_{k}"] = f"p_{k} > 0 ? p_{k} * own_{k} : 0"
        found[f"share_{k}"] = f"p_{k} > 0 ? p_{k} * surprise_{k} : 0"
    found["entropy"] = " + ".join(f"least_{k}" for k in range(len(pairs)))
    found["cross_entropy"] = " + ".join(f"share_{k}" for k in range(len(pairs)))
    found["divergence"] = "cross_entropy - entropy"
    return found


def _numbers(row: int) -> list[str]:
    return [f"{{p_{row}:.3f}}", number(f"surprise_{row}"), number(f"share_{row}")]


def number(expression: str, unit: str = "") -> str:
    """Return the template of a number that may be infinite."""
    shown = f"format({expression}, '.3f')" + (f" + ' {unit}'" if unit else "")
    return f"{{isFinite({expression}) ? {shown} : '∞'}}"


def _line(name: str, color: str) -> vega.Json:
    look: vega.Json = {"x": 0, "x2": 1, "y": "height", "color": color} | vega.DASHED
    only = f"isFinite({name}) && {name} <= {HIGHEST}"
    return vega.layer("rule", vega.ONE, {"height": name}, only=only, **look)
