"""How many changes of a genome are scored in a second, beside what the processor could do.

    python benchmarks/variants.py MODEL sacCer3.fa.gz

One thread, both strands, both alleles. Multiply-adds are those of all convolutions: of the reference, shared by the
changes that are read together, and of the cone of each change. Zeros count nothing.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from scan import convolution_rate

from capsight.data.genome.alphabet import CODE_BITS, N_CODE
from capsight.data.genome.genome import Genome
from capsight.model.track import Convolution, TrackNetwork
from capsight.model.track_folder import load_track
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.regions import spans
from capsight.predict.track import Codes, TrackScorer
from capsight.shipped import find_model
from capsight.variants.effects import Summary
from capsight.variants.scoring import summary_of

#: Changes of one kind that are measured together, and how often: the fastest time counts.
HELD, TIMES = 1024, 3


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a track model, or a shipped one")
    parser.add_argument("genome", type=Path)
    parser.add_argument("--region", default="chrIV:229701-230100", help="whose bases are all changed")
    parser.add_argument("--distance", type=int, default=500, help="bases on either side that are looked at")
    parser.add_argument("--apart", type=int, default=10_000, help="bases between two sparse changes")
    parser.add_argument("--sparse", type=int, default=60, help="number of sparse changes")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    genome = Genome.open(given.genome)
    (span,) = spans(genome, given.region)
    codes = genome.view(span.contig) & np.uint8(CODE_BITS)
    network, card = load_track(find_model(given.model))
    summary = summary_of(card, given.distance)
    kinds = kinds_of_changes(codes, range(span.start, span.end), range(0, len(codes), given.apart)[: given.sparse])
    for precision in ("fp32", "bf16"):
        scorer = AlleleScorer(TrackScorer(network, card.calibration, precision), given.distance)
        rate = convolution_rate(network.config.width, precision) / 2
        for kind, changes in kinds.items():
            seconds, reading = measure(scorer, summary, codes, changes)
            needed = multiply_adds(scorer, changes)
            print(
                f"{kind}, {precision}: {1 / seconds:,.0f} changes a second of CPU, {1 / (seconds + reading):,.0f} with "
                f"their effects; {needed / 1e6:,.0f} million multiply-adds a change, {needed / seconds / rate:.0%} of "
                f"{2 * rate / 1e9:.0f} GFLOP/s",
                flush=True,
            )


def kinds_of_changes(codes: Codes, dense: Sequence[int], sparse: Sequence[int]) -> dict[str, list[Change]]:
    """Return the changes that are measured, by what they are called."""

    def substitutions(positions: Sequence[int]) -> list[Change]:
        known = [position for position in positions if codes[position] < N_CODE]
        steps = [(at, (int(codes[at]) + step) % N_CODE) for at in known for step in (1, 2, 3)]
        return [Change(at, at + 1, np.array([code], np.uint8)) for at, code in steps]

    some = np.array([0, 1, 2], np.uint8)
    return {
        f"SNVs, all of {len(dense)} bases": substitutions(dense),
        f"SNVs, {np.diff(sparse[:2])[0]:,} bases apart": substitutions(sparse)[::3],
        "insertions of 3 bases, neighbours": [Change(at, at, some) for at in dense],
        "deletions of 3 bases, neighbours": [Change(at, at + 3, some[:0]) for at in dense],
    }


def measure(scorer: AlleleScorer, summary: Summary, codes: Codes, changes: list[Change]) -> tuple[float, float]:
    """Return seconds of CPU that a change takes: both alleles, and its effect."""
    found = []
    for _ in range(TIMES):
        alleles = reading = 0.0
        for first in range(0, len(changes), HELD):
            some = changes[first : first + HELD]
            began = time.process_time()
            pairs = list(scorer.alleles(codes, some))
            between = time.process_time()
            summary.effects(some, pairs, len(codes))
            alleles, reading = alleles + between - began, reading + time.process_time() - between
        found.append((alleles / len(changes), reading / len(changes)))
    return min(found)


def multiply_adds(scorer: AlleleScorer, changes: list[Change]) -> float:
    """Return multiply-adds of a change on both strands, its share of the reference's among them."""
    network, total = scorer.networks[0], 0
    layers = scorer.layers(network)
    for together in runs(scorer, changes):
        left, right = scorer.stretch(together)
        outputs = [right - left - 2 * trimmed for trimmed in scorer.trimmed[1:]]
        total += sum(n * layer.weight.numel() for n, layer in zip(outputs, layers, strict=True))
        total += answers(network, outputs[-1], outputs[-1] - 2 * network.head.trim)
    for change in changes:
        length = len(change.alternative)
        widths = [length + 2 * cone for cone in scorer.cone]
        for layer, before, after in zip(layers, widths[:-1], widths[1:], strict=True):
            if length == change.end - change.start:
                total += read(before, after, layer) * layer.in_channels * layer.out_channels
            else:
                total += after * layer.weight.numel()
        reach = min(scorer.cone[-1] + network.head.trim, scorer.flank)
        total += answers(network, widths[-1], length + 2 * reach)
    return 2 * len(scorer.networks) * total / len(changes)


def runs(scorer: AlleleScorer, changes: list[Change]) -> Iterator[list[Change]]:
    """Yield the changes whose reference is read at once."""
    for first in range(0, len(changes), HELD):
        yield from scorer.together(changes[first : first + HELD])


def read(before: int, after: int, layer: Convolution) -> int:
    """Return how often a convolution reads the numbers of a cone, which is `before` wide, for one `after` wide."""
    steps = layer.dilation[1] * (np.arange(layer.kernel_size[1]) - layer.kernel_size[1] // 2)
    left = np.maximum(-(after // 2), steps - before // 2)
    right = np.minimum(after - after // 2, steps + before - before // 2)
    return int((right - left).clip(min=0).sum())


def answers(network: TrackNetwork, states: int, heads: int) -> int:
    """Return multiply-adds of the head, and of what is averaged."""
    averaged = 0 if network.averaged is None else network.averaged.weight.numel()
    return heads * network.head.weight.numel() + states * averaged


if __name__ == "__main__":
    main(sys.argv[1:])
