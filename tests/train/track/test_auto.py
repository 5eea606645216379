"""What `train` chooses for data of one's own: by peaks and genome, never what was given, and it says why."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from capsight import artefact
from capsight.config import CropsConfig, TrackConfig, TrainConfig, WindowsConfig
from capsight.data import schema
from capsight.data.ctss.ctss import Ctss
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.train.track import auto
from capsight.train.track.auto import BUDGETS, FEW, MOST_EPOCHS, PEAK_SHARE, SPARSE, choose
from capsight.train.track.crops import CropSource
from capsight.train.track.train import train

Choose = Callable[..., TrainConfig]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Choose:
    """Return a function that chooses for a genome of so many bases with so many peaks."""

    def run(bases: int, peaks: int, **given: Any) -> TrainConfig:
        monkeypatch.setattr(auto, "_peaks_in", lambda *_: peaks)
        whole = SimpleNamespace(sizes=np.array([bases]), is_whole=np.array([True]))
        data = SimpleNamespace(folder=tmp_path, stretches=lambda _: whole)
        return choose(TrainConfig(auto=True, **given), data)  # type: ignore[arg-type]

    return run


def updates(config: TrainConfig, bases: int, epochs: float) -> float:
    """Return the updates of so many passes over both strands."""
    return epochs * 2 * bases / (config.crops.length * config.crops.batch_size)


def test_the_table_is_in_order() -> None:
    assert BUDGETS[0].peaks == 0
    for name in ("peaks", "updates"):
        column = [getattr(row, name) for row in BUDGETS]
        assert column == sorted(column)


@pytest.mark.parametrize(
    ("bases", "peaks", "row"),
    [
        (9_500_000, 4_600, 3),  # yeast
        (19_000_000, 3_400, 3),
        (9_500_000, 100, 0),
        (9_500_000, 300, 1),
        (2_900_000_000, 190_000, 5),  # human
    ],
)
def test_updates_follow_the_number_of_peaks_and_not_the_size_of_the_genome(
    chosen: Choose, bases: int, peaks: int, row: int
) -> None:
    config = chosen(bases, peaks)
    assert updates(config, bases, config.epochs) == pytest.approx(BUDGETS[row].updates, rel=0.01)
    assert updates(config, bases, config.pretrain_epochs) == pytest.approx(BUDGETS[row].pretrain_updates, rel=0.01)


@pytest.mark.parametrize(("bases", "peaks", "share"), [(9_500_000, 4_600, 0), (2_900_000_000, 190_000, PEAK_SHARE)])
def test_crops_are_laid_at_peaks_where_these_are_rare(chosen: Choose, bases: int, peaks: int, share: float) -> None:
    assert chosen(bases, peaks).crops.peak_fraction == share


def test_a_small_genome_is_not_read_for_ever(chosen: Choose) -> None:
    assert chosen(50_000, 400).epochs == MOST_EPOCHS


def test_two_lines_report_what_and_why(chosen: Choose, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        chosen(9_500_000, 4_600)
    assert caplog.messages == [
        "train: auto: 4,600 peaks on 9,500,000 bases of training chromosomes, 1.98 in a crop of 8,192 bases",
        "train: auto: 6,000 updates (10.3 passes), as from 3,000 peaks on; no pre-training (enough peaks); 0% of the "
        "crops at peaks (peaks are frequent)",
    ]


@pytest.mark.parametrize(("peaks", "warned"), [(FEW - 1, True), (FEW, False)])
def test_too_few_peaks_are_warned_of(
    chosen: Choose, caplog: pytest.LogCaptureFixture, peaks: int, warned: bool
) -> None:
    chosen(9_500_000, peaks)
    assert ("are too few to learn from" in caplog.text) == warned
    assert ("--init" in caplog.text) == warned
    caplog.clear()
    chosen(9_500_000, peaks, init="yeast")
    assert ("the model will find little. Add peaks" in caplog.text) == warned
    assert "--init" not in caplog.text


def test_what_is_given_is_kept(chosen: Choose, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config = chosen(
            9_500_000, 100, epochs=3, pretrain_epochs=0, crops=CropsConfig(peak_fraction=0.25, length=4096), members=2
        )
    assert (config.epochs, config.pretrain_epochs, config.crops.peak_fraction) == (3, 0, 0.25)
    assert (config.crops.length, config.members) == (4096, 2)
    assert caplog.text.count("as given") == 3
    assert "no pre-training" in caplog.text


def test_who_starts_from_a_model_needs_no_pretraining(chosen: Choose) -> None:
    assert chosen(9_500_000, 100, init=Path("yeast")).pretrain_epochs == 0


TINY: dict[str, Any] = {"model": TrackConfig(width=8, dilations=(1,), average_radius=0), "pretrain_epochs": 0}


def test_the_record_has_what_was_chosen(
    motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(auto, "BUDGETS", (auto.Budget(0, 7, 0),))
    config = TrainConfig(auto=True, crops=CropsConfig(length=512), **TINY)
    model = train(config, motif_windows, tmp_path / "model")
    assert '"step": 7,' in (model / "metrics.jsonl").read_text().splitlines()[-1]
    assert "58 peaks are too few" in caplog.text
    data, nothing = Windows.open(motif_windows), Ctss(*(np.zeros(0, np.int64),) * 4)
    source = CropSource(data.genome, nothing, nothing, data.stretches(schema.TRAIN), 0, config.crops, 1)
    recorded = artefact.read_record(model / "provenance.yaml")["config"]
    assert recorded["epochs"] == pytest.approx(7 * config.crops.batch_size / source.crops_per_pass, abs=1e-6)
    before = (model / "provenance.yaml").stat().st_mtime_ns
    train(config, motif_windows, model)
    assert (model / "provenance.yaml").stat().st_mtime_ns == before


def test_labelled_sequences_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(
            f"sequence,label\n{name.upper()}CGTACGT,1\nGGGTTT{'CA'['ab'.index(name)]},0\n"
        )
    config = WindowsConfig(train=tmp_path / "a.csv", validation=(str(tmp_path / "b.csv"),))
    data = windows(config, tmp_path / "windows")
    with pytest.raises(ConfigError, match=r"train\.auto counts the peaks .* labelled sequences .*set epochs"):
        train(TrainConfig(auto=True, **TINY), data, tmp_path / "model")


@pytest.mark.parametrize(("auto_too"), [False, True])
def test_without_a_validation_chromosome_nothing_begins(motif_windows: Path, tmp_path: Path, auto_too: bool) -> None:
    folder = motif_windows.parent
    config = WindowsConfig(genome=folder / "genome.fa", peaks=folder / "peaks.bed", length=64, exclusion_bp=10)
    data = windows(config, tmp_path / "windows")
    with pytest.raises(InputError, match=r"the validation fold has no windows \(make them anew, with chromosomes"):
        train(TrainConfig(auto=auto_too, **TINY), data, tmp_path / "model")
    assert not list(tmp_path.glob("model*"))


def test_the_docs_have_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "new-organism.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:fewer than|from) ([\d,]+)(?: on)? \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    found = [tuple(int(cell.replace(",", "")) for cell in row) for row in rows]
    below, above = BUDGETS[0], BUDGETS[1:]
    assert found == [(BUDGETS[1].peaks, below.updates, below.pretrain_updates), *map(tuple, above)]
    text = " ".join(page.split())
    for number in (f"{MOST_EPOCHS:g} passes", f"fewer than {SPARSE:g} peaks on average", f"fewer than {FEW} peaks"):
        assert number in text
