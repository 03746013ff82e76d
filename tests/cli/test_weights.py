import pytest
import yaml
from conftest import CONFIG

from cryotome.cli.weights import chosen_models, main
from cryotome.core.errors import CardError


def test_models_are_those_named_those_of_a_study_or_all_cards():
    assert chosen_models(["uni", "virchow2"], "ganz2024", CONFIG) == ["uni", "virchow2"]
    assert chosen_models([], "ganz2024", CONFIG)[:2] == ["gigapath", "h_optimus_0"]
    assert len(chosen_models([], "ganz2024", CONFIG)) == 8
    assert chosen_models(["all"], "ganz2024", CONFIG) == sorted(
        p.stem for p in CONFIG.glob("models/*.yaml")
    )


def test_models_without_a_file_need_none_and_a_misspelt_one_is_named(capsys):
    assert main([], "demo", CONFIG, fetch=False)
    assert "none     vit_tiny_random: needs no file" in capsys.readouterr().out
    with pytest.raises(CardError, match=r"unii.yaml does not exist"):
        main(["unii"], "demo", CONFIG, fetch=False)


def test_each_model_of_the_paper_is_listed_with_its_gate(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CRYOTOME_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert not main([], "ganz2024", CONFIG, fetch=False)
    said = capsys.readouterr().out.splitlines()
    gated = {line.split()[1] for line in said if "[gated]" in line}
    cards = {
        p.stem: yaml.safe_load(p.read_text(encoding="utf-8")) for p in CONFIG.glob("models/*.yaml")
    }
    rows = [line.split()[1].rstrip(":") for line in said]
    assert gated == {name for name in rows if cards[name]["weights"].get("gated")}
    assert len(gated) == 5
    assert all(line.startswith("MISSING") for line in said)
