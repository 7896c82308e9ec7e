# `make demo` and `make test` do all the set-up; they need only make and Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
# By module, not by script: a script names the folder that it was installed in.
RUN := $(VENV)/bin/python
# As the package does, it speaks the language of the system.
JAPANESE := $(filter ja%,$(or $(LLM_MAGIC_LANG),$(LC_ALL),$(LC_MESSAGES),$(LANG)))
QUICKSTART := notebooks/$(if $(JAPANESE),ja/)01_quickstart.ipynb

# What is promised: `make test-pins` finds wheels for each of these (3.11.2 is Debian 12's).
PYTHONS := 3.11.2 3.12 3.13 3.14
PLATFORMS := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin

# The tests that tell whether a version of LiteLLM will do, and the oldest that pyproject.toml allows.
LITELLM_TESTS := tests/llm/test_fault_matrix.py tests/llm/test_masking.py tests/llm/litellm
# Of these `make test` plays some pairs alone.
LITELLM_PAIRS := tests/llm/test_fault_matrix.py tests/llm/litellm/test_contract.py
LITELLM_OLDEST := $(shell sed -n 's/^ *"litellm>=\([0-9.]*\),.*/\1/p' pyproject.toml)

# The OpenHands that config.toml is for, with what its image pins of that which makes its requests.
# openhands-ai itself asks for 400 packages, two browsers' drivers and a notebook server among them:
# it is installed without them, and its LLM class imports with these. tests/openhands/runner.py
# leaves out the rest.
OPENHANDS := openhands-ai==0.41.0
OPENHANDS_NEEDS := litellm==1.72.0 openai==1.83.0 httpx==0.28.1 pydantic==2.11.5 tenacity==9.1.2 toml==0.10.2 \
  python-dotenv==1.1.0 python-json-logger==3.3.0 python-frontmatter==1.1.0 termcolor==3.1.0 boto3==1.38.28 \
  deprecated google-cloud-storage json-repair uvicorn
# The CLI runs on 3.12 alone, and neither of the others on 3.14.
OPENHANDS_PYTHON ?= 3.12

# How long `make fuzz` tries each kind of input.
SECONDS ?= 600

# Nothing of the caller's shell that makes another Python of the environment's (PYTHONPATH and the
# like), another language, or an encoding in which Python cannot read its own folder's name.
unexport $(filter PYTHON% LANG% LC_%,$(.VARIABLES))
# A `user = true` for pip would install beside the environment.
export PIP_USER := 0
# pip must not run twice at once in one environment.
.NOTPARALLEL:

# Notebooks run without the keys, settings, profile and kernels of whoever runs them, so that they
# show the same on every machine.
CLEAN_ENV = env -i PATH="$$PATH" HOME="$$(cd '$(VENV)' && pwd)"
# Two at once, each in its own kernel; their files are in temporary folders.
NBVAL = $(RUN) -m pytest -p no:randomly -n 2 --dist loadfile --nbval --nbval-sanitize-with=notebooks/sanitize.cfg --nbval-current-env

COMPILE = $(RUN) -m uv pip compile --quiet --no-annotate pyproject.toml
# What runs for those who install the package, with hashes: `pip install --require-hashes -r`.
COMPILE_HASHED = $(COMPILE) --universal --python-version 3.11 --custom-compile-command 'make constraints' --constraint constraints.txt --generate-hashes
COMPILE_PINS = $(COMPILE) --all-extras --universal --python-version 3.11 --custom-compile-command 'make constraints'

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip' 2> /dev/null || { echo "$(PYTHON) cannot create environments; on Debian and Ubuntu: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
endef

.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-translations translations test-browser test-interrupts test-servers test-pins test-litellm test-litellm-oldest test-litellm-newest test-openhands openhands-recordings test-newest fuzz audit sbom release lab notebooks images docs format benchmarks constraints clean

help: ## List what make can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed-demo ## Run the quickstart notebook and print what it shows
	@$(CLEAN_ENV) $(if $(JAPANESE),LLM_MAGIC_LANG=ja) $(RUN) notebooks/show.py $(QUICKSTART)

