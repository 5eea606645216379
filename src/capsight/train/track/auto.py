"""`train` with `auto`: how long to train on data of one's own, by the size of the genome and the number of peaks.

All thresholds stand here, in one table and four numbers. Updates are counted rather than passes: a pass over a genome
of three billion bases takes as many updates as a whole training can afford.
"""

import logging
from math import ceil, floor
from typing import Any, Final, NamedTuple

from capsight.config.track import TrainConfig
from capsight.data import schema
from capsight.data.ctss.table import ctss_from_summits
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.windows import SEQUENCES_FILE, Windows
from capsight.errors import ConfigError
from capsight.train.track.crops import crops_per_strand

logger = logging.getLogger(__name__)


class Budget(NamedTuple):
    """How long to train from so many peaks on the training chromosomes on.

    Attributes
    ----------
    peaks
        At least so many; the next row is of more.
    updates
        Of the training itself.
    pretrain_updates
        Before that, of the prediction of hidden bases: where peaks are few, the genome has more to learn from.
    """

    peaks: int
    updates: int
    pretrain_updates: int


#: Of yeast (4,584 training peaks), 6,000 updates are 10 passes; fission yeast has had 3,100 (3,300 peaks).
BUDGETS: Final = (
    Budget(0, 1_000, 1_000),
    Budget(300, 2_000, 1_000),
    Budget(1_000, 3_000, 0),
    Budget(3_000, 6_000, 0),
    Budget(30_000, 20_000, 0),
    Budget(100_000, 40_000, 0),
)
#: With fewer training peaks than this, a warning says that they are too few.
FEW: Final = 100
#: Passes that are never exceeded: of a small genome, more are the same few crops again and again.
MOST_EPOCHS: Final = 100.0
#: Where a crop from anywhere holds fewer peaks than this in the mean, `PEAK_SHARE` of the crops are laid at peaks.
SPARSE: Final = 0.5
PEAK_SHARE: Final = 0.5


def choose(config: TrainConfig, data: Windows) -> TrainConfig:
    """Choose `epochs`, `pretrain_epochs` and `crops.peak_fraction`, but for those that are given.

    Two lines of the log report what is chosen, and why.

    Raises
    ------
    ConfigError
        If the windows are labelled sequences, which have neither a genome nor peaks.
    """
    if (data.folder / SEQUENCES_FILE).is_file():
        raise ConfigError(
            "train.auto counts the peaks of a genome, and these windows are labelled sequences", where=data.folder,
            remedy="leave auto out, and set epochs",
        )  # fmt: skip
    stretches, length = data.stretches(schema.TRAIN), config.crops.length
    peaks, bases = _peaks_in(stretches, data), int(stretches.sizes.sum())
    crops = 2 * int(crops_per_strand(stretches, length).sum())
    per_pass, per_crop = crops / config.crops.per_update, peaks / crops
    logger.info(
        "train: auto: %s peaks on %s bases of training chromosomes, %.2f in a crop of %s bases",
        f"{peaks:,}", f"{bases:,}", per_crop, f"{length:,}",
    )  # fmt: skip
    if peaks < FEW:
        logger.warning(
            "train: auto: %d peaks are too few to learn from (at least %d, better 1,000): the model will find "
            "little. %s", peaks, FEW,
            "Add peaks" if config.init else "Start from another model with --init, or add peaks",
        )  # fmt: skip
    chosen, told = _chosen(config, peaks, per_pass, per_crop)
    logger.info("train: auto: %s", "; ".join(told))
    crop_settings = config.crops.model_copy(update={"peak_fraction": chosen.pop("peaks")})
    return config.model_copy(update={"crops": crop_settings, **chosen})


def estimate(config: TrainConfig, peaks: int, bases: int) -> TrainConfig:
    """Return about what `choose` will choose for so many peaks on so many bases: for windows that are not made yet."""
    crops = max(2 * bases / config.crops.length, 1)
    chosen, _ = _chosen(config, peaks, crops / config.crops.per_update, peaks / crops)
    return config.model_copy(update={name: chosen[name] for name in ("epochs", "pretrain_epochs")})


def _peaks_in(stretches: Stretches, data: Windows) -> int:
    """Count the distinct summits in some stretches."""
    summits = ctss_from_summits(read_windows_peaks(data.folder, data.genome), data.genome)
    return int((stretches.find(summits.contig, summits.position) >= 0).sum())


def _chosen(config: TrainConfig, peaks: int, per_pass: float, per_crop: float) -> tuple[dict[str, Any], list[str]]:
    """Return the settings, and for each what it means and why."""
    budget = [row for row in BUDGETS if row.peaks <= peaks][-1]

    def passes(updates: int) -> float:
        return min(floor(1e6 * updates / per_pass) / 1e6, MOST_EPOCHS)  # rounded up, it would be one update more

    epochs, reason = passes(budget.updates), f"as from {budget.peaks:,} peaks on"
    if "epochs" in config.model_fields_set:
        epochs, reason = config.epochs, "as given"
    elif epochs == MOST_EPOCHS:
        reason = "the most for so small a genome"
    told = [f"{ceil(epochs * per_pass):,} updates ({epochs:.3g} passes), {reason}"]

    pretrain, reason = (
        passes(budget.pretrain_updates),
        "as peaks are few" if budget.pretrain_updates else "enough peaks",
    )
    if "pretrain_epochs" in config.model_fields_set:
        pretrain, reason = config.pretrain_epochs, "as given"
    elif config.init is not None and pretrain:
        pretrain, reason = 0.0, "init is a start"
    before = f"{ceil(pretrain * per_pass):,} updates of" if pretrain else "no"
    told.append(f"{before} pre-training ({reason})")

    share, reason = (PEAK_SHARE, "peaks are rare") if per_crop < SPARSE else (0.0, "peaks are frequent")
    if "peak_fraction" in config.crops.model_fields_set:
        share, reason = config.crops.peak_fraction, "as given"
    told.append(f"{share:.0%} of the crops at peaks ({reason})")
    return {"epochs": epochs, "pretrain_epochs": pretrain, "peaks": share}, told
