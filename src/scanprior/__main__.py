"""``python -m scanprior``."""

from scanprior.cli import main

main()
