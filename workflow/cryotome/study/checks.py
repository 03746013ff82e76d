"""Checks of a study: what a config may ask for, before anything is planned."""

from pathlib import Path

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.core.schemas import validate, with_defaults
from cryotome.study.applications import applications, external_applications, slide_applications
from cryotome.study.geometry import FIT
from cryotome.study.robustness import check_robustness
from cryotome.study.scanners import NOT_PARTED, why_not_parted
from cryotome.study.schemes import FOLDS, MATCHED, Scheme
from cryotome.study.statistical_unit import check_named, check_scheme
from cryotome.study.study import Study
from cryotome.study.variants import has_network


def checked_study(config: Card, folder: Path, files: tuple[str, ...] = ()) -> Study:
    """Return the study of a config, whose cards all fit together.

    Parameters
    ----------
    folder
        Of the cards.
    files
        Where the config was read from, for messages.

    Raises
    ------
    CardError
        The config or one of its cards is wrong; the text names file and key.
    """
    study = Study(folder, with_defaults(config, "config"))
    where = f"{' + '.join(files)} study {config.get('study', '(unnamed)')!r}"
    validate(study.config, "config", where.strip())
    for check in (_check_datasets, _check_external, _check_colorectal, _check_context,
                  _check_slides, _check_rows, _check_schemes, check_robustness,
                  _check_recalibration, _check_variance_split, applications,
                  slide_applications):  # fmt: skip
        check(study)
    return study


def check_remote_code(study: Study, *, allowed: bool) -> None:
    """Stop a study that runs code of a hub where the site does not allow it.

    Raises
    ------
    CardError
        It does; or the file of the function is none of those that the card pins.
    """
    for name in study.models:
        card = study.model(name)
        if "code" not in card:
            continue
        code, file = card["code"], card["module"].rpartition(":")[0]
        if not allowed:
            raise CardError(
                f"study {study.name!r}, rows: {name} runs code of {code['hub']}, revision "
                f"{code['revision']}, which this site does not allow. Read that code, then write "
                "`allow_remote_code: true` into config/site.yaml; or leave the row out."
            )
        if file not in code["files"]:
            raise CardError(
                f"Model {name!r}, code: its `files` have no {file!r}, which `module` names. Give "
                "each file that runs, and its sha256."
            )


def _check_datasets(study: Study) -> None:
    """Stop datasets of more or fewer than two classes, and wrong cards of models."""
    for name in study.datasets:
        classes = len(study.dataset(name).get("classes", []))
        if classes != 2:
            raise CardError(
                f"study {study.name!r}, datasets: {name} has {classes or 'no'} classes, where "
                "a mitotic figure is told from its look-alike. It belongs into `colorectal`."
            )
    for name in study.models:
        study.model(name)


def _check_external(study: Study) -> None:
    """Stop external datasets of other classes, and a study without models to score them with."""
    where, names = f"study {study.name!r}, external", study.config["external"]
    for name in names:
        theirs = _class_names(study, name)
        for other in study.datasets:
            if theirs != _class_names(study, other):
                raise CardError(
                    f"{where}: {name} has the classes {theirs}, {other} has "
                    f"{_class_names(study, other)}. Give both cards the same names, if they mean "
                    "the same."
                )
    if names and not study.config["keep"]:
        raise CardError(
            f"{where}: the models of every fold are needed, and `keep: false` keeps none. Leave "
            "one of the two out."
        )
    if names and not external_applications(study):
        raise CardError(
            f"{where}: no scheme of {study.config['schemes']} trains on all domains of a dataset "
            f"other than {names}. Add `slide_grouped`."
        )


def _class_names(study: Study, dataset: str) -> list[str]:
    return [entry["name"] for entry in study.dataset(dataset).get("classes", [])]


