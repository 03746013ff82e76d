import pytest

from cryotome.data.downloads.receipts import Cache, VerifiedFile, stat_fingerprint, write_receipt


def test_a_receipt_is_a_table_of_one_line_a_file(tmp_path):
    held = [VerifiedFile("mine/1.png", 5, "md5:0", "md5", "fetched", "http://z/1.png")]
    write_receipt(held, tmp_path / "deep" / "mine.csv")
    assert (tmp_path / "deep" / "mine.csv").read_text(encoding="utf-8").splitlines() == [
        "file,bytes,checksum,checked,how,source",
        "mine/1.png,5,md5:0,md5,fetched,http://z/1.png",
    ]


@pytest.mark.parametrize("torn", ['["b", {"by', '["b", 2]', "\x00\x00"])
def test_a_memory_outlives_a_torn_line(tmp_path, torn):
    path = tmp_path / "m.jsonl"
    Cache(path).put("a", 1)
    with open(path, "a", encoding="utf-8") as file:
        file.write(torn)
    memory = Cache(path)
    assert memory.known == {"a": 1} | ({"b": 2} if torn.endswith("]") else {})
    memory.put("c", 3)
    memory.put("a", 4)
    assert Cache(path).known == memory.known


def test_a_question_is_asked_once_over_all_runs(tmp_path):
    asked: list[str] = []

    def ask(url: str) -> int:
        asked.append(url)
        return len(asked)

    for _ in range(2):
        assert Cache(tmp_path / "m.jsonl").cached(ask)("http://a/u") == 1
    assert asked == ["http://a/u"]


def test_a_memory_keeps_no_secret_of_an_address(tmp_path):
    path = tmp_path / "m.jsonl"
    url = "https://me:word@example.org/a?token=abcdef"
    assert Cache(path).cached(lambda asked: asked == url)(url) is True
    assert path.read_text(encoding="utf-8") == '["https://example.org/a", true]\n'


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("1", encoding="utf-8")
    before = stat_fingerprint(path)
    assert before == stat_fingerprint(path)
    path.write_text("22", encoding="utf-8")
    assert stat_fingerprint(path)["bytes"] == 2
    assert stat_fingerprint(path) != before


@pytest.mark.parametrize("odd", ["5", "null", "[[], 1]", "[" * 100_000])
def test_a_memory_passes_over_lines_that_are_none_of_its_own(tmp_path, odd):
    (tmp_path / "m.jsonl").write_text(f'{odd}\n["a", 1]\n', encoding="utf-8")
    assert Cache(tmp_path / "m.jsonl").known == {"a": 1}
