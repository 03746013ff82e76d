import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError, DataError
from cryotome.data.slides.slide_list import (
    EVERY_SLIDE,
    labelled_slides,
    slide_files,
    slides_in_table,
    slides_on_disk,
)
from cryotome.study.checks import checked_study
from cryotome.study.load import config_file
from cryotome.study.site import PLAN, resolve_site


@pytest.fixture
def roth(tmp_path, monkeypatch):
    """Paper 002's study and a site whose data folder has three slides of TCGA and no table."""
    monkeypatch.delenv("CRYOTOME_DATA_ROOT", raising=False)
    config = read_yaml(config_file("roth2024", CONFIG))
    folder = tmp_path / "tcga_crc" / "slides"
    for name in ("u/TCGA-3L-AA1B-01Z-00-DX1.8A.svs", "TCGA-4N-A93T-01Z-00-DX1.82.svs", "n.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    site = resolve_site(config | {"data_root": str(tmp_path)}, tmp_path)
    return checked_study(site.study, CONFIG), site, folder


def test_slides_are_found_in_folders_of_any_depth(roth):
    study, site, folder = roth
    assert slide_files(study, site, "tcga_crc") == {
        "TCGA-3L-AA1B-01Z-00-DX1.8A": str(folder / "u" / "TCGA-3L-AA1B-01Z-00-DX1.8A.svs"),
        "TCGA-4N-A93T-01Z-00-DX1.82": str(folder / "TCGA-4N-A93T-01Z-00-DX1.82.svs"),
    }


def test_two_slides_of_one_name_are_refused(roth):
    study, site, folder = roth
    (folder / "TCGA-3L-AA1B-01Z-00-DX1.8A.svs").touch()
    with pytest.raises(DataError, match="are two slides of one name, 'TCGA-3L-AA1B"):
        slide_files(study, site, "tcga_crc")


def test_a_folder_that_lacks_or_is_empty_names_the_way_out(roth):
    study, site, folder = roth
    with pytest.raises(
        CryotomeError, match=r"cptac_crc/slides does not exist.*make data STUDY=roth2024"
    ):
        slide_files(study, site, "cptac_crc")
    for path in folder.rglob("*.svs"):
        path.unlink()
    with pytest.raises(DataError, match=r"hold no slide"):
        slide_files(study, site, "tcga_crc")


def test_a_plan_without_slides_has_one_name_for_all(roth, monkeypatch):
    study, site, _ = roth
    monkeypatch.setenv(PLAN, "1")
    assert slide_files(study, site, "cptac_crc") == {EVERY_SLIDE: ""}
    assert labelled_slides(study, site, "cptac_crc") == [EVERY_SLIDE]


def test_patients_without_a_table_stop_the_plan(roth):
    study, site, _ = roth
    with pytest.raises(CryotomeError, match=r"liu.xlsx does not exist, so the labels"):
        labelled_slides(study, site, "tcga_crc")


def test_only_slides_of_labelled_patients_are_classified(roth, shared):
    study, site, folder = roth
    (site.data_root / "msi_labels").symlink_to(shared / "msi_labels")
    (folder / "TCGA-XX-0000-01Z-00-DX1.svs").touch()  # of nobody
    other = folder / "TCGA-5M-AAT6-01Z-00-DX1.svs"  # MSI-H
    other.touch()
    found = labelled_slides(study, site, "tcga_crc")
    assert "TCGA-XX-0000-01Z-00-DX1" not in found
    assert "TCGA-5M-AAT6-01Z-00-DX1" in found


def test_invented_slides_are_known_before_they_are_drawn(tmp_path):
    config = read_yaml(CONFIG / "config.yaml")
    study, site = checked_study(config, CONFIG), resolve_site(config, tmp_path)
    files = slide_files(study, site, "demo_cohort")
    assert files["DC-001-DX1"] == "results/demo/demo_cohort/slides/DC-001-DX1.tiff"
    assert len(files) == 14
    assert len(labelled_slides(study, site, "demo_cohort")) == 13


def test_a_slide_that_only_a_sheet_names_is_missing_and_not_unknown(roth, tmp_path):
    assert roth[2].is_dir()
    card = {"images": "tcga_crc/slides", "slide_table": "slides.xlsx"}
    table = pd.DataFrame({"FILENAME": ["gone.svs", "TCGA-4N-A93T-01Z-00-DX1.82"], "PATIENT": "p"})
    table.to_excel(tmp_path / "slides.xlsx", index=False)
    assert slides_in_table(card, tmp_path) == ["gone.svs", "TCGA-4N-A93T-01Z-00-DX1.82"]
    seen = slides_on_disk(card, tmp_path)
    assert len(seen.files) == 2 and seen.passed_over["of other kinds"] == 1
