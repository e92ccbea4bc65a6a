"""The report's sentences and how its numbers are written."""

from collections.abc import Iterable, Sequence, Sized

import numpy as np

from scanprior.report.comparisons import SIGNIFICANT
from scanprior.report.results import Results, Row
from scanprior.statistics import PERMUTATIONS, RESAMPLES

LABELS = (
    "Scratch needs: labels at which scratch's curve, made monotone and interpolated on log labels, "
    "reaches the start's score, with 95 % of the bootstrap; the curve is through the numbers of "
    "labels at which scratch has all of the start's seeds. Below its fewest and above its most "
    "nothing is known (0 and inf in the CSV). A saving is shown where the whole interval lies "
    "above the start's own labels; these intervals are not corrected for their number."
)
CONVERGENCE = "Validation score by fine-tuning step, mean over seeds; dotted: where scratch ends."
STEPS = (
    "The step at which the validation curve, linear between its points, first reaches the score "
    "that scratch ends at, and its share of scratch's steps. A start without a step has not "
    "reached it; one that has at its first point may have before. Pretraining's steps are not "
    "counted here."
)
UNKNOWN = (
    "There is no study.json beside the results that says so; the study writes it, and running the "
    "study again repeats nothing that is done."
)
COSTS = (
    "Mean minutes of a finished cell, as cells.csv says: by the clock, on the machine that ran it, "
    "beside what else ran there. They say what was spent, not which start is faster."
)

PICTURES = (
    "Of a case: filled is the label, lines are the predictions, a row a start; the planes meet in "
    "the label's middle. What a task showed: a column a view; of a volume, its three middle planes."
)

_HEADS = {
    "low": "95 % low",
    "needs_low": "95 % low",
    "needs_high": "95 % high",
    "curve_from": "scratch's fewest",
    "curve_to": "scratch's most",
    "high": "95 % high",
    "p_holm": "p (Holm)",
    "d_z": "d_z",
    "seeds_better": "seeds better",
    "scratch_needs": "scratch needs",
    "scratch_ends_at": "scratch ends at",
    "reached_at_step": "reached at step",
    "share_of_scratch": "share of scratch's steps",
    "first_point": "first point",
    "spatial_dims": "dimensions of crops",
    "pretraining_store": "pretrained on",
    "pretraining_steps": "pretraining steps",
    "pretraining_batch_size": "batch",
    "pretraining_lr": "learning rate",
    "pretraining_crop": "crop",
    "finetuning_steps": "fine-tuning steps",
    "finetuning_batch_size": "batch",
    "finetuning_lr": "learning rate",
    "finetuning_crop": "crop",
    "pretrain_minutes": "pretraining minutes",
    "finetune_minutes": "fine-tuning minutes",
}


def listed(items: Iterable[object]) -> str:
    """a, b and c."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def head(column: str) -> str:
    """A column's name as it is shown."""
    return _HEADS.get(column, column)


def cell(column: object, value: object) -> str:
    """A value as it is shown: four digits of a score, two of what has a unit."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (int, float, np.integer, np.floating)) or np.isnan(value):
        return "not reached" if column == "reached_at_step" else "–"
    if column in ("needs_low", "needs_high"):
        return {0.0: "fewer", np.inf: "more"}.get(float(value), f"{value:.1f}")
    if isinstance(value, (int, np.integer)):
        return f"{value}"
    if column in ("scratch_needs", "saved", "reached_at_step", "d_z", "share_of_scratch"):
        return f"{value:.2f}"
    if str(column).endswith("_lr"):
        return f"{value:g}"
    if str(column).endswith("_minutes") or column == "hd95":
        return f"{value:.2f}"
    return f"{value:.4f}"


def study(results: Results) -> str:
    """What was studied, and how much of it is there."""
    planned = results.planned
    which = "planned cells" if results.ran else "cells of these starts, labels and seeds"
    counts = ", ".join(str(n) for n in results.labels)
    folds = ", a fold each" if results.folds else ""
    return (
        f"{_many(results.starts, 'start')}, {counts} labels, "
        f"{_many(results.seeds, 'seed')}{folds}, "
        f"{_many(results.cases, 'test case')}; the score is {_name(results.score)}. "
        f"{len(results.there & planned)} of {len(planned)} {which} have test scores."
    )


def _many(items: Sized, name: str) -> str:
    return f"{len(items)} {name}{'s' * (len(items) != 1)}"


def _name(score: str) -> str:
    return {"dice": "Dice", "nsd": "NSD", "kappa": "quadratic weighted kappa"}[score]


def final(results: Results) -> str:
    """Of the table of scores."""
    cases = "all folds' cases" if results.folds else "the cases"
    if results.score == "kappa":
        one, background = f"one number for {cases}", ""
    else:
        one, background = f"the mean over {cases}", " Background is never scored."
    over = one if results.folds else f"{one}, then the mean over seeds"
    return f"On the test cases, after the last step: {over}.{background}"


def label_efficiency(results: Results) -> str:
    return (
        f"{_name(results.score)} by number of labels. Bars: 95 % intervals of the two-level "
        f"bootstrap over cases and {results.networks} ({RESAMPLES} draws)."
    )


def differences(table: Sequence[Row]) -> str:
    """Of the forest plot."""
    return f"Paired differences from {table[0]['against']}, with 95 % intervals."


def tests(results: Results) -> str:
    """How comparisons were made."""
    networks = results.networks
    together = "" if results.folds else ", and its seeds change together"
    said = (
        f"Difference: start minus what it is compared with, in the same cases and {networks}, with "
        "the 95 % interval of the two-level bootstrap, widened as Student's t asks for so many "
        f"cases and {networks} (2: 6.5 times). p: paired permutation test, two-sided; a "
        f"case is the unit{together} (all permutations listed, or {PERMUTATIONS} drawn). d_z: mean "
        "over standard deviation of the differences over cases. The test asks about other cases of "
        "this kind for the networks that were trained; the interval also asks about other "
        f"{networks}, so where they disagree, believe the interval: a difference is called better "
        "or worse only where both show it."
    )
    if results.folds:
        said += (
            " No case was tested by two seeds: the folds' predictions are scored as one set; that "
            "their training cases overlap is not in the intervals."
        )
        said += " Seeds better: in how many folds the cases' share of the difference is above 0."
    if results.score == "kappa":
        said += " Of kappa the units of d_z are the jackknife's pseudo-values."
    return said


def corrected(table: Sequence[Row]) -> str:
    """How many comparisons a table holds, and whether they are too many to show anything."""
    count = sum(not np.isnan(row["p"]) for row in table)
    said = f"Holm's correction is over the {count} comparisons of this table."
    fewest = min((row["cases"] for row in table if row["cases"]), default=0)
    least = 2.0 ** (1 - fewest)  # the p of the most extreme of all permutations
    if fewest and least * count >= SIGNIFICANT:
        said += (
            f" With {fewest} cases no p can be below {least:.3g}: too few for so many comparisons "
            "to show anything."
        )
    return said
