"""Run the package's tests with the oldest NumPy that it promises, and the newest.

On every Python from 3.11 on that is found here; what is absent is skipped with a sentence. With
``--here``, on the Python that runs this. The tests are those that need no other library.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST_PYTHON, NEWEST_PYTHON = 11, 15
NEEDED = {"crossent", "hypothesis", "mpmath", "numpy", "pytest", "tests"}
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}


def interpreters() -> dict[str, str]:
    """Return the Pythons of this machine by version: on the path, and those of pyenv."""
    found = {}
    for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1):
        version = f"3.{minor}"
        candidates = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        if on_path := shutil.which(f"python{version}"):
            candidates.append(Path(on_path))
        working = [path for path in candidates if runs(path)]
        if working:
            found[version] = str(working[0])
        elif minor < NEWEST_PYTHON:
            print(f"Python {version} is not on this machine: skipped.")
    return found


def runs(path: Path) -> bool:
    """Say whether this is a Python that can make virtual environments."""
    done = subprocess.run([path, "-c", "import venv"], check=False, capture_output=True)
    return done.returncode == 0


def imports(path: Path) -> set[str]:
    """Return the libraries that a test file imports, also through other files of the tests."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "tests." * bool(node.level) + (node.module or "")
            names = [base, *(f"{base.rstrip('.')}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            # The figures are an extra with requirements of its own.
            found.add("figures" if name.startswith("crossent.figures") else name.partition(".")[0])
            inner = ROOT / f"{name.replace('.', '/')}.py"
            if name.startswith("tests.") and inner.exists():
                found |= imports(inner)
    return found - sys.stdlib_module_names


def tests() -> list[str]:
    """Return the test files that need nothing but NumPy and what they test with."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(path) for path in files if imports(path) <= NEEDED and "crossent" in imports(path)]


def pinned(*names: str) -> list[str]:
    """Return requirements as requirements.txt pins them."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return re.findall(rf"^(?:{'|'.join(names)})==\S+", text, re.MULTILINE)


def check(python: str, resolution: str) -> str:
    """Test in an environment of its own; return the version of NumPy and how it went."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([uv, "venv", "--quiet", "--python", python, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", folder, "--only-binary", ":all:"]
        packages = ["numpy>=2.0", *pinned("hypothesis", "mpmath", "pytest")]
        subprocess.run([*install, "--resolution", RESOLUTIONS[resolution], *packages], check=True)
        inside = str(Path(folder, "Scripts/python.exe" if os.name == "nt" else "bin/python"))
        numpy = [inside, "-c", "import numpy; print(numpy.__version__)"]
        version = subprocess.run(numpy, check=True, capture_output=True, text=True).stdout.strip()
        command = [inside, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests()]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=False, cwd=ROOT, env=environment)
    return f"{version} {'FAILED' if done.returncode else 'passed'}"


def main() -> None:
    """Test every pair and say how it went."""
    here = {".".join(map(str, sys.version_info[:2])): sys.executable}
    lines = [
        f"Python {version}, {resolution} NumPy {check(python, resolution)}"
        for version, python in (here if "--here" in sys.argv else interpreters()).items()
        for resolution in RESOLUTIONS
    ]
    print(*lines, sep="\n")
    sys.exit(any(line.endswith("FAILED") for line in lines))


if __name__ == "__main__":
    main()