test: $(VENV)/.installed-dev ## Run lint, types, notebooks and tests
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(CLEAN_ENV) $(NBVAL) notebooks/*.ipynb notebooks/providers/*.ipynb
	$(CLEAN_ENV) LLM_MAGIC_LANG=ja $(NBVAL) notebooks/ja/*.ipynb notebooks/ja/providers/*.ipynb
	$(RUN) -m pytest -p no:nbval -n 3 # half of the time the tests wait

test-slow: $(VENV)/.installed-dev ## Run the tests that compute for seconds, and those of which `make test` runs some
	$(RUN) -m pytest -p no:nbval -n 3 -m slow

translations: $(VENV)/.installed-dev ## Put every new text into the files that translators work with
	$(RUN) tests/texts.py

test-translations: $(VENV)/.installed-dev ## Ask for every text in every language, and for no other
	$(RUN) -m pytest -m translations tests/notebook/test_language.py tests/notebook/test_language_setting.py tests/notebook/test_panel.py tests/test_cli.py tests/test_docs.py tests/test_other_languages.py

test-browser: $(VENV)/.installed-dev $(VENV)/.installed-browser ## Run the tests in a real browser (installs Chromium if it can)
	@sh tests/browser/chromium.sh
	$(RUN) -m pytest tests/browser

test-interrupts: $(VENV)/.installed-dev ## Interrupt 200 cells at random moments, three times
	@for round in 1 2 3; do $(RUN) -m pytest -m slow tests/notebook/test_random_interrupts.py --interrupts=200 || exit 1; done

# Some of its tests wait for a minute, so they wait together; those of a file share its servers.
test-servers: $(VENV)/.installed-servers ## Run the tests with real servers: a LiteLLM Proxy and llama.cpp's, whose model is made on the spot (installs them, 500 MB)
	$(RUN) -m pytest -n 4 --dist worksteal tests/servers

fuzz: $(VENV)/.installed-dev ## Try inputs that nobody has written down, ten minutes for each kind (SECONDS=60 for less)
	$(RUN) -m pytest -p no:randomly --timeout=$$(($(SECONDS) + 600)) --seconds=$(SECONDS) tests/fuzz

test-pins: $(VENV)/.installed-dev ## Prove that constraints.txt is complete and has wheels for every Python promised
	@cp constraints.txt requirements.txt $(VENV)/
	@$(COMPILE_PINS) --output-file $(VENV)/constraints.txt > /dev/null
	@$(COMPILE_HASHED) --output-file $(VENV)/requirements.txt > /dev/null
	@for pins in constraints.txt requirements.txt; do diff $$pins $(VENV)/$$pins || { echo "$$pins does not fit pyproject.toml: run \`make constraints\`" >&2; exit 1; }; done
	@for python in $(PYTHONS); do for platform in $(PLATFORMS); do \
	   $(COMPILE) --all-extras --python-version $$python --python-platform $$platform --only-binary :all: --constraint constraints.txt > /dev/null || exit 1; \
	   echo "wheels for all pins: Python $$python, $$platform"; \
	 done; done

test-litellm: test-litellm-oldest test-litellm-newest ## Run the tests of faults, masking and LiteLLM's own parts with the oldest and newest LiteLLM allowed

# Each in an environment of its own, where all else is as pinned, but what that LiteLLM needs otherwise.
test-litellm-oldest: LITELLM := litellm==$(LITELLM_OLDEST)
test-litellm-newest: LITELLM := litellm
test-litellm-oldest test-litellm-newest: ENVIRONMENT = $(VENV)$(@:test%=%)
test-litellm-oldest test-litellm-newest: $(VENV)/.installed-dev
	@$(RUN) -m uv venv --quiet --allow-existing --python $(RUN) $(ENVIRONMENT)
	@cp constraints.txt $(ENVIRONMENT)/constraints.txt
	@$(COMPILE) --extra test --upgrade-package '$(LITELLM)' --output-file $(ENVIRONMENT)/constraints.txt > /dev/null
	@$(RUN) -m uv pip install --quiet --python $(ENVIRONMENT) --constraint $(ENVIRONMENT)/constraints.txt --editable '.[test]'
	@grep ^litellm== $(ENVIRONMENT)/constraints.txt
	$(ENVIRONMENT)/bin/python -m pytest -n 3 $(LITELLM_TESTS)
	$(ENVIRONMENT)/bin/python -m pytest -n 3 -m slow $(LITELLM_PAIRS)

# Its tests wait for retries most of the time, so they wait together.
test-openhands: $(VENV)/.installed-openhands ## Compare our previews with the real OpenHands, 0.41, the newest SDK and CLI, and the probes' tools with theirs (installs them, 1.2 GB; OPENHANDS_PYTHON=PATH for another Python 3.12)
	$(RUN) -m pytest -n 4 tests/openhands --openhands=$(VENV)-openhands-0.41 --openhands-sdk=$(VENV)-openhands-sdk --openhands-cli=$(VENV)-openhands-cli
	$(RUN) -m pytest tests/llm/test_openhands.py

openhands-recordings: $(VENV)/.installed-openhands ## Record anew what the real OpenHands sends
	$(RUN) tests/openhands/record.py $(VENV)-openhands-0.41/bin/python $(VENV)-openhands-sdk/bin/python

# Made anew each time, from uv's cache: the newest SDK may be another than yesterday's.
.PHONY: $(VENV)/.installed-openhands
$(VENV)/.installed-openhands: $(VENV)/.installed-dev
	@for name in 0.41 sdk cli; do $(RUN) -m uv venv --quiet --clear --python '$(OPENHANDS_PYTHON)' $(VENV)-openhands-$$name || { echo "OpenHands needs Python 3.12: make OPENHANDS_PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; done
	@$(RUN) -m uv pip install --quiet --python $(VENV)-openhands-0.41 --no-deps '$(OPENHANDS)'
	@$(RUN) -m uv pip install --quiet --python $(VENV)-openhands-0.41 $(OPENHANDS_NEEDS)
	@$(RUN) -m uv pip install --quiet --python $(VENV)-openhands-sdk openhands-sdk openhands-tools
	@$(RUN) -m uv pip install --quiet --python $(VENV)-openhands-cli openhands

test-newest: ## Run the tests as `pip install .` brings what they need: the newest of everything (PYTHON=python3.13 for another Python)
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv --clear $(VENV)-newest
	@$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	$(VENV)-newest/bin/python -m pytest -n 3

lab: $(VENV)/.installed-lab ## Open the quickstart notebook in JupyterLab
	$(RUN) -m jupyterlab $(QUICKSTART)

notebooks: $(VENV)/.installed-dev ## Run the notebooks and save what they show
	@for notebook in notebooks/*.ipynb notebooks/providers/*.ipynb; do $(CLEAN_ENV) $(RUN) notebooks/show.py --save $$notebook || exit 1; done
	@for notebook in notebooks/ja/*.ipynb notebooks/ja/providers/*.ipynb; do $(CLEAN_ENV) LLM_MAGIC_LANG=ja $(RUN) notebooks/show.py --save $$notebook || exit 1; done

images: $(VENV)/.installed-browser ## Take the pictures of docs/images again
	@sh tests/browser/chromium.sh
	$(RUN) -m pytest tests/browser -k picture --images=docs/images

docs: $(VENV)/.installed-dev ## Write the settings, faults and providers of docs/ from the code, in each language
	$(RUN) docs/generate.py

format: $(VENV)/.installed-dev ## Format the code and fix what ruff can fix
	$(RUN) -m ruff check --fix-only
	$(RUN) -m ruff format

benchmarks: $(VENV)/.installed-dev $(VENV)/.installed-browser ## Measure again and write docs/benchmarks.md
	@sh tests/browser/chromium.sh
	$(RUN) benchmarks/run.py

constraints: $(VENV)/.installed-dev ## Write constraints.txt and requirements.txt anew; what is pinned stays where it fits (UPGRADE=--upgrade renews all)
	$(COMPILE_PINS) $(UPGRADE) --output-file constraints.txt > /dev/null
	$(COMPILE_HASHED) --output-file requirements.txt > /dev/null

audit: $(VENV)/.installed-dev ## Look up known vulnerabilities of all pinned packages (fails where the database does not answer)
	@$(RUN) release/audit.py

sbom: $(VENV)/.installed-dev ## Write the bill of materials of a release, in CycloneDX's form, into dist/
	@mkdir -p dist
	@$(RUN) release/sbom.py dist/openhands-llm-magic.cdx.json

release: sbom ## Build what is released into dist/: the wheel, the source, the bill of materials
	$(RUN) -m uv build --quiet --build-constraint constraints.txt --out-dir dist

clean: ## Remove the environment and all that was built
	rm -rf $(VENV) $(VENV)-newest $(VENV)-litellm-* $(VENV)-openhands-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp of one extra: demo, lab, browser, servers or dev.
$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.place
	@echo "Installing into $(VENV) (about a minute the first time)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

# A clone that was moved, or has another Python now, is installed again.
$(VENV)/.place: FORCE | $(VENV)/pyvenv.cfg
	@$(RUN) -c 'import pip, sys; print(sys.prefix, sys.version)' > $@.now 2> /dev/null || { echo "$(VENV) has lost its Python, or was made without pip: run \`make clean\`, or name another folder, such as VENV=.venv-make" >&2; exit 1; }
	@cmp -s $@.now $@ || cp $@.now $@

FORCE:

$(VENV)/pyvenv.cfg:
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv $(VENV)
