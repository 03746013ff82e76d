import h5py
import pytest
from tests.encoders.test_embed_slide import COLOUR, embed, make_cohort

from cryotome.core.errors import StoreError
from cryotome.encoders.bag_store import read_bag


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("cohort"))


def test_bags_of_another_model_view_or_tiles_and_damaged_ones_are_refused(cohort, tmp_path):
    bag = embed(cohort, tmp_path)
    read_bag(bag, model=COLOUR, view="paper-fp32", tile_store=cohort / "DC-001-DX1.h5")
    with pytest.raises(StoreError, match=r"b.h5 was made for model colour_histogram, but uni is"):
        read_bag(bag, model="uni", view="paper-fp32")
    with pytest.raises(StoreError, match=r"was made for view paper-fp32, but card-fp32 is"):
        read_bag(bag, model=COLOUR, view="card-fp32")
    with pytest.raises(StoreError, match=r"was made for tiles_sha256"):
        read_bag(bag, model=COLOUR, view="paper-fp32", tile_store=cohort / "DC-004-DX2.h5")
    with h5py.File(bag, "r+") as file:
        file["coords"][0, 0] = 7
    with pytest.raises(StoreError, match=r"b.h5 is damaged: its coords are not those written"):
        read_bag(bag, model=COLOUR, view="paper-fp32")
    with h5py.File(bag, "r+") as file:
        file["features"][3, 2] = 7
    with pytest.raises(StoreError, match=r"bytes of 1 cells .* first of cell 3"):
        read_bag(bag, model=COLOUR, view="paper-fp32")
    bag.write_bytes(bag.read_bytes()[:300])
    with pytest.raises(StoreError, match=r"b.h5 is not a readable HDF5 file"):
        read_bag(bag, model=COLOUR, view="paper-fp32")
