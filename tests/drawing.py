"""What a reader of an interactive figure can read in it, after its sliders were moved."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

# Draws the figure as the site does, after its sliders were moved; prints what can be read in it.
DRAW = """
const vega = require("vega");
const { spec, signals } = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const complain = (...message) => { throw new Error(message.join(" ")); };
const logger = { level: () => logger, error: complain, warn: complain, info() {}, debug() {} };
const compiled = require("vega-lite").compile(spec, { logger }).spec;
const view = new vega.View(vega.parse(compiled), { logger });
for (const [name, value] of Object.entries(signals)) view.signal(name, value);
view.toSVG().then((svg) => process.stdout.write(svg));
"""


def readable(spec: dict[str, Any], signals: dict[str, Any]) -> list[str]:
    """Return the texts in the drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn(spec, signals))


def drawn(spec: dict[str, Any], signals: dict[str, Any]) -> str:
    """Return the drawing as SVG, 700 pixels wide."""
    node = shutil.which("node", path=Path(sys.executable).parent) or shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "vega-lite").is_dir():
        assert not os.environ.get("CI"), "CI needs Node and node_modules: run `make book` first"
        pytest.skip("needs Node and node_modules: run `make book` first")
    run = subprocess.run(
        [node, "-e", DRAW],
        input=json.dumps({"spec": spec | {"width": 700}, "signals": signals}),  # no container here
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert "NaN" not in run.stdout
    return run.stdout
