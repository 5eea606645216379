"""Feed damaged files to every reader until the time is over; whatever is not a `CapsightError` is a bug.

    python tests/corpus/fuzz.py --minutes 10 --out fuzzed

Each input is made from a good one (conftest.build_world) by a few random mutations, and depends on the seed and its
number alone: ``--only NUMBER`` makes one again and shows its traceback. What fails is kept in the folder of ``--out``.
Inputs are read in child processes, so that a crash or a hang of a library is found too.
"""

import argparse
import fcntl
import gzip
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from capsight import artefact
from capsight.config import Recipe, WindowsConfig
from capsight.config.yaml_files import load_yaml, parse
from capsight.data.attributions import Attributions
from capsight.data.genome.genome import Genome
from capsight.data.io.meme import read_meme, sniff_motif_format
from capsight.data.io.sequences import read_labelled, read_sequences
from capsight.data.io.text import readable
from capsight.data.io.vcf import VariantFile
from capsight.data.peaks.reader import read_peaks
from capsight.data.peaks.regions import read_regions
from capsight.data.windows.windows import Windows
from capsight.errors import CapsightError
from capsight.motifs.elements import read_elements
from capsight.motifs.known.pwm_scan import read_scannable
from capsight.predict.windows import load_scorer
from capsight.run.recipe import read_recipe
from conftest import build_world

BATCH = 200
SECONDS_EACH = 30
MEMORY = 16 << 30
Random = np.random.Generator

#: Values that readers of numbers and names stumble over.
NASTY = (
    "", " ", ".", "-", "+", "-1", "0", "00", "1e400", "nan", "inf", "-inf", "1.5", "1_000", "0x1f", "9" * 25,
    "-" + "9" * 25, "2147483648", "9223372036854775808", "true", "null", "~", "[", "{", "}", "'", '"', "#", ">", "&a",
    "*a", "!!python/none", "٣", "²", "\u200b", "é", "\x00", "\x1b[31m", "\x7f", "\u2028", "\x85", "N" * 70_000, "%s%n",
    "../../x", "chrI:1-2",
)  # fmt: skip


class Target(NamedTuple):
    """A reader, and the file of the good folder that is damaged for it."""

    file: str
    read: Callable[[Path], object]


def _genome(folder: Path) -> Genome:
    return Genome.open(folder / "genome.fa")


def _windows(folder: Path) -> object:
    """Read windows whose record says that all files are as they were made."""
    path = folder / "windows" / artefact.RECORD
    record = load_yaml(path)
    outputs = record.get("outputs")
    if isinstance(outputs, dict):
        there = {name: folder / "windows" / str(name) for name in outputs}
        record["outputs"] = {name: artefact.sha256(file) for name, file in there.items() if file.is_file()}
        artefact.write_yaml(path, record)
    data = Windows.open(folder / "windows")
    return data.codes(np.arange(len(data.table)))


def _arrays(folder: Path) -> object:
    """Read an archive of attributions whose checksums are right, whatever is in its arrays."""
    path = folder / "again.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((folder / "arrays").rglob("*.npy")):
            archive.write(file, file.relative_to(folder / "arrays"))
    return Attributions.read(path)


def _network(folder: Path) -> object:
    return load_scorer(folder / "model").score(np.zeros((2, 32), np.uint8))


def _booster(folder: Path) -> object:
    return load_scorer(folder / "base").score(np.zeros((2, 32), np.uint8))


def _aliases(folder: Path) -> object:
    return import_module("capsight.data.genome.contig_names").Aliases.read(folder / "aliases.txt", _genome(folder))


def _counts(folder: Path) -> object:
    return import_module("capsight.data.ctss.reader").read_ctss([folder / "counts.bed"])


def _strands(folder: Path) -> object:
    plus, minus = ([folder / f"{strand}.bedGraph"] for strand in ("plus", "minus"))
    return import_module("capsight.data.ctss.reader").read_ctss(plus=plus, minus=minus)


def _peaks(name: str, **options: Any) -> Target:
    return Target(name, lambda folder: read_peaks(folder / name, _genome(folder), **options))


