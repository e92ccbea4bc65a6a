"""The command line: what a person or script is told, and the exit code."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from scanprior import __version__

USAGE = """\
scanprior: pretrain on scans nobody has labelled, fine-tune on few that are, measure what it saved

  scanprior doctor SOURCE|STORE [--out DIR] [--fix DIR]
                                                       what is wrong with it, before any work
  scanprior prepare SOURCE STORE                       scans to a store, once
  scanprior pretrain TASK --store STORE --out RUN      cpc, exemplar, jigsaw, rotation, rpl,
                                                       voxels; --paper 2|3: settings of the paper
  scanprior finetune segmentation|classification --store STORE --start scratch|RUN --out RUN
                                                       [--labels N]
  scanprior crossvalidate classification --store STORE --out DIR [--folds 5]
                                                       every image graded by a fold without it
  scanprior predict RUN SOURCE --out DIR [--dicom-seg]
                                                       label maps on the scans' own grids, or grades
  scanprior autolabel STORE OUT                        tissue classes for a supervised start
  scanprior probe scratch|RUN --store STORE --out FILE grades read off frozen embeddings
  scanprior transfer RUN [--channels-to N]             what a start gives, tensor by tensor
  scanprior evaluate PREDICTIONS LABELS --out FILE     Dice, HD95, NSD, or kappa, accuracy, AUC,
                                                       with intervals
  scanprior study [classification|FILE.py] --store STORE --out DIR
                                                       starts x labels x seeds on one test set
  scanprior report RESULTS.csv|STUDY [--out DIR]       tables, tests and figures of a study
  scanprior bench store|views|step                     speed, measured side by side
  scanprior demo [--data DIR] [--out DIR]              all of it on real data, in minutes

Add --help to any of them for its flags, --json for one JSON object on the last line, and
--import my_package.my_module for each module of your own that a run's files name.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; bad input is one sentence and exit code 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    to_program = "--json" in words
    words, modules = _modules([word for word in words if word != "--json"])
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return
    if words[0] == "--version":
        print(__version__)
        return
    # only here: these imports take seconds, which help and version need not wait for
    from scanprior.console import plain
    from scanprior.contracts import InputError
    from scanprior.saved import as_json
    from scanprior.verbs import parse

    try:
        for module in modules:
            _import(module)
        recipe, run = parse(words)
        result = run(recipe)
    except InputError as error:
        print(plain(f"scanprior: {error}"), file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # `scanprior ... --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except OSError as error:
        if error.errno is None:  # raised by a program, not by the system
            raise
        said = (
            f"scanprior: {error.filename or 'a file'} cannot be read or written "
            f"({error.strerror}); mend that, then the same command continues."
        )
        print(plain(said), file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("scanprior: interrupted; the same command continues.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    if to_program:
        print(as_json(result, default=str))
    else:
        print("\n".join(plain(line) for line in _lines(result)))
    if result.get("errors"):
        raise SystemExit(2)
    if any(result.get(name) for name in ("rejected", "failures", "unmeasured", "warnings")):
        raise SystemExit(1)


def _lines(result: dict[str, Any]) -> Iterator[str]:
    """What a person reads of a result: a line a value, and one for each entry of a dictionary."""
    for key, value in result.items():
        if isinstance(value, dict) and value:
            yield f"{key}:"
            yield from (f"  {name}: {entry}" for name, entry in value.items())
        elif key != "findings":
            yield f"{key}: {'none' if value == {} else value}"


def _modules(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """``words`` without each ``--import MODULE``, and the modules."""
    rest, modules, left = [], [], iter(words)
    for word in left:
        flag, given, name = word.partition("=")
        if flag == "--import":
            modules.append(name if given else next(left, ""))
        else:
            rest.append(word)
    return rest, modules


def _import(name: str) -> None:
    """Only the user, no file, says what code runs."""
    from scanprior.contracts import InputError

    try:
        import_module(name)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(
            f"--import {name} cannot be done ({error}); name a module, and put its folder on "
            "PYTHONPATH."
        ) from error
