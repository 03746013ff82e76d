from tests.study.test_study import study


def test_datasets_are_those_of_the_config_and_of_both_papers_parts():
    made = study("demo")
    assert made.datasets == ["demo_rois", "demo_slides"]
    assert set(made.datasets) < set(made.all_datasets)
    assert "demo_cohort" in made.all_datasets
    assert made.synthetic and made.rated == []
    assert made.unknown_slides == ["demo_tissue", "demo_tissue_external"]
    assert (made.name, made.view, made.folds) == ("demo", "paper-fp32", [0, 1])


def test_a_study_of_a_real_dataset_says_what_to_fetch():
    made = study("amibr")
    assert not made.synthetic
    assert "amibr" in made.downloads
