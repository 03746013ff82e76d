import os
import socket
import subprocess

import pytest

from cryotome.core.files import RunPath, atomic_write, sha256


def test_key_reads_folders_and_file_names():
    path = "a=b/predictions/d/random/view=paper-fp32/model=uni/head=probe/fraction=0.001/fold=3.csv"
    run = RunPath("d", "random", "paper-fp32", "uni", "probe", "0.001", 3)
    assert RunPath.of(path) == run
    assert run.row == "uni + probe"
    assert RunPath.of("d/s/view=v/model=m/head=h.csv") == RunPath("d", "s", "v", "m", "h")
    assert RunPath.of("d/s/fraction=1.0/fold=2.leakage.csv").fold == 2
    assert RunPath.of("x/d/s/fraction=1.0/fold=0.csv") == RunPath("d", "s", fraction="1.0", fold=0)


@pytest.mark.parametrize(
    "path", ["results/table2.csv", "d/s/fold=1.csv", "d/s/model=m/seed=1.csv", "d/s/model=m.csv"]
)
def test_a_path_without_its_fields_is_named(path):
    with pytest.raises(ValueError, match=rf"{path} is no path of results"):
        RunPath.of(path)


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a" / "b.csv"
    with pytest.raises(ZeroDivisionError), atomic_write(path) as beside:
        beside.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with atomic_write(path) as beside:
        beside.write_text("whole", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["b.csv"]


def test_an_old_file_survives_a_failed_rewrite(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), atomic_write(path):
        raise ZeroDivisionError
    assert path.read_text(encoding="utf-8") == "old"


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a")[:16] == "ba7816bf8f01cfea"


def test_what_a_killed_process_left_is_cleared_away_and_what_a_living_one_writes_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    for name in (f"{host}.{dead.pid}", f"{host}.{os.getppid()}", f"elsewhere.{dead.pid}"):
        (tmp_path / f".b.csv.{name}.part").write_text("half", encoding="utf-8")
    with atomic_write(tmp_path / "b.csv") as beside:
        beside.write_text("whole", encoding="utf-8")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(
        ["b.csv", f".b.csv.{host}.{os.getppid()}.part", f".b.csv.elsewhere.{dead.pid}.part"]
    )


def test_what_is_written_beside_a_file_follows_no_link_and_has_no_name_to_guess(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept", encoding="utf-8")
    path = tmp_path / "b.csv"
    (tmp_path / f".b.csv.{socket.gethostname()}.{os.getpid()}.part").symlink_to(precious)
    names = set()
    for _ in range(2):
        with atomic_write(path) as beside:
            assert beside.is_file()
            names.add(beside.name)
            beside.write_text("whole", encoding="utf-8")
    assert len(names) == 2
    assert (precious.read_text(encoding="utf-8"), path.read_text(encoding="utf-8")) == (
        "kept",
        "whole",
    )


def test_a_place_that_a_link_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    precious = tmp_path / "precious"
    precious.write_text("kept", encoding="utf-8")
    start = f".b.csv.{socket.gethostname()}"
    (tmp_path / f"{start}.guessed.{os.getpid()}.part").symlink_to(precious)
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "b.csv") as beside:
        beside.write_text("whole", encoding="utf-8")
    assert precious.read_text(encoding="utf-8") == "kept"
