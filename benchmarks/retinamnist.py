"""Does pretraining save labels on small photographs of the retina? RetinaMNIST's official split.

    scanprior prepare ../shared/data/retinamnist.npz demo/retinamnist/store --shape 32 32 \
        --intensity unit
    scanprior study benchmarks/retinamnist.py
    scanprior report demo/retinamnist/study --out benchmarks/results/retinamnist

The committed results.csv.gz is the study's results.csv, packed, which report reads too.

1080 images to take labels from, 120 that draw the convergence curve, 400 to test on, 28x28 pixels
each, brought to 32x32, which the encoder can halve. Pretraining sees the 1200 images that are not
tested on, without their grades. Fine-tuning's learning rate was chosen for scratch, of 1e-3 and
4e-3, on the 120.
"""

from pathlib import Path

from scanprior.downstream.classification import Classification
from scanprior.fit import Training
from scanprior.study import Study

FOLDER = Path("demo/retinamnist")

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", "cpc", "rpl", "jigsaw", "rotation", "exemplar"),
    labels=("5%", "10%", "25%", "50%", "100%"),
    seeds=(0, 1, 2),
    task=Classification(),
    crop=(32, 32),
    pretraining=Training(steps=800, batch_size=32, lr=1e-3),
    overrides=(
        # patches of a small picture are small: less jitter, so that they show something
        "cpc.patch=8",
        "rpl.jitter=1",
        "jigsaw.jitter=1",
        "exemplar.objective=contrastive",
    ),
    finetuning=Training(steps=400, batch_size=32, lr=4e-3),
    validate_every=50,
    predictions=0,
)
