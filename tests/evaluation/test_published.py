import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG
from some_facts import some
from tests.study.test_study import study

from cryotome.core.cards import load_card
from cryotome.evaluation.published import (
    COLUMNS,
    agreement,
    compare_with_published,
    parse_printed,
    read_published,
)
from cryotome.study.facts import StudyFacts
from cryotome.study.gather_facts import row_facts
from cryotome.study.row import Row

FOLDER = CONFIG / "published"
FILES = sorted(FOLDER.glob("*.csv"))
ROWS = {
    "ammeling2025_second_hand": 20,
    "banerjee2025_benchmark": 34,
    "ganz2024_figure1": 2,
    "ganz2024_table1": 6,
    "ganz2024_table2": 9,
    "ganz2024_text": 29,
    "protocols": 7,
    "roth2024_readme": 8,
    "roth2024_table1": 24,
    "roth2024_table2": 48,
    "roth2024_table3": 20,
    "roth2024_text": 65,
}
# published under a name whose card is still to come, and why
WITHOUT_CARD = {
    "models": {
        "efficientnetv2_m_random": "trained from random weights",
        "swin_base_patch4_window7_224": "timm's weights finetuned on ImageNet-1k",
        "vit_large_patch16_224": "timm's weights finetuned on ImageNet-1k",
    },
    "heads": dict.fromkeys(
        ["banerjee2025_endtoend", "banerjee2025_linear", "banerjee2025_lora"],
        "they stop early and lower the rate on a plateau",
    ),
    "datasets": {},
}
PROSE = {
    **dict.fromkeys(["policy", "precision", "status", "note"], ""),
    **{"folds": "5", "sd": "0.04", "source": "s", "table": "t"},
}
FACTS = some(
    StudyFacts,
    study="s",
    datasets={"d": ""},
    rows=[Row("uni", "linear_probe", "paper-fp16"), Row("r", "endtoend", "patches")],
    asked_schemes=["random", "from_*"],
    fractions=[0.1, 1.0],
    folds=[*range(5)],
)


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return read_published(FILES)


def number(**changes: str) -> pd.DataFrame:
    """One published number: uni + linear_probe, 0.79 in domain."""
    line = {
        "dataset": "d",
        "scheme": "from_*",
        "model": "uni",
        "head": "linear_probe",
        "fraction": "1.0",
    }
    line |= {"quantity": "auroc_in", "value": "0.79"} | PROSE
    return pd.DataFrame([line | {"policy": "paper", "precision": "fp16"} | changes])


def measured(low=0.77, high=0.81, value=0.79, **changes: object) -> pd.DataFrame:
    line = {
        "dataset": "d",
        "scheme": "from_*",
        "model": "uni",
        "head": "linear_probe",
        "fraction": 1.0,
    }
    line |= {"quantity": "auroc_in", "value": value, "low": low, "high": high}
    return pd.DataFrame([line | changes])


def judged(numbers: pd.DataFrame, values: pd.DataFrame, **changes: object) -> tuple[str, str]:
    (line,) = compare_with_published(numbers, values, replace(FACTS, **changes)).to_dict("records")
    return line["verdict"], line["why"]


def test_every_file_has_its_rows_and_each_row_its_source():
    assert {path.stem for path in FILES} == set(ROWS)
    for path in FILES:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, strict=True))
        assert len(lines) == ROWS[path.stem], path.stem
        assert all(line["source"] and None not in line for line in lines), path.stem


