import pytest
from conftest import CONFIG

from cryotome.cli.bundle import main, stage_files
from cryotome.core.errors import CryotomeError


def test_a_study_that_has_not_run_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CryotomeError, match=r"Study 'demo' is not finished.*run it to its end"):
        main("demo", folder=CONFIG)


def test_files_lie_where_they_lie_in_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.csv").write_text("1", encoding="utf-8")
    card = CONFIG / "heads/ridge.yaml"
    stage_files(
        [tmp_path.joinpath("results/a.csv").relative_to(tmp_path), card], tmp_path / "s", CONFIG
    )
    assert (tmp_path / "s/results/a.csv").read_text(encoding="utf-8") == "1"
    assert (tmp_path / "s/config/heads/ridge.yaml").read_bytes() == card.read_bytes()
