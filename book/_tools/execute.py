"""Execute notebooks in place, each from top to bottom in a clean kernel.

Usage: python book/_tools/execute.py book/course/entropy.ipynb ...
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> None:
    """Run the notebook; save its outputs and nothing that differs from machine to machine."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        coalesce_streams=True,  # else a slow cell's lines are saved in pieces
        resources={"metadata": {"path": path.parent}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)  # time stamps
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if output.get("name") == "stderr":
                message = f"{path}: cell {cell.id} writes to stderr, so it needs repair:"
                raise SystemExit(f"{message}\n{output.text}")
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


for name in sys.argv[1:]:
    execute(Path(name))
    print(name)