def test_paper_001_is_transcribed(published):
    table = published[published["table"] == "ganz2024_table2"].set_index(
        ["model", "head", "quantity"]
    )
    assert table.loc[("phikon", "linear_probe", "auroc_out"), ["value", "sd"]].tolist() == [
        "0.61",
        "0.05",
    ]
    assert table.loc[("resnet50_imagenet", "endtoend", "auroc_in"), "value"] == "0.87"
    text = read("ganz2024_text").set_index(["dataset", "quantity"])
    swapped = text.loc[[("midog2022", "mitotic figures"), ("midog2022", "look-alikes")]]
    assert swapped["value"].tolist() == ["11,051", "9,501"]
    assert swapped["corrected"].tolist() == ["9,501", "11,051"]
    assert text.loc[("ccmct", "mitotic figures"), "value"] == "44,880"
    assert text.loc[("ccmct", "annotations of all classes"), "value"] == "262,481"


@pytest.mark.parametrize("dataset", ["midog2022", "ccmct"])
def test_class_counts_put_right_are_those_that_the_cards_expect(dataset):
    text = read("ganz2024_text").set_index(["dataset", "quantity"])
    domains = load_card(CONFIG, "datasets", dataset)["expect"]["cells"].values()
    for place, name in enumerate(["look-alikes", "mitotic figures"]):
        said = text.loc[(dataset, name)]
        right = int((said["corrected"] or said["value"]).replace(",", ""))
        assert sum(cells[place] for cells in domains) == right


def test_paper_002_is_transcribed(published):
    value = published.set_index(["table", "dataset", "model", "head", "quantity"])["value"]
    tuned = "roth2024_table1", "cptac_crc", "dinov2_s_tcga_published", "transformer_mil", "auroc"
    assert value[tuned] == "0.85"
    assert value["roth2024_table2", "crc_val_he_7k", "sam_vit_h", "logreg", "weighted_f1"] == "0.84"
    assert (
        value["roth2024_table2", "crc_val_he_7k", "ctranspath", "knn", "balanced_accuracy"]
        == "0.95"
    )
    assert value["roth2024_table3", "", "roth_resnet50", "", "features"] == "1024"
    text = read("roth2024_text").set_index(["dataset", "model", "quantity"])["value"]
    assert text["tcga_crc", "", "patients"] == "632"
    assert text["cptac_crc", "", "patients"] == "110"
    assert text["crc_val_he_7k", "", "patches"] == "7,180"
    assert text["", "ctranspath", "GPU hours of the pretraining"] == "12,000"


def test_the_authors_page_rounds_to_their_paper(published):
    keys = ["dataset", "model", "head", "quantity"]
    page = published[published["table"] == "roth2024_readme"].set_index(keys)["value"]
    paper = published[published["table"].isin(["roth2024_table1", "roth2024_table2"])]
    printed = paper.set_index(keys)["value"]
    for key, value in page.items():
        assert (
            abs(parse_printed(value).value - parse_printed(printed[key]).value)
            <= parse_printed(printed[key]).half
        )


def test_sizes_are_those_of_the_cards():
    for line in read("ganz2024_table1").to_dict("records"):
        card = load_card(CONFIG, "models", line["model"])["published"]["table1"]
        assert {name: line[name] for name in card} == card
    table = read("roth2024_table3").pivot(index="model", columns="quantity", values="value")
    for model, line in table.iterrows():
        said = load_card(CONFIG, "models", model)["published"]["sizes"]["roth2024"]
        assert said.replace(" ", "") == f"{line['parameters']},{line['features']}".replace(" ", "")


@pytest.mark.parametrize("kind", ["models", "heads", "datasets"])
def test_every_published_name_has_a_card_or_a_reason(kind):
    column = kind.removesuffix("s")
    named = {name for path in FILES for name in read(path.stem).get(column, []) if name}
    cards = {path.stem for path in (CONFIG / kind).glob("*.yaml")}
    lacking = named - cards
    assert lacking <= set(WITHOUT_CARD[kind])
    assert not cards & set(WITHOUT_CARD[kind]), "these have a card now: take them off the list"


