"""What the labels of a store are called."""

from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.kept import wrong
from scanprior.data.sources.decathlon import declared
from scanprior.data.store import Store


def label_names(store: Store) -> dict[str, str]:
    """Label value to name, background left out, as far as they are known.

    Raises :class:`InputError` where the store's index is damaged there.
    """
    if "labels" in store.header:
        kept = store.header["labels"]
        said = wrong(dict, kept, "labels") or wrong(dict.fromkeys(kept, str), kept, "labels")
        if said is not None:
            raise InputError(
                f"{store.folder / 'index.json'} is damaged ({said}); prepare the store anew."
            )
        return dict(kept)
    # prepared before an index held them
    source = store.header["recipe"].get("source")
    if not source or "autolabel" in store.header:  # whose classes are tissues
        return {}
    return source_names(Path(source))


def source_names(source: Path) -> dict[str, str]:
    """The same of the ``dataset.json`` in a source, where there is one, each in one line that can
    be written: names are a help, and nothing needs them."""
    named = ((value, _line(name)) for value, name in sorted(declared(source).labels.items()))
    return {str(value): name for value, name in named if value and name}


def _line(name: str) -> str:
    """Without what breaks lines or is no character (half of a pair, say)."""
    return "".join(c for c in " ".join(name.split()) if c.isprintable())
