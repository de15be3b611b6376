"""Run the book and the agreement tests with the newest releases of the libraries that it quotes.

Each notebook runs in a process of its own with a time limit, so that a crash or a hang becomes a
line of the report and not its end. The report says in words what has changed: the notebook, the
cell, what it showed and what it shows now. Usage: ``python .ci/drift.py [notebook ...]``
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
WATCHED = ("torch", "tensorflow", "keras", "jax", "optax", "scikit-learn", "scipy", "matplotlib")
REQUIREMENTS = ("requirements.txt", "requirements-book.txt")
CELL_LIMIT, NOTEBOOK_LIMIT, TESTS_LIMIT = 120, 600, 1800  # seconds
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def shown(cell: Any) -> str:
    """Return what a cell shows as text; of a picture only that there is one."""
    if "nbval-ignore-output" in cell.metadata.get("tags", []):
        return ""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append(f"{output.ename}: {output.evalue}")
        else:
            kinds = output.data
            parts.append(kinds.get("text/markdown", kinds.get("text/plain", "")))
    return "".join(parts)


def differences(path: Path) -> Iterator[str]:
    """Execute a notebook in this process and yield what its cells show differently."""
    before, after = (nbformat.read(path, as_version=4) for _ in range(2))  # type: ignore[no-untyped-call]
    place = {"metadata": {"path": path.parent}}
    client = NotebookClient(
        after, timeout=CELL_LIMIT, allow_errors=True, coalesce_streams=True, resources=place
    )
    try:
        client.execute()
    except DeadKernelError:
        yield f"- **{path.name}**: the process crashed {last_cell(before, after)}."
    except CellTimeoutError:
        yield f"- **{path.name}**: more than {CELL_LIMIT} s {last_cell(before, after)}."
    for old, new in zip(before.cells, after.cells, strict=True):
        if old.cell_type != "code" or new.get("execution_count") is None:
            continue
        if shown(old) != shown(new):
            lines = difflib.ndiff(shown(old).splitlines(), shown(new).splitlines())
            changed = [line for line in lines if line[0] in "-+"]
            yield "\n".join([f"- **{path.name}**, cell `{old.id}`:", "```diff", *changed, "```"])


def last_cell(before: Any, after: Any) -> str:
    """Say where the execution ended."""
    done = [cell.id for cell in after.cells if cell.get("execution_count") is not None]
    return f"in or after cell `{done[-1]}`" if done else f"in cell `{before.cells[0].id}`"


def examine(path: Path) -> list[str]:
    """Return what has changed in a notebook, found by a process of its own."""
    command = [sys.executable, __file__, "--notebook", str(path)]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=NOTEBOOK_LIMIT
        )
    except subprocess.TimeoutExpired:
        return [f"- **{path.name}**: not finished after {NOTEBOOK_LIMIT} s."]
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return [f"- **{path.name}**: could not be executed ({why[0]})."]
    return [done.stdout.strip()] if done.stdout.strip() else []


def agreement() -> list[str]:
    """Return the agreement tests that fail now, or that the tests crashed or hung."""
    tests = ["tests/test_agreement.py", "tests/test_tabs.py"]
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TESTS_LIMIT, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return [f"- The agreement tests were not finished after {TESTS_LIMIT} s."]
    failed = re.findall(r"^(?:FAILED|ERROR) (.+)$", done.stdout, re.MULTILINE)
    if done.returncode and not failed:
        return [f"- The agreement tests crashed (exit status {done.returncode})."]
    return [f"- {line}" for line in failed]


def newest() -> Path:
    """Make an environment with the newest releases of what is watched; return its Python."""
    folder = ROOT / ".venv-drift"
    venv.create(folder, clear=True, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS)
    pins = re.findall(r"^([\w-]+)(==\S+)", text, re.MULTILINE)
    wanted = [name if name in {*WATCHED, "numpy"} else name + pin for name, pin in pins]
    install = [python, "-m", "pip", "install", "--quiet", "-e", f"{ROOT}[book]", *wanted]
    subprocess.run(install, check=True)
    return python


def report(paths: list[Path]) -> None:
    """Print what has changed, as Markdown."""
    print("# Drift\n\nWith " + ", ".join(f"{name} {version(name)}" for name in WATCHED) + ".\n")
    print("## Notebooks\n", flush=True)
    changed = [line for path in paths for line in examine(path)]
    print(*changed or ["Every cell shows what it showed."], sep="\n")
    print("\n## Agreement tests\n", flush=True)
    print(*agreement() or ["All pass."], sep="\n")


def main(arguments: list[str]) -> None:
    """Make the environment, and there the report."""
    os.environ.update(ENVIRONMENT)
    if arguments[:1] == ["--notebook"]:
        print(*differences(Path(arguments[1])), sep="\n")
    elif arguments[:1] == ["--report"]:
        report([Path(name) for name in arguments[1:]])
    else:
        names = arguments or sorted(map(str, (ROOT / "book").rglob("*.ipynb")))
        subprocess.run([newest(), __file__, "--report", *names], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
