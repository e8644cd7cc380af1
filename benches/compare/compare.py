"""The comparison of paidan with other runtimes; `benches/compare/run` builds what it needs and calls it."""

import argparse
import datetime
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import machine
import options
from report import write


def new_folder(parent: Path, name: str) -> Path:
    """A folder that no other run has, though it may have begun in the same minute."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


class Run:
    """What all parts share, and the result as it grows."""

    def __init__(self, asked: argparse.Namespace):
        self.quick, self.threads, self.model = asked.quick, asked.threads, asked.model
        self.rounds = 2 if asked.quick else asked.rounds
        self.base, self.data, self.peer = asked.base or asked.model, asked.data, asked.peer
        self.processor = machine.processor()
        self.has_bf16 = machine.has_bf16(self.processor)
        date = datetime.datetime.now().strftime("%Y-%m-%d-%H%M")
        processor = re.sub(r"[^a-z0-9]+", "-", self.processor["name"].lower()).strip("-")
        self.out = new_folder(Path("target/compare"), f"{date}-{processor}")
        self.logs = self.out / "logs"
        self.logs.mkdir()
        weights = hashlib.sha256((self.model / "model.safetensors").read_bytes()).hexdigest()
        requirements = hashlib.sha256(Path("benches/compare/requirements.txt").read_bytes()).hexdigest()
        self.exports = Path("target/compare/exports") / f"{weights[:12]}-{requirements[:8]}"
        self.exports.mkdir(parents=True, exist_ok=True)
        self.left_out = {}
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
        self.result = {
            "date": date, "commit": commit, "processor": self.processor, "threads": self.threads,
            "cores_used": machine.pin(self.threads), "load_before": os.getloadavg()[0], "rounds": self.rounds,
            "quick": self.quick, "weights": weights, "versions": machine.versions(), "left_out": self.left_out,
        }  # fmt: skip

    def say(self, line: str) -> None:
        """Progress, for the person who waits."""
        print(f"{datetime.datetime.now():%H:%M:%S} {line}", flush=True)

    def save(self) -> None:
        """Writes what there is so far: a run that is stopped leaves what it had measured."""
        self.result["load_after"] = os.getloadavg()[0]
        write(self.result, self.out)

    def kept(self, name: str) -> Path:
        """Where the token ids of a file of the data are kept: a file that is another, or was changed, has a place of its own."""
        source = (self.data / f"{name}.jsonl").resolve()
        about = f"{source} {source.stat().st_size} {source.stat().st_mtime_ns}" if source.exists() else "missing"
        return self.exports / f"{name}-{hashlib.sha256(about.encode()).hexdigest()[:12]}.json"

    def tokens(self, name: str) -> dict | None:
        """Token ids of a file of the data, made by paidan once; None, and a word, if it is not there."""
        made, source = self.kept(name), self.data / f"{name}.jsonl"
        if not made.exists():
            if not source.exists():
                self.say(f"{source} is missing: what needs it is left out; --data names another folder")
                return None
            from rivals import MEASURE

            part = made.with_suffix(".part")
            command = [MEASURE, "tokenize", "--model", self.model, "--orders", source, "--out", part]
            subprocess.run(command, check=True)
            part.rename(made)
        return json.loads(made.read_text())

    def export(self) -> None:
        """Exports for the rivals, those that are not there yet."""
        calibration = self.kept("train")
        if self.tokens("train") is None:
            self.say("no training texts to calibrate int8 on: OpenVINO int8 will be left out")
        script = Path(__file__).with_name("exports.py")
        with (self.logs / "exports.log").open("w") as log:
            done = subprocess.run([sys.executable, script, self.model, calibration, self.exports], stdout=log, stderr=log)
        for line in (self.logs / "exports.log").read_text().splitlines():
            if line.startswith("exporting") or "was not made" in line:
                self.say(line)
        if done.returncode:
            self.say(f"the exports failed; see {self.logs / 'exports.log'}")


def compare(run: Run, wanted: list, phases: set) -> None:
    """Parts (a) and (b), in which the rivals take turns."""
    import rounds

    run.export()
    runners = rounds.start(run, wanted)
    try:
        if "a" in phases:
            runners = rounds.shapes(run, runners)
        validation = run.tokens("validation") if "b" in phases else None
        if validation:
            part = slice(None, None, 4 if run.quick else 1)
            run.texts, run.labels, run.frequent = validation["ids"][part], validation["labels"][part], validation["frequent"]
            lengths = sorted(map(len, run.texts))
            run.result["texts"] = {"count": len(lengths), "tokens": sum(lengths), "median": lengths[len(lengths) // 2]}
            runners = rounds.memory(run, rounds.mix(run, runners))
    finally:
        for runner in runners:
            runner.end()


def main() -> None:
    from rivals import RIVALS

    asked = options.read()
    phases, words = asked.phases, asked.words
    wanted = [rival for rival in RIVALS if not words or any(word in rival.name.lower() for word in words)]
    run = Run(asked)
    run.say(f"{run.processor['name']} ({' '.join(run.processor['flags'])}), cores {run.result['cores_used']}")
    if run.result["load_before"] > 0.3:
        run.say(f"the machine is not quiet (load {run.result['load_before']:.1f}): do not believe what follows")
    if not wanted and phases & {"a", "b"}:
        run.say("parts a and b are left out: --rivals names nobody of theirs")
    elif phases & {"a", "b"}:
        compare(run, wanted, phases)
    if "c" in phases:
        from training import training

        training(run, words)
    if "d" in phases:
        from served import served

        served(run)
    run.save()
    print((run.out / "table.md").read_text())
    run.say(f"written to {run.out}: table.md, results.json, plot.svg")


if __name__ == "__main__":
    main()