def _motifs(name: str) -> Target:
    """Read what may be motifs or sequences, as `motif-compare` and `motif-scan` do."""

    def read(folder: Path) -> object:
        return (read_meme if sniff_motif_format(folder / name) else read_scannable)(folder / name)

    return Target(name, read)


def _through_a_pipe(folder: Path) -> object:
    """Read sequences through a pipe, which can be read only once."""
    read, write = os.pipe()
    size = (folder / "input.fa").stat().st_size
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, max(size, 4096))
    os.write(write, (folder / "input.fa").read_bytes())
    os.close(write)
    path = Path(f"/dev/fd/{read}")
    try:
        return read_sequences(path)
    finally:
        shutil.rmtree(readable(path).parent)
        os.close(read)


#: Readers that are not always there: their modules.
NEEDS = {
    "aliases": "capsight.data.genome.contig_names",
    "counts": "capsight.data.ctss.reader",
    "2bit": "capsight.data.io.twobit",
}
TARGETS = {
    "peaks.narrow": Target("narrow.bed", lambda folder: read_peaks(folder / "narrow.bed", _genome(folder))),
    "peaks.idr": _peaks("idr.bed"),
    "peaks.bed9+1": _peaks("more.bed"),
    "peaks.bed12": _peaks("twelve.bed"),
    "peaks.broad": _peaks("broad.bed"),
    "peaks.plus": _peaks("broad.bed", assume_plus_strand=True),
    "peaks.as_narrow": _peaks("more.bed", peak_format="narrowPeak"),
    "peaks.as_bed": _peaks("narrow.bed", peak_format="bed"),
    "peaks.gff3": _peaks("rings.gff3"),
    "peaks.csv": Target("paper.csv", lambda folder: read_peaks(folder / "paper.csv", _genome(folder))),
    "peaks.gtf": Target("genes.gtf", lambda folder: read_peaks(folder / "genes.gtf", _genome(folder))),
    "aliases": Target("aliases.txt", _aliases),
    "counts": Target("counts.bed", _counts),
    "bedgraph": Target("plus.bedGraph", _strands),
    "bedgraph.minus": Target("minus.bedGraph", _strands),
    "pipe": Target("input.fa", _through_a_pipe),
    "2bit": Target("genome.2bit", lambda folder: Genome.open(folder / "genome.2bit")),
    "peaks": Target("peaks.bed", lambda folder: read_peaks(folder / "peaks.bed", _genome(folder))),
    "variants.vcf": Target("variants.vcf", lambda folder: list(VariantFile.open(folder / "variants.vcf").records())),
    "variants.tsv": Target("variants.tsv", lambda folder: list(VariantFile.open(folder / "variants.tsv").records())),
    "regions": Target("own.bed", lambda folder: read_regions(folder / "own.bed", _genome(folder))),
    "genome": Target("genome.fa", _genome),
    "labelled": Target("train.csv", lambda folder: read_labelled(folder / "train.csv")),
    "sequences.csv": Target("input.csv", lambda folder: read_sequences(folder / "input.csv")),
    "sequences.fa": Target("input.fa", lambda folder: read_sequences(folder / "input.fa")),
    "recipe": Target("recipe.yaml", lambda folder: read_recipe(folder / "recipe.yaml", folder / "out")),
    "recipe.keys": Target("recipe.yaml", lambda folder: parse(Recipe, load_yaml(folder / "recipe.yaml"))),
    "settings": Target("settings.yaml", lambda folder: parse(WindowsConfig, load_yaml(folder / "settings.yaml"))),
    "attributions": Target("attributions.npz", lambda folder: Attributions.read(folder / "attributions.npz")),
    "attributions.codes": Target("arrays/codes.npy", _arrays),
    "attributions.strand": Target("arrays/strand.npy", _arrays),
    "attributions.meta": Target("arrays/meta.npy", _arrays),
    "meme": Target("motifs.meme", lambda folder: read_meme(folder / "motifs.meme")),
    "jaspar": _motifs("motifs.jaspar"),
    "queries": _motifs("queries.meme"),
    "elements": Target("elements.tsv", lambda folder: read_elements(folder / "elements.tsv")),
    "windows": Target("windows/windows.parquet", _windows),
    "windows.record": Target("windows/provenance.yaml", _windows),
    "model.config": Target("model/config.json", _network),
    "model.card": Target("model/capsight.json", _network),
    "model.weights": Target("model/model.safetensors", _network),
    "booster": Target("base/booster.txt", _booster),
    "booster.card": Target("base/baseline.json", _booster),
}


