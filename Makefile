# `make book` and `make test` set up everything they need; Python 3.11 is all they expect. TORCH=cpu: PyTorch without CUDA.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: book pdf archive test notebooks bench harden audit clean

book:
	@$(PYTHON) -m paper_code.book build

# The book for reading on paper and for passing on: below _build/. The PDF is printed by Chromium.
pdf archive: book
	$(BIN)/python -m paper_code.book $@

test:
	@$(PYTHON) -m paper_code.book test

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

# Known vulnerabilities of the installed packages; asks pypi.org.
audit: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(BIN)/pip-audit --local --skip-editable

.venv/installed: pyproject.toml .github/requirements.txt
	@$(PYTHON) -m paper_code.book set-up

clean:
	rm -rf _build .venv
