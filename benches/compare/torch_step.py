"""PyTorch's training step: `torch_step.py BASE BATCHES PRECISION THREADS`. The same model, losses, clipping and optimizer as
paidan-train has (training/src/step.rs), by PyTorch's own fused parts. Answers requests as training/examples/turns.rs does."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional
from transformers import BertConfig, BertModel

from encoders import padded

SMOOTHING, DISPUTE_WEIGHT, MAX_NORM, RATE, HEAD_FACTOR, DECAY = 0.1, 0.5, 1.0, 1e-4, 10.0, 0.01


class Model(torch.nn.Module):
    """BERT with pooler and both heads; dropout as in the configuration, 0.1."""

    def __init__(self, base: Path, departments: int):
        super().__init__()
        config = BertConfig.from_pretrained(base)
        self.bert = BertModel.from_pretrained(base, config=config, dtype=torch.float32, attn_implementation="sdpa")
        self.dropout = torch.nn.Dropout(config.hidden_dropout_prob)
        self.classifier = torch.nn.Linear(config.hidden_size, departments)
        self.dispute_head = torch.nn.Linear(config.hidden_size, 1)

    def forward(self, ids, mask, types):
        pooled = self.dropout(self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).pooler_output)
        return self.classifier(pooled), self.dispute_head(pooled).squeeze(-1)


def tensors(batch: dict) -> tuple:
    """Inputs and labels of a step, padded to the longest."""
    ids, mask, types = padded(batch["ids"])
    for row, second in enumerate(batch["type_ids"]):
        types[row, : len(second)] = second
    labels = torch.tensor(batch["departments"])
    flags = (torch.tensor(batch[key], dtype=torch.float32) for key in ("disputed", "known"))
    return (*map(torch.from_numpy, (ids, mask, types)), labels, *flags)


def optimizer(model: Model) -> torch.optim.Optimizer:
    """AdamW, fused: heads learn faster, biases and norms do not decay."""
    groups = {}
    for name, parameter in model.named_parameters():
        head = not name.startswith("bert.") or name.startswith("bert.pooler.")
        decays = not name.endswith(".bias") and "LayerNorm" not in name
        groups.setdefault((head, decays), []).append(parameter)
    settings = [
        {"params": parameters, "lr": RATE * (HEAD_FACTOR if head else 1), "weight_decay": DECAY if decays else 0.0}
        for (head, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, fused=True)


def main() -> None:
    base, file, precision, threads = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    torch.manual_seed(12345)
    data = json.loads(file.read_text())
    batches = {kind: [tensors(batch) for batch in data[kind]] for kind in ("random", "real")}
    model = Model(base, data["departments"]).train()
    adamw = optimizer(model)

    def step(ids, mask, types, labels, disputed, known) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits, dispute = model(ids, mask, types)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
        each = functional.binary_cross_entropy_with_logits(dispute.float(), disputed, reduction="none")
        loss = loss + DISPUTE_WEIGHT * (each * known).sum() / known.sum().clamp(min=1)
        adamw.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        adamw.step()
        loss.item()

    for line in sys.stdin:
        request = json.loads(line)
        chosen = batches[request["kind"]]
        began = time.perf_counter()
        for i in range(request["count"]):
            step(*chosen[i % len(chosen)])
        print(json.dumps({"ms": (time.perf_counter() - began) * 1e3}), file=answers, flush=True)


if __name__ == "__main__":
    main()
