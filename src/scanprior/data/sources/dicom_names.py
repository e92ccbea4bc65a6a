"""What a DICOM file may be called outside the hospital: hashes, and paths without the patient.

Nothing that these functions return holds a patient's name, number or date. A hash without salt can
be guessed back from a list of patient numbers; set the environment variable ``SCANPRIOR_SALT`` to a
secret, always the same one, where stores leave the house.
"""

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation

from scanprior.data.below import base_of

_NAMING = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDate",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ContentDate",
    "InstanceCreationDate",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
)


class HeaderError(ValueError):
    """A file contradicts itself; the words are ours, so that they may be repeated."""


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom and highdicom without their warnings, on either way, which repeat a header's
    values."""
    logs = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def reason(error: BaseException) -> str:
    """Why a file cannot be read, without pydicom's words, which may repeat a header's values."""
    return str(error) if isinstance(error, HeaderError) else f"{type(error).__name__}, damaged"


def hashed(*parts: object, length: int = 12) -> str:
    """A short name for ``parts`` that does not say what they are; the same one every time."""
    told = "\n".join([os.environ.get("SCANPRIOR_SALT", ""), *map(str, parts)])
    return hashlib.sha256(told.encode()).hexdigest()[:length]


def image_hash(uid: object) -> str:
    """What a SOP instance is called."""
    return hashed("image", uid, length=16)


def naming_words(header: pydicom.Dataset) -> frozenset[str]:
    """The words of a header that say who was scanned and when: letters and digits, lower case."""
    words: set[str] = set()
    for name in _NAMING:
        text = str(header.get(name, "") or "")
        words.update(_plain(word) for word in (text, *re.split(r"[\s^=\\,]+", text)))
        if name.endswith("DateTime"):
            words.add(_plain(text)[:8])
    return frozenset(word for word in words if len(word) > 1)


def shown(path: Path, source: Path, words: frozenset[str]) -> str:
    """``path`` below ``source``, each folder and file name with one of ``words`` in it hashed."""
    base = base_of(source)
    return "/".join(
        f"~{hashed(part, length=10)}" if _tells(part, words) else part
        for part in path.relative_to(base).parts
    )


def _tells(part: str, words: frozenset[str]) -> bool:
    whole = _plain(part)
    tokens = {_plain(token) for token in re.split(r"[\W_]+", part)}
    return any(word in tokens or (len(word) > 3 and word in whole) for word in words)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
