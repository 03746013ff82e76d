import os

import pytest
from conftest import CONFIG

from cryotome.core.errors import CardError
from cryotome.study.load import config_file, load_site, load_study


def test_the_demo_is_the_default_config():
    assert config_file("demo", CONFIG) == CONFIG / "config.yaml"
    assert load_study("demo", CONFIG)[0].name == "demo"


def test_a_study_by_its_name_has_its_files_and_its_site(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYOTOME_DATA_ROOT", str(tmp_path))
    before = dict(os.environ)
    study, site = load_study("ganz2024", CONFIG)
    assert study.name == "ganz2024"
    assert site.data_root == tmp_path
    assert site == load_site("ganz2024", CONFIG)
    assert dict(os.environ) == before


def test_a_misspelt_study_is_named_with_those_there_are():
    with pytest.raises(
        CardError, match=r"ganz.yaml does not exist. Did you mean 'ganz2024'. Its folder has: "
    ):
        load_study("ganz", CONFIG)
