import json
import os

import pytest

from cryotome.core.errors import WeightsError
from cryotome.core.files import sha256
from cryotome.encoders.weights import verify_sha256
from cryotome.encoders.weights_hash import weights_hash

CARD = {"weights": {"hub": "someone/net", "file": "w.pt"}, "dim": 2}


def put(folder, text, place="someone/net"):
    path = folder / "weights" / place / "w.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def pin(folder, card=CARD, name="net", said=None):
    say = (said if said is not None else []).append
    return weights_hash(card, name, folder / "weights", cache=folder / "m.json", log=say)["weights"]


def test_the_card_gets_the_content_of_the_file_at_hand(tmp_path):
    path = put(tmp_path, "one")
    assert pin(tmp_path) == CARD["weights"] | {"sha256": sha256(path)}
    assert CARD["weights"] == {"hub": "someone/net", "file": "w.pt"}
    put(tmp_path, "two")
    os.utime(path, ns=(1, 1))
    assert pin(tmp_path)["sha256"] == sha256(path)


def test_a_file_is_read_once_until_its_size_or_date_changes(tmp_path):
    """A file of the same size and date that holds something else is not looked into."""
    path = put(tmp_path, "one")
    before = pin(tmp_path)
    dates = path.stat().st_mtime_ns
    path.write_text("two", encoding="utf-8")
    os.utime(path, ns=(dates, dates))
    assert pin(tmp_path) == before
    os.utime(path)
    assert pin(tmp_path) != before


def test_touched_moved_or_deleted_it_is_the_same_content(tmp_path):
    path = put(tmp_path, "one")
    before = pin(tmp_path)
    os.utime(path, ns=(1, 1))
    assert pin(tmp_path) == before
    put(tmp_path, "one", place="net")  # the model's own place wins over that of the source
    path.unlink()
    assert pin(tmp_path) == before
    put(tmp_path, "one", place="net").unlink()
    assert pin(tmp_path) == before
    (tmp_path / "m.json").write_text(
        '{"net"', encoding="utf-8"
    )  # torn: nothing is known of a file that is gone
    assert "sha256" not in pin(tmp_path)


def test_cards_of_one_file_hash_it_once(tmp_path, monkeypatch):
    path, read = put(tmp_path, "one"), []
    monkeypatch.setattr(
        "cryotome.encoders.weights_hash.sha256", lambda file: read.append(file) or sha256(file)
    )
    pins = [pin(tmp_path, name=name) for name in ("net", "net_mean", "net_class", "net")]
    assert read == [path]
    assert pins[0] == pins[1] == pins[2] == pins[3]
    assert sorted(json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))) == [
        "net",
        "net_class",
        "net_mean",
    ]


def test_cards_that_need_no_file_or_know_its_content_are_left_alone(tmp_path):
    for weights in ({"random": 0}, "none", CARD["weights"] | {"sha256": "0" * 64}):
        assert pin(tmp_path, {"weights": weights}) == weights
    assert not (tmp_path / "m.json").exists()


def test_large_files_are_said_before_they_are_hashed(tmp_path, monkeypatch):
    path, said = put(tmp_path, "twelve bytes"), []
    pin(tmp_path, said=said)
    assert said == []
    monkeypatch.setattr("cryotome.encoders.weights_hash.LARGE_FILE", 11)
    os.utime(path, ns=(1, 1))
    pin(tmp_path, said=said)
    pin(tmp_path, said=said)
    assert said == [f"Hashing {path} (0.0 GB), once."]


def test_a_file_that_is_replaced_after_planning_is_refused(tmp_path):
    path = put(tmp_path, "one")
    planned = CARD | {"weights": pin(tmp_path)}
    assert verify_sha256(path, planned) == planned["weights"]["sha256"]
    put(tmp_path, "two")
    with pytest.raises(WeightsError, match="If it was replaced while the workflow ran, run it"):
        verify_sha256(path, planned)
