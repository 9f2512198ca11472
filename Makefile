# A thin face over the `harness` command line. `make compare` and `make test` set themselves up.
PYTHON ?= python3
VENV ?= .venv
OUT ?= runs
PORT ?= 5000
RUN ?= latest
PACKAGE ?= -e .
JOBS ?= 2

# What is given reaches the shell as variables of its environment, word for word: neither make nor the shell
# reads it as code. SET holds settings without blanks in them; others are given to `harness` itself.
GIVEN := COMPARISON MODEL DATA ARMS SEEDS SCORE SET OUT AGAIN DEVICE DEVICES PEAK_TFLOPS MFU RUN FORMAT BENCHMARK JUDGE \
         AS FOLDER BASELINE PORT TO OFFLINE JOBS ITEMS UNTIL_DECIDED WHY POWER PYTHON PACKAGE VENV BIN
$(foreach name,$(GIVEN),$(eval export MAKE_$(name) := $$(value $(name))))
unexport $(GIVEN)

# These stand in rules too, where a mark would be one of make's own.
MARKS := ; & | < > ( ) ` ' " * ? [ ] { } ! : = % \# $$ \\
$(foreach name,VENV BIN,\
  $(if $(filter-out 0 1,$(words $(MAKE_$(name)))),$(error $(name) is no plain path: it holds a blank))\
  $(foreach mark,$(MARKS),\
    $(if $(findstring $(mark),$(MAKE_$(name))),$(error $(name) is no plain path: it holds $(mark)))))
BIN := $(if $(MAKE_BIN),$(MAKE_BIN),$(MAKE_VENV)/bin)
READY := $(MAKE_VENV)/.ready
READY_DEV := $(MAKE_VENV)/.ready-dev

flag = $(if $(MAKE_$(1)),--$(2)="$$MAKE_$(1)")
named = $(if $(MAKE_$(1)),"$$MAKE_$(1)")
# Begins a recipe whose command ends in $(SETS).
HARNESS = @set -f; set --; for one in $$MAKE_SET; do set -- "$$@" --set="$$one"; done; exec $(BIN)/harness
SETS = "$$@"
SELECTION = $(call named,COMPARISON) $(call flag,MODEL,model) $(call flag,DATA,data) $(call flag,ARMS,arms) \
            $(call flag,SEEDS,seeds) $(call flag,DEVICE,device) --out="$$MAKE_OUT"
ARGUMENTS = $(SELECTION) $(call flag,SCORE,score)

.PHONY: help setup compare plan fetch cost report score replay calibrate ui doctor list test test-long test-longest test-all test-stochastic \
        fuzz golden lint wheel bench bench-gpu example clean
help:
	@echo "make compare [COMPARISON= MODEL= DATA= ARMS= SEEDS= SCORE= SET= OUT= AGAIN= DEVICE= OFFLINE= UNTIL_DECIDED=1]   run a comparison"
	@echo "make plan [the same, WHY=1 POWER=1 DEVICES=1,8]   what would run, why, and when on how many devices; runs nothing"
	@echo "make fetch TO= [COMPARISON= MODEL= DATA= ARMS= SCORE= SET=]   all that a comparison needs, for compare OFFLINE="
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
	@$$MAKE_PYTHON -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: python 3.11 or newer is needed; name one by PYTHON="; exit 2; }
	@if $$MAKE_PYTHON -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))'; \
	  then system=--system-site-packages; else system=; fi; \
	  test -x $(BIN)/python || $$MAKE_PYTHON -m venv $$system $(MAKE_VENV)
	@torch=$$($(BIN)/python -c 'from importlib.metadata import version as v; print(v("torch").split("+")[0])' 2>/dev/null); \
	  grep -v '^torch==' constraints.txt > $(MAKE_VENV)/constraints.txt; \
	  if [ -n "$$torch" ]; then echo "using torch $$torch"; \
	  else grep '^torch==' constraints.txt >> $(MAKE_VENV)/constraints.txt; \
	    $(BIN)/python -m pip install -q "$$(grep '^torch==' constraints.txt)"; fi
	$(BIN)/python -m pip install -q -c $(MAKE_VENV)/constraints.txt $$MAKE_PACKAGE
	@touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install -q -c $(MAKE_VENV)/constraints.txt -e '.[dev]'
	@touch $@

compare: $(READY)
	$(HARNESS) compare $(ARGUMENTS) $(call flag,AGAIN,again) $(call flag,OFFLINE,offline) $(if $(MAKE_UNTIL_DECIDED),--until-decided) $(SETS)

plan: $(READY)
	$(HARNESS) plan $(ARGUMENTS) $(call flag,AGAIN,again) $(call flag,OFFLINE,offline) $(if $(MAKE_WHY),--why) $(if $(MAKE_POWER),--power) \
	  $(call flag,DEVICES,devices) $(call flag,PEAK_TFLOPS,peak-tflops) $(call flag,MFU,mfu) $(SETS)

fetch: $(READY)
	$(HARNESS) fetch $(call named,COMPARISON) $(call flag,TO,to) $(call flag,MODEL,model) $(call flag,DATA,data) \
	  $(call flag,ARMS,arms) $(call flag,SCORE,score) $(SETS)

cost: $(READY)
	$(HARNESS) cost $(SELECTION) $(call flag,PEAK_TFLOPS,peak-tflops) $(call flag,MFU,mfu) $(SETS)

report: $(READY)
	@$(BIN)/harness report "$$MAKE_RUN" --out="$$MAKE_OUT" $(call flag,FORMAT,format)

score: $(READY)
	$(HARNESS) score "$$MAKE_RUN" --benchmark="$$MAKE_BENCHMARK" $(call flag,JUDGE,judge) $(call flag,AS,as) \
	  $(call flag,DEVICE,device) --out="$$MAKE_OUT" $(SETS)

replay: $(READY)
	@$(BIN)/harness replay "$$MAKE_FOLDER" $(call flag,BASELINE,baseline) --out="$$MAKE_OUT"

calibrate: $(READY)
	@$(BIN)/harness calibrate

ui: $(READY)
	@$(BIN)/harness ui --out="$$MAKE_OUT" --port="$$MAKE_PORT"

doctor: $(READY)
	@$(BIN)/harness doctor $(call flag,DEVICE,device)

list: $(READY)
	@$(BIN)/harness list

test: $(READY_DEV)
	$(BIN)/python -m pytest -n "$$MAKE_JOBS" --dist worksteal

# A file's tests share the run that they made, and stay in one process.
test-long: $(READY_DEV)
	$(BIN)/python -m pytest -m 'slow and not longest and not gpu' -n "$$MAKE_JOBS" --dist loadfile --durations=25

# Long studies of what shorter tests ask too.
test-longest: $(READY_DEV)
	$(BIN)/python -m pytest -m 'longest and not gpu' -n "$$MAKE_JOBS" --dist loadfile

test-all: test test-long test-longest

# torchao is no part of the development environment: libraries that find it import it, in every process.
test-stochastic: $(READY_DEV)
	$(BIN)/python -m pip install -q -c $(MAKE_VENV)/constraints.txt -e '.[stochastic]'
	$(BIN)/python -m pytest -m slow tests/unit/training/test_precision.py
	$(BIN)/python -m pip uninstall -q -y torchao

# What nobody meant, 3,000 times each.
fuzz: $(READY_DEV)
	FUZZ_EXAMPLES=3000 $(BIN)/python -m pytest --timeout 3000 tests/fuzz

golden: $(READY_DEV)
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden tests/corpus

lint: $(READY_DEV)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Into dist/; `make setup VENV=elsewhere PACKAGE=dist/*.whl` installs it as a user would.
wheel: $(READY)
	rm -rf dist
	$(BIN)/python -m pip wheel -q --no-deps -w dist .

# One after the other, since two at once would spoil each other's times; all run, also after one that misses its goal.
BENCHES := start overhead schedule tracking batching engines report memory sharing growth training whole
bench: $(READY_DEV)
	@missed=; for one in $(BENCHES); do echo "== perf/$$one.py"; \
	  PYTHONPATH=. $(BIN)/python perf/$$one.py || missed="$$missed $$one"; done; \
	  test -z "$$missed" || { echo "missed their goals:$$missed"; exit 1; }

# The checklist of the first hour on a GPU: at most 25 minutes, no network, resumable.
bench-gpu: $(READY)
	PYTHONPATH=. $(BIN)/python perf/gpu.py $(if $(MAKE_ITEMS),--items $$MAKE_ITEMS)

# The report that stands in the repository, made by the default comparison.
example: $(READY)
	$(BIN)/harness compare --out runs
	rm -rf reports/example && cp -r runs/latest/report reports/example

clean:
	rm -rf $(MAKE_VENV) runs dist
