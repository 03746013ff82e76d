#!/usr/bin/env bash
# Snakemake runs this in the new environment, from the repository's root.
set -euo pipefail
pip install --require-hashes --requirement requirements.txt
