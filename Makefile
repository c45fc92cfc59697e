# `make` alone explains itself. A command that needs .venv makes it first: all it takes
# is a Python from 3.11 to 3.13 with venv, and the internet, once.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	>/dev/null 2>&1 && echo $$p && break; done)
NOTEBOOKS ?=
TESTS ?=
FAULTS ?=
NAME ?=
PARTS ?= speed encryption heart scale exchange tables network

PY := .venv/bin/python
MADE := .venv/made
CORES := $(shell nproc)
MAKE += --no-print-directory
PIP := -m pip --disable-pip-version-check -qq install --no-deps
UV := 0.13.9
COMPILE := .cache/uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

# Every notebook, the longest first, so that they begin first.
FOUND := $(basename $(notdir $(sort $(wildcard notebooks/source/[0-9][0-9]_*.py))))
LONG := $(foreach number,09 04 07 06 05 02 08,$(filter $(number)_%,$(FOUND)))
# 12 needs an engine, which is heavy, and which `make network` gets.
LEFT_OUT := $(if $(wildcard .venv-network/made),,$(filter 12_%,$(FOUND)))
NAMES := $(LONG) $(filter-out $(LONG) $(LEFT_OUT),$(FOUND))
EXECUTED := $(NAMES:%=.cache/notebooks/%.ipynb)
SOLVED := $(NAMES:%=.cache/solutions/%.ipynb)
DRAWING := $(filter-out .cache/notebooks/00_%,$(EXECUTED))
chosen = $(foreach name,$(NOTEBOOKS),$(or $(filter $(name) $(name)_%,$(FOUND)),$(error There is no notebook $(name))))

.DEFAULT_GOAL := help
.PHONY: help figures published test sabotage lab play notebooks handouts report study site site-check slides bench data lock \
	colab-check network dist release clean

help:  ## this list
	@echo "fedkit: learn, teach and check privacy-preserving federated learning for hospitals."
	@echo
	@awk -F': .*## ' '/^[a-z-]+: .*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "NOTEBOOKS=\"02 03\" narrows notebooks, handouts, play and colab-check; TESTS=tests/test_hospitals.py narrows test;"
	@echo "FAULTS=\"aggregators.py\" narrows sabotage; NAME=schools builds a data set."

figures: $(MADE)  ## every figure of the report, in figures/: runs notebooks 01 to 15 where something changed
	@$(if $(LEFT_OUT),echo "$(LEFT_OUT) is left out: its engine is not here (make network gets it).")
	@$(MAKE) -q $(DRAWING) || echo "Executing what changed, $(CORES) notebooks at a time ..."
	@$(MAKE) -s -j$(CORES) $(DRAWING)
	@echo "figures/ is up to date."

test: $(MADE)  ## unit tests, and every notebook at its smoke profile with its golden numbers
	@OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(PY) -m pytest -n $(CORES) --dist worksteal $(TESTS)

sabotage: $(MADE)  ## break fedkit in hundreds of places, one at a time: each must turn a test red
	@$(PY) tests/sabotages.py $(FAULTS)

lab: $(MADE)  ## open JupyterLab on the notebooks
	@cd notebooks && PYDEVD_DISABLE_FILE_VALIDATION=1 ../.venv/bin/jupyter lab

notebooks: $(MADE)  ## build the notebooks from notebooks/source, execute them in full, and write them
	@$(MAKE) -s -j$(CORES) PUBLISHED="$(or $(chosen),$(NAMES))" published

published: $(PUBLISHED:%=.cache/notebooks/%.ipynb) $(PUBLISHED:%=.cache/solutions/%.ipynb)
	@cp $(PUBLISHED:%=.cache/notebooks/%.ipynb) notebooks
	@cp $(PUBLISHED:%=.cache/solutions/%.ipynb) notebooks/solutions

handouts: $(MADE)  ## notebooks without outputs in build/handouts, to give out; with solutions in build/solutions
	@rm -rf build/handouts build/solutions
	@$(PY) notebooks/tools handout $(chosen)

report: figures  ## one HTML page with every figure, its numbers, and what computed them
	@PYTHONPATH=notebooks $(PY) -m tools.report

# Executed again where something newer is: what is named here, and in the rules that each run leaves (running.make).
-include $(EXECUTED:.ipynb=.mk) $(SOLVED:.ipynb=.mk)

$(EXECUTED) $(SOLVED): requirements.lock $(shell find data -type f -not -name '*.pyc') | $(MADE)

$(EXECUTED): .cache/notebooks/%.ipynb: notebooks/source/%.py
	@$(PY) notebooks/tools make $*

$(SOLVED): .cache/solutions/%.ipynb: notebooks/source/%.py
	@$(PY) notebooks/tools make $* --solutions

play: $(MADE)  ## run the notebooks with settings that a reader might try, at the smoke profile: an hour
	@$(PY) notebooks/tools play $(or $(chosen),$(NAMES))

