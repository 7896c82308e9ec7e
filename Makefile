# `make demo` and `make test` do all the set-up; they need only make and Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
QUICKSTART := notebooks/01_quickstart.ipynb

# Notebooks run without the keys, settings, profile and kernels of whoever runs them, so that they
# show the same on every machine.
CLEAN_ENV = env -i PATH="$$PATH" HOME="$$(cd '$(VENV)' && pwd)"

.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-translations test-browser test-interrupts test-proxy lab notebooks images docs format benchmarks constraints clean

help: ## List what make can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed-demo ## Run the quickstart notebook and print what it shows
	@$(CLEAN_ENV) $(BIN)/python notebooks/show.py $(QUICKSTART)

test: $(VENV)/.installed-dev ## Run lint, types, notebooks and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(CLEAN_ENV) $(BIN)/python -m pytest -p no:randomly --nbval --nbval-current-env notebooks/*.ipynb
	$(BIN)/python -m pytest -n 3 # half of the time the tests wait

test-slow: $(VENV)/.installed-dev ## Run the tests that compute for seconds, such as those that import LiteLLM anew
	$(BIN)/python -m pytest -n 3 -m slow

test-translations: $(VENV)/.installed-dev ## Ask for every text of the panel in every language
	$(BIN)/python -m pytest -m translations tests/notebook/test_language.py

test-browser: $(VENV)/.installed-dev $(VENV)/.installed-browser ## Run the tests in a real browser (installs Chromium if it can)
	@sh tests/browser/chromium.sh
	$(BIN)/python -m pytest tests/browser

test-interrupts: $(VENV)/.installed-dev ## Interrupt 200 cells at random moments, three times
	@for round in 1 2 3; do $(BIN)/python -m pytest -m slow tests/notebook/test_random_interrupts.py --interrupts=200 || exit 1; done

# Its tests wait for a minute each, so they wait together, each worker with a proxy of its own.
test-proxy: $(VENV)/.installed-proxy ## Run the tests with a real LiteLLM Proxy (installs it, 400 MB)
	$(BIN)/python -m pytest -n 4 tests/proxy

lab: $(VENV)/.installed-lab ## Open the quickstart notebook in JupyterLab
	$(BIN)/jupyter-lab $(QUICKSTART)

notebooks: $(VENV)/.installed-dev ## Run the notebooks and save what they show
	@for notebook in notebooks/*.ipynb; do $(CLEAN_ENV) $(BIN)/python notebooks/show.py --save $$notebook || exit 1; done

images: $(VENV)/.installed-browser ## Take the pictures of docs/images again
	@sh tests/browser/chromium.sh
	$(BIN)/python -m pytest tests/browser -k picture --images=docs/images

docs: $(VENV)/.installed-dev ## Write docs/settings.md and docs/faults.md from the code
	$(BIN)/python docs/generate.py

format: $(VENV)/.installed-dev ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

benchmarks: $(VENV)/.installed-dev $(VENV)/.installed-browser ## Measure again and write docs/benchmarks.md
	@sh tests/browser/chromium.sh
	$(BIN)/python benchmarks/run.py

# Run it on the oldest Python: some packages are needed only there.
constraints: $(VENV)/.installed-dev $(VENV)/.installed-browser $(VENV)/.installed-proxy ## Write the environment's versions to constraints.txt
	@$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/freeze.txt
	@{ echo "# The versions that the tests pass with, wheels only, for Python 3.11 to 3.13."; \
	   echo "# Written by \`make constraints\` on $$($(BIN)/python -V)."; \
	   cat $(VENV)/freeze.txt; } > constraints.txt

clean: ## Remove the environment and all that was built
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp of one extra: demo, lab, browser, proxy or dev.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "Installing into $(VENV) (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot create environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
