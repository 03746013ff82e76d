"""Run the inputs that once gave wrong results: python tests/tools/on_cases.py CASES [NUMBER …].

Each folder of CASES is one input, with a README that says what is right. Prints a line each:
right, refused and with which sentence, or WRONG; exits 1 where one is wrong.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.renamed import RENAMED_CARDS, RENAMED_KEYS, found_at

BIN = Path(sys.executable).parent


def renew(card: Path, target: Path, schema: str) -> None:
    """Write a card or a study of the cases with the present names of its keys and heads."""
    content = yaml.safe_load(card.read_text(encoding="utf-8"))
    for place, new in RENAMED_KEYS.items():
        of, *way, old = place.split(".")
        for inside in found_at(content, way) if of in ("*", schema) else ():
            if isinstance(inside, dict) and old in inside:
                value = inside.pop(old)
                if old == "views":
                    value = dict(zip(("transform", "precision"), value[0].split("-"), strict=True))
                *outer, last = ["view"] if old == "views" else new.split(".")
                for key in outer:
                    inside = inside.setdefault(key, {})
                inside[last] = value
    if schema == "config":
        content.setdefault("reference", None)
        for row in content["rows"] + content["figure2"]:
            row["head"] = RENAMED_CARDS["heads"].get(row["head"], row["head"])
    target.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


class Case:
    """A copy of one input beside a clone, in which targets are made."""

    def __init__(self, folder: Path, clone: Path, work: Path) -> None:
        self.clone, self.here = clone, work / folder.name
        shutil.copytree(folder, self.here, symlinks=True)
        self.weights = work / "weights"
        for study in self.here.glob("*.yaml"):
            renew(study, study, "config")
        for kind in ("datasets", "models"):
            for card in folder.parent.glob(f"*/{kind}/*.yaml"):  # studies name others' datasets
                renew(card, clone / "config" / kind / card.name, kind[:-1])
        self.said = ""

    def make(self, *targets: str, study: Path | None = None, **environment: str) -> bool:
        """Make targets; return whether all were made. `said` keeps what Snakemake printed."""
        env = os.environ | {"CRYOTOME_DATA_ROOT": str(self.here / "data")} | environment
        env |= {"PATH": f"{BIN}:{env['PATH']}", "CRYOTOME_WEIGHTS_DIR": str(self.weights)}
        said = study or self.here / "study.yaml"
        command = ["snakemake", "--cores", "1", "--forceall", "--configfile", str(said)]
        done = subprocess.run(
            [*command, "--", *targets], cwd=self.clone, env=env, capture_output=True, check=False
        )
        self.said = (done.stdout + done.stderr).decode("utf-8", "replace")
        return done.returncode == 0

    def table(self, path: str) -> pd.DataFrame:
        return pd.read_csv(self.clone / "results" / path, dtype=str, keep_default_na=False)

    def refusal(self, *words: str) -> str:
        """Return the sentence of an error that holds these words, else nothing."""
        for line in map(str.strip, self.said.splitlines()):
            if all(word in line for word in words) and re.match(r"\w*Error: |/", line):
                return line.replace(f"{self.here}/", "")
        return ""


def two_cohorts(case: Case) -> str:
    path = "scores/ca/patient_folds/view=paper-fp32/model=colour_histogram/head=mean_pool.csv"
    assert case.make(f"results/{path}")
    scores = case.table(path)
    external = scores[(scores["metric"] == "auroc") & (scores["test_domain"] == "cb")]
    assert set(external["value"].astype(float)) == {1.0}, external
    return "external AUROC 1.0 in both folds"


def unequal_mpp(case: Case) -> str:
    assert not case.make("results/audits/mppxy.csv")
    return case.refusal("A_tiled.tif", "0.25", "0.5")


def orientation(case: Case) -> str:
    assert not case.make("results/audits/orient.csv")
    return case.refusal("orientation tag 3", "tiled.tif")


def swapped(case: Case) -> str:
    assert case.make("results/cells/cats_std.csv", study=_of(case, "cats_std"))
    assert not case.make("results/cells/cats_swapped.csv")
    return case.refusal("mitotic figure", "look-alike")


def _of(case: Case, dataset: str) -> Path:
    """Return the case's study for another of its datasets."""
    said = (case.here / "study.yaml").read_text(encoding="utf-8")
    path = case.here / f"{dataset}.yaml"
    path.write_text(re.sub(r"datasets:\n- \w+", f"datasets:\n- {dataset}", said), encoding="utf-8")
    return path


