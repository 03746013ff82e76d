import subprocess

from conftest import ROOT

from cryotome.core import step_versions
from cryotome.runtime.source import commit, versions


def test_the_commit_is_that_of_the_clone_and_says_if_it_was_changed(tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    assert commit(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "a").write_text("1", encoding="utf-8")
    git("add", "a")
    git("commit", "-qm", "a")
    assert len(commit(tmp_path)) == 40
    (tmp_path / "a").write_text("2", encoding="utf-8")
    assert commit(tmp_path).endswith("-dirty")
    assert (ROOT / "Snakefile").exists()


def test_versions_hold_packages_and_steps():
    found = versions()
    assert found["step EMBEDDINGS"] == str(step_versions.EMBEDDINGS)
    assert found["pandas"][0].isdigit() and found["cryotome"]
