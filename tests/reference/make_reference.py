"""Makes reference.json: what transformers and PyTorch make of the bundled model, for tests/library/reference.rs to compare with.

    pip install torch transformers safetensors
    python tests/reference/make_reference.py models/haikou12345 ORDERS.jsonl tests/reference/reference.json

ORDERS.jsonl holds citizens' words, which have no place in this repository: of them the file keeps order numbers, a hash of the
token ids, and logits. Invented appeals are kept whole.
"""

import hashlib
import json
import sys
import unicodedata
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

TRAILING = "。,.;!、 "

INVENTED = [
    ("小区门口的路灯坏了很久没人修", None),
    ("楼下烧烤店油烟很大，晚上十二点还在营业，吵得睡不着。", None),
    ("ＡＢＣ公司拖欠工资３个月，老板联系不上", "劳动/欠薪/投诉"),
    ("公交车Ｋ8路等了一个小时都不来!!!", None),
    ("家里停水两天了，打电话没人接", "水务/停水"),
    ("路口红绿灯故障，车辆乱行，请尽快派人来疏导交通。", None),
    ("ICU", None),
    ("邻居违章搭建，挡住了我家的采光，物业说管不了，社区让找城管，城管说要找规划，到底该找谁？", "城市管理/违章建筑"),
]


def normalize(text: str) -> str:
    """As src/text/normalize.rs; the last full stop goes too, as in src/text/cleaning.rs."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split()).rstrip(TRAILING)


def read_here(path: Path) -> str:
    """sha-256 over names and bytes of the tensors that the reference reads, by name: what lies beside them in the file is not its."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    digest = hashlib.sha256()
    for name in sorted(name for name in header if name.startswith(("bert.", "classifier.", "dispute_head."))):
        begin, end = header[name]["data_offsets"]
        digest.update(name.encode())
        digest.update(data[begin:end])
    return digest.hexdigest()


def main() -> None:
    folder, orders, target = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]"
    )
    model = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    dispute = {k: v.float() for k, v in load_file(folder / "model.safetensors").items() if k.startswith("dispute_head")}

    @torch.no_grad()
    def answer(text: str, second: str | None):
        encoding = tokenizer(text, second, return_tensors="pt", return_token_type_ids=True)
        output = model.bert(**encoding)
        logits = model.classifier(output.pooler_output)
        head = output.pooler_output @ dispute["dispute_head.weight"].T + dispute["dispute_head.bias"]
        ids = encoding["input_ids"][0].tolist()
        rounded = [round(x, 6) for x in logits[0].tolist()]
        return ids, {"department_logits": rounded, "dispute_logit": round(head[0, 0].item(), 6)}

    invented = []
    for text, second in INVENTED:
        ids, logits = answer(normalize(text), second)
        invented.append({"text": text, "second": second, "ids": ids, **logits})

    real = []
    rows = [json.loads(line) for line in orders.open(encoding="utf-8")]
    for row in rows[:: max(1, len(rows) // 130)]:
        text = normalize(row["appeal"])
        if len(tokenizer(text)["input_ids"]) > model.config.max_position_embeddings:
            continue
        ids, logits = answer(text, None)
        digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
        real.append({"order_id": row["order_id"], "tokens": len(ids), "ids_sha256": digest, **logits})

    made_with = {"torch": torch.__version__, "tensors_sha256": read_here(folder / "model.safetensors")}
    lines = ["{", f'"made_with": {json.dumps(made_with)},']
    for name, entries in (("invented", invented), ("real", real)):
        body = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        lines.append(f'"{name}": [\n{body}\n]' + ("," if name == "invented" else ""))
    target.write_text("\n".join(lines + ["}"]) + "\n", encoding="utf-8")
    print(f"{len(invented)} invented and {len(real)} real appeals -> {target}")


if __name__ == "__main__":
    main()
