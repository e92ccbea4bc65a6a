"""What follows from a study before any of it is done."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanprior.contracts import InputError
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.downstream.classification import Classification
from scanprior.fit import Training
from scanprior.pretext.rpl import RelativePatchLocation
from scanprior.recipes.finetune import Finetune
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.study import Cell, Study, about, work
from scanprior.study.checks import check_jobs
from scanprior.study.jobs import Job
from scanprior.study.naming import named
from scanprior.study.planner import plan

Make = Callable[..., Study]


def cells(study: Study) -> dict[Cell, Job]:
    return {Cell(job.start, job.labels, job.seed): job for job in plan(study).cells}


def test_every_start_meets_every_number_of_labels_and_seed(tiny_study: Make) -> None:
    study = tiny_study(starts=("scratch", "rotation", "rpl"), seeds=(0, 5))
    assert len(study.runs()) == 3 * 2 * 2 == len(set(study.runs()))
    assert study.runs()[:2] == (Cell("scratch", 1, 0), Cell("rotation", 1, 0))
    assert {(c.start, c.seed) for c in study.runs()} == {
        (start, seed) for start in study.starts for seed in (0, 5)
    }
    assert set(cells(study)) == set(study.runs())
    assert len({job.folder for job in plan(study).jobs}) == 12 + 2


def test_a_pretraining_comes_right_before_its_first_cell(tiny_study: Make) -> None:
    names = [job.name for job in plan(tiny_study(labels=(1,), seeds=(0, 1))).jobs]
    assert names == [
        "scratch, 1 labels, seed 0",
        "pretraining rotation, seed 0",
        "rotation, 1 labels, seed 0",
        "scratch, 1 labels, seed 1",
        "rotation, 1 labels, seed 1",
    ]
    each = plan(tiny_study(labels=(1,), seeds=(0, 1), pretrain_each_seed=True))
    assert [job.seed for job in each.pretrainings] == [0, 1]


def splits(study: Study) -> dict[str, Split]:
    return {path.stem: split for path, split in plan(study).splits.items()}


def test_subsets_are_nested_grouped_and_other_for_other_seeds(tiny_study: Make) -> None:
    found = splits(tiny_study(seeds=tuple(range(6))))
    pool = set(found["seed-0"].train)
    orders = {found[f"seed-{seed}"].train for seed in range(6)}
    assert len(orders) > 3
    for order in orders:  # labels 1 is the first of labels 3: one order a seed
        assert set(order) == pool
        if "ball_00" in pool:  # a patient's volumes follow each other
            assert abs(order.index("ball_00") - order.index("ball_01")) == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_patient_is_on_both_sides(tiny_study: Make, store: Path, seed: int) -> None:
    study = tiny_study(split_seed=seed)
    pool, validation, test = plan(study).parts["split.json"]
    assert len(test) == 2
    assert len(validation) == 1
    assert sorted(test + validation + pool) == [f"ball_{i:02}" for i in range(11)]
    owner = {v.id: v.patient for v in Store(store)}
    assert not {owner[i] for i in test} & {owner[i] for i in validation + pool}
    held = splits(study)["pretraining"].test  # ball_11 has the bytes of ball_10
    assert set(test) <= set(held)
    assert ("ball_11" in held) == ("ball_10" in test)


def test_a_given_split_is_taken_and_checked(tiny_study: Make, tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    Split(("ball_02", "ball_03", "ball_04"), ("ball_05",), ("ball_00",), 0).save(path)
    assert plan(tiny_study(split=path)).parts["split.json"].test == ("ball_00",)
    Split(("ball_02", "ball_01", "ball_04"), ("ball_05",), ("ball_00",), 0).save(path)
    with pytest.raises(InputError, match=r"given.json: ball_01 is of the same patient"):
        plan(tiny_study(split=path))


def linked(store: Path) -> list[set[str]]:
    """Make pairs of balls that a third one links, which has no label and comes before them."""
    index = json.loads((store / "index.json").read_text())
    for at in (0, 3, 6, 9):
        third, one, other = index["volumes"][at : at + 3]
        for record in (one, other):
            record |= {"patient": record["id"], "sha256": record["id"], "labelled": True}
        third |= {"labelled": False, "patient": one["patient"], "sha256": other["sha256"]}
    (store / "index.json").write_text(json.dumps(index))
    return [{f"ball_{at + 1:02}", f"ball_{at + 2:02}"} for at in (0, 3, 6, 9)]


@pytest.mark.parametrize("more", [{"split_seed": 1}, {"split_seed": 2}, {"folds": 3}])
def test_volumes_linked_by_one_without_a_label_are_on_one_side(
    tiny_study: Make, store: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    pairs = linked(store)
    for found in plan(tiny_study(labels=(2,), **more)).parts.values():
        assert all(any(pair <= set(part) for part in found) for pair in pairs)
    path = tmp_path / "given.json"
    Split(("ball_01", "ball_04"), ("ball_07",), ("ball_02",), 0).save(path)
    with pytest.raises(InputError, match=r"ball_01 is .* perhaps through other scans"):
        plan(tiny_study(split=path))


def test_stores_are_opened_and_folds_drawn_once(
    tiny_study: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    opening, drawing = Store.__init__, Split.folds

    def opens(self: Store, folder: Path) -> None:
        done.append(folder.name)
        opening(self, folder)

    def draws(*told: Any, **more: Any) -> list[Split]:
        done.append("folds")
        return drawing(*told, **more)

    other = other_store(store, tmp_path / "other")
    monkeypatch.setattr(Store, "__init__", opens)
    monkeypatch.setattr(Split, "folds", draws)
    study = tiny_study(
        folds=3,
        seeds=(0, 1, 2),
        starts=("scratch", "rotation", "supervised"),
        pretraining_store=other,
        supervised=other,
    )
    planned = plan(study)
    study.out.mkdir()
    about.write(study, planned)
    assert sorted(done) == ["folds", "other", "store"]
    assert set(planned.stores) == {store.resolve(), other.resolve()}


def test_folds_test_everything_once(tiny_study: Make, store: Path) -> None:
    study = tiny_study(folds=3, seeds=(0, 1, 2), labels=(2, "100%"))
    planned = plan(study)
    assert list(planned.parts) == ["fold-0.json", "fold-1.json", "fold-2.json"]
    tested = [case for parts in planned.parts.values() for case in parts.test]
    assert sorted(tested) == [f"ball_{i:02}" for i in range(11)]
    volumes = {v.id: v for v in Store(store)}
    pools = [len(parts.pool) for parts in planned.parts.values()]
    for parts in planned.parts.values():
        assert len(parts.validation) in (1, 2)  # a patient may have two
        held = {volumes[i].patient for i in parts.test}
        assert not held & {volumes[i].patient for i in parts.pool + parts.validation}
    by_seed = [[j for j in planned.cells if j.seed == seed] for seed in study.seeds]
    for seed, jobs in enumerate(by_seed):
        assert {j.test.cases for j in jobs if j.test} == {planned.parts[f"fold-{seed}.json"].test}
        # a share means the same number in every fold: the smallest pool's
        assert {j.labels for j in jobs} == {2, min(pools)}
    # each fold has a pretraining of its own, without the fold's images and their copies
    assert len(planned.pretrainings) == 3
    for seed in study.seeds:
        held = set(splits(study)[f"pretraining-{seed}"].test)
        assert held >= set(planned.parts[f"fold-{seed}.json"].test)
        assert ("ball_11" in held) == ("ball_10" in held)
    afters = {job.after for job in planned.cells if job.start == "rotation"}
    assert afters == {job.folder for job in planned.pretrainings}


@pytest.mark.parametrize(
    "told", [{"folds": 1}, {"folds": 2, "seeds": (0, 2)}, {"folds": 3, "split": Path("s.json")}]
)
def test_folds_that_cannot_be(tiny_study: Make, told: dict[str, object]) -> None:
    with pytest.raises(InputError, match="folds with the seeds"):
        tiny_study(**told)


def other_store(store: Path, folder: Path, digest: str = "others") -> Path:
    """Four volumes: ball_00's patient under another id, the bytes of ball_02, and two strangers."""
    folder.mkdir()
    (folder / "volumes").symlink_to(store / "volumes")
    index = json.loads((store / "index.json").read_text())
    records = index["volumes"][:4]
    for number, record in enumerate(records):
        strange = {"patient": f"other_{number}", "sha256": f"other_{number}"}
        kept = {0: {"patient": "ball_00"}, 2: {"sha256": record["sha256"]}}.get(number, {})
        record |= {"id": f"far_{number}"} | strange | kept
    (folder / "index.json").write_text(json.dumps(index | {"volumes": records, "digest": digest}))
    return folder


def test_pretraining_on_another_store(tiny_study: Make, store: Path, tmp_path: Path) -> None:
    other = other_store(store, tmp_path / "other")
    path = tmp_path / "given.json"
    pool = ("ball_04", "ball_05", "ball_06")
    Split(pool, ("ball_07",), ("ball_00", "ball_01", "ball_02"), 0).save(path)
    study = tiny_study(pretraining_store=other, split=path)
    (job,) = plan(study).pretrainings
    assert job.recipe.store == other.resolve()
    assert set(splits(study)["pretraining"].test) == {"far_0", "far_2"}  # its own ids
    assert {cell.recipe.store for cell in plan(study).cells} == {store.resolve()}
    name = job.folder.name
    (ours,) = plan(tiny_study(split=path)).pretrainings
    assert name != ours.folder.name, "another store is another result"
    # folds without a volume in that store share one pretraining
    strangers = other_store(store, tmp_path / "strangers")
    index = json.loads((strangers / "index.json").read_text())
    for number, record in enumerate(index["volumes"]):
        record |= {"patient": f"other_{number}", "sha256": f"other_{number}"}
    (strangers / "index.json").write_text(json.dumps(index))
    folds = tiny_study(pretraining_store=strangers, folds=2, seeds=(0, 1))
    (shared,) = plan(folds).pretrainings
    assert splits(folds)["pretraining"].test == ()
    assert shared.name == "pretraining rotation, seed 0", "no fold is left out of it"
    assert {c.after for c in plan(folds).cells if c.start == "rotation"} == {shared.folder}


def test_slices_cannot_be_pretrained_on_as_volumes(
    tiny_study: Make, store: Path, tmp_path: Path
) -> None:
    flat = other_store(store, tmp_path / "flat")
    index = json.loads((flat / "index.json").read_text())
    for record in index["volumes"]:
        record |= {"shape": [1, 24, 24], "spacing": [1.0, 1.0]}
    (flat / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="holds 2D images, on which rotation cannot"):
        plan(tiny_study(pretraining_store=flat))
    assert plan(tiny_study(pretraining_store=flat, starts=("scratch", "rotation-2d"))).pretrainings


def test_a_share_of_the_pool(tiny_study: Make) -> None:
    found = {job.labels for job in plan(tiny_study(labels=("25%", 2, "100%"))).cells}
    assert found == {2, 8}
    with pytest.raises(InputError, match="9 labels cannot be taken from 8"):
        plan(tiny_study(labels=(9,)))


def test_every_start_has_the_same_budget_and_scratch_is_never_frozen(tiny_study: Make) -> None:
    study = tiny_study(
        starts=("scratch", "rotation", "scratch-2d", "rotation-2d"),
        frozen_steps=1,
        pretraining=dataclasses.replace(tiny_study().pretraining, steps=9),
    )
    found = cells(study)
    recipes = {start: found[Cell(start, 3, 0)].recipe for start in study.starts}
    assert {r.training.steps for r in recipes.values()} == {2}
    assert all(isinstance(r, Finetune) for r in recipes.values())
    frozen = {s: r.frozen_steps for s, r in recipes.items() if isinstance(r, Finetune)}
    assert frozen == {"scratch": 0, "rotation": 1, "scratch-2d": 0, "rotation-2d": 1}
    assert recipes["scratch"].crop == (16, 16, 16)
    assert recipes["scratch-2d"].crop == (16, 16)
    assert recipes["scratch-2d"].training.batch_size == 2 * 16  # as many voxels a step


def test_scratch_long_sees_what_the_pretraining_saw(tiny_study: Make) -> None:
    study = tiny_study(
        starts=("scratch-long", "rotation", "rpl"),
        overrides=("rpl.steps=7", "rpl.batch_size=4", "rpl.crop=[24,16,16]"),
    )
    # rpl: 7 steps x 4 crops of 24 x 16 x 16; a step of fine-tuning has 2 crops of 16 x 16 x 16
    assert cells(study)[Cell("scratch-long", 1, 0)].recipe.training.steps == 2 + 21
    told = dataclasses.replace(study, long_steps=5)
    assert cells(told)[Cell("scratch-long", 1, 0)].recipe.training.steps == 7
    with pytest.raises(InputError, match="no pretraining to match"):
        plan(tiny_study(starts=("scratch-long",)))


def test_overrides_reach_the_training_and_the_task(tiny_study: Make) -> None:
    told = ("rpl.steps=7", "rpl.lr=1", "rpl.queries=2", "rpl.optimizer=adam")
    study = tiny_study(starts=("rpl", "rotation"), overrides=told)
    found = {job.start: job.recipe for job in plan(study).pretrainings}
    rpl = found["rpl"]
    assert isinstance(rpl, Pretrain)
    assert (rpl.training.steps, rpl.training.lr, rpl.training.optimizer) == (7, 1.0, "adam")
    assert rpl.task == RelativePatchLocation(queries=2)
    assert found["rotation"].training == study.pretraining


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"starts": ("scratch", "scratch")}, "repeats one"),
        ({"starts": ("scratsh",)}, "there is no start 'scratsh'"),
        ({"starts": ("supervised",)}, "needs --supervised"),
        ({"starts": ("run:nowhere",)}, "does not exist"),
        ({"overrides": ("cpc.steps=3",)}, "does not pretrain"),
        ({"overrides": ("rotation.step=3",)}, "neither the training nor the task has it"),
        ({"overrides": ("rotation.steps=three",)}, "must be a int"),
        ({"overrides": ("rotation steps",)}, "is not START.FIELD=VALUE"),
        ({"seeds": ()}, "without seeds"),
        ({"test": 11}, "too few for 11 test"),
        ({"folds": 3, "validation": 4}, "about 7 .*of 3 folds.* too few for 4 .*validation 3 at"),
        ({"finetuning": Training(devices=2)}, "one device"),
        ({"seeds": (0, -1)}, "seed -1 is impossible"),
        ({"split_seed": -1}, "split_seed -1 is impossible"),
        ({"validate_every": -1}, "validate_every -1 is impossible"),
        ({"frozen_steps": -1}, "frozen_steps -1 is impossible"),
        ({"tolerance": -1.0}, "tolerance -1.0 is no distance"),
        ({"crop": (16, 16)}, "a crop of 16x16 does not fit 3D training"),
        ({"crop": (4, 4, 4)}, "a crop of 4x4x4 is too small"),
        ({"crop": (17, 16, 16)}, "crop 17 is not divisible by 2"),
        ({"overrides": ("rotation.crop=[16,16]",)}, "a crop of 16x16 does not fit 3D training"),
        ({"encoder": "nosuch", "widths": None}, "nosuch"),
        ({"task": Classification()}, "holds no images of two different grades.* say segmentation"),
        ({"regions": "brats"}, r"label values \[1, 2, 4\], and .*store has none above 1"),
        ({"regions": "brats", "task": Classification()}, "regions brats are of label maps"),
    ],
)
def test_bad_input_is_refused_before_work(
    tiny_study: Make, told: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        check_jobs(tiny_study(**told), plan(tiny_study(**told)))


def test_grades_without_the_word_for_them(tiny_study: Make, store: Path) -> None:
    index = json.loads((store / "index.json").read_text())
    for record in index["volumes"]:
        record |= {"labelled": False, "grade": 1}
    (store / "index.json").write_text(json.dumps(index | {"classes": 0}))
    with pytest.raises(InputError, match="for its grades say classification"):
        check_jobs(tiny_study(), plan(tiny_study()))


def test_a_run_that_saw_test_volumes_is_known(
    tiny_study: Make, store: Path, tmp_path: Path
) -> None:
    """By ids where the data are the same, else by bytes; or through what it started from."""
    given = tmp_path / "given.json"
    Split(("ball_04", "ball_05"), ("ball_07",), ("ball_00", "ball_02", "ball_03"), 0).save(given)
    same, far = tmp_path / "same", tmp_path / "far"
    training = tiny_study().pretraining
    pretrain(Pretrain(store=store, out=same, widths=(4, 8), crop=(16,) * 3, training=training))
    starts = ("scratch", f"same=run:{same}", f"far=run:{far}")

    def seen(starts: tuple[str, ...] = starts) -> dict[str, int]:
        study = tiny_study(starts=starts, labels=(1,), split=given)
        return {cell.start: cell.seen for cell in plan(study).cells}

    assert seen(starts[:2]) == {"scratch": 0, "same": 3}
    other = other_store(store, tmp_path / "other", digest="balls")
    shutil.copytree(same, far)
    told = json.loads((far / "recipe.json").read_text())
    (far / "recipe.json").write_text(json.dumps(told | {"store": str(other)}))
    (far / "cases.json").write_text('{"train": ["far_0", "far_1", "far_2"]}')
    for folder, name in ((store, "others"), (tmp_path / "copy", "balls")):
        if folder != store:
            shutil.copytree(store, folder, symlinks=True)
        index = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps(index | {"digest": name}))
    (same / "recipe.json").write_text(json.dumps(told | {"store": str(tmp_path / "copy")}))
    # far_0 is ball_00's patient, not its image; far_2 has the bytes of ball_02
    assert seen() == {"scratch": 0, "same": 3, "far": 1}
    study = tiny_study(starts=starts, labels=(1,), split=given)
    study.out.mkdir()
    about.write(study, plan(study))
    rows = json.loads((study.out / "study.json").read_text())["ran"]["starts"]
    assert [row.get("seen") for row in rows] == [None, 3, 1]
    (far / "cases.json").write_text('{"train": []}')
    assert seen()["far"] == 0
    (far / "recipe.json").write_text(json.dumps(told | {"start": str(same)}))
    assert seen()["far"] == 3, "what it started from had seen them"
    for text in ("{}", "[]", '{"store": null, "start": 3}', json.dumps(told | {"store": "gone"})):
        (far / "recipe.json").write_text(text)
        assert seen()["far"] == 0, "nothing is known"
    (same / "cases.json").write_text('{"train": [1]}')
    with pytest.raises(InputError, match=r"cases.json is damaged"):
        seen()


def test_the_hash_knows_what_decides_a_result(tiny_study: Make, store: Path) -> None:
    one = Cell("rotation", 1, 0)
    first = cells(tiny_study())[one].folder.name
    assert cells(tiny_study())[one].folder.name == first
    assert cells(tiny_study(seeds=(3, 0), labels=(1, 2), jobs=7, predictions=0))[
        one
    ].folder.name == (first)
    long = dataclasses.replace(tiny_study().pretraining, steps=3)
    others = [
        tiny_study(pretraining=long),  # another start
        tiny_study(finetuning=long),
        tiny_study(split_seed=4),
        tiny_study(tolerance=2.0),
    ]
    index = store / "index.json"
    names = {cells(study)[one].folder.name for study in others}
    index.write_text(index.read_text().replace('"digest": "balls"', '"digest": "others"'))
    names.add(cells(tiny_study())[one].folder.name)
    assert len(names | {first}) == 6


def test_the_names_of_folders_are_for_good(tiny_study: Make) -> None:
    """Other names would lose what studies have computed in weeks: only other settings, or another
    default of what decides a result, may change these."""
    study = tiny_study(labels=(1,), starts=("scratch", "rotation", "rotation-2d"))
    assert [job.folder.name for job in plan(study).jobs] == [
        "scratch-1-labels-seed-0-02fd81e2a5",
        "rotation-seed-0-2039ee5a05",
        "rotation-1-labels-seed-0-89a9506ddf",
        "rotation-2d-seed-0-5b0a913b39",
        "rotation-2d-1-labels-seed-0-9ffceca692",
    ]


def test_what_came_later_with_another_default_leaves_the_old_names(tiny_study: Make) -> None:
    """The first name is of a study before there were ``levels``, which was of the coarsest."""
    job = next(job for job in plan(tiny_study()).jobs if isinstance(job.recipe, Finetune))
    split = Split(train=("a", "b"), validation=(), test=("c",), seed=0)

    def name_with(**told: Any) -> str:
        recipe = dataclasses.replace(
            job.recipe, task=Classification(**told), store=Path("s"), split=None
        )
        return named(
            dataclasses.replace(job, recipe=recipe), "x", Path("room"), split, "d"
        ).folder.name

    assert name_with(levels="coarsest") == "x-f16c570e3d"
    assert name_with() != name_with(levels="coarsest")


@pytest.mark.parametrize(
    "text", ["[]", "{}", "{", '{"state": "perhaps"}', '{"state": "done", "steps": "many"}']
)
def test_a_job_whose_status_is_damaged_has_failed(tiny_study: Make, text: str) -> None:
    """Not the study: it does that job again."""
    job = plan(tiny_study()).cells[0]
    job.folder.mkdir(parents=True)
    (job.folder / work.STATUS).write_text(text)
    found = work.status(job)
    assert found is not None
    assert found.state == "failed"
    assert str(job.folder / work.STATUS) in found.reason


def test_what_is_not_known_of_a_status_does_not_matter(tiny_study: Make) -> None:
    job = plan(tiny_study()).cells[0]
    job.folder.mkdir(parents=True)
    work.write_status(job, work.Status("failed", reason="two\nlines"))
    path = job.folder / work.STATUS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"of": "another version"}))
    found = work.status(job)
    assert found is not None
    assert (found.state, found.steps, found.reason) == ("failed", 0, "two\nlines")


@pytest.mark.parametrize("name", ["environment.json", "last.json"])
@pytest.mark.parametrize("text", ['{"a": 1}', "[]", '{"packages": [], "spatial_dims": 3}'])
def test_what_a_cell_left_is_checked_when_it_is_told(
    tiny_study: Make, name: str, text: str
) -> None:
    study = tiny_study()
    planned = plan(study)
    folder = planned.cells[0].folder
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name} is damaged \(it"):
        about.write(study, planned)
