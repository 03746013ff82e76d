#!/usr/bin/env bash
# What a first GPU must show, in at most 8 minutes on one GPU with 16 cores, without a network:
#     benchmarks/gpu.sh [--out FOLDER]        # FOLDER/gpu.json, FOLDER/gpu.md, a log of each part
#     benchmarks/gpu.sh --rehearse            # every part at toy size, on a processor
# PYTHON names the interpreter; without it that of .venv, else python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=.venv/bin/python
  [ -x "$PYTHON" ] || PYTHON=python3
fi
# parts are forked: no import may touch the GPU before
export PYTORCH_NVML_BASED_CUDA_CHECK=1
exec "$PYTHON" benchmarks/gpu.py "$@"
