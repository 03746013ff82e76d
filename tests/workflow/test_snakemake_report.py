"""Snakemake's own report: every product has a caption that renders, a category and labels.

The reports are made by Snakemake, from empty files in the places of the products, with every
way into the network leading nowhere.
"""

import json
import re
import zipfile
from pathlib import Path

import pytest
from accidents import checkout
from conftest import CONFIG, ROOT
from docutils.core import publish_parts
from jinja2 import Template
from small_study import snakemake

from cryotome.core.cards import read_yaml
from cryotome.study.checks import checked_study
from cryotome.study.load import config_file
from cryotome.study.products import PRODUCTS
from cryotome.study.study import Study

pytestmark = pytest.mark.study

NO_NETWORK = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")}


def studied(config: str) -> Study:
    return checked_study(read_yaml(config_file(config, CONFIG)), CONFIG)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("clone"))


def made(study: Study) -> set[str]:
    """Return the products, and what `compare` writes beside them at one fraction, too."""
    return {*study.products, "learning.csv", "crossings.csv"}


def report_of(clone: Path, config: str) -> tuple[dict, str, set[str]]:
    """Make the report of a study; return its results by path, its description, its files."""
    study = studied(config)
    for product in made(study):
        path = clone / "results" / "studies" / study.name / product
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("empty", encoding="utf-8")
    ask = ["--configfile", config_file(config).as_posix(), "--report", f"{config}.zip"]
    snakemake(clone, *ask, **NO_NETWORK)
    with zipfile.ZipFile(clone / f"{config}.zip") as archive:
        page = archive.read(f"{config}/report.html").decode()
        files = {Path(name).name for name in archive.namelist()}
    said = {
        name: json.loads(
            re.search(rf'<script id="{name}">\s*var \w+ = (.*?);\s*</script>', page)[1]
        )
        for name in ("results", "workflow-desc")
    }
    return said["results"], said["workflow-desc"], files


@pytest.mark.parametrize("config", ["demo", "demo_context"])
def test_every_product_has_a_caption_that_renders_a_category_and_labels(clone, config):
    study = studied(config)
    results, description, files = report_of(clone, config)
    found = {
        path.removeprefix(f"results/studies/{study.name}/"): one for path, one in results.items()
    }
    assert set(found) == made(study)
    for product, one in found.items():
        assert "<p>" in one["caption"], product
        assert not re.search(r"\{\{|\{%|system-message|problematic", one["caption"]), product
        assert one["labels"]["as"] == product.rsplit(".", 1)[1].upper()
        assert one["labels"]["tissue"] == "synthetic"
        assert one["labels"]["what"]
        assert one["job_properties"]["rule"] != "copy_to_results"
    assert {Path(product).name for product in study.products} < files
    assert f'Study <tt class="docutils literal">{study.name}</tt>' in description
    assert "system-message" not in description


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_description_renders_for_every_study(path):
    """Also where a study has no rows of cells."""
    text = (ROOT / "workflow" / "report" / "workflow.rst").read_text(encoding="utf-8")
    about = {"config": read_yaml(path)}
    page = publish_parts(Template(text).render(snakemake=about), writer="html")["html_body"]
    assert about["config"]["study"] in page
    assert "system-message" not in page and "problematic" not in page


def test_every_caption_belongs_to_a_product_and_every_product_has_one():
    folder = ROOT / "workflow" / "report"
    captions = {str(path.relative_to(folder)) for path in folder.rglob("*.rst")}
    assert captions == {f"{product.stem}.rst" for product in PRODUCTS} | {"workflow.rst"}
