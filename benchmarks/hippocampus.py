"""Does pretraining save labels on hippocampus? The paper's protocol on 200 labelled cases.

    scanprior prepare ../shared/data/Task04_Hippocampus demo/hippocampus/store
    scanprior autolabel demo/hippocampus/store demo/hippocampus/tissue
    scanprior finetune segmentation --store demo/hippocampus/store \
        --out demo/hippocampus/all-labels --validation 0.1 --test 0.25 \
        --crop 32 48 32 --steps 600 --batch-size 4 --lr 8e-3
    scanprior study benchmarks/hippocampus.py
    scanprior report demo/hippocampus/study --out benchmarks/results/hippocampus

50 test cases are held out for all of it; 20 draw the convergence curve; the other 130 are the pool
that labels are taken from. Pretraining sees the 280 images that are no test cases. What is chosen
(crop and learning rate of fine-tuning; steps, batch and crop of each pretraining) was chosen on
validation cases, the fine-tuning's for scratch, and fine-tuning is the same for all starts. How
voxels is pretrained, its rate too, was chosen on the other cases of the pool.

The committed results.csv.gz is the study's results.csv, packed, which report reads too.

``all-labels`` is no pretext task: its encoder was trained on the label maps of the whole pool. It
tells how much any encoder can give here. A pretraining on slices takes about as long as its
counterpart on volumes, not as many voxels; of the rates 8e-3, 1.6e-2 and 3.2e-2 scratch on slices
ended highest with the first too (one seed, 10 labels, on validation cases).

The study can be stopped and goes on. Committed are three seeds of every start with 3, 5, 10 and 20
labels, and of those on volumes, but for scratch-long, with 75 and 130 too, which is the pool; five
more of these with 5 and 10, and of scratch and voxels with 3.
The pretrainings on volumes, and those on slices but for voxels, are of the code before views were
drawn in full precision under bf16.
"""

from pathlib import Path

from scanprior.fit import Training
from scanprior.study import Study

FOLDER = Path("demo/hippocampus")
TASKS = ("cpc", "rpl", "jigsaw", "rotation", "exemplar", "voxels")
SLICES = tuple(f"{name}-2d" for name in TASKS)

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    split=FOLDER / "store" / "split.json",
    starts=(
        "scratch",
        "scratch-long",
        f"all-labels=run:{FOLDER / 'all-labels'}",
        "supervised",
        *TASKS,
        "scratch-2d",
        *SLICES,
    ),
    labels=(3, 5, 10, 20, 75, 130),
    seeds=(0, 1, 2, 3, 4, 5, 6, 7),
    crop=(32, 48, 32),
    supervised=FOLDER / "tissue",
    pretraining=Training(steps=1200, batch_size=8, lr=1e-3),
    # no volume is padded for a pretext task: an empty border would give places away
    overrides=(
        *(f"{name}.crop=[28,44,32]" for name in TASKS),
        *(f"{name}.crop=[44,32]" for name in SLICES),
        *(f"{name}.batch_size=64" for name in SLICES),
        # a step of these has more or larger views, or learns what they teach sooner
        "cpc.steps=600",
        "cpc.batch_size=4",
        "cpc.patch=12",
        "rpl.batch_size=16",
        "rpl.jitter=1",
        "jigsaw.jitter=1",
        "exemplar.steps=600",
        "exemplar.batch_size=16",
        "exemplar.objective=contrastive",
        "cpc-2d.steps=600",
        "cpc-2d.patch=12",
        "rpl-2d.jitter=1",
        "jigsaw-2d.jitter=1",
        "exemplar-2d.steps=600",
        "exemplar-2d.objective=contrastive",
        "voxels.steps=600",
        "voxels.batch_size=4",
        "voxels.lr=4e-3",
        "voxels-2d.steps=600",
        "voxels-2d.lr=4e-3",
        "supervised.steps=600",
        "supervised.batch_size=4",
        "supervised.lr=8e-3",
    ),
    finetuning=Training(steps=150, batch_size=4, lr=8e-3),
    long_steps=450,  # 600 in all, four times the others': longer than most pretrainings take
    validate_every=30,
    validation=20,
    test=50,
    predictions=1,
)
