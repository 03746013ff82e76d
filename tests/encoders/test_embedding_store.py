from contextlib import suppress

import h5py
import numpy as np
import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import finalise_store
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import (
    read_embeddings,
    rows_of_shard,
    write_embeddings,
    write_shard,
)
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.inference import InferenceRunner
from cryotome.study.geometry import Geometry


def embedder_of(store, name, folder, view="paper-fp32", **changes):
    """Return the embedder of a model for a store, its caches in a folder."""
    model = ModelView(name, load_card(CONFIG, "models", name) | changes, view)
    return embedder_of_store(store, model, ComputeSettings(folder, "cpu", 2, folder / "batches"))


def write(path, store, name="resnet10t_random", view="paper-fp32", **changes):
    folder = path.parent
    how = {"partial": folder / "partial", "shards": folder / "shards"}
    write_embeddings(path, store, embedder_of(store, name, folder, view, **changes), **how)


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
        load_card(CONFIG, "models", "resnet10t_random"),
        "resnet10t_random",
        tmp_path,
        Geometry(32),
    )
    with h5py.File(store) as file, torch.inference_mode():
        seen = torch.from_numpy(file["patch"][30:33, 4:36, 4:36]).permute(0, 3, 1, 2).float() / 255
        assert x[30:33] == pytest.approx(encoder(seen).numpy(), rel=1e-3, abs=1e-4)
    assert stamps["weights_sha256"] == weights
    assert stamps["batch"] == "256", "patches of 32 px at once on a processor"


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


@pytest.fixture
def written(store, tmp_path):
    write(tmp_path / "e.h5", store, "colour_histogram")
    return tmp_path / "e.h5"


def asked_for(path, cohort):
    return read_embeddings(
        path,
        model="colour_histogram",
        view="paper-fp32",
        cells_sha256=sha256(cohort / "cells.csv"),
    )


def spoil_nan(file):
    file["embedding"][7, 3] = np.nan


def spoil_dimension(file):
    del file["embedding"]
    file["embedding"] = np.zeros((48, 5), np.float32)


def spoil_count(file):
    del file["id"]
    file["id"] = np.arange(40)


def spoil_format(file):
    file.attrs["format"] = np.bytes_("features of another program")


def spoil_passport(file):
    for name in list(file.attrs):
        del file.attrs[name]


def spoil_array(file):
    del file["embedding"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_nan, r"e.h5 holds NaN or infinite embeddings for 1 cells, first 7"),
        (spoil_dimension, r"e.h5 holds embeddings of shape \(48, 5\), where .* say \(48, 96\)"),
        (spoil_count, r"e.h5 holds 48 rows of embedding, 48 checksums and 40 ids"),
        (spoil_format, r"e.h5 has format 'features of another program', version 2, not 'cryotome"),
        (spoil_passport, r"e.h5 has format None, version None, not 'cryotome embeddings'"),
        (spoil_array, r"e.h5 holds no embedding"),
    ],
)
def test_a_spoilt_store_is_refused_by_name_with_the_way_out(written, cohort, spoil, said):
    """Its checksums are those of what it holds: it was written so."""
    asked_for(written, cohort)
    with h5py.File(written, "r+") as file:
        spoil(file)
    if spoil not in (spoil_passport, spoil_array):
        finalise_store(written, "embedding", {})
    with pytest.raises(StoreError, match=rf"{said}.*Delete it and rerun"):
        asked_for(written, cohort)


def test_a_number_that_changed_later_is_refused_with_its_cell(written, cohort):
    with h5py.File(written, "r+") as file:
        file["embedding"][7, 3] += 1
    with pytest.raises(
        StoreError, match=r"e.h5 is damaged: the bytes of 1 cells .* of cell 7\. De"
    ):
        asked_for(written, cohort)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_store_is_refused_by_name(written, cohort, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError, match=r"e.h5 is not a readable HDF5 file.*Delete it and rerun"):
        asked_for(written, cohort)


def test_a_store_of_older_cells_is_refused_by_name(written, cohort, tmp_path):
    cells = tmp_path / "cells.csv"
    cells.write_text(
        (cohort / "cells.csv").read_text(encoding="utf-8").replace(",0\n", ",1\n", 1),
        encoding="utf-8",
    )
    with pytest.raises(StoreError, match=r"e.h5 was made for cells_sha256 .* Delete it and rerun"):
        read_embeddings(
            written, model="colour_histogram", view="paper-fp32", cells_sha256=sha256(cells)
        )


def test_rows_that_a_kill_left_are_not_embedded_again(store, cohort, tmp_path, monkeypatch):
    """The unbroken store and the one that was broken off hold the same numbers."""
    monkeypatch.setattr("cryotome.encoders.inference.CACHED_PIXELS", 8 * 32**2)  # batches of 8
    monkeypatch.setattr("cryotome.encoders.embedding_store.PATCHES_PER_READ", 16)
    write(tmp_path / "whole" / "e.h5", store)
    enqueue, made = InferenceRunner.enqueue, []

    def dying(self, patches):
        if len(made) == wanted:
            raise KeyboardInterrupt
        made.append(len(patches))
        return enqueue(self, patches)

    monkeypatch.setattr(InferenceRunner, "enqueue", dying)
    wanted = 3
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "e.h5", store)
    assert not (tmp_path / "e.h5").exists()
    wanted = 99
    write(tmp_path / "e.h5", store)
    assert 6 <= len(made) <= 7, "at most the batch in hand is computed again"
    assert set(made) == {8}
    with h5py.File(tmp_path / "e.h5") as mine, h5py.File(tmp_path / "whole" / "e.h5") as whole:
        assert (mine["embedding"][:] == whole["embedding"][:]).all()
        assert dict(mine.attrs) == dict(whole.attrs)
        assert mine.attrs["batch"] == b"8"


