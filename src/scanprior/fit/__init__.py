"""Training: one loop for pretraining, fine-tuning and probing. Start reading in ``loop.py``."""

from scanprior.fit.checkpoint import newest
from scanprior.fit.loop import fit
from scanprior.fit.schedule import Training, learning_rate

__all__ = ["Training", "fit", "learning_rate", "newest"]
