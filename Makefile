# Two commands: `make run` installs everything and carries the synthetic sample from fetch to figures;
# `make test` runs every check. Each does its own set-up; python3.11, pip, git and make are enough.

PYTHON ?= python3.11
RUN := .venv/bin
TOOLS := .venv-nox/bin

.PHONY: help run test clean
.DEFAULT_GOAL := help

help: ## print this help
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN)/sciml-data ## install, then get, verify, convert, train, score and draw the sample of TEvolOp
	$(RUN)/sciml-data run tevolop --sample >/dev/null # `show` prints the table
	$(RUN)/sciml-data show latest

test: $(TOOLS)/nox ## format, lint, types, layers and tests, each in an environment of its own
	$(TOOLS)/nox

clean: ## remove the environments that the two commands made
	rm -rf .venv .venv-nox .nox

$(RUN)/sciml-data: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]'
	@touch $@

$(TOOLS)/nox: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-nox
	$(TOOLS)/pip install --quiet --disable-pip-version-check --constraint constraints.txt 'nox[uv]'
	@touch $@
