import sys

from cryotome.runtime.log import log_line, logged


def test_bars_become_lines_in_the_log(tmp_path):
    with logged(tmp_path / "d.log"):
        print("1 of 2\r2 of 2", file=sys.stderr)
    assert (tmp_path / "d.log").read_text(encoding="utf-8") == "1 of 2\n2 of 2\n"


def test_where_a_view_draws_on_the_terminal_a_job_writes_to_its_log_alone(
    tmp_path, monkeypatch, capfd
):
    for path, said in ((tmp_path / "a.log", "1 of 2\n"), (tmp_path / "b.log", "")):
        with logged(path):
            log_line("1 of 2")
        assert capfd.readouterr().err == said
        assert path.read_text(encoding="utf-8") == "1 of 2\n"
        monkeypatch.setenv("CRYOTOME_LOG_ONLY", "1")
