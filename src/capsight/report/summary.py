"""What a stage of a run made, in one or two lines: the terminal shows them when it ends."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from capsight.report.results import factors, read_audit, read_log, read_metrics

#: Factors with a q-value below this are counted.
_ALPHA: Final = 0.05


def summary(stage: str, made: Path) -> list[str]:
    """Return what `stage` made and its main figure, at most two lines; nothing of stages that have no figure.

    Parameters
    ----------
    made
        The folder or file that it wrote.
    """
    if stage == "evaluate":
        return _of_scan(made) if (made / "calls.parquet").is_file() else _of_windows(made)
    return _SUMMARIES[stage](made) if stage in _SUMMARIES else []


def _simulated(made: Path) -> list[str]:
    truth = pd.read_csv(made / "truth.tsv", sep="\t", usecols=["kind", "chrom", "cap_site", "strand"], na_values=["."])
    promoters = truth[truth["kind"] == "promoter"].drop_duplicates(["chrom", "cap_site", "strand"])
    return [f"{len(promoters):,} promoters on {truth['chrom'].nunique()} chromosomes, and decoys"]


def _windows(made: Path) -> list[str]:
    found = json.loads((made / "summary.json").read_text(encoding="utf-8"))
    folds = found["folds"].items()
    counts = "; ".join(f"{fold} {each['positive']:,} + {each['negative']:,}" for fold, each in folds)
    return [f"windows of {found['length']:,} bases, positives + negatives: {counts}"]


def _audit(made: Path) -> list[str]:
    checks = read_audit(made)["checks"]
    told = [check for verdict in ("fail", "warn") for check in checks if check["verdict"] == verdict]
    if not told:
        return [f"{len(checks)} checks: none failed, no warnings"]
    names = ", ".join(f"{check['name']} ({check['verdict']})" for check in told)
    return [
        f"{len(checks)} checks, of which {len(told)} found something: {names}",
        f"{told[0]['name']}: {told[0]['message']}",
    ]


def _trained(made: Path) -> list[str]:
    log = read_log(made)
    for metric, name in (("auprc", "AUPRC of a scan"), ("auroc", "AUROC"), ("validation_loss", "loss")):
        if metric in log and log[metric].notna().any():
            best = log[metric].min() if "loss" in metric else log[metric].max()
            return [f"best {name} on the validation fold: {best:.3f}, at one of {len(log)} looks"]
    return []


def _baseline(made: Path) -> list[str]:
    card = json.loads((made / "baseline.json").read_text(encoding="utf-8"))
    return [f"{card['model']}" + (f" on {card['k']}-mers" if "k" in card else "")]


def _figure(found: Mapping[str, Any], key: str, form: str = ".3f") -> str:
    """Write a figure with its interval."""
    if found.get(key) is None:
        return "undefined"
    interval = (found.get("intervals") or {}).get(key)
    between = f" (95 % interval {interval[0]:{form}} to {interval[1]:{form}})" if interval else ""
    return f"{found[key]:{form}}{between}"


def _of_windows(made: Path) -> list[str]:
    found = read_metrics(made)
    return [f"AUROC {_figure(found, 'auroc')} on {found['n']:,} windows, {found['n_positive']:,} of them positives"]


def _of_scan(made: Path) -> list[str]:
    found = read_metrics(made)
    where = f"{found['bases']:,} bases, both strands, {found['n_peaks']:,} peaks"
    precision = found["scan"].get("precision_at_recall_0.5")
    beside = [
        f"{name} {each['auprc']:.3f}" for name, each in found["compared"].items() if each.get("auprc") is not None
    ]
    lines = [f"AUPRC {_figure(found['scan'], 'auprc')}" + (f"; {', '.join(beside)}" if beside else "") + f": {where}"]
    if precision is not None:
        lines.append(f"of the calls that find half of the peaks, {precision:.0%} are within 50 bases of one")
    return lines


def _scan(made: Path) -> list[str]:
    with (made / "tss.bed").open(encoding="utf-8") as handle:
        calls = sum(1 for _ in handle)
    return [f"{calls:,} TSSs called; tss.bed and tss.gff3 list them, plus.bw and minus.bw have the expected 5' ends"]


def _motifs(made: Path) -> list[str]:
    found = json.loads((made / "summary.json").read_text(encoding="utf-8"))
    lines = [
        f"{found['kmers_called']:,} of {found['kmers_tested']:,} {found['k']}-mers called; {found['de_novo']} de "
        f"novo motifs"
    ]
    if found["de_novo"]:
        table = pd.read_csv(made / "de_novo.tsv", sep="\t", dtype={"consensus": str}, keep_default_na=False)
        places = zip(table["consensus"], table["mode_offset"], strict=True)
        lines.append(
            "consensus@offset from the cap site: " + ", ".join(f"{name}@{place:+d}" for name, place in list(places)[:6])
        )
    return lines


def _factors(made: Path) -> list[str]:
    table = factors(made.parent)
    called = table[table["q-value"] < _ALPHA]
    first = f": {', '.join(called['factor'].head(5))}" if len(called) else ""
    return [f"{len(called)} of {len(table)} known motifs enriched at q < {_ALPHA}{first}"]


def _rows(made: Path) -> list[str]:
    with made.open(encoding="utf-8") as handle:
        return [f"{max(sum(1 for _ in handle) - 1, 0):,} rows"]


def _loci(made: Path) -> list[str]:
    told = json.loads((made / "examples.json").read_text(encoding="utf-8"))
    return [f"{len(told)} pictures: {', '.join(each['place'] for each in told)}"]


def _report(made: Path) -> list[str]:
    page = made / "report.html"
    return [f"one page of {page.stat().st_size / 1e6:.1f} MB that needs no other file: open {page}"]


_SUMMARIES: Final[Mapping[str, Callable[[Path], list[str]]]] = {
    "simulate": _simulated, "windows": _windows, "audit": _audit, "train": _trained, "pretrain": _trained,
    "finetune": _trained, "baseline": _baseline, "scan": _scan, "predict": _rows, "motifs": _motifs,
    "motif-scan": _rows, "motif-compare": _rows, "motif-enrich": _factors, "loci": _loci, "report": _report,
}  # fmt: skip
