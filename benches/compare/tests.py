"""What the comparison promises besides figures: `python3 benches/compare/tests.py`, which `cargo test` runs where there is a python3.
Nothing but Python's own library is needed."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

import compare
import options
import rivals
import rounds
import training

# Answers as a program that makes steps does; after so many answers it ends in the middle of one, if that is not 0.
PROGRAM = """
import json, sys
for number, line in enumerate(sys.stdin, 1):
    if number == int(sys.argv[1]):
        print('{"ms": ', end="", flush=True)
        sys.exit("out of memory")
    print(json.dumps({"ms": 10.0 * json.loads(line)["count"]}), flush=True)
"""


class Options(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.model = Path(place.name)
        for name in options.NEEDED:
            (self.model / name).touch()

    def refused(self, *given: str) -> str:
        """What is said of options that are refused."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            options.read(["--model", str(self.model), *given])
        self.assertEqual(ended.exception.code, 2)
        return said.getvalue()

    def taken(self, *given: str):
        return options.read(["--model", str(self.model), "--threads", "1", *given])

    def test_what_makes_no_sense_is_refused_by_name(self):
        for given, words in [
            (["--rounds", "0"], "--rounds: '0' is no whole number from 1"),
            (["--threads", "0"], "--threads: '0' is no whole number from 1"),
            (["--threads", "-1"], "--threads"),
            (["--threads", "100000"], "cores may be used; give fewer"),
            (["--only", "a,e"], "--only: 'e' is not known"),
            (["--base", "nowhere"], "--base: there is no folder nowhere"),
            (["--base", __file__], "--base: there is no folder"),
            (["--data", "nowhere"], "--data: there is no folder nowhere"),
            (["--peer", "nowhere/router"], "--peer: nowhere/router is no program"),
            (["--rivals", "paidan,opnvino"], "--rivals: no name holds 'opnvino'"),
            (["--only", "c", "--rivals", "openvino"], "--rivals: no name holds 'openvino'; parts c have paidan auto"),
            (["--only", "d", "--rivals", "paidan"], "parts d have nobody to choose from"),
            (["--round", "3"], "--round"),
        ]:
            with self.subTest(given):
                self.assertIn(words, self.refused(*given))
        (self.model / "tokenizer.json").unlink()
        self.assertIn("is no model folder: tokenizer.json missing", self.refused())

    def test_what_makes_sense_is_taken(self):
        self.assertEqual(self.taken("--rivals", "PaiDan, openvino,").words, ["paidan", "openvino"])
        self.assertEqual(self.taken("--only", "c,d", "--rivals", "autocast").phases, {"c", "d"})
        self.assertEqual(self.taken().data, options.DATA)
        self.assertEqual(self.taken("--base", str(self.model)).base, self.model)


class Runs(unittest.TestCase):
    def test_two_runs_never_have_one_folder(self):
        with tempfile.TemporaryDirectory() as place:
            folders = [compare.new_folder(Path(place) / "compare", "2026-01-01-1200-x") for _ in range(3)]
            self.assertEqual([folder.name.removeprefix("2026-01-01-1200-x") for folder in folders], ["", "-2", "-3"])
            self.assertTrue(all(folder.is_dir() for folder in folders))

    def test_a_step_that_dies_in_the_middle_is_named_and_left_out_and_the_others_go_on(self):
        with tempfile.TemporaryDirectory() as place:
            run = Pretended(Path(place))
            # Its second round of the first kind, then its first of the second.
            dies = {"paidan f32": 3, "PyTorch f32": 4}
            command = lambda _run, name, *_: [sys.executable, "-c", PROGRAM, str(dies.get(name, 0))]
            with patch.object(training, "command", command):
                training.training(run, [])
        self.assertEqual(set(run.left_out), {"training step, paidan f32", "training step, PyTorch f32"})
        self.assertTrue(all("it died: out of memory" == reason for reason in run.left_out.values()), run.left_out)
        self.assertEqual(list(run.result["training"]), ["paidan auto", "paidan bf16", "PyTorch bf16 autocast"])
        for figures in run.result["training"].values():
            self.assertEqual(figures["ms"], {"32x128": 10.0, "32 orders": 10.0})
            self.assertGreater(figures["peak_mb"], 0)


class Tuning(unittest.TestCase):
    def test_a_setting_is_not_chosen_for_the_moment_in_which_it_was_tried(self):
        # One stream with 512 tokens is best. The machine is at half its pace while that is tried first.
        runner = Changing(slow_calls=4 * len(rounds.BATCHINGS))
        with tempfile.TemporaryDirectory() as place:
            rounds.tune_mix(Pretended(Path(place)), runner)
        self.assertEqual(runner.mix, {"form": None, "streams": 1, "batching": {"tokens": 512}})

    def test_what_does_not_run_is_never_chosen_and_nothing_that_runs_is_told(self):
        with tempfile.TemporaryDirectory() as place:
            runner = Changing(slow_calls=0, refuses=1)
            rounds.tune_mix(Pretended(Path(place)), runner)
            self.assertEqual(runner.mix["streams"], 2)
            with self.assertRaisesRegex(rivals.Refused, "no setting of it runs"):
                rounds.tune_mix(Pretended(Path(place)), Changing(slow_calls=0, refuses=None))


class Changing:
    """A rival on a machine that changes its pace: slow for the first calls with settings to choose from."""

    def __init__(self, slow_calls: int, refuses=0):
        self.rival, self.name, self.process = rivals.RIVALS[0], "a rival", self
        self.mix = {"form": None, "streams": 2, "batching": {"tokens": 1024}}
        self.slow_calls, self.refuses, self.streams = slow_calls + 4, refuses, None

    def load(self, form, streams: int) -> None:
        """One number of streams may be more than it can; None stands for any."""
        if self.refuses in (None, streams):
            raise rivals.Refused("too many streams")
        self.streams = streams

    def ask(self, op: str, batching=None, **_) -> dict:
        """How long the texts took."""
        if op == "texts":
            return {}
        self.slow_calls -= 1
        took = 1 if self.streams == 1 else 1.2
        return {"seconds": took * (1 if batching == {"tokens": 512} else 2) * (2 if self.slow_calls >= 0 else 1)}


class Pretended:
    """A run of two rounds on a machine that has everything."""

    def __init__(self, place: Path):
        self.data = self.exports = self.logs = self.base = place
        self.texts = [[1]] * 8
        self.quick, self.threads, self.rounds, self.has_bf16 = False, 2, 2, True
        self.left_out, self.result = {}, {}
        (place / "train.jsonl").touch()

    def say(self, line: str) -> None:
        pass

    def save(self) -> None:
        pass


if __name__ == "__main__":
    unittest.main()
