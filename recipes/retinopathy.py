r"""Diabetic retinopathy, section 4.3 of the paper: five grades of photographs of the retina.

    scanprior prepare data/aptos2019 runs/retinopathy/store --grades data/aptos2019/train.csv \
        --crop-foreground --shape 224 224 --intensity unit
    scanprior study recipes/retinopathy.py --dry-run
    scanprior study recipes/retinopathy.py
    scanprior report runs/retinopathy/study

and with UK Biobank's photographs for pretraining, where the paper found more:

    scanprior prepare data/biobank_fundus runs/retinopathy/biobank --patient '^(\d+)_' \
        --crop-foreground --shape 224 224 --intensity unit
    scanprior study recipes/retinopathy.py \
        --pretraining-store runs/retinopathy/biobank --out runs/retinopathy/transfer
    scanprior report runs/retinopathy/transfer

Data. data/aptos2019: Kaggle's aptos2019-blindness-detection, unzipped: 3,662 graded photographs
(train.csv, train_images) and 1,928 without grades (test_images), 5,590 together as in the paper.
data/biobank_fundus: UK Biobank's fields 21015 and 21016, about 170,000 photographs.

Preparation. 224^2 and [0, 1] as in the paper, which cuts to the eye for pretraining only; here
fine-tuning sees the same picture.

Protocol. Quadratic weighted kappa in 5-fold cross-validation, as the paper: seed k of the study
tests on fold k, and the report puts the folds together. Pretraining on Kaggle's photographs is done
once a fold, without the fold's own; the paper's, once on all of them. Files equal byte for byte are
in one fold, but Kaggle does not say which two eyes are one person's: they may be in two. 5, 10, 25,
50 and 100 % of the other four folds, less about 146 photographs that draw the convergence curve.

Training. As the paper: DenseNet-121, Adam at 5e-4 for pretraining and 5e-5 for fine-tuning, the
encoder frozen for the first 5 epochs, the head on its last level. Ours, since the paper does not
say: means over four cells and maxima of that level, batch sizes, 100,000 steps of pretraining, 30
epochs of the whole pool for every number of labels, all starts alike; group norm in place of batch
norm; and scratch with the pretraining's compute added. An independent replication found scratch far
stronger than the paper (kappa 0.60 against 0.01 at 5 % of the labels): before a gain is believed,
let scratch have other rates too, chosen by the validation curve and without the pretrainings'
overrides:

    scanprior study recipes/retinopathy.py --starts scratch --overrides \
        --finetuning.lr 5e-4 --out runs/retinopathy/scratch

Hardware and time: not measured, and the paper's main text does not name its own. DenseNet-121 at
224^2 fits GPUs of 16 GB by our guess. 150 cells of 2,610 steps are short, the 25 of scratch-long
and the 25 pretrainings of 100,000 steps (5 with UK Biobank) are not: --dry-run tells how long on
yours, --executor slurm spreads them.

The paper shows curves (Figures 4 and 6) and gives no numbers in its main text: pretrained starts
beat scratch at few labels, pretraining on UK Biobank beats pretraining on Kaggle's own photographs.
"""

from pathlib import Path

from scanprior.downstream.classification import Classification
from scanprior.recipes.paper import CROP, FINETUNING_RATE, LEARNING_RATE, TASKS, adam, overrides
from scanprior.study import Study

FOLDER = Path("runs/retinopathy")
BATCH = 32
EPOCH = 87
"""Steps of an epoch of the whole pool, some 2,784 photographs."""

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", "scratch-long", *TASKS),
    labels=("5%", "10%", "25%", "50%", "100%"),
    folds=5,
    seeds=(0, 1, 2, 3, 4),
    task=Classification(levels="coarsest"),
    encoder="densenet121",
    crop=CROP[2],
    pretraining=adam(LEARNING_RATE[2], steps=100_000, batch_size=32),
    overrides=overrides(*TASKS),
    finetuning=adam(FINETUNING_RATE[2], steps=30 * EPOCH, batch_size=BATCH),
    frozen_steps=5 * EPOCH,
    validate_every=EPOCH,
    validation=146,
)
