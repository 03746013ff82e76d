import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from accidents import checkout
from conftest import CONFIG, ROOT
from tests.cli.test_machine import cluster
from tests.encoders.test_weights import server  # noqa: F401 — a local hub

from cryotome.cli import doctor
from cryotome.cli.machine import FIX, OK
from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError
from cryotome.study.checks import checked_study
from cryotome.study.costs.gflop import Job
from cryotome.study.load import config_file
from cryotome.study.site import Site, resolve_site
from cryotome.study.study import Study

TOKEN = "hf_" + "secret" * 6


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("CRYOTOME_DATA_ROOT", "CRYOTOME_WEIGHTS_DIR", "CRYOTOME_DEVICE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def study(name: str, **changes: object) -> Study:
    return checked_study(
        yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")) | changes, CONFIG
    )


def at(data_root: Path) -> Site:
    return replace(resolve_site({}, CONFIG), data_root=data_root, weights_dir=data_root / "weights")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A checkout, and a PATH of its own with a cluster that has GPUs."""
    folder = checkout(tmp_path / "clone")
    shutil.copy(ROOT / "requirements.txt", folder)
    (tmp_path / "bin").mkdir()
    cluster(tmp_path / "bin")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path, server):  # noqa: F811
    for name in ("HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / "none"))
    monkeypatch.setenv("HF_ENDPOINT", server)
    return server


def test_the_demo_needs_nothing_that_a_machine_with_the_requirements_lacks(clone, capsys):
    done = doctor.main("demo")
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.startswith("FIX") and "versions: " not in line]
    assert found == []
    assert done == ("Study 'demo' can run." in lines)
    for word in (
        "Python 3",
        "versions:",
        "torch ",
        "OpenSlide",
        "GPU, not needed by this study:",
        "bf16:",
        "disk:",
        "Slurm: partitions",
        "Slurm: how long",
    ):
        assert sum(line[6:].startswith(word) for line in lines) == 1, word
    assert sum("synthetic, made by the study itself" in line for line in lines) == 6
    assert sum("locks and renames work" in line for line in lines) == 1


def test_what_a_real_study_lacks_is_listed_and_the_exit_says_so(clone, capsys, hub):
    assert doctor.main("ganz2024") is False
    said = capsys.readouterr().out
    assert "FIX   weights of uni [gated]: HF_TOKEN is not set, and the hub grants access" in said
    assert "`make weights MODELS=phikon` where there is network" in said
    assert (
        "dataset ccmct: data/ccmct/MITOS_WSI_CCMCT_ODAEL.sqlite and data/ccmct/images missing: `make data STUDY=ganz2024`"
        in said
    )
    assert "to fix for study 'ganz2024'." in said


def gated(hub: str, file: str = "model.bin") -> dict:
    weights = {"hub": hub, "file": file, "gated": True}
    return load_card(CONFIG, "models", "uni") | {"weights": weights}


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("owner/open", "and the hub grants access, 0.0 GB: run `make weights MODELS=mine`"),
        ("owner/gated", "and the hub refuses it (403): accept its terms at https://huggingface.co/owner/gated, set HF_TOKEN, run `make weights MODELS=mine`"),
        ("owner/absent", "the hub answers 404 for model.bin: fix `weights:` in its card"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", TOKEN])
def test_the_hub_is_asked_for_gated_weights_and_no_token_is_shown(
    hub, tmp_path, monkeypatch, repository, said, token
):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    found = doctor.check_weights(gated(repository), "mine", tmp_path)
    assert (found.mark, said in found.text) == (FIX, True), found.text
    if "absent" not in repository:
        assert ("a token is set" if token else "HF_TOKEN is not set") in found.text
    assert "secret" not in found.text


def test_without_network_it_says_where_to_fetch(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = doctor.check_weights(gated("owner/open"), "mine", tmp_path)
    assert "the hub cannot be reached (ConnectError): accept its terms at" in found.text
    assert "on a machine with network access, and copy its weights folder here" in found.text


def test_weights_at_hand_need_no_hub(tmp_path):
    path = tmp_path / "owner" / "open" / "model.bin"
    path.parent.mkdir(parents=True)
    path.touch()
    found = doctor.check_weights(gated("owner/open"), "mine", tmp_path)
    assert (found.mark, found.text) == (OK, f"weights of mine: {path}")


def test_real_images_are_counted_and_one_is_opened(shared):
    found = doctor.check_dataset(study("amibr"), at(shared), "amibr")
    assert found.mark == OK
    assert "3,720 cells as expected, 3,720 of 3,720 images; " in found.text
    assert "128 x 128 px, µm/px not known and not needed" in found.text


def test_real_annotations_without_their_images_say_which_is_missing(shared, tmp_path):
    (tmp_path / "midogpp" / "images").mkdir(parents=True)
    shutil.copy(shared / "midogpp" / "MIDOG++.json", tmp_path / "midogpp")
    ganz = study("ganz2024", datasets=["midogpp"])
    found = doctor.check_dataset(ganz, at(tmp_path), "midogpp")
    assert found.mark == FIX
    assert "26,286 cells as expected, 0 of 503 images, first missing 001.tiff" in found.text


def test_broken_annotations_are_said_in_the_readers_words(tmp_path):
    (tmp_path / "midogpp" / "images").mkdir(parents=True)
    (tmp_path / "midogpp" / "MIDOG++.json").write_text("<html>sign in</html>", encoding="utf-8")
    found = doctor.check_dataset(study("ganz2024", datasets=["midogpp"]), at(tmp_path), "midogpp")
    assert (found.mark, "it begins with" in found.text) == (FIX, True)


def test_a_disk_that_is_too_small_is_named(tmp_path, monkeypatch):
    site, ganz = at(tmp_path / "data"), study("ganz2024")
    jobs = [Job("cut_patches", {"dataset": name}) for name in ganz.datasets]
    few = shutil.disk_usage(tmp_path)._replace(free=100 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: few)
    monkeypatch.setattr(doctor, "RESULTS", tmp_path / "results")
    (found,) = doctor.check_disk(ganz, site, jobs)
    assert found.mark == FIX  # 20.7 of patches, 16.2 in passing, 18.3 of weights, 71 of data
    assert "100 GB free, 126.2 GB still needed (" in found.text
    assert "results 36.9 GB, " in found.text
    few = few._replace(free=10**12)
    (found,) = doctor.check_disk(ganz, site, jobs)
    assert found.mark == OK


@pytest.mark.parametrize(("slides", "parted"), [(5, False), (6, False), (7, True), (8, True)])
def test_whole_slides_are_parted_before_a_run_finds_that_they_are_too_few(slides, parted):
    """Seven slides, as docs/guides/add-a-study.md says."""
    at = np.arange(20 * slides)
    cells = pd.DataFrame({"id": at, "slide": (at % slides).astype(str), "label": at // slides % 2})
    made = study("amibr", schemes=["slide_grouped"]), "amibr", cells.assign(domain="tupac")
    if parted:
        doctor._draw_slide_folds(*made)
    else:
        with pytest.raises(SplitError, match="for validation, need 5 slides; there are 4 that do"):
            doctor._draw_slide_folds(*made)


def test_a_cohort_whose_card_expects_nothing_is_counted_and_planned(shared, tmp_path, monkeypatch):
    from cryotome.data.slides.slide_list import EVERY_SLIDE, slide_files
    from cryotome.study.catalog import UNKNOWN_PATIENTS
    from cryotome.study.site import PLAN

    roth = study("roth2024")
    card = roth.dataset("tcga_crc")
    del card["expect"]
    roth._cards["datasets", "tcga_crc"] = card
    (tmp_path / "msi_labels").symlink_to(shared / "msi_labels")
    monkeypatch.setenv(PLAN, "1")
    assert list(slide_files(roth, at(tmp_path), "tcga_crc")) == [EVERY_SLIDE]
    assert roth.slides_expected("tcga_crc") == UNKNOWN_PATIENTS
    monkeypatch.delenv(PLAN)
    slides = tmp_path / "tcga_crc" / "slides"
    slides.mkdir(parents=True)
    for patient in ("TCGA-5M-AAT6", "TCGA-3L-AA1B"):
        (slides / f"{patient}-01Z-00-DX1.svs").symlink_to(shared / "slides/cmu_small_region.svs")
    said = doctor.check_dataset(roth, at(tmp_path), "tcga_crc")
    assert said.mark == OK
    assert "457 labelled patients; 2 slides of labelled patients among 2" in said.text


def test_a_cohort_is_counted_and_a_slide_of_it_opened(shared, tmp_path):
    roth = study("roth2024")
    said = doctor.check_dataset(roth, at(tmp_path), "tcga_crc")
    assert (said.mark, "make data STUDY=roth2024" in said.text) == (FIX, True)
    (tmp_path / "msi_labels").symlink_to(shared / "msi_labels")
    slides = tmp_path / "tcga_crc" / "slides"
    slides.mkdir(parents=True)
    for patient in ("TCGA-5M-AAT6", "TCGA-3L-AA1B", "TCGA-00-0000"):
        (slides / f"{patient}-01Z-00-DX1.svs").symlink_to(shared / "slides/cmu_small_region.svs")
    said = doctor.check_dataset(roth, at(tmp_path), "tcga_crc")
    assert said.mark == OK
    assert (
        "2 slides of labelled patients among 3; one is 2,220 x 2,967 px, 0.499 µm/px" in said.text
    )
