"""The figures of the book: what a notebook saves of them, and what a reader sees in them."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from crossent import figures
from crossent.figures import style as style_module


def test_a_figure_saves_its_specification_and_its_description_alone() -> None:
    figure = figures.VegaLite({"description": "a dot", "mark": "point"})
    data, metadata = DisplayFormatter().format(figure)  # type: ignore[no-untyped-call]
    assert set(data) == {"application/vnd.vegalite.v5+json", "text/plain"}
    assert data["text/plain"] == "a dot"
    spec = data["application/vnd.vegalite.v5+json"]
    assert spec["$schema"].endswith("/vega-lite/v5.json")
    assert spec["width"] == "container"
    assert spec["mark"] == "point"
    assert metadata == {}


def test_a_figure_may_set_its_own_width() -> None:
    assert figures.VegaLite({"description": "a dot", "width": 90}).spec["width"] == 90


@pytest.mark.parametrize("spec", [{"mark": "point"}, {"description": "", "mark": "point"}])
def test_a_figure_without_a_description_is_refused(spec: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^spec has no 'description': say there what"):
        figures.VegaLite(spec)


def test_the_same_call_gives_the_same_bytes() -> None:
    first, second = (json.dumps(figures.entropy_bars((8, 4, 2, 2)).spec) for _ in range(2))
    assert first == second


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("paper", ["#ffffff", "#12161c"])  # the site's two backgrounds
@pytest.mark.parametrize("color", figures.PALETTE)
def test_each_color_stands_out_from_the_page(color: str, paper: str) -> None:
    dark, light = sorted([luminance(color), luminance(paper)])
    assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2, 1.4.11: graphical objects


@pytest.fixture
def style() -> Iterator[None]:
    with mpl.rc_context():
        figures.use_style()
        yield


@pytest.mark.usefixtures("style")
def test_style_draws_with_the_palette_on_a_white_card() -> None:
    figure, axes = plt.subplots()
    assert [axes.plot([0, 1])[0].get_color() for _ in figures.PALETTE] == list(figures.PALETTE)
    assert figure.get_facecolor() == (1, 1, 1, 1)
    plt.close(figure)


@pytest.mark.usefixtures("style")
def test_style_draws_the_same_bytes_each_time() -> None:
    drawings = []
    for _ in range(2):
        figure, axes = plt.subplots()
        axes.plot([0, 1], [1, 0], "o-")
        axes.set_title("$H$")
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        plt.close(figure)
        drawings.append(file.getvalue())
    assert drawings[0] == drawings[1]
    assert len(drawings[0]) > 1000


def test_style_asks_a_notebook_for_svg_without_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(style_module, "get_ipython", lambda: "a shell")
    monkeypatch.setattr(
        style_module,
        "set_matplotlib_formats",
        lambda *args, **options: asked.append((args, options)),
    )
    with mpl.rc_context():
        figures.use_style()
    assert asked == [(("svg",), {"metadata": {"Date": None}})]


ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted(ROOT.glob("book/*/*.ipynb")), ids=lambda path: path.stem)
def test_saved_plots_are_small_svg_without_a_date(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [data for cell in cells for data in cell.get("outputs", []) if "data" in data]
    images = [key for output in outputs for key in output["data"] if key.startswith("image/")]
    assert set(images) <= {"image/svg+xml"}, "call figures.use_style() first: it draws SVG"
    for output in outputs:
        drawing = "".join(output["data"].get("image/svg+xml", ""))
        assert "<dc:date>" not in drawing
        # A page may weigh 1 MiB in all.
        assert len(drawing) < 100_000, "a plot has too many points: draw fewer, or a histogram"
