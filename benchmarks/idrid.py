"""Does pretraining save labels on photographs of the retina? IDRiD in five folds.

    scanprior prepare ../shared/data/IDRiD demo/idrid/store --shape 160 160 --crop-foreground \
        --intensity unit
    scanprior study benchmarks/idrid.py
    scanprior report demo/idrid/study --out benchmarks/results/idrid

413 photographs at 160x160, the largest that two cores get through. Seed k of the study tests on
fold k, with images equal byte for byte in one fold; the report puts the folds together.
Pretraining is done once a fold, on the images of the other four, without their grades.
Fine-tuning's learning rate was chosen for scratch at 160x160, of 1e-3 and 4e-3, with 33 of 328
photographs to learn from and the rest to score; voxels' pretraining on the same 328, by a linear
probe; the other five's settings were not chosen. Committed is scratch-long with 10 % only. On a
GPU ran 21 of the 30 pretrainings, and fine-tuning with 100 % in the first four folds. The
committed reports are of copies of results.csv, cells.csv and study.json, so that they show no
photograph.

At 224x224, where patches of cpc are as much larger, with 10 %, on a GPU but for scratch-long:

    scanprior prepare ../shared/data/IDRiD demo/idrid/store-224 --shape 224 224 --crop-foreground \
        --intensity unit
    scanprior study benchmarks/idrid.py --store demo/idrid/store-224 --out demo/idrid/study-224 \
        --crop 224 224 --labels 10% --overrides cpc.patch=48 exemplar.objective=contrastive \
        voxels.points=512 voxels.batch_size=8 voxels.lr=4e-3
    scanprior report demo/idrid/study-224 --out benchmarks/results/idrid-224

Transfer from RetinaMNIST's images, pretrained on at the same size:

    scanprior prepare ../shared/data/retinamnist.npz demo/idrid/retinamnist --shape 160 160 \
        --intensity unit
    scanprior study benchmarks/idrid.py --pretraining-store demo/idrid/retinamnist \
        --out demo/idrid/transfer --labels 10% \
        --starts scratch cpc rpl jigsaw rotation exemplar voxels
    scanprior report demo/idrid/transfer --out benchmarks/results/idrid-from-retinamnist
"""

from pathlib import Path

from scanprior.downstream.classification import Classification
from scanprior.fit import Training
from scanprior.study import Study

FOLDER = Path("demo/idrid")

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", "scratch-long", "cpc", "rpl", "jigsaw", "rotation", "exemplar", "voxels"),
    labels=("5%", "10%", "25%", "50%", "100%"),
    seeds=(0, 1, 2, 3, 4),
    folds=5,
    task=Classification(),
    crop=(160, 160),
    pretraining=Training(steps=600, batch_size=16, lr=1e-3),
    overrides=(
        "cpc.patch=32",
        "exemplar.objective=contrastive",
        "voxels.points=512",
        "voxels.batch_size=8",
        "voxels.lr=4e-3",
    ),
    finetuning=Training(steps=300, batch_size=16, lr=1e-3),
    validate_every=60,
    validation=30,
    predictions=0,
)
