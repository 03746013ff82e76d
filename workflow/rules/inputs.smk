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


def cohorts():
    """Return the study's cohort, and the external one where there is one."""
    return [PART.cohort, PART.external] if PART else []


def bags_of(w):
    """Return the bag of every slide of both cohorts."""
    return [
        f"results/bags/{dataset}/{w.view}/{w.model}/{slide}.h5"
        for dataset in cohorts()
        for slide in slides(dataset)
    ]


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
        for dataset in (w.dataset, PART.test)
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
    if PART is None:
        return []
    dataset, scheme, heads = {
        "patches": (PART.train, "given", PART.patch_heads),
        "slides": (PART.cohort, PART.scheme, PART.slide_heads),
    }[kind]
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
    courses = PART.courses if PART else {}
    return [
        path
        for kind, course in courses.items()
        for path in scored(kind, course.values())
    ]


def curve_of_patches():
    """Return what the looks on the way said of the checkpoints that are scored on patches."""
    courses = PART.courses if PART else {}
    ends = [
        list(course.values())[-1]
        for kind, course in courses.items()
        if kind == "patches"
    ]
    return [
        f"results/encoders/{STUDY.model(name)['weights']['finetune']}.csv"
        for name in ends
    ]


def unused_tiles():
    """Return the lists of every slide with its tiles, or why it has none, for people to read."""
    return [f"results/tiles/{dataset}/classify.csv" for dataset in cohorts()]


def whole(scheme):
    """Return the largest fraction of a scheme, alone."""
    return [max(STUDY.fractions(scheme), key=float)]


def judging(w):
    """Return what the atlas judges the rows by: the strictest scheme at its largest fraction."""
    schemes = strictest(STUDY.schemes(w.dataset))
    return expand(
        "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        dataset=w.dataset,
        scheme=schemes,
        row=STUDY.rows,
        fraction=max(STUDY.fractions(schemes[0]), key=float),
        fold=STUDY.folds,
    )
