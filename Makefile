# Two commands: `make demo` and `make test`. Each sets up what it needs, in .venv.

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= runs/demo
export PYTHONDONTWRITEBYTECODE :=  # a module is compiled when it is imported first, and not again

.PHONY: setup demo test lint docs bench slow clean

setup: .venv/.ready
	@$(BIN)/python -m compileall -q src  # so that no process has to, where nothing writes bytecode by itself

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".[train,serve,flask,app,images,huggingface,lora,text,excel,docs,dev]"
	touch $@

demo: setup  ## Train on a bundled table, evaluate it beside baselines, serve one prediction.
	rm -rf $(DEMO)
	$(BIN)/lamina train toy:churn --target Churn --out $(DEMO)
	$(BIN)/python benchmarks/ask.py $(DEMO)

test: setup  ## All tests but those marked slow.
	$(BIN)/pytest

slow: setup  ## The long checks: twenty kills, real data.
	$(BIN)/pytest -m slow

docs: setup  ## The site of docs/, into build/site; fails on a dead link or on anything loaded from elsewhere.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: setup  ## Format, lint, types, and who may import whom.
	$(BIN)/ruff format --check src tests benchmarks docs/tools
	$(BIN)/ruff check --no-cache src tests benchmarks docs/tools
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

bench: demo  ## Ratios against plain PyTorch, and how long things take, on this machine.
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/serving.py $(DEMO)/bundle
	$(BIN)/python benchmarks/images.py

clean:
	rm -rf .venv build dist runs .pytest_cache .ruff_cache
