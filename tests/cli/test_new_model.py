import subprocess
import sys

import pytest
import timm
from conftest import CONFIG, ROOT
from timm.models import save_for_hf

from cryotome.cli.new_model import check_card, main, write_card
from cryotome.core.cards import load_card
from cryotome.core.errors import CardError

SMALL = {"depth": 4, "embed_dim": 48, "num_heads": 4}


@pytest.fixture
def hub(tmp_path) -> str:
    folder = tmp_path / "Tiny-ViT"
    save_for_hf(timm.create_model("vit_small_patch16_224", **SMALL), folder, model_args=SMALL)
    (tmp_path / "config" / "models").mkdir(parents=True)
    return str(folder)


def test_a_card_is_written_counted_and_compared(hub, tmp_path):
    lines = write_card(hub, "", tmp_path / "config")
    assert "tiny_vit.yaml: vit_small_patch16_224 of timm" in lines[0]
    assert lines[-1].endswith(" fits, name by name")
    assert any(line.startswith("not known: source: ") for line in lines)
    card = load_card(tmp_path / "config", "models", "tiny_vit")
    assert f"{card['parameters']:,} parameters, 48 numbers" in lines[0]
    with pytest.raises(CardError, match=r"tiny_vit.yaml exists. Give another name"):
        write_card(hub, "", tmp_path / "config")
    assert write_card(hub, "another", tmp_path / "config")


def test_a_card_is_checked_and_its_marks_are_counted(hub, tmp_path):
    write_card(hub, "mine", tmp_path / "config")
    agrees, marks = check_card("mine", tmp_path / "config")
    assert agrees == "mine is what its card says: all four numbers agree"
    assert marks == "4 keys are still marked NOT KNOWN"
    path = tmp_path / "config" / "models" / "mine.yaml"
    text = path.read_text(encoding="utf-8").replace("dim: 48", "dim: 50", 2)
    path.write_text(text.replace("embed_dim: 50", "embed_dim: 48"), encoding="utf-8")
    assert check_card("mine", tmp_path / "config")[0] == "dim: the card says 50, the network has 48"


def test_without_weights_nothing_is_compared(hub, tmp_path):
    for path in (tmp_path / "Tiny-ViT").iterdir():
        if path.name != "config.json":
            path.unlink()
    assert write_card(hub, "mine", tmp_path / "config")[-1].startswith("no weights at hand")


def test_a_card_without_network_has_nothing_to_count():
    with pytest.raises(CardError, match="colour_histogram has no network of a library to count"):
        check_card("colour_histogram", CONFIG)
    for given in ((None, "", ""), ("a/b", "", "uni")):
        with pytest.raises(CardError, match="Say `HUB=owner/name`"):
            main(*given)


def test_the_program_prints_a_sentence_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "cryotome.cli.new_model", "no such folder"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
        env={"PYTHONPATH": "workflow", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("'no such folder' is neither a folder nor")
