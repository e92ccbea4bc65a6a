"""Bad input in numbers: what ``fuzz.py`` makes, tries and judges."""
