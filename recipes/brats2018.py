r"""Brain tumours, section 4.1 of the paper: pretrained on UK Biobank, fine-tuned on BraTS 2018.

    scanprior prepare data/biobank runs/brats2018/biobank \
        --modalities T1_unbiased_brain T2_FLAIR_unbiased_brain --label T1_brain_seg \
        --crop-foreground --shape 128 128 128 --intensity unit
    scanprior prepare data/brats2018 runs/brats2018/store \
        --modalities t1 flair t1ce t2 --label seg --patient '(.+)_\d+$' \
        --crop-foreground --intensity unit
    scanprior study recipes/brats2018.py --dry-run
    scanprior study recipes/brats2018.py
    scanprior report runs/brats2018/study

Data. data/biobank: UK Biobank's fields 20252 and 20253 (T1, T2-FLAIR registered to it), unzipped, a
folder a person; about 22,000 in the paper. data/brats2018: MICCAI_BraTS_2018_Data_Training with its
folders HGG and LGG, 285 cases, labels 1 (necrosis), 2 (oedema) and 4 (enhancing). Neither is free
to pass on: ask UK Biobank and CBICA for them.

Preparation. As in the paper, pretraining sees brains cut to their box, resized to 128^3, in [0, 1].
BraTS keeps its own voxels of 1 mm, so that scores are in the data's own geometry; only the empty
surroundings of the brain are cut away. Training crops are 128^3.

Channels. Pretrained on (T1, FLAIR), fine-tuned on (t1, flair, t1ce, t2): the two channels' input
weights are repeated, so that each new channel starts from the like of it.

Starts. Scratch; scratch with the pretraining's compute added, which the paper lacks; the five tasks
in 3D and on slices; supervised pretraining on FSL-FAST's three tissues, which UK Biobank delivers
(T1_fast/T1_brain_seg; for scans without, `scanprior autolabel` makes a store of the like).

Protocol. 57 cases (20 %) are held out: the challenge's 66 validation cases have no public labels,
so numbers are not comparable to Table 1 digit by digit; `scanprior predict` on a cell's folder
makes label maps for the challenge's server, where that is open. 28 cases draw the convergence
curve, 200 are the pool. Dice, HD95 and NSD of ET (4), TC (1, 4) and WT (1, 2, 4).

Training. As the paper: the residual U-Net of 32 to 512 filters, Adam at 1e-3 for pretraining and
1e-5 for fine-tuning, the encoder frozen for the first 25 epochs of the 200 cases. Ours, since the
paper does not say: batch sizes, 100,000 steps of pretraining, 400 epochs of the 200 cases for every
number of labels, all starts alike. 1e-5 suits a pretrained encoder better than a random one: before
a gain is believed, let scratch have its own rate too, chosen by the validation curve and without
the pretrainings' overrides:

    scanprior study recipes/brats2018.py --starts scratch --overrides \
        --finetuning.lr 1e-3 --out runs/brats2018/scratch

Hardware and time: not measured, and the paper's main text does not name its own. One GPU of 40 GB
or more is our guess of what 128^3 crops need; less holds them with --finetuning.accumulation 2 and
--pretraining.accumulation 4. 144 cells of 40,000 steps, 12 of scratch-long, of 440,000, and 11
pretrainings will be weeks on one GPU, we expect: --dry-run tells how many on yours, --executor
slurm spreads them.

The paper's Dice at 100 % of the labels (Table 1), in %:

    start               ET     WT     TC
    scratch          76.38  87.82  83.11
    supervised       78.88  90.11  84.92
    cpc              80.83  89.88  85.11
    rpl              81.28  90.71  86.12
    jigsaw           79.66  89.20  82.52
    rotation         80.21  89.63  84.75
    exemplar         79.46  90.80  83.87
    cpc-2d           76.60  86.27  82.41
    rpl-2d           77.53  87.91  82.56
    jigsaw-2d        76.12  86.28  83.26
    rotation-2d      76.60  88.78  82.41
    exemplar-2d      75.22  84.82  81.87
"""

from pathlib import Path

from scanprior.recipes.paper import CROP, FINETUNING_RATE, LEARNING_RATE, STARTS, adam, overrides
from scanprior.study import Study

FOLDER = Path("runs/brats2018")
BATCH = 2
EPOCH = 200 // BATCH
"""Steps of an epoch of the whole pool."""

study = Study(
    store=FOLDER / "store",
    pretraining_store=FOLDER / "biobank",
    supervised=FOLDER / "biobank",
    out=FOLDER / "study",
    starts=("scratch", "scratch-long", "supervised", *STARTS),
    labels=("10%", "25%", "50%", "100%"),
    seeds=(0, 1, 2),
    encoder="paper",
    crop=CROP[3],
    pretraining=adam(LEARNING_RATE[3], steps=100_000, batch_size=8),
    overrides=overrides(*STARTS),
    finetuning=adam(FINETUNING_RATE[3], steps=400 * EPOCH, batch_size=BATCH),
    frozen_steps=25 * EPOCH,
    validate_every=20 * EPOCH,
    validation=28,
    test=57,
    regions="brats",
)
