"""The measuring: a quick search for each rival's best settings, then rounds in which all take turns, so that a machine that gets
slower for a while gets slower for all."""

import random
import time
from statistics import median

from accuracy import accuracy
from rivals import Refused, Runner

SHAPES = [(1, 32), (1, 128), (8, 128), (32, 128), (1, 512)]
BATCHINGS = [{"texts": n} for n in (1, 4, 8, 16, 32)] + [{"tokens": n} for n in (256, 512, 1024, 2048, 4096)]
# One turn at a fixed shape lasts about so long.
TURN_MS = 400


def start(run, wanted: list) -> list:
    """The rivals that can run here; the others are named with the reason."""
    runners = []
    for rival in wanted:
        reason = "this processor has no bf16" if rival.needs_bf16 and not run.has_bf16 else None
        if not reason:
            try:
                runner = Runner(rival, run)
                failures = []
                for form in rival.forms:
                    try:
                        runner.load(form, 1)
                        runner.mix["form"] = runner.single_form = form
                        break
                    except Refused as refused:
                        failures.append(str(refused))
                else:
                    runner.end()
                    raise Refused("; ".join(failures))
                runners.append(runner)
            except Refused as refused:
                reason = str(refused)
        if reason:
            run.left_out[rival.name] = reason
            run.say(f"{rival.name} is left out: {reason}")
    return runners


def without_the_failed(run, runners: list, turn) -> list:
    """Gives each a turn; one that fails is out, the others go on."""
    left = []
    for runner in runners:
        try:
            turn(runner)
            left.append(runner)
        except Refused as refused:
            run.left_out[runner.name] = str(refused)
            run.say(f"{runner.name} is out: {refused}")
            runner.end()
    return left


def random_batch(shape: tuple) -> list:
    """Random ids of a shape, the same for all."""
    rng = random.Random(12345)
    return [[rng.randrange(100, 21000) for _ in range(shape[1])] for _ in range(shape[0])]


def shapes(run, runners: list) -> list:
    """ms a batch at the fixed shapes, all threads on one batch."""
    wanted = SHAPES[:2] if run.quick else SHAPES
    ms = {runner.name: {} for runner in runners}
    for shape in wanted:
        name, batch = f"{shape[0]}x{shape[1]}", random_batch(shape)
        repeats, samples = {}, {runner.name: [] for runner in runners}

        def tune(runner: Runner) -> None:
            found = {}
            for form in runner.rival.forms + runner.rival.shape_forms:
                try:
                    runner.load(form, 1)
                    runner.process.ask(op="batch", ids=batch, repeat=2)
                    found[form] = median(runner.process.ask(op="batch", ids=batch, repeat=3)["ms"])
                except Refused as refused:
                    run.say(f"{runner.name}, form {form}: {refused}")
            if not found:
                raise Refused("no form of it runs")
            best = min(found, key=found.get)
            runner.shape_forms[name] = best
            repeats[runner.name] = max(1, min(50, round(TURN_MS / found[best])))

        def turn(runner: Runner) -> None:
            runner.load(runner.shape_forms[name], 1)
            runner.process.ask(op="batch", ids=batch, repeat=1)
            samples[runner.name] += runner.process.ask(op="batch", ids=batch, repeat=repeats[runner.name])["ms"]

        run.say(f"shape {name}: tuning")
        runners = without_the_failed(run, runners, tune)
        for number in range(run.rounds):
            run.say(f"shape {name}: round {number + 1} of {run.rounds}")
            runners = without_the_failed(run, runners, turn)
        for runner in runners:
            ms[runner.name][name] = {"ms": median(samples[runner.name]), "form": runner.shape_forms[name]}
            run.say(f"  {runner.name:24} {median(samples[runner.name]):9.2f} ms  {runner.shape_forms[name] or ''}")
    run.result["shapes"] = ms
    run.save()
    return runners


