"""Part (c): one training step, paidan's beside PyTorch's, on the same tokens, each in a process of its own."""

import sys
from statistics import median

from rivals import HERE, Process, Refused

STEP = "target/release/examples/turns"
# Steps before the clock counts: buffers and caches fill.
WARM_UP = 1


# Who takes part. paidan writes the batches where they are not there yet, so it comes first.
STEPS = ["paidan auto", "paidan bf16", "paidan f32", "PyTorch bf16 autocast", "PyTorch f32"]


def command(run, name: str, orders, batches) -> list:
    """The program that makes steps for one of them."""
    library, precision = name.split()[:2]
    if library == "paidan":
        return [STEP, "--precision", precision, "--base", str(run.base), "--orders", str(orders), "--batches", str(batches)]
    return [sys.executable, HERE / "torch_step.py", run.base, batches, precision, str(run.threads)]


def leave_out(run, name: str, reason: str) -> None:
    """Names who does not take part, or no longer."""
    run.left_out[f"training step, {name}"] = reason
    run.say(f"training step, {name} is left out: {reason}")


def in_turns(run, processes: dict, turn) -> None:
    """Gives each a turn; one that fails, or dies in the middle, is out, and the others go on."""
    for name, process in list(processes.items()):
        try:
            turn(name, process)
        except Refused as refused:
            leave_out(run, name, str(refused))
            processes.pop(name).end()


def training(run, words: list) -> None:
    """ms a step on 32 random sequences of 128 tokens, and on batches of real orders as an epoch has them; peak memory."""
    orders, batches = run.data / "train.jsonl", run.exports / "batches.json"
    if not orders.exists():
        run.say(f"{orders} is missing: the training step is left out")
        return
    processes, ms, peak = {}, {}, {}
    for name in STEPS:
        if words and not any(word in name.lower() for word in words):
            continue
        reason = "this processor has no bf16" if "bf16" in name and not run.has_bf16 else None
        if not reason:
            try:
                process = Process(command(run, name, orders, batches), run.logs / f"step-{name.replace(' ', '-')}.log", run.threads)
                process.ask(op="steps", kind="random", count=WARM_UP)
                processes[name], ms[name], peak[name] = process, {"32x128": [], "32 orders": []}, 0
            except Refused as refused:
                reason = str(refused)
        if reason:
            leave_out(run, name, reason)
    rounds = 1 if run.quick else run.rounds
    # All random ones first, so that the highest memory is that of the largest step.
    for kind, key, count in (("random", "32x128", 2), ("real", "32 orders", 16)):

        def step(name: str, process: Process) -> None:
            ms[name][key].append(process.ask(op="steps", kind=kind, count=count)["ms"] / count)
            run.say(f"  {name:24} {ms[name][key][-1]:9.0f} ms")

        def remember(name: str, process: Process) -> None:
            peak[name] = max(peak[name], process.memory()["peak_mb"])

        for number in range(rounds if processes else 0):
            run.say(f"training step, {key}: round {number + 1} of {rounds}")
            in_turns(run, processes, step)
        in_turns(run, processes, remember)
    for process in processes.values():
        process.end()
    run.result["training"] = {
        name: {"ms": {key: median(values) for key, values in ms[name].items()}, "peak_mb": peak[name]} for name in processes
    }
    run.save()
