import ast

from conftest import ROOT

from cryotome.core.qualified_names import qualify, split_qualified


def test_equal_names_of_two_datasets_are_two():
    names = [*qualify("ca", ["P1", "P2"]), *qualify("cb", ["P1"])]
    assert names == ["ca:P1", "ca:P2", "cb:P1"]
    assert [split_qualified(name) for name in names] == [("ca", "P1"), ("ca", "P2"), ("cb", "P1")]


# maps by the name of a file alone, and why no two datasets meet in them
OF_ONE = {
    "report/page/audits": "fractions of one scheme of one dataset",
    "evaluation/statistics/rows": "tables of cells, each named as its dataset",
    "report/after_failure": "tables of cells, each named as its dataset",
    "scripts/clinical_summary": "tables of cells, each named as its dataset",
    "scripts/roth_figure1": "notes of finetunings, each named as its recipe",
    "report/page/page": "pictures of the page",
    "evaluation/clinical/recalibration": "tables of cells, each named as its dataset",
    "scripts/measure_robustness": "tables of cells, each named as its dataset",
    "scripts/split_variance": "tables of cells, each named as its dataset",
    "scripts/compare_raters": "tables of cells, each named as its dataset",
    "evaluation/benchmark": "tables of cells, each named as its dataset",
    "evaluation/external": "tables of cells, each named as its dataset",
    "data/shared_cells": "tables of cells and stores of patches, each named as its dataset",
    "evaluation/published": "tables of published numbers",
    "data/slides/slide_list": "invented slides of one cohort",
    "data/image_files": "files of one folder",
}


def bare(node: ast.AST) -> bool:
    """Whether an expression is the name of a file alone: path.name, path.stem, slide_name(…)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "slide_name"
    return isinstance(node, ast.Attribute) and node.attr in ("name", "stem")


def keys_of(tree: ast.AST) -> list[ast.AST]:
    """Return what maps of a module have as keys: comprehensions, and places set one by one."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.DictComp):
            found.append(node.key)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.append(node.slice)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += node.args[:1] if node.func.attr == "setdefault" else []
    return found


def test_no_map_has_a_bare_file_name_as_key_where_datasets_may_meet():
    found = set()
    for path in sorted((ROOT / "workflow").rglob("*.py")):
        if any(map(bare, keys_of(ast.parse(path.read_text(encoding="utf-8"))))):
            place = path.relative_to(ROOT / "workflow").with_suffix("").as_posix()
            found.add(place.removeprefix("cryotome/"))
    assert found == set(OF_ONE)


def test_the_test_above_sees_what_mixed_cohorts_up():
    mixed = "bags = {path.name: read(path) for path in paths}\nbags[slide_name(path.name)] = 1"
    assert [bare(key) for key in keys_of(ast.parse(mixed))] == [True, True]
    apart = "bags = {(path.parent, path.name): path for path in paths}"
    assert not any(map(bare, keys_of(ast.parse(apart))))
