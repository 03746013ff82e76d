"""A finetuning that takes a second: a transformer of two small blocks, 36 patches of colours."""

from pathlib import Path

import numpy as np
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.learners.dinov2.backbone import build_backbone
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.student_teacher import Learner
from cryotome.learners.loop.batches import BatchLoader

CPU = torch.device("cpu")
SMALL = {"patch_size": 7, "embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 28}


def base_card(**arguments):
    card = load_card(CONFIG, "models", "dinov2_tiny_random")
    return card | {"arguments": card["arguments"] | SMALL | arguments}


def finetune_card(**changes):
    card = load_card(CONFIG, "finetunings", "dinov2_tiny_demo")
    crops = card["crops"] | {"local_count": 2}
    crops |= {
        "global": {"side": 28, "scale": [0.4, 1.0]},
        "local": {"side": 14, "scale": [0.1, 0.4]},
    }
    card |= {
        "crops": crops,
        "batch": 4,
        "precision": "fp32",
        "schedule_iterations": 8,
        "stop_iteration": 8,
    }
    card |= {"evaluate_every": 2, "checkpoint_every": 4, "warmup": 2}
    card |= {"head": {"hidden": 32, "bottleneck": 16, "prototypes": 64}}
    card |= {"monitoring": card["monitoring"] | {"images": 24, "neighbours": 3, "min_lead": 0}}
    return card | changes


def small_learner(card, **arguments):
    backbone, _ = build_backbone(base_card(**arguments), "small", Path(), card)
    learner = Learner(backbone, card, torch.float32)
    learner.prepare(CPU)
    return learner


def coloured(count=36, side=28, labelled=True):
    """Patches of noise, brighter by class."""
    rng, label = np.random.default_rng(0), np.arange(count) % 3
    pixels = rng.integers(0, 120, size=(count, side, side, 3)) + 60 * label[:, None, None, None]
    loader = BatchLoader(torch.from_numpy(pixels.astype(np.uint8)), CPU)
    return TrainingImages(loader, np.arange(count), label if labelled else None, side, {})
