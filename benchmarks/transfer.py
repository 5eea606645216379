r"""What a model is worth on another genome, and what one learns from few TSSs.

    python benchmarks/transfer.py OUT                                     every shipped model on every genome
    python benchmarks/transfer.py OUT --few pombe --init yeast            from scratch and from yeast's convolutions,
                                                                          with 100, 300 and 1,000 TSSs
    python benchmarks/transfer.py OUT --curve yeast                       quality against the number of peaks

Chromosomes are scanned whole. AUPRC and AUROC are of stranded bins of 50 bases that hold a listed TSS: those of
`capsight evaluate --scan`. Data are those of ../shared/data (or --data). Each call writes a table, OUT/NAME.md, and
OUT/NAME.json, both with the command; a call that was stopped goes on where it was.

TSSs are drawn from the training chromosomes, 100 of 300 of 1,000 (so that more always holds fewer); those that are not
drawn are not known to the training, and count as none. Training is that of the recipe `default` (`train.auto`), with
`--set` on top.
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.config import EvaluateConfig, TrainConfig, WindowsConfig
from capsight.config.yaml_files import override, parse
from capsight.data import schema
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.peaks.index import PeakIndex
from capsight.data.peaks.reader import read_peaks
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.evaluate.evaluate import METRICS_FILE, evaluate
from capsight.model.track_folder import is_track, read_track_card
from capsight.shipped import find_model, shipped_models
from capsight.train.track.train import train

DATA: Final = Path(__file__).parents[2] / "shared" / "data"
FEW: Final = (100, 300, 1_000)
CURVE: Final = (100, 300, 1_000, 3_000)
SCRATCH: Final = "from scratch"
ALL: Final = "all"
#: 5' ends within so many bases of a drawn peak are known with it.
REACH: Final = 100
MARK: Final = " *"


class Source(NamedTuple):
    """A genome and its listed TSSs, as files below the data folder.

    Folds are those of the recipe of that name, but for human.

    Attributes
    ----------
    validation, test, exclude
        Chromosomes or regions.
    ctss
        Counts of 5' ends.
    """

    genome: str
    peaks: str
    validation: str
    test: str
    exclude: tuple[str, ...] = ()
    ctss: str = ""


GENOMES: Final = {
    "yeast": Source(
        "yeast/sacCer3.fa.gz", "yeast/stripeseq.ypd.peaks.bed", "chrVII", "chrIV",
        ctss="yeast/stripeseq.ypd.ctss.bed.gz",
    ),
    "pombe": Source(
        "pombe/s_pombe.ASM294v2.fa.gz", "pombe/epdnew.I_II.bed.gz", "II:1-800000", "II:800001-1600000", ("III", "MT")
    ),
    "falciparum": Source(
        "falciparum/p_falciparum.3D7.fa.gz", "falciparum/epdnew.chr1_13.bed.gz", "chr7", "chr8", ("chr14",)
    ),
    "arabidopsis": Source(
        "arabidopsis/a_thaliana.chr1.TAIR10.fa.gz", "arabidopsis/epdnew.chr1_first22Mb.bed.gz",
        "chr1:19000001-20500000", "chr1:20500001-22000000", ("chr1:22000001-30427671",),
    ),
    "human": Source("hg19mini/hg19mini.fa.gz", "hg19mini/hg19mini.cage_peaks.bed.gz", "chr4", "chr5"),
}  # fmt: skip


class Files(NamedTuple):
    """What windows are laid on."""

    genome: Path
    peaks: Path
    ctss: Path | None


def prepare(name: str, data: Path, out: Path) -> Files:
    """Link the genome, so that its store is built in `out`."""
    source, folder = GENOMES[name], out / "genomes" / name
    folder.mkdir(parents=True, exist_ok=True)
    linked = folder / Path(source.genome).name
    if not linked.exists():
        linked.symlink_to((data / source.genome).absolute())
    return Files(linked, data / source.peaks, data / source.ctss if source.ctss else None)


def write_peaks(peaks: pd.DataFrame, path: Path) -> None:
    """Write peaks as BED9 with their summits."""
    rows = peaks[list(schema.PEAK_COLUMNS)].itertuples(index=False, name=None)
    lines = (
        f"{chrom}\t{start}\t{end}\t{name}\t{0 if np.isnan(score) else score:g}\t{strand}\t{summit}\t{summit + 1}\t0\n"
        for chrom, start, end, name, score, strand, summit in rows
    )
    path.write_text("".join(lines))


def lay(name: str, files: Files, to: Path) -> Path:
    """Make a folder of windows."""
    source = GENOMES[name]
    held_out = {"validation": (source.validation,), "test": (source.test,), "exclude": source.exclude}
    config = WindowsConfig(  # the windows themselves are not read: short ones find room for negatives anywhere
        genome=files.genome, peaks=files.peaks, ctss=(files.ctss,) if files.ctss else (), length=64, exclusion_bp=0,
        **held_out,
    )  # fmt: skip
    return windows(config, to)


def draw(name: str, files: Files, n: int, seed: int, folder: Path) -> Files:
    """Keep `n` peaks of the training chromosomes, and all of the others; of 5' ends those that lie at kept peaks."""
    folder.mkdir(parents=True, exist_ok=True)
    genome, source = Genome.open(files.genome), GENOMES[name]
    held_out = Stretches.named(genome, (source.validation, source.test, *source.exclude))
    peaks = read_peaks(files.peaks, genome)
    inside = held_out.find(genome.index(peaks[schema.CHROM]), peaks[schema.SUMMIT].to_numpy(np.int64)) >= 0
    training = np.flatnonzero(~inside)
    drawn = np.random.default_rng(seed).permutation(training)[:n]
    kept = peaks.iloc[np.sort(np.concatenate([drawn, np.setdiff1d(np.arange(len(peaks)), training)]))]
    write_peaks(kept, folder / "peaks.bed")
    if files.ctss is None:
        return Files(files.genome, folder / "peaks.bed", None)
    ends = pd.read_csv(files.ctss, sep="\t", header=None, dtype={0: str})
    known = held_out.find(genome.index(ends[0]), ends[1].to_numpy(np.int64)) >= 0
    for strand in ("+", "-"):
        near = PeakIndex.from_peaks(kept[kept[schema.STRAND] == strand], genome, REACH)
        known |= (ends[5] == strand).to_numpy() & near.overlaps(genome.index(ends[0]), ends[1].to_numpy(), 1)
    ends[known].to_csv(folder / "ctss.bed", sep="\t", header=False, index=False)
    return Files(files.genome, folder / "peaks.bed", folder / "ctss.bed")


