"""A study's report: its numbers against plain NumPy, its gaps in words, its pages safe to open."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from scanprior.cli import main
from scanprior.contracts import InputError
from scanprior.curves import labels_needed
from scanprior.metrics.grading import macro_auc, quadratic_weighted_kappa
from scanprior.report import (
    Report,
    charts,
    comparisons,
    read_results,
    run_report,
    tables,
    training,
    words,
)
from scanprior.report.findings import findings
from scanprior.report.gaps import gaps
from scanprior.report.ran import Ran
from scanprior.statistics import holm, interval, mean_score, replicates
from scanprior.study.results import CELLS

COLUMNS = ["start", "labels", "seed", "part", "step", "case", "class", "metric", "value"]
EFFECT = {"scratch": 0.0, "rotation": 0.1 * np.log10(2)}
"""What a start adds to scratch's 0.5 + 0.1 log10(labels): rotation is worth twice the labels."""


def segmentation(effect=EFFECT, labels=(5, 10, 20, 40), seeds=3, cases=12, classes=("1", "2")):
    """Rows of a study with small noise; validation rows at steps 0, 50, 100."""
    rng, rows = np.random.default_rng(0), []
    of_cases = rng.normal(0, 0.05, cases)
    for start, gain in effect.items():
        for n in labels:
            for seed in range(seeds):
                level = 0.5 + 0.1 * np.log10(n) + gain + rng.normal(0, 0.0005)
                for case in range(cases):
                    for k, name in enumerate(classes):
                        value = level + of_cases[case] + 0.1 * k + rng.normal(0, 0.004)
                        test = [start, n, seed, "test", 100, f"case_{case:02}", name]
                        rows += [[*test, "dice", value], [*test, "hd95", 10 * (1 - value)]]
                for step in (0, 50, 100):
                    value = step / 100 * level
                    rows.append([start, n, seed, "validation", step, "mean", "", "dice", value])
    return pd.DataFrame(rows, columns=COLUMNS)


def test_results_may_be_packed(tmp_path):
    segmentation().to_csv(tmp_path / "results.csv", index=False)
    plain = read_results(tmp_path / "results.csv")
    segmentation().to_csv(tmp_path / "packed.csv.gz", index=False)
    packed = tmp_path / "packed.csv.gz"
    assert read_results(packed).test.equals(plain.test)
    (tmp_path / "results.csv").unlink()
    packed.rename(tmp_path / "results.csv.gz")
    assert run_report(Report(results=tmp_path))["report"]
    whole = (tmp_path / "results.csv.gz").read_bytes()
    for damaged in (whole[:-20], whole[:200] + b"\0" * 50 + whole[250:], b"none"):
        (tmp_path / "results.csv.gz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"results.csv.gz cannot be read"):
            read_results(tmp_path / "results.csv.gz")


def classification(starts=("scratch", "rpl"), labels=(10, 20), seeds=2, cases=30):
    rng, rows = np.random.default_rng(1), []
    truth = rng.integers(0, 5, cases)
    for start in starts:
        for n in labels:
            for seed in range(seeds):
                noise = 0.4 if start != "scratch" else 1.6
                for case in range(cases):
                    said = int(np.clip(np.rint(truth[case] + rng.normal(0, noise)), 0, 4))
                    p = np.full(5, 0.1)
                    p[said] = 0.6
                    test = [start, n, seed, "test", 100, f"eye_{case}", ""]
                    rows += [[*test, "truth", truth[case]], [*test, "prediction", said]]
                    rows += [[*test, f"p{k}", p[k]] for k in range(5)]
    return pd.DataFrame(rows, columns=COLUMNS)


def written(rows, tmp_path, costs=None):
    rows.to_csv(tmp_path / "results.csv", index=False)
    if costs is not None:
        costs.to_csv(tmp_path / "cells.csv", index=False)
    return tmp_path / "results.csv"


def said(results):
    return gaps(results, training.convergence_table(results))


def row(table, **wanted):
    (found,) = [r for r in table if all(r[key] == value for key, value in wanted.items())]
    return found


def picked(rows, **wanted):
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = segmentation()
    run_report(Report(results=written(rows, folder), out=folder / "out"))
    return rows, folder


def test_scores_are_plain_means(study):
    rows, folder = study
    table = pd.read_csv(folder / "out" / "scores.csv")
    assert " ".join(table.columns) == (
        "labels start steps seeds cases dice 1 dice 2 hd95 dice low high"
    )
    for found in table.to_dict("records"):
        mine = picked(rows, start=found["start"], labels=found["labels"], part="test")
        dice = mine[mine["metric"] == "dice"]
        assert found["dice"] == pytest.approx(dice["value"].mean())
        assert found["dice 2"] == pytest.approx(dice["value"][dice["class"] == "2"].mean())
        assert found["hd95"] == pytest.approx(mine["value"][mine["metric"] == "hd95"].mean())
        assert found["low"] < found["dice"] < found["high"]
        assert (found["steps"], found["seeds"], found["cases"]) == (100, 3, 12)


def test_comparisons_are_paired_by_case_and_corrected(study):
    rows, folder = study
    table = pd.read_csv(folder / "out" / "comparisons.csv")
    assert table["start"].tolist() == ["rotation"] * 4
    assert table["verdict"].tolist() == ["better"] * 4
    dice = picked(rows, part="test", metric="dice")
    for found in table.to_dict("records"):
        case = picked(dice, labels=found["labels"]).groupby(["start", "case"])["value"].mean()
        gain = (case["rotation"] - case["scratch"]).to_numpy()
        assert found["difference"] == pytest.approx(gain.mean())
        assert found["d_z"] == pytest.approx(gain.mean() / gain.std(ddof=1))
        # All of 12 cases gain: 2 of the 4096 assignments are as extreme; 4 comparisons.
        assert found["p"] == pytest.approx(2 / 4096)
        assert found["p_holm"] == pytest.approx(8 / 4096)
        assert found["low"] < 0.1 * np.log10(2) < found["high"]
        assert found["seeds_better"] == 3


def test_labels_saved_are_twice_and_nothing_is_extrapolated(study):
    _, folder = study
    table = pd.read_csv(folder / "out" / "labels_saved.csv").set_index("labels")
    for labels in (5, 10):
        found = table.loc[labels]
        assert found["scratch_needs"] == pytest.approx(2 * labels, rel=0.1)
        assert found["needs_low"] <= found["scratch_needs"] <= found["needs_high"]
        assert found["verdict"] == "saves labels"
    assert np.isnan(table.loc[40, "scratch_needs"])
    assert table.loc[40, "verdict"] == "cannot be said: above scratch at 40 labels, its most"


def test_labels_saved_cannot_always_be_said(tmp_path):
    low = read_results(written(segmentation({"scratch": 0.0, "cpc": -0.2}), tmp_path))
    for found in tables.labels_table(low, seed=0):
        assert found["verdict"] == "cannot be said: below scratch at 5 labels, its fewest"
    one = read_results(written(segmentation(labels=(5,)), tmp_path))
    (found,) = tables.labels_table(one, seed=0)
    assert found["verdict"] == "cannot be said: scratch was run at one number of labels"


@pytest.mark.slow
def test_rows_are_shown_under_their_own_heads(tmp_path):
    """The first row cannot be said, so that its columns come in another order than the next's."""
    rows = segmentation({"scratch": 0.0, "aaa": 0.0, "rotation": EFFECT["rotation"]})
    rows.loc[rows["start"] == "aaa", "seed"] += 3
    run_report(Report(results=written(rows, tmp_path), out=tmp_path))
    table = pd.read_csv(tmp_path / "labels_saved.csv")
    text = (tmp_path / "report.md").read_text().split("## Labels saved")[1]
    heads, _, *shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ][: len(table) + 2]
    assert table["verdict"][0].startswith("cannot be said")
    for line, found in zip(shown, table.to_dict("records"), strict=True):
        told = dict(zip(heads, line, strict=True))
        assert told["verdict"] == found["verdict"]
        assert told["seeds"] == ("0" if found["start"] == "aaa" else "3")
        assert told["cases"] == ("0" if found["start"] == "aaa" else "12")


