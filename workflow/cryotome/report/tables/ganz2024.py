"""Tables 1 and 2 of Ganz et al. 2024: measured values beside the published ones."""

from pathlib import Path

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.study.facts import RowFacts
from cryotome.study.schemes import Scheme

KEYS = ["dataset", "model", "head"]
COUNTED = ["parameters", "dim", "prefix_tokens", "gflops"]  # of an encoder


def read_scores(paths: list[Path], facts: RowFacts, metric: str = "auroc") -> pd.DataFrame:
    """Read one metric of a study's fractions and folds, with the keys of the paths.

    Parameters
    ----------
    facts
        A score file may hold fractions and folds of other studies too.

    Returns
    -------
    data frame
        The files' columns and dataset, scheme, view, model, head.
    """
    parts = []
    for path in paths:
        run = RunPath.of(path)
        named = {"dataset": run.dataset, "scheme": run.scheme}
        named |= {"view": run.view, "model": run.model, "head": run.head}
        part = read_csv(path)
        part = part[part["metric"] == metric]
        parts.append(part.assign(**named))
    scores = pd.concat(parts, ignore_index=True)
    whole = scores["scheme"].map(lambda name: Scheme.parse(name).is_whole)
    mine = (scores["fraction"].isin(facts.fractions) | whole) & scores["fold"].isin(facts.folds)
    return scores[mine].reset_index(drop=True)


def domain_relation(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the cross-domain scores; `inside` is whether the test domain was trained on."""
    crosses = scores["scheme"].map(lambda name: Scheme.parse(name).is_cross_domain)
    crossed = scores[crosses.astype(bool)]  # of no scores the dtype is object
    return crossed.assign(inside=crossed["train_domain"] == crossed["test_domain"])


def join_published(table: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Add the numbers that the paper prints to the rows of a table."""
    names = {"in_mean": "published_in", "in_sd": "published_in_sd"}
    names |= {"out_mean": "published_out", "out_sd": "published_out_sd"}
    return table.merge(published[[*KEYS, *names]].rename(columns=names), on=KEYS, how="left")


def table2(scores: pd.DataFrame, published: pd.DataFrame, facts: RowFacts) -> pd.DataFrame:
    """Average the AUROC in domain and out of domain (Ganz et al. 2024, Table 2).

    Mean and population SD are over the pooled values: 25 in domain (5 domains x 5 folds),
    100 out of domain (20 pairs x 5 folds) in the paper's study. This reading fits the
    printed SDs; the SD over repeats alone does not.

    Parameters
    ----------
    scores
        From `read_scores`.
    published
        Columns dataset, model, head, in_mean, in_sd, out_mean, out_sd.

    Returns
    -------
    data frame with columns study, dataset, model, head, in_mean, in_sd, out_mean, out_sd,
    published_in, published_in_sd, published_out, published_out_sd, synthetic
    """
    values = domain_relation(scores).dropna(subset="value")
    grouped = values.groupby([*KEYS, "inside"])["value"].agg(
        mean="mean", sd=lambda v: v.std(ddof=0)
    )
    tested = grouped.index.get_level_values("inside").astype(bool)
    inside, outside = (grouped[tested == where].droplevel("inside") for where in (True, False))
    table = inside.add_prefix("in_").join(outside.add_prefix("out_"), how="outer").reset_index()
    table = join_published(table, published)
    table["synthetic"] = table["dataset"].isin(facts.synthetic)
    order = {(row.model, row.head): place for place, row in enumerate(facts.rows)}
    place = [order[pair] for pair in zip(table["model"], table["head"], strict=True)]
    table = table.assign(study=facts.study, place=place).sort_values(["dataset", "place"])
    columns = ["study", *KEYS, "in_mean", "in_sd", "out_mean", "out_sd", "published_in"]
    columns += ["published_in_sd", "published_out", "published_out_sd", "synthetic"]
    return table[columns].reset_index(drop=True)


def table2_sd(scores: pd.DataFrame, *, study: str) -> pd.DataFrame:
    """Compute every reading of the paper's "standard deviation" (Table 2's caption is ambiguous).

    Returns
    -------
    data frame with columns study, dataset, model, head, where, reading, sd
        Population SDs; reading is `pooled`, `repeats_of_mean` (over folds, of the mean over
        domains), `mean_over_pairs` (mean of each pair's SD over folds), `pair_means`, or
        `train_domain_means`.
    """
    rows = []
    values = domain_relation(scores).dropna(subset="value")
    for (*row, inside), part in values.groupby([*KEYS, "inside"]):
        cube = part.pivot_table(
            index=["train_domain", "test_domain"], columns="fold", values="value"
        )
        readings = {
            "pooled": part["value"].std(ddof=0),
            "repeats_of_mean": cube.mean(axis=0).std(ddof=0),
            "mean_over_pairs": cube.std(axis=1, ddof=0).mean(),
            "pair_means": cube.mean(axis=1).std(ddof=0),
            "train_domain_means": cube.mean(axis=1).groupby("train_domain").mean().std(ddof=0),
        }
        where = "in" if inside else "out"
        rows += [(study, *row, where, reading, sd) for reading, sd in readings.items()]
    return pd.DataFrame(rows, columns=["study", *KEYS, "where", "reading", "sd"])


def table1(cards: dict[str, Card], measured: dict[str, Card], *, study: str) -> pd.DataFrame:
    """List the encoders of a study with printed, card and measured values.

    Parameters
    ----------
    measured
        Model to its `profile_encoder`; models without a network are absent.

    Returns
    -------
    data frame with columns study, model, title, algorithm, slides, tiles, type,
    published_size (Ganz et al. 2024, Table 1 and text), published_size_002 (Roth et al. 2024,
    Table 3),
    authors_size, then parameters, dim, prefix_tokens, gflops of the card and each again as
    measured_*, random_weights, licence, source
    """
    rows = [
        {"study": study, "model": model} | _encoder_row(card, measured.get(model, {}))
        for model, card in cards.items()
    ]
    counts = [name for name in COUNTED if name != "gflops"]  # integers, which may be missing
    counts += [f"measured_{name}" for name in counts]
    return pd.DataFrame(rows).astype(dict.fromkeys(counts, "Int64"))


def _encoder_row(card: Card, measured: Card) -> Card:
    published = card.get("published", {})
    row, printed = published.get("table1", {}), published.get("sizes", {})
    sizes: Card = {}
    for name in COUNTED:
        sizes |= {name: card.get(name), f"measured_{name}": measured.get(name)}
    return {
        "title": card["title"],
        **{name: row.get(name, "") for name in ("algorithm", "slides", "tiles", "type")},
        "published_size": row.get("size") or printed.get("ganz2024", ""),
        "published_size_002": printed.get("roth2024", ""),
        "authors_size": printed.get("authors", ""),
        **sizes,
        "random_weights": isinstance(card["weights"], dict) and "random" in card["weights"],
        "licence": card["licence"],
        "source": card["source"],
    }