def scan(model: Path, laid: Path, fold: str, to: Path) -> dict[str, Any]:
    """Scan the chromosomes of a fold; return the figures of its stranded bins."""
    done = evaluate(EvaluateConfig(fold=fold, scan=True, bootstrap=0), model, laid, to)
    metrics = json.loads((done / METRICS_FILE).read_text(encoding="utf-8"))
    figures = {name: metrics["scan"][name] for name in ("auprc", "auroc", "prevalence")}
    return {"chromosomes": metrics["chromosomes"], "tss": metrics["n_peaks"], **figures}


def zero_shot(data: Path, out: Path, genomes: Sequence[str], models: Sequence[str]) -> list[dict[str, Any]]:
    """Scan the held-out chromosomes of every genome with every model."""
    rows = []
    for genome in genomes:
        laid = lay(genome, prepare(genome, data, out), out / "zero-shot" / genome / "windows")
        bases = Windows.open(laid).genome
        lengths = dict(zip(bases.names, bases.lengths.tolist(), strict=True))
        for model in models:
            name = called(model)
            found = scan(Path(model), laid, schema.TEST, out / "zero-shot" / genome / name)
            known = read_track_card(find_model(Path(model))).learned(lengths)
            seen = name == genome or bool(Windows.open(laid).stretches(schema.TEST).touched(known))
            rows.append({"genome": genome, "model": name, "own_or_seen": seen, **found})
            logging.info("%s on %s: AUPRC %.3f", name, genome, found["auprc"])
    return rows


def called(model: str) -> str:
    """Return the name of a model: that of a shipped one, or the end of the path of a folder."""
    return model if model in shipped_models() else "-".join(Path(model).absolute().parts[-2:])


