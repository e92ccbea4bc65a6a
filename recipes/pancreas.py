r"""Pancreas and its tumours in CT, section 4.2 of the paper: pretrained on the same scans.

    scanprior prepare data/Task07_Pancreas runs/pancreas/store \
        --crop-foreground --shape 128 128 128 --intensity window --window -100 240
    scanprior study recipes/pancreas.py --dry-run
    scanprior study recipes/pancreas.py
    scanprior report runs/pancreas/study

Data. data/Task07_Pancreas: the Medical Segmentation Decathlon's task 7 (medicaldecathlon.com,
CC-BY-SA 4.0): 281 labelled scans (1 pancreas, 2 tumour) and 139 without labels, 420 together as in
the paper.

Preparation. 128^3 and [0, 1] as in the paper, which does not say how Hounsfield units get there:
here by the window from -100 to 240, usual for the pancreas. The paper cuts to the body for
pretraining only; here fine-tuning sees the same picture. Scores are of label maps of 128^3, larger
voxels than the scans have: for scores on a scan's own grid, `scanprior predict` a cell's folder on
the scans and `scanprior evaluate` the result.

Protocol. 57 of the labelled scans (20 %) are held out from pretraining and fine-tuning (the paper
does so too and does not say how many); 24 draw the convergence curve, 200 are the pool. Dice of
pancreas and tumour, also HD95 and NSD.

Training. As the paper: the residual U-Net of 32 to 512 filters, Adam at 1e-3 for pretraining and
1e-5 for fine-tuning, the encoder frozen for the first 25 epochs of the 200 scans. Ours, since the
paper does not say: batch sizes, 100,000 steps of pretraining, 400 epochs of the 200 scans for every
number of labels, all starts alike. Scratch with the pretraining's compute added is ours too. 1e-5
suits a pretrained encoder better than a random one: before a gain is believed, let scratch have its
own rate too, chosen by the validation curve and without the pretrainings' overrides:

    scanprior study recipes/pancreas.py --starts scratch --overrides \
        --finetuning.lr 1e-3 --out runs/pancreas/scratch

Hardware and time: not measured, and the paper's main text does not name its own. One GPU of 40 GB
or more is our guess of what 128^3 crops need; less holds them with --finetuning.accumulation 2 and
--pretraining.accumulation 4. 165 cells of 40,000 steps, 15 of scratch-long, of 440,000, and 10
pretrainings will be weeks on one GPU, we expect: --dry-run tells how many on yours, --executor
slurm spreads them.

The paper shows curves (Figures 3 and 5) and gives no numbers in its main text: 3D tasks beat
scratch by a margin at 5 and 10 % of the labels, and on all labels are far ahead within the first 20
epochs. A user of its code could not reproduce the gains (issue 27 of that repository).
"""

from pathlib import Path

from scanprior.recipes.paper import CROP, FINETUNING_RATE, LEARNING_RATE, STARTS, adam, overrides
from scanprior.study import Study

FOLDER = Path("runs/pancreas")
BATCH = 2
EPOCH = 200 // BATCH
"""Steps of an epoch of the whole pool."""

study = Study(
    store=FOLDER / "store",
    out=FOLDER / "study",
    starts=("scratch", "scratch-long", *STARTS),
    labels=("5%", "10%", "25%", "50%", "100%"),
    seeds=(0, 1, 2),
    encoder="paper",
    crop=CROP[3],
    pretraining=adam(LEARNING_RATE[3], steps=100_000, batch_size=8),
    overrides=overrides(*STARTS),
    finetuning=adam(FINETUNING_RATE[3], steps=400 * EPOCH, batch_size=BATCH),
    frozen_steps=25 * EPOCH,
    validate_every=5 * EPOCH,
    validation=24,
    test=57,
)
