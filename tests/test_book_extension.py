"""The book's Sphinx extension: what must stop a build stops it, what is broken is repaired."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))

import equation_checks
from crossent_book import RULE, RenderError, if_used, render, repair
from docutils import nodes
from reading_time import count_words, duration

FIGURE: dict[str, Any] = {
    "description": "One bar, as long as the slider says.",
    "width": "container",
    "height": 20,
    "params": [{"name": "length", "value": 1, "bind": {"input": "range", "min": 0, "max": 2}}],
    "data": {"values": [{"row": 1}]},
    "transform": [{"calculate": "length * datum.row", "as": "x"}],
    "mark": "bar",
    "encoding": {"x": {"field": "x", "type": "quantitative"}},
}


def test_a_formula_becomes_html_and_mathml() -> None:
    formula = render("math", latex=r"\log_2 \tfrac{1}{p}", display=False)
    assert 'class="katex"' in formula
    assert "<mfrac>" in formula


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        (r"\nosuchmacro{p}", r"Undefined control sequence: \\nosuchmacro"),
        (r"\frac{1}", "Unexpected end of input"),
        ("é", "unicodeTextInMathMode"),  # LaTeX would refuse it
    ],
)
def test_a_wrong_formula_is_an_error(latex: str, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render("math", latex=latex, display=True)


def test_a_figure_is_compiled_and_takes_the_colors_of_the_page() -> None:
    compiled = render("figure", spec=FIGURE)
    assert compiled["$schema"].endswith("vega/v5.json")
    signals = {signal["name"]: signal for signal in compiled["signals"]}
    assert {"length", "ink", "muted", "rule", "paper"} <= signals.keys()
    assert signals["length"]["bind"]["input"] == "range"


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("transform", [{"calculate": "lenght * datum.row", "as": "x"}], "lenght"),
        ("transform", [{"calculate": "cube(length)", "as": "x"}], "cube"),
        ("mark", "barr", "Cannot read"),
        ("encoding", {"x": {"field": "x", "type": "quantative"}}, "Invalid field type"),
        ("data", {"url": "https://example.org/data.json"}, "data must be inline"),
    ],
)
def test_a_wrong_figure_is_an_error(part: str, value: object, message: str) -> None:
    spec = copy.deepcopy(FIGURE) | {part: value}
    with pytest.raises(RenderError, match=message):
        render("figure", spec=spec)


@pytest.mark.parametrize(
    ("written", "repaired"),
    [
        (
            '<div class="dropdown admonition"><p class="admonition-title"><a>1</a></p>?</div>',
            (
                '<details class="dropdown admonition"><summary class="admonition-title">1</summary>'
                "?</details>"
            ),
        ),
        ('<section id="solution-content"></section>', "<section></section>"),
        (
            '<div class="note admonition"><p class="admonition-title">T</p></div>',
            '<div class="note admonition"><p class="admonition-title">T</p></div>',
        ),
        (
            '<p>so (<span class="math">p</span>), then</p>',
            '<p>so <span class="math nowrap">(p),</span> then</p>',
        ),
        ('<p><span class="math">p</span> is</p>', '<p><span class="math">p</span> is</p>'),
        ('<th class="head"></th><th>p</th>', '<td class="head"></td><th>p</th>'),
        (
            "<th><math><mrow><mi>γ</mi></mrow></math></th><math><mi>γ</mi></math>",
            '<th><math aria-label="γ"><mrow><mi>γ</mi></mrow></math></th><math><mi>γ</mi></math>',
        ),
        ('<div role="doc-biblioentry"></div>', '<div role="listitem"></div>'),
    ],
)
def test_what_a_page_holds_is_repaired(written: str, repaired: str) -> None:
    assert repair(written) == repaired


def test_scripts_and_text_survive_the_repair() -> None:
    body = '<pre>a &lt; b\n  &amp; c</pre><script type="application/json">{"a": "<b>&"}</script>'
    assert repair(body) == body


def test_a_claim_has_its_check_and_a_definition_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "@definition\ndef eq_name() -> None: ...\n\n@given(x=1)\ndef eq_a_claim() -> None:\n    r"
    )
    (tmp_path / "halves.py").write_text(f"{source}'x'\n", encoding="utf-8")
    monkeypatch.setattr(equation_checks, "SOURCES", tmp_path)
    (check,) = equation_checks.checks.__wrapped__().items()
    claim = "@given(x=1)\ndef eq_a_claim() -> None:\n    r'x'"
    assert check == ("eq-a-claim", equation_checks.Check("halves", claim))


def test_words_are_counted_without_code_and_formulas() -> None:
    text = nodes.paragraph("", "", nodes.Text("Three  short\nwords: "), nodes.math("", "p \\log q"))
    code = nodes.literal_block("", "print(1, 2, 3)")
    cell = nodes.container("", nodes.paragraph("", "1 2 3"), nb_element="cell_code")
    assert count_words(nodes.section("", text, code, cell, nodes.paragraph("", "and two"))) == 5


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (1, "5 minutes"),
        (43, "45 minutes"),
        (57, "55 minutes"),
        (58, "1 hour"),
        (80, "1½ hours"),
        (128, "2 hours"),
    ],
)
def test_a_time_is_told_as_one_would(minutes: float, told: str) -> None:
    assert duration(minutes) == told


def test_rules_for_what_no_page_has_are_left_out() -> None:
    css = "a{}.on{}.off{}.off,.on{}.on:not(.off){}@media x{.off .on{}.on{}}"
    left = RULE.sub(lambda rule: if_used({"on"}, rule), css)
    assert left == "a{}.on{}.off,.on{}.on:not(.off){}@media x{.on{}}"
