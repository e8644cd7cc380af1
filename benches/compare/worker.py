"""A rival in a process of its own: `worker.py LIBRARY`. Answers requests on standard input, one JSON object a line, as
measure/worker.rs does; read that one first."""

import json
import os
import sys
import time

import numpy as np

from encoders import ENCODERS


class Worker:
    """What is loaded, and the texts of the mix."""

    def __init__(self, library: str):
        self.library, self.encoder, self.setup, self.texts = library, None, None, []
        # OpenVINO was seen to hang where it takes a model down: it waits for a thread of its own with Python's lock in its hands, and
        # the thread for that lock. So what served is kept. Memory is measured in a process that loads once.
        self.done_with = []

    def load(self, request):
        if self.library == "openvino":
            self.done_with.append(self.encoder)
        self.encoder = None
        began = time.perf_counter()
        self.encoder, self.setup = ENCODERS[self.library](request), request
        return {"seconds": time.perf_counter() - began, "what": request["precision"]}

    def keep_texts(self, request):
        self.texts = request["ids"]
        return {"texts": len(self.texts)}

    def batch(self, request):
        ms = []
        for _ in range(request["repeat"]):
            began = time.perf_counter()
            self.encoder.logits(request["ids"])
            ms.append((time.perf_counter() - began) * 1e3)
        return {"ms": ms}

    def mix(self, request):
        return self.single() if request["mode"] == "single" else self.throughput(request["batching"])

    def single(self):
        ms, answers = [], []
        for text in self.texts:
            began = time.perf_counter()
            answers.append(int(np.argmax(self.encoder.logits([text])[0])))
            ms.append((time.perf_counter() - began) * 1e3)
        return {"seconds": sum(ms) / 1e3, "ms": ms, "answers": answers}

    def throughput(self, batching):
        began = time.perf_counter()
        batches = self.batches(batching)
        results = self.encoder.all([[self.texts[i] for i in batch] for batch in batches], self.setup["streams"])
        answers = [0] * len(self.texts)
        for batch, logits in zip(batches, results):
            for i, answer in zip(batch, np.argmax(logits, axis=1)):
                answers[i] = int(answer)
        return {"seconds": time.perf_counter() - began, "answers": answers}

    def batches(self, batching):
        """Texts of like length together, the longest first; full at so many texts, or at so many tokens, padding counted."""
        (kind, most), batches = next(iter(batching.items())), []
        for i in sorted(range(len(self.texts)), key=lambda i: -len(self.texts[i])):
            cost = lambda batch: len(batch) + 1 if kind == "texts" else (len(batch) + 1) * len(self.texts[batch[0]])
            if batches and cost(batches[-1]) <= most:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches


def main() -> None:
    # Libraries write to standard output as they please: the answers get a channel that they do not know.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    operations = {"load": worker.load, "texts": worker.keep_texts, "batch": worker.batch, "mix": worker.mix}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = operations[request["op"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    # Without taking anything down, for the same reason.
    os._exit(0)


if __name__ == "__main__":
    main()