def _check_rows(study: Study) -> None:
    """Stop training of what has no network, and a Figure 2 or reference of other rows."""
    for row in study.rows:
        if study.is_trainable(row.head) and not has_network(study.model(row.model)):
            raise CardError(
                f"study {study.name!r}, rows: {row.model} has no network that {row.head} could "
                "train. Give it a head on embeddings."
            )
    _check_votes(study)
    shares, trained = study.config["fractions"], study.config.get("trained_fractions")
    if trained and not (set(trained) <= set(shares) and max(shares) in trained):
        raise CardError(
            f"study {study.name!r}, trained_fractions: {trained} must be some of `fractions`, "
            f"{shares}, and have the largest of them, which all rows are compared at."
        )
    listed = [{"model": row.model, "head": row.head} for row in study.rows]
    asked = [("figure2", named) for named in study.config["figure2"]]
    asked += [("reference", study.config["reference"])] * bool(study.config["reference"])
    for key, named in asked:
        if named not in listed:
            raise CardError(f"study {study.name!r}, {key}: {named} is none of its `rows`.")


def _check_votes(study: Study) -> None:
    """Stop heads that are fitted to votes on datasets without them."""
    part = study.colorectal
    heads = [(row.head, name) for row in study.rows for name in study.datasets]
    heads += [(head, name) for head in part.patch_heads for name in part.sets] if part else []
    for head, name in heads:
        if study.head(head).get("labels") == "soft" and name not in study.rated:
            raise CardError(
                f"study {study.name!r}, rows: the head {head} has `labels: soft` and is fitted to "
                f"the votes of raters, and the card of {name!r} names no `raters:`. Name the "
                "columns of votes there, or take a head on labels."
            )


def _check_schemes(study: Study) -> None:
    """Stop more folds than a common size is for, and schemes of domains that no dataset has."""
    if study.matched_blocks and len(study.folds) > FOLDS:
        raise CardError(
            f"study {study.name!r}, folds: schemes `…{MATCHED}` have a common size for {FOLDS} "
            "folds. Ask for no more, or leave these schemes out."
        )
    for dataset, asked in study.blocks:
        draws = study.scheme(asked)["split_by"]
        if draws == "predefined" and not study.training_list(dataset, asked):
            raise CardError(
                f"study {study.name!r}, schemes: {asked!r} needs the list of training cells of "
                f"{dataset!r}, and its card has none. Write `predefined:` into it "
                "(docs/guides/add-a-dataset.md), or leave the scheme out."
            )
    one = [name for name in study.datasets if len(study.dataset(name)["domains"]) == 1]
    if study.rows and not study.blocks and one == study.datasets:
        raise CardError(
            f"study {study.name!r}, schemes: {study.config['schemes']} need several domains, and "
            f"the cards of {study.datasets} have one each. Add `random` or `slide_grouped`."
        )
    drawn = {scheme for _, scheme in study.blocks}
    for name in study.config["schemes"]:
        scheme = Scheme.parse(name)
        if scheme.is_by_scanner:
            _check_scanners(study, name)
        elif name not in drawn and scheme.domain != "*":
            what = "trains on" if scheme.is_cross_domain else "leaves out"
            raise CardError(
                f"study {study.name!r}, schemes: {name!r} {what} a domain that none of "
                f"{study.datasets} has."
            )


def _check_scanners(study: Study, asked: str) -> None:
    """Stop a scheme by scanner that no dataset of the study can be split by."""
    drawn = [scheme for _, scheme in study.scanner_blocks]
    if asked in {*drawn, *(str(Scheme.parse(scheme).every) for scheme in drawn)}:
        return
    why = [f"{name}: {why_not_parted(study.dataset(name)) or 'no such scanner'}"
           for name in study.datasets]  # fmt: skip
    raise CardError(
        f"study {study.name!r}, schemes: no dataset can be split by {asked!r} ({'; '.join(why)}; "
        f"{NOT_PARTED}). Name a scanner of a dataset whose scanners share domains, or leave the "
        "scheme out."
    )


def _check_slides(study: Study) -> None:
    """Stop what asks for slides of a dataset that has none to tell."""
    for name in study.all_datasets:
        check_named(study.dataset(name), name)
    for name, scheme in study.blocks:
        check_scheme(study.dataset(name), name, scheme, study.scheme(scheme)["split_by"])
    for row in study.rows * bool(study.unknown_slides):
        by_slide = study.model(row.model).get("loader") == "slide_identity"
        if by_slide or study.head(row.head)["learner"] == "prevalence":
            raise CardError(
                f"study {study.name!r}, rows: {row.model} + {row.head} scores cells by their "
                f"slide, and the card of {study.unknown_slides[0]!r} says `slides: unknown`. "
                "Leave the row out, or name the slides."
            )
    made = [study.model(model).get("weights") for model in study.models]
    for name in {w["finetune"] for w in made if isinstance(w, dict) and "finetune" in w}:
        card = study.finetuning(name)
        if card["split"] == "train_folds":  # of patches the split `slide_grouped`
            used = study.dataset(card["dataset"])
            check_scheme(used, card["dataset"], "slide_grouped", "slides")


