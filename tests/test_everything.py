"""The benchmark of every function, on tiny shapes, and the page that is committed."""

import gc
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossent
from benchmarks import everything, everything_cases, everything_page
from benchmarks.everything import Plan
from benchmarks.everything_cases import Data, Subject, is_meant
from benchmarks.everything_numpy import NUMPY
from benchmarks.everything_page import BARS
from crossent import _spans
from crossent._forms import FORMS

PAGE = Path(__file__).parents[1] / "benchmarks" / "everything.md"

pytestmark = pytest.mark.xdist_group("benchmarks")  # one process measures for all tests

COMPUTES_NOTHING = {"get_num_threads", "set_num_threads"}
OF_A_LOSS = {"grad", "value_and_grad", "check_grad"}
FUNCTIONS = set(crossent.__all__) - COMPUTES_NOTHING - OF_A_LOSS
# Options that choose an axis or multiply by a number.
UNMEASURED = {"axis", "keepdims", "base", "temperature"}
SUBJECTS = [*everything_cases.subjects(), *everything_cases.linear_subjects()]
TINY = Plan(
    shapes=((6, 4), (2, 3, 2, 2)),
    dtypes=("float16", "float32", "float64"),
    peers=("NumPy", "sum", "SciPy", "torch"),
    layers=((5, 3, 4),),
    odd=((6, 4),),
    border_dtypes=("float32",),
    most_at_borders=20,
    threads=((6, 4),),
    memory=((6, 4),),
    compiled=((6, 4),),
    budget=0.0,
)


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everything, "SAMPLE", 1e-9)
        patch.setattr(everything, "ROUNDS", (1, 1))
        patch.setitem(everything.PEERS, "torch.compile", everything.torch_call)
        for name in ("SPAN", "LARGE", "ROWS"):
            patch.setattr(_spans, name, 20)
        threads = crossent.get_num_threads()
        yield json.loads(json.dumps(everything.results(everything.run(TINY))))
        crossent.set_num_threads(threads)


@pytest.fixture(scope="module")
def page(results: dict[str, Any]) -> str:
    return everything_page.page(results)


def record(function: str = "softmax", **seconds: float) -> dict[str, Any]:
    """A cell in which these times were taken, large enough for the bars."""
    subject = Subject(function, "plain", (), {}, {})
    return {**subject.record("cell", Data((1000, 100), "float32")), "seconds": seconds}


# --- what is measured --------------------------------------------------------------------------


def test_every_function_that_computes_is_measured() -> None:
    assert {subject.function for subject in SUBJECTS} == FUNCTIONS
    with_gradient = {subject.function for subject in SUBJECTS if subject.gradient}
    assert with_gradient == {loss.__name__ for loss in FORMS}


@pytest.mark.parametrize("function", sorted(FUNCTIONS - {"linear_cross_entropy"}))
def test_every_option_of_a_function_is_measured(function: str) -> None:
    measured = {
        option
        for subject in SUBJECTS
        if subject.function == function
        for option in (*subject.options, *subject.weights)
    }
    parameters = inspect.signature(getattr(crossent, function)).parameters.values()
    options = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert measured == options - UNMEASURED


def test_the_quick_shapes_are_large_enough_for_the_bars() -> None:
    sizes = [np.prod(shape) for shape in everything.QUICK.shapes[1:]]
    assert len(sizes) == len(everything.FULL.shapes) - 1
    assert min(sizes) >= everything_page.LARGE
    assert max(sizes) <= 2 * everything_page.LARGE


def test_all_jobs_are_measured_and_peers_agree(results: dict[str, Any]) -> None:
    groups = {"cell", "linear", "cliff", "border", "threads", "memory", "compiled"}
    assert {one["group"] for one in results["cases"]} == groups
    cells = [one for one in results["cases"] if one["group"] in {"cell", "linear"}]
    assert len(cells) == 6 * len(list(everything_cases.subjects())) + 2 * 4
    for cell in cells:
        assert {"crossent", "NumPy"} <= set(cell["seconds"])
        assert cell["missing"] == {} or cell["dtype"] == "float16", cell
        assert "torch" in cell["seconds"] or cell["dtype"] == "float16"


def test_scipy_is_asked_for_what_it_has(results: dict[str, Any]) -> None:
    asked = {one["function"] for one in results["cases"] if "SciPy" in one.get("seconds", {})}
    assert {"softmax", "logsumexp", "sigmoid", "entropy", "kl_divergence"} <= asked


class TestNumpyThatIsWrong:
    @pytest.fixture(autouse=True)
    def _wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = NUMPY["sigmoid"]
        monkeypatch.setitem(NUMPY, "sigmoid", lambda z: 1.2 * right(z))

    def measured(self, dtype: str) -> dict[str, Any]:
        subject = Subject("sigmoid", "plain", ("logits",), {}, {})
        return everything.cell(subject, Data((3, 2), dtype), ("NumPy",), 0.0)

    def test_stops_the_run(self) -> None:
        with pytest.raises(ArithmeticError, match="sigmoid/plain/value float32"):
            self.measured("float32")

    def test_is_told_in_float16(self) -> None:
        assert "off by 20" in self.measured("float16")["missing"]["NumPy"]


