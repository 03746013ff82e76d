"""Where things lie at this site, and what a run says before it plans."""

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryotome.core.cards import Card, below, read_yaml
from cryotome.core.errors import CardError, CryotomeError
from cryotome.runtime.cluster import SCHEDULER
from cryotome.runtime.environment import REMOTE_CODE
from cryotome.runtime.environment import SITE as VARIABLES
from cryotome.runtime.gpu_lease import SHARED_BY, visible_devices
from cryotome.runtime.slurm import KEYS, Cluster, cluster_of
from cryotome.study.cautions import cautions
from cryotome.study.costs.gflop import cells_of, study_gflop
from cryotome.study.costs.prices import CORE_GFLOPS
from cryotome.study.gather_facts import describe
from cryotome.study.study import Study
from cryotome.study.variants import has_network

PLACES = {"data_root": "data", "weights_dir": "weights"}  # key to its default
SITE_KEYS = [*PLACES, "shards", "jobs_per_gpu", *KEYS]  # of config/site.yaml, or of any config
ALLOW_CODE = "allow_remote_code"  # of config/site.yaml alone: no study may say it
SHARDS = 4
RESULTS = Path("results")
HOURS = 24  # of this machine's cores; networks of a real study that take longer want a GPU
PLAN = "CRYOTOME_PLAN"  # set by `make plan`, which needs no data to be at hand


@dataclass(frozen=True)
class Site:
    """Where things lie here, and the rest of the config, without the keys that only say so.

    Attributes
    ----------
    study
        The config of the study.
    shards
        Parts of a store that several jobs make, when asked for.
    gpu_jobs
        Jobs that this machine's GPUs run at once.
    allow_remote_code
        Whether code of a hub may run, pinned by a model card.
    environment
        Variables from which jobs learn all of this.
    """

    study: Card
    data_root: Path
    weights_dir: Path
    shards: int
    cluster: Cluster
    gpu_jobs: int
    allow_remote_code: bool
    environment: dict[str, str]


def resolve_site(config: Card, folder: Path) -> Site:
    """Take the site's keys out of a config. The caller gives `environment` to the jobs it starts.

    An environment variable (`CRYOTOME_DATA_ROOT`, `CRYOTOME_WEIGHTS_DIR`) wins over the
    config, the config over `config/site.yaml`.

    Raises
    ------
    CardError
        `config/site.yaml` has a key that is not one of the site's, or a wrong value.
    """
    path = folder / "site.yaml"
    said = read_yaml(path) if path.exists() else {}
    known = [*SITE_KEYS, ALLOW_CODE]
    if unknown := sorted(set(said) - set(known)):
        raise CardError(f"{path}: unknown keys {unknown}; it has {known}.")
    if not isinstance(allowed := said.get(ALLOW_CODE, False), bool):
        raise CardError(f"{path}, {ALLOW_CODE}: {allowed!r} is neither true nor false.")
    places = {}
    for key, default in PLACES.items():
        chosen = os.environ.get(VARIABLES[key]) or config.get(key) or said.get(key) or default
        places[key] = Path(chosen).expanduser()
    study = {key: value for key, value in config.items() if key not in SITE_KEYS}
    if config.get("device", "auto") == "auto" and os.environ.get(SCHEDULER):
        study["device"] = "per_job"  # this host need not have what the jobs will find
    shards, jobs_per_gpu = (
        _number_of_jobs(key, config.get(key, said.get(key, default)))
        for key, default in (("shards", SHARDS), ("jobs_per_gpu", 1))
    )
    told = places | {"device": study.get("device", "auto")}
    environment = {VARIABLES[key]: str(value) for key, value in told.items()}
    environment |= {SHARED_BY: str(jobs_per_gpu), REMOTE_CODE: "true" * allowed}
    gpu_jobs = len(visible_devices(os.environ)) * jobs_per_gpu
    cluster = cluster_of(said | config)
    return Site(study, **places, shards=shards, cluster=cluster, gpu_jobs=gpu_jobs,
                allow_remote_code=allowed, environment=environment)  # fmt: skip


def _number_of_jobs(key: str, value: object) -> int:
    if not isinstance(value, int) or value < 1:
        raise CardError(f"{key} is {value!r}; it is a number of jobs, 1 or more.")
    return value


def folder_of(card: Card, data_root: Path) -> Path:
    """Return the folder of a dataset's paths: `results` where the tissue is made here."""
    return RESULTS if "synthetic" in card else data_root


def annotation_file(study: Study, site: Site, dataset: str) -> list[str]:
    """Return a dataset's annotation file, or none where its images say all.

    Where only a plan is made, also none that is not at hand yet.

    Raises
    ------
    CryotomeError
        A real dataset's file is not at hand.
    """
    said = study.dataset(dataset).get("annotations")
    return _required_file(study, site, dataset, said) if said else []


def training_list(study: Study, site: Site, dataset: str, scheme: str) -> list[str]:
    """Return the list of training cells that a dataset's authors published, for `predefined`.

    None for other schemes. Raises as `annotation_file`.
    """
    listed = study.training_list(dataset, scheme)
    return _required_file(study, site, dataset, listed["table"]) if listed else []


