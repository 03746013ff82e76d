"""
What rules take in: tissue in patches or tiles, slides, cohorts, scores, predictions of the strictest scheme.
"""

PART = STUDY.colorectal


def brought(dataset, table):
    """Return a table that a user brings for a cohort; none where only a plan is made without it."""
    card = STUDY.dataset(dataset)
    path = below(folder_of(card, SITE.data_root), table)
    if "synthetic" in card or path.exists():
        return [str(path)]
    if PLAN in os.environ:
        return []
    raise CryotomeError(
        f"{path} does not exist, so the patients of {dataset!r} cannot be read. Put it there "
        "(docs/colorectal.md), or set `data_root` in config/site.yaml."
    )


def cohorts(dataset):
    """Return a cohort and, where it is the study's own, the external ones behind it."""
    mine = PART is not None and dataset == PART.cohort
    return [dataset, *(PART.external if mine else [])]


def bags_of(w):
    """Return the bag of every slide of a cohort and its external ones; given bags as they lie."""
    found = []
    for dataset in cohorts(w.dataset):
        folder = bag_folder(dataset, w.view, w.model)
        if w.model in STUDY.dataset(dataset).get("bags", {}):
            found += given_bags(folder, dataset)
        else:
            found += [f"{folder}/{slide}.h5" for slide in slides(dataset)]
    return found


@functools.cache
def given_bags(folder, dataset):
    """Return the bags that a user brings for the slides of a cohort."""
    return slide_list.given_bags(folder, slides(dataset), dataset)


def bag_folder(dataset, view, model):
    """Return the folder of a cohort's bags: the user's where the card names one, else ours."""
    given = STUDY.dataset(dataset).get("bags", {}).get(model)
    if given:
        return str(below(SITE.data_root, given["folder"]))
    return f"results/bags/{dataset}/{view}/{model}"


def bag_folders(w):
    """Return where the bags of each cohort lie, and what given ones must agree with, as JSON."""
    return json.dumps(
        {
            dataset: {
                "folder": bag_folder(dataset, w.view, w.model),
                "given": STUDY.given_bags(dataset, w.model),
            }
            for dataset in cohorts(w.dataset)
        }
    )


def replaces_nothing(*bags):
    """Return no input, once it is sure that no bag without our passport lies where a rule writes."""
    for bag in bags:
        slide_list.refuse_foreign(bag)
    return []


def trains_on_gpu(w):
    """Whether an aggregator asks for a GPU: not where it is a mean and a logistic regression."""
    return on_gpu(w) * (STUDY.head(w.head)["aggregator"] != "mean_pool")


def slide_file(w):
    """Return the file of a slide, or none where it is not at hand: that stops no cohort."""
    return [file for file in [slide_files(w.dataset)[w.slide]] if file]


def given(pattern):
    """Return an input function: a pattern for the training set and for the test set."""
    return lambda w: [
        pattern.format(**{**w, "dataset": dataset})
        for dataset in (w.dataset, *PART.sets[1:])
    ]


def given_classes(w):
    """Return the classes of the training and of the test set as JSON."""
    pair = (w.dataset, PART.test)
    return json.dumps(
        {name: {"classes": STUDY.dataset(name)["classes"]} for name in pair}
    )


def tissue(w):
    """Return the patches that an encoder is finetuned on: one store, or one a slide."""
    dataset = STUDY.finetuning(w.finetune)["dataset"]
    if STUDY.dataset(dataset)["reader"] != "slides":
        return [f"results/patches/{dataset}.h5"]
    return [
        f"results/tiles/{dataset}/finetune/{slide}.h5" for slide in slide_files(dataset)
    ]


def split_finetuned(w):
    """Return the split whose training part alone is seen, where a recipe says so: that of fold 0."""
    card = STUDY.finetuning(w.finetune)
    of_slides = STUDY.dataset(card["dataset"])["reader"] == "slides"
    scheme = "patient_folds" if of_slides else "slide_grouped"
    split = f"results/splits/{card['dataset']}/{scheme}/fraction=1.0/fold=0.csv"
    return [split] * (card["split"] == "train_folds")


def known_of_tissue(w):
    """Return the table that says the labels of patches, or the patients of slides."""
    dataset = STUDY.finetuning(w.finetune)["dataset"]
    if STUDY.dataset(dataset)["reader"] != "slides":
        return [f"results/cells/{dataset}.csv"]
    return [f"results/cohorts/{dataset}.slides.csv"] * bool(split_finetuned(w))


def scored(kind, models):
    """Return the score files of models on `patches` or `slides`, under every head."""
    if PART is None or not {"patches": PART.sets, "slides": PART.cohorts}[kind]:
        return []
    dataset, scheme, heads = {
        "patches": lambda: (PART.train, "given", PART.patch_heads),
        "slides": lambda: (PART.cohort, PART.scheme, PART.slide_heads),
    }[kind]()
    return [
        f"results/scores/{dataset}/{scheme}/view={PART.view}/model={model}/head={head}.csv"
        for model in models
        for head in heads
    ]


def of_rows(kind):
    """Return the score files of the rows."""
    models = PART and {"patches": PART.patch_models, "slides": PART.slide_models}[kind]
    return scored(kind, models or [])


def of_courses():
    """Return the score files of every checkpoint of Figure 2."""
    courses = PART.figure2_checkpoints if PART else {}
    return [
        path
        for kind, course in courses.items()
        for path in scored(kind, course.values())
    ]


def curve_of_patches():
    """Return what the looks on the way said of the checkpoints that are scored on patches."""
    courses = PART.figure2_checkpoints if PART else {}
    ends = [
        list(course.values())[-1]
        for kind, course in courses.items()
        if kind == "patches"
    ]
    return [
        f"results/encoders/{STUDY.model(name)['weights']['finetune']}.csv"
        for name in ends
    ]


def table_of(name):
    """Return a table of Roth et al. 2024, where the study has that part."""
    has = PART is not None and f"colorectal/{name}" in PART.products
    return [f"results/studies/{{study}}/colorectal/{name}"] * has


def unused_tiles():
    """Return the lists of every slide with its tiles, or why it has none, for people to read.

    None of a cohort whose bags are all given: nothing of it is tiled.
    """
    return [
        f"results/tiles/{dataset}/classify.csv"
        for dataset in dict.fromkeys(
            name
            for rule, models, name in (PART.embedding_requests if PART else [])
            if rule == "embed_slide" and models
        )
    ]


def whole(scheme):
    """Return the largest fraction of a scheme, alone."""
    return [max(STUDY.training_fractions(scheme), key=float)]


def judging(w):
    """Return what the atlas judges the rows by: the strictest scheme at its largest fraction."""
    schemes = strictest_scheme(STUDY.schemes(w.dataset))
    return expand(
        "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        dataset=w.dataset,
        scheme=schemes,
        row=STUDY.rows,
        fraction=max(STUDY.training_fractions(schemes[0]), key=float),
        fold=STUDY.folds,
    )
