"""What may be asked of the comparison. `benches/compare/run` reads it before it builds anything, so that a slip costs a second and
not half an hour."""

import argparse
import shutil
from pathlib import Path

import machine
from rivals import RIVALS
from training import STEPS

PHASES = {"a": "fixed shapes", "b": "the real length mix", "c": "a training step", "d": "the served path"}
DATA = Path("../shared/data/haikou12345")
# What a model folder must hold to be measured, or begun with.
NEEDED = ("config.json", "tokenizer.json", "model.safetensors")


def number(text: str) -> int:
    """A whole number from 1."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """All options with their help."""
    phases = "; ".join(f"{letter}: {words}" for letter, words in PHASES.items())
    about = "The comparison of paidan with other runtimes; it builds what it needs."
    known = argparse.ArgumentParser(prog="benches/compare/run", description=about, allow_abbrev=False)
    known.add_argument("--threads", type=number, default=2, help="threads, and cores, for everybody (default: 2)")
    known.add_argument("--rounds", type=number, default=5, help="rounds in which all take turns (default: 5)")
    known.add_argument("--quick", action="store_true", help="few rounds, few texts: to see that it works")
    known.add_argument("--only", default="a,b,c,d", help=f"parts to run ({phases})")
    known.add_argument("--rivals", default="", help="only rivals whose name holds one of these words, comma between them")
    known.add_argument("--model", type=Path, default=Path("models/haikou12345"), help="model folder (default: the bundled one)")
    known.add_argument("--base", type=Path, help="folder that the training step begins with (default: the model)")
    known.add_argument("--peer", type=Path, help="text-embeddings-inference's program, to measure it beside the served path")
    known.add_argument("--data", type=Path, help=f"folder with train.jsonl and validation.jsonl (default: {DATA})")
    return known


def names(phases: set) -> list:
    """Who may be chosen from in these parts. Beside the served path there is only `--peer`."""
    rivals = [rival.name for rival in RIVALS] if phases & {"a", "b"} else []
    return list(dict.fromkeys(rivals + (STEPS if "c" in phases else [])))


def fault(options: argparse.Namespace) -> str | None:
    """What is wrong, and what would be right; None if all is well."""
    if unknown := options.phases - set(PHASES):
        return f"--only: {', '.join(map(repr, sorted(unknown)))} is not known; there are {', '.join(PHASES)}"
    there = names(options.phases)
    for word in options.words:
        if not any(word in name.lower() for name in there):
            parts = ",".join(sorted(options.phases))
            return f"--rivals: no name holds {word!r}; parts {parts} have {', '.join(there) or 'nobody to choose from'}"
    for flag, folder in (("--model", options.model), ("--base", options.base)):
        if folder and not folder.is_dir():
            return f"{flag}: there is no folder {folder}"
        if folder and (missing := [name for name in NEEDED if not (folder / name).is_file()]):
            return f"{flag}: {folder} is no model folder: {', '.join(missing)} missing"
    if options.data and not options.data.is_dir():
        return f"--data: there is no folder {options.data}"
    if options.peer and not shutil.which(options.peer):
        return f"--peer: {options.peer} is no program that can be run"
    if options.threads > (cores := len(machine.cores())):
        return f"--threads: {options.threads} threads, but only {cores} cores may be used; give fewer"
    return None


def read(arguments: list | None = None) -> argparse.Namespace:
    """The options, with `phases` and `words` made of `--only` and `--rivals`. Ends with a word where one makes no sense."""
    known = parser()
    options = known.parse_args(arguments)
    options.phases = {letter.strip() for letter in options.only.split(",")}
    options.words = [word.strip().lower() for word in options.rivals.split(",") if word.strip()]
    if wrong := fault(options):
        known.error(wrong)
    options.data = options.data or DATA
    return options


if __name__ == "__main__":
    read()
