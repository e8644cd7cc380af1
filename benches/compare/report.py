"""From figures to something that people can read: table.md, results.json, plot.svg."""

import json
from pathlib import Path

from plot import bars

# Goal of the project: (what, our name, rivals of whom the best counts, figure, higher is better, goal).
GOALS = [
    ("appeals/s, int8, against OpenVINO at its best", "paidan int8", "OpenVINO", "appeals_per_second", ">= 1.2 (VNNI), 1.5 (AMX)"),
    ("appeals/s, int8, against ONNX Runtime int8", "paidan int8", "ONNX Runtime int8", "appeals_per_second", ">= 1.8"),
    ("appeals/s, int8, against candle f32 as shipped", "paidan int8", "candle", "appeals_per_second", ">= 8"),
    ("appeals/s, bf16, against OpenVINO bf16", "paidan bf16", "OpenVINO bf16", "appeals_per_second", ">= 1.0"),
    ("appeals/s, f32, against OpenVINO f32", "paidan f32", "OpenVINO f32", "appeals_per_second", ">= 1.0"),
]
LATENCY_SHAPES = ["1x32", "1x128", "1x512"]


def write(result: dict, out: Path) -> None:
    """Writes all three; a file is either whole or the one before."""
    files = {"results.json": json.dumps(result, indent=1, ensure_ascii=False), "table.md": table(result)}
    if "mix" in result:
        rates = {name: figures["appeals_per_second"] for name, figures in result["mix"].items()}
        files["plot.svg"] = bars(rates, "appeals a second on the real length mix", result["processor"]["name"])
    for name, text in files.items():
        part = out / f"{name}.part"
        part.write_text(text + "\n")
        part.rename(out / name)


def table(result: dict) -> str:
    """All figures in Markdown."""
    processor, versions = result["processor"], result["versions"]
    lines = [
        f"**{processor['name']}** ({', '.join(processor['flags'])}), {result['threads']} of {processor['cores']} cores, "
        f"{result['date']}, commit {result['commit']}, load before {result['load_before']:.1f}, "
        f"{result['rounds']} rounds{', --quick' if result['quick'] else ''}.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items() if version) + ".",
    ]
    if "texts" in result:
        texts = result["texts"]
        lines.append(f"Real length mix: {texts['count']} appeals, {texts['tokens']} tokens, median {texts['median']}.")
    for part in (shapes, mix, ratios, training, served, peers):
        lines += ["", *part(result)] if part(result) else []
    if result["left_out"]:
        lines += ["", "Left out: " + "; ".join(f"{name} ({reason})" for name, reason in result["left_out"].items()) + "."]
    return "\n".join(lines)


def rows(head: list, body: list) -> list:
    """A Markdown table: words to the left, numbers to the right."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] + ["---:"] * (len(head) - 1), *body]]


def shapes(result: dict) -> list:
    """ms a batch."""
    ms = {name: figures for name, figures in result.get("shapes", {}).items() if figures}
    names = list(dict.fromkeys(shape for figures in ms.values() for shape in figures))
    cell = lambda figures, shape: f"{figures[shape]['ms']:.2f}" if shape in figures else ""
    return ms and rows(["ms a batch", *names], [[name, *(cell(figures, shape) for shape in names)] for name, figures in ms.items()])


def mix(result: dict) -> list:
    """The real length mix."""
    head = ["real length mix", "appeals/s", "p50 ms", "p99 ms", "RSS MB", "peak MB", "accuracy", "macro-F1", "settings"]
    body = [
        [
            name, f"{f['appeals_per_second']:.0f}", f"{f['p50_ms']:.2f}", f"{f['p99_ms']:.2f}", f"{f.get('rss_mb', 0):.0f}",
            f"{f.get('peak_mb', 0):.0f}", f"{f['accuracy']:.4f}", f"{f['macro_f1']:.4f}", f["settings"],
        ]
        for name, f in result.get("mix", {}).items()
    ]  # fmt: skip
    return body and rows(head, body)


def ratios(result: dict) -> list:
    """Ours against theirs, in this very run."""
    body, figures, ms = [], result.get("mix", {}), result.get("shapes", {})
    for words, ours, theirs, key, goal in GOALS:
        rivals = {name: f[key] for name, f in figures.items() if name.startswith(theirs)}
        if ours in figures and rivals:
            best = max(rivals, key=rivals.get)
            body.append([words, f"{figures[ours][key] / rivals[best]:.2f}", best, goal])
    for shape in LATENCY_SHAPES:
        at = {name: f[shape]["ms"] for name, f in ms.items() if shape in f}
        ours = [value for name, value in at.items() if name.startswith("paidan")]
        rivals = {name: value for name, value in at.items() if name.startswith("OpenVINO")}
        if ours and rivals:
            best = min(rivals, key=rivals.get)
            body.append([f"ms at {shape} against OpenVINO at its best", f"{min(ours) / rivals[best]:.2f}", best, "<= 1.0"])
    ours, f32 = figures.get("paidan int8"), figures.get("paidan f32")
    if ours and f32:
        points = (ours["accuracy"] - f32["accuracy"]) * 100
        body.append(["accuracy, int8 against f32, in points", f"{points:+.2f}", "paidan f32", ">= -0.3"])
    return body and rows(["paidan against", "ratio", "the rival", "goal"], body)


def training(result: dict) -> list:
    """A training step."""
    figures = result.get("training", {})
    kinds = list(dict.fromkeys(kind for f in figures.values() for kind in f["ms"]))
    body = [[name, *(f"{f['ms'][kind]:.0f}" for kind in kinds), f"{f['peak_mb']:.0f}"] for name, f in figures.items()]
    return body and rows(["training step, ms", *kinds, "peak MB"], body)


def served(result: dict) -> list:
    """The served path."""
    body = []
    for precision, f in result.get("served", {}).items():
        grpc, loop = f["over_grpc_per_second"], f["open_loop"]
        rates = [f"{rate:.0f}" for rate in (f["in_process_per_second"], grpc["1"], grpc["8"], grpc["64"])]
        ratio = f"{grpc['64'] / f['in_process_per_second']:.2f}"
        tail = [f"{loop['p50_ms']:.1f}", f"{loop['p99_ms']:.1f}", str(loop["failed"])]
        ready = [f"{f['ready_seconds']:.2f}", f"{f['rss_mb']:.0f}", f"{f['peak_mb']:.0f}"]
        body.append([f"{precision} ({f['precision']})", *rates, ratio, *tail, *ready])
    head = [
        "served, appeals/s", "in process", "1 in flight", "8", "64", "64 / in process", "p50 ms at 70 % load", "p99 ms",
        "failed", "ready s", "RSS MB", "peak MB",
    ]  # fmt: skip
    return body and rows(head, body)


def peers(result: dict) -> list:
    """text-embeddings-inference, which took turns with the served path."""
    body = []
    for precision, f in result.get("served", {}).items():
        ours = max(f["over_grpc_per_second"].values())
        for name, peer in f["peers"].items():
            grpc = peer["over_grpc_per_second"]
            rates = [f"{rate:.0f}" for rate in (grpc["1"], grpc["8"], grpc["64"])]
            ratios = [f"{ours / max(grpc.values()):.1f}", f"{f['over_grpc_per_second']['64'] / grpc['64']:.1f}"]
            body.append([name, *rates, *ratios, f"{peer['agrees'] * 100:.1f} %"])
    head = ["text-embeddings-inference, appeals/s", "1 in flight", "8", "64", "paidan's best / its best", "both with 64", "the same lead"]
    return body and rows(head, body)
