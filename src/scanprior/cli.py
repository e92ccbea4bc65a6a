"""The command line: a recipe's fields are its flags."""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from scanprior import __version__, demo, downstream, pretext
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

USAGE = """\
scanprior: pretrain on scans nobody has labelled, fine-tune on few that are, measure what it saved

  scanprior doctor SOURCE|STORE [--out DIR] [--fix DIR]
                                                       what is wrong with it, before any work
  scanprior prepare SOURCE STORE                       scans to a store, once
  scanprior pretrain TASK --store STORE --out RUN      cpc, exemplar, jigsaw, rotation, rpl;
                                                       --paper 2|3 takes the paper's settings
  scanprior finetune segmentation|classification --store STORE --start scratch|RUN --out RUN
                                                       [--labels N]
  scanprior crossvalidate classification --store STORE --out DIR [--folds 5]
                                                       every image graded by a fold without it
  scanprior predict RUN SOURCE --out DIR               label maps on the scans' own grids, or grades
  scanprior autolabel STORE OUT                        tissue classes for a supervised start
  scanprior probe scratch|RUN --store STORE --out FILE grades read off frozen embeddings
  scanprior transfer RUN [--channels-to N]             what a start gives, tensor by tensor
  scanprior evaluate PREDICTIONS LABELS --out FILE     Dice, HD95, NSD, or kappa, accuracy, AUC,
                                                       with intervals
  scanprior study [FILE.py] --store STORE --out DIR    starts x labels x seeds on one test set
  scanprior report RESULTS.csv|STUDY [--out DIR]       tables, tests and figures of a study
  scanprior bench store|views|step                     speed, measured side by side
  scanprior demo [--data DIR] [--out DIR]              all of it on real data, in minutes

Add --help to any of them for its flags, and --json for one JSON object on the last line.
"""


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; bad input is one sentence and exit code 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return
    if words[0] == "--version":
        print(__version__)
        return
    as_json = "--json" in words
    try:
        recipe, run = parse([word for word in words if word != "--json"])
        result = run(recipe)
    except InputError as error:
        print(f"scanprior: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # `scanprior ... --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except KeyboardInterrupt:
        print("scanprior: interrupted; the same command continues.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    if as_json:
        print(json.dumps(result, default=str))
    else:
        shown = ((key, value) for key, value in result.items() if key != "findings")
        print("\n".join(f"{key}: {value}" for key, value in shown))
    if result.get("errors"):
        raise SystemExit(2)
    if result.get("rejected") or result.get("failures") or result.get("warnings"):
        raise SystemExit(1)


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
