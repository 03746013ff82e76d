"""Cohorts that share all names of slides and patients, with bags that no rule makes."""

import hashlib

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from accidents import checkout
from small_study import plan, snakemake

pytestmark = pytest.mark.study

NAMES = [f"{number:03d}" for number in range(10)]
SCORES = "results/scores/ca/patient_folds/view=paper-fp32/model=colour_histogram/head=mean_pool.csv"
STUDY = {
    "study": "mine", "datasets": [], "rows": [], "schemes": [], "fractions": [1.0], "folds": 2,
    "view": {"transform": "paper", "precision": "fp32"},
    "precision_check": {"patches": 512, "min_cosine": 0.99, "auroc": 0.01},
    "statistics": {"draws": 200, "alpha": 0.05, "margin": 0.02}, "reference": None, "figure2": [], "device": "cpu",
    "colorectal": {
        "rows": ["colour_histogram"],
        "slides": {"cohort": "ca", "external": ["cb", "cc"], "scheme": "patient_folds",
                   "heads": ["mean_pool"]},
    },
}  # fmt: skip


def card(name: str, **more) -> dict:
    labels = {"table": f"{name}/labels.csv", "patient": "PATIENT", "target": "TARGET",
              "positive": ["MSIH"], "negative": ["nonMSIH"]}  # fmt: skip
    return {"title": "Same title", "source": "made for a test", "reader": "slides",
            "labels": labels, "slide_table": f"{name}/slides.csv", "target": "x against y",
            "bags": {"colour_histogram": {"folder": f"{name}/bags"}}, **more}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three cohorts of ten; in each, a different half is positive, and the features encode the label."""
    root = tmp_path_factory.mktemp("root")
    folder = checkout(root / "c")
    rng = np.random.default_rng(0)
    for turn, name in enumerate(("ca", "cb", "cc")):
        label = np.roll(np.arange(10) % 2, turn % 2) if turn < 2 else np.arange(10) // 5
        home = root / "data" / name / "bags"
        home.mkdir(parents=True)
        words = np.where(label, "MSIH", "nonMSIH")
        pd.DataFrame({"PATIENT": [f"P{n}" for n in NAMES], "TARGET": words}).to_csv(
            home.parent / "labels.csv", index=False
        )
        pd.DataFrame({"FILENAME": NAMES, "PATIENT": [f"P{n}" for n in NAMES]}).to_csv(
            home.parent / "slides.csv", index=False
        )
        for slide, of in zip(NAMES, label, strict=True):
            with h5py.File(home / f"{slide}.h5", "w") as file:
                file["feats"] = (rng.normal(size=(50, 96)) + of).astype("f4")
                file["coords"] = np.zeros((50, 3))
                file["model_name"] = "colour_histogram"
        text = yaml.dump(card(name, separate_patients=True))
        (folder / "config" / "datasets" / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "mine.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    return folder, {"CRYOTOME_DATA_ROOT": str(root / "data")}, root / "data"


def digests(data) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in data.rglob("*.h5")}


def test_given_bags_of_cohorts_that_share_all_names_stay_apart_and_as_they_are(place):
    folder, root, data = place
    before = digests(data)
    table = "results/studies/mine/colorectal/table1.csv"
    said = snakemake(folder, "--cores", "2", "--configfile", "mine.yaml", "--", table, **root)
    assert "rule tile_slide" not in said and "rule embed_slide" not in said
    assert digests(data) == before
    made = [path.name for path in folder.glob("results/bags/*")]
    assert not set(made) & {"ca", "cb", "cc"}
    line = pd.read_csv(folder / table).iloc[0]
    assert line[["cohort", "external_cb", "external_cc"]].tolist() == [1.0, 1.0, 1.0]
    assert not line["synthetic"] and not line["cohort_synthetic"]
    scores = pd.read_csv(folder / SCORES)
    assert set(scores["test_domain"]) == {"ca", "cb", "cc"}
    assert "colorectal/table2.csv" not in said


def test_a_study_of_slides_alone_plans_tables_figure_and_page(place):
    folder, root, _ = place
    planned = plan(folder, "--forceall", "--configfile", "mine.yaml", **root)
    assert {"roth_table1", "format_roth_tables", "roth_figure1", "html_report"} <= set(planned)
    assert not {"embed", "classify_patches", "tile_slide"} & set(planned)
    assert planned["roth_table1"] == 1  # Table 1 alone
    one = STUDY | {"colorectal": STUDY["colorectal"] | {
        "slides": {**STUDY["colorectal"]["slides"], "external": None}}}  # fmt: skip
    (folder / "one.yaml").write_text(yaml.dump(one), encoding="utf-8")
    assert "roth_table1" in plan(folder, "--forceall", "--configfile", "one.yaml", **root)


def test_patients_of_equal_names_are_refused_where_no_card_says_that_they_are_others(place):
    folder, root, _ = place
    path = folder / "config" / "datasets" / "cd.yaml"
    path.write_text(yaml.dump(card("cb")), encoding="utf-8")
    study = STUDY | {"study": "other", "colorectal": STUDY["colorectal"] | {
        "slides": STUDY["colorectal"]["slides"] | {"cohort": "cd", "external": "cc"}}}  # fmt: skip
    cc = folder / "config" / "datasets" / "cc.yaml"
    kept = cc.read_text(encoding="utf-8")
    cc.write_text(yaml.dump(card("cc")), encoding="utf-8")
    (folder / "other.yaml").write_text(yaml.dump(study), encoding="utf-8")
    split = "results/splits/cd/patient_folds/fraction=1.0/fold=0.csv"
    said = snakemake(folder, "--cores", "1", "--configfile", "other.yaml", "--", split,
                     check=False, **root)  # fmt: skip
    cc.write_text(kept, encoding="utf-8")
    assert "10 patients are in the cohort and in the external one (cc), first 'P000'" in said
    assert "separate_patients: true" in said


def test_a_bag_without_our_passport_is_never_replaced(place):
    """Not even where the user told Snakemake that the bag is made, and the slides exist."""
    folder, root, data = place
    (data / "ca" / "slides").mkdir(exist_ok=True)
    (data / "ca" / "slides" / "000.tif").touch()
    ours = folder / "results/bags/ce/paper-fp32/colour_histogram/000.h5"
    ours.parent.mkdir(parents=True)
    ours.write_bytes((data / "ca" / "bags" / "000.h5").read_bytes())
    before = ours.read_bytes()
    tiles = {"classify": {"mpp": 2.0, "side": 64, "min_tissue_fraction": 0.5}}
    mine = card("ca", images="ca/slides", tiles=tiles)
    del mine["bags"]
    (folder / "config" / "datasets" / "ce.yaml").write_text(yaml.dump(mine), encoding="utf-8")
    study = STUDY | {"colorectal": STUDY["colorectal"] | {
        "slides": STUDY["colorectal"]["slides"] | {"cohort": "ce", "external": "cb"}}}  # fmt: skip
    (folder / "ours.yaml").write_text(yaml.dump(study), encoding="utf-8")
    goal = str(ours.relative_to(folder))
    for flags in (["--cores", "1"], ["--cores", "1", "--forceall"], ["--touch", "--cores", "1"]):
        said = snakemake(folder, *flags, "--configfile", "ours.yaml", "--", goal,
                         check=False, **root)  # fmt: skip
        assert "has no provenance of this workflow" in said and "bags: {MODEL: {folder" in said
        assert ours.read_bytes() == before


def test_a_cohort_without_bags_of_a_row_and_without_slides_says_what_to_give(place):
    folder, root, _ = place
    study = STUDY | {"colorectal": STUDY["colorectal"] | {"rows": ["colour_histogram", "uni"]}}
    (folder / "rows.yaml").write_text(yaml.dump(study), encoding="utf-8")
    said = snakemake(folder, "-n", "--configfile", "rows.yaml", check=False, **root)
    assert (
        "ca has no slides to embed (`images:` and `tiles:` of its card) and no bags of uni" in said
    )
