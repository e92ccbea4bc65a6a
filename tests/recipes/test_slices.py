"""The 2D arm of a 3D task: pretext on slices, a 2D U-Net, predictions stacked and scored in 3D."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.split import Split
from scanprior.data.store import Store
from scanprior.fit import Training
from scanprior.pretext.rotation import Rotation
from scanprior.recipes.evaluate import Evaluate, run_evaluate
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.predict import Predict, predict
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.saved import load_weights
from tests.recipes.scans import AFFINES, write_scans

TRAINING = Training(
    steps=120, batch_size=8, lr=5e-3, warmup=0, precision="32", accelerator="cpu", log_every=60
)


@pytest.mark.slow
def test_a_2d_start_for_a_3d_task(tmp_path: Path) -> None:
    plain = {f"case{i}": np.eye(4) for i in range(9)}
    scans = write_scans(tmp_path / "scans", plain | AFFINES)
    store = tmp_path / "store"
    run_prepare(Prepare(source=scans, store=store, spacing=(1.0, 1.0, 1.0), workers=1))
    Split.make(list(Store(store)), validation=0.2, test=0.3).save(store / "split.json")
    split = Split.load(store / "split.json")
    start = tmp_path / "rotation-2d"
    pretrain(
        Pretrain(
            store=store,
            out=start,
            task=Rotation(),
            spatial_dims=2,
            widths=(8, 16, 32),
            crop=(16, 16),
            training=dataclasses.replace(TRAINING, steps=10),
        )
    )
    state, about = load_weights(start / "encoder.safetensors")
    assert about["spatial_dims"] == 2

    mine = Finetune(
        store=store,
        out=tmp_path / "fine",
        start=str(start),
        crop=(16, 16),
        frozen_steps=10,
        validate_every=60,
        training=TRAINING,
    )
    assert finetune(dataclasses.replace(mine, out=tmp_path / "held", frozen=True))["dice"] >= 0
    held, _ = load_weights(tmp_path / "held" / "last.safetensors")
    for name, tensor in state.items():  # the start is what the fine-tuning began with
        np.testing.assert_array_equal(held[f"encoder.{name}"].numpy(), tensor.numpy())
    said = finetune(mine)
    assert said["dice"] > 0.7  # of whole volumes, stacked from slices

    out = tmp_path / "predictions"
    told = predict(Predict(run=tmp_path / "fine", source=scans, out=out, cases=split.test))
    assert (told["predicted"], told["rejected"]) == (len(split.test), {})
    scored = run_evaluate(
        Evaluate(predictions=out, labels=scans / "labelsTr", out=tmp_path / "scores.csv")
    )
    assert scored["cases"] == len(split.test) >= 3
    assert scored["dice_mean"] > 0.7
    # A surface is only near where slices are in the right order and place.
    assert scored["hd95_per_class"]["1"] < 4

    with pytest.raises(InputError, match=r"does not fit this encoder.*--spatial-dims 2"):
        finetune(dataclasses.replace(mine, out=tmp_path / "no", spatial_dims=3, crop=(16, 16, 16)))
