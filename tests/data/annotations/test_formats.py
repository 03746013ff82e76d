from conftest import CONFIG
from dataset_cells import read_dataset

from cryotome.core.cards import load_card
from cryotome.data.cells import read_cells


def test_database_and_json_of_midog2021_agree(shared):
    card = load_card(CONFIG, "datasets", "midog2021") | {
        "reading": {"box": 50},
        "reader": "midog_json",
    }
    root = shared / "midog2021"
    both = [
        read_dataset("midog2021", shared),
        read_cells(root / "MIDOG.json", root, card, "midog2021"),
    ]
    places = [set(zip(c["image"], c["x"] // 1, c["y"] // 1, c["label"], strict=True)) for c in both]
    assert places[0] == places[1]
