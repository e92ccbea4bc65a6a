"""What tells the volumes of a DICOM series apart where their slices share a position, and sorts
them: time point, acquisition, echo, b-value, trigger, and the clock's time."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pydicom

Said = Callable[[str, str], Any]
"""A value of a frame, by the sequence that holds it in a multi-frame file, and its name."""


class Order(NamedTuple):
    """A frame's place among those at its position; numbers are 0 where the header says nothing."""

    kind: str
    """The image type's words."""
    time_point: float
    acquisition: float
    echo: float
    b_value: float
    trigger: float
    acquired: float
    """In seconds: of the day, or since the year 1 where a date is said."""
    content: float
    """The same of the image's making."""
    instance: float
    frame: int


def order_of(data: pydicom.Dataset, said: Said, kind: list[str], number: int | None) -> Order:
    """The order of a file's frame ``number``. Raises ``ValueError`` for a number that is none."""
    return Order(
        kind="\\".join(kind),
        time_point=first_number(
            said("FrameContentSequence", "TemporalPositionIndex"),
            data.get("TemporalPositionIdentifier"),
        ),
        acquisition=first_number(data.get("AcquisitionNumber")),
        echo=first_number(said("MREchoSequence", "EffectiveEchoTime"), data.get("EchoTime")),
        b_value=first_number(
            said("MRDiffusionSequence", "DiffusionBValue"), data.get("DiffusionBValue")
        ),
        trigger=first_number(
            said("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
            data.get("TriggerTime"),
        ),
        acquired=_acquired(data, said("FrameContentSequence", "FrameAcquisitionDateTime")),
        content=_seconds(data.get("ContentDate"), data.get("ContentTime")),
        instance=first_number(data.get("InstanceNumber")),
        frame=number or 0,
    )


def first_number(*values: Any) -> float:
    """The first that is there; 0 where none is."""
    first = next((value for value in values if value is not None and value != ""), 0.0)
    return float(first)


def _acquired(data: pydicom.Dataset, of_frame: Any) -> float:
    moment = str(of_frame or data.get("AcquisitionDateTime") or "")
    if moment:
        return _seconds(moment[:8], moment[8:])
    return _seconds(data.get("AcquisitionDate"), data.get("AcquisitionTime"))


def _seconds(day: Any, time: Any) -> float:
    """Of DICOM's ``YYYYMMDD`` and ``hhmmss.f`` (PS3.5 6.2), with separators or without.

    What is no date or time counts as none: a clock's odd writing must not cost the scan.
    """
    clock = re.match(r"(\d\d)(\d\d)?(\d\d(?:\.\d+)?)?", re.sub(r"[\s:]", "", str(time or "")))
    hours, minutes, seconds = clock.groups("0") if clock else ("0", "0", "0")
    try:
        days = dt.date.fromisoformat(re.sub(r"\D", "", str(day or ""))).toordinal()
    except ValueError:
        days = 0
    return days * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
