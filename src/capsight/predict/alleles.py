"""Both alleles of a change, by computing only what the change can reach.

The reference is read once for neighbouring changes, and the inputs of every convolution are kept. Of an allele, only
the states in the *cone* of its change are computed: after a convolution, those within the summed trims of it and of all
before it. Left of the cone the allele has the reference's states, and right of it too, as many bases further on as the
alternative is longer. States that no base within `AlleleScorer.flank` of the change depends on are left out.

* A *replacement* (SNV, MNV: as many bases as before) is followed as a difference: relu of both alleles is subtracted,
  and the convolution of the difference, with zeros around it, is the difference in the next layer. Where nothing
  changes, the difference is exactly 0. PyTorch (oneDNN) spends no time on the zeros.
* An *insertion or deletion* shifts one side against the other, so its states themselves are computed, from a window in
  which the reference's states lie around the cone.

Cones depend on the length of the alternative alone, so changes of one length are computed together.

A network that also reads the k-mers of whole stretches (`capsight.model.contents`) has no such cone: both alleles are
read whole, change by change.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from capsight.data.genome.alphabet import CODE_BITS, reverse_complement
from capsight.model.track import Convolution, TrackModel, TrackNetwork, one_hot, trimmed
from capsight.predict.track import REACH, Codes, Floats, TrackScorer, with_flanks

#: Changes are read together while they span no more bases, for all networks of a model together; longer ones alone.
LONGEST: Final = 1 << 13
#: Alleles that are held at once.
_HELD: Final = 1 << 10
#: Changes that are read at once at first, and positions of a layer at the most: a few in the processor's cache.
_BATCH: Final = 64
TILE_CPU: Final = 1 << 14
TILE_GPU: Final = 1 << 18
#: Stretches have one of a few lengths: a change of this size alone, and so many bases more each. For every length
#: oneDNN keeps convolutions made for it, up to 1,024 of them: memory grew to over 1 GB.
_SMALL: Final = 16
_STEP: Final = 1 << 10
#: Of the head: tags and summits.
_READ: Final = 2
#: Bytes of the largest block that glibc's dynamic threshold follows, nearly.
_KEPT: Final = 31 << 20


class Change(NamedTuple):
    """What stands differently in one allele of a sequence: `alternative` in place of the bases from `start` to `end`.

    Attributes
    ----------
    start, end
        0-based, half-open; where both are the same, `alternative` is inserted before `start`.
    alternative
        Codes 0 to 4; none is a deletion.
    """

    start: int
    end: int
    alternative: Codes


class Allele(NamedTuple):
    """Expected counts around a change, before calibration, each ``(2, flank + middle + flank)``.

    Strands are + and -, positions go from left to right. `middle` is the number of bases of the change in this allele,
    so the first `flank` columns of both alleles are the same bases, and so are the last. Beyond the ends of the
    sequence stands what `TrackScorer.counts` answers there.
    """

    tags: Floats
    summits: Floats


class _Network(NamedTuple):
    """What one network computes of one strand of a stretch, each ``(positions, channels)``.

    Attributes
    ----------
    inputs
        Of every convolution: bases, then states before relu; the last are read by `heads` and `averaged`.
    heads
        Of tags and summits, before the bias.
    averaged
        What is averaged, before the bias; without averages, no channels.
    logs
        Of expected tags and summits.
    """

    inputs: list[Tensor]
    heads: Tensor
    averaged: Tensor
    logs: Tensor


class _Strand(NamedTuple):
    """One strand of a stretch: what each network computes, and expected tags and summits, ``(positions, 2)``."""

    length: int
    networks: list[_Network]
    counts: Tensor


class _Batch(NamedTuple):
    """Changes of a strand whose alternatives are of one length: `starts` and `ends`, and bases ``(n, length, 4)``."""

    starts: Tensor
    ends: Tensor
    bases: Tensor
    replacing: bool

    def part(self, some: slice) -> "_Batch":
        """Return some of the changes."""
        return _Batch(self.starts[some], self.ends[some], self.bases[some], self.replacing)

    def around(self, track: Tensor, first: int, reach: int) -> Tensor:
        """Return what the reference has within `reach` bases of each change, ``(n, reach + length + reach, channels)``.

        `track` begins at base `first`. In the place of an insertion stands what does not matter.
        """
        length = self.bases.shape[1]
        steps = torch.arange(-reach, length + reach, device=track.device)
        at = torch.where(steps < 0, self.starts[:, None] + steps, self.ends[:, None] + steps - length) - first
        return track.index_select(0, at.clamp_min(0).flatten()).unflatten(0, at.shape)


class AlleleScorer:
    """Answers for both alleles of changes.

    Parameters
    ----------
    scorer
        Its network, precision and device are used.
    distance
        Bases on either side of a change that are looked at.
    """

    def __init__(self, scorer: TrackScorer, distance: int = 500) -> None:
        self.scorer = scorer
        self.flank = distance + REACH
        networks = scorer.network.networks if isinstance(scorer.network, TrackModel) else [scorer.network]
        self.networks = [network for network in networks if isinstance(network, TrackNetwork)]
        self.halo, self.margin = self.networks[0].halo, self.networks[0].margin
        self.reads_whole = any(network.contents is not None for network in self.networks)
        #: Bases on either side of a change whose input of each convolution it can reach, the states at the end.
        self.cone = [0]
        #: Bases at either end of a stretch that have no such input.
        self.trimmed = [0]
        for layer in self.layers(self.networks[0]):
            self.trimmed.append(self.trimmed[-1] + layer.trim)
            self.cone.append(min(self.trimmed[-1], self.flank + self.halo - self.trimmed[-1]))
        # glibc gives the pages of freed blocks back, and clears them anew for the next ones: a third of the time. From
        # the first block of this size on that came and went, it keeps as much (mallopt(3), M_TRIM_THRESHOLD).
        torch.empty(_KEPT, dtype=torch.uint8)
        self.tile = TILE_CPU if scorer.device.type == "cpu" else TILE_GPU

    @staticmethod
    def layers(network: TrackNetwork) -> list[Convolution]:
        """Return the convolutions of a network that lead to its states."""
        return [network.first, *network.residual()]

    def alleles(self, codes: Codes, changes: Sequence[Change]) -> Iterator[tuple[Allele, Allele]]:
        """Answer for the reference and the alternative of each change of one sequence, in their order.

        Parameters
        ----------
        codes
            ``(length,)``; it may be memory-mapped, and carry the soft mask.
        changes
            They are independent of each other. Neighbours take less time together.

        Raises
        ------
        ValueError
            If a change does not lie in the sequence.
        """
        if any(not 0 <= change.start <= change.end <= len(codes) for change in changes):
            raise ValueError(f"a change lies outside of the sequence of {len(codes)} bases")
        for together in self.together(changes):
            if self._is_alone(together[0]):
                yield self._whole(codes, together[0])
                continue
            left, right = self.stretch(together)
            bases = with_flanks(codes[None], left, right, self.scorer.flank)[0]
            placed = [
                Change(change.start - left, change.end - left, change.alternative & np.uint8(CODE_BITS))
                for change in together
            ]
            strands = (self._read(bases), self._read(reverse_complement(bases)))
            for first in range(0, len(placed), _HELD):
                yield from self._pairs(bases, strands, placed[first : first + _HELD])
            del strands  # the next ones are read without them in memory

    def stretch(self, together: Sequence[Change]) -> tuple[int, int]:
        """Return from where to where the reference is read for changes, in one of a few lengths."""
        around = self.flank + self.halo
        left = min(change.start for change in together) - around
        right = max(change.end for change in together) + around
        return left, right + (left - right + 2 * around + _SMALL) % _STEP

    def together(self, changes: Sequence[Change]) -> Iterator[list[Change]]:
        """Part changes into runs of neighbours; one that is read whole stands alone."""
        held: list[Change] = []
        left = right = 0
        for change in changes:
            begin, end = min(left, change.start), max(right, change.end)
            gap = max(change.start - right, left - change.end)
            apart = end - begin > LONGEST // len(self.networks) or gap > 2 * (self.flank + self.halo)
            if held and (apart or self._is_alone(change) or self._is_alone(held[0])):
                yield held
                held = []
            left, right = (begin, end) if held else (change.start, change.end)
            held.append(change)
        if held:
            yield held

    def _is_alone(self, change: Change) -> bool:
        longest = max(change.end - change.start, len(change.alternative))
        return self.reads_whole or longest > LONGEST // len(self.networks)

    def _whole(self, codes: Codes, change: Change) -> tuple[Allele, Allele]:
        """Answer for a change by reading both alleles whole."""
        around = self.flank + self.halo
        reference = with_flanks(codes[None], change.start - around, change.end + around, self.scorer.flank)
        middle = change.alternative[None] & np.uint8(CODE_BITS)
        alternative = np.concatenate([reference[:, :around], middle, reference[:, reference.shape[1] - around :]], 1)
        tracks = []
        for bases in (reference, alternative):
            ends = [*range(self.halo, bases.shape[1] - self.halo, self.scorer.tile), bases.shape[1] - self.halo]
            parts = [self.scorer.counts(bases, *part)[:2] for part in pairwise(ends)]
            tracks.append(np.concatenate(parts, axis=-1)[:, 0])
        if np.array_equal(reference, alternative):
            tracks[1] = tracks[0]
        if beyond := max(self.flank - self.halo, 0):
            for side in (slice(beyond), slice(-beyond, None)):
                tracks[1][..., side] = tracks[0][..., side]
        return Allele(*tracks[0]), Allele(*tracks[1])

    def _pairs(
        self, bases: Codes, strands: tuple[_Strand, _Strand], changes: list[Change]
    ) -> Iterator[tuple[Allele, Allele]]:
        """Answer for changes of one stretch, in their order."""
        both = [strand.counts.cpu().numpy().T for strand in strands]
        reference = np.stack([both[0], both[1][:, ::-1]], axis=1)
        found: dict[int, Allele] = {}
        kinds: dict[tuple[int, bool], list[int]] = {}
        for number, (start, end, alternative) in enumerate(changes):
            if not np.array_equal(bases[start:end], alternative):
                kinds.setdefault((len(alternative), len(alternative) == end - start), []).append(number)
        for numbers in kinds.values():
            for first in range(0, len(numbers), _BATCH):
                some = numbers[first : first + _BATCH]
                plus, minus = (
                    self._alternatives(strand, [changes[number] for number in some], side)
                    for side, strand in enumerate(strands)
                )
                tracks = np.stack([plus, minus[..., ::-1]], axis=2)
                found |= {number: Allele(*each) for number, each in zip(some, tracks, strict=True)}
        for number, change in enumerate(changes):
            before = slice(change.start - self.flank - self.halo, change.end + self.flank - self.halo)
            known = Allele(*reference[..., before])
            yield known, found.get(number, known)

    @torch.inference_mode()
    def _read(self, bases: Codes) -> _Strand:
        """Read one strand of a stretch, 5'→3'."""
        networks = []
        for network in self.networks:
            with self._arithmetic():
                x = self._one_hot(bases[None])
                inputs = [x]
                for number, layer in enumerate(self.layers(network)):
                    x = trimmed(x, layer.trim) + layer(functional.relu(x)) if number else layer(x)
                    inputs.append(x)
            states = functional.relu(x).float()
            heads, averaged = _heads(network, states), _averaged(network, states)
            logs = self._logs(network, trimmed(heads, self.margin - network.head.trim), averaged)
            networks.append(_Network([each[0] for each in inputs], heads[0], averaged[0], logs[0]))
        counts = torch.stack([network.logs.exp() for network in networks]).mean(dim=0)
        return _Strand(len(bases), networks, counts)

    @torch.inference_mode()
    def _alternatives(self, strand: _Strand, changes: list[Change], minus: int) -> Floats:
        """Return expected tags and summits of alternatives of one length, ``(n, 2, flank + length + flank)``."""
        starts, ends = (
            torch.tensor([change[side] for change in changes], device=self.scorer.device) for side in (0, 1)
        )
        bases = np.stack([change.alternative for change in changes])
        replacing = bases.shape[1] == changes[0].end - changes[0].start
        if minus:
            starts, ends, bases = strand.length - ends, strand.length - starts, reverse_complement(bases)
        batch = _Batch(starts, ends, self._one_hot(bases), replacing)
        first = batch.bases - batch.around(strand.networks[0].inputs[0], 0, 0) if replacing else batch.bases
        logs = torch.stack([
            self._follow(network, reference, batch, first)
            for network, reference in zip(self.networks, strand.networks, strict=True)
        ])  # fmt: skip
        before = torch.stack([batch.around(each.logs, self.halo, self.flank) for each in strand.networks])
        counts = batch.around(strand.counts, self.halo, self.flank)
        counts = torch.where((logs == before).all(dim=0), counts, logs.exp().mean(dim=0))
        return np.asarray(counts.transpose(1, 2).cpu().numpy(), np.float32)

    def _follow(self, network: TrackNetwork, reference: _Network, batch: _Batch, x: Tensor, done: int = 0) -> Tensor:
        """Follow changes from layer to layer: logarithms of tags and summits, ``(n, flank + length + flank, 2)``.

        `x` is what `done` convolutions gave. Cones grow, so the batch is halved when it takes too much memory.
        """
        step = self._replace if batch.replacing else self._shift
        for number, layer in enumerate(self.layers(network)[done:], start=done):
            if (n := len(x)) > 1 and n * (batch.bases.shape[1] + 2 * self.cone[number + 1]) > self.tile:
                halves = (slice(n // 2), slice(n // 2, None))
                return torch.cat([
                    self._follow(network, reference, batch.part(half), x[half], number) for half in halves
                ])  # fmt: skip
            with self._arithmetic():
                x = step(layer, number, reference, batch, x)
        return self._answer(network, reference, batch, x)

    def _replace(self, layer: Convolution, number: int, reference: _Network, batch: _Batch, x: Tensor) -> Tensor:
        """Return the difference that replaced bases make behind a convolution; `x` is that before it."""
        wider = self.cone[number + 1] - self.cone[number]
        if not number:
            return layer.convolve(x, padding=wider + layer.trim)
        states = batch.around(reference.inputs[number], self.trimmed[number], self.cone[number])
        change = (states + x).relu_().sub_(states.relu_())
        return _lay(layer.convolve(change, padding=wider + layer.trim), x, adding=True)

    def _shift(self, layer: Convolution, number: int, reference: _Network, batch: _Batch, x: Tensor) -> Tensor:
        """Return what a convolution gives in the cone of an insertion or deletion; `x` is its input there."""
        reach = self.cone[number + 1] + layer.trim
        x = _lay(batch.around(reference.inputs[number], self.trimmed[number], reach), x)
        if not x.shape[1]:  # a deletion, seen by layers that see one base each
            return x.new_empty(len(x), 0, layer.out_channels)
        return layer(functional.relu(x)).add_(trimmed(x, layer.trim)) if number else layer(x)

    def _answer(self, network: TrackNetwork, reference: _Network, batch: _Batch, x: Tensor) -> Tensor:
        """Lay what the cone changes among the reference's heads and averages; return logarithms."""
        trim, first = network.head.trim, self.trimmed[-1]
        reach = min(self.cone[-1] + trim, self.flank)
        if batch.replacing:
            states = batch.around(reference.inputs[-1], first, self.cone[-1])
            states = x.add_(states).relu_().sub_(states.relu_()).float()
            n = reach + trim - self.cone[-1]
            read = functional.pad(states, (0, 0, n, n))
        else:
            states = functional.relu(x).float()
            read = _lay(functional.relu(batch.around(reference.inputs[-1], first, reach + trim)).float(), states)
        heads = batch.around(reference.heads, first + trim, self.flank)
        averaged = batch.around(reference.averaged, first, self.flank + self.margin)
        _lay(heads, _heads(network, read), batch.replacing)
        _lay(averaged, _averaged(network, states), batch.replacing)
        return self._logs(network, heads, averaged)

    def _logs(self, network: TrackNetwork, heads: Tensor, averaged: Tensor) -> Tensor:
        """Add what is averaged, and biases: logarithms of expected tags and summits, ``(n, length, 2)``."""
        assert network.head.bias is not None
        logs = heads + network.head.bias[:_READ]
        if network.averaged is not None:
            assert network.averaged.bias is not None
            logs[..., 0] += network.averages(averaged + network.averaged.bias)[..., 0]
        return logs

    def _one_hot(self, codes: Codes) -> Tensor:
        dtype = torch.bfloat16 if self.scorer.precision == "bf16" else torch.float32
        return one_hot(torch.from_numpy(np.ascontiguousarray(codes)).to(self.scorer.device), dtype)

    def _arithmetic(self) -> torch.autocast:
        """Return the arithmetic of all but the heads: that of `TrackScorer`."""
        return torch.autocast(self.scorer.device.type, torch.bfloat16, enabled=self.scorer.precision == "bf16")


def _heads(network: TrackNetwork, states: Tensor) -> Tensor:
    return network.head.convolve(states)[..., :_READ]


def _averaged(network: TrackNetwork, states: Tensor) -> Tensor:
    if network.averaged is None:
        return states[..., :0]
    return functional.linear(states, network.averaged.weight.flatten(1))  # it sees one base at a time


def _lay(under: Tensor, middle: Tensor, adding: bool = False) -> Tensor:
    """Put what is known of the middle in its place, or add it; what is wider is cut."""
    wider = (under.shape[1] - middle.shape[1]) // 2
    place = under[:, max(wider, 0) : under.shape[1] - max(wider, 0)]
    middle = trimmed(middle, max(-wider, 0))
    if adding:
        place.add_(middle)
    else:
        place.copy_(middle)
    return under
