import zipfile

import openpyxl
import pandas as pd
import pytest
from conftest import CONFIG, SHARED

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, DataError
from cryotome.data.cohort_tables import read_text_columns
from cryotome.data.cohorts import (
    UNKNOWN_PATIENT,
    check_patient_counts,
    join_cohort,
    load_patients,
    load_slides,
    read_labels,
    read_slides,
)

OWN = {"patient": "PATIENT", "target": "TARGET", "positive": ["MSIH"], "negative": ["nonMSIH"]}


def labels_csv(folder, text, name="labels.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def real():
    """The real tables of labels, read once, with card and path."""
    if not SHARED.exists():
        pytest.skip(f"real data are not at hand ({SHARED})")
    cards = {name: load_card(CONFIG, "datasets", name) for name in ("tcga_crc", "cptac_crc")}
    paths = {name: SHARED / card["labels"]["table"] for name, card in cards.items()}
    return {name: (card, paths[name], read_labels(paths[name], card["labels"]))
            for name, card in cards.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "labelled", "positive", "unlabelled"),
    [("tcga_crc", 457, 65, 2), ("cptac_crc", 105, 24, 5)],
)
def test_the_real_tables_have_as_many_labels_as_their_cards_expect(
    real, dataset, labelled, positive, unlabelled
):
    card, path, found = real[dataset]
    check_patient_counts(found, card["expect"], path)
    assert found["TARGET"].notna().sum() == labelled
    assert (found["TARGET"] == 1).sum() == positive
    assert found["TARGET"].isna().sum() == unlabelled
    assert not found["PATIENT"].duplicated().any()


def test_msi_low_is_negative_as_msi_stable_is(real):
    found = real["tcga_crc"][2].dropna()
    assert found.groupby("label")["TARGET"].agg(["size", "min", "max"]).to_numpy().tolist() == [
        [65, 1, 1],  # MSI-H
        [74, 0, 0],  # MSI-L
        [318, 0, 0],  # MSS
    ]


def test_patients_of_the_archives_slides_are_those_of_the_label_tables(real):
    """Names of slides as the archives write them, of patients who are in the tables."""
    names = {
        "tcga_crc": ("TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690-40B7-9E5A.svs", "TCGA-3L-AA1B"),
        "cptac_crc": ("01CO005-3c2d8d2c-b2d2.svs", "01CO005"),
    }
    for dataset, (name, patient) in names.items():
        card, _, labels = real[dataset]
        assert read_slides([name], pattern=card["patient"])["PATIENT"].tolist() == [patient]
        assert patient in set(labels["PATIENT"])


def test_a_users_own_table_is_read_from_csv_and_from_xlsx(tmp_path):
    csv = labels_csv(tmp_path, "PATIENT,TARGET,AGE\n007,MSIH,60\n1,nonMSIH,61\n12,,62\n")
    book = tmp_path / "labels.xlsx"
    pd.read_csv(csv, dtype=str, keep_default_na=False).to_excel(book, index=False)
    for path in (csv, book):
        found = read_labels(path, OWN)
        assert found["PATIENT"].tolist() == ["007", "1", "12"]
        assert found["TARGET"].fillna(-1).tolist() == [1, 0, -1]


def test_numbers_in_a_sheet_are_labels_too(tmp_path):
    path = tmp_path / "labels.xlsx"
    pd.DataFrame({"PATIENT": [1, 2, 3], "TARGET": [1, 0, None]}).to_excel(path, index=False)
    found = read_labels(path, OWN | {"positive": [1], "negative": [0]})
    assert found["PATIENT"].tolist() == ["1", "2", "3"]
    assert found["TARGET"].fillna(-1).tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("text", "change", "error", "message"),
    [
        ("a,MSIH\nb,maybe\n", {}, DataError, "line 3 has the label 'maybe'.*knows.*`ignore:`"),
        ("a,MSIH\na,nonMSIH\n", {}, DataError, "patient 'a' has two labels.*lines"),
        ("a,MSIH\n,nonMSIH\n", {}, DataError, "line 3 names no patient in column 'PATIENT'"),
        ("=a,MSIH\n", {}, DataError, "line 2: the PATIENT '=a' cannot be used"),
        ("a,MSIH\n", {"where": {"TARGET": ["x"]}}, DataError, "no row whose 'TARGET' is 'x'"),
        ("a,MSIH\n", {"patient": "ID"}, DataError, "is missing \\['ID'\\]"),
        ("a,MSIH\n", {"negative": ["MSIH"]}, CardError, "give one label two meanings"),
    ],
)
def test_a_table_of_labels_that_cannot_be_says_where_and_what_to_do(
    tmp_path, text, change, error, message
):
    path = labels_csv(tmp_path, "PATIENT,TARGET\n" + text)
    with pytest.raises(error, match=message) as caught:
        read_labels(path, OWN | change)
    assert str(path) in str(caught.value)


