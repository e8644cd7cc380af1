"""The machine: what it is called, what it can do, and which of its cores are used."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

LIBRARIES = ["torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "numpy"]
FLAGS = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"]


def processor() -> dict:
    """Name, the flags that matter here, and cores."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = set(re.search(r"flags\s*:\s*(.+)", text).group(1).split()) if "flags" in text else set()
    return {
        "name": name.group(1).strip() if name else platform.processor() or platform.machine(),
        "family_model": [int(n) for n in re.findall(r"(?:cpu family|model)\s*:\s*(\d+)", text)[:2]],
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
    }


def has_bf16(processor: dict) -> bool:
    """True if bf16 products are done in hardware."""
    return bool({"avx512_bf16", "amx_bf16"} & set(processor["flags"]))


def cores() -> list[int]:
    """The cores that may be used, one thread of each."""
    found, taken = [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text().strip() if siblings.exists() else str(cpu)
        if core not in taken:
            taken.add(core)
            found.append(cpu)
    return found


def pin(threads: int) -> list[int]:
    """Keeps this process and all that it starts to `threads` cores, never two threads of one core. Returns them."""
    chosen = cores()[:threads]
    os.sched_setaffinity(0, chosen)
    return chosen


def versions() -> dict:
    """Versions of everything that is compared."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    lock = Path("Cargo.lock").read_text()
    for crate in ("candle-core", "paidan"):
        match = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock)
        found[crate] = match.group(1) if match else None
    return found


def memory_mb(pid: int) -> dict:
    """Resident memory of a process now and at its highest, in MB. One that has ended has none."""
    status = Path(f"/proc/{pid}/status").read_text()
    if "VmHWM" not in status:
        raise RuntimeError(f"process {pid} has ended")
    value = lambda key: int(re.search(rf"{key}:\s*(\d+) kB", status).group(1)) / 1024
    return {"rss_mb": round(value("VmRSS"), 1), "peak_mb": round(value("VmHWM"), 1)}
