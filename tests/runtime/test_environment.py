"""A job's caches are its own, and it has no network and no token."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from cryotome.core.errors import CryotomeError
from cryotome.runtime.environment import CACHES, OFFLINE, confine, confined, private_folder


@pytest.fixture
def home(tmp_path):
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_every_cache_is_a_folder_that_this_user_alone_can_use(home, tmp_path):
    confine(home)
    for name in CACHES:
        folder = Path(home[name])
        assert folder.is_relative_to(tmp_path / "cache" / "cryotome"), name
        assert folder.stat().st_mode & 0o7777 == 0o700, name
    confine(home)  # a job inherits what its parent made


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_cache_that_others_may_write_to_is_refused(home, tmp_path, mode):
    planted = tmp_path / "planted"
    planted.mkdir()
    planted.chmod(mode)
    for name in CACHES:
        with pytest.raises(
            CryotomeError, match=f"planted is not a folder .* mode {mode:o}.*executed"
        ):
            confine(home | {name: str(planted)})
    with pytest.raises(CryotomeError, match="set CRYOTOME_CACHE_DIR to another folder"):
        confine({"CRYOTOME_CACHE_DIR": str(planted)})


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_cache_that_another_user_made_first_is_refused(home, tmp_path):
    planted = tmp_path / "cache" / "cryotome" / "torchinductor"
    planted.mkdir(mode=0o700, parents=True)
    os.chown(planted, 1234, 1234)
    with pytest.raises(CryotomeError, match="torchinductor .* belongs to user 1234"):
        confine(home)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "cache")
    os.chown(link, 1234, 1234, follow_symlinks=False)
    with pytest.raises(CryotomeError, match="link is not a folder that only you"):
        private_folder(link)


def test_a_folder_that_anyone_may_rename_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    private_folder(tmp_path / "open" / "mine")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(CryotomeError, match="mine is not a folder that only you can write to"):
        private_folder(tmp_path / "open" / "mine")
    (tmp_path / "open").chmod(0o1777)  # as /tmp
    private_folder(tmp_path / "open" / "mine")


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "cryotome").write_text("", encoding="utf-8")
    with pytest.raises(CryotomeError, match="is not a folder"):
        private_folder(tmp_path / "cryotome")


def test_where_there_is_no_home_the_caches_have_a_name_that_nobody_can_guess(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    environ = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    confine(environ)
    folder = Path(environ["TORCHINDUCTOR_CACHE_DIR"])
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert folder.parent.name.startswith("cryotome-")


def test_a_job_has_no_network_and_no_token_and_the_process_gets_them_back(home, monkeypatch):
    for name, value in (home | {"HF_TOKEN": "hf_SECRETsecret17", "HF_HUB_OFFLINE": "0"}).items():
        monkeypatch.setenv(name, value)
    with confined():
        assert "HF_TOKEN" not in os.environ
        assert {name: os.environ[name] for name in OFFLINE} == OFFLINE
    assert os.environ["HF_TOKEN"] == "hf_SECRETsecret17"
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert "TRITON_CACHE_DIR" not in os.environ


SCRIPT = """
import json, os
from cryotome.runtime.job import run_script

def main() -> None:
    from huggingface_hub import constants
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    print(json.dumps([cache_dir(), constants.HF_HUB_OFFLINE, sorted(os.environ)]))

run_script(main)
"""


def test_what_torch_compiles_lies_in_the_jobs_own_folder(home, tmp_path):
    """By default it lies below the temporary folder, under the name of the user."""
    environ = os.environ | home | {"TMPDIR": str(tmp_path), "HF_TOKEN": "hf_SECRETsecret17"}
    environ = {name: value for name, value in environ.items() if name not in CACHES}
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        check=True,
        env=environ | {"PYTHONPATH": str(ROOT / "workflow")},
        encoding="utf-8",
    ).stdout
    folder, offline, names = json.loads(said)
    assert folder == str(tmp_path / "cache" / "cryotome" / "torchinductor")
    assert offline
    assert "HF_TOKEN" not in names
