"""Part (d): the served path. `paidan serve` in a process of its own, as a city runs it; `measure served` calls it and, taking turns
with it, runs the router without a server."""

import json
import os
import subprocess
import time

import machine
import peers
from rivals import MEASURE

PAIDAN = "target/release/paidan"


def serve_command(model, precision: str) -> list:
    """How a server with a precision is started."""
    # Without a database: nobody's rulings are read, and nothing is written where a city keeps its own.
    setting = ["--set", f"model.precision={precision}", "--set", "store.url=none"]
    return [PAIDAN, "serve", "--model", str(model), "--address", "127.0.0.1:0", "--log-level", "error", *setting]


def served(run) -> None:
    """Throughput in process and over gRPC, latency under a load that does not wait, time to ready, memory."""
    orders = run.data / "validation.jsonl"
    if not orders.exists():
        run.say(f"{orders} is missing: the served path is left out")
        return
    precisions = ["int8", "f32"] + ["bf16"] * run.has_bf16
    # paidan refuses settings that it does not know, and somebody's own would change what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAIDAN_")}
    environment |= {"RAYON_NUM_THREADS": str(run.threads), "NO_PROXY": "127.0.0.1", "RUST_BACKTRACE": "0"}
    run.result["served"] = {}
    for precision in precisions:
        run.say(f"served path, {precision}")
        log = run.logs / f"serve-{precision}.log"
        with log.open("w") as errors:
            began = time.perf_counter()
            server = subprocess.Popen(
                serve_command(run.model, precision), stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        try:
            line = server.stdout.readline()
            ready = time.perf_counter() - began
            if " on " not in line:
                raise RuntimeError(log.read_text().strip() or "it ended without a word")
            address = line.split(" on ")[1].split(": model")[0]
            options = ["--rounds", "1", "--seconds", "5", "--limit", "200"] if run.quick else ["--rounds", str(run.rounds)]
            # The peer takes turns with the precision that a city serves.
            with peers.started(run if precision == "int8" else None) as addresses:
                measured = subprocess.run(
                    [MEASURE, "served", "--model", run.model, "--precision", precision, "--orders", orders, "--address", address,
                     "--threads", str(run.threads), *options, *(part for peer in addresses for part in ("--peer", peer))],
                    capture_output=True, text=True, env=environment,
                )  # fmt: skip
            if measured.returncode:
                raise RuntimeError(measured.stderr.strip())
            figures = json.loads(measured.stdout) | {"ready_seconds": ready} | machine.memory_mb(server.pid)
            run.result["served"][precision] = figures
            run.save()
        except RuntimeError as error:
            run.left_out[f"served {precision}"] = str(error)
            run.say(f"served {precision} is left out: {error}")
        finally:
            server.terminate()
            server.wait(60)
