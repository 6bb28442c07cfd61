# `make book` and `make test` set up everything they need; Python 3.11 is all they expect.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: book pdf archive test notebooks bench harden lighthouse audit clean

# Executes the notebooks and builds the pages that have changed since the last time. A page with a warning is kept by
# Sphinx as read, so that the next try would be silent: then all pages are read again.
book: .venv/installed
	$(BIN)/python -m paper_code.book execute
	$(BIN)/jupyter-book build _build/book --config _config.yml --path-output . -W --keep-going -q || \
		{ rm -rf _build/.doctrees; exit 1; }
	@echo "The book: $(CURDIR)/_build/html/index.html"

# The book for reading on paper and for passing on: below _build/. The PDF is printed by Chromium.
pdf archive: book
	$(BIN)/python -m paper_code.book $@

test: .venv/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pytest --numprocesses 2 --dist loadfile
	$(BIN)/pytest --nbval book --numprocesses 2 --dist loadfile

# Execute the notebooks at their defaults and refresh the committed outputs and figures.
notebooks: .venv/installed
	$(BIN)/python -m paper_code.book refresh

# Training throughput beside a loop over the sets, DeepCTR-Torch and FuxiCTR: half an hour to an hour on 2 cores.
bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python tests/benchmarks/training.py --csv _build/bench/training.csv

# Kill a sweep a hundred times and read a hundred thousand damaged files: some ten minutes.
harden: .venv/installed
	$(BIN)/python -m tests.killing --kills 100 --csv figures/data/faults_killing.csv
	$(BIN)/python -m tests.fuzz --number 100000 --seconds 3600 --csv figures/data/faults_fuzz.csv

# Lighthouse on every page, by npx and Chromium: some twenty minutes on an idle machine.
lighthouse: book
	$(BIN)/python -m tests.book.lighthouse

# Known vulnerabilities of the installed packages; asks pypi.org.
audit: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(BIN)/pip-audit --local --skip-editable

# Anew, as what an earlier try with another Python has left there would stay beside it.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed, this is " + \
		sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf _build .venv
