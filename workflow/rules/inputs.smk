"""
What rules take in, from wildcards to paths: weights, slides, bags, splits, predictions, tissue.
"""

from cryotome.data.demo.cohorts import COHORTS, cohort_slides
from cryotome.data.slides.slide_list import bag_source
from cryotome.data.slides import slide_list
from cryotome.encoders.weights_hash import weights_hash
from cryotome.study.rule_inputs import class_lists, own_embeddings, required_table, with_external
from cryotome.study.schemes import strictest_scheme
from cryotome.study.site import annotation_file, require_images, training_list

# schemes with rules of their own; this goes before those of cells
OF_PATIENTS = "patient_folds(_histobistro)?"
OF_CELLS = rf"(?!{OF_PATIENTS}(?![a-z0-9_]))"
PREDICTIONS = "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv"
SCORES = "results/scores/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}.csv"
ROW_FACTS = {"facts": lambda w: asdict(row_facts(STUDY))}  # plain: Snakemake compares params
# how often our intervals cover in simulated studies
CALIBRATION = os.path.relpath(BASE / "config/calibration.csv")
PUBLISHED = [os.path.relpath(file) for file in sorted((BASE / "config/published").glob("*.csv"))]


def finetuned_weights(model):
    """Return the weights of a model that is finetuned here, or the folder of its checkpoints."""
    weights = STUDY.model(model)["weights"]
    kind = "" if "iteration" in weights else ".pt"
    return [f"results/encoders/{weights['finetune']}{kind}"] if "finetune" in weights else []


@functools.cache
def encoder_card(model):
    """Return what decides a model's embeddings: its card, and the content of its weights file."""
    card = STUDY.model(model)
    known = {"cache": Path("results/weights.json"), "log": logger.info}
    for path in finetuned_weights(model):
        iteration = card["weights"].get("iteration")
        file = os.path.join(path, f"{iteration}.pt") if iteration else path
        return without_notes(card | {"weights": card["weights"] | {"file": file}})
    return without_notes(weights_hash(card, model, SITE.weights_dir, **known))


slide_files, labelled_slides = (
    functools.cache(functools.partial(found, STUDY, SITE))
    for found in (slide_list.slide_files, slide_list.labelled_slides)
)


@functools.cache
def bag_sources(dataset, view, model):
    """Return the bags of a cohort and its external ones, by cohort: ours or a user's."""
    ours = f"results/bags/{{}}/{view}/{model}"
    return {
        name: bag_source(STUDY, SITE, (name, model), labelled_slides(name), ours.format(name))
        for name in with_external(STUDY, dataset)
    }


def dataset_card(keys):
    """Return a function: what decides a step, the `keys` of its dataset's card."""
    return lambda w: without_notes(STUDY.dataset(w.dataset), *keys.split())


def checks_of_precision(w, *datasets):
    """Return the checks of stores in lower precision; a new check alone refits nothing."""
    lower = STUDY.is_reduced_precision(w.model, w.view)
    files = [f"results/embeddings/{name}/{w.view}/{w.model}.parity.csv" for name in datasets]
    return ancient(files if lower else [])


def both_sets(pattern):
    """Return an input function: a pattern for the training set and for the test set."""
    return lambda w: [
        pattern.format(**{**w, "dataset": name}) for name in (w.dataset, COLORECTAL.test)
    ]


def finetuning_inputs(w):
    """Return the patches or tiles of a finetuning, the table that describes them, and its split.

    The split is that of fold 0, where the card sees its training part alone; then a cohort of
    slides needs the table of its patients too.
    """
    card = STUDY.finetuning(w.finetune)
    dataset, of_folds = card["dataset"], card["split"] == "train_folds"
    split = f"results/splits/{dataset}/{{}}/fraction=1.0/fold=0.csv"
    if STUDY.dataset(dataset)["reader"] != "slides":
        patches = [f"results/patches/{dataset}.h5"]
        return patches, [f"results/cells/{dataset}.csv"], [split.format("slide_grouped")] * of_folds
    tiles = [f"results/tiles/{dataset}/finetune/{slide}.h5" for slide in slide_files(dataset)]
    patients = [f"results/cohorts/{dataset}.slides.csv"]
    return tiles, patients * of_folds, [split.format("patient_folds")] * of_folds


def all_folds_of_scheme(pattern):
    """Return an input function: a pattern for every fraction and fold of the job's row."""
    return lambda w: [
        pattern.format(**w, fraction=fraction, fold=fold)
        for fraction in STUDY.training_fractions(w.scheme, w.head)
        for fold in STUDY.folds
    ]


def all_runs(blocks, pattern, fractions=STUDY.training_fractions):
    """Return a pattern for every row, fraction and fold of these (dataset, scheme) pairs."""
    # `expand` takes ten times as long, which large studies notice
    return sorted(
        {
            pattern.format(dataset=dataset, scheme=scheme, row=row, fraction=fraction, fold=fold)
            for dataset, scheme in blocks
            for row in STUDY.rows
            for fraction in fractions(scheme, row.head)
            for fold in STUDY.folds
        }
    )


def largest_fraction(scheme, head=""):
    """Return the largest fraction of a scheme, alone; every head is run at it."""
    return [max(STUDY.training_fractions(scheme), key=float)]
