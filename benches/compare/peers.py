"""text-embeddings-inference, the closest peer over gRPC, with the bundled model: a classifier by ONNX Runtime in f32, as it is meant to
be run, and on the int8 export that ONNX Runtime is measured with, which it takes for f32. paidan does not build it: `--peer` names its
program, built with the features `ort` and `grpc`."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager

# Its own default, and one text a batch: then it never pads.
BATCHING = {"": [], ", one text a batch": ["--max-batch-requests", "1"]}
FORMS = {"f32": "f32-fused.onnx", "int8": "int8-fused.onnx"}
PATIENCE = 60


def folder(run, form: str):
    """The model as it wants it: our tokenizer and label map beside an ONNX file."""
    made = run.exports / f"peer-{form}"
    made.mkdir(exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(run.model / name, made / name)
    link = made / "model.onnx"
    if not link.exists():
        link.symlink_to((run.exports / FORMS[form]).resolve())
    return made


def port() -> int:
    """A free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(run, form: str, options: list, stack: ExitStack) -> int:
    """Starts one and waits until it listens. Returns its port."""
    at, log = port(), run.logs / f"peer-{form}-{len(options)}.log"
    command = [run.peer, "--model-id", folder(run, form), "--dtype", "float32", "--hostname", "127.0.0.1", "--port", at,
               "--prometheus-port", port(), "--auto-truncate", "true", *options]  # fmt: skip
    with log.open("w") as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=errors, stderr=errors, env=dict(os.environ))
    stack.callback(process.wait, 60)
    stack.callback(process.terminate)
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", at)) == 0:
                return at
        time.sleep(0.2)
    raise RuntimeError(f"text-embeddings-inference does not listen; see {log}")


@contextmanager
def started(run):
    """Every form of it, as `NAME=IP:PORT`; nothing if none was asked for."""
    with ExitStack() as stack:
        addresses = []
        if run is not None and run.peer:
            run.export()
            for form in FORMS:
                for words, options in BATCHING.items():
                    addresses.append(f"{form}{words}=127.0.0.1:{start(run, form, options, stack)}")
        yield addresses
