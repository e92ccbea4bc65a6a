"""Corrected copies where nothing but rounding is wrong. The source is only ever read."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from scanprior.contracts import InputError
from scanprior.data.below import below, inside
from scanprior.data.checks import raw, rules
from scanprior.data.checks.findings import Finding
from scanprior.data.checks.look import members, shortly
from scanprior.data.checks.seen import Seen
from scanprior.data.files import BROKEN, NIBABEL, SITK, read_affine, read_label, suffix
from scanprior.data.itk import itk_header
from scanprior.data.sources import Case
from scanprior.data.sources.case import from_files
from scanprior.whole import HALF

_UNTOLD = "[UNKNOWN"
"""SimpleITK's words for metadata that is no text: a measurement frame, which no label map needs."""
_FLIP = np.diag([-1.0, -1.0, 1.0])  # RAS to ITK's LPS


def mendable(seen: Sequence[Seen]) -> set[str]:
    """Cases with a finding that a copy corrects, and none that keeps them from being used."""
    return {
        one.id
        for one in seen
        if any(finding.check in ("grid noise", "float label") for finding in one.findings)
        and all(finding.severity != "error" for finding in one.findings)
    }


def fix(case: Case, base: Path, folder: Path) -> tuple[list[Path], list[Finding]]:
    """Write to ``folder``, under their paths below ``base``, the files of ``case`` that need it.

    A further channel or label map whose grid differs from the first image's by rounding gets that
    image's geometry; a label map that is stored as fractions becomes whole numbers. Values and
    everything else stay as they are. Each copy is read again before it gets its name.

    Returns the copies, and why there is none where one is not what it should be, or cannot be
    written.
    """
    written: list[Path] = []
    refused: list[Finding] = []
    if case.load is not from_files:
        return written, refused
    files = members(case)
    names = {path: below(path, base) for path in files}

    def refusal(path: Path, error: InputError) -> Finding:
        said = shortly(error, names | {folder: folder.name})
        return Finding("not corrected", "error", names[path], said, (case.id,))

    try:
        image, _ = case.read()
        geometry, *others = [read_affine(path) for path in files]
    except InputError as error:  # it could be read a moment ago
        return written, [refusal(files[0], error)]
    for path, mine in zip(files[1:], others, strict=True):
        if geometry is None or mine is None:
            continue
        voxels = rules.apart(geometry, mine, image.shape)
        noisy = rules.NOISE < voxels <= rules.TOLERANCE
        header = raw.header(path)
        fractional = path == case.label and header is not None and header.fractional
        if not noisy and not fractional:
            continue
        affine = geometry if noisy else mine
        try:
            whole = read_label(path).array[0] if fractional else None  # as it lies in the file
            target = _target(path, base, folder)
            _copy(path, target, affine, whole)
            written.append(target)
        except InputError as error:
            refused.append(refusal(path, error))
    return written, refused


def _target(path: Path, base: Path, folder: Path) -> Path:
    """Where the copy of ``path`` goes, which is below ``folder``, and not where ``path`` leads."""
    own = inside(path, base)
    if own is None:
        raise InputError(f"{path} lies outside the source; copy and correct it by hand.")
    target = folder / own
    if not target.resolve().is_relative_to(folder.resolve()) or target.resolve() == path.resolve():
        raise InputError(f"the copy of {path} would lie elsewhere; give another --fix.")
    return target


def _copy(path: Path, target: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    """``path`` with another geometry, and with ``whole`` (array order) in place of its values.

    It is written in a folder of its own under its own name, because a header names its data.
    """
    with _saying(f"the copy of {path} cannot be written", "give another --fix"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=HALF, dir=target.parent) as folder:
            copy = Path(folder) / target.name
            if suffix(path) in NIBABEL:
                _copy_nibabel(path, copy, affine, whole)
            elif suffix(path) in SITK:
                _copy_itk(path, copy, affine, whole)
            _compare(path, copy, affine, whole)
            # The data of a header comes first: a header that is there is whole.
            for part in sorted(Path(folder).iterdir(), key=lambda part: part == copy):
                os.replace(part, target.with_name(part.name))


@contextmanager
def _saying(what: str, do: str) -> Iterator[None]:
    """Make what a library, or the disk, raises one sentence."""
    try:
        yield
    except BROKEN as error:
        system = error.strerror if isinstance(error, OSError) else None  # without a path
        said = " ".join((system or str(error)).split())[:200]
        raise InputError(f"{what} ({said}); {do}.") from error


def _reading(path: Path) -> AbstractContextManager[None]:
    return _saying(f"{path} cannot be read any more", "restore it, or leave it out")


def _copy_nibabel(path: Path, to: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    with _reading(path):
        image = nib.load(path)
        header = image.header.copy()
        proxy = image.dataobj  # pyright: ignore
        data = np.asanyarray(proxy) if whole is None else whole.T
    if whole is not None:
        header.set_data_dtype(whole.dtype)  # pyright: ignore
    if isinstance(header, nib.Nifti1Header):
        if whole is None and (proxy.slope, proxy.inter) != (1, 0):
            header.set_slope_inter(proxy.slope, proxy.inter)  # the same numbers on disk
        # Both ways of saying it agree: readers differ in which they believe.
        header.set_sform(affine, code=max(1, int(header["sform_code"])))
        header.set_qform(affine, code=max(1, int(header["qform_code"])))
    nib.save(type(image)(data.reshape(image.shape), affine, header), to)  # pyright: ignore


def _copy_itk(path: Path, to: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    with _reading(path):
        image = before = itk_header(path).Execute()
    if whole is not None:
        image = sitk.GetImageFromArray(whole)
        told = {key: before.GetMetaData(key) for key in before.GetMetaDataKeys()}
        for key, value in told.items():
            if not value.startswith(_UNTOLD):
                image.SetMetaData(key, value)
    for key in image.GetMetaDataKeys():
        if key.startswith("ITK_"):  # what the reader adds
            image.EraseMetaData(key)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((_FLIP @ affine[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin((_FLIP @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(to), useCompression=True)


def _compare(path: Path, copy: Path, affine: np.ndarray, whole: np.ndarray | None) -> None:
    """Raise :class:`InputError` unless the copy's voxels and grid are what they should be."""
    before, after = raw.numbers(path), raw.numbers(copy)
    kept = read_affine(copy)
    same = before is not None and after is not None and np.array_equal(before, after)
    if whole is not None:
        same = np.array_equal(read_label(copy).array[0], whole)
    shape = () if after is None else after.shape[:3]
    if not same or kept is None or rules.apart(affine, kept, shape) > rules.NOISE:
        raise InputError(f"{path} cannot be copied exactly; correct its header by hand.")
