"""How to read each part of the page: one sentence or two, folded away below its heading."""

READING = {
    "answer": "Where the interval leaves out 0 and p after Holm is below the level, the difference "
    "exceeds the chance of which slides were drawn. The table's last column takes each row alone, "
    "uncorrected: within the margin (equivalent) or beyond it (different).",
    "rows": "Rows that share a letter cannot be told apart; intervals that overlap do not say so, "
    "because all rows are tested on the same slides. Rank 1 is the highest AUROC; behind it is "
    "the span of ranks over redrawn slides.",
    "metrics": "AUROC, average precision and sensitivity ask for the order of scores; balanced "
    "accuracy and F1 for the calls at 0.5; Brier score and ECE whether scores are probabilities.",
    "benchmark": "Published numbers were not computed here. Compare them with the interval, not "
    "with the value.",
    "run": "Versions, weights and audit say whether another run is the same. A cell in no split "
    "enters no number of this page.",
    "history": "A moved row differs by more than the draw of slides explains. The column beside it "
    "names what was changed in between.",
    "table2": "In domain: tested on the domain that trained. Out of domain: on all others. The "
    "fall from one to the other is what a new laboratory may cost.",
    "figure1": "Higher is better; the dotted line at 0.5 is chance. Rows whose bars are far apart "
    "differ; for those whose bars touch, see the differences.",
    "figure2": "A line is a training domain, a column a test domain. The diagonal is in domain; a "
    "dark column is a domain on which everything fails.",
    "scanners": "The share says what moves AUROC most. A share of 0 whose interval is wide says "
    "that few scanners or domains were seen, not that they do not matter.",
    "ladder": "Each rung forbids one more way in which test cells resemble training cells. A row "
    "that falls had learned from that resemblance.",
    "external": "The same models on cells of another dataset. A fall says how far numbers of the "
    "own dataset carry.",
    "robustness": "Near 1, cells lie near cells of their class; near 0, near cells of their slide "
    "or scanner. Chance is the same index of shuffled embeddings.",
    "raters": "A row to the right of a rater agrees with the others more than that rater does. "
    "No row can pass the ceiling, which is the raters' own disagreement.",
    "differences": "Bars left of 0 are rows that do better than the reference. Inside the band a "
    "difference does not matter, by the margin of the study.",
    "learning": "The share at which one row reaches another says how many labels the other row "
    "saves.",
    "pathologist": "Reliability on the diagonal: of cells with score 0.8, 80 of 100 are positive. "
    "Counts above 0 in Bland-Altman plots are too many mitoses.",
    "recalibration": "A curve that falls steeply needs few labels of the new place. AUROC stays, "
    "because recalibration keeps the order of scores.",
    "atlas": "Choose a cell for its patch, its scores and its neighbours. Confident errors that a "
    "rater shares are often questions of the label, not of the model.",
    "context": "A curve that rises to the right gains from the surroundings of a cell. Smaller "
    "crops are enlarged, so that they are blurred as well.",
    "cost": "Up and to the left is better: more AUROC for fewer hours. A triangle is a lower "
    "bound, for some jobs left no record.",
    "colorectal": "Patches are told into tissue classes, patients into outcomes. Few patients make "
    "wide intervals: read these before the values.",
    "attention": "Yellow tiles have the most attention of their slide. The picture says where a "
    "model looked, not why; look at the ten tiles below it before you believe a pattern.",
    "table1": "Larger networks cost more for each patch. What was counted here may differ from "
    "what is published, where heads or inputs differ.",
    "published": "Agrees: the published value lies in the measured interval. Not comparable: data, "
    "weights or recipe are others.",
}
