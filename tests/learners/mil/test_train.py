import importlib.util
import inspect
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CONFIG, ROOT

from cryotome.core import step_versions
from cryotome.core.cards import load_card
from cryotome.core.errors import TrainingError
from cryotome.data.splits.patients import draw_patients
from cryotome.evaluation.patients import read_folds, score_cohort
from cryotome.learners.kept import load_kept
from cryotome.learners.mil.patient_data import PatientData, patients_with_bags
from cryotome.learners.mil.train import Training, score_patients, weighted_loss

CPU = torch.device("cpu")
SCHEME = load_card(CONFIG, "schemes", "patient_folds")


def head(name: str, **changes) -> dict:
    return load_card(CONFIG, "heads", name) | changes


def invented(count: int, seed: int, prefix: str) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Patients of whom a third is positive: a quarter of their 40 tiles is shifted by three SD."""
    rng, labels = np.random.default_rng(seed), (np.arange(count) % 3 == 0).astype(int)
    bags = {f"{prefix}{n:02d}": rng.normal(size=(40, 16)).astype("f4") for n in range(count)}
    for bag, label in zip(bags.values(), labels, strict=True):
        bag[:10, 0] += 3 * label
    return pd.DataFrame({"PATIENT": list(bags), "TARGET": labels}), bags


@pytest.fixture(scope="module")
def cohort():
    """60 patients, 30 external ones, and the bags of all."""
    (people, bags), (others, more) = invented(60, 0, "p"), invented(30, 1, "x")
    return people, others, bags | more


def fold_of(people, others, bags, fold=0):
    roles = draw_patients(people, SCHEME, fold=fold, external=others).roles
    targets = pd.concat([people, others]).set_index("PATIENT")["TARGET"]
    return patients_with_bags(roles, targets, bags)[0]


def summary(people, others, bags, card, count: int = 5) -> pd.DataFrame:
    folds = {}
    for fold in range(count):
        table = fold_of(people, others, bags, fold)
        scores, _ = score_patients(bags, table, card, seed=fold, device=CPU)
        folds[fold] = table[table["role"] != "train"].assign(score=scores)
    for table in folds.values():
        home = table["role"] != "external"
        table["id"] = home.map({True: "home:", False: "away:"}) + table["id"]
    found = score_cohort(folds, cohort="home", external=["away"])
    found = found[(found["metric"] == "auroc") & found["fold"].isin(["all", "mean"])]
    found["set"] = found["test_domain"].replace({"home": "test", "away": "external"})
    found.loc[found["fold"] == "mean", "set"] = "ensemble"
    return found.set_index("set").rename(columns={"value": "mean"})


@pytest.mark.parametrize(
    ("name", "folds"), [("mean_pool", 5), ("abmil_short", 1), ("transformer_mil_short", 1)]
)
def test_a_signal_in_a_quarter_of_the_tiles_is_learned(cohort, name, folds):
    found = summary(*cohort, head(name), folds)
    assert (found["mean"] >= 0.85).all(), found
    assert (found["low"] > 0.6).all(), found


def test_permuted_labels_are_not_learned(cohort):
    people, others, bags = cohort
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        mixed = people.assign(TARGET=rng.permutation(people["TARGET"]))
        found.append(summary(mixed, others, bags, head("mean_pool"))["mean"])
    means = pd.DataFrame(found).mean()
    assert means["test"] == pytest.approx(0.5, abs=0.05)
    assert means["external"] == pytest.approx(0.5, abs=0.05)


def test_a_training_gives_the_same_bits_again_and_others_with_another_seed(cohort):
    table, card = fold_of(*cohort), head("transformer_mil_short", epochs=1)
    table = table.groupby(["role", "label"]).head(4).reset_index(drop=True)
    first, again, other = (
        score_patients(cohort[2], table, card, seed=seed, device=CPU)[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_looks_come_at_the_asked_step_and_after_each_epoch(cohort):
    """Of 36 training patients; HistoBistro looks after each epoch where that is shorter."""
    for every, steps in ((500, [36, 72]), (20, [20, 36, 40, 60, 72])):
        card = head("abmil", epochs=2, evaluate_every=every)
        notes = score_patients(cohort[2], fold_of(*cohort), card, seed=0, device=CPU)[1]
        assert [look["step"] for look in notes["looks"]] == steps


def test_the_look_with_the_lowest_validation_loss_gives_the_scores(cohort):
    """On permuted labels, where it is not the last one."""
    people, others, bags = cohort
    mixed = people.assign(TARGET=np.random.default_rng(0).permutation(people["TARGET"]))
    table, card = fold_of(mixed, others, bags), head("abmil", epochs=6, learning_rate=0.003)
    scores, notes = score_patients(bags, table, card, seed=0, device=CPU)
    losses = {look["step"]: look["validation_loss"] for look in notes["looks"]}
    assert losses[notes["step"]] == min(losses.values()) < losses[6 * 36]
    scored = table[table["role"] != "train"].assign(score=scores)
    watched = scored[scored["role"] == "validation"]
    logits = np.log(watched["score"] / (1 - watched["score"])).to_numpy()
    loss = weighted_loss(logits, watched["label"].to_numpy(), notes["positive_weight"])
    assert loss == pytest.approx(notes["validation_loss"], abs=1e-5)


def test_positives_weigh_as_much_as_negatives():
    logits, label = np.array([0.3, -1.0, 2.0]), np.array([1, 0, 0])
    ours = weighted_loss(logits, label, 2.0)
    torchs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits), torch.tensor(label).double(), pos_weight=torch.tensor(2.0)
    )
    assert ours == pytest.approx(float(torchs))


def test_several_patients_a_step_give_the_mean_of_their_gradients(cohort):
    table, gradients = fold_of(*cohort), []
    for rows in ([0, 1], [0], [1]):
        data = PatientData(cohort[2], table)
        training = Training(data, head("abmil"), seed=0, device=CPU)
        training.learn(np.array(rows))
        gradients.append(training.network.logit.weight.grad)
    assert torch.allclose(gradients[0], (gradients[1] + gradients[2]) / 2, atol=1e-7)


def test_a_loss_that_is_not_finite_stops_the_training(cohort):
    card = head("abmil", learning_rate=1e30)
    with pytest.raises(TrainingError, match="The loss is not finite at step 36.*learning_rate"):
        score_patients(cohort[2], fold_of(*cohort), card, seed=0, device=CPU)


def run(script: str, **arguments) -> None:
    path = ROOT / "workflow" / "scripts" / f"{script}.py"
    spec = importlib.util.spec_from_file_location(f"script_{script}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(arguments) == set(inspect.signature(module.main).parameters)
    module.main(**arguments)


def kept_path(predictions):
    """Return the place of a kept model beside its predictions' folder."""
    parts = ["models" if part == "predictions" else part for part in predictions.parts]
    return type(predictions)(*parts).with_suffix(".safetensors")


