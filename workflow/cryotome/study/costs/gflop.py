"""Arithmetic of one job and of a study: cells, tiles and steps times what a network takes."""

from dataclasses import dataclass, field

from cryotome.study.geometry import input_side
from cryotome.study.row import LAST
from cryotome.study.schemes import SCANNER, Scheme
from cryotome.study.study import Study

BACKWARD = 3  # a training view costs so many forwards
TILES = 2_000  # at 10x of a resection of the colon, 1,500 to 3,000; at 20x and twice the side alike
DEMO_TILES = 60  # of an invented slide
HEADS = 1.15  # DINO's heads and assignments, over its networks
DEMO_CELLS = 392  # of each domain of the invented tissue


@dataclass(frozen=True)
class Job:
    """One job that Snakemake plans."""

    rule: str
    wildcards: dict[str, str] = field(default_factory=dict)


def cells_of(study: Study, dataset: str) -> dict[str, int]:
    """Return the number of cells of each domain, 0 where the card expects none."""
    card = study.dataset(dataset)
    domains, known = card.get("domains", {}), card.get("expect", {}).get("cells", {})
    if "synthetic" in card:
        return dict.fromkeys(domains, sum(next(iter(known.values()), [DEMO_CELLS])))
    return {name: sum(known.get(name, [])) for name in domains}


def tiles_of(study: Study, dataset: str) -> int:
    """Return about how many tiles a slide of a cohort has."""
    return DEMO_TILES if "synthetic" in study.dataset(dataset) else TILES


def finetuning_gflop(study: Study, name: str) -> float:
    """Estimate the arithmetic of a finetuning: the student's crops and the teacher's."""
    card = study.finetuning(name)
    crops, base = card["crops"], study.model(card["base"])
    whole, part = ((crops[kind]["side"] / input_side(base)) ** 2 for kind in ("global", "local"))
    seen = BACKWARD * (2 * whole + crops["local_count"] * part) + 2 * whole
    return HEADS * card["stop_iteration"] * card["batch"] * seen * base["gflops"]


def roles_of(study: Study, dataset: str, scheme: str, fraction: str) -> dict[str, float]:
    """Estimate how many cells of a fold train, validate and test.

    For schemes that leave cells out, such as the ladder's common size, it is an upper bound.
    Cards count cells by domain, so that every scanner is taken to have an equal part.
    """
    card = study.scheme(scheme)
    counts: dict[str, float] = {**cells_of(study, dataset)}
    total = sum(counts.values())
    trains = Scheme.parse(scheme).trains_on
    if scanners := study.scanners(dataset, scheme):
        counts = {SCANNER + name: total / len(scanners) for name in scanners}
    pool = sum(n for name, n in counts.items() if trains(name)) * (1 - card.get("test", 0))
    drawn = float(fraction) * pool
    watched = card["validation"] * drawn
    return {"train": drawn - watched, "validation": watched, "test": total - pool}


def training_gflop(study: Study, job: Job) -> float:
    """Estimate the arithmetic of one training: steps, looks, and scoring twice."""
    w, head = job.wildcards, study.head(job.wildcards["head"])
    role = roles_of(study, w["dataset"], w["scheme"], w["fraction"])
    looks = head["steps"] / head["evaluate_every"]
    seen = BACKWARD * head["steps"] * head["batch"]
    seen += looks * head.get("validation_draws", role["validation"])
    seen += 2 * (role["validation"] + role["test"])
    return seen * study.forward_gflop(w["model"], "patches", w["dataset"])


def gflop_of(study: Study, job: Job) -> float:
    """Estimate a job's arithmetic in a network, GFLOP; 0 for rules that run none."""
    w = job.wildcards
    dataset = w.get("target" if job.rule == "apply_models" else "dataset", "")
    count: float
    match job.rule:
        case "train_endtoend":
            return training_gflop(study, job)
        case "apply_models" if w["view"] == "patches":  # of others the store is read
            count = len(study.folds) * sum(cells_of(study, dataset).values())
        case "embed" | "embed_shard":
            count = sum(cells_of(study, dataset).values()) / int(w.get("parts", 1))
        case "embed_slide":
            count = tiles_of(study, dataset)
        case "finetune_dinov2":
            return finetuning_gflop(study, w["finetune"])
        case "check_precision":
            count = study.config["precision_check"]["patches"]
        case _:
            return 0.0
    return count * study.forward_gflop(w["model"], w["view"], dataset)


def scored_cells(study: Study, w: dict[str, str], fraction: str) -> float:
    """Estimate how many cells of a fold are scored."""
    role = roles_of(study, w["dataset"], w["scheme"], fraction)
    return role["validation"] + role["test"]


def study_gflop(study: Study) -> float:
    """Estimate all arithmetic of a study's networks, GFLOP."""
    wanted = [
        Job("embed", dict(zip(("dataset", "view", "model"), store, strict=True)))
        for store in study.stores
    ]
    trained = {
        (r.model, r.head.removesuffix(LAST)) for r in study.rows if study.is_trainable(r.head)
    }
    wanted += [
        Job("train_endtoend", {"dataset": d, "scheme": s, "model": m, "head": h, "fraction": f})
        for m, h in sorted(trained)
        for d, s in study.blocks
        for f in study.training_fractions(s, h)
        for _ in study.folds
    ]
    part, bags = study.colorectal, 0.0
    if part:
        wanted += [Job("finetune_dinov2", {"finetune": name}) for name in part.finetunings]
        for rule, models, dataset in part.embedding_requests:
            count = study.slides_expected(dataset) if rule == "embed_slide" else 1
            jobs = [Job(rule, {"dataset": dataset, "view": part.view, "model": m}) for m in models]
            bags += count * sum(gflop_of(study, job) for job in jobs)
    return bags + sum(gflop_of(study, job) for job in wanted)
