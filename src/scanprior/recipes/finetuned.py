"""A fine-tuned model, read from the folder of its run."""

from pathlib import Path
from typing import Any, Literal

from scanprior import transfer
from scanprior.contracts import InputError, Learner, Task
from scanprior.data.kept import wrong
from scanprior.data.label_names import label_names
from scanprior.data.prepare import Prepare
from scanprior.data.store import Store
from scanprior.saved import load_weights, read_json, thaw

_MODEL = {
    "task": dict,
    "crop": list[int],
    "spacing": list[float],
    "resolved_spacing": list[float] | None,
    "prepared": dict,
}
"""What a fine-tuned model says of itself, beside its encoder's part."""


def weights_of(run: Path, which: Literal["best", "last"] = "best") -> Path:
    """The file of a fine-tuning run's best weights, else of its last."""
    path = run / f"{which}.safetensors"
    return path if path.is_file() else run / "last.safetensors"


def load_finetuned(
    run: Path, which: Literal["best", "last"] = "best"
) -> tuple[Learner, dict[str, Any]]:
    """The best (else the last) model of a fine-tuning run, and what it says of itself.

    Raises :class:`InputError` where the file is missing, damaged, or not such a model.
    """
    path = weights_of(run, which)
    if not path.is_file() and (run / "encoder.safetensors").is_file():
        raise InputError(
            f"{run} is a pretraining, which knows no labels; fine-tune it first: scanprior "
            f"finetune segmentation|classification --store STORE --start {run} --out RUN."
        )
    state, about = load_weights(path)
    transfer.check_about(path, state, about)
    if (said := wrong(_MODEL, about) or _wrong_names(about)) is not None:
        raise InputError(f"{path} is damaged ({said}); copy it again or rerun.")
    try:
        task = thaw(Task, about["task"])
        Prepare.from_json(about["prepared"])
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error
    most = max((max(tensor.shape, default=0) for tensor in state.values()), default=0)
    if getattr(task, "classes", 0) > most + 1:  # a few bytes could ask for all memory there is
        raise InputError(
            f"{path} says that it knows {task.classes} classes, more than it can hold; copy it "
            "again or rerun."
        )
    learner = Learner(task, transfer.build(about))
    try:
        learner.load_state_dict(state)
    except RuntimeError as error:  # tensors that are missing, or of another shape
        raise InputError(
            f"{path} does not hold the model that it describes; copy it again or rerun."
        ) from error
    return learner.eval(), about


def class_names(run: Path, about: dict[str, Any], classes: int) -> tuple[str, ...]:
    """Of the classes 1, 2, ... below ``classes``: as the model has them, else ``class 1``, ...

    A model that is older than its names has those of its store, but only of that very store: at
    the path that the run wrote down there may be another one by now.

    Raises :class:`InputError` where the run's recipe or its store is damaged.
    """
    known = about["label_names"] if "label_names" in about else _names_of_store(run, about)
    return tuple(known.get(str(value), f"class {value}") for value in range(1, classes))


def _names_of_store(run: Path, about: dict[str, Any]) -> dict[str, str]:
    path = run / "recipe.json"
    if not path.is_file():
        return {}
    kept = read_json(path)
    if (said := wrong({"store": str}, kept)) is not None:
        raise InputError(f"{path} is damaged ({said}); restore it, or give --class-names.")
    if not (Path(kept["store"]) / "index.json").is_file():
        return {}
    store = Store(Path(kept["store"]))
    return label_names(store) if store.digest == about.get("data") else {}


def _wrong_names(about: dict[str, Any]) -> str | None:
    """What is wrong with the names of labels; models from before there were any have none."""
    names = about.get("label_names", {})
    return wrong({"label_names": dict}, {"label_names": names}) or wrong(
        dict.fromkeys(names, str), names, "label_names"
    )