def test_a_library_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("not implemented for Half")

    monkeypatch.setitem(everything.PEERS, "torch", refuse)
    subject = Subject("sigmoid", "plain", ("logits",), {}, {})
    cell = everything.cell(subject, Data((3, 2), "float16"), ("torch",), 0.0)
    assert cell["missing"] == {"torch": "not implemented for Half"}
    assert set(cell["seconds"]) == {"crossent"}


# --- odd data and borders ----------------------------------------------------------------------


def test_a_mask_leaves_the_label_and_the_soft_target() -> None:
    data = Data((40, 6), "float32")
    masked = next(odd.data for odd in everything_cases.odd_data(data) if odd.name == "half −∞")
    dropped = np.isneginf(masked.logits)
    assert 0.3 < dropped.mean() < 0.6
    assert not np.take_along_axis(dropped, data.labels[:, None], axis=1).any()
    assert (masked.soft[dropped] == 0).all()
    assert (np.isneginf(masked.q_logits) == dropped).all()


@pytest.mark.parametrize("subject", everything_cases.on_odd_data(), ids=lambda one: one.name)
def test_a_loss_of_odd_data_is_finite(subject: Subject) -> None:
    data = Data((40, 6), "float64")
    meant = [one for one in everything_cases.odd_data(data) if is_meant(one, subject)]
    assert meant
    for odd in meant:
        call = everything.our_call(subject, odd.data)
        value = call()[0] if subject.gradient else call()
        is_log = subject.function in {"log_softmax", "log_sigmoid"}
        assert np.isfinite(value).all() or (is_log and odd.name == "half −∞"), odd.name
        arrays = zip(*(subject.inputs(one)[0] for one in (data, odd.data)), strict=True)
        assert not all(np.array_equal(plain, other) for plain, other in arrays)


