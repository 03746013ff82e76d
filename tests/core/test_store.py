import errno
import os
import random
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import ROOT

from cryotome.core.errors import StoreError
from cryotome.core.store import (
    EMBEDDINGS,
    PATCHES,
    VERSION,
    check_self_contained,
    finalise_store,
    provenance,
    read_ids,
    read_rows,
)
from cryotome.runtime.resume import resumable_store


def test_a_passport_is_plain(store):
    stamps = provenance(store, PATCHES)
    assert stamps["seen"] == 32
    assert type(stamps["seen"]) is int


def test_foreign_stores_are_refused_by_name(store):
    with pytest.raises(
        StoreError,
        match=r"patches.h5 has format 'cryotome patches', version 2, not 'other', version 2",
    ):
        provenance(store, "other")


def test_half_written_stores_are_refused_by_name(store, tmp_path):
    (tmp_path / "half.h5").write_bytes(store.read_bytes()[:1000])
    with pytest.raises(
        StoreError, match=r"half.h5 is not a readable HDF5 file.*Delete it and rerun"
    ):
        provenance(tmp_path / "half.h5", PATCHES)


def test_stores_without_a_passport_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"] = [1.0]
    with pytest.raises(StoreError, match="has format None"):
        provenance(tmp_path / "x.h5", PATCHES)


NUMBERS = np.arange(12, dtype="f4").reshape(4, 3)


@pytest.fixture
def small(tmp_path):
    about = {"format": EMBEDDINGS, "version": VERSION, "card": '{"dim": 3}', "model": "uni"}
    begun = resumable_store(
        tmp_path / "partial", "embedding", shape=(4, 3), dtype="f4", ids=np.arange(4), passport={}
    )
    with begun as store:
        store.put(2, NUMBERS[2:])
        store.put(0, NUMBERS[:2])
        store.finish(tmp_path / "e.h5", about)
    return tmp_path / "e.h5"


def whole(path):
    return (
        provenance(path, EMBEDDINGS),
        read_rows(path, "embedding").tolist(),
        read_ids(path).tolist(),
    )


def test_no_bit_of_a_store_flips_unseen(small):
    """A bit of every eleventh byte: the store is refused by name, or gives what was written."""
    content, due, rng = small.read_bytes(), whole(small), random.Random(0)
    assert due[1] == NUMBERS.tolist()
    refused = []
    for place in range(0, len(content), 11):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        small.write_bytes(flipped)
        try:
            assert whole(small) == due, place
        except StoreError as error:
            refused.append(str(error))
    assert all("e.h5" in said and "Delete it and rerun" in said for said in refused)
    assert len(refused) > 30


def test_a_store_that_was_never_finished_is_no_store(tmp_path):
    begun = resumable_store(
        tmp_path / "partial", "embedding", shape=(4, 3), dtype="f4", ids=np.arange(4), passport={}
    )
    with begun as store:
        store.put(0, NUMBERS[:2])
        store.finish(tmp_path / "e.h5", {"format": EMBEDDINGS, "version": VERSION})
    assert (read_rows(tmp_path / "e.h5", "embedding", slice(0, 2)) == NUMBERS[:2]).all()
    with pytest.raises(StoreError, match=r"the bytes of 2 cells .* first of cell 2"):
        read_rows(tmp_path / "e.h5", "embedding")


