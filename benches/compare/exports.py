"""Exports the bundled model for each rival. Run as a program, in a process of its own, so that what it imports is not measured:

    exports.py MODEL CALIBRATION_TOKENS OUT

Each export is made once; what lies in OUT already is left alone. More than one form is made where none is best everywhere: the
tuning picks."""

import json
import sys
import traceback
from pathlib import Path

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
# Texts that NNCF looks at: its own default is 300.
CALIBRATION_TEXTS = 300


def torch_model(folder: Path, attention: str):
    """The model by transformers, ready to export."""
    import torch
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def example():
    """Inputs to trace with."""
    import torch

    ids = torch.arange(100, 132).reshape(2, 16)
    return ids, torch.ones_like(ids), torch.zeros_like(ids)


def onnx_traced(folder: Path, target: Path, attention: str) -> None:
    """ONNX by torch's tracing exporter: the graph that ONNX Runtime's and OpenVINO's fusions know."""
    import torch

    names = {name: {0: "batch", 1: "tokens"} for name in INPUTS} | {"logits": {0: "batch"}}
    model = torch_model(folder, attention)
    torch.onnx.export(
        model, example(), str(target), input_names=INPUTS, output_names=["logits"], dynamic_axes=names, dynamo=False, opset_version=17
    )


def onnx_dynamo(folder: Path, target: Path) -> None:
    """ONNX by torch.export, torch's newer exporter."""
    import torch

    batch, tokens = torch.export.Dim("batch", min=1, max=512), torch.export.Dim("tokens", min=2, max=512)
    torch.onnx.export(
        torch_model(folder, "eager"), example(), str(target), input_names=INPUTS, output_names=["logits"],
        dynamic_shapes=({0: batch, 1: tokens},) * 3, dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


def onnx_fused(folder: Path, source: Path, target: Path) -> None:
    """ONNX Runtime's own transformer optimiser: attention, layer norm and GELU as one node each."""
    from onnxruntime.transformers import optimizer

    config = json.loads((folder / "config.json").read_text())
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    fused = optimizer.optimize_model(str(source), model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0)
    fused.save_model_to_file(str(target))


def onnx_int8(source: Path, target: Path) -> None:
    """Dynamic quantisation, weights per channel. Activations: ONNX Runtime measures them as it runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Its shape inference does not know its own fused nodes: all their values are f32.
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, extra_options=options)


def openvino_torch(folder: Path, target: Path) -> None:
    """OpenVINO straight from PyTorch."""
    import openvino

    model = openvino.convert_model(torch_model(folder, "sdpa"), example_input=dict(zip(INPUTS, example())))
    openvino.save_model(model, target, compress_to_fp16=False)


def openvino_onnx(source: Path, target: Path) -> None:
    """OpenVINO from ONNX."""
    import openvino

    openvino.save_model(openvino.Core().read_model(source), target, compress_to_fp16=False)


def openvino_int8(source: Path, calibration: Path, target: Path) -> None:
    """NNCF's quantisation after training, with its preset for transformers, on training texts."""
    import nncf
    import numpy
    import openvino

    texts = json.loads(calibration.read_text())["ids"]
    texts = texts[:: max(1, len(texts) // CALIBRATION_TEXTS)][:CALIBRATION_TEXTS]

    def feed(ids):
        ids = numpy.array([ids])
        return {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}

    model = nncf.quantize(
        openvino.Core().read_model(source), nncf.Dataset(texts, feed), preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts),
    )  # fmt: skip
    openvino.save_model(model, target, compress_to_fp16=False)


def main() -> None:
    folder, calibration, out = (Path(argument) for argument in sys.argv[1:])
    ov = {form: out / f"openvino-{form}.xml" for form in ("torch", "onnx")}
    steps = [
        (out / "traced-eager.onnx", lambda to: onnx_traced(folder, to, "eager")),
        (out / "traced-sdpa.onnx", lambda to: onnx_traced(folder, to, "sdpa")),
        (out / "f32-dynamo.onnx", lambda to: onnx_dynamo(folder, to)),
        (out / "f32-fused.onnx", lambda to: onnx_fused(folder, out / "traced-eager.onnx", to)),
        (out / "int8-dynamo.onnx", lambda to: onnx_int8(out / "f32-dynamo.onnx", to)),
        (out / "int8-fused.onnx", lambda to: onnx_int8(out / "f32-fused.onnx", to)),
        (ov["torch"], lambda to: openvino_torch(folder, to)),
        (ov["onnx"], lambda to: openvino_onnx(out / "traced-sdpa.onnx", to)),
        (out / "openvino-int8-torch.xml", lambda to: openvino_int8(ov["torch"], calibration, to)),
        (out / "openvino-int8-onnx.xml", lambda to: openvino_int8(ov["onnx"], calibration, to)),
    ]
    out.mkdir(parents=True, exist_ok=True)
    for target, make in steps:
        if target.exists():
            continue
        print(f"exporting {target.name}", flush=True)
        part = target.with_name(f"part-{target.name}")
        try:
            make(part)
        except Exception:
            # The others can still be measured.
            print(f"{target.name} was not made: {traceback.format_exc(limit=1).strip()}", flush=True)
            continue
        if target.suffix == ".xml":
            part.with_suffix(".bin").rename(target.with_suffix(".bin"))
        part.rename(target)


if __name__ == "__main__":
    main()
