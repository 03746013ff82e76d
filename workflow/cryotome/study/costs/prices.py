"""What one job costs: arithmetic, time, disk. Projections; what they rest on stands here.

Times of networks are arithmetic over a rate. A GPU's rates are assumed; cutting, probes, the
report and the start of a job were measured on two Xeon cores
(docs/reference/performance.md); the rest, which takes seconds, is estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryotome.study.colorectal import iterations
from cryotome.study.geometry import input_side, stored_side
from cryotome.study.row import LAST
from cryotome.study.schemes import Scheme
from cryotome.study.study import Study

CORE_GFLOPS = 50  # what one processor core sustains
GPU = "NVIDIA A100"
# GFLOP/s sustained there: two fifths of the matrix peak in embedding, a fifth in training, where
# batches are small; fp32 without TF32
EMBEDDING = {"fp32": 12_000, "bf16": 120_000, "fp16": 120_000}
TRAINING = {"fp32": 10_000, "bf16": 60_000}
STEP = 0.02  # s that a training step takes on a GPU however small the network
BACKWARD = 3  # a training view costs so many forwards
LONG = 1_000  # GFLOP, 20 s of a core: two jobs of less work are done sooner side by side
THREADS = {"embed": 2, "embed_shard": 2, "check_precision": 2, "train_endtoend": 1}
THREADS |= {"embed_slide": 2, "finetune_dinov2": 2}  # of long jobs; all others take one
# core-seconds before the work; with torch
START = {"copy_to_results": 0.1} | dict.fromkeys(THREADS, 10.0)
ELSE = 1.0  # … of other rules
BLOCK = 4096  # bytes that the smallest file takes
DEMO, DEMO_CELLS = 80e6, 512  # bytes of the invented tissue; cells of each of its domains
SHOWN = 90  # bytes of a score in a slide and a table of the atlas
ADAPTED = 0.02  # share of a network's weights that adapters add
PREDICTION, ROLE, CELL, WINDOW, PICTURE = 36, 12, 70, 50, 60_000  # bytes of a line; of a curve
PIXELS = 3  # bytes of one
TILES = 2_000  # at 10x of a resection of the colon, 1,500 to 3,000; at 20x and twice the side alike
DEMO_TILES = 60  # of an invented slide
GRID = 4  # tiles of a slide by those that hold tissue
READ = 0.013  # core-seconds to read a tile and shrink it to 256 px; 512 px take four times as long
JPEG = 0.45  # bytes of a pixel of a stored tile, at quality 90
HEADS = 1.15  # DINO's heads and assignments, over its networks
PATIENT = 1.3  # core-seconds that a bag of so many tiles takes an aggregator, an epoch


@dataclass(frozen=True)
class Job:
    """One job that Snakemake plans."""

    rule: str
    wildcards: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What jobs take: seconds on a GPU, seconds of processor cores, bytes that stay on disk."""

    gpu: float = 0.0
    cores: float = 0.0
    disk: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.gpu + other.gpu, self.cores + other.cores, self.disk + other.disk)


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
    """
    card, counts = study.scheme(scheme), cells_of(study, dataset)
    total = sum(counts.values())
    trains = Scheme.parse(scheme).trains_on
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
    match job.rule:
        case "train_endtoend":
            return training_gflop(study, job)
        case "embed" | "embed_shard":
            count = sum(cells_of(study, w["dataset"]).values()) / int(w.get("parts", 1))
        case "embed_slide":
            count = tiles_of(study, w["dataset"])
        case "finetune_dinov2":
            return finetuning_gflop(study, w["finetune"])
        case "check_precision":
            count = study.config["precision_check"]["patches"]
        case _:
            return 0.0
    return count * study.forward_gflop(w["model"], w["view"], w["dataset"])


def threads_of(study: Study, job: Job) -> int:
    """Return the threads of a job, the same on every machine, for its numbers depend on them."""
    return THREADS.get(job.rule, 1) if gflop_of(study, job) > LONG else 1


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
        for f in study.training_fractions(s)
        for _ in study.folds
    ]
    part = study.colorectal
    if part:
        wanted += [Job("finetune_dinov2", {"finetune": name}) for name in part.finetunings]
        wanted += [
            Job(rule, {"dataset": dataset, "view": part.view, "model": model})
            for rule, models, dataset in part.embedding_requests
            for model in models
            for _ in range(study.slides_expected(dataset) if rule == "embed_slide" else 1)
        ]
    return sum(gflop_of(study, job) for job in wanted)


@dataclass(frozen=True)
class CostModel:
    """What jobs of a study cost at a site.

    Attributes
    ----------
    on_gpu
        Networks run on a GPU.
    rates
        Measured GFLOP/s by rule and by model and head, which win over the assumed ones.
    """

    study: Study
    on_gpu: bool
    rates: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def cost(self, job: Job) -> Cost:
        """Project one job."""
        start, work = START.get(job.rule, ELSE), gflop_of(self.study, job)
        disk = _bytes(self.study, job)
        if not work:
            return Cost(cores=start + _core_seconds(self.study, job), disk=disk)
        threads = threads_of(self.study, job)
        seconds = work / self.rate(job, threads)
        if self.on_gpu and job.rule == "train_endtoend" and job_name(job) not in self.rates:
            seconds = max(seconds, STEP * self.study.head(job.wildcards["head"])["steps"])
        if not self.on_gpu:
            return Cost(cores=start + threads * seconds, disk=disk)
        return Cost(gpu=start + seconds, cores=threads * (start + seconds), disk=disk)

    def rate(self, job: Job, threads: int) -> float:
        """Return the GFLOP/s at which a job computes."""
        if job_name(job) in self.rates:
            return self.rates[job_name(job)]
        if not self.on_gpu:
            return CORE_GFLOPS * threads
        if job.rule == "train_endtoend":
            return TRAINING[self.study.head(job.wildcards["head"])["precision"]]
        if job.rule == "finetune_dinov2":
            return TRAINING[self.study.finetuning(job.wildcards["finetune"])["precision"]]
        precision = job.wildcards["view"].rpartition("-")[2]
        return EMBEDDING["fp32" if job.rule == "check_precision" else precision]

    def byproduct_cost(self, job: Job) -> float:
        """Return the bytes of a job's partial work, which goes when it ends."""
        if job.rule == "finetune_dinov2":  # student, teacher, two moments
            card = self.study.finetuning(job.wildcards["finetune"])
            return 4 * 4 * self.study.model(card["base"])["parameters"]
        if job.rule != "train_endtoend":
            return _bytes(self.study, job)
        share = ADAPTED if "lora" in self.study.head(job.wildcards["head"]) else 1
        # weights as they are and at their best, two moments of Adam; float32
        return 4 * 4 * share * self.study.model(job.wildcards["model"])["parameters"]