def test_intervals_stay_where_scores_can_be(tmp_path):
    rows = segmentation({"scratch": 0.0, "cpc": 0.0}, labels=(5,), cases=4)
    # near the top, and two of three seeds far from each other
    dice = rows["metric"] == "dice"
    rows.loc[dice, "value"] = (0.96 + 0.02 * rows["seed"] + rows["value"] % 0.01).clip(0, 1)
    results = read_results(written(rows, tmp_path))
    for found in tables.score_table(results, seed=0):
        assert 0 <= found["low"] < found["dice"] < found["high"] <= 1


def test_steps_are_compared_in_the_seeds_of_both(tmp_path):
    """Seed 0 ends lower than the others: a start that has only it is measured against its end."""
    rows = segmentation(labels=(5,))
    curve = rows["part"] == "validation"
    rows.loc[curve & (rows["seed"] == 0), "value"] *= 0.5
    rows = rows[~((rows["start"] == "rotation") & (rows["seed"] > 0))]
    results = read_results(written(rows, tmp_path))
    steps = training.steps_table(results)
    ends = picked(rows, part="validation", step=100, seed=0).set_index("start")["value"]
    found = row(steps, start="rotation", labels=5)
    assert found["seeds"] == 1
    assert found["scratch_ends_at"] == pytest.approx(ends["scratch"])
    assert found["reached_at_step"] == pytest.approx(100 * ends["scratch"] / ends["rotation"])
    assert row(steps, start="scratch", labels=5)["seeds"] == 3


def test_steps_to_scratchs_final_score(study):
    _, folder = study
    steps = pd.read_csv(folder / "out" / "steps.csv")
    curves = pd.read_csv(folder / "out" / "convergence.csv")
    for found in steps[steps["start"] == "rotation"].to_dict("records"):
        ends = picked(curves, labels=found["labels"], step=100).set_index("start")["dice"]
        assert found["scratch_ends_at"] == pytest.approx(ends["scratch"])
        assert found["reached_at_step"] == pytest.approx(100 * ends["scratch"] / ends["rotation"])
        assert found["share_of_scratch"] == pytest.approx(found["reached_at_step"] / 100)
    assert (steps[steps["start"] == "scratch"]["share_of_scratch"] == 1).all()


