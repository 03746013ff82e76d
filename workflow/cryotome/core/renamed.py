"""Old names of keys, values and cards, each refused with its new name.

A study or card that was written for an earlier version stops with what to write instead.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryotome.core.errors import CardError

# `{schema}.{path to the old key}`, where `*` stands for any name or place in a list, to the new key
RENAMED_KEYS = {
    "*.like": "extends",
    "config.views": "view: {transform: paper, precision: fp32}",
    "config.parity": "precision_check",
    "config.precision_check.cosine": "min_cosine",
    "config.colorectal.control": "baseline",
    "dataset.classes.*.is": "id",
    "dataset.reading.key": "image_pattern",
    "dataset.reading.agree": "expected_values",
    "dataset.reading.renumber": "image_number_shift",
    "dataset.tiles.*.least_tissue": "min_tissue_fraction",
    "dataset.tiles.*.stored": "jpeg_side",
    "download.record.at": "api_url",
    "finetuning.total_iters": "schedule_iterations",
    "finetuning.stop_at": "stop_iteration",
    "finetuning.least_learning_rate": "final_learning_rate",
    "finetuning.clip": "clip_grad_norm",
    "finetuning.masks.share": "probability",
    "finetuning.crops.locals": "local_count",
    "finetuning.crops.flip_share": "flip_probability",
    "finetuning.crops.jitter_share": "jitter_probability",
    "finetuning.crops.grey_share": "grey_probability",
    "finetuning.crops.solarize_share": "solarize_probability",
    "finetuning.looks": "monitoring",
    "finetuning.monitoring.penalty": "cost_factor",
    "finetuning.monitoring.least_lead": "min_lead",
    "finetuning.monitoring.least_spread": "min_spread",
    "head.penalty": "cost_factor",
    "head.strengths": "c_grid",
    "head.sd": "target_sd",
    "head.iterations": "max_iterations",
    "head.augment.jitter_share": "jitter_probability",
    "head.augment.blur_share": "blur_probability",
    "head.augment.flip_share": "flip_probability",
    "head.augment.rotation_share": "rotation_probability",
    "model.look": "style",
    "model.printed": "published.sizes",
    "model.table1": "published.table1",
    "scheme.draw": "split_by",
}
RENAMED_VALUES = {
    "config.device": {"job": "per_job"},
    "config.colorectal.slides.scheme": {"patient_folds_code": "patient_folds_histobistro"},
    "finetuning.select": {"stop_at": "stop_iteration"},
    "model.pooler.kind": {"projection": "linear` beside `unit_length: true"},
    "scheme.split_by": {"given": "predefined"},
}
RENAMED_CARDS = {
    "models": {
        "virchow2_rest": "virchow2_registers_in_mean",
        "roth_resnet50_trunc": "resnet50_layer3",
    },
    "schemes": {"given": "predefined", "patient_folds_code": "patient_folds_histobistro"},
    "heads": {
        "probe": "linear_probe",
        "probe_permuted": "linear_probe_permuted",
        "probe_sd005": "linear_probe_sd0_05",
        "probe_sd02": "linear_probe_sd0_2",
        "probe_sd2": "linear_probe_sd2",
        "ridge_sd005": "ridge_sd0_05",
        "ridge_sd02": "ridge_sd0_2",
        "e2e": "endtoend",
        "e2e_followup": "endtoend_followup",
        "e2e_scratch": "endtoend_scratch",
        "e2e_scratch_fp32": "endtoend_scratch_fp32",
        "e2e_seed1": "endtoend_seed1",
        "e2e_seed2": "endtoend_seed2",
        "e2e_short": "endtoend_short",
        "finetune": "full_finetuning",
        "finetune_short": "full_finetuning_short",
    },
}


def found_at(content: Any, path: list[str]) -> Iterator[Any]:
    """Find what a card has at the end of a path of keys."""
    if not path:
        yield content
        return
    inner: list[Any] = []
    if isinstance(content, dict):
        inner = [value for key, value in content.items() if path[0] in ("*", key)]
    elif isinstance(content, list) and path[0] == "*":
        inner = content
    for value in inner:
        yield from found_at(value, path[1:])


def refuse_renamed(content: dict[str, Any], schema: str, path: Path | str) -> None:
    """Stop a card that has an old key or an old value.

    Raises
    ------
    CardError
        It has; the text names the new one.
    """
    for place, new in RENAMED_KEYS.items():
        of, *keys = place.split(".")
        if of in ("*", schema) and any(True for _ in found_at(content, keys)):
            raise CardError(f"{path}: `{'.'.join(keys)}` is now `{new}`. Write the new name.")
    for place, values in RENAMED_VALUES.items():
        of, *keys = place.split(".")
        for value in found_at(content, keys) if of == schema else ():
            if isinstance(value, str) and value in values:
                raise CardError(
                    f"{path}: `{'.'.join(keys)}: {value}` is now `{values[value]}`. Write the new "
                    "value."
                )


def refuse_renamed_card(kind: str, name: str, path: Path) -> None:
    """Stop where a card is asked for by its old name and there is no such file.

    Raises
    ------
    CardError
        It is; the text names the card's new name.
    """
    new = RENAMED_CARDS.get(kind, {}).get(name)
    if new and not path.exists():
        raise CardError(f"{path} does not exist: the card {name!r} is now {new!r}.")
