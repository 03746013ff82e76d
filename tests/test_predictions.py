import json

import numpy as np
import pandas as pd

from cryotome.paths import sha256
from cryotome.predictions import write_predictions


def test_a_prediction_carries_the_hash_of_its_split_and_how_it_was_drawn(tmp_path):
    split = tmp_path / "fold=0.csv"
    split.write_text("id,role\n4,test\n")
    split.with_suffix(".json").write_text('{"drawn": "stratified"}')
    roles = pd.DataFrame({"id": [4], "role": ["test"]})
    path = tmp_path / "out" / "fold=0.csv"
    write_predictions(
        path, roles, np.array([1]), np.array([0.25]), split=split, notes={"model": "uni"}
    )
    assert path.read_text() == "id,role,label,score\n4,test,1,0.25\n"
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["split_sha256"] == sha256(split)
    assert (about["split_drawn"], about["model"]) == ("stratified", "uni")
    assert set(about["versions"]) == {"numpy", "scipy", "scikit-learn", "torch"}
