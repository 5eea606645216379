r"""What each part of a recipe is worth: variants of it, trained alike and compared on the validation fold.

    python benchmarks/ablation.py benchmarks/hg19mini.yaml benchmarks/ablation-hg19mini.yaml OUT \
        [--only NAME,NAME] [--seeds 1,2,3]

Variants are overrides of the recipe, by name, in a YAML file. All share one folder of windows. Networks that were
pre-trained alike share one pre-trained folder. The test fold is never read. A call that was stopped goes on where it
was; OUT/ablation.tsv holds a row for each variant and seed that is done.
"""

import argparse
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from safetensors import safe_open

from capsight.config import Recipe
from capsight.config.yaml_files import dump, load_yaml
from capsight.data.windows.stage import windows
from capsight.evaluate.evaluate import METRICS_FILE, evaluate
from capsight.model.card import WEIGHTS
from capsight.run.recipe import read_recipe
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain

METRICS = ("auroc", "auprc", "accuracy", "mcc", "ece")
SECONDS = "seconds.json"


def train(settings: Recipe, out: Path, folder: Path) -> dict[str, Any]:
    """Train one variant and score it on the validation fold."""
    key = hashlib.sha256(json.dumps(dump(settings.pretrain), sort_keys=True).encode()).hexdigest()[:12]
    start, pretraining = _timed(out / "pretrained" / key, lambda to: pretrain(settings.pretrain, out / "windows", to))
    model, finetuning = _timed(folder / "model", lambda to: finetune(settings.finetune, out / "windows", start, to))
    config = settings.evaluate.model_copy(update={"fold": "validation", "bootstrap": 0})
    scores = evaluate(config, model, out / "windows", folder / "evaluation")
    metrics = json.loads((scores / METRICS_FILE).read_text(encoding="utf-8"))
    with safe_open(model / WEIGHTS, framework="numpy") as weights:
        parameters = sum(int(np.prod(weights.get_slice(name).get_shape())) for name in weights.keys())  # noqa: SIM118
    return {
        "parameters": parameters, "pretrain_s": round(pretraining), "finetune_s": round(finetuning),
        **{name: metrics[name] for name in METRICS},
    }  # fmt: skip


def _timed(to: Path, stage: Any) -> tuple[Path, float]:
    """Run a stage, or find it done; return its folder and the seconds that it took when it ran."""
    record = to.with_name(f"{to.name}.{SECONDS}")
    then = time.monotonic()
    stage(to)
    if not record.exists():
        record.write_text(json.dumps(time.monotonic() - then), encoding="utf-8")
    return to, float(json.loads(record.read_text(encoding="utf-8")))


def main() -> None:
    """Train the variants that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("variants", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", help="names, comma-separated; default all")
    parser.add_argument("--seeds", default="1", help="seeds of training, comma-separated")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    variants = load_yaml(given.variants)
    names = given.only.split(",") if given.only else list(variants)
    for name in names:
        for seed in map(int, given.seeds.split(",")):
            overrides = [f"{key}={yaml.safe_dump(value)}" for key, value in (variants[name] or {}).items()]
            overrides += [f"pretrain.seed={seed}", f"finetune.seed={seed}"]
            settings = read_recipe(given.recipe, given.out, overrides)
            windows(settings.windows, given.out / "windows")
            folder = given.out / "variants" / f"{name}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            row = {"variant": name, "seed": seed, **train(settings, given.out, folder)}
            (folder / "row.json").write_text(json.dumps(row), encoding="utf-8")
            print(row, flush=True)
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(given.out.glob("variants/*/row.json"))]
    pd.DataFrame(rows).to_csv(given.out / "ablation.tsv", sep="\t", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
