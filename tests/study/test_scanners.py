import pytest
from conftest import CONFIG
from tests.study.test_study import study

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.study.gather_facts import row_facts
from cryotome.study.scanners import parted_scanners, why_not_parted


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ("midog2022", ""),
        ("midogpp", ""),
        ("amibr", "each scanner is one domain"),
        ("ccmct", "its card names one scanner"),
        ("amibr_external", "its card names no `scanners`"),
    ],
)
def test_which_published_datasets_have_scanners_apart_from_tumours(dataset, why):
    card = load_card(CONFIG, "datasets", dataset) if dataset != "amibr_external" else {}
    assert why_not_parted(card) == why
    assert bool(parted_scanners(card)) == (not why)


def test_a_study_by_scanner_has_a_scheme_for_each_and_its_facts():
    made = study("ganz2024", schemes=["random", "from_scanner_*", "except_scanner_histech"])
    names = ("hamamatsu_xr", "hamamatsu_s360", "aperio_cs2", "histech")
    expected = [*(f"from_scanner_{name}" for name in names), "except_scanner_histech"]
    assert made.schemes("midog2022") == ["random", *expected]
    assert made.schemes("ccmct") == ["random"]
    assert made.cross_domain_blocks == []
    assert len(made.cross_scanner_blocks) == 4
    assert list(row_facts(made).scanners["midog2022"]) == list(names)
    assert row_facts(study("ganz2024")).scanners == {}
    assert "scanners" in made.split_card("midog2022", "from_scanner_histech")
    assert "scanners" not in made.split_card("midog2022", "random")


@pytest.mark.parametrize(
    ("name", "scheme", "said"),
    [
        ("amibr", "from_scanner_*", r"amibr: each scanner is one domain; a scanner effect cannot"),
        ("amibr", "from_scanner_aperio_cs2", r"cannot be parted from that of the domain there"),
        ("ganz2024", "except_scanner_x", r"midog2022: no such scanner; ccmct: its card names one"),
    ],
)
def test_a_scanner_that_is_its_domain_is_an_error(name, scheme, said):
    with pytest.raises(CardError, match=said):
        study(name, schemes=["random", scheme])


def test_no_common_size_by_scanner():
    with pytest.raises(CardError, match="have a common training size"):
        study("ganz2024", schemes=["except_scanner_*_matched"])
