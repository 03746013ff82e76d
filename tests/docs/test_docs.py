"""The docs are true: commands plan, generated pages are current, names exist."""

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from conftest import ROOT

from cryotome.core.cards import load_card
from cryotome.encoders.weights import candidate_paths, has_weights_file

DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCS = [ROOT / "README.md", *(page for page in PAGES if page.parent != DECISIONS)]


def commands(path) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(snakemake [^`]+)`", path.read_text(encoding="utf-8"))
    return [line for line in lines + inline if line]


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_make_command_is_a_target_and_every_target_is_listed():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.M))
    used = {line.split()[1] for path in DOCS for line in commands(path) if line.startswith("make ")}
    assert used <= targets
    assert {"demo", "test", "check", "docs", "data", "lock"} <= targets


def test_readme_and_changelog_count_the_published_encoders():
    """Files of weights that cards name, each once."""
    folder = ROOT / "config"
    cards = [load_card(folder, "models", p.stem) for p in (folder / "models").glob("*.yaml")]
    files = {str(candidate_paths(card, "any", ROOT)[1]) for card in cards if has_weights_file(card)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"[{len(files)} published encoders]" in readme
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"* {len(files)} published encoders" in changes


def test_make_alone_lists_the_targets():
    said = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    ).stdout
    for target in ("demo", "test", "check", "data"):
        assert re.search(rf"^{target} +\w+", said, re.M)


def test_every_other_command_is_python_by_hand():
    rest = {
        line
        for path in DOCS
        for line in commands(path)
        if not line.startswith(("make ", "snakemake "))
    }
    assert rest == {
        "PYTHONPATH=workflow python workflow/scripts/split_cells.py --help",  # test_scripts runs it
        "python tests/tools/accidents.py jobs --kills 100 --seed 1",
        "python tests/tools/accidents.py jobs --kills 100 --seed 2",  # test_accidents runs its parts
        "python tests/tools/accidents.py dag --kills 12 --seed 1",
        "benchmarks/gpu.sh",
        "benchmarks/gpu.sh --rehearse",  # which .ci/run does
    }
    assert "benchmarks/gpu.sh --rehearse" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "tests/tools/accidents.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    assert "{jobs,dag}" in said


def test_generated_pages_are_current():
    module = generator()
    for name, page in module.PAGES.items():
        assert (ROOT / name).read_text(encoding="utf-8") == page(), (
            f"{name} is stale: run `make docs`"
        )


def test_no_installed_package_has_a_licence_that_we_refuse():
    module = generator()
    assert module.refused(module.licences()) == {}
    assert module.refused({"a": "GPL-3.0-only"}) == {"a": "GPL-3.0-only"}
    assert module.refused({"a": "not stated"}) == {"a": "not stated"}
    assert module.refused({"a": "LGPL-2.1-only AND (BSD-3-Clause OR GPL-2.0-only)"}) == {}


def test_links_lead_somewhere():
    for path in [*DOCS, ROOT / "config" / "README.md", *DECISIONS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert "://" in link or (path.parent / link).exists(), f"{path.name}: {link}"


@pytest.mark.parametrize("index", [ROOT / "docs" / "README.md", DECISIONS / "README.md"])
def test_an_index_lists_every_page_below_it_by_its_title(index):
    text = " ".join(index.read_text(encoding="utf-8").split())
    listed = re.findall(r"\[([^]]+)\]\(([^)#]+)\)", text)
    for page in PAGES:
        inside = page.is_relative_to(index.parent) and page != index
        if inside and not (index.parent != DECISIONS and page.parent == DECISIONS):
            title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            place = page.relative_to(index.parent).as_posix()
            assert (title, place) in listed, place


def named_tests(text):
    """Return the tests that a text names, each of which must exist."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
    return named


def test_every_fault_of_the_table_has_its_test():
    text = (ROOT / "docs" / "reference" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 23
    for row in rows:
        assert named_tests(row.split(" | ")[-1]), row


def test_functions_and_tests_that_documents_name_exist():
    for path in (ROOT / "docs").rglob("*.md"):
        named_tests(path.read_text(encoding="utf-8"))
    for page in ("paper-to-code", "code-map"):
        text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
        for module, name in re.findall(r"`([\w.]+):(\w+)`", text):
            assert hasattr(importlib.import_module(f"cryotome.{module}"), name), f"{module}:{name}"


def test_every_rule_has_its_line_in_the_map_of_files():
    rules = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")
    )
    for page in (ROOT / "docs" / "reference" / "output-files.md", ROOT / "results" / "README.md"):
        for rule in re.findall(r"^rule (\w+)", rules, re.M):
            assert f"`{rule}`" in page.read_text(encoding="utf-8"), f"{page.name} lacks {rule}"


def test_the_requirements_are_exact_hashed_and_name_no_index():
    text = "".join(
        (ROOT / f"requirements{part}.txt").read_text(encoding="utf-8")
        for part in ("", "-dev", "-lite", "-uv")
    )
    packages = re.findall(r"^([A-Za-z0-9._-]+)==\S+", text, re.M)
    assert {"torch", "torchvision", "snakemake", "uv", "pytest"} <= set(packages)
    assert "--index-url" not in text
    assert "://" not in text
    for entry in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert "==" in entry.splitlines()[0]
        assert "--hash=sha256:" in entry


def test_the_head_card_that_the_docs_show_is_one(tmp_path):
    shutil.copytree(ROOT / "config" / "heads", tmp_path / "heads")
    text = (ROOT / "docs" / "guides" / "train-end-to-end.md").read_text(encoding="utf-8")
    (card,) = re.findall(r"```yaml\n# config/heads/lora_r8.yaml\n(.*?)```", text, re.S)
    (tmp_path / "heads" / "lora_r8.yaml").write_text(card, encoding="utf-8")
    shown, base = (load_card(tmp_path, "heads", name)["lora"] for name in ("lora_r8", "lora"))
    assert shown == base | {"rank": 8}


def test_messages_in_the_docs_are_those_of_the_code():
    page = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| [^|]+ \| `([^`]+)` \|", page, re.M)
    assert len(said) > 60
    code = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "cryotome").rglob("*.py")
    )
    whole = re.sub(r'"\s*\n\s*f?"', "", code)  # sentences run over several literals
    assert [text for text in said if text not in whole] == []


def test_changelog_citation_and_project_tell_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)$", changelog, re.M)[1]
    assert newest == citation["version"] == project["version"]
    assert len(changelog.splitlines()) <= 20
