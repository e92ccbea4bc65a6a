"""What a record says of where a volume came from, and what was odd there."""

from pathlib import Path
from typing import Any

from scanprior.data.checks.look import Look
from scanprior.data.checks.seen import voxel_hash
from scanprior.data.image import Image
from scanprior.data.pairs import parts
from scanprior.data.sources import Case
from scanprior.data.sources.case import file_hash
from scanprior.data.unnamed import kept_images, kept_label


def provenance(case: Case, source: Path, image: Image, looked: Look) -> dict[str, Any]:
    """Of ``case`` and its ``image``, as it was read and ``looked`` at.

    ``hashed`` says what ``sha256`` is of. Raises ``OSError`` where a file is gone.
    """
    names = kept_images(case, source)
    files, voxels = case.file_hashes(), voxel_hash(image.array)
    return {
        "id": case.id,
        "patient": case.patient,
        "grade": case.grade,
        "partition": case.partition,
        "source": names[0] if len(names) == 1 else names,
        "sha256": files or voxels,
        "hashed": "files" if files else "voxels",
        "label_source": kept_label(case, source),
        "label_sha256": None if case.label is None else file_hash(*parts(case.label)),
        "looked": {
            "voxels": voxels,
            "label": None if looked.label is None else voxel_hash(looked.label.array),
            "warnings": [finding.to_json() for finding in looked.findings],
        },
    }