def test_the_scripts_lead_from_tables_and_bags_to_scores(tmp_path):
    """Patients whose names are numbers, one without tiles, one without a label."""
    files, folders = {}, {}
    for name, count, prefix in (("home", 40, "0"), ("away", 12, "9")):
        people, bags = invented(count, 0, prefix)
        words = people["TARGET"].map({1: "MSIH", 0: "nonMSIH"})
        table = tmp_path / f"{name}.labels.csv"
        table.write_text("PATIENT,TARGET\n" + "".join(
            f"{p},{w}\n" for p, w in zip(people["PATIENT"], words, strict=True)) + "777,\n", encoding="utf-8"
        )  # fmt: skip
        slides = tmp_path / f"{name}.slide.csv"
        slides.write_text(
            "FILENAME,PATIENT\n" + "".join(f"s.{p}.svs,{p}\n" for p in people["PATIENT"]),
            encoding="utf-8",
        )
        folder = tmp_path / "bags" / name
        folder.mkdir(parents=True)
        bags["001"] = bags.get("001", np.zeros((0, 16), "f4"))[:0]
        for patient, bag in bags.items():
            with h5py.File(folder / f"s.{patient}.h5", "w") as file:
                file["features"], file["coords"] = bag, np.zeros((len(bag), 2), "i8")
        card = {"images": "bags", "labels": {"patient": "PATIENT", "target": "TARGET", "table": "-",
                           "positive": ["MSIH"], "negative": ["nonMSIH"]},
                "expect": {"labelled": count, "positive": int(people["TARGET"].sum())}}  # fmt: skip
        home = {"folder": str(folder), "given": {"where": "c", "model": "m", "names": ["m"],
                                                 "dim": 16, "tiling": None}}  # fmt: skip
        folders[name] = home
        out = [tmp_path / f"{name}.{part}.csv" for part in ("patients", "slides", "excluded")]
        run("read_cohort", labels=[table], slide_table=[slides], patients=out[0], slides=out[1],
            excluded=out[2], recipe=step_versions.COHORTS, card=card, dataset=name, at_hand=[],
            data_root=tmp_path)  # fmt: skip
        assert out[2].read_text(encoding="utf-8") == "PATIENT,FILENAME,reason\n777,,no label\n"
        files[name] = [*out, sorted(folder.glob("*.h5"))]
    home, away = files.values()
    made = []
    for fold in range(2):
        split = tmp_path / f"splits/home/patient_folds/fraction=1.0/fold={fold}.csv"
        made.append(tmp_path / "predictions/home/patient_folds/view=v/model=m/head=mean_pool"
                    / "fraction=1.0" / f"fold={fold}.csv")  # fmt: skip
        run("split_patients", patients=home[0], external=[away[0]], split=split, recipe=step_versions.COHORTS,
            about=split.with_suffix(".json"), card=SCHEME, scheme="patient_folds",
            fold=fold, datasets=["home", "away"], separate=[])  # fmt: skip
        run("train_mil", patients=[home[0], away[0]], slides=[home[1], away[1]],
            bags=[*home[3], *away[3]], split=split, predictions=made[-1], recipe=step_versions.MIL,
            kept=[kept_path(made[-1])], trained_on={"classes": ["-", "+"], "encoder": {"dim": 16}},
            card=head("mean_pool"), folders=folders, model="m", view="v", fold=fold, device="cpu",
            threads=1)  # fmt: skip
    folds = read_folds(made)
    assert folds[0]["id"].str.fullmatch("(home|away):...").all()  # 007 is no 7
    assert folds[0]["role"].value_counts().to_dict()["external"] == 12
    notes = json.loads(made[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert notes["slides_without_tiles"] == ["home:s.001"]
    assert notes["patients_without_tiles"] == ["home:001"]
    assert notes["split_drawn"] == "stratified"
    again, (patient, *_) = load_kept(kept_path(made[0])), folds[0]["id"]
    with h5py.File(tmp_path / "bags" / "{}/s.{}.h5".format(*patient.split(":"))) as file:
        assert again.score(file["features"][:]) == pytest.approx(folds[0]["score"][0], abs=1e-9)
    assert (again.about["classes"], again.about["fold"]) == (["-", "+"], 0)
    scores = tmp_path / "scores.csv"
    run("score_patients", predictions=made, scores=scores, cohort="home", external=["away"])
    table = pd.read_csv(scores)
    assert table.loc[table["metric"] == "auroc", ["fold", "test_domain"]].to_numpy().tolist() == [
        ["0", "home"], ["1", "home"], ["0", "away"], ["1", "away"], ["mean", "away"],
        ["all", "home"], ["all", "away"], ["validation", "home"],
    ]  # fmt: skip
    assert table.loc[table["metric"] == "auroc", "value"].min() > 0.8
