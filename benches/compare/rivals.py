"""Who takes part, and how one talks to them: each in a process of its own, one JSON object a line."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import machine

HERE = Path(__file__).parent
MEASURE = Path("target/release/examples/measure")
CANDLE = Path("target/compare/candle/release/candle-as-shipped")


@dataclass(frozen=True)
class Rival:
    """A library with a precision. `forms` are the exports it may choose from; the tuning picks."""

    name: str
    library: str
    precision: str
    forms: tuple = (None,)
    # Forms for fixed shapes only: OpenVINO may compile for one shape.
    shape_forms: tuple = ()
    needs_bf16: bool = False

    def command(self) -> list:
        """The program that speaks for it."""
        if self.library == "paidan":
            return [str(MEASURE), "worker"]
        if self.library == "candle":
            return [str(CANDLE)]
        return [sys.executable, str(HERE / "worker.py"), self.library]


OPENVINO = {"forms": ("torch", "onnx"), "shape_forms": ("torch-static", "onnx-static")}
RIVALS = [
    Rival("paidan int8", "paidan", "int8"),
    Rival("paidan bf16", "paidan", "bf16", needs_bf16=True),
    Rival("paidan f32", "paidan", "f32"),
    Rival("OpenVINO int8", "openvino", "int8", **OPENVINO),
    Rival("OpenVINO int8 + bf16", "openvino", "int8+bf16", **OPENVINO, needs_bf16=True),
    Rival("OpenVINO bf16", "openvino", "bf16", **OPENVINO, needs_bf16=True),
    Rival("OpenVINO f32", "openvino", "f32", **OPENVINO),
    Rival("ONNX Runtime int8", "onnxruntime", "int8", ("fused", "dynamo")),
    Rival("ONNX Runtime f32", "onnxruntime", "f32", ("fused", "dynamo")),
    Rival("PyTorch bf16", "pytorch", "bf16", ("sdpa", "eager"), needs_bf16=True),
    Rival("PyTorch f32", "pytorch", "f32", ("sdpa", "eager")),
    Rival("candle f32 as shipped", "candle", "f32"),
]


class Refused(Exception):
    """What a process answered instead of a figure."""


class Process:
    """A program that answers requests. Its standard error goes to a file, shown where it dies."""

    def __init__(self, command: list, log: Path, threads: int):
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        # An error is one line; its backtrace would hide it.
        environment["RUST_BACKTRACE"] = "0"
        with log.open("w") as errors:
            try:
                self.child = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
                )
            except OSError as error:
                raise Refused(f"{command[0]}: {error.strerror}") from error

    def ask(self, **request) -> dict:
        """One request, one answer."""
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        # Killed while it wrote, it leaves half a line.
        if not line.endswith("\n"):
            last = self.log.read_text().strip().splitlines()[-1:] or ["without a word"]
            raise Refused(f"it died: {last[0]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def memory(self) -> dict:
        """Its memory now and at its highest."""
        try:
            return machine.memory_mb(self.child.pid)
        except RuntimeError as error:
            raise Refused(str(error)) from error

    def end(self) -> None:
        """Closes its input, so that it ends by itself. One that died may have left a request in it."""
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self.child.stdout.close()


class Runner:
    """A rival that is running, with the best settings found so far."""

    def __init__(self, rival: Rival, run):
        self.rival, self.run = rival, run
        self.name, self.loaded = rival.name, None
        # Chosen by tuning: for the mix as fast as can be, for single texts, and for each fixed shape.
        self.mix = {"form": rival.forms[0], "streams": 1, "batching": {"tokens": 1024}}
        self.single_form = rival.forms[0]
        self.shape_forms = {}
        self.process = Process(rival.command(), run.logs / f"{rival.name.replace(' ', '-')}.log", run.threads)

    def load(self, form, streams: int) -> None:
        """Sets it up, unless it is so already."""
        if self.loaded == (form, streams):
            return
        self.loaded = None
        setup = {"model": str(self.run.model), "exports": str(self.run.exports), "precision": self.rival.precision}
        self.process.ask(op="load", **setup, form=form, threads=self.run.threads, streams=streams)
        self.loaded = (form, streams)

    def end(self) -> None:
        """Ends its process."""
        self.process.end()
