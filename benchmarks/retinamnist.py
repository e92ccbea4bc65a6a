"""Does pretraining save labels on small photographs of the retina? RetinaMNIST's official split.

    scanprior prepare ../shared/data/retinamnist.npz demo/retinamnist/store --shape 32 32 \
        --intensity unit
    scanprior study benchmarks/retinamnist.py
    scanprior report demo/retinamnist/study --out benchmarks/results/retinamnist

Transfer from IDRiD's photographs, pretrained on at the same size:

    scanprior prepare ../shared/data/IDRiD demo/retinamnist/idrid --shape 32 32 \
        --crop-foreground --intensity unit
    scanprior study benchmarks/retinamnist.py --pretraining-store demo/retinamnist/idrid \
        --out demo/retinamnist/transfer --labels 10%
    scanprior report demo/retinamnist/transfer --out benchmarks/results/retinamnist-from-idrid

The committed results.csv.gz is the study's results.csv, packed, which report reads too.

1080 images to take labels from, 120 that draw the convergence curve, 400 to test on, 28x28 pixels
each, brought to 32x32, which the encoder can halve. Pretraining sees the 1200 images that are not
tested on, without their grades. Fine-tuning's learning rate (of 1e-3 and 4e-3) and angles (of 15
and 180 degrees) were chosen for scratch, with 108 of the 1200 to learn from and the rest to score,
and are the same for all starts. How voxels is pretrained was chosen on the same 1200, by a linear
probe; the other five's settings were not. None of the 400 was used for a choice.
"""

from pathlib import Path

from scanprior.downstream.classification import Classification
from scanprior.fit import Training
from scanprior.nn.augment import Augment
from scanprior.study import Study

FOLDER = Path("demo/retinamnist")

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", "cpc", "rpl", "jigsaw", "rotation", "exemplar", "voxels"),
    labels=("5%", "10%", "25%", "50%", "100%"),
    seeds=(0, 1, 2),
    task=Classification(augment=Augment(rotation=180.0)),  # any side may be up
    crop=(32, 32),
    pretraining=Training(steps=800, batch_size=32, lr=1e-3),
    overrides=(
        # patches of a small picture are small: less jitter, so that they show something
        "cpc.patch=8",
        "rpl.jitter=1",
        "jigsaw.jitter=1",
        "exemplar.objective=contrastive",
        "voxels.points=64",
        "voxels.lr=4e-3",
    ),
    finetuning=Training(steps=400, batch_size=32, lr=1e-3),
    validate_every=50,
    predictions=0,
)
