"""What a reader of an interactive figure sees in it, after its controls were moved."""

import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
Settings: TypeAlias = dict[str, Any]  # where the controls stand
Places: TypeAlias = NDArray[np.float64]  # in pixels, a point a row
WIDTHS = (700, 320)  # of a page and of a phone, in turn
MOST, MIXED = 64, 30  # positions: combinations of levels, and others


@functools.cache
def node() -> subprocess.Popen[str]:
    """Start Node once for all figures; it ends with the tests, when its standard input closes."""
    executable = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    if executable is None or not (ROOT / "node_modules" / "vega-lite").is_dir():
        assert not os.environ.get("CI"), "CI needs Node and node_modules: run `make book` first"
        pytest.skip("needs Node and node_modules: run `make book` first")
    return subprocess.Popen(
        [executable, ROOT / "tests" / "drawing.js"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )


def drawn(spec: dict[str, Any], *positions: Settings) -> list["Drawing"]:
    """Return the drawing at each position, to one reader, who turns the phone each time."""
    process = node()
    assert process.stdin is not None
    assert process.stdout is not None
    signals = [{"width": WIDTHS[i % 2], **position} for i, position in enumerate(positions)]
    request = {"spec": spec | {"width": WIDTHS[0]}, "positions": signals}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    reply = json.loads(process.stdout.readline())
    assert "error" not in reply, f"Vega-Lite cannot draw this specification: {reply['error']}"
    return [Drawing(svg, each["width"]) for svg, each in zip(reply["result"], signals, strict=True)]


def controls(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [param for param in spec["params"] if "bind" in param]


def steps(control: dict[str, Any]) -> list[Any]:
    """Return all that a control can be set to."""
    bind = control["bind"]
    if "options" in bind:
        return list(bind["options"])
    count = round((bind["max"] - bind["min"]) / bind["step"])
    return [round(bind["min"] + i * bind["step"], 9) for i in range(count + 1)]


def grid(spec: dict[str, Any]) -> list[Settings]:
    """Return where to look: at the ends, the start and two places between, and here and there.

    Up to a number, these are all combinations; else each control moves alone.
    """
    start = {control["name"]: control["value"] for control in controls(spec)}
    every = {control["name"]: steps(control) for control in controls(spec)}
    levels = {}
    for name, values in every.items():
        few = [values[int(part * (len(values) - 1))] for part in (0, 0.3, 0.65, 1)]
        levels[name] = values if isinstance(start[name], str) else sorted({start[name], *few})
    positions = list(itertools.islice(itertools.product(*levels.values()), MOST + 1))
    rng = np.random.default_rng(0)
    mixed = [{n: v[rng.integers(len(v))] for n, v in every.items()} for _ in range(MIXED)]
    if len(positions) <= MOST:
        return [dict(zip(levels, each, strict=True)) for each in positions] + mixed
    return [start | {name: value} for name in levels for value in levels[name]] + mixed


@dataclass(frozen=True)
class Mark:
    """A mark with its places: a bar's corners, a rule's ends, a dot's place, a line's course."""

    kind: str
    places: Places
    look: dict[str, str]


class Drawing:
    """A drawing, which comes as SVG."""

    def __init__(self, svg: str, width: float) -> None:
        assert "NaN" not in svg
        self.width = width
        root = ET.fromstring(svg.replace('xmlns="http://www.w3.org/2000/svg"', ""))  # noqa: S314
        self.groups = [(group.get("class", "").split(), group) for group in root.iter("g")]
        self.marks = [
            Mark(names[0].removeprefix("mark-"), places(child), child.attrib)
            for names, group in self.groups
            if "role-mark" in names
            for child in group
        ]
        written = [*self.of_class("role-title-text"), *self.of_class("mark-text", "role-mark")]
        self.texts = [text.text or "" for group in written for text in group.iter("text")]

    def of_class(self, *wanted: str) -> list[ET.Element]:
        return [group for names, group in self.groups if {*wanted} <= {*names}]

    @property
    def numbers(self) -> list[str]:
        """The texts that tell a number."""
        return [text for text in self.texts if re.search(r"\d|∞|–|\bnan\b", text)]

    def of(self, kind: str, color: str) -> list[Mark]:
        """Return the marks of a kind and a color."""
        return [
            mark
            for mark in self.marks
            if mark.kind == kind and color in (mark.look.get("fill"), mark.look.get("stroke"))
        ]

    def seen(self, kind: str, color: str, x: str = "X-axis", y: str = "Y-axis") -> list[Places]:
        """Return the places of the marks of a kind and a color, read on the axes.

        ``x`` and ``y`` are how the axes' descriptions begin; an empty one leaves the pixels.
        """
        scales = self.scale(x), self.scale(y)
        return [
            np.stack([scale(mark.places[:, i]) for i, scale in enumerate(scales)], axis=-1)
            for mark in self.of(kind, color)
        ]

    def scale(self, axis: str, labels: slice = slice(None)) -> Callable[[Places], Places]:
        """Return how an axis reads pixels, by its labels."""
        if not axis:
            return np.asarray
        groups = self.of_class("role-axis")
        (group,) = (each for each in groups if each.get("aria-label", "").startswith(axis))
        (written,) = (g for g in group.iter("g") if "role-axis-label" in g.get("class", ""))
        values = [float((label.text or "").replace("−", "-")) for label in written][labels]
        side = "XY".index(axis[0])
        pixels = [places(label)[0][side] for label in written][labels]
        ticks = np.array(pixels) - (4 if side else 0)  # beside a tick, a text hangs 4 pixels lower
        # the line through the first and the last label, on which the others stand, too
        slope = (values[-1] - values[0]) / (ticks[-1] - ticks[0])

        def read(at: Places) -> Places:
            return np.asarray(values[0] + (at - ticks[0]) * slope)

        np.testing.assert_allclose(read(ticks), values, atol=1e-9)
        return read


def places(element: ET.Element) -> Places:
    """Return where a mark is."""
    moved = [float(x) for x in re.findall(NUMBER, element.get("transform", "translate(0,0)"))[:2]]
    course = element.get("d", "")
    if element.tag == "line":
        ends = [[0.0, 0.0], [float(element.get(name, 0)) for name in ("x2", "y2")]]
    elif element.tag == "text" or "transform" in element.attrib:
        ends = [[0.0, 0.0]]
    else:
        numbers = [float(x) for x in re.findall(NUMBER, course)]
        if "h" in course:
            x, y, width, height = numbers[:4]
            numbers = [x, y, x + width, y + height]
        ends = np.reshape(numbers, (-1, 2)).tolist()
    return np.array(ends) + moved


NUMBER = r"-?\d+\.?\d*(?:e-?\d+)?"