def test_a_store_names_every_size_of_batch_that_made_it(store, tmp_path, monkeypatch):
    """A job that was killed resumes on another machine, where another batch fits."""
    monkeypatch.setattr("cryotome.encoders.embedding_store.PATCHES_PER_READ", 16)
    enqueue, made = InferenceRunner.enqueue, []

    def dying(self, patches):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(patches))
        return enqueue(self, patches)

    for batch, how in ((16, dying), (8, enqueue)):
        monkeypatch.setattr("cryotome.encoders.inference.CACHED_PIXELS", batch * 32**2)
        monkeypatch.setattr(InferenceRunner, "enqueue", how)
        with suppress(KeyboardInterrupt):
            write(tmp_path / "e.h5", store)
    with h5py.File(tmp_path / "e.h5") as file:
        assert file.attrs["batch"] == b"8,16"


@pytest.mark.parametrize("parts", [1, 3])
def test_a_store_of_shards_is_the_store_of_one_job(store, tmp_path, monkeypatch, capsys, parts):
    monkeypatch.setattr("cryotome.encoders.inference.CACHED_PIXELS", 8 * 32**2)  # batches of 8
    write(tmp_path / "whole" / "e.h5", store)
    embedder, folder = embedder_of(store, "resnet10t_random", tmp_path), tmp_path / "shards"
    for part in range(1, parts + 1):
        shard = folder / f"{part}of{parts}.h5"
        write_shard(shard, store, embedder, part=(part, parts), partial=tmp_path / "p")
    monkeypatch.setattr(InferenceRunner, "enqueue", None)  # nothing is left to embed
    write(tmp_path / "e.h5", store)
    with h5py.File(tmp_path / "e.h5") as mine, h5py.File(tmp_path / "whole" / "e.h5") as whole:
        assert (mine["embedding"][:] == whole["embedding"][:]).all()
        assert (mine["id"][:] == whole["id"][:]).all()
        assert dict(mine.attrs) == dict(whole.attrs)
    assert list(folder.iterdir()) == []
    assert capsys.readouterr().err.count("is taken over.\n") == parts, "for `make plan`"


def test_a_shard_of_another_view_is_named_and_not_used(store, tmp_path, capsys):
    embedder = embedder_of(store, "resnet10t_random", tmp_path, "paper-bf16")
    shard = tmp_path / "shards" / "1of2.h5"
    write_shard(shard, store, embedder, part=(1, 2), partial=tmp_path / "p")
    write(tmp_path / "e.h5", store)
    assert "1of2.h5 is not used: it has another view" in capsys.readouterr().err
    assert (tmp_path / "shards" / "1of2.h5").exists()


def test_a_shard_of_other_cells_is_refused_and_order_of_ids_does_not_matter(store, tmp_path):
    """Ids need not be sorted; a shard finds its place by them."""
    with h5py.File(store) as file:
        patches, stamps = file["patch"][:], dict(file.attrs)
    mixed = tmp_path / "mixed.h5"
    with h5py.File(mixed, "w") as file:
        file["patch"], file["id"] = patches, np.roll(np.arange(48), 7)
    finalise_store(mixed, "patch", stamps)
    embedder, how = embedder_of(mixed, "colour_histogram", tmp_path), {"partial": tmp_path / "p"}
    for part in (1, 2):
        shard = tmp_path / "shards" / f"{part}of2.h5"
        write_shard(shard, mixed, embedder, part=(part, 2), **how)
    write(tmp_path / "whole.h5", mixed, "colour_histogram")
    write(tmp_path / "again" / "whole.h5", mixed, "colour_histogram")
    with h5py.File(tmp_path / "whole.h5") as one, h5py.File(tmp_path / "again/whole.h5") as other:
        assert (one["embedding"][:] == other["embedding"][:]).all()
    write_shard(tmp_path / "shards" / "1of2.h5", mixed, embedder, part=(1, 2), **how)
    with h5py.File(tmp_path / "shards" / "1of2.h5", "r+") as file:
        file["id"][3] = 5
    finalise_store(tmp_path / "shards" / "1of2.h5", "embedding", {})
    with pytest.raises(StoreError, match=r"1of2.h5 holds other cells than its store. Delete it"):
        write(tmp_path / "e.h5", mixed, "colour_histogram")


def test_more_shards_than_patches_are_refused(store, tmp_path):
    embedder = embedder_of(store, "colour_histogram", tmp_path)
    with pytest.raises(StoreError, match="48 patches make no 49 shards; ask for fewer"):
        write_shard(tmp_path / "s.h5", store, embedder, part=(1, 49), partial=tmp_path / "p")


def test_parts_cover_every_row_once_and_begin_at_steps():
    for count, parts, step in [(48, 3, 8), (3720, 4, 8), (50, 7, 64), (5, 5, 1)]:
        rows = [rows_of_shard((k + 1, parts), count, step) for k in range(parts)]
        assert [row for part in rows for row in part] == list(range(count))
        assert all(len(part) for part in rows)
    starts = [rows_of_shard((k, 4), 3720, 8).start for k in (1, 2, 3, 4)]
    assert starts == [0, 928, 1856, 2784], "multiples of eight"
    assert rows_of_shard((2, 3), 48, 8) == range(16, 32)
