"""What a file is: DICOM or not, a scan or something else that hospitals keep beside scans."""

from pathlib import Path

import pydicom
from pydicom.uid import UID

from scanprior.data.sources.dicom_names import HeaderError

ENDINGS = (".dcm", ".dicom", ".ima")
_FIRST_TAGS = tuple(  # of a file without preamble: group 0002 or 0008, both byte orders
    bytes(tag)
    for group in (2, 8)
    for element in (0, 1, 2, 3, 5, 8, 16, 18, 20, 22, 24)
    for tag in ((group, 0, element, 0), (0, group, 0, element))
)
SEGMENTATION = "segmentation"
_NO_SCAN = {
    "1.2.840.10008.5.1.4.1.1.66.4": SEGMENTATION,
    "1.2.840.10008.5.1.4.1.1.66.7": "label map segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "radiotherapy dose",
    "1.2.840.10008.1.3.10": "directory",
}
_SCREEN = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture; its multi-frame kinds begin alike
_MODALITIES = (
    # of PS3.3 C.7.3.1.1.1 those that take images, retired ones too
    *("BDUS", "BI", "BMD", "CFM", "CR", "CT", "DF", "DG", "DMS", "DS", "DX"),
    *("ES", "FA", "FS", "GM", "IO", "IVOCT", "IVUS", "LS", "MG", "MR", "NM"),
    *("OAM", "OCT", "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OSS", "OT"),
    *("PA", "PT", "PX", "RF", "RG", "RTIMAGE", "SC", "SM", "ST", "TG"),
    *("US", "XA", "XC"),
)
_SECTIONS = ("CT", "MR", "PT", "NM")


def is_dicom(path: Path) -> bool:
    """Whether a file calls itself DICOM by its ending, its magic word or its first tag."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return path.name.lower().endswith(ENDINGS)
    return (
        head[128:132] == b"DICM" or path.name.lower().endswith(ENDINGS) or head[:4] in _FIRST_TAGS
    )


def kind_of_no_scan(data: pydicom.Dataset, kind: str) -> str | None:
    """The word for what is left out, by its SOP class ``kind`` and its header; None for a scan.

    Raises ``HeaderError`` for an image without size: a file that was cut short.
    """
    if kind in _NO_SCAN:
        return _NO_SCAN[kind]
    if not data.get("Rows") or not data.get("Columns"):
        if "Image Storage" in UID(kind).name:
            raise HeaderError("an image without its size")
        return "report or other object without an image"
    if "LOCALIZER" in image_type(data):
        return "localiser"
    cut = str(data.get("Modality", "")) in _SECTIONS
    if kind.startswith(_SCREEN) and cut and "ImagePositionPatient" not in data:
        return "screen capture"
    return None


def modality_of(data: pydicom.Dataset) -> str:
    """The modality, ``OT`` (other) for one that DICOM does not define: a name may stand there."""
    said = str(data.get("Modality", "")).strip().upper()
    return said if said in _MODALITIES else "OT"


def image_type(data: pydicom.Dataset) -> list[str]:
    said = data.get("ImageType") or []
    return [said.upper()] if isinstance(said, str) else [str(word).upper() for word in said]
