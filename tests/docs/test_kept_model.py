"""The ten lines of the guide load models that a study has made, in a process without Snakemake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from accidents import TINY
from conftest import ROOT

from cryotome.runtime.devices import multiplies_bf16

pytestmark = pytest.mark.study
GUIDE = ROOT / "docs" / "guides" / "use-a-kept-model.md"
MODEL = TINY["rows"][0]["model"]
PLACES = {
    "endtoend_tiny": ("patches", "patch", "results/patches/tiny.h5"),
    "ridge": ("paper-fp32", "embedding", f"results/embeddings/tiny/paper-fp32/{MODEL}.h5"),
}


@pytest.mark.parametrize("head", PLACES)
def test_the_ten_lines_give_the_scores_of_the_predictions(tiny_study: Path, head: str):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert len([line for line in code.splitlines() if line]) <= 10
    view, array, store = PLACES[head]
    run = f"tiny/random/view={view}/model={MODEL}/head={head}/fraction=1.0/fold=0"
    code = re.sub(r'run = ".*"', f'run = "{run}"', code)
    code = re.sub(r'Path\(".*"\)', f'Path("{store}")', code).replace('"patch")', f'"{array}")')
    code = code.replace(".head())", ".to_csv(float_format='%.17g'))")
    code += "\nimport sys; assert 'snakemake' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny_study, capture_output=True, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, _, *lines = done.stdout.splitlines()
    assert first.startswith("['no', 'yes'] {'border': 'reflect', 'channels': 'RGB'")
    found = pd.Series({int(i): float(v) for i, v in (line.split(",") for line in lines if line)})
    table = pd.read_csv(tiny_study / f"results/predictions/{run}.csv")
    # in bf16 the batches of another order round otherwise
    rough = view == "patches" and multiplies_bf16(torch.device("cpu"))
    exact = pytest.approx(table["score"].to_numpy(), abs=0.02 if rough else 1e-6)
    assert found.loc[table["id"]].to_numpy() == exact