def test_every_number_can_be_read_and_the_follow_up_is_second_hand(published):
    for text in published.loc[published["head"] != "", "value"]:
        assert parse_printed(text).value > 0
    follow_up = published[published["table"] == "ammeling2025_second_hand"]
    hearsay = follow_up["status"] == "second-hand"
    assert follow_up[~hearsay]["source"].tolist() == [
        "Ammeling et al. 2025 (arXiv 2508.04441), abstract"
    ]
    assert follow_up[hearsay]["source"].str.endswith("verify before quoting").all()
    of_code = published[published["status"] == "code"]  # printed by it, not in the paper
    assert set(of_code["table"]) == {"banerjee2025_benchmark"}
    rest = published.index.difference([*follow_up.index, *of_code.index])
    assert set(published.loc[rest, "status"]) == {"printed"}


def test_of_a_published_test_set_every_number_is_listed(published):
    facts = {"datasets": {"amibr": ""}, "asked_schemes": ["predefined"], "random": []}
    row = Row("uni", "banerjee2025_lora", "patches")
    own = replace(FACTS, **facts, rows=[row, Row("r", "ridge", "fit-fp32")])
    values = {"dataset": "amibr", "scheme": "predefined", "head": "banerjee2025_lora"}
    values = measured(0.88, 0.9, 0.89, quantity="auroc", **values)
    only = compare_with_published(published, values, own)
    assert set(only["model"]) == {"uni"}
    table = compare_with_published(published, values, own, [("amibr", "predefined")])
    assert (table["dataset"] == "amibr").sum() == ROWS["banerjee2025_benchmark"]
    said = table.set_index(["model", "head", "quantity"])[["verdict", "why"]]
    assert said.loc[("uni", "banerjee2025_lora", "auroc"), "verdict"] == "agrees"
    assert said.loc[("uni", "banerjee2025_lora", "balanced_accuracy"), "verdict"] == "not measured"
    assert said.loc[("uni", "banerjee2025_linear", "auroc"), "why"] == (
        "the head is banerjee2025_lora here, banerjee2025_linear there"
    )
    assert said.loc[("virchow2", "banerjee2025_lora", "auroc")].tolist() == [
        "not comparable", "the model is no row here",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("0.79", 0.79, 0.005), ("0.90", 0.9, 0.005), ("93.8%", 0.938, 0.0005), ("9,501", 9501, 0.5),
     ("632M", 632e6, 0.5e6), ("1.1B", 1.1e9, 0.05e9), ("25.6 M", 25.6e6, 0.05e6), ("6K", 6e3, 500)],
)  # fmt: skip
def test_printed_numbers_say_how_exact_they_are(text, value, half):
    assert (float(parse_printed(text).value), float(parse_printed(text).half)) == (value, half)


def test_what_is_no_number_is_named():
    with pytest.raises(ValueError, match="'15 million' is no printed number; write it as in 0.79"):
        parse_printed("15 million")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.70, 0.785, "agrees"), (0.70, 0.7849, "differs"), (0.795, 0.9, "agrees"), (0.7951, 0.9, "differs")],
)  # fmt: skip
def test_half_the_last_printed_digit_decides_at_the_edge(low, high, said):
    assert agreement("0.79", (low + high) / 2, low=low, high=high, against=[])[0] == said


def test_a_difference_has_its_sign_and_the_unit_as_printed():
    assert judged(number(), measured(0.71, 0.76, 0.734)) == (
        "differs",
        "measured minus published: -0.056",
    )
    assert agreement("93.8%", 0.95, low=0.94, high=0.96, against=[])[1].endswith(": +1.2%")
    why = judged(number(note="of the last checkpoint"), measured(0.80, 0.84, 0.82))[1]
    assert why == "measured minus published: +0.03; of the last checkpoint"