def learn(
    genome: str,
    numbers: Sequence[int | None],
    starts: Sequence[str | None],
    given: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Train with so many peaks (`None`: all) from each start (`None`: from scratch), and scan a chromosome."""
    rows, files = [], prepare(genome, given.data, given.out)
    for seed in map(int, given.seeds.split(",")):
        for number in numbers:
            folder = given.out / "learned" / genome / f"{number or ALL}-{seed}"
            laid = lay(genome, draw(genome, files, number, seed, folder) if number else files, folder / "windows")
            for start in starts:
                settings = override({"auto": True, "seed": seed, "precision": given.precision}, given.set)
                config = parse(TrainConfig, settings | ({"init": start} if start else {}))
                name = called(start) if start else SCRATCH
                model = train(config, laid, folder / name.replace(" ", "-") / "model")
                found = scan(model, laid, given.fold, model.parent / f"scan-{given.fold}")
                rows.append({"genome": genome, "peaks": number or ALL, "start": name, "seed": seed, **found})
                logging.info("%s, %s peaks, %s, seed %d: AUPRC %.3f", genome, number or ALL, name, seed, found["auprc"])
    return rows


def zero_shot_table(rows: list[dict[str, Any]]) -> str:
    """Return genomes by models, AUPRC / AUROC in each cell."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [["genome", "scanned", "TSSs", "prevalence", *models], ["---"] * (4 + len(models))]
    for genome in dict.fromkeys(row["genome"] for row in rows):
        here = {row["model"]: row for row in rows if row["genome"] == genome}
        first = next(iter(here.values()))
        cells = [
            f"{row['auprc']:.3f} / {row['auroc']:.3f}{MARK if row['own_or_seen'] else ''}" for row in here.values()
        ]
        lines.append(
            [genome, ", ".join(first["chromosomes"]), f"{first['tss']:,}", f"{first['prevalence']:.2%}", *cells]
        )
    note = "AUPRC / AUROC of stranded bins of 50 bases.\n"
    note += "*: the genome that the model was made for, or a chromosome that it was trained on.\n"
    return f"{note}\n{markdown(lines)}"


def learned_table(rows: list[dict[str, Any]]) -> str:
    """Return numbers of peaks by starts, the mean AUPRC over seeds in each cell."""
    starts = list(dict.fromkeys(row["start"] for row in rows))
    lines = [["peaks", *starts], ["---"] * (1 + len(starts))]
    for number in dict.fromkeys(row["peaks"] for row in rows):
        cells = []
        for start in starts:
            found = [row["auprc"] for row in rows if (row["peaks"], row["start"]) == (number, start)]
            spread = f" ({min(found):.3f} to {max(found):.3f})" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.3f}{spread}")
        lines.append([f"{number:,}" if isinstance(number, int) else number, *cells])
    first, seeds = rows[0], len({row["seed"] for row in rows})
    what = f"AUPRC of stranded bins of 50 bases on {', '.join(first['chromosomes'])} of {first['genome']}"
    return f"{what}, {f'mean of {seeds} seeds' if seeds > 1 else 'one seed'}.\n\n{markdown(lines)}"


def markdown(lines: list[list[str]]) -> str:
    """Return rows of text as a Markdown table."""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(name: str, rows: list[dict[str, Any]], table: str, command: str, out: Path) -> None:
    """Write a table as Markdown, and its rows as JSON, both with the command."""
    text = f"```\n{command}\n```\n\n{table}"
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    content = {"command": command, "rows": rows}
    (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the genomes")
    parser.add_argument("--genomes", default=",".join(GENOMES), help="zero-shot: genomes, comma-separated")
    parser.add_argument("--models", help="zero-shot: models, comma-separated; default all that are shipped")
    parser.add_argument("--few", choices=sorted(GENOMES), help="learn from few TSSs of this genome")
    parser.add_argument("--init", default="", help="few: models to start from as well, comma-separated")
    parser.add_argument("--curve", choices=sorted(GENOMES), help="quality against the number of peaks of this genome")
    parser.add_argument("--numbers", help="few, curve: numbers of TSSs, comma-separated")
    parser.add_argument("--fold", default=schema.VALIDATION, choices=(schema.VALIDATION, schema.TEST))
    parser.add_argument("--seeds", default="1", help="few, curve: seeds of the draw and of training, comma-separated")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--set", action="append", default=[], help="few, curve: a setting of train, key=value")
    given = parser.parse_args(arguments)
    if given.few and given.curve:
        parser.error("make one table at a time: --few or --curve")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given.out.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/transfer.py {shlex.join(sys.argv[1:] if arguments is None else arguments)}"
    asked = [int(number) for number in given.numbers.split(",")] if given.numbers else None
    if given.few:
        starts: list[str | None] = [None, *filter(None, given.init.split(","))]
        rows = learn(given.few, asked or FEW, starts, given)
        write(f"few-{given.few}", rows, learned_table(rows), command, given.out)
    elif given.curve:
        rows = learn(given.curve, asked or (*CURVE, None), [None], given)
        write(f"curve-{given.curve}", rows, learned_table(rows), command, given.out)
    else:
        models = given.models.split(",") if given.models else shipped_models()
        tracks = [name for name in models if is_track(find_model(Path(name)))]
        rows = zero_shot(given.data, given.out, given.genomes.split(","), tracks)
        write("zero-shot", rows, zero_shot_table(rows), command, given.out)


if __name__ == "__main__":
    main()
