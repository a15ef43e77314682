# make lab opens the course, make test checks it. The first call installs into .venv, later ones do not.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
NOTEBOOKS ?= notebooks/*.ipynb
# More for JupyterLab, such as ARGS="--no-browser --port=8890", or for the study.
ARGS ?=
# Some of the benches, all when empty.
NAMES ?=

# This folder's code, whatever folder the environment was installed from.
export PYTHONPATH := $(CURDIR)$(addprefix :,$(PYTHONPATH))
# Threads that wait for work must not keep a core busy.
export OMP_WAIT_POLICY := PASSIVE
# Where JupyterLab finds labconfig/page_config.json: no "Build Recommended" and no news at the start.
export JUPYTER_CONFIG_PATH := $(CURDIR)/assets/jupyter$(addprefix :,$(JUPYTER_CONFIG_PATH))
# JupyterLab will not serve root, as in a container, unless told. It serves this machine only, by token.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab playground check test notebooks site bench gpu study tone claim crowd model setup

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

lab: setup  ## open the course in JupyterLab
	$(RUN) -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. $(AS_ROOT) \
		--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

# Voilà shows the playground's page alone; like JupyterLab it asks for its token. A kernel whose tab was closed goes after a
# minute or two: each holds more than a gigabyte.
playground: setup  ## open the playground in the browser, without its code; needs no reading
	JUPYTER_PATH="$(CURDIR)/assets/voila" $(RUN) -m voila notebooks/08_playground.ipynb --template=playground \
		--MappingKernelManager.cull_idle_timeout=60 --MappingKernelManager.cull_interval=20 \
		--Voila.ip=127.0.0.1 --token $(ARGS)

# One process for each core, each with one thread.
TESTS := OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses auto --dist loadfile

check: setup  ## what to run before each commit: format, lint, types and the quick tests
	$(RUN) -m ruff format
	$(RUN) -m ruff check --fix
	$(VENV)/bin/ty check --python $(VENV)
	$(TESTS) -m "not slow"

test: setup  ## check everything: format, lint, types, the tests, every notebook
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check
	$(VENV)/bin/ty check --python $(VENV)
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(TESTS) --nbval-lax --nbval-current-env --nbval-cell-timeout=120 -p no:randomly tests notebooks

notebooks: setup  ## execute the notebooks again and store what they show
	$(RUN) -m helpers.course.execute $(NOTEBOOKS)

bench: setup  ## measure speed and error; NAMES="a b" for some, --help in NAMES lists them
	$(RUN) -m tests.bench $(NAMES)

gpu: setup  ## for whoever has an NVIDIA GPU: hold it to the CPU, and take its times; under six minutes
	$(RUN) -m tests.gpu $(ARGS)

site: setup  ## build the course as a web site in build/site, to be read without Jupyter
	@$(RUN) -c "import sphinx, myst_nb, furo, sphinx_revealjs; __import__('sphinx-mathjax-offline')" 2>/dev/null || $(RUN) -m pip install --quiet --editable ".[site]"
	$(RUN) -m helpers.course.site

study: setup  ## measure what each term of the fit buys, on rendered faces; ARGS="--faces 50" for fewer
	$(RUN) -m tests.bench.study $(ARGS)

tone: setup  ## errors of shape and tone by the tone of skin, on rendered people; ARGS="--people 4" for fewer
	$(RUN) -m tests.bench.tone $(ARGS)

claim: setup  ## do pooled labels make a better network? an hour; goes on where it was cut off
	$(RUN) -m tests.bench.claim $(ARGS)

crowd: setup  ## recognition among 500 and 250 people, with controls; six minutes, goes on where it was cut off
	$(RUN) -m tests.bench.crowd $(ARGS)

model: setup  ## build the open face model again
	$(RUN) -m helpers.model_builder

setup: $(STAMP)  ## install into .venv, and no more

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make setup: no $(PYTHON) here: apt install python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -m helpers.course.install $(VENV)

# A stamp made in another folder is of an environment that was moved here: install again.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
