import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from tests.learners.test_kept_file import PLACE

from cryotome.core.errors import StoreError
from cryotome.learners.kept import load_kept
from cryotome.learners.kept_file import write_kept

LINEAR = {"weights": np.array([1.0, -1.0]), "bias": np.array(0.0)}


def test_a_model_is_loaded_in_a_new_process_without_snakemake_and_torch(tmp_path):
    write_kept(tmp_path / PLACE, LINEAR, "linear", {"classes": ["no", "yes"]})
    code = (
        "import sys; import numpy as np; from cryotome.learners.kept import load_kept\n"
        f"model = load_kept({str(tmp_path / PLACE)!r})\n"
        "print(model.about['classes'][1], model.score(np.array([[3, 3], [0, 50.0]])).tolist())\n"
        "print({'snakemake', 'torch'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "workflow")}, check=True,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    said, modules = done.stdout.splitlines()
    assert said.startswith("yes [0.5, ")
    assert modules == "set()"


def test_a_kind_that_is_not_known_is_refused(tmp_path):
    write_kept(tmp_path / PLACE, LINEAR, "oracle", {})
    with pytest.raises(StoreError, match=r"fold=3.safetensors holds a model of kind 'oracle'"):
        load_kept(tmp_path / PLACE)
