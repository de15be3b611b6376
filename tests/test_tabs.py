"""The tabs "in your framework": each runs, prints what it says, and agrees with the others.

Code in markdown is not executed by nbval, so it is executed here: one process per framework.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import nbformat
import pytest

from .pages import find, pages

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOKS = [path for path in pages() if path.suffix == ".ipynb"]
ALWAYS = {"numpy": "NumPy", "pytorch": "PyTorch", "tensorflow": "TensorFlow"}
FRAMEWORKS = ALWAYS | {"jax": "JAX"}  # where a chapter has it
LOSSES = ["softmax", "binary", "categorical", "weights", "smoothing", "why_not_mse", "family"]

TAB_SET = re.compile(r"^::::\{tab-set\}\n(.*?)^::::$", re.DOTALL | re.MULTILINE)
TAB = re.compile(
    r":::\{tab-item\} (?P<title>\S+)\n:sync: (?P<sync>\S+)\n\n"
    r"```python\n(?P<code>[^`]*)```\n\n```text\n(?P<output>[^`]*)```\n:::\n"
)
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Tab:
    """One tab: the name it shows, what it follows, its code, and what the page says it prints."""

    title: str
    sync: str
    code: str
    output: str

    @property
    def numbers(self) -> list[float]:
        return [float(number) for number in NUMBER.findall(self.output)]


def tab_sets(source: str) -> list[list[Tab]]:
    """Return the tab-sets of a markdown cell; whatever is in them beside tabs is an error."""
    found = []
    for tab_set in TAB_SET.findall(source):
        assert not TAB.sub("", tab_set).strip(), "a tab-set holds tabs of one form and nothing else"
        found.append([Tab(**tab.groupdict()) for tab in TAB.finditer(tab_set)])
    assert source.count("{tab-set}") == len(found), "a tab-set opens and closes with four colons"
    return found


@cache
def tabs_of(path: Path) -> list[list[Tab]]:
    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    markdown = (cell.source for cell in cells if cell.cell_type == "markdown")
    return [tab_set for source in markdown for tab_set in tab_sets(source)]


# Reads a list of programs, runs each by itself, and writes what each printed, or its error.
DRIVER = """
import contextlib, io, json, sys, traceback, warnings
warnings.simplefilter("error")
printed = []
for program in json.load(sys.stdin):
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec(program, {"__name__": "__main__"})
    except BaseException:
        output.write(traceback.format_exc())
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


@cache
def printed_by(framework: str) -> dict[str, str]:
    """Run the code of all tabs of a framework, and return what each program printed."""
    every = (tab for path in NOTEBOOKS for tab_set in tabs_of(path) for tab in tab_set)
    programs = sorted({tab.code for tab in every if tab.sync == framework})
    process = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return dict(zip(programs, json.loads(process.stdout), strict=True))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_tab_set_has_the_frameworks_in_order(path: Path) -> None:
    for tab_set in tabs_of(path):
        titles = [(tab.sync, tab.title) for tab in tab_set]
        assert titles in ([*ALWAYS.items()], [*FRAMEWORKS.items()])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_tabs_of_a_set_give_the_same_numbers(path: Path) -> None:
    for tab_set in tabs_of(path):
        numbers = [tab.numbers for tab in tab_set]
        assert numbers[0]
        assert numbers.count(numbers[0]) == len(numbers)


@pytest.mark.parametrize("name", ["softmax", "binary", "categorical", "smoothing", "side_by_side"])
def test_the_chapter_has_a_tab_for_jax(name: str) -> None:
    assert all("jax" in {tab.sync for tab in tab_set} for tab_set in tabs_of(find(name)))


@pytest.mark.parametrize("name", [*LOSSES, "cross_entropy", "side_by_side"])
def test_the_chapter_has_tabs(name: str) -> None:
    assert tabs_of(find(name))


@pytest.mark.xdist_group("tabs")  # each framework starts once
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tab_prints_what_it_says(path: Path, framework: str) -> None:
    for tab_set in tabs_of(path):
        for tab in tab_set:
            if tab.sync == framework:
                assert printed_by(framework)[tab.code] == tab.output


# --- The checks can fail ---

BODY = "```python\nprint(0.5)\n```\n\n```text\n0.5\n```\n:::\n"
SOUND = "".join(
    f":::{{tab-item}} {title}\n:sync: {sync}\n\n{BODY}" for sync, title in FRAMEWORKS.items()
)


def test_a_sound_tab_set_is_read() -> None:
    (tab_set,) = tab_sets(f"Text.\n\n::::{{tab-set}}\n{SOUND}::::\n\nMore text.")
    assert [tab.sync for tab in tab_set] == list(FRAMEWORKS)
    assert {(tab.code, tab.output) for tab in tab_set} == {("print(0.5)\n", "0.5\n")}
    assert tab_set[0].numbers == [0.5]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (":sync: numpy\n", ""),
        ("```text\n0.5\n```\n", ""),
        ("```python", "```"),
        (":::{tab-item} NumPy", "Some words.\n\n:::{tab-item} NumPy"),
    ],
)
def test_an_unsound_tab_set_is_refused(old: str, new: str) -> None:
    with pytest.raises(AssertionError, match="tabs of one form"):
        tab_sets(f"::::{{tab-set}}\n{SOUND.replace(old, new, 1)}::::")


def test_a_tab_set_of_another_form_is_refused() -> None:
    with pytest.raises(AssertionError, match="four colons"):
        tab_sets(f":::::{{tab-set}}\n{SOUND}:::::")