def job_name(job: Job) -> tuple[str, str, str]:
    """Return rule, model and head: what a measured rate is for."""
    return job.rule, job.wildcards.get("model", ""), job.wildcards.get("head", "")


def _scored(study: Study, w: dict[str, str], fraction: str) -> float:
    role = roles_of(study, w["dataset"], w["scheme"], fraction)
    return role["validation"] + role["test"]


def _core_seconds(study: Study, job: Job) -> float:
    """Project a job without a network, its start left out."""
    w, folds = job.wildcards, 1 if "fold" in job.wildcards else len(study.folds)
    count = sum(cells_of(study, w["dataset"]).values()) if "dataset" in w else 0
    shares = study.training_fractions(w["scheme"]) if "scheme" in w else []
    match job.rule:
        case "cut_patches":  # from a file each, or from regions and slides
            return count / (
                250 if study.dataset(w["dataset"])["reader"] == "class_folders" else 1_370
            )
        case "audit" | "embed":  # hashes and neighbours; a histogram
            return count / 1_000
        case "read_cells" | "place_windows":
            return count / 5_000
        case "split_cells" | "audit_splits":
            return folds * count / 20_000
        case "probe" | "probe_whole":
            trained = sum(roles_of(study, w["dataset"], w["scheme"], f)["train"] for f in shares)
            return 5e-8 * folds * trained * study.model(w["model"])["dim"]
        case "score_row":
            return folds * sum(_scored(study, w, f) for f in shares) / 200_000
        case "compare" | "leakage_ladder":
            return 0.15 * study.runs
        case "error_atlas":  # its sheets, most of it
            return 1.8 * len(study.rows)
        case "make_demo":
            return 20.0
        case "tile_slide":
            return 0.3 + _looked_at(study, w) * tiles_of(study, w["dataset"])
        case "embed_slide":  # a histogram
            return READ * tiles_of(study, w["dataset"])
        case "train_mil":
            epochs = study.head(w["head"]).get("epochs", 1)
            tiles = tiles_of(study, w["dataset"])
            return PATIENT * tiles / TILES * epochs * study.slides_expected(w["dataset"])
        case "classify_patches":
            return 2e-6 * count * study.model(w["model"])["dim"]
    return 0.0


