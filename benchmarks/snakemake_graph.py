"""What does Snakemake's own graph cost a job, without any code of cryotome?

Writes a Snakefile of two rules, one input and one output each, and plans it (`snakemake -n`) at two
sizes. The difference, over the difference in jobs, is what one job more takes in processor time.

    python benchmarks/snakemake_graph.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = 100, 600
SNAKEFILE = """
rule all:
    input: expand("b/{n}.txt", n=range(int(config["pairs"])))

rule first:
    output: "a/{n}.txt"
    shell: "touch {output}"

rule second:
    input: "a/{n}.txt"
    output: "b/{n}.txt"
    shell: "cp {input} {output}"
"""


def planned(folder: Path, pairs: int) -> float:
    """Return processor seconds of planning twice as many jobs as pairs."""
    command = [sys.executable, "-m", "snakemake", "-n", "--config", f"pairs={pairs}"]
    before = os.times()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])  # of children


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
        few, many = (min(planned(Path(place), pairs) for _ in range(2)) for pairs in SIZES)
    more = 2 * (SIZES[1] - SIZES[0])
    print(f"{2 * SIZES[0]:,} jobs {few:.1f} s, {2 * SIZES[1]:,} jobs {many:.1f} s")
    print(f"one job more takes Snakemake {1e3 * (many - few) / more:.2f} ms of the processor")
