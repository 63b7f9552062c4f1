# Everything a newcomer needs, on a machine that has cargo and CPython 3.11 or newer: make demo, make test.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
PYTHON_RUN := PATH="$(BIN):$$PATH" VIRTUAL_ENV="$(VENV)" $(BIN)/python

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo figures test test-fast lint docs clean

# Prints this list, from the comment before each target.
help:
	@awk '/^# / {text = substr($$0, 3)} /^[a-z-]+:/ {split($$0, name, ":"); if (text) printf "make %-10s %s\n", name[1], text; text = ""} /^$$/ {text = ""}' Makefile

# Recovers a planted network from 2.1 GB of samples, which are written to TMPDIR first.
demo: $(BIN)/maturin
	$(call install,plots)
	$(BIN)/relunet demo --picture demo.png

# Every figure and table of README.md and docs/, with the other methods of the benches: takes about an hour.
figures: $(BIN)/maturin
	$(call install,bench)
	$(BIN)/relunet demo --picture docs/demo.png
	$(BIN)/python benches/figures.py

# Builds everything and runs every test, Rust and Python.
test: $(BIN)/maturin
	cargo test --release --workspace --locked
	$(call install,test)
	$(PYTHON_RUN) -m pytest -q

# The Python tests that are not slow, on all cores: within a minute once built.
test-fast: $(BIN)/maturin
	$(call install,test)
	$(PYTHON_RUN) -m pytest -q -n auto -m "not slow"

# Formatting, clippy, ruff, mypy, stubs, the rules of the architecture.
lint: $(BIN)/maturin
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	cargo clippy --release --workspace --locked -- -D clippy::unwrap_used -D clippy::expect_used -D clippy::panic
	$(call install,test,lint)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTHON_RUN) -m mypy.stubtest relunet._relunet
	$(PYTHON_RUN) -m pytest -q tests/test_architecture.py

# The site, in target/site, with the examples run, warnings as errors and links checked.
docs: $(BIN)/maturin
	$(call install,docs)
	$(PYTHON_RUN) -m sphinx -W --keep-going -q -b html docs target/site
	$(BIN)/python docs/check_links.py target/site

# Everything that the other targets made.
clean:
	cargo clean
	rm -rf "$(VENV)" dist python/relunet/*.so demo.png docs/api/generated docs/auto_gallery docs/sg_execution_times.rst

$(BIN)/maturin:
	$(PYTHON) -m venv "$(VENV)"
	$(BIN)/python -m pip install --quiet "maturin>=1.9.4,<2"

# Compiles the extension and installs the package in place, with the extras $(1), $(2); quick where nothing changed.
comma := ,
install = PATH="$(BIN):$$PATH" VIRTUAL_ENV="$(VENV)" $(BIN)/maturin develop --release --locked --extras $(1)$(if $(2),$(comma)$(2))
