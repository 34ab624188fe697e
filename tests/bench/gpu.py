"""Figures on one CUDA device: `python -m tests.bench.gpu`. Seconds, tokens a second and peak memory, beside the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADULT = ("experiment=adult", "expect=none", "~lifecycle.stages.profile")
SMALL = (  # 10.7 M parameters, as nanoGPT's recipe for this text on one GPU
    "experiment=shakespeare", "prepare=char", "~lifecycle.stages.profile", "model.layers=6", "model.heads=6", "model.dim=384",
    "model.context=256", "model.dropout=0.2", "ingest.batch_size=64", "trainer.limit_train_batches=1.0",
    "trainer.max_epochs=-1", "trainer.log_every_n_steps=20", "callbacks=none", "trainer.limit_val_batches=0",
    "trainer.checkpoint_every_seconds=1000",
)  # fmt: skip
LARGE = (*SMALL, "model.layers=12", "model.heads=12", "model.dim=768", "model.dropout=0.0", "trainer.max_steps=120")
BF16 = "trainer.precision=bf16-mixed"
SHOWN = ("auroc", "accuracy", "nats_per_character", "loss")
TOKENS = 64 * 256  # a step


@dataclass(frozen=True)
class Case:
    """One run. until: its last stage; tokens: a step, where a rate is wanted."""

    name: str
    overrides: tuple[str, ...]
    until: str = "train"
    tokens: int = 0


def on(strategy: str) -> tuple[str, ...]:
    return (f"trainer={strategy}", "trainer.accelerator=gpu", "trainer.devices=1")


CASES = [
    Case("adult, cpu, fp32", ADULT, "evaluate"),
    Case("adult, gpu, fp32", (*ADULT, *on("gpu")), "evaluate"),
    Case("adult, gpu, bf16-mixed", (*ADULT, *on("gpu"), BF16), "evaluate"),
    Case("gpt 85 M, gpu, fp32", (*LARGE, *on("gpu")), tokens=TOKENS),
    Case("gpt 85 M, gpu, bf16-mixed", (*LARGE, *on("gpu"), BF16), tokens=TOKENS),
    Case("gpt 85 M, ddp (NCCL), bf16-mixed", (*LARGE, *on("ddp"), BF16), tokens=TOKENS),
    Case("gpt 85 M, fsdp2, bf16-mixed", (*LARGE, *on("fsdp2"), BF16), tokens=TOKENS),
    Case("gpt 85 M, zero2, bf16-mixed", (*LARGE, *on("deepspeed_zero2"), BF16), tokens=TOKENS),
    Case("gpt 85 M, zero2, bf16-true", (*LARGE, *on("deepspeed_zero2"), "trainer.precision=bf16-true"), tokens=TOKENS),
    Case("gpt 85 M, zero3, bf16-mixed", (*LARGE, *on("deepspeed_zero3"), BF16), tokens=TOKENS),
    Case("gpt 85 M, offload, bf16-mixed", (*LARGE, *on("deepspeed_offload"), BF16), tokens=TOKENS),
    Case("gpt 10.7 M, gpu, bf16-mixed, 1,500 steps", (*SMALL, *on("gpu"), BF16, "trainer.max_steps=1500"), "evaluate", TOKENS),
]  # fmt: skip


def measure(case: Case, outputs: Path) -> dict[str, Any]:
    """One run of the command line; `identity=exact`, so that no other place's model is taken for it."""
    command = [sys.executable, "-m", "mldlc", "run", *case.overrides, "trainer.identity=exact"]
    command += [f"paths.outputs={outputs}", "--until", case.until, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise RuntimeError(
            f"exit {done.returncode}\n" + "\n".join([json.dumps(lines[-1:])[-1500:], done.stderr[-1500:]])
        )
    found: dict[str, Any] = {"wall": time.perf_counter() - began, "metrics": lines[-1]["metrics"]}
    metrics = [
        e
        for e in lines
        if e.get("type") == "metric" and e["step"].startswith("train") and _of(e, "name") == "train_loss"
    ]
    if case.tokens and len(metrics) > 2:
        first, last = metrics[0], metrics[-1]
        found["rate"] = (_of(last, "at") - _of(first, "at")) * case.tokens / (last["time"] - first["time"])
        found["loss"] = _of(last, "value")
    summary = json.loads((outputs / "latest" / "summary.json").read_text())
    train = next(step for name, step in summary["steps"].items() if name.startswith("train"))
    found |= {"seconds": train["seconds"], "facts": train.get("summary", {})}
    return found


def _of(event: dict[str, Any], name: str) -> Any:
    return event["data"][name] if "data" in event else event[name]


def main() -> None:
    """A row a case; one that fails is told with its end and does not stop the others."""
    chosen = [case for case in CASES if not sys.argv[1:] or any(word in case.name for word in sys.argv[1:])]
    print(
        "| case | train s | wall s | tokens/s | loss | GPU memory, MB | metrics |\n| - | - | - | - | - | - | - |",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for case in chosen:
            try:
                got = measure(case, Path(folder))
            except Exception as error:
                print(f"| {case.name} | failed: {type(error).__name__} | | | | | |\n{str(error)[-3000:]}", flush=True)
                continue
            rate, loss = (
                f"{got[name]:{form}}" if name in got else "" for name, form in (("rate", ",.0f"), ("loss", ".4f"))
            )
            memory = got["facts"].get("gpu_memory", 0) / 1e6
            test = got["metrics"].get("test", {})
            told = ", ".join(f"test {name} {value:.4g}" for name, value in test.items() if name in SHOWN)
            print(
                f"| {case.name} | {got['seconds']:.1f} | {got['wall']:.1f} | {rate} | {loss} | {memory:,.0f} | {told} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
