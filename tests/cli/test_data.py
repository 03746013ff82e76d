import yaml
from conftest import CONFIG

from cryotome.cli.data import describe_required_data, main, path_status
from cryotome.study.checks import checked_study
from cryotome.study.site import resolve_site


def config(name: str, **changes: object) -> dict:
    return yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")) | changes


def test_it_prints_where_each_dataset_comes_from(capsys):
    main("ganz2024", CONFIG)
    assert "10.5281/zenodo.6547151" in capsys.readouterr().out


def test_the_shopping_list_says_what_is_there(tmp_path):
    (tmp_path / "midogpp").mkdir()
    (tmp_path / "midogpp" / "MIDOG++.json").write_text("{}", encoding="utf-8")
    settled = resolve_site(config("ganz2024", data_root=str(tmp_path)), tmp_path)
    text = describe_required_data(checked_study(config("ganz2024"), CONFIG), settled)
    assert f"have     {tmp_path}/midogpp/MIDOG++.json" in text
    assert f"MISSING  {tmp_path}/midog2022/images" in text


def test_a_folder_with_some_of_its_images_is_there_in_part(tmp_path):
    folder = tmp_path / "midog2022" / "images"
    folder.mkdir(parents=True)
    for name in ("001.tiff", "002.tiff", "._001.tiff"):
        (folder / name).touch()
    settled = resolve_site(config("ganz2024", data_root=str(tmp_path)), tmp_path)
    text = describe_required_data(checked_study(config("ganz2024"), CONFIG), settled)
    assert f"PART     {folder}: 2 of 354 images" in text


def test_an_empty_folder_is_missing(tmp_path):
    assert path_status(tmp_path, 0) == f"MISSING  {tmp_path}: it is empty"
    assert path_status(tmp_path, 2) == f"PART     {tmp_path}: 0 of 2 images"
    (tmp_path / "a.png").touch()
    assert path_status(tmp_path, 0) == f"have     {tmp_path}"
