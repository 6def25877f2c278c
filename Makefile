# make book   build the book        make test   the whole test suite       make help   everything else
PYTHON ?= python3
SCALE ?= laptop
JOBS ?=
PAGE ?= overparameterization/linear-gaussian
BIN := .venv/bin
READY := .venv/.ready
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python
IMPORTED = torch, torchvision, sklearn.datasets, scipy.stats, matplotlib.pyplot, ipykernel.kernelapp, papermill, jupytext
BUILD = $(BIN)/prunekit build --scale $(SCALE) $(if $(JOBS),--jobs $(JOBS))

unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help book page serve release sizes test bench lint picture pdf notebooks reference costs calibration house lock clean distclean

help:
	@echo 'make book [SCALE=smoke|laptop|paper] [JOBS=n]   execute what changed, build the site under _build/html; JOBS: all cores'
	@echo 'make page PAGE=chapter/topic [SCALE=...]        execute and build one page, under _build/page'
	@echo 'make serve                                      serve _build/html and open it'
	@echo 'make pdf                                        the book as one PDF, under _build/release; needs a Chromium'
	@echo 'make notebooks                                  the pages as notebooks for Colab and Binder, under _build/notebooks'
	@echo 'make release                                    the site as one file, the PDF, and their checksums, under _build/release'
	@echo 'make sizes                                      how heavy the site is, how fast its heaviest pages load from the disk'
	@echo 'make test [JOBS=n]                              the whole test suite, site checks included; JOBS: one more than cores'
	@echo 'make bench                                      speed, as ratios measured in one run'
	@echo 'make lint                                       ruff and mypy, on the library and on the code of the pages'
	@echo 'make reference                                  rewrite the reference notebooks under tests/reference'
	@echo 'make costs                                      record what each page costs, from the runs that are there'
	@echo 'make calibration                                count how often the error bars hold the truth, for the book'
	@echo 'make house                                      measure rooms, imports and pages, for the page on architecture'
	@echo 'make lock                                       pin what pyproject.toml asks for, keeping the versions there are'
	@echo 'make picture                                    copy the README'"'"'s picture out of the book'
	@echo 'make clean | distclean                          remove what was built | and the virtual environment'

# The stamp is older than the pins when they changed; an installer with nothing to do would cost seconds at every call.
# uv installs the pins, itself installed from them by pip; where that fails (no wheel of uv for this system, an index that
# only pip's settings name), pip does it all. Both refuse a file whose checksum is not the pinned one. Python keeps what it
# compiled the first time, also where it is told not to: every kernel would else compile its imports again, which takes it
# longer than a small page. What all kernels import is imported once here, or the first kernels compile it side by side.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.11 ...'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[^ ]/ {own = /^uv==/} own' requirements.txt > .venv/uv.txt
	@echo 'installing the pinned packages into .venv'
	@$(PIP) --require-hashes -r .venv/uv.txt && $(UV) --require-hashes -r requirements.txt \
	  || { echo 'uv cannot install here; pip does, which takes some minutes'; $(PIP) --require-hashes -r requirements.txt; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'import $(IMPORTED)'
	@touch $@

book: $(READY)
	@$(BUILD)

page: $(READY)
	@$(BUILD) --page $(PAGE)

serve: $(READY)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000 & server=$$!; trap "kill $$server" EXIT INT; sleep 1; $(BIN)/python -m webbrowser http://127.0.0.1:8000/; wait $$server

pdf: book
	@$(BIN)/python -m prunekit.book.site.pdf

notebooks: $(READY)
	@$(BIN)/python -m prunekit.book.site.online

release: pdf
	@$(BIN)/python -m prunekit.book.site.archive

sizes: book
	@$(BIN)/python -m tests.benchmarks.site

test: $(READY)
	@$(BIN)/python -m pytest --numprocesses $(or $(JOBS),auto)

bench: $(READY)
	@$(BIN)/python -m tests.benchmarks

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/python -m tests.house.cells

picture: book
	@$(BIN)/python -m prunekit.book.site.picture overparameterization/linear-gaussian fig-3b book/_static

reference: $(READY)
	@$(BIN)/python -m tests.book.notebooks.reference

costs: $(READY)
	@$(BIN)/python -m prunekit.book.site.costs

calibration: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.calibration

house: $(READY)
	@$(BIN)/python -m tests.house.measures

lock: $(READY)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-annotate --custom-compile-command 'make lock' --output-file requirements.txt pyproject.toml

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
