"""The rivals that Python drives. Each reads lists of token ids, pads them to the longest of the batch, and gives logits."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


def padded(batch: list) -> tuple:
    """ids, attention mask and token types of a batch, int64 [texts, longest]."""
    ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(batch):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask, np.zeros_like(ids)


class Encoder:
    """What a worker needs of a rival."""

    def logits(self, batch: list, stream: int = 0) -> np.ndarray:
        """Department logits, f32 [texts, departments], computed on one of the streams."""
        raise NotImplementedError

    def all(self, batches: list, streams: int) -> list:
        """Logits of each batch, as many at the same time as there are streams."""
        if streams == 1:
            return [self.logits(batch) for batch in batches]
        rest, results = iter(range(len(batches))), [None] * len(batches)

        def work(stream: int) -> None:
            # `next` on one iterator is a step that no other thread comes between.
            for i in rest:
                results[i] = self.logits(batches[i], stream)

        with ThreadPoolExecutor(streams) as pool:
            list(pool.map(work, range(streams)))
        return results


class PyTorch(Encoder):
    """transformers' BertForSequenceClassification, f32 or bf16 by autocast."""

    def __init__(self, setup: dict):
        import torch
        from transformers import BertForSequenceClassification

        self.torch, self.autocast = torch, setup["precision"] == "bf16"
        self.threads = max(1, setup["threads"] // setup["streams"])
        torch.set_num_threads(self.threads)
        form = setup.get("form") or "sdpa"
        model = BertForSequenceClassification.from_pretrained(setup["model"], dtype=torch.float32, attn_implementation=form)
        self.model = model.eval()

    def logits(self, batch, stream=0):
        torch = self.torch
        if stream:
            # The number of threads is a thread's own affair with OpenMP.
            torch.set_num_threads(self.threads)
        ids, mask, types = map(torch.from_numpy, padded(batch))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            output = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)
        return output.logits.float().numpy()


class OnnxRuntime(Encoder):
    """One session a stream, the threads shared among them."""

    def __init__(self, setup: dict):
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, setup["threads"] // setup["streams"])
        path = str(Path(setup["exports"]) / f"{setup['precision']}-{setup.get('form') or 'fused'}.onnx")
        session = lambda: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.sessions = [session() for _ in range(setup["streams"])]
        # The optimiser may have dropped the token types, or made all int32.
        self.inputs = {value.name: np.int32 if "int32" in value.type else np.int64 for value in self.sessions[0].get_inputs()}

    def logits(self, batch, stream=0):
        values = dict(zip(("input_ids", "attention_mask", "token_type_ids"), padded(batch)))
        feed = {name: values[name].astype(kind, copy=False) for name, kind in self.inputs.items()}
        return self.sessions[stream].run(None, feed)[0]


class OpenVino(Encoder):
    """f32, bf16 by the precision hint, int8 by NNCF, and both together."""

    def __init__(self, setup: dict):
        import openvino

        self.openvino = openvino
        precision, form = setup["precision"], setup.get("form") or "torch"
        form, _, self.static = form.partition("-")
        name = f"openvino-int8-{form}.xml" if "int8" in precision else f"openvino-{form}.xml"
        self.core = openvino.Core()
        self.model = self.core.read_model(Path(setup["exports"]) / name)
        self.properties = {
            "INFERENCE_NUM_THREADS": setup["threads"],
            "NUM_STREAMS": setup["streams"],
            "PERFORMANCE_HINT": "LATENCY" if setup["streams"] == 1 else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if "bf16" in precision else "f32",
        }
        self.requests = {}
        if not self.static:
            self.compiled = self.core.compile_model(self.model, "CPU", self.properties)
            # Compiled, it is not needed any more, and would be counted as memory of serving.
            self.model = None

    def feed(self, batch):
        return dict(zip(("input_ids", "attention_mask", "token_type_ids"), padded(batch)))

    def request(self, shape):
        """The request for a shape; a model of its own for each shape if the form is static."""
        key = shape if self.static else None
        if key not in self.requests:
            if self.static:
                model = self.model.clone()
                model.reshape({value.any_name: list(shape) for value in model.inputs})
                self.requests[key] = self.core.compile_model(model, "CPU", self.properties).create_infer_request()
            else:
                self.requests[key] = self.compiled.create_infer_request()
        return self.requests[key]

    def logits(self, batch, stream=0):
        feed = self.feed(batch)
        return self.request(feed["input_ids"].shape).infer(feed)[0]

    def all(self, batches, streams):
        """By its own asynchronous queue, one request more than streams, so that none waits for Python."""
        if streams == 1:
            return super().all(batches, 1)
        results = [None] * len(batches)
        queue = self.openvino.AsyncInferQueue(self.compiled, streams + 1)
        queue.set_callback(lambda request, i: results.__setitem__(i, request.get_output_tensor(0).data.copy()))
        for i, batch in enumerate(batches):
            queue.start_async(self.feed(batch), i)
        queue.wait_all()
        return results


ENCODERS = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino}
