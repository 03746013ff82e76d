"""The source tree: docstrings, sizes, encodings, names, what rules watch."""

import ast
import re
import statistics
import subprocess
from pathlib import Path

from conftest import ROOT

HOME = ROOT / "workflow" / "cryotome"
LIBRARY = sorted(HOME.rglob("*.py"))


def name_of(path):
    """Return a module's name below `cryotome`, such as `data.splits.cells`."""
    return ".".join(path.relative_to(HOME).with_suffix("").parts)


MODULES = {name_of(path): path for path in LIBRARY if path.stem != "__init__"}


def test_every_module_has_its_test_and_its_docstring():
    for name in MODULES:
        *packages, module = name.split(".")
        assert Path(ROOT, "tests", *packages, f"test_{module}.py").exists(), name
    for path in LIBRARY:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_the_library_spells_no_results_path_but_one_home():
    for path in LIBRARY:
        spelt = re.findall(r'"results[/"]', path.read_text(encoding="utf-8"))
        assert not spelt or path.parts[-2:] == ("study", "site.py"), path


def test_public_functions_and_classes_have_docstrings():
    for path in LIBRARY:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                assert ast.get_docstring(node), f"{path.stem}.{node.name}"


FUNCTIONS = [
    node
    for path in LIBRARY
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef)
]
MANY = {"lines": 7, "draw_split": 7, "write_patches": 8}  # parameters, to be lowered to 6
LONG_FUNCTIONS: dict[str, int] = {}  # lines, to be lowered to 60


def length(function):
    return function.end_lineno - function.lineno + 1


def test_nine_functions_in_ten_have_at_most_twenty_eight_lines():
    assert statistics.quantiles(map(length, FUNCTIONS), n=10)[-1] <= 28


def test_a_function_has_at_most_six_parameters_and_sixty_lines():
    for function in FUNCTIONS:
        given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        count = len([one for one in given if one.arg not in ("self", "cls")])
        assert count <= MANY.get(function.name, 6), function.name
        assert length(function) <= LONG_FUNCTIONS.get(function.name, 60), function.name


def test_no_path_of_a_machine_and_no_registry_host_is_named():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    ).stdout.split()
    from pip._internal.models.index import PyPI

    hosts = [PyPI.netloc, PyPI.file_storage_domain]
    for name in files:
        if name.endswith((".png", ".pdf")) or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not any(host in text for host in hosts), name
        assert not re.search(r"(^|[\s\"'=])/(work|farm|home|root)/", text), name


def opens_text_in_the_locale(call):
    """Whether a call reads or writes text without its encoding; ruff finds it only where it knows the type."""
    given = {word.arg: getattr(word.value, "value", "") for word in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    of = getattr(getattr(call.func, "value", None), "id", "")
    if "encoding" in given or None in given or of in {"os", "Image", "tarfile", "zipfile"}:
        return False
    places = {"read_text": 0, "write_text": 1, "fdopen": 1}
    places["open"] = 0 if isinstance(call.func, ast.Attribute) else 1  # of the mode
    if name in ("open", "fdopen"):
        mode = [getattr(word, "value", "b") for word in call.args[places[name] :]][:1]
        return "b" not in str(given.get("mode", *mode or ["r"]))
    if name in places:
        return len(call.args) <= places[name]
    return name in ("run", "Popen", "check_output") and given.get("text") is True


def test_text_is_opened_as_utf8_whatever_the_locale():
    folders = [ROOT / name for name in ("workflow", "docs", "benchmarks", "tests")]
    for path in [path for folder in folders for path in folder.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert not opens_text_in_the_locale(node), f"{path}:{node.lineno}"


def test_model_names_stand_in_no_python():
    models = {path.stem for path in (ROOT / "config" / "models").glob("*.yaml")}
    table = HOME / "core" / "renamed.py"  # of old names and new ones
    for path in [*LIBRARY, *(ROOT / "workflow" / "scripts").glob("*.py")]:
        if path == table:
            continue
        code = ast.parse(path.read_text(encoding="utf-8"))
        strings = {
            n.value
            for n in ast.walk(code)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        assert not (models - {"colour_histogram", "slide_identity"}) & strings, path


def test_modules_have_at_most_300_lines_and_classes_200():
    for path in LIBRARY:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < 200, f"{path}: {node.name}"


def test_rule_files_and_scripts_keep_their_sizes():
    for folder, most in (("rules", 120), ("scripts", 40)):
        for path in (ROOT / "workflow" / folder).iterdir():
            if path.suffix in (".smk", ".py"):
                assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path.name


def test_cheap_rules_watch_their_own_script():
    """`library` names the script of the rule; without a step version a rule has that or no number.

    What `use rule … as … with` changes has no script of its own.
    """
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        for rule in re.split(r"^(?:use )?rule ", text, flags=re.M)[1:]:
            name, script = re.match(r"\w+", rule)[0], re.search(r"scripts/(\w+)\.py", rule)
            listed = re.findall(r'library\("(\w+)"\)', rule)
            assert listed in ([], [name]), name
            cheap = script and "recipe=" not in rule and name != "download"
            assert bool(listed) == bool(cheap) or " as " in rule.splitlines()[0], name


# words of ours that a stranger has to guess, and the plain ones
PRIVATE = {
    r"lacks|lacking": "is missing",
    r"mends?|mended|mending": "fix",
    r"(go|goes|going|gone) on with": "resume",
    r"hangs? on": "depends on",
    r"speaks? of|told of|aloud": "reports, prints",
    r"nought": "zero",
    r"paper 00[12]": "Ganz et al. 2024, Roth et al. 2024",
}


def test_no_private_word_stands_in_code_or_documents():
    files = [
        p for kind in ("py", "smk", "yaml", "rst") for p in (ROOT / "workflow").rglob(f"*.{kind}")
    ]
    files += [
        *(ROOT / "benchmarks").glob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
    ]
    files += (ROOT / "config").rglob("*.yaml")
    for path in files:
        if path.parent.name == "decisions":
            continue
        text = path.read_text(encoding="utf-8")
        for word, better in PRIVATE.items():
            found = re.search(rf"\b({word})\b", text, re.I)
            assert not found, f"{path.relative_to(ROOT)}: {found[0]!r}; write: {better}"


def test_no_rule_measures_the_client_of_a_warm_start():
    """Snakemake's `benchmark:` would: the ledger is the record of what a job took."""
    rules = [path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")]
    assert len(rules) > 10
    assert not [text for text in rules if re.search(r"^ +benchmark:", text, re.M)]