def test_a_start_that_never_arrives(tmp_path):
    rows = segmentation({"scratch": 0.0, "cpc": -0.2}, labels=(5, 10))
    result = run_report(Report(results=written(rows, tmp_path)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "not reached" in text
    assert "At 5 labels no pretrained start reaches scratch's final validation score." in text
    assert "At 5 labels worse than scratch: cpc." in text
    assert result["worse"] == 2


def steps_said(tmp_path, reached):
    """What the report says of who is first; ``reached``: a start's validation scores by step."""
    rows = segmentation(dict.fromkeys(reached, 0.0), labels=(5,))
    rows = rows[rows["part"] == "test"]
    points = [
        [start, 5, seed, "validation", step, "mean", "", "dice", value]
        for start, curve in reached.items()
        for seed in range(3)
        for step, value in curve.items()
    ]
    rows = pd.concat([rows, pd.DataFrame(points, columns=COLUMNS)])
    results = read_results(written(rows, tmp_path))
    return findings([], [], training.steps_table(results))


def test_who_is_first_at_scratch_s_score(tmp_path):
    rising = {50: 0.4, 100: 0.6, 150: 0.6}
    goal = "at scratch's final validation score"
    assert steps_said(tmp_path, {"scratch": rising, "cpc": {50: 0.6, 100: 0.5, 150: 0.7}}) == [
        f"At 5 labels cpc is the first {goal}, after at most 33% of its steps of fine-tuning; "
        "scratch first is after 67%."
    ]
    soon = {50: 0.5, 100: 0.7, 150: 0.7}
    assert steps_said(tmp_path, {"scratch": rising, "cpc": soon, "rpl": soon, "voxels": soon}) == [
        f"At 5 labels cpc, rpl and voxels are the first {goal}, after 50% of its steps of "
        "fine-tuning; scratch first is after 67%."
    ]
    falling = {50: 0.7, 100: 0.6, 150: 0.6}
    assert steps_said(tmp_path, {"scratch": falling, "cpc": {50: 0.4, 100: 0.5, 150: 0.7}}) == [
        f"At 5 labels no pretrained start is {goal} before scratch, which first is after at most "
        "33% of its steps."
    ]
    assert steps_said(tmp_path, {"scratch": falling, "cpc": falling}) == [
        f"At 5 labels cpc is {goal} when scratch is, after at most 33% of its steps."
    ]
    assert steps_said(tmp_path, {"scratch": rising, "cpc": dict.fromkeys(rising, 0.1)}) == [
        f"At 5 labels no pretrained start reaches {goal.removeprefix('at ')}."
    ]
    assert steps_said(tmp_path, {"scratch": rising, "scratch-2d": soon}) == [
        "Nothing can be said: there is no start to compare with scratch."
    ]


def test_scratch_without_a_step_that_its_seeds_share(tmp_path):
    """It has no row of its own then; a start that shares a seed with it has."""
    rows = segmentation(labels=(5,), seeds=2)
    rows = rows[~((rows["start"] == "rotation") & (rows["seed"] == 1))]
    other = (rows["part"] == "validation") & (rows["seed"] == 1)
    rows.loc[other, "step"] += 1
    run_report(Report(results=written(rows, tmp_path)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "At 5 labels rotation is the first at scratch's final validation score, after" in text


def test_a_start_with_another_score_only(tmp_path):
    rows = segmentation(labels=(5, 10))
    rows.loc[rows["metric"] == "hd95", ["metric", "value"]] = ["nsd", 0.5]
    alone = (rows["start"] == "rotation") & (rows["labels"] == 5) & (rows["metric"] == "dice")
    rows = rows[~(alone & (rows["part"] == "test"))]
    assert "Without test scores at 5 labels: rotation." in said(
        read_results(written(rows, tmp_path))
    )


def test_scratch_on_slices_is_no_pretrained_start(tmp_path):
    effect = {"scratch": 0.0, "scratch-2d": 0.1, "cpc": 0.0, "scratch-long-2d": 0.0}
    rows = segmentation(effect, labels=(5, 10))
    rows.loc[rows["start"] == "scratch-long-2d", "step"] *= 4
    run_report(Report(results=written(rows, tmp_path)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "At 5 labels 0 of 1 starts are better than scratch" in text
    assert "same number of steps" not in text


def test_beyond_scratch_s_curve_its_ends_are_named(tmp_path):
    rows = segmentation({"scratch": 0.0, "cpc": 0.1 * np.log10(2)}, labels=(5, 10))
    (five, ten) = tables.labels_table(read_results(written(rows, tmp_path)), seed=0)
    assert (five["curve_from"], five["curve_to"]) == (5, 10)
    five |= {
        "needs_low": 0.0,
        "needs_high": np.inf,
        "scratch_needs": 9.0,
        "verdict": "saves labels",
    }
    assert findings([], [five], []) == [
        "cpc at 5 labels scores what scratch needs 9.0 labels for (fewer than 5 to more than 10)."
    ]
    assert ten["verdict"] == "cannot be said: above scratch at 10 labels, its most"


def test_a_column_over_fewer_cases_is_said(tmp_path):
    rows = segmentation()
    some = (rows["start"] == "rotation") & (rows["labels"] == 5) & (rows["metric"] == "hd95")
    rows.loc[some & (rows["case"] > "case_01"), "value"] = np.nan
    assert said(read_results(written(rows, tmp_path))) == [
        "hd95 is over 2 of the row's 12 cases, which have it: rotation at 5 labels."
    ]


def test_a_run_that_saw_test_cases_is_said(tmp_path):
    results = read_results(written(segmentation(), tmp_path))
    told = Ran(
        starts=("scratch", "rotation"),
        labels=(5, 10, 20, 40),
        seeds=(0, 1, 2),
        classes={},
        sentences=(),
        table=(),
        seen={"rotation": 2},
    )
    assert said(dataclasses.replace(results, ran=told)) == [
        "rotation was trained on the images of 2 of the test cases: its scores flatter it."
    ]


def test_nothing_stays_of_an_earlier_report(tmp_path):
    run_report(Report(results=written(segmentation(), tmp_path)))
    rows = segmentation({"scratch": 0.0}, labels=(5,))
    run_report(Report(results=written(rows, tmp_path)))
    left = {path.name for path in (tmp_path / "report").iterdir()}
    assert not left & {"comparisons.csv", "labels_saved.csv", "differences.png"}
    assert {"scores.csv", "report.md", "label_efficiency.png"} <= left
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "steps.csv").write_text("of somebody's own")
    written(rows, mine).rename(mine / "slices.csv")
    run_report(Report(results=mine / "slices.csv", out=mine))
    assert (mine / "slices.csv").is_file()


def test_the_newer_of_two_results_is_read(tmp_path):
    segmentation(labels=(5,)).to_csv(tmp_path / "results.csv.gz", index=False)
    segmentation(labels=(5, 10)).to_csv(tmp_path / "results.csv", index=False)
    run_report(Report(results=tmp_path))
    assert "2 starts, 5, 10 labels" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("part", ["test", "validation"])
def test_per_cent_is_refused(tmp_path, part):
    rows = segmentation()
    rows.loc[(rows["part"] == part) & (rows["metric"] == "dice"), "value"] *= 100
    with pytest.raises(InputError, match=r"results.csv holds the dice .*; write a number from 0"):
        read_results(written(rows, tmp_path))


def test_the_folder_is_whole_and_the_page_stands_alone(study):
    _, folder = study
    out = folder / "out"
    text, page = (out / "report.md").read_text(), (out / "report.html").read_text()
    assert "Nothing: every start has every cell." in text
    named = set(re.findall(r"\]\(([^)]+)\)", text)) | {"convergence.csv"}
    assert named | {"report.md", "report.html"} == {path.name for path in out.iterdir()}
    assert page.count("data:image/png;base64,") == len(list(out.glob("*.png"))) == 3
    assert not re.search(r"https?:|<script|<link|@import|src=\"(?!data:)", page)
    assert "default-src 'none'" in page


def test_nothing_is_found_where_nothing_is(tmp_path):
    rows = segmentation({"scratch": 0.0, "cpc": 0.0}, labels=(5, 10))
    result = run_report(Report(results=written(rows, tmp_path)))
    assert result["better"] == result["worse"] == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "At 5 labels 0 of 1 starts are better than scratch" in text
    assert "No start is shown to save labels within scratch's curve." in text


@pytest.mark.slow
def test_strings_from_the_data_are_escaped(tmp_path):
    bad = "<script>alert(1)</script>"
    rows = segmentation({"scratch": 0.0, '<img src="x" onerror=$y$>': 0.05, "_a|b": 0.0})
    rows["case"] = rows["case"].replace("case_00", bad)
    rows["class"] = rows["class"].replace("1", "<b>")
    rows = rows[~((rows["case"] == bad) & (rows["start"] == "scratch") & (rows["seed"] == 1))]
    costs = pd.DataFrame(
        [["scratch", 5, 1, "failed", 0, 1, "<i>why</i>"]],
        columns=[*COLUMNS[:3], "status", "pretrain_minutes", "finetune_minutes", "reason"],
    )
    run_report(Report(results=written(rows, tmp_path, costs), title="<h1>T"))
    page = (tmp_path / "report" / "report.html").read_text()
    text = (tmp_path / "report" / "report.md").read_text()
    for written_text in (page, text):
        assert "&lt;script" in written_text
        assert not re.search(r"<script|<img src=\"x|<b>|<i>|<h1>T", written_text)
    assert r"\_a\|b" in text


def test_gaps_are_said_and_never_averaged_over(tmp_path):
    rows = segmentation({"scratch": 0.0, "rotation": 0.06, "rpl": 0.0})
    rows = rows[~((rows["start"] == "rpl") & (rows["labels"] == 40))]
    rows = rows[~((rows["start"] == "rotation") & (rows["labels"] == 10) & (rows["seed"] == 2))]
    at = (rows["start"] == "rpl") & (rows["labels"] == 5) & (rows["case"] == "case_03")
    rows.loc[at & (rows["seed"] == 0) & (rows["class"] == "2"), "value"] = np.nan
    late = (rows["part"] == "validation") & (rows["start"] == "rpl") & (rows["seed"] == 1)
    rows = rows[~(late & (rows["step"] == 50) & (rows["labels"] == 5))]
    results = read_results(written(rows, tmp_path))
    assert said(results) == [
        "Without test scores at 40 labels: rpl.",
        "Without seed 2 at 10 labels: rotation; a row there is over 0 and 1, and is compared with "
        "other starts in those seeds only.",
        "rpl at 5 labels has no complete score of 1 of 12 cases (case_03): its row and its "
        "comparisons leave them out.",
        "rpl at 5 labels: the validation score at step 50 is not known for every seed and class, "
        "and left out of the convergence curve.",
        "The convergence curve is over 2 of 3 seeds at 10 labels: rotation.",
    ]
    compared = comparisons.comparison_table(results, seed=0)
    dice = picked(rows, part="test", metric="dice", labels=10)
    both = dice[dice["seed"] < 2].groupby("start")["value"].mean()
    found = row(compared, start="rotation", labels=10)
    assert found["difference"] == pytest.approx(both["rotation"] - both["scratch"])
    assert found["seeds"] == 2
    assert row(compared, start="rpl", labels=5)["cases"] == 11
    assert not [r for r in compared if r["start"] == "rpl" and r["labels"] == 40]
    scores = tables.score_table(results, seed=0)
    mine = picked(rows, start="rpl", labels=5, part="test", metric="dice")
    whole = mine[mine["case"] != "case_03"]["value"].mean()
    assert row(scores, start="rpl", labels=5)["dice"] == pytest.approx(whole)


def test_cells_without_anything_in_common(tmp_path):
    rows = segmentation(labels=(5, 10))
    rows = rows[~((rows["start"] == "scratch") & (rows["seed"] > 0))]
    rows = rows[~((rows["start"] == "rotation") & (rows["seed"] == 0))]
    run_report(Report(results=written(rows, tmp_path)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.count("cannot be said") == 5
    assert "Whether labels are saved cannot be said of any start: see Labels saved." in text
    assert "Without seed 1 and 2 at 5 labels: scratch;" in text


def test_starts_that_lack_the_same_share_a_sentence(tmp_path):
    rows = segmentation({"scratch": 0.0, "rotation": 0.06, "rpl": 0.0, "cpc": 0.0})
    short, few = rows["start"].isin(["rotation", "rpl"]), rows["labels"] == 10
    gone = rows["start"].isin(["rpl", "cpc"]) & (rows["labels"] == 40)
    rows = rows[~gone & ~(short & few & (rows["seed"] == 2))]
    assert said(read_results(written(rows, tmp_path))) == [
        "Without test scores at 40 labels: rpl and cpc.",
        "Without seed 2 at 10 labels: rotation and rpl; a row there is over 0 and 1, and is "
        "compared with other starts in those seeds only.",
        "The convergence curve is over 2 of 3 seeds at 10 labels: rotation and rpl.",
    ]


def test_unequal_budgets_one_seed_and_no_scratch_are_said(tmp_path):
    rows = segmentation({"cpc": 0.0, "rpl": 0.0}, labels=(5, 10), seeds=1)
    rows.loc[(rows["part"] == "test") & (rows["start"] == "rpl"), "step"] = 300
    results = read_results(written(rows, tmp_path))
    found = " ".join(said(results))
    assert "one seed: the intervals hold no variation between seeds" in found
    assert "There is no scratch: nothing can be compared with it." in found
    assert "At 5 labels the starts were not fine-tuned for the same number of steps" in found
    run_report(Report(results=tmp_path))
    written_out = (tmp_path / "report" / "report.md").read_text()
    assert "Nothing can be said" in written_out
    assert "2 starts, 5, 10 labels, 1 seed, 12 test cases;" in written_out


def test_scratch_long_is_a_start_and_a_baseline(tmp_path):
    rows = segmentation({"cpc": 0.05, "scratch-long": 0.02, "scratch": 0.0}, labels=(5, 10))
    rows.loc[(rows["part"] == "test") & (rows["start"] == "scratch-long"), "step"] = 300
    results = read_results(written(rows, tmp_path))
    assert results.starts == ["scratch", "scratch-long", "cpc"]
    pairs = {(r["start"], r["against"]) for r in comparisons.comparison_table(results, seed=0)}
    assert pairs == {("cpc", "scratch"), ("scratch-long", "scratch"), ("cpc", "scratch-long")}
    assert said(results) == []


def test_volumes_are_compared_with_slices_and_slices_with_scratch_on_them(tmp_path):
    effect = {"scratch": 0.0, "cpc": 0.02, "scratch-2d": -0.05, "cpc-2d": -0.01, "rpl-2d": -0.05}
    rows = segmentation(effect, labels=(5,))
    results = read_results(written(rows, tmp_path))
    found = comparisons.slices_table(results, seed=0)
    dice = picked(rows, part="test", metric="dice")
    means = dice.groupby("start")["value"].mean()
    rows_of = {(one["start"], one["against"]): one for one in found}
    assert list(rows_of) == [
        ("cpc", "cpc-2d"),
        ("cpc-2d", "scratch-2d"),
        ("rpl-2d", "scratch-2d"),
    ]
    for (start, against), one in rows_of.items():
        assert one["difference"] == pytest.approx(means[start] - means[against])
    p = np.array([one["p"] for one in found])
    np.testing.assert_allclose([one["p_holm"] for one in found], holm(p))
    assert rows_of["cpc", "cpc-2d"]["verdict"] == "better"
    assert rows_of["rpl-2d", "scratch-2d"]["verdict"] == "no difference shown"
    run_report(Report(results=tmp_path))
    page = (tmp_path / "report" / "report.md").read_text()
    assert "## Volumes and slices" in page
    assert "over the 3 comparisons of this table" in page
    assert len(pd.read_csv(tmp_path / "report" / "slices.csv")) == 3


def test_labels_that_scratch_has_in_fewer_seeds_take_none_from_the_others(tmp_path):
    rows = segmentation(seeds=4)
    few = (rows["labels"] == 40) & (rows["seed"] > 1)
    results = read_results(written(rows[~few], tmp_path))
    saved = {one["labels"]: one for one in tables.labels_table(results, seed=0)}
    assert {n: one["seeds"] for n, one in saved.items()} == {5: 4, 10: 4, 20: 4, 40: 2}
    assert saved[5]["verdict"] == "saves labels"
    assert "above scratch at 20 labels, its most" in saved[20]["verdict"]  # not at 40
    assert "above scratch at 40 labels, its most" in saved[40]["verdict"]


def test_too_few_cases_are_said_of_each_table(tmp_path):
    effect = {"scratch": 0.0, "scratch-2d": -0.1, "cpc-2d": -0.05, "rpl-2d": -0.05}
    effect |= {"cpc": 0.1, "rpl": 0.1}
    results = read_results(written(segmentation(effect, labels=(5,), cases=7), tmp_path))
    few = "With 7 cases no p can be below 0.0156"
    four = comparisons.slices_table(results, seed=0)
    assert few in words.corrected(four)
    assert few not in words.corrected(four[:3])


def test_a_start_on_slices_has_its_counterpart_s_colour_dashed():
    look = charts.styles(["scratch", "scratch-2d", "cpc", "cpc-2d"])
    for name, line in (("scratch", "-"), ("cpc", "-")):
        assert look[name].line == line
        assert look[f"{name}-2d"] == look[name]._replace(line="--")
    assert look["cpc"].colour != look["scratch"].colour


def test_without_slices_there_is_no_table_of_them(tmp_path):
    written(segmentation(labels=(5,)), tmp_path)
    run_report(Report(results=tmp_path))
    assert "Volumes and slices" not in (tmp_path / "report" / "report.md").read_text()
    assert not (tmp_path / "report" / "slices.csv").exists()


def test_regions_keep_their_names_and_order(tmp_path):
    rows = segmentation(labels=(5,), classes=("ET", "WT", "TC"))
    results = read_results(written(rows, tmp_path))
    (first, _) = tables.score_table(results, seed=0)
    assert [k for k in first if k.startswith("dice ")] == ["dice ET", "dice WT", "dice TC"]
    numbers = segmentation(labels=(5,), classes=("10", "2"))
    assert read_results(written(numbers, tmp_path)).classes == ["2", "10"]


def ran(tmp_path, **more):
    """A study.json of :func:`segmentation`'s rows, and of one start more."""
    told = {
        "scanprior": ["0.1.0"],
        "devices": ["cpu"],
        "encoder": {"name": "small", "channels": {"3D": [16, 32]}},
        "task": "segmentation",
        "labels": [5, 10],
        "seeds": [0, 1, 2],
        "folds": 0,
        "pretrain_each_seed": False,
        "validation": [4],
        "test": [12],
        "stores": [],
        "classes": {"1": "Anterior", "2": "Posterior"},
        "starts": [{"start": "scratch"}, {"start": "rotation", "pretraining_lr": 1e-5}],
    }
    (tmp_path / "study.json").write_text(json.dumps({"ran": told | more}))


def test_classes_have_the_names_that_the_study_knows(tmp_path):
    rows = segmentation(labels=(5, 10))
    path = written(rows, tmp_path)
    ran(tmp_path)
    run_report(Report(results=path, out=tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert [c for c in table if c.startswith("dice ")] == ["dice Anterior", "dice Posterior"]
    mine = picked(rows, start="scratch", labels=5, metric="dice", part="test")
    posterior = mine[mine["class"] == "2"]["value"].mean()
    assert table["dice Posterior"][0] == pytest.approx(posterior)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Label values: 1 Anterior, 2 Posterior." in text
    assert "| 1e-05 |" in text
    assert "pretrained on" not in text
    one = {"channels": 1, "spacing": [1.0, 2.5], "unit": "mm", "data": "abc", "volumes": 7}
    names = ({"name": "a", "source": ""}, {"name": "b", "source": "Task04"})
    ran(
        tmp_path,
        stores=[one | name for name in names],
        starts=[{"start": "cpc", "pretraining_store": "b"}],
    )
    found = read_results(path).ran
    assert found is not None
    held = "7 volumes of 1 channel, median spacing 1 x 2.5 mm, hash of the data abc."
    assert found.sentences[2:4] == (f"Store a: {held}", f"Store b, of Task04: {held}")
    assert found.table[0]["pretraining_store"] == "b"
    ran(tmp_path, classes={"1": "part", "2": "part"})  # columns of one name would be one
    (first, *_) = tables.score_table(read_results(path), seed=0)
    assert [k for k in first if k.startswith("dice ")] == ["dice 1", "dice 2"]


def test_missing_seeds_are_compared_in_common_and_counted(tmp_path):
    rows = segmentation({"scratch": 0.0, "rotation": 0.03}, labels=(5, 10))
    rows = rows[~((rows["start"] == "rotation") & (rows["labels"] == 10) & (rows["seed"] < 2))]
    rows = rows[~((rows["start"] == "scratch") & (rows["labels"] == 5) & (rows["seed"] == 2))]
    path = written(rows, tmp_path)
    assert "9 of 12 cells of these starts, labels and seeds" in words.study(read_results(path))
    ran(tmp_path, seeds=[0, 1, 2, 3], labels=[5, 10, 20])
    results = read_results(path)
    assert "9 of 24 planned cells have test scores." in words.study(results)
    found = said(results)
    assert found[:2] == [
        "No start has test scores of the planned labels 20.",
        "No start has test scores of the planned seeds 3.",
    ]
    compared = comparisons.comparison_table(results, seed=0)
    dice = picked(rows, part="test", metric="dice")
    for n, seeds in ((5, (0, 1)), (10, (2,))):
        one = row(compared, labels=n)
        both = dice[(dice["labels"] == n) & dice["seed"].isin(seeds)]
        means = both.groupby("start")["value"].mean()
        assert one["difference"] == pytest.approx(means["rotation"] - means["scratch"])
        assert one["seeds"] == len(seeds)
    saved = tables.labels_table(results, seed=0)
    assert row(saved, labels=10)["verdict"] == "cannot be said: no common seed and case"
    assert row(saved, labels=5)["seeds"] == 2


def test_results_of_another_study_and_a_damaged_study_json(tmp_path):
    path = written(segmentation(labels=(5, 10)), tmp_path)
    ran(tmp_path, seeds=[0, 1])
    assert (
        "4 cells are not of the study that study.json describes, the first rotation at 5 labels, "
        "seed 2." in said(read_results(path))
    )
    (tmp_path / "study.json").write_text('{"store": "s"}')  # an older scanprior's: the recipe alone
    assert read_results(path).ran is None
    for damaged in ('{"ran": []}', '{"ran": {"classes": {}}}', '{"ran": {"classes": 3}}'):
        (tmp_path / "study.json").write_text(damaged)
        with pytest.raises(InputError, match=r"study\.json is damaged"):
            read_results(path)


@pytest.mark.slow
def test_grades_are_scored_by_kappa(tmp_path):
    rows = classification()
    results = read_results(written(rows, tmp_path))
    assert results.score == "kappa"
    found = row(tables.score_table(results, seed=0), start="scratch", labels=10)
    kappas, areas, right = [], [], []
    for seed in range(2):
        mine = picked(rows, start="scratch", labels=10, seed=seed)
        wide = mine.pivot(index="case", columns="metric", values="value")
        truth, prediction = (wide[c].to_numpy(int) for c in ("truth", "prediction"))
        kappas.append(quadratic_weighted_kappa(truth, prediction, 5))
        areas.append(macro_auc(truth, wide[[f"p{k}" for k in range(5)]].to_numpy()))
        right.append((truth == prediction).mean())
    assert found["kappa"] == pytest.approx(np.mean(kappas))
    assert found["auc"] == pytest.approx(np.mean(areas))
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert found["low"] < found["kappa"] < found["high"]
    result = run_report(Report(results=tmp_path))
    assert (result["score"], result["better"]) == ("kappa", 2)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "jackknife" in text
    assert "There are no validation rows of kappa" in text


def test_grades_without_probabilities_have_no_auc(tmp_path):
    rows = classification()
    for left_out in (["p1"], ["p4"], ["p0", "p1", "p2", "p3", "p4"]):
        results = read_results(written(rows[~rows["metric"].isin(left_out)], tmp_path))
        for found in tables.score_table(results, seed=0):
            assert np.isnan(found["auc"])
            assert found["kappa"] > 0


def test_folds_are_scored_as_one_set(tmp_path):
    rows = classification(seeds=1)
    rows["seed"] = rows["case"].str.removeprefix("eye_").astype(int) % 5
    results = read_results(written(rows, tmp_path))
    found = row(tables.score_table(results, seed=0), start="rpl", labels=10)
    wide = picked(rows, start="rpl", labels=10).pivot(
        index="case", columns="metric", values="value"
    )
    truth, prediction = (wide[c].to_numpy(int) for c in ("truth", "prediction"))
    assert found["kappa"] == pytest.approx(quadratic_weighted_kappa(truth, prediction, 5))
    assert (found["cases"], found["seeds"]) == (30, 5)
    assert said(results)[0].startswith("There are no validation rows")
    assert "No case was tested by two seeds" in words.tests(results)
    assert ", 5 seeds, a fold each, " in words.study(results)
    assert words.final(results).endswith("the last step: one number for all folds' cases.")
    assert "in the same cases and folds" in words.tests(results)


BY_FOLD = np.array([0.15, 0.15, 0.15, -0.05, -0.05])


def folded():
    """40 cases in five folds, of which rotation is better than scratch in three."""
    rows = segmentation({"scratch": 0.0, "rotation": 0.0}, labels=(5, 10, 20), seeds=1, cases=40)
    rows = rows[(rows["part"] == "test") & (rows["metric"] == "dice") & (rows["class"] == "1")]
    rows["seed"] = rows["case"].str.removeprefix("case_").astype(int) % 5
    rows["value"] += BY_FOLD[rows["seed"]] * (rows["start"] == "rotation")
    return rows


def array(rows, **where):
    """Scores by case, and the cases' folds."""
    found = picked(rows, **where).sort_values("case")
    return found["value"].to_numpy()[None, :, None], found["seed"].to_numpy()


def test_intervals_of_a_cross_validation_look_at_its_folds(tmp_path):
    rows = folded()
    results = read_results(written(rows, tmp_path))
    scratch, folds = array(rows, start="scratch", labels=5)
    rotation, _ = array(rows, start="rotation", labels=5)
    compared = row(comparisons.comparison_table(results, seed=0), labels=5)
    assert compared["difference"] == pytest.approx(np.mean(BY_FOLD), abs=0.005)
    assert (compared["seeds"], compared["seeds_better"], compared["cases"]) == (5, 3, 40)
    one = rotation - scratch
    low, high = interval(replicates(mean_score, one, 0, folds=folds))
    assert (compared["low"], compared["high"]) == pytest.approx((low, high))
    plain = interval(replicates(mean_score, one, 0))
    assert high - low > 2 * (plain[1] - plain[0])
    scored = row(tables.score_table(results, seed=0), start="rotation", labels=5)
    expected = interval(replicates(mean_score, rotation, 0, folds=folds))
    assert (scored["low"], scored["high"]) == pytest.approx(expected)
    drawn = []
    for start, labels in (("scratch", 5), ("scratch", 10), ("scratch", 20), ("rotation", 5)):
        drawn.append(
            replicates(mean_score, array(rows, start=start, labels=labels)[0], 0, folds=folds)
        )
    needed = labels_needed(np.array([5.0, 10.0, 20.0]), np.stack(drawn[:3], -1), drawn[3])
    saved = row(tables.labels_table(results, seed=0), labels=5)
    assert saved["seeds"] == 5
    assert (saved["needs_low"], saved["needs_high"]) == pytest.approx(interval(needed))


def test_folds_and_cases_that_are_missing(tmp_path):
    rows = folded()
    gone = (rows["labels"] == 20) & (rows["seed"] > 0)
    gone |= (rows["labels"] == 10) & (rows["start"] == "rotation") & (rows["case"] == "case_07")
    results = read_results(written(rows[~gone], tmp_path))
    compared = comparisons.comparison_table(results, seed=0)
    assert [row(compared, labels=n)["seeds"] for n in (5, 10, 20)] == [5, 5, 1]
    assert [row(compared, labels=n)["cases"] for n in (5, 10, 20)] == [40, 39, 8]
    folds = array(rows[~gone], start="rotation", labels=10)[1]
    one = array(rows[~gone], start="rotation", labels=10)[0]
    expected = interval(replicates(mean_score, one, 0, folds=folds))
    scored = row(tables.score_table(results, seed=0), start="rotation", labels=10)
    assert (scored["low"], scored["high"]) == pytest.approx(expected)
    saved = row(tables.labels_table(results, seed=0), labels=5)
    assert (saved["seeds"], saved["cases"]) == (5, 40)  # not only the fold that has 20 labels
    found = said(results)
    assert (
        "Without seed 1, 2, 3 and 4 at 20 labels: scratch and rotation; a row there is over 0, and "
        "is compared with other starts in those seeds only, with no variation between seeds in its "
        "intervals." in found
    )
    assert (
        "rotation at 10 labels has no complete score of 1 of 40 cases (case_07): its row and its "
        "comparisons leave them out." in found
    )
    assert not any("20 labels has no complete" in sentence for sentence in found)


@pytest.mark.slow
def test_few_cases_cannot_show_anything_and_the_report_says_so(tmp_path):
    run_report(Report(results=written(segmentation(cases=4), tmp_path)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "With 4 cases no p can be below 0.125" in text
    assert "0 of 1 starts are better" in text


def test_costs_and_failures(tmp_path):
    costs = pd.DataFrame(
        [
            ["scratch", 5, 0, "done", 0, 1, 0, 100, "a", ""],
            ["rotation", 5, 0, "done", 3, 1, 400, 100, "b", ""],
            ["rotation", 5, 1, "done", 5, 2, 400, 100, "c", ""],
            ["rotation", 5, 2, "failed", "", "", "", "", "d", "killed"],
        ],
        columns=CELLS,
    )
    results = read_results(written(segmentation(labels=(5,)), tmp_path, costs))
    assert said(results) == ["rotation at 5 labels, seed 2: failed (killed)."]
    found = row(training.cost_table(results), start="rotation")
    assert (found["cells"], found["pretrain_minutes"], found["finetune_minutes"]) == (2, 4.0, 1.5)


@pytest.mark.slow
def test_pictures_of_the_caller(tmp_path):
    path = written(segmentation(labels=(5, 10)), tmp_path)
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    Pillow.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "pictures" / "deep" / "a_b.png")
    run_report(Report(results=path))
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<figcaption>a b</figcaption>" in page
    (tmp_path / "pictures" / "bad.png").write_text("no")
    with pytest.raises(InputError, match=r"bad\.png is no PNG"):
        run_report(Report(results=path))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no PNG"):
        run_report(Report(results=path, pictures=tmp_path / "none"))


def changed(column, value, at=0):
    def change(rows):
        rows = rows.astype({column: object})
        rows.loc[at, column] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop(columns="seed"), "has no column 'seed'"),
        (changed("value", "high"), "holds the value 'high'"),
        (changed("value", np.inf), "holds the value 'inf'"),
        (changed("labels", 2.5), "holds the labels '2.5'"),
        (changed("labels", 0), "holds the labels '0'"),
        (changed("part", "train"), "holds the part 'train'"),
        (changed("start", ""), "without a start"),
        (changed("step", 50), "at several steps"),
        (lambda rows: pd.concat([rows, rows.head(1)]), "holds a row twice"),
        (lambda rows: rows[rows["part"] != "test"], "holds no test rows"),
        (lambda rows: rows[rows["metric"] == "hd95"], "holds no test rows of a known score"),
    ],
)
def test_bad_results_are_one_sentence(tmp_path, change, words):
    path = written(change(segmentation(labels=(5,), seeds=1)), tmp_path)
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_results(path)
    assert str(error.value).startswith(str(path))


def test_other_bad_input(tmp_path):
    rows = classification()
    rows.loc[rows.index[0], "value"] += 1
    with pytest.raises(InputError, match="case eye_0 two different truths"):
        read_results(written(rows, tmp_path))
    with pytest.raises(InputError, match="holds no test rows of nsd"):
        read_results(written(classification(), tmp_path), "nsd")
    with pytest.raises(InputError, match="cannot be read"):
        run_report(Report(results=tmp_path / "absent.csv"))
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        run_report(Report(results=tmp_path))


@pytest.mark.slow
def test_the_command_line(tmp_path, capsys):
    path = written(segmentation(labels=(5, 10)), tmp_path)
    main(["report", str(path), "--out", str(tmp_path / "out"), "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["better"] == 2
    assert told["report"] == str(tmp_path / "out" / "report.html")
    main(["report", str(tmp_path)])
    assert (tmp_path / "report" / "report.md").is_file()
    with pytest.raises(SystemExit) as error:
        main(["report", str(tmp_path / "absent")])
    assert error.value.code == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_results_give_the_same_report(tmp_path):
    path = written(segmentation(labels=(5, 10)), tmp_path)
    for out in ("a", "b"):
        run_report(Report(results=path, out=tmp_path / out))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_table_that_was_cut_short_is_said(tmp_path):
    path = written(classification(), tmp_path)
    read_results(path)
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])
    with pytest.raises(InputError, match=r"results\.csv has a row that ends too early"):
        read_results(path)
