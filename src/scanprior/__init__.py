"""Turns scans nobody has labelled into encoders that need fewer labels."""

__version__ = "0.1.0"
