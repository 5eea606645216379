"""`cluster`: peaks from counts of RNA 5' ends."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from capsight import artefact
from capsight.config import ClusterConfig
from capsight.data.ctss.clustering import Clusters, by_density, by_distance, summits, sums
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.reader import CtssFile, check_named_once, read_ctss
from capsight.data.genome.alphabet import Floats
from capsight.data.naming import peak_name
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Colours of the strands in FANTOM5's BED9.
_COLOURS: Final = {"+": "255,0,0", "-": "0,0,255"}


def cluster(
    config: ClusterConfig, out: Path, counts: Sequence[Path] = (), plus: Sequence[Path] = (), minus: Sequence[Path] = ()
) -> Path:
    """Make peaks of 5'-end counts, and write them as BED9 in FANTOM5's layout.

    Parameters
    ----------
    config
        Method and thresholds. Ctss per million are of all tags of all files.
    out
        BED file to write: 0-based half-open; the score is the number of tags, thickStart the summit (the position
        with most tags; of several, the lowest coordinate). Contigs are in the order in which the input names
        them; peaks by start, end, and + before -.
    counts
        BED6 files with one record for each position that has 5' ends, their number as the score; summed.
    plus, minus
        bigWig or bedGraph files of either strand; summed.

    Raises
    ------
    InputError
        If a file cannot be used, one strand is missing, or no peak is left.
    """
    inputs = _inputs(counts, plus, minus)
    if artefact.is_done(out, "cluster", config, inputs):
        logger.info("cluster: %s is done already", out)
        return out
    with artefact.atomic_file(out, "cluster", config, inputs, suffix=".bed") as partial:
        _cluster(config, read_ctss(counts, plus, minus), partial)
    return out


def _cluster(config: ClusterConfig, read: CtssFile, out: Path) -> None:
    """Find the clusters and write them."""
    ends = read.ctss
    total = float(ends.counts.sum())
    million = total / 1e6
    usable = ends.where(ends.counts >= max(config.min_tags, config.min_tpm * million))
    left_out = len(ends.counts) - len(usable.counts)
    logger.info("cluster: %s of %s positions are below the threshold", f"{left_out:,}", f"{len(ends.counts):,}")
    least = max(config.min_cluster_tags, config.min_cluster_tpm * million)
    if config.method == "paraclu":
        clusters = by_density(usable, least, config.max_length, config.min_fold_density)
    else:
        clusters = by_distance(usable, config.distance)
        enough = sums(usable, clusters) >= least
        logger.info("cluster: %s of %s clusters are below the threshold", f"{(~enough).sum():,}", f"{len(enough):,}")
        clusters = clusters.where(enough)
    if not len(clusters.first):
        raise InputError("no cluster reaches the thresholds", remedy="lower --min-tpm or --min-cluster-tpm")
    tags = sums(usable, clusters)
    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_records(read.names, usable, clusters, tags))
    share = 100 * tags.sum() / total
    logger.info("cluster: %s peaks with %.1f %% of all tags", f"{len(tags):,}", share)


def _inputs(counts: Sequence[Path], plus: Sequence[Path], minus: Sequence[Path]) -> dict[str, Path]:
    """Return the input files by name; refuse none, one strand alone, and the same file twice."""
    if not (counts or plus or minus):
        raise InputError(
            "there are no counts", remedy="name BED files, or bigWig or bedGraph files: --plus and --minus"
        )
    if len(plus) != len(minus):
        raise InputError(
            f"{len(plus)} files of counts for plus and {len(minus)} for minus",
            remedy="each sample has one for either strand",
        )
    kinds = {"counts": counts, "plus": plus, "minus": minus}
    inputs = {f"{kind}{i}": path for kind, paths in kinds.items() for i, path in enumerate(paths, start=1)}
    check_named_once(list(inputs.values()))
    return inputs


def _records(names: Sequence[str], ends: Ctss, clusters: Clusters, tags: Floats) -> Iterator[str]:
    """Yield the lines of the BED file, in order."""
    contig, minus = ends.contig[clusters.first], ends.minus[clusters.first]
    start, end = ends.position[clusters.first], ends.position[clusters.stop - 1] + 1
    summit = summits(ends, clusters)
    columns = (column.tolist() for column in (contig, start, end, minus, summit, tags))
    rows = list(zip(*columns, strict=True))
    for i in np.lexsort((minus, end, start, contig)):
        number, first, after, on_minus, top, sum_ = rows[i]
        chrom, strand = names[number], "-" if on_minus else "+"
        name, score = peak_name(chrom, first, after, strand), f"{sum_:.0f}" if sum_ == int(sum_) else f"{sum_:.6f}"
        yield f"{chrom}\t{first}\t{after}\t{name}\t{score}\t{strand}\t{top}\t{top + 1}\t{_COLOURS[strand]}\n"