def _check_context(study: Study) -> None:
    """Stop a sweep of rows that see patches as they are cut, never enlarged."""
    if study.resolutions and study.config["view"]["transform"] != FIT:
        raise CardError(
            f"study {study.name!r}, context: `resolutions` are told apart where every crop is "
            "enlarged to the network's input. Write `view: {transform: fit, …}`."
        )
    trained = [row.head for row in study.rows if study.context and study.is_trainable(row.head)]
    if trained:
        raise CardError(
            f"study {study.name!r}, context: {trained[0]} trains on patches as they are cut, so "
            "its crops would differ in size too. Give the sweep heads on embeddings."
        )


def _check_recalibration(study: Study) -> None:
    """Stop labelled cells of a target domain where every domain trains."""
    labels = study.recalibration["labels"] if study.recalibration else [0]
    if max(labels) and not any(Scheme.parse(scheme).domain for _, scheme in study.blocks):
        raise CardError(
            f"study {study.name!r}, recalibration.labels: {max(labels)} cells of a domain that did "
            f"not train are asked for, and every domain trains in {study.config['schemes']}. Add "
            "`from_*` or `except_*`, or ask for `labels: [0]`."
        )


def _check_variance_split(study: Study) -> None:
    """Stop a split of the spread where no scheme trains on all domains."""
    if study.config["variance_split"] and not study.all_domain_blocks:
        raise CardError(
            f"study {study.name!r}, variance_split: none of {study.config['schemes']} trains on "
            "all domains. Add a scheme such as `slide_grouped`, or leave it out."
        )


def _check_colorectal(study: Study) -> None:
    """Stop heads and datasets that stand in the wrong task of the part of Roth et al. 2024."""
    part = study.colorectal
    if part is None:
        return
    learner = {n: study.head(n)["learner"] for n in [*part.patch_heads, *part.slide_heads]}
    wrong = [n for n in part.slide_heads if learner[n] != "mil"]
    wrong += [n for n in part.patch_heads if learner[n] in ("mil", "endtoend")]
    wrong += [n for n in part.sets if "classes" not in study.dataset(n)]
    wrong += [n for n in part.cohorts if study.dataset(n)["reader"] != "slides"]
    if wrong:
        raise CardError(
            f"study {study.name!r}, colorectal: {wrong} stand in the wrong task. `slides` takes "
            "cohorts (reader `slides`) and heads with the learner `mil`, `patches` takes class "
            "folders and heads on embeddings."
        )
    if len(set(part.cohorts)) < len(part.cohorts):
        raise CardError(
            f"study {study.name!r}, colorectal: {part.cohorts} names a cohort twice. A cohort "
            "is not external to itself."
        )
    for _, models, name in part.embedding_requests[len(part.sets) :]:
        _check_bags(study, name, models)


def _check_bags(study: Study, cohort: str, models: list[str]) -> None:
    """Stop a cohort without slides whose bags are not all given, and bags of no model."""
    card = study.dataset(cohort)
    for name in card.get("bags", {}):
        if not study.has_card("models", name):
            raise CardError(
                f"The card of {cohort}, bags: there is no model card {name!r}. Bags are given "
                "by the name of the model whose features they hold (docs/guides/add-a-model.md)."
            )
    own = [name for name in models if "embeddings" in study.model(name)]
    if own:
        raise CardError(
            f"study {study.name!r}: {own[0]} has embeddings of cells and no network that could "
            f"embed the slides of {cohort}. Name bags of it in `bags:` of that dataset's card, or "
            "leave it out of the `rows` and `baseline` of `colorectal`."
        )
    if models and not {"images", "tiles"} <= set(card):
        raise CardError(
            f"study {study.name!r}: {cohort} has no slides to embed (`images:` and `tiles:` of "
            f"its card) and no bags of {', '.join(models)}. Name these in `bags:`, or leave "
            "them out of the `rows` and `baseline` of `colorectal`."
        )