def test_agreement_needs_an_interval_and_a_value():
    assert judged(number(), measured()) == ("agrees", "within the 95 % interval")
    assert judged(number(), measured(fraction=0.1)) == ("not measured", "")
    assert judged(number(), measured(np.nan, np.nan)) == (
        "not comparable",
        "no interval was measured",
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"synthetic": ["d"]}, "the tissue is synthetic"),
        ({"random": ["uni"]}, "the weights are random"),
        ({"folds": [0, 1]}, "the folds are 2 here, 5 there"),
        ({"asked_schemes": ["random"]}, "the scheme from_* is not run here"),
        (
            {"rows": [Row("uni", "ridge", "paper-fp16")]},
            "the head is ridge here, linear_probe there",
        ),
        (
            {"rows": [Row("uni", "linear_probe", "card-fp16")]},
            "the policy is card here, paper there",
        ),
        (
            {"rows": [Row("uni", "linear_probe", "paper-fp32")]},
            "the precision is fp32 here, fp16 there",
        ),
        (
            {"synthetic": ["d"], "folds": [0]},
            "the tissue is synthetic; the folds are 1 here, 5 there",
        ),
    ],
)
def test_what_speaks_against_a_comparison_is_said(changes, why):
    assert judged(number(), measured(), **changes) == ("not comparable", why)


def test_fractions_count_except_where_one_domain_trains():
    assert judged(number(), measured(), fractions=[0.1])[0] == "agrees"
    pooled = number(scheme="random", quantity="auroc")
    said = judged(pooled, measured(), fractions=[0.1])
    assert said == ("not comparable", "the fraction 1 is not run here")


def test_hearsay_is_no_ground_for_a_verdict():
    said = judged(number(status="second-hand"), measured())
    assert said == ("not comparable", "the published number is second-hand")


def test_heads_that_read_patches_have_no_policy():
    there = number(model="r", head="endtoend")
    assert judged(there, measured(model="r", head="endtoend"))[0] == "agrees"


@pytest.mark.parametrize(
    ("printed", "count", "said", "why"),
    [
        ("1.1B", 1_134_953_984, "agrees", "equal as printed"),
        ("86M", 85_798_656, "agrees", "equal as printed"),
        ("632M", 631_229_184, "differs", "measured minus published: -0.8M"),
        ("25.6 M", 23_508_032, "differs", "measured minus published: -2.09M"),
    ],
)
def test_counts_agree_when_they_round_to_what_is_printed(printed, count, said, why):
    there = number(
        dataset="", scheme="", head="", fraction="", quantity="parameters", value=printed
    )
    here = measured(dataset="", scheme="", head="", fraction=float("nan"), quantity="parameters")
    here = here.assign(value=count, low=count, high=count)
    assert judged(there, here, random=["uni"], folds=1) == (said, why)


def test_a_study_is_compared_with_what_is_published_of_its_datasets_and_models(published):
    table = compare_with_published(published, measured().iloc[:0], row_facts(study("ganz2024")))
    assert table.columns.tolist() == COLUMNS
    assert table["table"].value_counts().to_dict() == {
        "ganz2024_table2": 18, "ammeling2025_second_hand": 13, "ganz2024_table1": 6,
        "ganz2024_figure1": 2, "ganz2024_text": 2,
    }  # fmt: skip
    assert set(table.loc[table["table"].str.startswith("ganz"), "verdict"]) == {"not measured"}
    assert set(table.loc[table["table"].str.startswith("amm"), "verdict"]) == {"not comparable"}


def test_a_number_that_was_measured_twice_is_refused():
    with pytest.raises(pd.errors.MergeError):
        compare_with_published(number(), pd.concat([measured(), measured()]), FACTS)


def test_the_demo_has_nothing_published_and_says_what_it_is(published):
    demo = row_facts(study("demo"))
    assert compare_with_published(published, measured().iloc[:0], demo).empty
    assert demo.synthetic == ["demo_rois", "demo_slides"]
    assert demo.random == ["vit_tiny_random"]
    assert demo.asked_schemes == ["random", "from_*"]
    assert Row("efficientnet_lite0", "endtoend_brief", "patches") in demo.rows
    assert (demo.fractions, demo.folds) == ([0.1, 1.0], [0, 1])
