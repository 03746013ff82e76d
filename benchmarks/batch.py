"""How far an embedding alone is from the same in a batch: the rounding that `embed` lets pass.

The largest relative distance of patches of AMi-Br embedded one by one and three at once from those
of sixteen at once, by precision; and with batch normalisation that trains. Decision 015 has the
numbers.

    python benchmarks/batch.py --data ../shared/data
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import load_card
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.inference import PRECISIONS
from cryotome.encoders.transforms import transform_patches
from cryotome.study.geometry import Geometry
from cryotome.study.variants import with_random_weights

SEEN = {"vit_tiny_random": 224, "kaiko_vits16": 224, "dinov2_vits14_random": 224}
SEEN |= {"resnet10t_random": 64, "resnet50_imagenet": 96, "swin_base_in22k": 224}
SEEN |= {"efficientnet_lite0": 224}


def farthest(found: Tensor, due: Tensor) -> float:
    """Return the largest relative distance of rows (n, dim)."""
    return ((found - due).norm(dim=1) / due.norm(dim=1)).max().item()


def measure(name: str, side: int, images: Tensor) -> None:
    """Print the distances of one model."""
    card = load_card(ROOT / "config", "models", name)
    if not {"random", "package"} & set(card["weights"]):
        card = with_random_weights(card, name)
    encoder, _ = build_encoder(card, name, Path("nowhere"), Geometry(side))
    encoder.to(memory_format=torch.channels_last)
    x = transform_patches(images, Geometry(128, "fit", [side, side], "bicubic"))
    said = []
    for precision in ("fp32", *PRECISIONS):
        lower = PRECISIONS.get(precision, torch.bfloat16)
        with torch.inference_mode(), torch.autocast("cpu", lower, enabled=precision in PRECISIONS):
            due = encoder(x).float()
            parts = [torch.cat([encoder(part).float() for part in x.split(n)]) for n in (1, 3)]
        said.append(f"{precision} {max(farthest(part, due) for part in parts):.1e}")
    encoder.train()
    with torch.inference_mode():
        said.append(f"training {farthest(encoder(x[:3]), encoder(x)[:3]):.2f}")
    print(f"{name}, {side} px: {', '.join(said)}", flush=True)


def main() -> None:
    """Read sixteen patches and measure every model on them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that has amibr")
    paths = sorted(parser.parse_args().data.glob("amibr/*/*.png"))[:16]
    images = torch.stack([decode_image(str(path), ImageReadMode.RGB) for path in paths])
    torch.set_num_threads(1)
    for name, side in SEEN.items():
        measure(name, side, images)


if __name__ == "__main__":
    main()
