"""Broken files that are no text, or whole folders: built here from the good ones, one fault each."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest
import yaml

from capsight import artefact

from .conftest import Run, check_refused, listing

WINDOWS = "windows --genome {} --peaks {} --validation chrII --test chrIII --length 32 --exclusion-bp 20 -o out"
LABELLED = "windows --train train.csv.gz --validation dev.csv -o out"
PREDICT = "predict input.fa --model model -o out.tsv"
BASELINE = "predict input.fa --model base -o out.tsv"
EVALUATE = "evaluate windows --model base --bootstrap 5 -o out"
TRAIN = "baseline windows -o out"
MOTIFS = "motifs attributions.npz --set de_novo=false -o out"

Break = Callable[[Path], object]


def cut(path: Path, keep: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def compress(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def bgzip(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.bgz")
    with pysam.BGZFile(str(packed), "wb") as out:
        out.write(path.read_bytes())
    return packed


def flip(path: Path) -> None:
    """Change bytes in the middle, so that a checksum fails."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(255 - byte for byte in data[middle : middle + 8])
    path.write_bytes(bytes(data))


def patch(path: Path, at: int, new: bytes) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + new + data[at + len(new) :])


def flip_last(path: Path) -> None:
    """Change one bit of the last byte: a weight."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))


def write_array(path: Path) -> None:
    with path.open("wb") as out:
        np.save(out, np.arange(3))


def edit_json(path: Path, **values: object) -> None:
    """Change keys of a JSON file; `...` removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}), encoding="utf-8")


def edit_npz(path: Path, **arrays: object) -> None:
    """Change arrays of an archive; `...` removes one."""
    with np.load(path) as archive:
        content: dict[str, Any] = {name: archive[name] for name in archive.files} | arrays
    np.savez(path, **{k: v for k, v in content.items() if v is not ...})


def edit_windows(folder: Path, change: Callable[[pd.DataFrame], object]) -> None:
    """Change the table of windows, and its checksum in the record, as if it had been made so."""
    path = folder / "windows" / "windows.parquet"
    changed = change(pd.read_parquet(path))
    if isinstance(changed, bytes):
        path.write_bytes(changed)
    else:
        changed.to_parquet(path)
    edit_record(folder, lambda record: record["outputs"].update({path.name: artefact.sha256(path)}))


