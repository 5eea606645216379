"""Small genomes that tests write, the real ones where they are present, and a small network to start from."""

import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from capsight.cli import main
from capsight.config import ModelConfig, PhaseConfig, PretrainConfig, WindowsConfig
from capsight.data.windows.stage import windows

# Tiny networks are fastest on one thread, and bits may differ between numbers of threads.
os.environ["OMP_NUM_THREADS"] = "1"

REAL = Path(__file__).parents[2] / "shared" / "data"

#: Fixtures that train a network, run all stages, or take as long: whatever uses one is no unit test.
LONG = {"explained", "finished", "finished_track", "planted", "pretrained", "related", "trained", "trained_causal"}
#: Files whose tests train networks and other models themselves, or draw many pictures.
LONG_FILES = {
    "test_auto.py", "test_baseline.py", "test_benchmarks.py", "test_cnn.py", "test_crossval.py", "test_finetune.py",
    "test_launch.py", "test_plot.py", "test_pretrain.py", "test_report.py", "test_start.py", "test_train.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long as ``pipeline``, which `make test-unit` leaves out, and begin with the files that hold any.

    At the end no process then waits for another's long file.
    """
    for item in items:
        if LONG & set(getattr(item, "fixturenames", ())) or item.path.name in LONG_FILES:
            item.add_marker(pytest.mark.pipeline)
    long = {item.path for item in items if item.get_closest_marker("pipeline")}
    items.sort(key=lambda item: item.path not in long)


#: CPU seconds that a test of the unit ring may take: many times what is usual, for the first test pays for imports.
MOST_SECONDS = 10


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test of the unit ring that is long. A busy machine changes no CPU seconds."""
    before = sum(os.times()[:4])
    result = yield
    seconds = sum(os.times()[:4]) - before  # of this process and of those that it started
    if seconds > MOST_SECONDS and not any(item.get_closest_marker(name) for name in ("pipeline", "real", "docs")):
        pytest.fail(f"{seconds:.0f} CPU seconds are too long for make test-unit: mark it pipeline", pytrace=False)
    return result


@pytest.fixture(autouse=True)
def _log_level() -> Generator[None]:
    """Give the package's logger its level back, which a command run in this process has set."""
    logger = logging.getLogger("capsight")
    before = logger.level
    yield
    logger.setLevel(before)


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def capsight(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs a command line in this process: its exit code, and what it prints.

    A process of its own takes seconds to import what all commands share.
    """
    logger = logging.getLogger("capsight")
    monkeypatch.setattr(logger, "handlers", logger.handlers)  # a command sets them for good

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["capsight", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code or 0
        assert isinstance(code, int), code
        return Done(code, *capfd.readouterr())

    return call


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures empty, where a test is about something else: a picture takes a tenth of a second."""

    def save(_: object, path: Path, **options: object) -> None:
        path.write_text("<svg/>" if options["format"] == "svg" else "\x89PNG", encoding="latin-1")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)


class Inputs(NamedTuple):
    genome: Path
    peaks: Path


def linked(folder: str, genome: str, peaks: str, place: Path) -> Inputs:
    """Link a real genome into a folder of our own, so that its store is built there."""
    if not (REAL / folder).is_dir():
        pytest.skip(f"the shared real data ({folder}) are not here")
    (place / genome).symlink_to(REAL / folder / genome)
    return Inputs(place / genome, REAL / folder / peaks)


@pytest.fixture(scope="session")
def yeast(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return linked("yeast", "sacCer3.fa.gz", "stripeseq.ypd.peaks.bed", tmp_path_factory.mktemp("yeast"))


@pytest.fixture(scope="session")
def hg19mini(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    place = tmp_path_factory.mktemp("hg19mini")
    return linked("hg19mini", "hg19mini.fa.gz", "hg19mini.cage_peaks.bed.gz", place)


@pytest.fixture
def write_fasta(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes ``{name: sequence}`` as FASTA, 60 letters a line."""

    def write(contigs: Mapping[str, str], name: str = "genome.fa") -> Path:
        path = tmp_path / name
        lines = [
            f">{contig}\n" + "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60))
            for contig, text in contigs.items()
        ]
        path.write_text("".join(lines))
        return path

    return write


#: Stands at every cap site of `motif_windows`.
MOTIF = "TATAAAGGCACGTC"


@pytest.fixture(scope="session")
def motif_windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return windows of a small genome in which every cap site carries a motif."""
    folder = tmp_path_factory.mktemp("motif")
    rng = np.random.default_rng(0)
    genome, peaks = [], []
    for name in ("chr1", "chr2", "chr3"):
        sequence = rng.choice(list("ACGT"), 30_000)
        for i, summit in enumerate(range(500, 29_500, 500)):
            sequence[summit - 7 : summit + 7] = list(MOTIF)
            peaks.append(f"{name}\t{summit}\t{summit + 1}\tp{i}\t9\t+\n")
        genome.append(f">{name}\n{''.join(sequence)}\n")
    (folder / "genome.fa").write_text("".join(genome))
    (folder / "peaks.bed").write_text("".join(peaks))
    config = WindowsConfig(
        genome=folder / "genome.fa",
        peaks=folder / "peaks.bed",
        length=64,
        validation=("chr2",),
        test=("chr3",),
        exclusion_bp=10,
    )
    return windows(config, folder / "windows")


@pytest.fixture(scope="session")
def pretrained(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network of random weights that reads the windows of `motif_windows`."""
    from capsight.train.pretrain import pretrain  # loads torch, which most tests do without

    none = PhaseConfig(steps=0)
    model = ModelConfig(width=32, mlp_size=48, layers=1, heads=2, stem_channels=16, downsample=4, pooling="position")
    config = PretrainConfig(model=model, full_rank_phase=none, relora_phase=none)
    return pretrain(config, motif_windows, tmp_path_factory.mktemp("pretrained") / "out")


#: A whole run in seconds.
TINY = {
    "simulate": {"bases": 200_000, "chromosomes": 3, "spacing": 700, "seed": 4},
    "windows": {"length": 64, "validation": "chr2", "test": "chr3"},
    "pretrain": {
        "model": {
            "width": 16,
            "mlp_size": 24,
            "layers": 1,
            "heads": 2,
            "stem_channels": 8,
            "downsample": 4,
            "dropout": 0.1,
        },
        "corpus": "genome",
        "full_rank_phase": {"steps": 6, "batch_size": 8, "warmup_steps": 2},
        "relora_phase": {"steps": 40, "batch_size": 8, "warmup_steps": 2},
        "relora": {"rank": 2, "alpha": 4, "merge_every": 8, "restart_warmup_steps": 2},
        "checkpoint_every": 5,
        "evaluate_every": 20,
    },
    "finetune": {
        "lora": {"modules_to_save": ["head", "stem", "norms"]},
        "epochs": 6,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "warmup_steps": 20,
        "checkpoint_every": 7,
        "ema_decay": 0.9,
    },
    "audit": {},
    "baseline": {},
    "evaluate": {"bootstrap": 20},
    "explain": {"max_windows": 60, "n_steps": 2, "n_references": 1},
    "motifs": {"k": 4},
    "motif_scan": {"threshold": 1e-3},
    "motif_compare": {},
    "motif_enrich": {"threshold": 1e-3},
}


#: A whole run with a track network: as little DNA and as few passes as it learns from.
TINY_TRACK: dict[str, Any] = {
    "simulate": {"bases": 1_000_000, "chromosomes": 3, "spacing": 700, "seed": 4},
    "windows": {"length": 64, "validation": "chr2", "test": "chr3"},
    "train": {
        "model": {"width": 24, "first_kernel": 19, "dilations": [1, 2, 4, 8, 16], "average_radius": 0, "dropout": 0.05},
        "crops": {"length": 1024},
        "loss": {"orf_weight": 0, "strength_weight": 0},
        "epochs": 3,
        "learning_rate": 1e-2,
        "warmup_steps": 20,
        "ema_decay": 0.9,
        "checkpoint_every": 100,
        "evaluate_every": 250,
    },
    "audit": {},
    "baseline": {},
    "evaluate": {"bootstrap": 20},
    "scan": {},
    "explain": {"method": "ig", "max_windows": 4, "n_steps": 4, "n_references": 1, "n_faithfulness": 2},
}


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of `TINY` as a file."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture(scope="session")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of `TINY`."""
    from capsight.run.pipeline import run

    return run(recipe, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="session")
def track_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of `TINY_TRACK` as a file."""
    path = tmp_path_factory.mktemp("recipe") / "track.yaml"
    path.write_text(yaml.safe_dump(TINY_TRACK))
    return path


@pytest.fixture(scope="session")
def finished_track(track_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of `TINY_TRACK`."""
    from capsight.run.pipeline import run

    return run(track_recipe, tmp_path_factory.mktemp("runs") / "track")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Let what a test logs of a name that is not UTF-8 pass from one process to another (pytest-xdist)."""
    outcome = yield
    report = outcome.get_result()
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]


def save_tiny_track(folder: Path, seed: int = 1, calibrated: bool = True) -> Path:
    """Save a track model of random weights: 0.05 tags a base in the mean, and calls of various probabilities."""
    import torch

    from capsight import artefact
    from capsight.config.track import TrackConfig
    from capsight.model.track import TrackModel, TrackNetwork
    from capsight.model.track_folder import Calibration, Calling, TrackCard, save_track
    from capsight.predict.track import REACH, TrackScorer, features

    torch.manual_seed(seed)
    config = TrackConfig(width=8, dilations=(1, 2, 4), average_radius=16)
    model = TrackModel(config).eval()
    network = model.networks[0]
    assert isinstance(network, TrackNetwork)
    codes = np.random.default_rng(seed).integers(0, 4, (1, 5000), dtype=np.uint8)
    with torch.no_grad():
        network.head.weight += 0.1 * torch.randn_like(network.head.weight)
        assert network.head.bias is not None
        network.head.bias[0] += float(np.log(0.05 / TrackScorer(model).counts(codes, 0, 5000).tags.mean()))
    around = features(TrackScorer(model).counts(codes, 0, 5000))[..., 1]
    slope = 1 / float(around.std())
    calibration = Calibration(
        intercept=-1.5 - slope * float(around.mean()), summits_within_10=0, tags_within_10=slope, tags_within_50=0
    )
    calling = Calling(min_probability=0.3, distance=50, precision=0.8, recall=0.5)
    given: dict[str, Any] = {"calibration": calibration, "calling": calling} if calibrated else {}
    card = TrackCard(halo=model.halo + REACH, **given)
    with artefact.atomic_dir(folder, "finetune", config, {}) as partial:
        save_track(model, card, partial)
    return folder


@pytest.fixture(scope="session")
def tiny_track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small track model of random weights, with calibration and threshold."""
    return save_tiny_track(tmp_path_factory.mktemp("track") / "model")


def random_dna(length: int, seed: int = 0) -> str:
    """Return random DNA, some of it N and some in lower case."""
    rng = np.random.default_rng(seed)
    return "".join(rng.choice(list("ACGTACGTACGTNacgt"), length))
