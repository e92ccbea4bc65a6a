"""Pretrains encoders on scans nobody has labelled, and measures whether that saves labels."""

__version__ = "0.1.0"
