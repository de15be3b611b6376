"""The benchmark harness, on tiny shapes with the peers that need no framework."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from benchmarks import speed, speed_page
from benchmarks.speed_peers import Answer, Case, Worker
from tests import hard_cases

ACCURACY = Path(__file__).parents[1] / "benchmarks" / "accuracy.md"

pytestmark = pytest.mark.xdist_group("benchmarks")  # one process measures for all tests

SMALL = [
    replace(case, shape=tuple(max(2, size // 1024) for size in case.shape))
    for case in speed.all_cases()
]
CASE = Case("shapes", "sparse", (5, 3), "float32", gradient=True)
PROMISED = Case("shapes", "sparse", (65536, 10), "float32")


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "SAMPLE", 0.0)
        patch.setattr(speed, "PAUSE", 0.0)
        records = speed.run(SMALL, ["crossent", "NumPy", "limit: exp"], Worker, rounds=2)
        yield json.loads(json.dumps(speed.results(records, rounds=2)))


@pytest.fixture(scope="module")
def page(results: dict[str, Any]) -> str:
    return speed_page.page(results)


def test_every_case_is_measured(results: dict[str, Any]) -> None:
    assert sorted(case["name"] for case in results["cases"]) == sorted(case.name for case in SMALL)
    for case in results["cases"]:
        quantity = "traced" if case["group"] == "memory" else "seconds"
        answers = case["peers"].values()
        assert all(quantity in answer or answer["missing"] for answer in answers)
        assert any(quantity in answer for answer in answers) or case["loss"] == "linear"


def test_every_case_has_a_row_in_the_section_of_its_group(
    results: dict[str, Any], page: str
) -> None:
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    titles = {
        "shapes": "One thread",
        "two threads": "Two threads",
        "growth in N": "Growth",
        "growth in V": "Growth",
        "elementwise": "Binary cross-entropy and focal loss",
        "linear": "Loss of a linear layer",
        "small": "Single calls",
        "memory": "Peak extra memory",
    }
    for case in results["cases"]:
        assert f"| {speed_page.label(case)} |" in sections[titles[case["group"]]]
    assert "NumPy" in sections["One thread"]
    assert "NumPy" not in sections["Two threads"]  # it has one thread only


def test_page_names_machine_versions_and_rounds(results: dict[str, Any], page: str) -> None:
    told = (*results["machine"].values(), *results["versions"].values(), results["date"])
    assert results["machine"]["CPU"]
    assert all(word in page for word in (*told, "2 rounds"))


def test_a_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    worker = Worker("SciPy", 1)
    assert "scipy.special" in worker.ask("start")["missing"]
    assert worker.ask("prepare", CASE) == worker.ask("memory", CASE) == worker.ask("start")


def test_what_is_missing_is_told_with_its_reason(page: str) -> None:
    assert "- NumPy: no such function (focal, focal with gradient)" in page


class Wrong(Worker):
    """A peer whose gradient is off by a hundredth."""

    def ask(self, action: str, case: Case | None = None, calls: int = 1) -> Answer:
        answer = super().ask(action, case, calls)
        if action == "prepare":
            answer["numbers"][-1] *= 1.01
        return answer


@pytest.mark.parametrize("case", [CASE, replace(CASE, loss="binary", shape=(40,))])
def test_peers_that_do_not_agree_stop_the_run(case: Case) -> None:
    workers = {"crossent": Worker("crossent", 1), "NumPy": Worker("NumPy", 1)}
    for worker in workers.values():
        worker.ask("start")
    numbers = [worker.ask("prepare", case)["numbers"] for worker in workers.values()]
    assert numbers[0] == pytest.approx(numbers[1], rel=speed.TOLERANCE)
    workers["NumPy"] = Wrong("NumPy", 1)
    workers["NumPy"].ask("start")
    with pytest.raises(ArithmeticError, match=case.loss):
        speed.measure(case, workers, rounds=1)


def test_a_process_answers_as_the_worker_does(tmp_path: Any) -> None:
    worker = Worker("NumPy", 1)
    worker.ask("start")
    with closing(speed.Process("NumPy", 1, str(tmp_path))) as process:
        assert process.ask("start") == {}
        assert process.ask("prepare", CASE)["numbers"] == worker.ask("prepare", CASE)["numbers"]
        assert process.ask("time", calls=3)["seconds"] > 0
        assert process.ask("memory", CASE)["returned"] == 5 * 3 * 4
        with pytest.raises(RuntimeError, match="AssertionError"):
            process.ask("memory")


def timed(case: Case, **seconds: float) -> dict[str, Any]:
    """A record in which the peers took these times."""
    peers = {name.replace("_", " "): {"seconds": [time]} for name, time in seconds.items()}
    return {"name": case.name, **vars(case), "peers": peers}


@pytest.mark.parametrize(("ours", "verdict"), [(0.25, "4 (≥ 4: pass)"), (0.26, "3.85 (≥ 4: fail)")])
def test_bar_is_kept_or_not(ours: float, verdict: str) -> None:
    lines = list(speed_page.promises([timed(PROMISED, crossent=ours, torch_eager=1.0)]))
    assert lines[2].startswith(f"| (65536, 10) float32 | {verdict} | – (≥ 4: not measured)")


def test_worst_case_is_the_one_that_is_named() -> None:
    cases = [
        timed(replace(PROMISED, shape=(rows, 100)), crossent=1.0, SciPy=time)
        for rows, time in ((2000, 3.0), (3000, 0.5), (10, 0.1))  # the last one is too small
    ]
    rows = {bar.what: bar.cells() for bar in speed_page.bars(cases)}
    *_, shown, verdict = rows["one thread, N·V ≥ 10⁵: SciPy / crossent"]
    assert (shown, verdict) == ("0.5 at sparse (3000, 100) float32 value", "fail")
    assert rows["one thread, N·V ≥ 10⁵: NumPy / crossent"][-1] == "not measured"


def test_slope_of_time_that_grows_with_the_square_is_two() -> None:
    cases = [
        timed(replace(PROMISED, group="growth in N", shape=(rows, 10)), crossent=rows**2.0)
        for rows in (10, 20, 40, 80)
    ]
    assert "| growth in N: value | 2.00 |" in list(speed_page.growth(cases))


def test_the_accuracy_page_is_of_these_cases_and_these_versions() -> None:
    families = hard_cases.families()
    page = ACCURACY.read_text(encoding="utf-8")
    assert f"{sum(map(len, families))} hard cases in {len(families)} families" in page
    for family in families:
        assert f"| {family.name} |" in page
    for package in ("numpy", "torch", "tensorflow", "keras", "scipy", "scikit-learn", "mpmath"):
        assert f"{package} {version(package).split('+')[0]}" in page