TARGETS = {name: target for name, target in TARGETS.items() if find_spec(NEEDS.get(name, "capsight"))}


def _flip_bits(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, 9)):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.integers(0, len(data))]


def _remove(data: bytes, rng: Random) -> bytes:
    start = int(rng.integers(0, len(data)))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def _repeat(data: bytes, rng: Random) -> bytes:
    start = int(rng.integers(0, len(data)))
    return data[:start] + data[start : start + int(rng.integers(1, 200))] * 2 + data[start:]


def _insert(data: bytes, rng: Random) -> bytes:
    start = int(rng.integers(0, len(data)))
    return data[:start] + rng.bytes(int(rng.integers(1, 20))) + data[start:]


def _blank(data: bytes, rng: Random) -> bytes:
    """Set a stretch to zero, as a disk does after a crash."""
    start, size = int(rng.integers(0, len(data))), int(rng.integers(1, 100))
    return data[:start] + b"\x00" * len(data[start : start + size]) + data[start + size :]


def _lines(data: bytes, rng: Random) -> bytes:
    """Swap, drop or repeat lines."""
    lines = data.split(b"\n")
    i, j = (int(n) for n in rng.integers(0, len(lines), 2))
    what = int(rng.integers(3))
    if what == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif what == 1:
        del lines[i]
    else:
        lines.insert(i, lines[j])
    return b"\n".join(lines)


def _field(data: bytes, rng: Random) -> bytes:
    """Replace, drop or repeat one field of one line."""
    lines = data.split(b"\n")
    i = int(rng.integers(len(lines)))
    separators = [s for s in (b"\t", b",", b":", b"=", b" ") if s in lines[i]] or [b"\t"]
    separator = separators[int(rng.integers(len(separators)))]
    fields = lines[i].split(separator)
    j, what = int(rng.integers(len(fields))), int(rng.integers(4))
    if what == 0:
        del fields[j]
    elif what == 1:
        fields.insert(j, fields[j])
    else:
        fields[j] = NASTY[int(rng.integers(len(NASTY)))].encode()
    lines[i] = separator.join(fields)
    return b"\n".join(lines)


def _value(data: bytes, rng: Random) -> bytes:
    """Put a nasty value anywhere."""
    start = int(rng.integers(0, len(data)))
    value = NASTY[int(rng.integers(len(NASTY)))].encode()
    return data[:start] + value + data[start + int(rng.integers(0, 6)) :]


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip_bits, _cut, _remove, _repeat, _insert, _blank, _lines, _lines, _field, _field, _field, _value, _value,
    lambda data, rng: b"\xef\xbb\xbf" + data,
    lambda data, rng: data.replace(b"\n", b"\r\n"),
    lambda data, rng: data.replace(b"\n", b"\r"),
    lambda data, rng: data.replace(b"\t", b" "),
    lambda data, rng: data.decode("latin-1").encode("utf-16"),
    lambda data, rng: gzip.compress(data),
    lambda data, rng: gzip.compress(data)[: int(rng.integers(1, 200))],
    lambda data, rng: data.swapcase(),
)  # fmt: skip


def mutated(data: bytes, rng: Random) -> bytes:
    """Damage a file in one to four ways, mostly one."""
    for _ in range(min(int(rng.geometric(0.6)), 4)):
        if data:
            data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
    return data