def kinds(case: Case) -> str:
    assert case.make("results/cells/sr_kinds.csv")
    line = next(x for x in case.said.splitlines() if "found" in x and "passed over" in x)
    assert "rectangle" in line and "polygon" in line and "circle" in line, line
    return line.split("a.sqlite: ")[-1]


def one_name(case: Case) -> str:
    if case.make("results/audits/sr_same.csv"):
        assert case.table("cells/sr_same.csv")["slide"].nunique() == 2
        return "two slides"
    return case.refusal("slide.png")


def dots(case: Case) -> str:
    assert not case.make("results/audits/dots.csv")
    refused = case.refusal("case.1")
    assert case.make("results/audits/tcga.csv", study=_of(case, "tcga"))
    return f"{refused} The TCGA name without a suffix is found."


def absent(case: Case) -> str:
    case.make("results/cells/half_copied.csv")
    lines = [x for x in case.said.splitlines() if re.search(r"meta\.csv.*\b14\b", x)]
    return lines[0]


def registers(case: Case) -> str:
    subprocess.run(
        [sys.executable, "make_weights.py", str(case.weights)], cwd=case.here, check=True
    )
    for number in "15":
        study = _with_models(case, f"wmean{number}")
        target = f"results/embeddings/demo_rois/paper-fp32/wmean{number}.h5"
        assert case.make(target, study=study) == (number == "5"), case.said
        if number == "1":
            refused = case.refusal("prefix_tokens")
    return refused


def _with_models(case: Case, *models: str) -> Path:
    """Return a study of the demo's cells with these models and ridge."""
    rows = "".join(f"- model: {model}\n  head: ridge\n" for model in models)
    said = (case.here / "study.yaml").read_text(encoding="utf-8")
    said = re.sub(r"rows:\n(- model.*\n  head.*\n)+", f"rows:\n{rows}", said)
    path = case.here / f"{models[0]}.yaml"
    path.write_text(said.replace("- cats_std", "- demo_rois"), encoding="utf-8")
    return path


def wrong_tag(case: Case) -> str:
    assert not case.make("results/patches/mpp_inch_card.h5")
    return case.refusal("0.635", "0.25")


def links(case: Case) -> str:
    subprocess.run(["bash", "links.sh"], cwd=case.here, check=True)
    assert case.make(
        "results/cohorts/symdirs.slides.csv", "results/tiles/symdirs_table/classify.csv"
    )
    assert case.table("cohorts/symdirs.slides.csv")["PATIENT"].nunique() == 6
    assert set(case.table("tiles/symdirs_table/classify.csv")["status"]) == {"ok"}
    return "six patients; six slides of the table are tiled"


def no_locks(case: Case) -> str:
    library = case.here / "nolock.so"
    build = ["gcc", "-shared", "-fPIC", "-o", str(library), "nolock.c"]
    subprocess.run(build, cwd=case.here, check=True)
    study = _with_models(case, "colour_histogram")
    for number in ("37", "95", "11", "38"):
        how = {"LD_PRELOAD": str(library), "NOLOCK_ERRNO": number}
        assert case.make("results/audits/demo_rois.csv", study=study, **how), (number, case.said)
    return "ENOLCK, EOPNOTSUPP, EAGAIN, ENOSYS: runs"


def latin1(case: Case) -> str:
    place = case.here / "loc"
    place.mkdir()
    build = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(place / "en_US.ISO-8859-1")]
    subprocess.run(build, check=True)
    how = {"LOCPATH": str(place), "LC_ALL": "en_US.ISO-8859-1"}
    assert case.make(
        "results/cells/demo_rois.csv", study=_with_models(case, "colour_histogram"), **how
    )
    return "runs"


