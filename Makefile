# make book   build the book        make test   the whole test suite       make help   everything else
PYTHON ?= python3
SCALE ?= laptop
JOBS ?= 1
PAGE ?= overparameterization/linear-gaussian
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help book page serve test bench lint picture reference clean distclean

help:
	@echo 'make book [SCALE=smoke|laptop|paper] [JOBS=n]   execute what changed, build the site under _build/html'
	@echo 'make page PAGE=chapter/topic [SCALE=...]        execute and build one page, under _build/page'
	@echo 'make serve                                      serve _build/html and open it'
	@echo 'make test                                       the whole test suite, site checks included'
	@echo 'make bench                                      speed, as ratios measured in one run'
	@echo 'make lint                                       ruff and mypy'
	@echo 'make reference                                  rewrite the reference notebooks under tests/reference'
	@echo 'make picture                                    copy the README'"'"'s picture out of the book'
	@echo 'make clean | distclean                          remove what was built | and the virtual environment'

# The stamp is older than the pins when they changed; pip with nothing to do would cost seconds at every call.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.11 ...'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

book: $(READY)
	@$(BIN)/prunekit build --scale $(SCALE) --jobs $(JOBS)

page: $(READY)
	@$(BIN)/prunekit build --scale $(SCALE) --jobs $(JOBS) --page $(PAGE)

serve: $(READY)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000 & server=$$!; trap "kill $$server" EXIT INT; sleep 1; $(BIN)/python -m webbrowser http://127.0.0.1:8000/; wait $$server

test: $(READY)
	@$(BIN)/python -m pytest

bench: $(READY)
	@$(BIN)/python -m tests.benchmarks

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

picture: book
	@$(BIN)/python -m prunekit.site.picture overparameterization/linear-gaussian fig-3b book/_static

reference: $(READY)
	@$(BIN)/python -m tests.notebooks.reference

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
