"""Studies with something odd in them: a broken image, lost weights, wrong counts, blanks in paths."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest
import yaml
from accidents import checkout
from PIL import Image
from small_study import SMALL, snakemake

from cryotome.data.patches import patch_view

pytestmark = pytest.mark.study

POINTS = """x,y,label,filename
1043.3,1518.7,nucleus,cmu_small_region.svs
1153.3,1784.7,nucleus,cmu_small_region.svs
1193.3,1914.7,nucleus,cmu_small_region.svs
833.3,1773.3,none,cmu_small_region.svs
740.0,1666.7,none,cmu_small_region.svs
3.0,1500.0,none,cmu_small_region.svs
341.2,538.6,nucleus,kidney-48-5.tif
373.3,538.6,nucleus,kidney-48-5.tif
746.5,320.0,none,kidney-48-5.tif
1163.5,103.4,none,kidney-48-5.tif
"""


def test_a_table_of_points_on_real_slides_at_native_and_at_a_quarter_micron(shared, tmp_path):
    """A slide with 0.499 µm/px in its tags, and a flat TIFF whose resolution its card gives."""
    folder, mine = checkout(tmp_path / "c"), tmp_path / "data" / "mine"
    mine.mkdir(parents=True)
    (mine / "slides").symlink_to(shared / "slides")
    (mine / "points.csv").write_text(POINTS, encoding="utf-8")
    card = {
        "title": "Points",
        "source": "placed by hand",
        "reader": "table",
        "annotations": "mine/points.csv",
        "images": "mine/slides",
        "classes": [{"name": "none", "id": "none"}, {"name": "nucleus", "id": "nucleus"}],
        "domains": {"lab": {"title": "lab", "where": {}}},
        "patch": {"side": 64, "resolution": "native", "border": "reflect"},
    }
    (folder / "config/datasets/native.yaml").write_text(yaml.dump(card), encoding="utf-8")
    quarter = {"extends": "native", "patch": {"resolution": 0.25}}
    (folder / "config/datasets/quarter.yaml").write_text(yaml.dump(quarter), encoding="utf-8")
    rows = [{"model": "colour_histogram", "head": "ridge"}]
    study = SMALL | {
        "datasets": ["native", "quarter"],
        "rows": rows,
        "fractions": [1.0],
        "folds": 1,
    }
    (folder / "s.yaml").write_text(yaml.dump(study | {"device": "cpu"}), encoding="utf-8")
    ask = ["--cores", "2", "--configfile", "s.yaml"]
    root = {"CRYOTOME_DATA_ROOT": str(tmp_path / "data")}
    said = snakemake(folder, *ask, check=False, **root)
    assert "kidney-48-5.tif does not say how many µm a pixel measures. Write `mpp: 0.25`" in said
    with open(folder / "config/datasets/quarter.yaml", "a", encoding="utf-8") as file:
        file.write("mpp: 0.5\n")
    snakemake(folder, *ask, **root)
    native, quarter = (
        patch_view(folder / "results/patches" / f"{name}.h5", {"all": list(range(10))})["all"]
        for name in ("native", "quarter")
    )
    slide = openslide.OpenSlide(shared / "slides" / "cmu_small_region.svs")
    skin = slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")
    kidney = Image.open(shared / "slides" / "kidney-48-5.tif")
    assert (native[0] == np.asarray(skin.crop((1011, 1486, 1075, 1550)))).all()
    cells = pd.read_csv(folder / "results/cells/native.csv")
    for cell, patch in zip(cells.to_dict("records"), quarter, strict=True):
        image, mpp = (kidney, 0.5) if "kidney" in cell["image"] else (skin, 0.499)
        x, y, reach = cell["x"], cell["y"], 32 * 0.25 / mpp
        if x > reach:
            box = (x - reach, y - reach, x + reach, y + reach)
            due = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC, box=box), float)
            assert np.abs(due - patch).mean() < 1, cell
    audit = pd.read_csv(folder / "results/audits/native.csv")
    assert audit["finding"].tolist() == ["border"]
    assert (folder / "results/audits/quarter.png").stat().st_size > 10_000


def test_one_bad_thing_does_not_stop_the_rest(tmp_path):
    """A broken image in one dataset, weights that cannot be fetched in one row of the other."""
    folder = checkout(tmp_path / "c")
    rois, slides = "demo_rois", "demo_slides"
    card = (folder / "config/models/resnet10t_random.yaml").read_text(encoding="utf-8")
    card = card.replace(
        "weights: {random: 0}", "weights: {url: 'http://127.0.0.1:1/w', file: w.pt}"
    )
    (folder / "config/models/lost.yaml").write_text(card, encoding="utf-8")
    study = SMALL | {
        "datasets": [rois, slides],
        "rows": [{"model": m, "head": "ridge"} for m in ("colour_histogram", "lost")],
        "schemes": ["random", "from_*"],
        "fractions": [1.0],
        "folds": 1,
    }
    (folder / "s.yaml").write_text(yaml.dump(study), encoding="utf-8")
    ask = ["--cores", "2", "--configfile", "s.yaml"]
    snakemake(folder, *ask, "--", "results/demo/rois/annotations.json")
    whole = (folder / "results/demo/rois/images/003.tiff").read_bytes()
    (folder / "results/demo/rois/images/003.tiff").write_bytes(whole[:5000])
    said = snakemake(folder, *ask, check=False)
    assert "Jobs failed; what does not need them was made" in said
    assert re.search(r"cut_patches demo_rois: 1 images of 'demo_rois' gave no patches", said)
    assert "003.tiff cannot be read" in said
    assert re.search(
        r"embed demo_slides, paper-fp32, lost: The weights of lost .* put w.pt at", said, re.I
    )
    ridge = (
        "results/predictions/demo_slides/random/view=paper-fp32/model=colour_histogram/head=ridge"
    )
    assert (folder / ridge / "fraction=1.0/fold=0.csv").exists()
    assert not (folder / "results/studies/small/table2.csv").exists()
    table = pd.read_csv(folder / "results/studies/small/table2_partial.csv").set_index("model")
    assert table.loc["colour_histogram", "why"].startswith("cut_patches: 1 images of 'demo_rois'")
    # once fixed, the same command fails for the weights alone, and the table says so
    (folder / "results/demo/rois/images/003.tiff").write_bytes(whole)
    said = snakemake(folder, *ask, check=False)
    assert "resuming after" in said
    table = pd.read_csv(folder / "results/studies/small/table2_partial.csv").set_index("model")
    assert pd.isna(table.loc["colour_histogram", "why"])
    assert table.loc["colour_histogram", ["in_found", "out_found"]].tolist() == [3, 6]
    assert 0 < table.loc["colour_histogram", "in_mean"] < 1
    assert "The weights of lost" in table.loc["lost", "why"]
    assert table.loc["lost", ["in_found", "out_found"]].tolist() == [0, 0]
    assert not (folder / "results/studies/small/table2.csv").exists()


def test_wrong_counts_stop_the_rule_itself(tmp_path):
    """The rule gets the `expect` of the card."""
    folder = checkout(tmp_path / "counted")
    card = folder / "config" / "datasets" / "demo_slides.yaml"
    card.write_text(
        card.read_text(encoding="utf-8") + "expect: {images: 8, cells: {mast_cell: [1, 1]}}\n",
        encoding="utf-8",
    )
    said = snakemake(folder, "--cores", "1", "results/cells/demo_slides.csv", check=False)
    assert "mast_cell has [" in said
    assert not (folder / "results/cells/demo_slides.csv").exists()


def test_a_clone_and_a_python_below_a_space_work_from_elsewhere_in_any_locale(tmp_path):
    """`snakemake -s PATH/Snakefile -d ELSEWHERE`, where jobs start a Python with a space in its path."""
    clone, elsewhere = checkout(tmp_path / "my clone"), tmp_path / "else where"
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    elsewhere.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    (clone / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", clone / ".venv")
    done = subprocess.run(
        [python, "-m", "snakemake", "--cores", "1", "-s", "my clone/Snakefile", "-d", "else where",
         "--", "results/cells/demo_rois.csv"],
        cwd=tmp_path, capture_output=True, encoding="utf-8",
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PWD": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_csv(elsewhere / "results/cells/demo_rois.csv")) == 1176
