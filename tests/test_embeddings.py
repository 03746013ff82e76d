import h5py
import numpy as np
import pytest
import torch
from conftest import CONFIG

from cryotome.cards import load_card
from cryotome.embeddings import read_embeddings, transform_patches, write_embeddings
from cryotome.encoders import build_encoder
from cryotome.errors import CardError, StoreError
from cryotome.paths import sha256


def write(path, store, name="resnet10t_random", view="paper-fp32", **changes):
    card = load_card(CONFIG, "models", name) | changes
    write_embeddings(
        path,
        store,
        card,
        model=name,
        view=view,
        weights_dir=path.parent,
        partial=path.parent / "partial",
        device="cpu",
        threads=2,
    )


def test_every_cell_has_the_embedding_of_what_the_network_sees(store, cohort, tmp_path):
    write(tmp_path / "e.h5", store)
    x, ids, stamps = read_embeddings(
        tmp_path / "e.h5",
        model="resnet10t_random",
        view="paper-fp32",
        cells_sha256=sha256(cohort / "cells.csv"),
    )
    assert x.shape == (48, 512)
    assert ids.tolist() == list(range(48))
    encoder, weights = build_encoder(
        load_card(CONFIG, "models", "resnet10t_random"), "resnet10t_random", tmp_path
    )
    with h5py.File(store) as file, torch.inference_mode():
        seen = torch.from_numpy(file["patch"][30:33, 4:36, 4:36]).permute(0, 3, 1, 2).float() / 255
        assert x[30:33] == pytest.approx(encoder(seen).numpy(), rel=1e-3, abs=1e-4)
    assert stamps["weights_sha256"] == weights


def test_stores_of_another_model_view_or_table_are_refused(store, tmp_path):
    write(tmp_path / "e.h5", store, "colour_histogram")
    for wrong in ({"model": "uni"}, {"view": "card-fp32"}, {"cells_sha256": "0"}):
        asked = {"model": "colour_histogram", "view": "paper-fp32", "cells_sha256": "0"} | wrong
        with pytest.raises(StoreError, match=r"e.h5 was made for .* Delete it and rerun"):
            read_embeddings(tmp_path / "e.h5", **asked)


def test_a_wrong_dimension_leaves_no_store(store, tmp_path):
    with pytest.raises(StoreError, match=r"gives 512 features, its card says `dim: 500`"):
        write(tmp_path / "e.h5", store, dim=500)
    assert not (tmp_path / "e.h5").exists()


def test_a_network_of_fixed_size_refuses_other_patches_before_it_is_built(store, tmp_path):
    with pytest.raises(CardError, match=r"h_optimus_0 takes patches of 224 px, not 32"):
        write(tmp_path / "e.h5", store, "h_optimus_0")


def test_nan_is_refused(store, tmp_path):
    normalise = {"mean": [float("nan")] * 3, "std": [1.0] * 3}
    with pytest.raises(
        StoreError, match="NaN or infinite features for 48 of 48 patches, first of cell 0"
    ):
        write(tmp_path / "e.h5", store, normalise=normalise)


def test_policy_paper_leaves_pixels_alone_and_card_resizes_and_crops():
    batch = torch.from_numpy(
        np.random.default_rng(0).integers(0, 255, (2, 3, 224, 224), dtype=np.uint8)
    )
    assert transform_patches(batch, None) is batch
    gigapath = load_card(CONFIG, "models", "gigapath")["transform"]
    assert transform_patches(batch, gigapath).shape == (2, 3, 224, 224)
    assert not torch.equal(transform_patches(batch, gigapath), batch)
    assert torch.equal(
        transform_patches(batch, load_card(CONFIG, "models", "uni")["transform"]), batch
    )