def test_borders_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spans, "LARGE", 500)
    monkeypatch.setattr(_spans, "NEWEST", 77, raising=False)
    borders = everything_cases.borders()
    assert borders["LARGE"] == (500, False)
    assert borders["NEWEST"] == (77, False)
    assert borders["ROWS"] == (_spans.ROWS, True)
    assert borders["SCRATCH / 4"] == (_spans.SCRATCH // 4, False)
    numbers = {
        name
        for name, value in vars(_spans).items()
        if name.isupper() and type(value) is int and name != "ROOMS"
    }
    assert {name.partition(" ")[0] for name in borders} == numbers


@pytest.mark.parametrize("elementwise", [False, True])
def test_sizes_differ_by_one_element_or_one_row(elementwise: bool) -> None:
    shapes = everything_cases.border_shapes(500, is_rows=False, elementwise=elementwise)
    assert shapes[0] == [(1, 499), (1, 500), (1, 501)]
    assert shapes[1:] == ([] if elementwise else [[(49, 10), (50, 10), (51, 10)]])
    rows = everything_cases.border_shapes(500, is_rows=True, elementwise=elementwise)
    assert rows == [[(499, 2), (500, 2), (501, 2)]]


# --- the page ----------------------------------------------------------------------------------


def sections(page: str) -> dict[str, str]:
    return dict(part.split("\n", 1) for part in f"\n{page}".split("\n## ")[1:])


def test_every_record_has_a_row_on_the_page(results: dict[str, Any], page: str) -> None:
    told = sections(page)
    functions = dict(part.split("\n", 1) for part in told["Functions"].split("\n### ")[1:])
    titles = {"linear": "Loss of a linear layer", "threads": "Two threads"}
    for one in results["cases"]:
        group, name = one["group"], everything_page.subject(one)
        if group == "cell":
            row = f"| {everything_page.option(one)} | {one['dtype']} |"
            assert row in functions[one["function"]]
        elif group in titles:
            assert f"| {name} | {one['dtype']} |" in told[titles[group]]
        elif group == "memory":
            assert f"| {name} |" in told["Peak memory"]
        elif group != "border":  # of which only the worst are told
            title = {"cliff": "Cliffs", "compiled": "Beside compiled torch"}[group]
            assert f"| {everything_page.label(one)} |" in told[title]
    assert told["Borders"].count("\n| ") == 1 + 20


def test_the_page_begins_with_all_bars(page: str) -> None:
    first, *_ = told = sections(page)
    assert first == "Bars"
    assert all(f"| {bar.what} |" in told["Bars"] for bar in BARS)


def test_page_names_machine_and_versions(results: dict[str, Any], page: str) -> None:
    told = (*results["machine"].values(), *results["versions"].values(), results["date"])
    assert all(word in page for word in told)


def test_what_is_missing_is_told_once_with_its_reason() -> None:
    without = [{**record(crossent=1.0, NumPy=2.0), "missing": {"torch": "no Half"}}] * 2
    assert list(everything_page.missing(without)) == [
        "- torch: no Half (softmax float32 (1000, 100) and 1 more)"
    ]


@pytest.mark.parametrize(("ours", "verdict"), [(1.0, "kept"), (1.01, "**missed**")])
def test_a_bar_that_is_missed_is_told(ours: float, verdict: str) -> None:
    records = [record(crossent=0.5, NumPy=1.0), record(crossent=ours, NumPy=1.0)]
    what, bound, worst, where, missed, told = BARS[0].line(records)
    assert (what, bound, told) == ("activations / NumPy", "≤ 1", verdict)
    assert worst == f"{ours:.2f}"
    assert where == "softmax float32 (1000, 100)"
    assert missed == ("0 of 2" if verdict == "kept" else "1 of 2")
    summary = everything_page.summary({"cases": records})
    assert ("## Bars missed" in summary) == (verdict != "kept")
    assert ("**" in everything_page.cell(records[1])) == (verdict != "kept")


def test_a_bar_that_is_a_least_takes_the_smallest() -> None:
    bar = next(bar for bar in BARS if bar.at_least)
    records = [
        {**record(), "group": "threads", "seconds": {"1": 3.0, "2": two}} for two in (1.0, 2.5)
    ]
    assert bar.line(records)[2:] == ("1.20", "softmax float32 (1000, 100)", "1 of 2", "**missed**")


def test_a_bar_without_records_is_not_measured() -> None:
    assert BARS[0].line([])[-1] == "not measured"


def ratio(one: dict[str, Any]) -> float:
    return next(everything_page.to_numpy(one)).ratio


def test_a_sparse_loss_of_probabilities_is_held_against_two_sums() -> None:
    name = "sparse_categorical_cross_entropy"
    assert ratio(record(name, crossent=3.0, NumPy=0.1, sum=1.0)) == 1.5
    assert ratio(record(name, crossent=3.0, NumPy=4.0, sum=1.0)) == 0.75


@pytest.mark.parametrize("function", sorted(FUNCTIONS - {"linear_cross_entropy"}))
def test_every_function_has_a_bar(function: str) -> None:
    one = record(function, crossent=1.0, NumPy=1.0)
    assert len([bar for bar in everything_page.BESIDE_NUMPY if list(bar.of(one))]) == 1


def test_the_worst_are_those_that_miss_their_bars_by_most() -> None:
    records = [
        record("kl_divergence", crossent=4.0, NumPy=1.0),
        record("softmax", crossent=3.0, NumPy=1.0),
    ]
    rows = list(everything_page.worst_cells(records))[2:4]
    assert [row.split(" | ")[:2] for row in rows] == [["| 3.00", "1"], ["| 4.00", "3"]]


def test_growth_is_what_is_added_beyond_the_result() -> None:
    sizes = [
        {"peak": 130, "input": 100, "result": 50},
        {"peak": 250, "input": 200, "result": 100},
    ]
    rows = list(everything_page.memory([{**record(), "bytes": sizes}]))
    assert "| softmax | (1000, 100) | 1.30 | 2.60 | 0.70 |" in rows


class TestMain:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        empty: dict[str, Any] = dict.fromkeys(TINY._fields, ())
        small = {"shapes": ((32, 10),), "dtypes": ("float32",), "peers": ("NumPy",)}
        plan = Plan(**{**empty, **small, "most_at_borders": 0, "budget": 0.0})
        for name, value in (("FULL", plan), ("QUICK", plan), ("ROUNDS", (1, 1))):
            monkeypatch.setattr(everything, name, value)
        monkeypatch.setattr(everything, "RESULTS", tmp_path / "everything.json")
        monkeypatch.setattr(everything, "PAGE", tmp_path / "everything.md")
        threads = crossent.get_num_threads()
        yield
        crossent.set_num_threads(threads)
        gc.enable()

    def run(self, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
        monkeypatch.setattr(sys, "argv", ["everything.py", *options])
        everything.main()

    def test_writes_results_and_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run(monkeypatch)
        results = json.loads(everything.RESULTS.read_text(encoding="utf-8"))
        assert everything.PAGE.read_text(encoding="utf-8") == everything_page.page(results)
        assert len(results["cases"]) == len(list(everything_cases.subjects()))

    def test_quick_prints_what_is_worst_and_writes_nothing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.run(monkeypatch, "--quick")
        assert "## The worst ratios to NumPy" in capsys.readouterr().out
        assert not everything.RESULTS.exists()

    def test_a_part_is_printed_and_kept_where_it_is_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        part = tmp_path / "part.json"
        self.run(monkeypatch, "--only", "cell/softmax", "--json", str(part))
        assert [one["function"] for one in json.loads(part.read_text())["cases"]] == ["softmax"]
        out, told = capsys.readouterr()
        assert "### softmax" in out
        assert "cell float32 (32, 10)" in told
        assert not everything.PAGE.exists()


def test_the_committed_page_is_of_these_functions_and_bars() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for function in FUNCTIONS - {"linear_cross_entropy"}:
        assert f"### {function}\n" in page
    for bar in BARS:
        assert f"| {bar.what} |" in page
    for subject in SUBJECTS:
        assert f"| {subject.option} |" in page or subject.function == "linear_cross_entropy"
