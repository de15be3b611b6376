"""Every interactive figure shows what ``crossent`` says, wherever its controls stand."""

import dataclasses
import re

import numpy as np
import pytest

from tests.drawing import controls, drawn, grid
from tests.figures import FIGURES
from tests.figures.positions import (
    NUMBER,
    Position,
    Text,
    spellings,
    typeset,
    without_controls,
)

BODIES = {"rect", "symbol"}  # bars and dots, which must not leave the drawing


def name(start: Position) -> str:
    return type(start).__name__


def compare(written: list[str], expected: list[Text]) -> None:
    assert len(written) == len(expected), f"it writes {written}; the class expects {expected}"
    for text, wanted in zip(written, expected, strict=True):
        assert text in spellings(wanted), f"it writes {text!r}; the class expects {wanted}"


@pytest.mark.parametrize("start", [first for first, _ in FIGURES], ids=name)
def test_all_numbers_and_the_marks_are_right_on_a_grid(start: Position) -> None:
    spec = start.figure().spec
    positions = [*grid(spec), *start.also]
    for position, drawing in zip(positions, drawn(spec, *positions), strict=True):
        at = type(start)(**position)
        compare(drawing.numbers, [*at.texts()])
        for mark, seen, expected in at.marks(drawing):
            message = f"{mark} at {position}"
            np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-3, err_msg=message)
        for inside in (mark.places[:, 0] for mark in drawing.marks if mark.kind in BODIES):
            assert -2 <= inside.min() <= inside.max() <= drawing.width + 2


@pytest.mark.parametrize("start", [start for pair in FIGURES for start in pair], ids=name)
def test_it_starts_where_it_is_told_and_describes_this_frame(start: Position) -> None:
    spec = start.figure().spec
    stand = {control["name"]: control["value"] for control in controls(spec)}
    fields = dataclasses.asdict(start)
    assert stand == fields, f"the controls stand at {stand}, the fields of the class at {fields}"
    description, settings = without_controls(spec["description"])
    message = f"the docstring of {name(start)} is not the description, with … for each number"
    assert start.is_described(description), f"{message}: {description}"
    compare(re.findall(NUMBER, description), [*start.told()])
    values = [x if isinstance(x, str) else f"{x:g}" for x in stand.values()]
    labels = [control["bind"]["name"] for control in controls(spec)]
    wanted = [typeset(f"{label} to {value}") for label, value in zip(labels, values, strict=True)]
    assert not settings or re.split(", | and ", settings) == wanted
