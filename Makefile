# A thin face over the `harness` command line. `make compare` and `make test` set themselves up.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs
PORT ?= 5000
RUN ?= latest
PACKAGE ?= -e .
JOBS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

flag = $(if $($(1)),--$(2) "$($(1))")
SETS := $(foreach s,$(SET),--set "$(s)")
SELECTION = $(COMPARISON) $(call flag,MODEL,model) $(call flag,DATA,data) $(call flag,ARMS,arms) \
            $(call flag,SEEDS,seeds) $(call flag,DEVICE,device) $(SETS) --out "$(OUT)"
ARGUMENTS = $(SELECTION) $(call flag,SCORE,score)

.PHONY: help setup compare plan cost report score replay calibrate ui doctor list test test-long test-all test-stochastic \
        golden lint wheel bench bench-gpu example clean
help:
	@echo "make compare [COMPARISON= MODEL= DATA= ARMS= SEEDS= SCORE= SET= OUT= AGAIN= DEVICE= UNTIL_DECIDED=1]   run a comparison"
	@echo "make plan [the same, WHY=1 POWER=1]   what would run, and why; runs nothing"
	@echo "make cost [the same, PEAK_TFLOPS= MFU=]   what every arm costs, from a few steps of each stage"
	@echo "make report [RUN=latest]  render a finished run again"
	@echo "make score [RUN=latest BENCHMARK= JUDGE= AS= SET=]   more scores for a finished run"
	@echo "make replay FOLDER= [BASELINE=]   scores and report of published results"
	@echo "make calibrate            simulate comparisons of known truth: do the statistics hold?"
	@echo "make ui [PORT=5000]       MLflow on 127.0.0.1"
	@echo "make doctor | list        what this machine has | what there is to choose from"
	@echo "make test | test-all | lint | wheel | bench | bench-gpu | example"

setup: $(READY)

# A torch that the system's python already has is used as it is, and never replaced.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: python 3.11 or newer is needed; name one by PYTHON="; exit 2; }
	@if $(PYTHON) -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))'; \
	  then system=--system-site-packages; else system=; fi; \
	  test -x $(BIN)/python || $(PYTHON) -m venv $$system $(VENV)
	@torch=$$($(BIN)/python -c 'from importlib.metadata import version as v; print(v("torch").split("+")[0])' 2>/dev/null); \
	  grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt; \
	  if [ -n "$$torch" ]; then echo "using torch $$torch"; \
	  else grep '^torch==' constraints.txt >> $(VENV)/constraints.txt; \
	    $(BIN)/python -m pip install -q "$$(grep '^torch==' constraints.txt)"; fi
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt $(PACKAGE)
	@touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[dev]'
	@touch $@

compare: $(READY)
	@$(BIN)/harness compare $(ARGUMENTS) $(call flag,AGAIN,again) $(if $(UNTIL_DECIDED),--until-decided)

plan: $(READY)
	@$(BIN)/harness plan $(ARGUMENTS) $(call flag,AGAIN,again) $(if $(WHY),--why) $(if $(POWER),--power)

cost: $(READY)
	@$(BIN)/harness cost $(SELECTION) $(call flag,PEAK_TFLOPS,peak-tflops) $(call flag,MFU,mfu)

report: $(READY)
	@$(BIN)/harness report "$(RUN)" --out "$(OUT)" $(if $(FORMAT),--format $(FORMAT))

score: $(READY)
	@$(BIN)/harness score "$(RUN)" --benchmark "$(BENCHMARK)" $(call flag,JUDGE,judge) $(call flag,AS,as) $(call flag,DEVICE,device) $(SETS) --out "$(OUT)"

replay: $(READY)
	@$(BIN)/harness replay "$(FOLDER)" $(call flag,BASELINE,baseline) --out "$(OUT)"

calibrate: $(READY)
	@$(BIN)/harness calibrate

ui: $(READY)
	@$(BIN)/harness ui --out "$(OUT)" --port $(PORT)

doctor: $(READY)
	@$(BIN)/harness doctor $(call flag,DEVICE,device)

list: $(READY)
	@$(BIN)/harness list

test: $(READY_DEV)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-long: $(READY_DEV)
	$(BIN)/python -m pytest -m 'slow and not gpu'

test-all: test test-long

# torchao is no part of the development environment: libraries that find it import it, in every process.
test-stochastic: $(READY_DEV)
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt -e '.[stochastic]'
	$(BIN)/python -m pytest -m slow tests/unit/training/test_precision.py
	$(BIN)/python -m pip uninstall -q -y torchao

golden: $(READY_DEV)
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

lint: $(READY_DEV)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Into dist/; `make setup VENV=elsewhere PACKAGE=dist/*.whl` installs it as a user would.
wheel: $(READY)
	rm -rf dist
	$(BIN)/python -m pip wheel -q --no-deps -w dist .

bench: $(READY_DEV)
	$(BIN)/python perf/start.py
	$(BIN)/python perf/overhead.py
	PYTHONPATH=. $(BIN)/python perf/tracking.py
	$(BIN)/python perf/batching.py
	$(BIN)/python perf/training.py
	PYTHONPATH=. $(BIN)/python perf/report.py
	PYTHONPATH=. $(BIN)/python perf/memory.py

# The checklist of the first hour on a GPU: at most 25 minutes, no network, resumable.
bench-gpu: $(READY)
	PYTHONPATH=. $(BIN)/python perf/gpu.py $(if $(ITEMS),--items $(ITEMS))

# The report that stands in the repository, made by the default comparison.
example: $(READY)
	$(BIN)/harness compare --out runs
	rm -rf reports/example && cp -r runs/latest/report reports/example

clean:
	rm -rf $(VENV) runs dist