def test_a_label_that_is_to_be_ignored_is_none(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,MSIH\nb,unclear\n")
    assert read_labels(path, OWN | {"ignore": ["unclear"]})["TARGET"].isna().tolist() == [
        False,
        True,
    ]


def test_a_patient_listed_twice_with_one_label_is_one_patient(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,\na,MSIH\na,MSIH\n")
    assert read_labels(path, OWN)[["PATIENT", "TARGET"]].to_numpy().tolist() == [["a", 1.0]]


def test_files_that_are_no_tables_are_refused(tmp_path):
    page = labels_csv(tmp_path, "<html>", "labels.xlsx")
    with pytest.raises(DataError, match="is no XLSX"):
        read_labels(page, OWN)
    with pytest.raises(DataError, match="ends in '.ods'. Save the table as CSV or XLSX"):
        read_labels(labels_csv(tmp_path, "", "labels.ods"), OWN)
    book = tmp_path / "book.xlsx"
    pd.DataFrame({"PATIENT": ["a"]}).to_excel(book, index=False, sheet_name="one")
    with pytest.raises(DataError, match=r"has no sheet 'two'; it has \['one'\]"):
        read_labels(book, OWN | {"sheet": "two"})
    with pytest.raises(
        DataError, match=r"is missing the columns \['TARGET'\]; it begins with 'PATIENT'"
    ):
        read_labels(book, OWN)


def test_other_counts_than_the_card_expects_stop_the_reading(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,MSIH\nb,nonMSIH\n")
    with pytest.raises(DataError, match="has 2 labelled patients, 1 of them positive.*3 and 1"):
        check_patient_counts(read_labels(path, OWN), {"labelled": 3, "positive": 1}, path)


def test_slides_are_named_with_or_without_suffix(tmp_path):
    table = labels_csv(tmp_path, "FILENAME,PATIENT\ns.1.uuid,a\nt.svs,a\nu.h5,b\n", "slides.csv")
    found = read_slides(["s.1.uuid.svs", "t", "other"], table=table)
    assert found.to_numpy().tolist() == [["other", ""], ["s.1.uuid", "a"], ["t", "a"], ["u", "b"]]


def test_a_slide_twice_and_a_pattern_without_a_group_are_errors(tmp_path):
    table = labels_csv(tmp_path, "FILENAME,PATIENT\ns.svs,a\ns,b\n", "slides.csv")
    with pytest.raises(DataError, match="line 3: the slide 's' is listed a second time"):
        read_slides([], table=table)
    for pattern in ("^a", "(a"):
        with pytest.raises(CardError, match="is no regular expression with a group"):
            read_slides(["a1"], pattern=pattern)


def test_who_is_left_out_is_listed_with_the_reason(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,MSIH\nb,nonMSIH\nc,\nd,MSIH\ne,unclear\n")
    labels = read_labels(path, OWN | {"ignore": ["unclear"]})
    slides = read_slides(["a-2", "a-1", "b-1", "c-1", "x-1", "odd"], pattern="^(.)-")
    cohort = join_cohort(labels, slides, "mine")
    assert cohort.patients.to_numpy().tolist() == [["a", 1], ["b", 0]]
    assert cohort.slides.to_numpy().tolist() == [["a-1", "a"], ["a-2", "a"], ["b-1", "b"]]
    assert cohort.excluded.to_numpy().tolist() == [
        ["", "odd", UNKNOWN_PATIENT],
        ["c", "", "no label"],
        ["c", "c-1", "no label"],
        ["d", "", "no slide"],
        ["e", "", "no label (unclear)"],
        ["x", "x-1", "its patient is in no table of labels"],
    ]


def test_tables_whose_names_never_meet_say_what_either_calls_a_patient(tmp_path):
    labels = read_labels(labels_csv(tmp_path, "PATIENT,TARGET\np1,MSIH\np2,nonMSIH\n"), OWN)
    with pytest.raises(DataError, match="first 'p1', and 1 slides, first 'q1-x' of patient 'q1'"):
        join_cohort(labels, read_slides(["q1-x"], pattern="^(..)-"), "mine")


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\n007,1\nNA,0\n")
    assert load_patients(path, "c").to_numpy().tolist() == [["c:007", 1], ["c:NA", 0]]
    path = labels_csv(tmp_path, "FILENAME,PATIENT\n1,007\n")
    assert load_slides(path, "c").to_numpy().tolist() == [["c:1", "c:007"]]
    assert read_text_columns(path, ["PATIENT"]).to_numpy().tolist() == [["007"]]


@pytest.mark.parametrize("dataset", ["tcga_crc", "cptac_crc"])
def test_the_reproduction_keeps_the_tiles_that_the_pipeline_of_the_paper_keeps(dataset):
    tiles = load_card(CONFIG, "datasets", dataset)["tiles"]
    for tiling in tiles.values():
        assert (tiling["filter"], tiling["min_tissue_fraction"]) == ("histobistro", 0)
    assert [tiles["classify"][key] for key in ("mpp", "side")] == [1.0, 256]
    assert [tiles["finetune"][key] for key in ("mpp", "side", "jpeg_side")] == [0.5, 512, 512]


def test_only_diagnostic_slides_of_tcga_are_taken_and_others_are_listed(tmp_path):
    card = load_card(CONFIG, "datasets", "tcga_crc")
    names = [
        "TCGA-AA-3872-01Z-00-DX1.eb3732ee.svs",
        "TCGA-AA-3872-01A-01-TS1.0f0f.svs",  # frozen
        "TCGA-AA-3872-11A-01-BS1.0f0f.svs",  # normal
        "TCGA-AA-3877-01Z-00-DX1.1a1a.svs",
    ]
    path = labels_csv(tmp_path, "PATIENT,TARGET\nTCGA-AA-3872,MSIH\nTCGA-AA-3877,nonMSIH\n")
    slides = read_slides(names, pattern=card["patient"])
    cohort = join_cohort(read_labels(path, OWN), slides, "tcga_crc")
    assert len(cohort.slides) == 2
    assert cohort.excluded.to_numpy().tolist() == [
        ["", "TCGA-AA-3872-01A-01-TS1.0f0f", UNKNOWN_PATIENT],
        ["", "TCGA-AA-3872-11A-01-BS1.0f0f", UNKNOWN_PATIENT],
    ]


@pytest.mark.parametrize(
    ("said", "positive", "negative"),
    [
        (("1.0", "0.0"), [1], [0]),
        (("1", "0"), [1.0], [0.0]),
        (("1.0", "0"), ["1.0"], ["0"]),
        (("TRUE", "False"), [True], [False]),
        (("yes", "no"), [True], [False]),  # what YAML makes of yes and no
        ((" MSIH ", "nonMSIH"), ["MSIH "], ["nonMSIH"]),
        (("01", "1"), ["01"], [1]),
        (("u\u0308", "a"), ["\u00fc"], ["a"]),
    ],
)
def test_a_label_means_the_same_in_csv_in_a_sheet_and_in_the_card(
    tmp_path, said, positive, negative
):
    csv = labels_csv(tmp_path, "PATIENT,TARGET\na,{}\nb,{}\n".format(*said))
    book = tmp_path / "book.xlsx"
    pd.read_csv(csv, dtype=str).to_excel(book, index=False)
    for path in (csv, book):
        found = read_labels(path, OWN | {"positive": positive, "negative": negative})
        assert found["TARGET"].tolist() == [1, 0]


def test_numbers_of_a_sheet_meet_a_csvs_and_text_with_a_zero_before_is_another_label(tmp_path):
    book = tmp_path / "labels.xlsx"
    pd.DataFrame({"PATIENT": [7, 8], "TARGET": [1.0, 0.0]}).to_excel(book, index=False)
    found = read_labels(book, OWN | {"positive": ["1.0"], "negative": [0]})
    assert found[["PATIENT", "TARGET"]].to_numpy().tolist() == [["7", 1.0], ["8", 0.0]]
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,01\nb,0\n")
    with pytest.raises(DataError, match="has the label '01'.*Put \"01\", with its quotes, under"):
        read_labels(path, OWN | {"positive": [1], "negative": [0]})
    assert read_labels(path, OWN | {"positive": ["01"], "negative": [0]})["TARGET"].tolist() == [
        1,
        0,
    ]


def test_one_label_may_be_written_twice_but_not_mean_two_things(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET\na,1.0\nb,0\n")
    found = read_labels(
        path, OWN | {"positive": [1, 1.0, "1.0"], "negative": [0], "ignore": [None]}
    )
    assert found["TARGET"].tolist() == [1, 0]
    with pytest.raises(CardError, match="two meanings, '1' as 'negative'"):
        read_labels(path, OWN | {"positive": [1], "negative": ["1.0"]})


def test_rows_are_chosen_by_text_or_number(tmp_path):
    path = labels_csv(tmp_path, "PATIENT,TARGET,SITE\na,MSIH,01\nb,nonMSIH,1.0\nc,MSIH,2\n")
    for where, patients in (({"SITE": ["01", 1]}, ["a", "b"]), ({"SITE": [2]}, ["c"])):
        assert read_labels(path, OWN | {"where": where})["PATIENT"].tolist() == patients


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_both_forms_of_unicode_are_one_patient_and_one_slide(tmp_path, kind):
    path = labels_csv(tmp_path, "PATIENT,TARGET\nu\u0308,MSIH\n01,nonMSIH\n")
    table = labels_csv(tmp_path, "FILENAME,PATIENT\n\u00fc.svs,\u00fc\nNA.svs,01\n", "slides.csv")
    if kind == "xlsx":
        for one in (path, table):
            frame = pd.read_csv(one, dtype=str, keep_default_na=False)
            frame.to_excel(one.with_suffix(".xlsx"), index=False)
        path, table = path.with_suffix(".xlsx"), table.with_suffix(".xlsx")
    cohort = join_cohort(read_labels(path, OWN), read_slides(["u\u0308.svs"], table=table), "mine")
    assert cohort.slides.to_numpy().tolist() == [["NA", "01"], ["\u00fc", "\u00fc"]]
    assert cohort.excluded.empty


def test_a_name_that_cannot_stand_in_paths_is_refused_with_its_line(tmp_path):
    table = labels_csv(tmp_path, "FILENAME,PATIENT\na.svs,p\nS{2}.svs,q\n", "slides.csv")
    with pytest.raises(
        DataError, match=r"slides.csv, line 3: the FILENAME 'S\{2\}' cannot be used"
    ):
        read_slides([], table=table)


def test_an_xlsx_that_names_other_files_or_grows_by_entities_is_refused(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["PATIENT"])
    book.save(tmp_path / "plain.xlsx")
    grows = [f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 11)]
    for entities in (
        "<!ENTITY e10 SYSTEM 'file:///etc/passwd'>",
        "<!ENTITY e0 'x'>" + "".join(grows),
    ):
        with (
            zipfile.ZipFile(tmp_path / "plain.xlsx") as plain,
            zipfile.ZipFile(tmp_path / "t.xlsx", "w") as hostile,
        ):
            for name in plain.namelist():
                text = plain.read(name).decode("utf-8")
                if "PATIENT" in text:
                    text = f"<!DOCTYPE x [{entities}]>" + text.replace("PATIENT", "&e10;PATIENT")
                hostile.writestr(name, text)
        with pytest.raises(DataError, match=r"t.xlsx is no XLSX"):
            read_text_columns(tmp_path / "t.xlsx", ["PATIENT"])
