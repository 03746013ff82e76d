import json

from conftest import CONFIG
from page_study import study_of

from cryotome.core.cards import read_yaml
from cryotome.study.checks import checked_study
from cryotome.study.facts import page_about


def test_it_says_what_the_cards_say():
    about = json.loads(page_about(study_of(3, ["midog2022"])))
    assert about["study"] == "invented"
    card = about["cards"]["datasets"]["midog2022"]
    assert card["task"] == "mitotic figure against look-alike"
    assert len(card["domains"]) == 5
    assert about["cards"]["models"]["gigapath"] == {"weights": "released"}
    assert list(about["looks"]) == ["gigapath + probe", "h_optimus_0 + probe", "resnet50_imagenet + e2e"]  # fmt: skip
    assert about["looks"]["gigapath + probe"]["colour"] == "#0061c7"
    assert about["colorectal"] is None


def test_the_demo_is_random_synthetic_and_has_both_papers():
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    about = json.loads(page_about(study))
    assert about["notice"] == "synthetic demo cohort"
    kinds = {name: card["weights"] for name, card in about["cards"]["models"].items()}
    assert kinds["colour_histogram"] == "none"
    assert kinds["vit_tiny_random"] == "random"
    assert about["file"] == ""
    assert about["colorectal"]["notice"] == "synthetic demo cohort"
