import json
import re

import pytest
import yaml
from conftest import CONFIG, ROOT

from cryotome.core.cards import (
    KINDS,
    below,
    distinct_titles,
    load_card,
    read_yaml,
    tiling_of,
    without_notes,
)
from cryotome.core.errors import CardError
from cryotome.core.schemas import validate
from cryotome.encoders.network import LOADERS
from cryotome.encoders.profile import profile_encoder
from cryotome.study.checks import checked_study
from cryotome.study.geometry import geometry_of

CARDS = [(kind, path.stem) for kind in KINDS for path in sorted((CONFIG / kind).glob("*.yaml"))]
STUDIES = sorted(path.name for path in CONFIG.glob("*.yaml") if path.stem != "site")
MODELS = {name: load_card(CONFIG, kind, name) for kind, name in CARDS if kind == "models"}
NETWORKS = [n for n, card in MODELS.items() if card["loader"] in LOADERS and "code" not in card]


@pytest.mark.parametrize(("kind", "name"), CARDS)
def test_every_card_fits_its_schema_and_names_its_source(kind, name):
    assert load_card(CONFIG, kind, name)["source"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_what_its_card_says(name):
    """Parameters, dimension, prefix tokens and arithmetic, counted on the architecture."""
    card = load_card(CONFIG, "models", name)
    counted = profile_encoder(card)
    said = {key: card[key] for key in counted}
    assert counted == said | {"gflops": pytest.approx(card["gflops"], abs=0.06)}


# encoders that have another name here
HERE = {f"dinov2_vit{size}14_roth": f"dinov2_{size}_nct_published" for size in "sg"}
HERE["roth_resnet50_trunc"] = "resnet50_layer3"


def facts(name: str) -> list[dict]:
    """The encoders of a file of facts gathered elsewhere."""
    path = ROOT.parent / "shared" / "reference" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return yaml.safe_load(path.read_text(encoding="utf-8"))["models"]


@pytest.fixture(scope="module")
def reference() -> dict[str, dict]:
    models = facts("models.yaml")
    named = {entry["id"]: entry for entry in models if entry["pooling"] != "logit"}
    return {HERE.get(name, name): entry for name, entry in named.items()}


def test_there_is_a_card_for_each_of_the_44_encoders(reference):
    assert len(reference) == 44
    assert set(reference) <= set(NETWORKS)


POOLINGS = {"cls": "class", "cls_mean": "class+mean", "avg": "built_in", "map_avg": "map_mean"}
POOLINGS |= {"map_avg_neck": "built_in", "mean_patch_hidden12_before_norm": "mean_before_norm"}
POOLINGS |= {"cls_proj_l2": "built_in", "attention_pool": "built_in"}


def test_cards_agree_with_what_was_measured_elsewhere(reference):
    for name, entry in reference.items():
        card = load_card(CONFIG, "models", name)
        assert card["parameters"] == entry["params"], name
        assert card["dim"] == entry["embed_dim_measured"], name
        assert card["prefix_tokens"] == entry["prefix_tokens"], name
        assert card["pooling"] == POOLINGS[entry["pooling"]], name
        if name != "conch_v1_5":  # there without the pool: 2 x 785 x 1024 x 1536 = 2.5 GFLOP
            assert card["gflops"] == entry["gflops_per_patch"], name
        assert card.get("input", 224) == entry["input_size"], name
        theirs = entry["transform_card"]
        assert card["normalise"] == {key: theirs[key] for key in ("mean", "std")}, name
        geometry = geometry_of(card, "card-fp32", entry["input_size"])
        assert (geometry.resize, geometry.crop) == (theirs["resize"], theirs["center_crop"]), name
        assert geometry.resize is None or geometry.interpolation == theirs["interpolation"], name


def test_arguments_are_the_exact_ones(reference):
    """Some differ in words only: no pooling layer and other heads are not asked for here."""
    silent = {"add_pooling_layer", "num_classes", "features_only", "embed_layer"}
    changed = {
        "dinov2_vits14",
        "dinov2_vitg14",
        "conch_v1_5",
    }  # the grid is resized, not the network
    for name, entry in reference.items():
        if name not in changed:
            card = load_card(CONFIG, "models", name)
            theirs = (entry.get("config") or {}) | entry["kwargs"]
            theirs = {k: v for k, v in theirs.items() if k not in silent}
            mine = {k: v for k, v in card["arguments"].items() if k not in silent}
            assert mine == theirs, name
            assert card["architecture"] == entry["arch"], name


# what of 2026 has no card: docs/reference/models.md says why
NOT_BUILT = {"rudolfv2", "rudolfv2_b", "rudolfv2_s", "mettle", "dinov3_vit7b16", "exaone_path_1"}
NOT_BUILT |= {"prost40m", "crisp", "isight"}
# where arithmetic elsewhere and the count of the network differ, the count
COUNTED_HERE = {("beph", "parameters"): 85_665_360}  # a LayerNorm of 2 x 768 was counted twice
COUNTED_HERE |= {("efficientnetv2_m", "gflops"): 31.5}  # timm's table counts more than products


@pytest.fixture(scope="module")
def reference_2026() -> dict[str, dict]:
    other = {"keep": "keep_vitl16"}
    return {other.get(e["id"], e["id"]): e for e in facts("models_2026.yaml")}


def test_every_encoder_of_2026_has_a_card_or_a_reason(reference_2026):
    assert set(reference_2026) - set(NETWORKS) == NOT_BUILT
    page = (ROOT / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    reasons = page.partition("## Not here, and why")[2]
    for name in NOT_BUILT:
        title = reference_2026[name]["name"].split(" (")[0].removesuffix("-B").removesuffix("-S")
        assert title.split(" 1")[0] in reasons, title


def test_cards_of_2026_agree_with_arithmetic_done_elsewhere(reference_2026):
    """Cards are counted above; here with formulas that never built a network."""
    for name, entry in reference_2026.items():
        if name in NOT_BUILT:
            continue
        card, theirs = load_card(CONFIG, "models", name), entry["transform_card"]
        parameters = COUNTED_HERE.get((name, "parameters"), entry["params"])
        gflops = COUNTED_HERE.get((name, "gflops"), entry["gflops_per_patch"])
        assert card["parameters"] == parameters, name
        assert card["gflops"] == pytest.approx(gflops, abs=0.06), name
        assert card["dim"] == entry["embed_dim"], name
        assert card["prefix_tokens"] == entry["prefix_tokens"], name
        assert card.get("input", 224) == entry["input_size"], name
        assert card["normalise"] == {key: theirs[key] for key in ("mean", "std")}, name
        geometry = geometry_of(card, "card-fp32", entry["input_size"])
        assert (geometry.resize, geometry.crop) == (theirs["resize"], theirs["center_crop"]), name
        assert geometry.resize is None or geometry.interpolation == theirs["interpolation"], name


def test_no_card_runs_code_from_a_hub():
    text = "".join(
        path.read_text(encoding="utf-8") for path in (CONFIG.parent / "workflow").rglob("*.py")
    )
    assert "trust_remote_code" not in text
    assert "torch.hub.load(" not in text


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_drawn_here_or_have_a_source(name):
    weights = load_card(CONFIG, "models", name)["weights"]
    assert {"random", "finetune", "hub", "url", "page", "package"} & set(weights)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_names_cards_that_exist(name):
    study = checked_study(yaml.safe_load((CONFIG / name).read_text(encoding="utf-8")), CONFIG)
    assert study.runs > 0 or len(study.colorectal.rows) > 1


def test_random_weights_are_labelled_random():
    for kind, name in CARDS:
        if kind == "models":
            card = load_card(CONFIG, kind, name)
            weights = card["weights"] if isinstance(card["weights"], dict) else {}
            random = "random" in weights
            assert random == name.endswith("_random")
            if "finetune" in weights:  # what began with random weights says so
                tuned = load_card(CONFIG, "finetunings", weights["finetune"])
                random = "random" in load_card(CONFIG, "models", tuned["base"])["weights"]
            assert random == ("random weights" in card["title"]), name


def test_a_misspelt_key_is_named_with_its_file(tmp_path):
    (tmp_path / "models").mkdir()
    card = yaml.safe_load((CONFIG / "models" / "uni.yaml").read_text(encoding="utf-8"))
    (tmp_path / "models" / "wide.yaml").write_text(yaml.dump(card | {"dmi": 5}), encoding="utf-8")
    with pytest.raises(CardError, match=r"models/wide.yaml, top level: .*'dmi' was unexpected"):
        load_card(tmp_path, "models", "wide")


@pytest.mark.parametrize(
    ("kind", "name", "change", "said"),
    [
        ("heads", "endtoend", {"stepz": 5}, "'stepz' was unexpected"),
        ("heads", "linear_probe", {"neighbours": 5}, "learner: 'knn' was expected"),
        ("heads", "lora", {"learner": "prevalence"}, "learner: 'endtoend' was expected"),
        ("heads", "lora", {"lora": {"rank": 8}}, "lora: 'alpha' is a required property"),
        (
            "models",
            "uni",
            {"weights": {"hbu": "x", "file": "y", "gated": True}},
            "weights: .*'hbu' was unexpected",
        ),
        (
            "models",
            "uni",
            {"weights": {"hub": "x", "file": "y"}},
            "weights: 'gated' is a dependency of 'hub'",
        ),
        ("datasets", "midogpp", {"reading": {}}, "reading: 'box' is a required property"),
        ("schemes", "random", {"test": 2}, "test: 2 is greater than or equal to the maximum of 1"),
    ],
)
def test_whatever_is_wrong_in_a_card_is_named(kind, name, change, said):
    card = load_card(CONFIG, kind, name) | change
    with pytest.raises(CardError, match=said):
        validate(card, KINDS[kind], f"{name}.yaml")


def test_a_missing_card_names_those_that_exist():
    with pytest.raises(
        CardError,
        match=r"unii.yaml does not exist. Did you mean 'uni'. Its folder has: .*uni, uni2_h, virchow",
    ):
        load_card(CONFIG, "models", "unii")


def test_swiglu_without_its_gate_is_refused():
    card = load_card(CONFIG, "models", "virchow2")
    card["arguments"].pop("act_layer")
    with pytest.raises(CardError, match="'act_layer' is a required property"):
        validate(card, "model", "virchow2.yaml")


def test_like_takes_a_card_and_changes_some_keys(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "a.yaml").write_text(
        (CONFIG / "datasets" / "midog2022.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "datasets" / "b.yaml").write_text(
        "extends: a\npatch: {side: 64}\n", encoding="utf-8"
    )
    a, b = (load_card(tmp_path, "datasets", name) for name in "ab")
    assert b["patch"] == {"side": 64, "resolution": "native", "border": "black"}
    assert {k: v for k, v in a.items() if k != "patch"} == {
        k: v for k, v in b.items() if k != "patch"
    }


def test_weights_of_a_variant_are_said_whole(tmp_path):
    """Parts of two sources are none: a url of one's own beside the hub of the base card."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "uni.yaml").write_text(
        (CONFIG / "models" / "uni.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "models" / "mine.yaml").write_text(
        "extends: uni\nweights: {url: 'https://x.org/m.pth', file: m.pth}\n", encoding="utf-8"
    )
    mine = load_card(tmp_path, "models", "mine")
    assert mine["weights"] == {"url": "https://x.org/m.pth", "file": "m.pth"}
    assert mine["dim"] == 1024


def test_facts_leave_prose_out_and_do_not_depend_on_order():
    card = load_card(CONFIG, "models", "uni")
    reworded = dict(reversed((card | {"title": "another", "notes": "other"}).items()))
    assert without_notes(card) == without_notes(reworded)
    assert without_notes(card | {"dim": 5}) != without_notes(card)
    assert "source" not in json.loads(without_notes(card))
    assert without_notes({"download": "midog2022"}) == without_notes({}), (
        "where files come from reruns nothing"
    )
    midog = load_card(CONFIG, "datasets", "midog2022")
    assert "expect" in json.loads(without_notes(midog)), (
        "the rule that reads cells must know the counts"
    )
    assert "human breast cancer" not in without_notes(midog), "a domain's title is prose"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tiles": {"classify": {"mpp": 1.0, "side": 256}}}, "'min_tissue_fraction' is a required"),
        (
            {
                "tiles": {
                    "c": {"mpp": 1.0, "side": 256, "min_tissue_fraction": 0.5, "jpeg_side": 64}
                }
            },
            "'quality' is a dependency of 'jpeg_side'",
        ),
        (
            {"tiles": {"c": {"mpp": 1.0, "side": 256, "min_tissue_fraction": 50}}},
            "50 is greater than the maximum",
        ),
        ({"patch": {"side": 32}}, "'patch' should not be valid"),
        ({"mpp": "roi_2mm2"}, "mpp: 'roi_2mm2' is not valid"),
        ({"expect": {"images": 3, "cells": {}}}, "expect: 'labelled' is a required property"),
        ({"labels": {"table": "a.csv"}}, "'patient' is a required property"),
    ],
)
def test_a_cohort_of_slides_has_keys_of_its_own(change, said, tmp_path):
    card = load_card(CONFIG, "datasets", "demo_cohort") | change
    with pytest.raises(CardError, match=re.escape(said)):
        validate(card, "dataset", tmp_path / "a.yaml")


def test_a_cohort_of_slides_may_leave_its_resolution_open(tmp_path):
    card = load_card(CONFIG, "datasets", "demo_cohort")
    for mpp in (None, 0.25):
        assert validate(card | {"mpp": mpp}, "dataset", tmp_path / "a.yaml")["mpp"] == mpp
    cells = load_card(CONFIG, "datasets", "demo_rois")
    with pytest.raises(CardError, match="'tiles' should not be valid"):
        validate(cells | {"tiles": card["tiles"]}, "dataset", tmp_path / "a.yaml")
    with pytest.raises(CardError, match="'patch' is a required property"):
        validate({k: v for k, v in cells.items() if k != "patch"}, "dataset", tmp_path / "a.yaml")


OUTSIDE = [
    "../../x/site-packages/a.pth",
    "/etc/cron.d/a",
    "a/../../b",
    "C:/a",
    "a\\..\\b",
    "..",
    "a\n",
]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ("model", ("weights", "file")),
        ("model", ("weights", "hub")),
        ("model", ("weights", "revision")),
        ("dataset", ("annotations",)),
        ("dataset", ("images",)),
        ("dataset", ("download",)),
        ("dataset", ("slide_table",)),
        ("dataset", ("labels", "table")),
        ("finetuning", ("base",)),
    ],
)
def test_no_path_of_a_card_leads_out_of_its_folder(schema, where, path):
    name = {"model": "uni", "dataset": "midog2022", "finetuning": "dinov2_s_nct"}
    if where[0] in ("slide_table", "labels"):
        name["dataset"] = "demo_cohort"
    kinds = {one: kind for kind, one in KINDS.items()}
    card = load_card(CONFIG, kinds[schema], name[schema])
    inner = card
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = path
    with pytest.raises(CardError, match=rf"mine.yaml, {where[0]}"):
        validate(card, schema, "mine.yaml")


@pytest.mark.parametrize("name", ["../../../etc/x", "/etc/x", "a/../../x"])
def test_no_name_of_a_card_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(CardError, match="leads out of"):
        load_card(tmp_path, "models", name)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.yaml").write_text(f"extends: {name}\n", encoding="utf-8")
    with pytest.raises(CardError, match="leads out of"):
        load_card(tmp_path, "models", "mine")


@pytest.mark.parametrize("said", OUTSIDE[:-1])
def test_a_path_is_looked_at_again_where_it_is_joined(tmp_path, said):
    assert below(tmp_path, "a/b.pth") == tmp_path / "a" / "b.pth"
    with pytest.raises(CardError, match="leads out of .* relative, and without `..`"):
        below(tmp_path, said)


def test_plain_http_needs_a_sha256():
    card = load_card(CONFIG, "models", "kaiko_vits16")
    for weights, fits in (
        ({"url": "http://example.org/w.pth"}, False),
        ({"url": "http://localhost.example.org/w.pth"}, False),
        ({"url": "http://example.org/w.pth", "sha256": "0" * 64}, True),
        ({"url": "https://example.org/w.pth"}, True),
        ({"url": "http://127.0.0.1:8000/w.pth"}, True),  # nothing travels
        ({"url": "file:///etc/passwd"}, False),
    ):
        changed = card | {"weights": weights | {"file": "w.pth"}}
        if fits:
            assert validate(changed, "model", "mine.yaml")
        else:
            with pytest.raises(CardError, match=r"mine.yaml, weights"):
                validate(changed, "model", "mine.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpoint_path": "/tmp/a.pth"},
        {"pretrained": True},
        {"cache_dir": "x"},
        {"pretrained_cfg": {"file": "a.pth"}},
        {"pretrained_cfg_overlay": {}},
        {"pretrained_custom_load": True},
        {"Pretrained": True},
        {"use_pretrained_backbone": True},
        {"weights_backbone": "DEFAULT"},
        {"_name_or_path": "a"},
        {"auto_map": {}},
        {"deeper": {"checkpoint_path": "a"}},
        {"deeper": [{"cache_dir": "a"}]},
        {"attn_implementation": "someone/kernel"},
        {"act_layer": "hf-hub:someone/model"},
        {"act_layer": "local-dir:."},
        {"url": "a"},
        {"model_name": "a"},
    ],
)
def test_no_argument_of_a_card_loads_a_file_or_asks_the_network(arguments):
    card = load_card(CONFIG, "models", "uni")
    card["arguments"] |= arguments
    with pytest.raises(CardError, match=r"mine.yaml, arguments"):
        validate(card, "model", "mine.yaml")


def test_arguments_that_only_sound_like_files_stay():
    card = load_card(CONFIG, "models", "uni")
    harmless = {"drop_path": 0.1, "drop_path_rate": 0.1, "class_token": True, "weight_init": ""}
    card["arguments"] |= harmless | {"use_mask_token": False, "fix_init": True}
    assert validate(card, "model", "mine.yaml")


@pytest.mark.parametrize("name", ["hf-hub:someone/vit", "hf_hub:a/b", "local-dir:x", "a/b", "a\n"])
def test_no_architecture_is_an_address(name):
    card = load_card(CONFIG, "models", "uni") | {"architecture": name}
    with pytest.raises(CardError, match=r"mine.yaml, architecture: .* is not a 'network'"):
        validate(card, "model", "mine.yaml")


@pytest.mark.parametrize(
    "said", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "a\nb", "a\u202eb", " a", ""]
)
@pytest.mark.parametrize("key", ["title", "source", "licence"])
def test_what_people_read_is_one_printable_line_and_no_formula(key, said):
    card = load_card(CONFIG, "models", "uni") | {key: said}
    with pytest.raises(CardError, match=f"mine.yaml, {key}: .* one line of printable text"):
        validate(card, "model", "mine.yaml")
    assert validate(card | {key: "ResNet50 + endtoend (-0.5)"}, "model", "mine.yaml")


def test_the_key_that_lets_a_card_overrule_its_files_needs_a_resolution(tmp_path):
    card = load_card(CONFIG, "datasets", "demo_cohort")
    decided = card | {"mpp": 0.25, "mpp_overrides_file": True}
    assert validate(decided, "dataset", tmp_path / "a.yaml") == decided
    assert tiling_of(decided, "classify")["tiling"]["mpp_overrides_file"]
    for wrong in (card | {"mpp_overrides_file": True}, decided | {"mpp": None}):
        with pytest.raises(CardError, match=r"a.yaml.*mpp"):
            validate(wrong, "dataset", tmp_path / "a.yaml")


def test_datasets_of_one_title_are_told_apart():
    titles = {"ca": "Our cells", "cb": "Our cells", "cc": "Others"}
    assert distinct_titles(titles) == {
        "ca": "Our cells (ca)",
        "cb": "Our cells (cb)",
        "cc": "Others",
    }


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("1" + ":1" * 100_000, "1:1:1:.* is not a finite number"),
        ("1" + ":1" * 300 + ".5", "1:1:1:.* is not a finite number"),
        ("0x" + "f" * 9000, "0xfff.* is not a finite number"),
        ("!!float ''", "the tag 'tag:yaml.org,2002:float' is not supported"),
        ("!!bool x", "the tag 'tag:yaml.org,2002:bool' is not supported"),
        ("!!set {a: }", "the tag 'tag:yaml.org,2002:set' is not supported"),
        ("!!python/object/apply:os.system [id]", "the tag .*os.system' is not supported"),
    ],
)
def test_no_number_and_no_tag_of_a_card_keeps_its_reader_busy(tmp_path, said, why):
    """100,000 digits to the base of 60 took 6 s, ten times as many a hundred times as long."""
    (tmp_path / "a.yaml").write_text(f"a: {said}\n", encoding="utf-8")
    with pytest.raises(CardError, match=rf"a.yaml is not valid YAML: .*{why}"):
        read_yaml(tmp_path / "a.yaml")


def test_numbers_of_a_usual_length_stay_what_they_were(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1_000, 0x1F, 1:30, -2.5e+3, 1:30.5]\n", encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml") == {"a": [1000, 31, 90, -2500.0, 90.5]}


def test_a_card_that_is_like_a_list_is_named(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.yaml").write_text("extends: [b]\n", encoding="utf-8")
    with pytest.raises(CardError, match=r"a card cannot be called \['b'\]"):
        load_card(tmp_path, "models", "a")


def test_a_card_without_end_is_not_read_to_its_end(tmp_path):
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    with pytest.raises(CardError, match="has more than 1,000,000 characters"):
        read_yaml(tmp_path / "a.yaml")