def _bytes(study: Study, job: Job) -> float:
    """Return about how much a job leaves on disk."""
    w, folds = job.wildcards, 1 if "fold" in job.wildcards else len(study.folds)
    count = sum(cells_of(study, w["dataset"]).values()) if "dataset" in w else 0
    kept: dict[str, Callable[[], float]] = {
        "make_demo": lambda: DEMO,
        "read_cells": lambda: count * CELL,
        "place_windows": lambda: count * WINDOW,
        "cut_patches": lambda: (
            count * PIXELS * stored_side(study.dataset(w["dataset"])["patch"]["side"]) ** 2
        ),
        "embed": lambda: count * (4 * study.model(w["model"])["dim"] + 8),
        "split_cells": lambda: folds * (count * ROLE + BLOCK),
        "audit_splits": lambda: folds * BLOCK,
        "probe": lambda: folds * _predicted(study, w, study.fractions),
        "probe_whole": lambda: folds * _predicted(study, w, ["1.0"]),
        "train_endtoend": lambda: _trained(study, w),
        "error_atlas": lambda: len(study.rows) * (count * SHOWN + 10 * PICTURE),
    }
    kept |= {
        "tile_slide": lambda: (
            PICTURE + tiles_of(study, w["dataset"]) * (20 + JPEG * _stored(study, w) ** 2)
        ),
        "embed_slide": lambda: (
            tiles_of(study, w["dataset"]) * (4 * study.model(w["model"])["dim"] + 16)
        ),
        "finetune_dinov2": lambda: _finetuned(study, w["finetune"]),
    }
    kept["embed_shard"] = lambda: kept["embed"]() / int(w["parts"])
    return BLOCK + (kept[job.rule]() if job.rule in kept else PICTURE)


def _stored(study: Study, w: dict[str, str]) -> int:
    """Return the side of the tiles that a tiling keeps as JPEG, px, 0 where it keeps none."""
    return study.dataset(w["dataset"])["tiles"][w["tiling"]].get("jpeg_side", 0)


def _looked_at(study: Study, w: dict[str, str]) -> float:
    """Return core-seconds that a tiling takes for each tile with tissue, to filter or keep it."""
    tiling = study.dataset(w["dataset"])["tiles"][w["tiling"]]
    if "filter" in tiling:
        return READ * GRID * (tiling.get("jpeg_side", tiling["side"]) / 256) ** 2
    return READ * (_stored(study, w) / 256) ** 2


def _finetuned(study: Study, name: str) -> float:
    card = study.finetuning(name)
    return 4 * study.model(card["base"])["parameters"] * len(iterations(card)) + PICTURE


def _predicted(study: Study, w: dict[str, str], shares: list[str]) -> float:
    return sum(_scored(study, w, share) * PREDICTION + 2 * BLOCK for share in shares)


def _trained(study: Study, w: dict[str, str]) -> float:
    adapters = 0.0
    if "lora" in study.head(w["head"]):
        adapters = 4 * ADAPTED * study.model(w["model"])["parameters"]
    return 2 * _predicted(study, w, [w["fraction"]]) + PICTURE + adapters
