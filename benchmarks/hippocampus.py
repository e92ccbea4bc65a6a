"""Does pretraining save labels on hippocampus? The paper's protocol on 200 labelled cases.

    scanprior prepare ../shared/data/Task04_Hippocampus demo/hippocampus/store
    scanprior study benchmarks/hippocampus.py
    scanprior report demo/hippocampus/study --out benchmarks/results/hippocampus

50 test cases are held out for all of it; 20 draw the convergence curve; the other 130 are the pool
that labels are taken from. Pretraining sees the 280 images that are no test cases. The fine-tuning
learning rate was chosen on validation cases for scratch (of 2e-3, 4e-3, 8e-3 and 16e-3) and is the
same for all starts. About 2.5 minutes a cell on one CPU core; the study can be stopped and goes on.
"""

from pathlib import Path

from scanprior.fit import Training
from scanprior.study import Study

FOLDER = Path("demo/hippocampus")
PATCHES = ("jigsaw", "rpl", "rotation", "exemplar", "cpc")

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", *PATCHES, "scratch-long"),
    labels=(5, 10),
    seeds=(0, 1, 2),
    crop=(40, 56, 40),
    pretraining=Training(steps=600, batch_size=8, lr=1e-3),
    # no volume is padded for a pretext task: an empty border would give places away
    overrides=(
        *(f"{name}.crop=[28,44,32]" for name in PATCHES),
        "jigsaw.jitter=1",
        "rpl.jitter=1",
        "rpl.batch_size=16",
        "cpc.patch=12",
        "cpc.batch_size=4",
        # their views are more voxels: so no pretraining takes longer than 200 steps of fine-tuning
        "cpc.steps=300",
        "exemplar.steps=300",
    ),
    long_steps=200,
    finetuning=Training(steps=150, batch_size=4, lr=8e-3),
    validate_every=30,
    validation=20,
    test=50,
    predictions=1,
)