def tune_mix(run, runner: Runner) -> None:
    """Form, then every batching with every number of streams, then form again, on a part of the texts. Batchings take turns, and the
    best time of each setting counts: on a busy machine one pass says more of its moment than of the setting. What takes
    turns is loaded once: OpenVINO's worker keeps what it had, and that adds up."""
    runner.process.ask(op="texts", ids=run.texts[:: 16 if run.quick else 4])
    # The first pass meets every shape for the first time.
    passes = 2 if run.quick else 4

    def seconds(candidates: list) -> list:
        """The best time of each that runs, and its settings."""
        found = {}
        for _ in range(passes):
            for i, settings in enumerate(candidates):
                try:
                    runner.load(settings["form"], settings["streams"])
                    took = runner.process.ask(op="mix", mode="throughput", batching=settings["batching"])["seconds"]
                    found[i] = min(took, found.get(i, took))
                except Refused as refused:
                    run.say(f"{runner.name}, {describe(settings)}: {refused}")
        return [(took, candidates[i]) for i, took in found.items()]

    def best(candidates: list) -> list:
        """The one of them that was fastest, if any runs."""
        return [settings for _, settings in sorted(seconds(candidates), key=lambda one: one[0])[:1]]

    def choose(groups: list) -> None:
        """Those of a group take turns. Each group had its own moments, and the machine perhaps another pace in them: so their best
        take turns again."""
        finalists = [one for group in groups for one in best(group)]
        if len(finalists) > 1:
            finalists = best(finalists)
        if not finalists:
            raise Refused("no setting of it runs")
        runner.mix = finalists[0]

    forms = lambda: [[runner.mix | {"form": form} for form in runner.rival.forms]]
    choose(forms())
    # The form that is best with one stream is the one for single texts.
    runner.single_form = runner.mix["form"]
    batchings = BATCHINGS[3:8:2] if run.quick else BATCHINGS
    choose([[runner.mix | {"streams": n, "batching": one} for one in batchings] for n in sorted({1, run.threads})])
    if not run.quick and len(runner.rival.forms) > 1:
        choose(forms())
    run.say(f"  {runner.name:24} {describe(runner.mix)}")


def describe(settings: dict) -> str:
    """Settings in words."""
    (kind, most), form = next(iter(settings["batching"].items())), settings["form"]
    words = f"{settings['streams']} stream{'s' if settings['streams'] > 1 else ''}, batches of {most} {kind}"
    return words + (f", form {form}" if form else "")


def mix(run, runners: list) -> list:
    """The real length mix: appeals a second, single texts, accuracy, memory."""
    run.say(f"real length mix: tuning on a part of {len(run.texts)} appeals")
    runners = without_the_failed(run, runners, lambda runner: tune_mix(run, runner))
    rates, latencies, answers = ({runner.name: [] for runner in runners} for _ in range(3))

    def texts(runner: Runner) -> None:
        runner.process.ask(op="texts", ids=run.texts)

    def as_many(runner: Runner) -> None:
        runner.load(runner.mix["form"], runner.mix["streams"])
        ask = lambda: runner.process.ask(op="mix", mode="throughput", batching=runner.mix["batching"])
        if not rates[runner.name]:
            ask()
        answer = ask()
        rates[runner.name].append(len(run.texts) / answer["seconds"])
        answers[runner.name] = answer["answers"]
        run.say(f"  {runner.name:24} {rates[runner.name][-1]:7.0f} appeals/s")

    def one_by_one(runner: Runner) -> None:
        runner.load(runner.single_form, 1)
        latencies[runner.name] += runner.process.ask(op="mix", mode="single")["ms"]

    runners = without_the_failed(run, runners, texts)
    for number in range(run.rounds):
        run.say(f"real length mix: round {number + 1} of {run.rounds}")
        runners = without_the_failed(run, runners, as_many)
    run.say("real length mix: single texts, warming up")
    # Every length once, so that nobody compiles for a shape while the clock runs.
    by_length = list({len(ids): ids for ids in run.texts}.values())
    runners = without_the_failed(run, runners, lambda runner: runner.process.ask(op="texts", ids=by_length))
    runners = without_the_failed(run, runners, one_by_one)
    latencies = {name: [] for name in latencies}
    # Among 1,600 texts the slowest hundredth are 16: two rounds make it certain enough.
    part = run.texts[::8] if run.quick else run.texts
    runners = without_the_failed(run, runners, lambda runner: runner.process.ask(op="texts", ids=part))
    for number in range(1 if run.quick else 2):
        run.say(f"real length mix: single texts, round {number + 1}")
        runners = without_the_failed(run, runners, one_by_one)
    figures = {}
    for runner in runners:
        ms = sorted(latencies[runner.name])
        figures[runner.name] = {
            "appeals_per_second": median(rates[runner.name]),
            "rounds": rates[runner.name],
            "p50_ms": ms[len(ms) // 2],
            "p99_ms": ms[int(len(ms) * 0.99)],
            "settings": describe(runner.mix),
            **accuracy(answers[runner.name], run.labels, run.frequent),
        }
    run.result["mix"] = figures
    run.save()
    return runners


def memory(run, runners: list) -> list:
    """Memory of a fresh process that does nothing but the mix at its best settings: no exports tried before it."""

    def turn(runner: Runner) -> None:
        fresh = Runner(runner.rival, run)
        try:
            fresh.load(runner.mix["form"], runner.mix["streams"])
            fresh.process.ask(op="texts", ids=run.texts)
            fresh.process.ask(op="mix", mode="throughput", batching=runner.mix["batching"])
            time.sleep(0.2)
            run.result["mix"][runner.name] |= fresh.process.memory()
        finally:
            fresh.end()

    run.say("memory of each, in a fresh process")
    runners = without_the_failed(run, runners, turn)
    run.save()
    return runners
