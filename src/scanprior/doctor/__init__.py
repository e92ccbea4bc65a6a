"""``scanprior doctor``: what is wrong with a source or a store, before any work is done on it."""

from scanprior.doctor.run import Doctor, run_doctor

__all__ = ["Doctor", "run_doctor"]
