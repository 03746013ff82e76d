from page_study import study_of
from tests.study.test_study import study

from cryotome.study.gather_facts import embedded_models, page_facts


def test_it_says_what_the_cards_say():
    facts = page_facts(study_of(3, ["midog2022"]))
    assert facts.study == "invented"
    card = facts.cards["midog2022"]
    assert card.task == "mitotic figure against look-alike"
    assert len(card.domains) == 5
    assert facts.weights["gigapath"] == "released"
    assert list(facts.styles) == ["gigapath + linear_probe", "h_optimus_0 + linear_probe", "resnet50_imagenet + endtoend"]  # fmt: skip
    assert facts.styles["gigapath + linear_probe"].colour == "#0061c7"
    assert facts.roth is None


def test_the_demo_is_random_synthetic_and_has_both_papers():
    facts = page_facts(study("demo"))
    assert facts.notice == "synthetic demo cohort"
    assert facts.weights["colour_histogram"] == "none"
    assert facts.weights["vit_tiny_random"] == "random"
    assert facts.config == ""
    assert facts.roth.notice == "synthetic demo cohort"


def test_embeddings_of_controls_come_last():
    made = study("demo")
    assert made.rows[0].model == "colour_histogram"
    found = embedded_models(made)
    assert found == ["efficientnet_lite0", "colour_histogram", "vit_tiny_random"]
