import numpy as np
import pytest
from tests.learners.mil.test_train import CPU, fold_of, head, invented

from cryotome.core.errors import StoreError
from cryotome.learners.kept import load_kept
from cryotome.learners.kept_file import write_kept
from cryotome.learners.mil.kept_aggregator import AGGREGATOR
from cryotome.learners.mil.train import fit_patients

PLACE = "models/d/patient_folds/view=v/model=m/head=h/fraction=1.0/fold=0.safetensors"


@pytest.mark.parametrize("name", ["mean_pool", "abmil", "transformer_mil_short"])
def test_a_bag_is_scored_as_its_patient_was(tmp_path, name):
    (people, bags), (others, more) = invented(40, 0, "p"), invented(12, 1, "x")
    table, card = fold_of(people, others, bags | more), head(name)
    card |= {"epochs": 1} if "epochs" in card else {}
    fit = fit_patients(bags | more, table, card, seed=3, device=CPU)
    about = {"head_card": card, "encoder": {"dim": 16}}
    write_kept(tmp_path / PLACE, fit.arrays, AGGREGATOR, about)
    model = load_kept(tmp_path / PLACE)
    scored = table.loc[table["role"] != "train", "id"]
    found = [model.score((bags | more)[patient]) for patient in scored]
    assert found == pytest.approx(fit.scores, abs=1e-6)
    assert np.ptp(found) > 0
    attention = model.attention((bags | more)[scored.iloc[0]])
    assert attention.sum() == pytest.approx(1, abs=1e-6)
    assert (np.ptp(attention) > 0) == (name != "mean_pool")
    with pytest.raises(StoreError, match=r"shape \(40, 15\) were given to a head of 16 features"):
        model.score(np.zeros((40, 15), "f4"))