def make(number: int, seed: int, world: Path, folder: Path) -> str:
    """Write input `number` over the good file in `folder`; return the name of the reader it is for."""
    rng = np.random.default_rng([seed, number])
    names = list(TARGETS)
    name = names[int(rng.integers(len(names)))]
    file = TARGETS[name].file
    for part in ("windows", "model", "base"):  # as they were: some readers rewrite the record
        shutil.copyfile(world / part / artefact.RECORD, folder / part / artefact.RECORD)
    (folder / file).write_bytes(mutated((world / file).read_bytes(), rng))
    return name


def attempt(name: str, folder: Path) -> str:
    """Read; return how it ended: read, refused, or the last line of a traceback."""
    try:
        TARGETS[name].read(folder)
    except CapsightError:
        return "refused"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:150]} ({Path(frame.filename).name}:{frame.lineno})"
    return "read"


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS_EACH} s")


def run_batch(first: int, seed: int, world: Path, folder: Path, results: Path) -> None:
    """Read `BATCH` inputs; before each, say which, so that the parent knows what killed this process."""
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    with results.open("w") as out:
        for number in range(first, first + BATCH):
            name = make(number, seed, world, folder)
            out.write(json.dumps([number, name]) + "\n")
            out.flush()
            signal.alarm(SECONDS_EACH)
            end = attempt(name, folder)
            signal.alarm(0)
            out.write(json.dumps([number, name, end]) + "\n")
            out.flush()
            shutil.copyfile(world / TARGETS[name].file, folder / TARGETS[name].file)


def keep(number: int, name: str, end: str, seed: int, world: Path, folder: Path, out: Path) -> None:
    """Save an input that failed, and say so."""
    make(number, seed, world, folder)
    out.mkdir(parents=True, exist_ok=True)
    saved = out / f"{number}-{Path(TARGETS[name].file).name}"
    shutil.copyfile(folder / TARGETS[name].file, saved)
    shutil.copyfile(world / TARGETS[name].file, folder / TARGETS[name].file)
    print(f"{name}: {end} [{saved}]", flush=True)


def _in_child(work: Callable[..., object], *arguments: object) -> int | None:
    """Run a function in a process of its own; return the exit code."""
    child = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    child.start()
    child.join()
    return child.exitcode


def fuzz(minutes: float, seed: int, out: Path) -> int:
    """Run until the time is over; return the number of inputs that failed."""
    place = Path(tempfile.mkdtemp())
    (place / "world").mkdir()
    logging.disable()
    world = place / "world"
    _in_child(build_world, world)  # this process must not use OpenMP, or its children hang
    folder = Path(shutil.copytree(world, place / "here"))
    tally: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    stop, first, failed = time.monotonic() + minutes * 60, 0, 0
    while time.monotonic() < stop:
        results = place / "results.jsonl"
        died = _in_child(run_batch, first, seed, world, folder, results)
        records = [json.loads(line) for line in results.read_text().splitlines()]
        if died:
            records.append([*records[-1][:2], f"the process died ({died})"])
        for number, name, end in (record for record in records if len(record) == 3):
            tally[name, end if end in ("read", "refused") else "failed"] += 1
            if end not in ("read", "refused"):
                failed += 1
                if end not in seen:
                    seen.add(end)
                    keep(number, name, end, seed, world, folder, out)
        first = records[-1][0] + 1
    for name in TARGETS:
        print(f"{name:15}", *(f"{tally[name, end]:7} {end}" for end in ("read", "refused", "failed")))
    print(f"{first} inputs, {failed} failed in {len(seen)} ways; seed {seed}")
    shutil.rmtree(place)
    return failed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzzed"), help="where inputs that fail are kept")
    parser.add_argument("--only", type=int, help="read this input alone, and show what happens")
    given = parser.parse_args()
    if given.only is None:
        return min(fuzz(given.minutes, given.seed, given.out), 1)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "world").mkdir()
        world = build_world(Path(place) / "world")
        folder = Path(shutil.copytree(world, Path(place) / "here"))
        name = make(given.only, given.seed, world, folder)
        print(f"{name}: {TARGETS[name].file}\n{(folder / TARGETS[name].file).read_bytes()[:2_000]!r}")
        print(TARGETS[name].read(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
