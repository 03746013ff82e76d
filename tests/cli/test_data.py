from conftest import CONFIG

from cryotome.cli.data import main


def test_it_prints_where_each_dataset_comes_from(capsys):
    main("ganz2024", CONFIG)
    assert "10.5281/zenodo.6547151" in capsys.readouterr().out
