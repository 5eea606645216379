"""Starting from another track model: its convolutions and k-mers are taken, its heads and its calibration are not."""

import logging
from pathlib import Path
from typing import NamedTuple, Self

from capsight.artefact import sha256
from capsight.config.track import TrackConfig, TrainConfig
from capsight.data import schema
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.model.card import WEIGHTS
from capsight.model.track import TrackModel, TrackNetwork
from capsight.model.track_folder import Ancestor, TrackCard, check_card, is_track, load_track
from capsight.shipped import find_model, shipped_models

logger = logging.getLogger(__name__)

#: Settings of the shape that change no weight: they need not be those of the model that a training starts from.
_FREE = ("dropout", "kmer_dropout")


class Start(NamedTuple):
    """The model that a training starts from.

    Attributes
    ----------
    name
        Its name, or the end of its path.
    weights
        The file of its weights.
    model, card
        As loaded.
    """

    name: str
    weights: Path
    model: TrackModel
    card: TrackCard

    @classmethod
    def from_model(cls, given: Path) -> Self:
        """Load a model by its name or folder.

        Raises
        ------
        InputError
            If it is none, is damaged, or is no track model.
        """
        folder = find_model(given)
        if not is_track(folder):
            check_card(folder)
            raise InputError(
                "is no track model: a training cannot start from its weights", where=folder,
                remedy=f"name a folder that capsight train wrote, or a shipped model: {', '.join(shipped_models())}",
            )  # fmt: skip
        name = str(given) if folder != given else "/".join(folder.absolute().parts[-2:])
        return cls(name, folder / WEIGHTS, *load_track(folder))

    def shaped(self, config: TrainConfig) -> TrainConfig:
        """Return settings whose network has the shape of this model.

        Raises
        ------
        ConfigError
            If they ask for another shape.
        """
        shape, asked = self.model.config, config.model
        given = [name for name in TrackConfig.model_fields if name in asked.model_fields_set]
        for name in given:
            wanted, there = getattr(asked, name), getattr(shape, name)
            if name not in _FREE and wanted != there:
                raise ConfigError(
                    f"train.model.{name} is {_shown(wanted)}, but {self.name} (train.init) has {_shown(there)}",
                    remedy=f"leave model.{name} out: the shape is that of the model to start from",
                )
        free = {name: getattr(asked, name) for name in given if name in _FREE}
        return config.model_copy(update={"model": shape.model_copy(update=free)})

    def give(self, network: TrackNetwork, number: int) -> None:
        """Put convolutions and k-mers of this model's member `number` (counted round) into a network, not its heads."""
        source = self.model.networks[number % len(self.model.networks)]
        assert isinstance(source, TrackNetwork)
        network.first.load_state_dict(source.first.state_dict())
        network.layers.load_state_dict(source.layers.state_dict())
        if source.contents is not None and network.contents is not None:
            network.contents.load_state_dict(source.contents.state_dict())

    def ancestor(self) -> Ancestor:
        """Return what the card of a model that starts here says of this one."""
        card = self.card
        return Ancestor(
            model=self.name, sha256=sha256(self.weights), train=card.train, lengths=card.lengths, init=card.init
        )

    def warn_of_seen(self, data: Windows) -> None:
        """Warn where this model, or what it started from, learned from chromosomes that are held out now."""
        learned = self.card.learned(dict(zip(data.genome.names, data.genome.lengths.tolist(), strict=True)))
        seen = {
            region for fold in schema.FOLDS if fold != schema.TRAIN for region in data.stretches(fold).touched(learned)
        }
        if seen:
            logger.warning(
                "train: %s, which this training starts from, was trained on %s, held out here: metrics on it are "
                "optimistic. Hold out what it was not trained on, or start from a model of another genome",
                self.name, ", ".join(sorted(seen)),
            )  # fmt: skip


def _shown(value: object) -> str:
    """Write a setting as in a recipe."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