site: .venv-site/made  ## the course as a site in build/site, from the stored notebooks: a minute
	@PYTHONPATH=notebooks .venv-site/bin/python -m tools.pages .cache/site
	@rm -rf build/site
	@.venv-site/bin/sphinx-build -q -W --keep-going -c notebooks/site -d .cache/doctrees .cache/site build/site
	@echo "build/site is made. To read it: python -m http.server --bind 127.0.0.1 --directory build/site"

site-check: site slides  ## look at the site in Chromium: links, words of pictures, widths, a quiz, and axe
	@.venv-site/bin/python tests/browser/look.py

slides: .venv-site/made  ## a deck a notebook for the projector, in build/slides: no network is needed to show them
	@PYTHONPATH=notebooks .venv-site/bin/python -m tools.slides .cache/slides
	@rm -rf build/slides
	@.venv-site/bin/sphinx-build -q -W --keep-going -t slides -b revealjs -c notebooks/site -d .cache/decktrees .cache/slides build/slides
	@echo "build/slides is made: open build/slides/index.html"

.venv-site/made: notebooks/site/site.lock
	@rm -rf .venv-site
	@$(PYTHON) -m venv .venv-site
	@.venv-site/bin/python $(PIP) -r $<
	@touch $@

study: $(MADE)  ## compute the tables of data/grids where what they follow from has changed: up to an hour
	@PYTHONPATH=.:notebooks $(PY) -m tools.study

bench: $(MADE)  ## how fast a round is, and what encryption costs, beside others: ten minutes (PARTS="encryption": only that)
	@for part in $(PARTS); do $(PY) tests/bench/$$part.py || exit 1; done

data: $(MADE)  ## check the card, licence and hashes of every data set (NAME=schools: build that one first)
	@PYTHONPATH=. TF_CPP_MIN_LOG_LEVEL=3 $(PY) data/verify.py $(NAME)

lock: .cache/uv/bin/uv  ## pin what pyproject.toml asks for (UPGRADE=--upgrade: the newest that fits)
	@echo "Pinning requirements.lock, fedkit/compat/runtime.lock, fedkit/network/network.lock, notebooks/site/site.lock ..."
	@$(COMPILE) $(UPGRADE) --all-extras pyproject.toml -o requirements.lock
	@$(COMPILE) $(UPGRADE) -c requirements.lock pyproject.toml -o fedkit/compat/runtime.lock
	@$(COMPILE) $(UPGRADE) -c requirements.lock --group network -o fedkit/network/network.lock
	@$(COMPILE) $(UPGRADE) --group site -o notebooks/site/site.lock

colab-check: $(MADE)  ## run the notebooks as Google Colab would, on its runtime and the one before (NEWEST=1: the newest of all)
	@PYTHONPATH=notebooks NEWEST=$(NEWEST) $(PY) tests/colab/check.py $(NOTEBOOKS)

# Twice: the wheel from the sdist, and from here; each file must come out the same, to the byte. Their day is the release's.
BUILD = SOURCE_DATE_EPOCH=$$(date -ud "$$(sed -n 's/^date-released: //p' CITATION.cff)" +%s) .cache/uv/bin/uv build -q \
	--python .cache/uv/bin/python

dist: .cache/uv/bin/uv  ## the release, in dist/: wheel and sdist, the same bytes each time
	@rm -rf dist .cache/dist
	@$(BUILD) --out-dir dist
	@$(BUILD) --out-dir .cache/dist --sdist --wheel
	@for file in dist/fedkit-*; do cmp $$file .cache/$$file || exit 1; ls -sh $$file; done

release: dist $(MADE)  ## try it: in an empty environment on Python 3.11, 3.12 and 3.13, with notebook 00
	@PYTHONPATH=notebooks $(PY) tests/colab/release.py

network: .venv-network/made  ## ten rounds over mutual TLS on this machine: a server and four hospitals, five processes
	@$(PY) tests/bench/network.py --kills 0 real

.venv-network/made: fedkit/network/network.lock fedkit/__init__.py | $(MADE)
	@rm -rf .venv-network
	@$(PY) -m fedkit.network.environment

clean:  ## remove what can be made again, except the environments and figures/
	@rm -rf .cache .hypothesis .pytest_cache .ruff_cache build dist
	@find fedkit tests data notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

$(MADE): requirements.lock pyproject.toml fedkit/__init__.py
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found. Install one (Debian: apt install \
	python3.11-venv), or name it: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@echo "Making .venv with $(PYTHON) (the first time, about two minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(PY) $(PIP) --ignore-requires-python -r requirements.lock
	@$(PY) $(PIP) -e .
	@rm -rf .cache/runs
	@touch $@

.cache/uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found."; exit 1; }
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python $(PIP) uv==$(UV)
