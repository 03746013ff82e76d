import numpy as np
import pandas as pd
import pytest
import torch
from tests.learners.dinov2.test_tiles import write

from cryotome.core.errors import SplitError, StoreError
from cryotome.data.patches import read_patches
from cryotome.learners.dinov2.images import read_images

CPU = torch.device("cpu")


def test_of_a_patch_store_the_centre_is_seen(store, cohort):
    images = read_images([store], [cohort / "cells.csv"], [], CPU, 1)
    pixels, ids, stamps = read_patches(store, cells=cohort / "cells.csv")
    edge = (pixels.shape[1] - stamps["seen"]) // 2
    assert images.side == stamps["seen"]
    assert np.array_equal(images.loader.pixels, pixels[:, edge:-edge, edge:-edge])
    assert images.rows.tolist() == list(range(48))
    label = pd.read_csv(cohort / "cells.csv").set_index("id").loc[ids, "label"]
    assert images.label.tolist() == label.tolist()
    assert images.about["patches_sha256"] == stamps["patches_sha256"]


def test_without_cells_there_are_no_labels(store):
    assert read_images([store], [], [], CPU, 1).label is None


@pytest.mark.parametrize("prefix", ["", "d:"])
def test_a_split_leaves_its_training_cells(store, cohort, tmp_path, prefix):
    """A split of two datasets names the dataset of each cell."""
    roles = {
        "id": [f"{prefix}{at}" for at in (3, 5, 7)] + ["other:9"],
        "role": ["train", "test", "train", "train"],
    }
    pd.DataFrame(roles).to_csv(tmp_path / "split.csv", index=False)
    images = read_images([store], [cohort / "cells.csv"], [tmp_path / "split.csv"], CPU, 1)
    ids = read_patches(store, cells=cohort / "cells.csv")[1]
    assert sorted(ids[images.rows]) == [3, 7]
    assert len(images.label) == 2


def test_a_split_of_other_cells_is_refused(store, cohort, tmp_path):
    pd.DataFrame({"id": ["other:1"], "role": ["train"]}).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(SplitError, match="has no image of these stores in the role 'train'"):
        read_images([store], [cohort / "cells.csv"], [tmp_path / "s.csv"], CPU, 1)


def test_a_store_of_other_cells_is_refused(store, cohort, tmp_path):
    (tmp_path / "cells.csv").write_text(
        (cohort / "cells.csv").read_text(encoding="utf-8") + "\n", encoding="utf-8"
    )
    with pytest.raises(StoreError, match="was cut from another"):
        read_images([store], [tmp_path / "cells.csv"], [], CPU, 1)


def test_tiles_have_no_labels(tmp_path):
    stores = [write(tmp_path / f"{name}.h5", [10, 20]) for name in "ab"]
    images = read_images(stores, [], [], CPU, 1)
    assert images.label is None
    assert images.side == 32
    assert images.rows.tolist() == [0, 1, 2, 3]


def test_patch_stores_and_tiles_are_not_mixed(store, tmp_path):
    tiles = write(tmp_path / "a.h5", [10])
    with pytest.raises(StoreError, match="2 stores are given, and 1 of them have no tiles, first"):
        read_images([tiles, store], [], [], CPU, 1)
