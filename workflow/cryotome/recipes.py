"""Versions of the expensive steps.

Bump a number by hand when the same input would now give other numbers: every job
of that step then reruns. A refactoring that keeps the numbers keeps its version.
`tests/test_recipes.py` fails when the numbers move and the version does not.
"""

DEMO = 1
CELLS = 1
PATCHES = 1
AUDIT = 1
WINDOWS = 1
SPLITS = 1
EMBEDDINGS = 1
ENDTOEND = 2