def _required_file(study: Study, site: Site, dataset: str, said: str) -> list[str]:
    card = study.dataset(dataset)
    path = below(folder_of(card, site.data_root), said)
    if "synthetic" not in card and not path.is_file():
        if PLAN in os.environ:
            return []
        raise CryotomeError(
            f"{path} does not exist or is no file, so dataset {dataset!r} cannot be read. "
            f"`make data STUDY={study.name}` says what to fetch and where to put it; or set "
            "`data_root` in config/site.yaml."
        )
    return [str(path)]


def require_images(study: Study, site: Site, dataset: str) -> list[str]:
    """Return no file, once it is sure that a real dataset's image folder is there.

    Raises
    ------
    CryotomeError
        It is not.
    """
    card = study.dataset(dataset)
    folder = below(folder_of(card, site.data_root), card["images"])
    if "synthetic" not in card and not folder.is_dir() and PLAN not in os.environ:
        raise CryotomeError(
            f"{folder} does not exist, so no patch of {dataset!r} can be cut. "
            f"`make data STUDY={study.name}` says what to fetch and where to put it."
        )
    return []


def forbid_run_in_plan_mode() -> None:
    """Stop a run in the environment of a plan, before its first job.

    Raises
    ------
    CryotomeError
        It is one: nobody has looked whether the data are at hand.
    """
    if PLAN in os.environ:
        raise CryotomeError(
            f"{PLAN} is set, so nobody has looked whether the data are at hand. It is for "
            "`make plan` alone: unset it and run again."
        )


def check_writable(folder: Path) -> None:
    """Stop before planning what could not be written.

    Raises
    ------
    CryotomeError
        The user may not write to the folder, or to the place where it would be made.
    """
    place = folder if folder.exists() else folder.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise CryotomeError(
            f"You may not write to {place.resolve()} ({error.strerror}). Fix its permissions, or "
            f"let {folder} be a link to a folder of your own."
        ) from error


# what no network makes; a path that names a model is asked by its card
NO_NETWORK = {"audits", "cells", "demo", "patches", "splits", "tiles"}


def needs_network(study: Study, targets: list[str]) -> bool:
    """Whether a network computes on the way to these targets; to none: to the whole study."""
    if not any(has_network(study.model(name)) for name in study.models):
        return False
    return not targets or any(_is_made_by_network(study, Path(target)) for target in targets)


def _is_made_by_network(study: Study, path: Path) -> bool:
    if path.parts[:1] != RESULTS.parts or path.parts[1:2] in {(name,) for name in NO_NETWORK}:
        return path.parts[:1] != RESULTS.parts
    named = set(re.findall(r"model=(\w+)", str(path)))
    named |= {path.stem} if path.parts[1:2] == ("embeddings",) else set()
    return not named or any(has_network(study.model(name)) for name in named)


def print_study_summary(
    study: Study, site: Site, *, say: Callable[[str], None], targets: list[str] | None = None
) -> None:
    """Say what this study is and makes, before anything is planned.

    Parameters
    ----------
    targets
        Paths that are asked for; none: the whole study.

    Raises
    ------
    CryotomeError
        A network computes, `device` is `auto`, this machine has no GPU, and its cores would take
        more than a day.
    """
    check_writable(RESULTS)
    tables = sum(name.endswith(".csv") for name in study.products)
    made = f"makes results/index.html, {tables} tables and their figures"
    say(f"cryotome: study {study.name!r}, {describe(study)}; {made}")
    for caution in cautions(study):
        say(f"Note: {caution}")
    if study.synthetic:
        say(
            "This is the synthetic demo cohort. The papers' studies: "
            "snakemake --configfile config/studies/ganz2024.yaml, or config/studies/roth2024.yaml"
        )
        return
    if study.config["device"] != "auto" or site.gpu_jobs:
        return
    if needs_network(study, targets or []):
        took = f"the networks of study {study.name!r} take {_on_processor(study)}"
        if wants_gpu(study):
            raise CryotomeError(
                f"This machine has no GPU: {took}. Run it with --profile slurm, or on a machine "
                "with a GPU; plan only with --config device=per_job -n; --config device=cpu "
                "insists."
            )
        say(f"This machine has no GPU: {took}.")


def processor_hours(study: Study) -> float:
    """Estimate how long this machine's cores take for the networks of the whole study."""
    return study_gflop(study) / CORE_GFLOPS / (os.cpu_count() or 1) / 3600


def wants_gpu(study: Study) -> bool:
    """Whether a study is real and its networks take more than a day on this machine's cores."""
    return not study.synthetic and processor_hours(study) > HOURS


def uses_gpu(study: Study, site: Site) -> bool:
    """Whether the study's networks will run on a GPU, of this machine or another."""
    device = study.config["device"]
    return device == "per_job" or (device == "auto" and (site.gpu_jobs > 0 or wants_gpu(study)))


def _on_processor(study: Study) -> str:
    """Say how long the networks of a study take on the processor, and what that leaves out."""
    hours = processor_hours(study)
    lasts = f"{hours / 24:,.0f} days" if hours > HOURS else f"{hours:.1f} hours"
    lasts = f"{max(1, 60 * hours):.0f} min" if hours < 1 else lasts
    said = f"about {lasts} on its {os.cpu_count()} cores (at {CORE_GFLOPS} GFLOP/s each)"
    unknown = [name for name in study.datasets if not sum(cells_of(study, name).values())]
    if unknown:
        said += f", without the cells of {', '.join(unknown)}: no `expect:` in its card"
    return said
