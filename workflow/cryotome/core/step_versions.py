"""Versions of the expensive steps: a new version reruns all jobs of its step.

Increase a version by hand when equal inputs give other results, or the format of a store
changes (version 2 of `PATCHES` and `EMBEDDINGS` added checksums); a refactoring keeps it.
`tests/core/test_step_versions.py` fails when results change and the version does not.
"""

DEMO = 2
CELLS = 2
PATCHES = 2
AUDIT = 1
WINDOWS = 1
SPLITS = 1
EMBEDDINGS = 2
ENDTOEND = 2
COHORTS = 2
MIL = 2
DEMO_SLIDES = 1
TILES = 2
BAGS = 2
FINETUNE = 1