def test_arrays_that_would_not_lie_in_the_file_are_refused_before_they_cost_memory(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("embedding", (10**7, 10**5), "f4", chunks=(1, 10**5))
        file["id"], file["crc32"] = np.arange(3), np.zeros(3)
    with pytest.raises(StoreError, match="holds embedding, but not as a complete array of numbers"):
        read_rows(path, "embedding")


def test_references_and_text_are_no_numbers(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["id"], file["crc32"] = np.arange(1), np.zeros(1)
        file["embedding"] = np.array([file["id"].ref], dtype=h5py.ref_dtype)
        file["patch"] = ["text"]
    for name in ("embedding", "patch"):
        with pytest.raises(StoreError, match=f"holds {name}, but not as a complete array"):
            read_rows(tmp_path / "x.h5", name)


def test_a_seal_counts_what_the_file_holds(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["embedding"], file["id"] = NUMBERS, np.arange(4)
    finalise_store(tmp_path / "x.h5", "embedding", {"format": EMBEDDINGS, "version": VERSION})
    assert whole(tmp_path / "x.h5")[1] == NUMBERS.tolist()


def test_a_passport_may_name_thousands_of_broken_images(small):
    said = (
        provenance(small, EMBEDDINGS) | {f"more{n}": n for n in range(6)} | {"broken": "ä" * 10**5}
    )
    finalise_store(small, "embedding", said)
    assert provenance(small, EMBEDDINGS) == said


def test_text_of_variable_length_is_not_read(small):
    """A bit that flips in HDF5's heap of such texts makes it read for ever."""
    with h5py.File(small, "r+") as file:
        file.attrs["format"] = EMBEDDINGS
    with pytest.raises(StoreError, match=r"e.h5 has format None, version 2"):
        provenance(small, EMBEDDINGS)


def written(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


def external_link(file):
    file["features"] = h5py.ExternalLink("other.h5", "/secret")


def soft_link(file):
    file["features"] = h5py.SoftLink("/elsewhere")


def external_storage(file):
    file.create_dataset("features", (2, 4), "u1", external=[("/etc/passwd", 0, 8)])


def virtual(file):
    layout = h5py.VirtualLayout((2, 4), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (2, 4))
    file.create_virtual_dataset("features", layout)


def deep_down(file):
    external_storage(file.create_group("a").create_group("b"))


def unfilled(file):
    file.create_dataset("features", (700_000, 1024), "f8", chunks=(1, 1024))


def one_giant_chunk(file):
    many = {"chunks": (2**23,), "maxshape": (None,), "compression": "gzip"}
    file.create_dataset("features", (2**23,), "f8", **many)[:1] = 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (external_link, "'features' is a link, which may refer to other files"),
        (soft_link, "'features' is a link"),
        (external_storage, "/features is stored elsewhere"),
        (virtual, "/features is stored elsewhere"),
        (deep_down, "/a/b/features is stored elsewhere"),
        (
            unfilled,
            r"/features declares \(700000, 1024\), 5,734,400,000 bytes, and takes 0 in a file of",
        ),
        (one_giant_chunk, "/features declares .* takes .* in a file of"),
    ],
)
def test_a_foreign_file_reads_no_other_and_grows_no_more_than_it_may(tmp_path, make, said):
    """The first bytes of /etc/passwd would become features, 2 kB would become 5.7 GB."""
    written(tmp_path / "other.h5", lambda file: file.update({"secret": np.ones((2, 4), "f4")}))
    path = written(tmp_path / "f.h5", make)
    with pytest.raises(StoreError, match=f"f.h5: {said}"):
        check_self_contained(path)


def test_plain_arrays_pass_chunked_and_packed_too(tmp_path):
    def make(file):
        file["coords"] = np.zeros((0, 2), int)
        file.create_dataset("features", (500, 64), "f4", chunks=True, compression="gzip")
        file["features"][:] = np.random.default_rng(0).normal(size=(500, 64))
        file["again"], file["a/b"] = file["features"], np.arange(5)
        file["a/back"] = file["/"]  # a hard link to where it began

    check_self_contained(written(tmp_path / "f.h5", make))


@pytest.mark.parametrize("read", [check_self_contained, lambda path: provenance(path, "any")])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "f.h5")
    with pytest.raises(StoreError, match=r"f.h5 is not a regular file. Put the file itself there"):
        read(tmp_path / "f.h5")


def test_a_store_of_ours_follows_no_link_either(tmp_path):
    written(tmp_path / "other.h5", lambda file: file.update({"id": np.arange(3)}))
    make = lambda file: file.update({"id": h5py.ExternalLink("other.h5", "/id")})  # noqa: E731
    with pytest.raises(StoreError, match="holds no id"):
        read_ids(written(tmp_path / "f.h5", make))


NO_LOCKS = '#include <errno.h>\n#include <stdlib.h>\nint flock(int f, int o) { errno = atoi(getenv("NOLOCK")); return -1; }\n'
READ = """
import sys
from pathlib import Path
from cryotome.runtime.worker_lock import lock_folder
from cryotome.core.store import open_hdf5, read_ids, finalise_store
path = Path(sys.argv[1])
with lock_folder(path.parent / "partial"):
    with open_hdf5(path, "w") as file:
        file["id"] = file["patch"] = [3, 4]
    finalise_store(path, "patch", {})
    print(read_ids(path))
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="no compiler")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EAGAIN])
def test_stores_and_partial_work_need_no_locks(tmp_path, number):
    (tmp_path / "nolock.c").write_text(NO_LOCKS, encoding="utf-8")
    library = tmp_path / "nolock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "nolock.c"], check=True)
    away = {"LD_PRELOAD": str(library), "NOLOCK": str(number), "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "s.h5"],
        env=os.environ | away,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout == "[3 4]\n", done.stderr
    assert "cannot be locked" in done.stderr


def test_h5py_is_opened_in_one_place_alone():
    """Elsewhere it would take HDF5's lock, which many shared file systems refuse."""
    homes = [
        path.name
        for path in (ROOT / "workflow").rglob("*.py")
        if "h5py.File(" in path.read_text(encoding="utf-8")
    ]
    assert homes == ["store.py"]
