# `make book` and `make test` set up everything they need; Python 3.11 is all they expect. TORCH=cpu: PyTorch without CUDA.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
TOOLS := _build/tools/bin

.PHONY: book pdf archive release test notebooks bench bench-commands harden coverage mutants lighthouse audit sbom croissant clean

book:
	@$(PYTHON) -m paper_code.book build

# The book for reading on paper and for passing on: below _build/. The PDF is printed by Chromium.
pdf archive: book
	$(BIN)/python -m paper_code.book $@

# All files of a release in _build/release/, with their sums: built from nothing twice, and held against each other. Some
# twenty minutes.
release: .venv/installed _build/tools/installed
	for round in 1 2; do \
		rm -rf _build/book _build/html _build/.doctrees _build/figures && $(MAKE) pdf archive && \
		$(BIN)/python -m paper_code.book release --to _build/release-$$round --builder $(TOOLS)/python || exit 1; \
	done
	diff -r _build/release-1 _build/release-2
	rm -rf _build/release _build/release-1 && mv _build/release-2 _build/release
	cat _build/release/SHA256SUMS

test:
	@$(PYTHON) -m paper_code.book test

# Execute the notebooks at their defaults and refresh the committed outputs and figures.
notebooks: .venv/installed
	$(BIN)/python -m paper_code.book refresh

# Training throughput beside a loop over the sets, DeepCTR-Torch and FuxiCTR: half an hour to an hour on 2 cores.
bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python tests/benchmarks/training.py --csv _build/bench/training.csv

# How long a reader waits for each command, from `paper-code --help` to this `make test`: half an hour.
bench-commands: .venv/installed
	$(BIN)/python tests/benchmarks/commands.py --csv _build/bench-commands.csv

# Kill a sweep two hundred times, let go wrong what can in a long one (some of it needs root), and read a hundred thousand
# damaged files: some twenty minutes.
harden: .venv/installed
	$(BIN)/python -m tests.killing --kills 200 --csv figures/data/faults_killing.csv
	$(BIN)/python -m tests.long_runs --times 50 --csv figures/data/faults_long.csv
	$(BIN)/python -m tests.fuzz --number 100000 --seconds 3600 --csv figures/data/faults_fuzz.csv

# Do the tests fail if the code is changed? 400 changes, drawn at random: an hour on an idle machine.
mutants: .venv/installed _build/tools/installed
	$(TOOLS)/pip install --quiet --disable-pip-version-check --target _build/tools/mutmut mutmut==3.8.1
	PYTHONPATH=$(CURDIR)/_build/tools/mutmut $(BIN)/python -m tests.mutants --csv figures/data/mutants.csv

# What the unit tests run, by room: an hour. In one process, for pytest-xdist may end one that has not yet written down what
# it ran. The tests of tests/book, which build the pages, look at them in a browser and train every notebook, are left out,
# and so is the room that makes the pages.
coverage: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[hdf5,onnx]'
	rm -rf _build/coverage && mkdir -p _build/coverage
	$(BIN)/coverage run -m pytest --ignore tests/book
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o _build/coverage/measured.json
	$(BIN)/python -m tests.covered _build/coverage/measured.json --csv figures/data/coverage.csv

# Lighthouse on every page, by npx and Chromium: some twenty minutes on an idle machine.
lighthouse: book
	$(BIN)/python -m tests.book.lighthouse

# Known vulnerabilities of the installed packages; asks pypi.org.
audit: .venv/installed
	@$(BIN)/python -c 'import urllib.request as ask; ask.urlopen("https://pypi.org/pypi/pip/json", timeout=20)' \
		2>/dev/null || { echo "make audit: pypi.org does not answer, so it cannot be known here whether vulnerabilities" \
		"of the $$($(BIN)/pip list --format=freeze | wc -l) installed packages are known. What is installed needs no" \
		"network: make sbom." >&2; exit 1; }
	@$(MAKE) --no-print-directory _build/tools/installed
	PIPAPI_PYTHON_LOCATION=$(BIN)/python $(TOOLS)/pip-audit --local --skip-editable

# What is installed, with versions and licences, as an SBOM in the format CycloneDX; to validate it takes minutes.
sbom: .venv/installed _build/tools/installed
	$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --no-validate \
		--output-file _build/sbom.cdx.json $(BIN)/python
	@echo "The SBOM: $(CURDIR)/_build/sbom.cdx.json"

# Is what the built book says of its runs and logs in the format Croissant valid?
croissant: _build/tools/installed
	$(TOOLS)/pip install --quiet --disable-pip-version-check mlcroissant==1.1.1
	$(TOOLS)/mlcroissant validate --jsonld _build/html/_static/croissant.json

# Apart from the book's environment: what is installed there decides whether a notebook is executed again.
_build/tools/installed: Makefile
	$(PYTHON) -m venv --clear _build/tools
	$(TOOLS)/pip install --quiet --disable-pip-version-check build==1.6.1 cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

.venv/installed: pyproject.toml .github/requirements.txt
	@$(PYTHON) -m paper_code.book set-up

clean:
	rm -rf _build .venv
