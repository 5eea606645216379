"""Fill the disk at random bytes while a command runs: nothing is lost, and the command ends well once there is room.

Long, by hand (root, Linux):  unshare -m python tests/full_disk.py --trials 50 --seed 1
Short, in the suite:  tests/cli/test_full_disk.py

The disk is a small file system in memory, mounted in a namespace of its own. Half of the trials leave it a random
number of free bytes; in the others no file may have more than a random number (``ulimit -f``, or a file system as FAT).
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Each command twice: as it was run before, and as it meets the full disk. Its results of then must stay as they were.
STAGES = {
    "windows": (
        "windows --config {inputs}/windows.yaml --length 60 -o out",
        "windows --config {inputs}/windows.yaml -o out",
    ),
    "pretrain": (
        "pretrain {inputs}/windows --config {inputs}/pretrain.yaml --seed 2 -o out",
        "pretrain {inputs}/windows --config {inputs}/pretrain.yaml -o out",
    ),
    "finetune": (
        "finetune {inputs}/windows --pretrained {inputs}/pretrained --config {inputs}/finetune.yaml --seed 2 -o out",
        "finetune {inputs}/windows --pretrained {inputs}/pretrained --config {inputs}/finetune.yaml -o out",
    ),
    "train": (
        "train {inputs}/windows --config {inputs}/train.yaml --seed 2 -o out",
        "train {inputs}/windows --config {inputs}/train.yaml -o out",
    ),
    "evaluate": (
        "evaluate {inputs}/windows --model {inputs}/model --set bootstrap=20 --seed 2 -o out",
        "evaluate {inputs}/windows --model {inputs}/model --set bootstrap=20 -o out",
    ),
    "scan": (
        "scan genome.fa --model {inputs}/model --set min_expected_tags=0.1 -o out",
        "scan genome.fa --model {inputs}/model --set min_expected_tags=0 --set min_probability=0 -o out",
    ),
    "variants": (
        "variants {inputs}/few.vcf --genome genome.fa --model {inputs}/model -o out.vcf.gz",
        "variants {inputs}/many.vcf --genome genome.fa --model {inputs}/model -o out.vcf.gz",
    ),
    "predict": (
        "predict {inputs}/few.fa --model {inputs}/model -o out.tsv",
        "predict {inputs}/many.fa --model {inputs}/model -o out.tsv",
    ),
}  # fmt: skip
SIZE = 64 << 20


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    err: str
    peak: int  # bytes of the disk that it took at most


def used(disk: Path) -> int:
    """Return the bytes of a disk that are taken."""
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def run(arguments: str, disk: Path, largest: int | None = None) -> Ended:
    """Run a command in a copy of this process, which has loaded its libraries already."""
    before, peak, said = used(disk), 0, b""
    reading, writing = os.pipe()  # a file would have the limit, too
    os.set_blocking(reading, False)
    child = os.fork()
    if not child:
        code = 70
        try:
            os.dup2(writing, 2)
            os.dup2(writing, 1)
            os.chdir(disk / "place")
            if largest is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
            sys.argv = ["capsight", *arguments.split()]
            from capsight.cli import main

            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        peak = max(peak, used(disk) - before)
        with suppress(BlockingIOError):
            said += os.read(reading, 1 << 20)
        if ended:
            os.close(reading)
            return Ended(os.waitstatus_to_exitcode(status), said.decode(errors="replace"), peak)
        time.sleep(0.002)


def content(place: Path) -> dict[str, bytes]:
    """Return the bytes of all files but logs, genome stores, and what an interrupted training goes on with."""
    kept = {}
    for path in sorted(place.rglob("*")):
        parts = path.relative_to(place).parts
        if path.is_file() and not any(p == "logs" or p.endswith((".capsight", ".partial")) for p in parts):
            kept["/".join(parts)] = path.read_bytes()
    return kept


def fill(disk: Path, free: int) -> None:
    """Leave a disk so many free bytes."""
    found = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - free)))


def faults(stage: str, ended: Ended, before: dict[str, bytes], place: Path) -> list[str]:
    """Return what is wrong with how a command met a full disk."""
    errors = [line for line in ended.err.splitlines() if line.startswith(("error: ", "internal error: "))]
    found = []
    if ended.code != 2 or len(errors) != 1 or not errors[0].startswith("error: "):
        found.append(f"exit code {ended.code}, {len(errors)} lines of errors")
    elif not re.search("no space is left on the disk|would be larger than its file system", errors[0]):
        found.append("the message does not say why")
    if "Traceback" in ended.err:
        found.append("a traceback")
    now = content(place)
    found += [f"{name} was lost or changed" for name in before if now.get(name) != before[name]]
    found += [f"{name} was left" for name in now if name not in before]
    goes_on = stage in ("train", "pretrain", "finetune", "scan")  # of which checkpoints or contigs are kept
    found += [
        f"{path.name} was left" for path in place.glob("*.partial") if not (goes_on and path.name == "out.partial")
    ]
    return found


def try_stage(stage: str, inputs: Path, disk: Path, trials: int, rng: random.Random, *, report: bool) -> Counter[str]:
    """Run a command so many times on a disk that fills up; return how the trials ended.

    Raises
    ------
    SystemExit
        If one lost, left or broke something, or its repetition with room differs from an undisturbed one.
    """
    place, kept = disk / "place", inputs / f"before-{stage}"
    earlier, now = (text.format(inputs=inputs) for text in STAGES[stage])

    def lay(template: Path) -> None:
        (disk / "filler").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place)

    lay(inputs / "own")
    if (done := run(earlier, disk)).code:
        raise SystemExit(f"{stage}, before: {done.err}")
    for store in place.glob("*.capsight"):
        shutil.rmtree(store)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(place, kept)
    if (done := run(now, disk)).code:
        raise SystemExit(f"{stage}, undisturbed: {done.err}")
    expected = content(place)
    largest = max(len(data) for name, data in expected.items() if name != "genome.fa")
    tally, messages = Counter[str](), set[str]()
    for trial in range(trials):
        lay(kept)
        before, limit = content(place), None
        if trial % 2:
            limit = rng.randrange(largest)
        else:
            fill(disk, rng.randrange(done.peak))
        ended = run(now, disk, limit)
        where = {"stage": stage, "trial": trial, "limit": limit, "err": ended.err[-2000:]}
        if ended.code and (found := faults(stage, ended, before, place)):
            raise SystemExit(json.dumps(where | {"faults": found}, indent=1))
        tally["refused in one line" if ended.code else "had room enough"] += 1
        messages |= {
            re.sub(r"^error: [^ ]*: ", "", line) for line in ended.err.splitlines() if line.startswith("error: ")
        }
        (disk / "filler").unlink(missing_ok=True)
        again = run(now, disk)
        after = content(place)
        differ = sorted(name for name in {*expected, *after} if expected.get(name) != after.get(name))
        if again.code or differ or list(place.rglob("*.partial")):
            raise SystemExit(
                json.dumps(where | {"again": again.code, "said": again.err[-2000:], "differ": differ}, indent=1)
            )
    if report:
        print(f"{stage}: {trials} trials, " + ", ".join(f"{n} {what}" for what, n in tally.items()), flush=True)
        for message in sorted(messages):
            print(f"    {message}", flush=True)
    return tally


def prepare(inputs: Path) -> None:
    """Write genome, peaks, variants, settings and models."""
    import numpy as np
    import yaml

    from capsight.config import ModelConfig, PhaseConfig, PretrainConfig, WindowsConfig
    from capsight.data.windows.stage import windows
    from capsight.train.pretrain import pretrain
    from conftest import MOTIF, save_tiny_track

    rng, own = np.random.default_rng(0), inputs / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    genome, peaks = {}, []
    for name in ("chr1", "chr2", "chr3"):
        sequence = rng.choice(list("ACGT"), 20_000)
        for i, summit in enumerate(range(500, 19_500, 500)):
            sequence[summit - 7 : summit + 7] = list(MOTIF)
            peaks.append(f"{name}\t{summit}\t{summit + 1}\tp{i}\t9\t+\n")
        genome[name] = "".join(sequence)
    for place in (inputs, own):
        (place / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in genome.items()))
    (inputs / "peaks.bed").write_text("".join(peaks))
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=20000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for name, step in (("few", 2000), ("many", 50)):
        rows = [f"chr1\t{p + 1}\t.\t{genome['chr1'][p]}\t{'ACGT'['CGTA'.index(genome['chr1'][p])]}\t.\t.\t.\n"
                for p in range(3000, 17000, step)]  # fmt: skip
        (inputs / f"{name}.vcf").write_text(header + "".join(rows))
        (inputs / f"{name}.fa").write_text(
            "".join(f">s{i}\n{genome['chr1'][i : i + 60]}\n" for i in range(0, 18000, step))
        )
    common = {
        "peaks": str(inputs / "peaks.bed"),
        "length": 64,
        "validation": "chr2",
        "test": "chr3",
        "exclusion_bp": 10,
    }
    (inputs / "windows.yaml").write_text(yaml.safe_dump(common | {"genome": "genome.fa"}))
    made = windows(WindowsConfig.model_validate(common | {"genome": inputs / "genome.fa"}), inputs / "windows")
    tiny = {"width": 16, "mlp_size": 24, "layers": 1, "heads": 2, "stem_channels": 8, "downsample": 4}
    few = {"steps": 6, "batch_size": 8, "warmup_steps": 2}
    settings = {
        "pretrain": {"model": tiny, "corpus": "windows", "full_rank_phase": few, "relora_phase": few,
                     "relora": {"rank": 2, "merge_every": 3, "restart_warmup_steps": 1}, "checkpoint_every": 2,
                     "validation_windows": 8},
        "finetune": {"epochs": 0.5, "batch_size": 8, "warmup_steps": 2, "checkpoint_every": 3, "max_validation": 16},
        "train": {"model": {"width": 8, "dilations": [1, 2, 4], "average_radius": 16}, "crops": {"length": 512},
                  "loss": {"strength_weight": 0, "orf_weight": 0}, "epochs": 0.5,
                  "warmup_steps": 2, "checkpoint_every": 5},
    }  # fmt: skip
    for name, values in settings.items():
        (inputs / f"{name}.yaml").write_text(yaml.safe_dump(values))
    none = PhaseConfig(steps=0)
    pretrain(PretrainConfig(model=ModelConfig.model_validate(tiny | {"pooling": "position"}), full_rank_phase=none,
                            relora_phase=none), made, inputs / "pretrained")  # fmt: skip
    save_tiny_track(inputs / "model")


def main(stages: list[str], trials: int, seed: int, place: Path, *, report: bool = True) -> Counter[str]:
    """Try stages on a small disk that is mounted in a folder; return how the trials ended in all."""
    inputs, disk = place / "inputs", place / "disk"
    inputs.mkdir()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)], check=True)
    if not os.fork():  # so that this process, which is copied, has used no library's threads
        try:
            prepare(inputs)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.wait()[1]:
        raise SystemExit("the inputs cannot be made")
    import capsight.cli.commands
    import capsight.output
    import capsight.train.pretrain
    import capsight.train.track.train
    import capsight.variants.variants

    # The refusal of a disk that is full beforehand is not what is tried here.
    capsight.output.check_writable = lambda folder: None
    tally = Counter[str]()
    for stage in stages:
        tally += try_stage(stage, inputs, disk, trials, random.Random(f"{seed} {stage}"), report=report)
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50, help="Of each stage.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stages", nargs="*", choices=list(STAGES), default=list(STAGES))
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # the mount goes with the namespace
        main(given.stages, given.trials, given.seed, Path(folder))
