"""What one job costs: time and disk. Projections; what they rest on stands here.

Times of networks are arithmetic over a rate. A GPU's rates are assumed; cutting, probes, the
report and the start of a job were measured on two Xeon cores
(docs/reference/performance.md); the rest, which takes seconds, is estimated.
"""

from dataclasses import dataclass, field

from cryotome.study.costs.disk import ADAPTED, bytes_of, jpeg_side
from cryotome.study.costs.gflop import (
    TILES,
    Job,
    cells_of,
    gflop_of,
    roles_of,
    scored_cells,
    tiles_of,
)
from cryotome.study.study import Study

CORE_GFLOPS = 50  # what one processor core sustains
GPU = "NVIDIA A100"
# GFLOP/s sustained there: two fifths of the matrix peak in embedding, a fifth in training, where
# batches are small; fp32 without TF32
EMBEDDING = {"fp32": 12_000, "bf16": 120_000, "fp16": 120_000}
TRAINING = {"fp32": 10_000, "bf16": 60_000}
STEP = 0.02  # s that a training step takes on a GPU however small the network
LONG = 1_000  # GFLOP, 20 s of a core: two jobs of less work are done sooner side by side
THREADS = {"embed": 2, "embed_shard": 2, "check_precision": 2, "train_endtoend": 1}
THREADS |= {"embed_slide": 2, "finetune_dinov2": 2}  # of long jobs; all others take one
# core-seconds before the work; with torch
START = {"copy_to_results": 0.1} | dict.fromkeys(THREADS, 10.0)
ELSE = 1.0  # … of other rules
GRID = 4  # tiles of a slide by those that hold tissue
SLIDE_SHOWN = 1.0  # core-seconds of a slide: thumbnail, attention of all folds, files
READ = 0.013  # core-seconds to read a tile and shrink it to 256 px; 512 px take four times as long
PATIENT = 1.3  # core-seconds that a bag of so many tiles takes an aggregator, an epoch


@dataclass(frozen=True)
class Cost:
    """What jobs take: seconds on a GPU, seconds of processor cores, bytes that stay on disk."""

    gpu: float = 0.0
    cores: float = 0.0
    disk: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.gpu + other.gpu, self.cores + other.cores, self.disk + other.disk)

    def __mul__(self, count: int) -> "Cost":
        return Cost(self.gpu * count, self.cores * count, self.disk * count)


def threads_of(study: Study, job: Job) -> int:
    """Return the threads of a job, the same on every machine, for its numbers depend on them."""
    return THREADS.get(job.rule, 1) if gflop_of(study, job) > LONG else 1


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
        disk = bytes_of(self.study, job)
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
            return bytes_of(self.study, job)
        share = ADAPTED if "lora" in self.study.head(job.wildcards["head"]) else 1
        # weights as they are and at their best, two moments of Adam; float32
        return 4 * 4 * share * self.study.model(job.wildcards["model"])["parameters"]


def job_name(job: Job) -> tuple[str, str, str]:
    """Return rule, model and head: what a measured rate is for."""
    return job.rule, job.wildcards.get("model", ""), job.wildcards.get("head", "")


def _core_seconds(study: Study, job: Job) -> float:
    """Project a job without a network, its start left out."""
    w, folds = job.wildcards, 1 if "fold" in job.wildcards else len(study.folds)
    count = sum(cells_of(study, w["dataset"]).values()) if "dataset" in w else 0
    shares = study.training_fractions(w["scheme"], w.get("head", "")) if "scheme" in w else []
    shares = [w["fraction"]] if "fraction" in w else shares
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
            return folds * sum(scored_cells(study, w, f) for f in shares) / 200_000
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
        case "apply_to_slides":
            return SLIDE_SHOWN * study.slides_expected(w["target"])
        case "classify_patches":
            return 2e-6 * count * study.model(w["model"])["dim"]
    return 0.0


def _looked_at(study: Study, w: dict[str, str]) -> float:
    """Return core-seconds that a tiling takes for each tile with tissue, to filter or keep it."""
    tiling = study.dataset(w["dataset"])["tiles"][w["tiling"]]
    if "filter" in tiling:
        return READ * GRID * (tiling.get("jpeg_side", tiling["side"]) / 256) ** 2
    return READ * (jpeg_side(study, w) / 256) ** 2
