"""Versions of the expensive steps.

Bump a number by hand when the same input would now give other numbers: every job
of that step then reruns. A refactoring that keeps the numbers keeps its version, unless the
form of a store changes: 2 of `PATCHES` and `EMBEDDINGS` brought checksums.
`tests/core/test_step_versions.py` fails when the numbers move and the version does not.
"""

DEMO = 1
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