def space(case: Case) -> str:
    mine, site = case.here / "my clone", sysconfig.get_path("purelib")
    shutil.copytree(case.clone, mine)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(mine / ".venv")], check=True)
    inside = next((mine / ".venv").glob("lib/*/site-packages"))
    (inside / "all.pth").write_text(site, encoding="utf-8")
    snakemake = [str(mine / ".venv/bin/python"), "-m", "snakemake", "--cores", "1"]
    target = "results/cells/demo_rois.csv"
    done = subprocess.run([*snakemake, target], cwd=mine, capture_output=True, check=False)
    case.said = (done.stdout + done.stderr).decode("utf-8", "replace")
    return "runs" if done.returncode == 0 else case.refusal("my clone")


def braces(case: Case) -> str:
    if case.make("results/tiles/braces/classify.csv"):
        return "runs"
    return case.refusal("S{0}")


def dollars(case: Case) -> str:
    assert case.make("results/studies/odd_titles/figure2.png")
    return "drawn"


def byte_order_mark(case: Case) -> str:
    assert case.make("results/cells/bom.csv")
    assert len(case.table("cells/bom.csv")) == 8
    return "8 cells"


def wrong_suffix(case: Case) -> str:
    import timm
    import torch
    from safetensors.torch import save_file

    size = {"num_classes": 0, "dynamic_img_size": True, "depth": 2, "reg_tokens": 4}
    network = timm.create_model("vit_tiny_patch16_224", **size)
    (case.weights / "wbin_is_st").mkdir(parents=True)
    save_file(network.state_dict(), case.weights / "wbin_is_st" / "pytorch_model.bin")
    target = "results/embeddings/demo_rois/paper-fp32/wbin_is_st.h5"
    assert case.make(target, study=_with_models(case, "wbin_is_st"))
    with h5py.File(case.clone / target) as store:
        found = np.isfinite(store["embedding"][:]).all() and torch.__version__
    assert found
    return "loaded"


def png_slides(case: Case) -> str:
    assert case.make("results/tiles/pngslides/classify.csv")
    assert set(case.table("tiles/pngslides/classify.csv")["status"]) == {"ok"}
    return "six slides are tiled"


def decomposed(case: Case) -> str:
    folder = case.here / "data" / "names" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    cells = pd.read_csv(case.here / "data" / "names_nfd" / "cells.csv")
    for name in cells["filename"].unique():
        pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / unicodedata.normalize("NFD", name))
    assert case.make("results/patches/names_nfd.h5")
    return "found"


CASES: dict[str, Callable[[Case], str]] = {
    "01": two_cohorts, "02": unequal_mpp, "03": orientation, "04": swapped, "06": kinds,
    "07": one_name, "08": dots, "10": absent, "12": registers, "13": wrong_tag, "14": links,
    "17": no_locks, "18": latin1, "19": space, "20": braces, "22": dollars, "23": byte_order_mark,
    "25": wrong_suffix, "26": png_slides, "27": decomposed,
}  # fmt: skip


def main(cases: Path, only: list[str]) -> bool:
    right = True
    for folder in sorted(path for path in cases.iterdir() if path.is_dir()):
        number = folder.name[:2]
        if only and number not in only:
            continue
        with tempfile.TemporaryDirectory() as work:
            clone = Path(work) / "clone"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            case = Case(folder, clone, Path(work))
            try:
                said = CASES[number](case)
                assert said, "refused, and no sentence names it"
            except Exception as error:  # a case may be wrong in any way
                right, said = False, f"WRONG ({type(error).__name__}: {str(error)[:200]})"
            said = said.replace(f"{work}/", "")
        print(f"{folder.name}: {said}", flush=True)
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("only", nargs="*", metavar="NUMBER")
    arguments = parser.parse_args()
    sys.exit(not main(arguments.cases, arguments.only))
