# Two commands: `make demo` (the main job on real images) and `make test`.
# Both set up .venv from the lock file first; a second call installs nothing.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BENCH := .venv/bin/bench
# Tests run side by side, one thread each.
TEST_WORKERS ?= 2

.PHONY: demo test install lint perf faults null-sweeps configs lock clean

demo: install
	@$(BENCH) sweep ladder --scale smoke
	@$(BENCH) sweep batchnorm --scale smoke
	@$(BENCH) table ladder --scale smoke
	@$(BENCH) table batchnorm --scale smoke
	@$(BENCH) report
	@echo
	@echo "Where to look next:"
	@echo "  results/ladder-smoke/ and results/batchnorm-smoke/   tables, figures, verdicts, every record"
	@echo "  $(BENCH) ui                                   every run in MLflow's pages"
	@echo "  $(BENCH) run dataset=mnist5k model=cnn norm_layer=batch optim.lr=0.01 seed=1"
	@echo "  README.md                                            what else there is"

test: install
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

# Null sweeps of every shape, and through `bench table` itself: half an hour and more.
null-sweeps: install
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -s --timeout 3600 tests/analysis/null_sweeps.py

# Kills of running sweeps at random moments, over both stores and three launchers, LANES sweeps at once. On two busy
# cores 40 take five minutes, so that 1,000 take about two hours.
KILLS ?= 1000
LANES ?= 2
faults: install
	KILLS=$(KILLS) LANES=$(LANES) OMP_NUM_THREADS=1 .venv/bin/python -m pytest -s -q tests/faults/many_kills.py

# Every named config as whole runs: scratch, frozen, fine-tuned, in two processes, captured. Every committed figure. An hour.
configs: install
	IMAGEBENCH_EVERY_CONFIG=1 OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q tests/models/test_every_config_runs.py tests/models/test_surgery.py \
	  tests/report/test_committed.py

perf: install
	.venv/bin/python -m tests.benchmarks

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

install: .venv/installed

# uv downloads and compiles in parallel. Where it cannot reach the index that pip is set up for, pip does the same.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "imagebench needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip sync --quiet --python .venv/bin/python --compile-bytecode requirements.lock || \
	  .venv/bin/python -m pip install --quiet -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	.venv/bin/uv pip compile --quiet --upgrade --all-extras --python-version 3.11 \
	  --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache
