"""No patient on both sides, the same split for the same seed, fractions inside each other."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanprior.contracts import InputError
from scanprior.data.split import Split, relatives, unheld
from scanprior.data.store import Store, Volume
from scanprior.saved import write_json


def volume(i, patient=None, sha=None, partition="train", labelled=True, grade=None):
    name = f"v{i:03d}"
    record = {
        "patient": patient or name,
        "sha256": sha or name,
        "partition": partition,
        "labelled": labelled,
        "grade": grade,
    }
    return Volume(name, Path(), record)


def test_200_give_160_and_40():
    volumes = [volume(i) for i in range(200)]
    volumes += [volume(i, labelled=False, partition="unlabelled") for i in range(200, 330)]
    split = Split.make(volumes)
    assert (len(split.train), len(split.validation), len(split.test)) == (160, 40, 0)
    assert {*split.train, *split.validation} == {v.id for v in volumes[:200]}
    assert split == Split.make(volumes[::-1])  # whatever the order they come in
    assert split.train != Split.make(volumes, seed=1).train
    assert len(Split.make(volumes, 0.1, 0.3).test) == 60


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=2, max_size=40),
    st.integers(0, 5),
)
def test_no_patient_and_no_equal_files_on_both_sides(drawn, seed):
    volumes = [volume(i, f"p{p}", f"s{s}") for i, (p, s) in enumerate(drawn)]
    try:
        split = Split.make(volumes, 0.3, 0.2, seed)
    except InputError:
        return
    parts = (split.train, split.validation, split.test)
    assert sorted(sum(parts, ())) == [v.id for v in volumes]
    by_id = {v.id: v for v in volumes}
    for key in (lambda v: v.patient, lambda v: v.record["sha256"]):
        seen = [{key(by_id[i]) for i in part} for part in parts]
        assert len(set().union(*seen)) == sum(map(len, seen))


def linked(n=8):
    """Pairs of labelled volumes, each linked by a scan without a label alone: it is of the first
    one's patient and has the second one's bytes."""
    pairs = [volume(i, f"p{i}" if i % 2 else None, grade=i % 3) for i in range(2 * n)]
    odd, even = pairs[1::2], pairs[::2]
    copies = [
        volume(100 + i, a.patient, b.record["sha256"], "unlabelled", labelled=False)
        for i, (a, b) in enumerate(zip(odd, even, strict=True))
    ]
    return pairs, copies, [{a.id, b.id} for a, b in zip(odd, even, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_volumes_linked_by_one_without_a_label_stay_together(seed):
    pairs, copies, together = linked()
    whole = Split.make([*copies, *pairs], 0.25, 0.25, seed)
    for split in (
        whole,
        Split.make(pairs, 0.25, 0.25, seed, through=copies),
        *Split.folds([*pairs, *copies], 3, 0.25, seed),
        *Split.folds(pairs, 3, 0.25, seed, through=[*copies, *pairs]),
    ):
        parts = [set(part) for part in (split.train, split.validation, split.test)]
        assert sorted(set.union(*parts)) == [v.id for v in pairs]
        assert all(any(pair <= part for part in parts) for pair in together)
    assert whole == Split.make(pairs, 0.25, 0.25, seed, through=copies)


def test_a_volume_without_relatives_changes_no_split():
    """However it is called: a store's split is the same when unlabelled scans join it."""
    volumes = [volume(i, f"p{i // 2}") for i in range(3, 20)]
    strangers = [volume(i, labelled=False) for i in (0, 7_00, 9_99)]
    assert Split.make(volumes, 0.2, 0.2) == Split.make([*strangers, *volumes], 0.2, 0.2)
    copy = volume(0, "p5", labelled=False)  # of a group that it now comes before
    assert Split.make(volumes, 0.2, 0.2) == Split.make([copy, *volumes], 0.2, 0.2)


@given(st.integers(1, 50), st.integers(1, 50))
def test_fractions_are_nested(a, b):
    split = Split(tuple(f"v{i}" for i in range(50)), (), (), 0)
    low, high = sorted((a, b))
    assert split.first(low) == split.first(high)[:low]
    assert split.first(low / 50) == split.first(low)


def test_fractions_and_counts():
    split = Split(tuple("abcdefghij"), (), (), 0)
    assert split.first(1) == ("a",)
    assert split.first(1.0) == split.train
    assert split.first(0.01) == ("a",)
    for wrong in (11, 0, -1, 0.0, 1.5):
        with pytest.raises(InputError):
            split.first(wrong)


def test_the_sources_own_parts_are_kept():
    volumes = [
        volume(i, grade=i % 5, labelled=False, partition=part)
        for i, part in enumerate(["train"] * 10 + ["val"] * 3 + ["test"] * 4)
    ]
    split = Split.make(volumes, seed=3)
    assert set(split.train) == {v.id for v in volumes[:10]}
    assert set(split.validation) == {v.id for v in volumes[10:13]}
    assert set(split.test) == {v.id for v in volumes[13:]}


def test_saved_and_loaded(tmp_path):
    split = Split.make([volume(i) for i in range(20)], test=0.1)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert [p.name for p in tmp_path.iterdir()] == ["split.json"]
    for text, why in (("{", r"not JSON \(.*\)"), ("[]", r"no split \(.*\)")):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(InputError, match=why) as said:
            Split.load(tmp_path / "split.json")
        assert str(said.value).endswith("; delete it and split anew.")
        assert str(said.value).count(";") == 1, "two things to do"


def test_impossible_splits_are_refused():
    with pytest.raises(InputError, match="less than 1"):
        Split.make([volume(0)], 0.6, 0.5)
    with pytest.raises(InputError, match="nothing to split"):
        Split.make([volume(0, labelled=False)])


@pytest.mark.parametrize("n", [2, 5])
def test_folds_have_their_share_of_every_grade(n):
    grades = [0] * 134 + [1] * 20 + [2] * 136 + [3] * 74 + [4] * 49  # IDRiD's
    volumes = [volume(i, grade=grade, labelled=False) for i, grade in enumerate(grades)]
    folds = Split.folds(volumes, n, seed=2)
    assert len(folds) == n
    tested = [i for fold in folds for i in fold.test]
    assert sorted(tested) == [v.id for v in volumes]  # each once
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    by_id = {v.id: v.grade for v in volumes}
    for fold in folds:
        assert {*fold.train, *fold.validation, *fold.test} == set(by_id)
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(by_id)
        for grade in range(5):
            held = sum(by_id[i] == grade for i in fold.test)
            assert abs(held - grades.count(grade) / n) < 1
            rest = grades.count(grade) - held
            assert abs(sum(by_id[i] == grade for i in fold.validation) - rest / 5) <= 1
    # a label fraction takes from all grades: the order of training is random
    assert len({by_id[i] for i in folds[0].first(30)}) > 3


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 30), st.integers(0, 3)),
        min_size=4,
        max_size=40,
    ),
    st.integers(0, 5),
)
def test_folds_keep_patients_and_equal_files_together(drawn, seed):
    volumes = [volume(i, f"p{p}", f"s{s}", grade=g) for i, (p, s, g) in enumerate(drawn)]
    try:
        folds = Split.folds(volumes, 3, 0.25, seed)
    except InputError:
        return
    by_id = {v.id: v for v in volumes}
    assert sorted(i for fold in folds for i in fold.test) == list(by_id)
    for fold in folds:
        for key in (lambda v: v.patient, lambda v: v.record["sha256"]):
            parts = (fold.train, fold.validation, fold.test)
            seen = [{key(by_id[i]) for i in part} for part in parts]
            assert len(set().union(*seen)) == sum(map(len, seen))


def test_folds_are_seeded_and_can_do_without_validation():
    volumes = [volume(i, grade=i % 3) for i in range(30)]
    folds = Split.folds(volumes, 3, seed=1)
    assert folds == Split.folds(volumes[::-1], 3, seed=1)
    assert folds != Split.folds(volumes, 3, seed=2)
    assert folds[0].test == Split.folds(volumes, 3, 0.0, seed=1)[0].test
    bare = Split.folds(volumes, 3, 0.0)[0]
    assert (len(bare.train), bare.validation, len(bare.test)) == (20, (), 10)


def test_impossible_folds_are_refused():
    volumes = [volume(i, grade=0) for i in range(4)]
    for n, validation, word in ((1, 0.2, "2 or more"), (5, 0.2, "use fewer"), (2, 0.9, "0 to 0.5")):
        with pytest.raises(InputError, match=word):
            Split.folds(volumes, n, validation)
    with pytest.raises(InputError, match="use fewer"):
        Split.folds([volume(i, "one patient", grade=0) for i in range(4)], 2)


def test_relatives_are_found_through_others():
    """v0 and v3 share nothing, but v1 is of v0's patient and v2 has v1's bytes and v3's patient."""
    volumes = [volume(0, "p"), volume(1, "p", "s"), volume(2, "q", "s"), volume(3, "q"), volume(4)]
    assert relatives(volumes, {"v000"}) == {"v000", "v001", "v002", "v003"}
    assert relatives(volumes, {"v004"}) == {"v004"}
    assert relatives(volumes, set()) == set()
    # the same id in another store is the same scan, whatever else is said of it
    other = [volume(0, "x", "y"), volume(5, "x")]
    assert relatives([*volumes, *other], {"v001"}) >= {"v000", "v005"}


def test_files_of_which_no_hash_is_known_are_not_equal():
    volumes = [volume(i) for i in range(3)]
    for one in volumes:
        del one.record["sha256"]
    assert relatives(volumes, {"v001"}) == {"v001"}


def stored(folder, volumes):
    places = {"shape": [1, 8, 8, 8], "spacing": [1.0, 1.0, 1.0]}
    records = [v.record | places | {"id": v.id} for v in volumes]
    about = {"classes": 2, "digest": "", "recipe": {}, "spacing": None}
    write_json(folder / "index.json", about | {"volumes": records})
    return Store(folder)


def test_what_is_held_out_takes_its_relatives_with_it(tmp_path):
    store = stored(
        tmp_path,
        [
            volume(0, "p", partition="test"),
            volume(1, "p", "s", labelled=False, partition="unlabelled"),
            volume(2, "q", "s", partition="unlabelled"),
            volume(3, "r"),
            volume(4, "r", labelled=False, partition="unlabelled"),
            volume(5, "t", partition="val"),
        ],
    )
    assert [v.id for v in unheld(store, None)] == ["v003", "v004", "v005"]
    given = tmp_path / "given.json"
    Split(("v005",), (), ("v003",), 0).save(given)
    assert [v.id for v in unheld(store, given)] == ["v005"]
    Split(("v003",), (), ("v005",), 0).save(tmp_path / "split.json")
    assert [v.id for v in unheld(store, None)] == ["v003", "v004"]
    assert [v.id for v in unheld(store, given)] == ["v005"]  # in place of the store's
    with pytest.raises(InputError, match="is no split"):
        unheld(store, tmp_path / "nothing.json")
    Split(("v000",), (), ("v003", "v005"), 0).save(given)
    with pytest.raises(InputError, match="nothing but what is tested on"):
        unheld(store, given)