def edit_record(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "windows" / "provenance.yaml"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(yaml.safe_dump(record), encoding="utf-8")


PACKED: dict[str, tuple[Break, str, str]] = {
    "gzip BED cut short": (
        lambda f: cut(compress(f / "peaks.bed")),
        WINDOWS.format("genome.fa", "peaks.bed.gz"), r"peaks\.bed\.gz: is truncated or damaged",
    ),
    "gzip BED with a wrong byte": (
        lambda f: flip(compress(f / "peaks.bed")),
        WINDOWS.format("genome.fa", "peaks.bed.gz"), r"peaks\.bed\.gz: is (truncated or damaged|not a text file)",
    ),
    "zip for BED": (
        lambda f: zipfile.ZipFile(f / "peaks.zip", "w").writestr("peaks.bed", (f / "peaks.bed").read_bytes()),
        WINDOWS.format("genome.fa", "peaks.zip"), r"peaks\.zip: (is not|holds no|is packed)",
    ),
    "random bytes for BED": (
        lambda f: (f / "peaks.bed").write_bytes(np.random.default_rng(0).bytes(500)),
        WINDOWS.format("genome.fa", "peaks.bed"), r"peaks\.bed: is not a text file",
    ),
    "folder for BED": (
        lambda f: None, WINDOWS.format("genome.fa", "windows"), r"windows: is a folder: name a file",
    ),
    "gzip FASTA cut short": (
        lambda f: cut(compress(f / "genome.fa")),
        WINDOWS.format("genome.fa.gz", "peaks.bed"), r"genome\.fa\.gz: is (truncated or damaged|gzip)",
    ),
    "bgzip FASTA cut short": (
        lambda f: cut(bgzip(f / "genome.fa")),
        WINDOWS.format("genome.fa.bgz", "peaks.bed"), r"genome\.fa\.bgz: is truncated or damaged",
    ),
    "bgzip FASTA with a wrong byte": (
        lambda f: flip(bgzip(f / "genome.fa")),
        WINDOWS.format("genome.fa.bgz", "peaks.bed"), r"genome\.fa\.bgz: is (truncated or damaged|not)",
    ),
    "random bytes for FASTA": (
        lambda f: (f / "genome.fa").write_bytes(np.random.default_rng(1).bytes(500)),
        WINDOWS.format("genome.fa", "peaks.bed"), r"genome\.fa: is not",
    ),
    "gzip CSV cut short": (
        lambda f: cut(compress(f / "train.csv")), LABELLED, r"train\.csv\.gz: is truncated or damaged",
    ),
    "a field of 200,000 letters": (
        lambda f: (f / "train.csv.gz").write_bytes(
            gzip.compress(b"sequence,label\n" + b"A" * 200_000 + b",1\n" + b"C" * 10 + b"\n")
        ),
        LABELLED, r"train\.csv\.gz:\d: (is not CSV: field larger than|1 fields)",
    ),
}  # fmt: skip

#: What needs the readers of more formats than BED and FASTA.
FORMATS: dict[str, tuple[Break, str, str]] = {
    "2bit cut short": (
        lambda f: cut(f / "genome.2bit"),
        WINDOWS.format("genome.2bit", "peaks.bed"), r"genome\.2bit: is truncated or damaged",
    ),
    "2bit of a later version": (
        lambda f: patch(f / "genome.2bit", 4, b"\x07"),
        WINDOWS.format("genome.2bit", "peaks.bed"), r"genome\.2bit: is 2bit of version 7: 0 and 1 are known",
    ),
    "2bit without names": (
        lambda f: patch(f / "genome.2bit", 16, b"\x00"),
        WINDOWS.format("genome.2bit", "peaks.bed"), r"genome\.2bit: (a record has no name|is truncated or damaged)",
    ),
    "2bit that points beyond its end": (
        lambda f: patch(f / "genome.2bit", 21, b"\xff\xff\xff\x7f"),
        WINDOWS.format("genome.2bit", "peaks.bed"), r"genome\.2bit: is truncated or damaged",
    ),
    "2bit with runs of N beyond the end": (
        lambda f: patch(f / "genome.2bit", (f / "genome.2bit").read_bytes().index(b"\x0a\x00\x00\x00"), b"\xff\xff"),
        WINDOWS.format("genome.2bit", "peaks.bed"), r"genome\.2bit: is truncated or damaged",
    ),
    "gzip FASTA": (
        lambda f: compress(f / "genome.fa"),
        WINDOWS.format("genome.fa.gz", "peaks.bed"), r"genome\.fa\.gz: is gzip, which cannot be indexed: bgzip",
    ),
    "folder without FASTA": (
        lambda f: None, WINDOWS.format("model", "peaks.bed"), r"model: is a folder without FASTA files",
    ),
    "bigWig for peaks": (
        lambda f: (f / "peaks.bed").write_bytes(b"\x26\xfc\x8f\x88" + bytes(60)),
        WINDOWS.format("genome.fa", "peaks.bed"), r"peaks\.bed: is bigWig, which holds no peaks \(.*capsight cluster",
    ),
    "bigWig of zeros": (
        lambda f: (f / "plus.bw").write_bytes(b"\x26\xfc\x8f\x88" + bytes(60)),
        "cluster --plus plus.bw --minus input.fa -o out.bed", r"plus\.bw: is truncated or damaged",
    ),
}  # fmt: skip

ATTRIBUTIONS: dict[str, tuple[Break, str]] = {
    "cut short": (lambda f: cut(f), "is no NPZ archive of plain arrays, or is damaged|it is cut short"),
    "wrong bytes": (lambda f: flip(f), "attributions"),
    "text": (lambda f: f.write_text("codes,score\n1,2\n"), "no NPZ archive of plain arrays"),
    "empty": (lambda f: f.write_bytes(b""), "no NPZ archive"),
    "one array": (lambda f: write_array(f), "it holds one array, not several"),
    "a pickle": (lambda f: f.write_bytes(pickle.dumps({"codes": 1})), "no NPZ archive of plain arrays"),
    "pickled array": (lambda f: edit_npz(f, score=np.array([{}] * 60)), "no NPZ archive of plain arrays"),
    "no codes": (lambda f: edit_npz(f, codes=...), "array 'codes' is missing"),
    "codes of integers": (lambda f: edit_npz(f, codes=np.zeros((60, 32), int)), "codes are not bases"),
    "code 9": (lambda f: edit_npz(f, codes=np.full((60, 32), 9, np.uint8)), "codes are not bases"),
    "too few labels": (lambda f: edit_npz(f, label=np.zeros(3, np.int8)), "label is not one"),
    "score above 1": (lambda f: edit_npz(f, score=np.full(60, 2, np.float32)), "a score is no probability"),
    "score not a number": (lambda f: edit_npz(f, score=np.full(60, np.nan, np.float32)), "no probability"),
    "attribution not a number": (
        lambda f: edit_npz(f, **{"method/ig": np.full((60, 32), np.nan, np.float32)}), "values that are not finite",
    ),
    "no strand": (lambda f: edit_npz(f, strand=np.full(60, ".")), r"neither \+ nor -"),
    "end before start": (lambda f: edit_npz(f, end=np.zeros(60, int)), "is not 32 bases long"),
    "meta not JSON": (lambda f: edit_npz(f, meta=np.array("{")), "meta is not JSON"),
    "meta a list": (lambda f: edit_npz(f, meta=np.array("[1]")), "meta is not JSON"),
    "token of no bases": (lambda f: edit_npz(f, spans_width=np.array(0)), "spans_width is not a positive"),
}  # fmt: skip

MODEL: dict[str, tuple[Break, str]] = {
    "weights cut short": (lambda f: cut(f / "model.safetensors"), r"model\.safetensors: weights cannot be read"),
    "weights empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "weights cannot be read"),
    "weights of a pickle": (
        lambda f: (f / "model.safetensors").write_bytes(pickle.dumps([1, 2])), "weights cannot be read",
    ),
    "header beyond the file": (
        lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x00" + b"{}"), "weights cannot be read",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "config of BERT": (
        lambda f: (f / "config.json").write_text('{"model_type": "bert", "hidden_size": 8, "vocab_size": 67}'),
        r"config\.json: does not describe a network that capsight knows",
    ),
    "config of another width": (lambda f: edit_json(f / "config.json", hidden_size=16), "weights cannot be read"),
    "config of more layers": (
        lambda f: edit_json(f / "config.json", num_hidden_layers=2), "weights and config.json disagree about",
    ),
    "config with another number of heads": (
        lambda f: edit_json(f / "config.json", num_attention_heads=3), "weights cannot be read",
    ),
    "config with an activation that is none": (
        lambda f: edit_json(f / "config.json", hidden_act="silly"), r"config\.json: does not describe",
    ),
    "config with another activation": (
        lambda f: edit_json(f / "config.json", hidden_act="relu"), r"config\.json: was changed after it was made",
    ),
    "one weight changed": (lambda f: flip_last(f / "model.safetensors"), r"model\.safetensors: was changed after"),
    "config with a word for a number": (
        lambda f: edit_json(f / "config.json", hidden_size="wide"), r"config\.json: does not describe",
    ),
    "config of negative size": (
        lambda f: edit_json(f / "config.json", hidden_size=-8), r"config\.json: does not describe",
    ),
    "config not JSON": (lambda f: cut(f / "config.json"), r"config\.json: does not describe"),
    "config a list": (lambda f: (f / "config.json").write_text("[1]"), r"config\.json: does not describe"),
    "card not JSON": (lambda f: cut(f / "capsight.json"), r"capsight\.json: is not a model card"),
    "card without a length": (lambda f: edit_json(f / "capsight.json", length=...), "is not a model card"),
    "card of negative length": (lambda f: edit_json(f / "capsight.json", length=-1), "is not a model card"),
    "card of a pre-trained model": (
        lambda f: edit_json(f / "capsight.json", task="pretraining"), "holds a model for pretraining",
    ),
    "card with another tokenizer": (
        lambda f: edit_json(f / "capsight.json", tokenizer={"kind": "kmer", "k": 8, "stride": 8}),
        r"capsight\.json: was changed",
    ),
    "not a folder": (lambda f: f.rename(f.with_name("elsewhere")), "there is no such model folder"),
}  # fmt: skip

BOOSTER: dict[str, tuple[Break, str]] = {
    "booster cut short": (lambda f: cut(f / "booster.txt"), r"booster\.txt: was changed after it was made"),
    "booster empty": (lambda f: (f / "booster.txt").write_text(""), r"booster\.txt: was changed"),
    "booster of something else": (
        lambda f: (f / "booster.txt").write_text("tree\nversion=v4\n"), r"booster\.txt: was changed",
    ),
    "no booster": (lambda f: (f / "booster.txt").unlink(), r"booster\.txt: there is no such file"),
    "card cut short": (lambda f: cut(f / "baseline.json"), "base: is not a baseline"),
    "card a list": (lambda f: (f / "baseline.json").write_text("[]"), "base: is not a baseline"),
    "card with another length": (lambda f: edit_json(f / "baseline.json", length=64), r"baseline\.json: was changed"),
    "card without k": (lambda f: edit_json(f / "baseline.json", k=...), "base: is not a baseline"),
    "card with another k": (lambda f: edit_json(f / "baseline.json", k=2), r"baseline\.json: was changed"),
    "card with k = 50": (lambda f: edit_json(f / "baseline.json", k=50), "base: is not a baseline"),
    "card of negative length": (lambda f: edit_json(f / "baseline.json", length=-3), "base: is not a baseline"),
}  # fmt: skip

TABLE: dict[str, tuple[Break, str]] = {
    "cut short": (lambda f: cut(f / "windows" / "windows.parquet"), "was changed after it was made"),
    "gone": (lambda f: (f / "windows" / "windows.parquet").unlink(), r"windows\.parquet: (cannot be read|there is no)"),
    "not parquet": (lambda f: edit_windows(f, lambda t: b"PAR1 not at all"), r"windows\.parquet: is not a table of"),
    "without a column": (lambda f: edit_windows(f, lambda t: t.drop(columns="strand")), "'?strand'?"),
    "words for numbers": (
        lambda f: edit_windows(f, lambda t: t.assign(start="here")), "is not a table of windows: Failed to parse",
    ),
    "other lengths": (
        lambda f: edit_windows(f, lambda t: t.assign(end=t.end + np.arange(len(t)))), "not of one length",
    ),
    "unknown contigs": (lambda f: edit_windows(f, lambda t: t.assign(chrom="chrX")), "a contig is not in genome.fa"),
    "label 7": (lambda f: edit_windows(f, lambda t: t.assign(label=np.int8(7))), "neither 0 nor 1"),
    "no value": (lambda f: edit_windows(f, lambda t: t.assign(gc=np.nan)), "a value is missing"),
    "fold of another name": (lambda f: edit_windows(f, lambda t: t.assign(fold="holdout")), "a fold is none of train"),
    "no rows": (lambda f: edit_windows(f, lambda t: t.iloc[:0]), "holds no windows"),
    "record not YAML": (lambda f: (f / "windows/provenance.yaml").write_text("a: [1"),
                        r"provenance\.yaml:\d: is not valid"),
    "record of another stage": (
        lambda f: edit_record(f, lambda r: r.update(stage="pretrain")), "is not a folder of the windows stage",
    ),
    "record with a list of outputs": (
        lambda f: edit_record(f, lambda r: r.update(outputs=["windows.parquet"])), "windows stage|lists no outputs",
    ),
    "record without inputs": (lambda f: edit_record(f, lambda r: r.pop("inputs")), "does not say which genome"),
    "record with a list of inputs": (lambda f: edit_record(f, lambda r: r.update(inputs=[1])), "does not say which"),
    "record with a list as config": (
        lambda f: edit_record(f, lambda r: r.update(config=[1])), "does not say which",
    ),
    "record with a word for a seed": (lambda f: edit_record(f, lambda r: r.update(seed="x")), "does not say its seed"),
    "genome of something else": (
        lambda f: edit_record(f, lambda r: r["inputs"]["genome"].update(sha256="0" * 64)), "is not the genome that",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PACKED)
def test_packed_and_binary_files(place: Path, run: Run, case: str) -> None:
    break_, command, says = PACKED[case]
    break_(place)
    before = listing(place)
    check_refused(run(command), says, before)


@pytest.mark.parametrize("case", FORMATS)
def test_further_formats(place: Path, run: Run, case: str) -> None:
    if not find_spec("capsight.data.io.twobit"):
        pytest.skip("there is no capsight.data.io.twobit")
    break_, command, says = FORMATS[case]
    break_(place)
    before = listing(place)
    check_refused(run(command), says, before)


@pytest.mark.parametrize("case", ATTRIBUTIONS)
def test_attributions(place: Path, run: Run, case: str) -> None:
    break_, says = ATTRIBUTIONS[case]
    break_(place / "attributions.npz")
    before = listing(place)
    check_refused(run(MOTIFS), says, before)


@pytest.mark.parametrize("case", MODEL)
def test_model_folders(place: Path, run: Run, case: str) -> None:
    break_, says = MODEL[case]
    break_(place / "model")
    before = listing(place)
    check_refused(run(PREDICT), says, before)


def test_the_good_model_is_good(place: Path, run: Run) -> None:
    assert run(PREDICT).code == 0
    assert len((place / "out.tsv").read_text().splitlines()) == 21


@pytest.mark.parametrize("case", BOOSTER)
def test_baseline_folders(place: Path, run: Run, case: str) -> None:
    break_, says = BOOSTER[case]
    break_(place / "base")
    before = listing(place)
    check_refused(run(BASELINE), says, before)


@pytest.mark.parametrize("command", [TRAIN, EVALUATE])
@pytest.mark.parametrize("case", TABLE)
def test_windows_folders(place: Path, run: Run, case: str, command: str) -> None:
    break_, says = TABLE[case]
    break_(place)
    before = listing(place)
    check_refused(run(command), says, before)
