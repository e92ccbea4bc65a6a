"""What the words of a command line stand for: a recipe, whose fields are its flags."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from scanprior import demo, downstream, pretext
from scanprior.bench import Bench, bench
from scanprior.contracts import InputError, Task
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.doctor import Doctor, run_doctor
from scanprior.recipes.autolabel import Autolabel, autolabel
from scanprior.recipes.crossvalidate import CrossValidate, crossvalidate
from scanprior.recipes.evaluate import Evaluate, run_evaluate
from scanprior.recipes.finetune import Finetune, finetune
from scanprior.recipes.paper import paper
from scanprior.recipes.predict import Predict, predict
from scanprior.recipes.pretrain import Pretrain, pretrain
from scanprior.recipes.probe import Probe, probe
from scanprior.recipes.transfer import Transfer, run_transfer
from scanprior.report import Report, run_report
from scanprior.study import Study, run_study
from scanprior.study.command import command


class Verb(NamedTuple):
    """A recipe, the function that runs it, and its fields that may be given without a flag."""

    kind: type
    run: Callable[[Any], dict[str, Any]]
    positional: tuple[str, ...] = ()
    default: Any = None
    """What flags that are not given mean, where it is not the recipe's own defaults."""
    prefixes: bool = False
    """Whether a flag says which part of the recipe it is of (--finetuning.steps)."""


def verb(name: str, words: list[str]) -> tuple[Verb, list[str]]:
    """The verb called ``name`` and the arguments left for its flags."""
    match name:
        case "doctor":
            return Verb(Doctor, run_doctor, ("source",)), words
        case "prepare":
            return Verb(Prepare, run_prepare, ("source", "store")), words
        case "pretrain":
            task, rest = _named(words, "pretrain", pretext.names())
            kind = _with_task(Pretrain, pretext.find(task))
            default, rest = _paper(kind, task, rest)
            return Verb(kind, pretrain, default=default), rest
        case "finetune":
            task, rest = _named(words, "finetune", downstream.names())
            return Verb(_with_task(Finetune, downstream.find(task)), finetune), rest
        case "crossvalidate":
            task, rest = _named(words, "crossvalidate", ["classification"])
            return Verb(_folds_of(downstream.find(task)), crossvalidate), rest
        case "predict":
            return Verb(Predict, predict, ("run", "source")), words
        case "transfer":
            return Verb(Transfer, run_transfer, ("run",)), words
        case "probe":
            return Verb(Probe, probe, ("run",)), words
        case "autolabel":
            return Verb(Autolabel, autolabel, ("store", "out")), words
        case "evaluate":
            return Verb(Evaluate, run_evaluate, ("predictions", "labels")), words
        case "report":
            return Verb(Report, run_report, ("results",)), words
        case "bench":
            what, rest = _named(words, "bench", ["store", "views", "step"])
            return Verb(Bench, bench), ["--what", what, *rest]
        case "study":
            kind, default, rest = command(words)
            return Verb(kind, run_study, default=default, prefixes=True), rest
        case "demo":
            return Verb(demo.Demo, demo.run_demo), words
    raise InputError(f"there is no command {name!r}; scanprior --help lists them.")


def _with_task(kind: type, task: type[Task]) -> type:
    """The recipe with ``task`` in place of any task: its fields are then flags too."""
    return _narrowed(kind, "task", task, dataclasses.field(default_factory=task))


def _folds_of(task: type[Task]) -> type:
    return _narrowed(CrossValidate, "run", _with_task(Finetune, task), dataclasses.field())


def _narrowed(kind: type, name: str, part: type, default: Any) -> type:
    """``kind`` with ``part`` as the type of its field ``name``."""
    return dataclasses.make_dataclass(
        kind.__name__,
        [(name, part, default)],
        bases=(kind,),
        namespace={"__doc__": kind.__doc__},
        frozen=True,
        kw_only=True,
    )


def _plain(recipe: Any) -> Any:
    """A recipe as it would be written in Python: of the class that :func:`_narrowed` was given."""
    match recipe:
        case Pretrain():
            return Pretrain(**vars(recipe))
        case Finetune():
            return Finetune(**vars(recipe))
        case CrossValidate():
            return CrossValidate(**(vars(recipe) | {"run": _plain(recipe.run)}))
        case Study():
            return Study(**vars(recipe))
    return recipe


def _paper(kind: type, task: str, words: list[str]) -> tuple[Any, list[str]]:
    """The paper's settings where ``--paper 2|3`` asks for them, and the other words."""
    if "--paper" not in words:
        return None, words
    at = words.index("--paper")
    dims = words[at + 1] if at + 1 < len(words) else ""
    if dims not in ("2", "3"):
        raise InputError("--paper takes the paper's settings in 2D or 3D; use 2 or 3 after it.")
    settings = vars(paper(task, int(dims), store=Path(), out=Path()))
    needed = {"store": tyro.MISSING, "out": tyro.MISSING}
    return kind(**(settings | needed)), [*words[:at], *words[at + 2 :]]


def parse(arguments: Sequence[str]) -> tuple[Any, Callable[[Any], dict[str, Any]]]:
    """The recipe that a command line stands for, and the function that runs it.

    Raises:
        InputError: impossible values; unknown flags end the process with code 2 and the known ones.
    """
    chosen, rest = verb(arguments[0], list(arguments[1:]))
    flags: list[str] = []
    for name in chosen.positional:
        if rest and not rest[0].startswith("-"):
            flags += [f"--{name}", rest.pop(0)]
    recipe = tyro.cli(
        chosen.kind,
        prog=f"scanprior {arguments[0]}",
        args=[*flags, *rest],
        default=chosen.default,
        config=() if chosen.prefixes else (tyro.conf.OmitArgPrefixes,),
    )
    return _plain(recipe), chosen.run


def _named(words: list[str], verb_name: str, known: list[str]) -> tuple[str, list[str]]:
    if words and words[0] in ("-h", "--help"):
        print(f"scanprior {verb_name} {'|'.join(known)} [flags]")
        print(f"The flags of each: scanprior {verb_name} {known[0]} --help")
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise InputError(f"{verb_name} what? Use scanprior {verb_name} {'|'.join(known)} ...")
    if words[0] not in known and "." not in words[0]:
        raise InputError(f"{verb_name} knows no {words[0]!r}; use one of {', '.join(known)}.")
    return words[0], words[1:]
