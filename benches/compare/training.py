"""Part (c): one training step, paidan's beside PyTorch's, on the same tokens, each in a process of its own."""

import sys
from statistics import median

from rivals import HERE, Process, Refused

STEP = "target/release/examples/turns"
# Steps before the clock counts: buffers and caches fill.
WARM_UP = 1


def training(run, words: list) -> None:
    """ms a step on 32 random sequences of 128 tokens, and on batches of real orders as an epoch has them; peak memory."""
    orders, batches = run.data / "train.jsonl", run.exports / "batches.json"
    if not orders.exists():
        run.say(f"{orders} is missing: the training step is left out")
        return
    common = ["--base", str(run.base), "--orders", str(orders), "--batches", str(batches)]
    commands = {
        "paidan auto": [STEP, "--precision", "auto", *common],
        "paidan bf16": [STEP, "--precision", "bf16", *common],
        "paidan f32": [STEP, "--precision", "f32", *common],
        "PyTorch bf16 autocast": [sys.executable, HERE / "torch_step.py", run.base, batches, "bf16", str(run.threads)],
        "PyTorch f32": [sys.executable, HERE / "torch_step.py", run.base, batches, "f32", str(run.threads)],
    }
    processes, ms, peak = {}, {}, {}
    for name, command in commands.items():
        if words and not any(word in name.lower() for word in words):
            continue
        reason = "this processor has no bf16" if "bf16" in name and not run.has_bf16 else None
        if not reason:
            try:
                process = Process(command, run.logs / f"step-{name.replace(' ', '-')}.log", run.threads)
                # paidan writes the batches where they are not there yet, so it comes first.
                process.ask(op="steps", kind="random", count=WARM_UP)
                processes[name], ms[name], peak[name] = process, {"32x128": [], "32 orders": []}, 0
            except Refused as refused:
                reason = str(refused)
        if reason:
            run.left_out[f"training step, {name}"] = reason
            run.say(f"training step, {name} is left out: {reason}")
    rounds = 1 if run.quick else run.rounds
    # All random ones first, so that the highest memory is that of the largest step.
    for kind, key, count in (("random", "32x128", 2), ("real", "32 orders", 16)):
        for number in range(rounds):
            run.say(f"training step, {key}: round {number + 1} of {rounds}")
            for name, process in processes.items():
                ms[name][key].append(process.ask(op="steps", kind=kind, count=count)["ms"] / count)
                run.say(f"  {name:24} {ms[name][key][-1]:9.0f} ms")
        for name, process in processes.items():
            peak[name] = max(peak[name], process.memory()["peak_mb"])
    for process in processes.values():
        process.end()
    run.result["training"] = {
        name: {"ms": {key: median(values) for key, values in ms[name].items()}, "peak_mb": peak[name]} for name in processes
    }
    run.save()
