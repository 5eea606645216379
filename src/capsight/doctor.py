"""`doctor`: what capsight finds on this machine, and whether some inputs fit together."""

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from capsight.data.assets import MIRROR, mirror
from capsight.data.fetch.download import readable
from capsight.data.io.cache import cache_folder
from capsight.errors import CapsightError, InputError
from capsight.shipped import find_model
from capsight.version import __version__

State = Literal["ok", "note", "fault"]

#: Libraries whose versions explain most differences between machines.
_LIBRARIES: Final = ("torch", "transformers", "numpy", "scipy", "pandas", "scikit-learn", "pysam", "matplotlib")
#: A run of a small genome writes about so much; with less room, a note says so.
_ROOM: Final = 2_000_000_000
_MEMORY: Final = 4_000_000_000


class Finding(NamedTuple):
    """A line of the doctor's.

    Attributes
    ----------
    part
        What it belongs to: ``machine``, ``software``, ``places`` or ``inputs``.
    state
        ``fault`` is what cannot work, ``note`` what a user should know.
    """

    part: str
    name: str
    found: str
    state: State = "ok"


def doctor(
    *, model: Path | None = None, genome: Path | None = None, peaks: Path | None = None, out: Path = Path()
) -> list[Finding]:
    """Look at the machine, the installation, the places that are written to, and the inputs; fetch nothing.

    Parameters
    ----------
    model
        Model folder, or the name of a shipped model.
    genome, peaks
        Files, or names of assets. Peaks are read with the genome that they lie in.
    out
        Folder that results would go into.
    """
    return [*_machine(), *_software(), *_places(out), *_inputs(model, genome, peaks)]


def _machine() -> Iterator[Finding]:
    """Device, threads, memory."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        more = f", the first of {torch.cuda.device_count()}" if torch.cuda.device_count() > 1 else ""
        found = f"GPU: {properties.name}, {readable(properties.total_memory)}{more}"
        exact = torch.cuda.is_bf16_supported()
    elif torch.backends.mps.is_available():
        found, exact = "GPU of Apple (MPS)", False
    else:
        found = f"CPU: {platform.processor() or platform.machine()}; no GPU was found"
        exact = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    yield Finding("machine", "device", found)
    yield Finding(
        "machine", "bfloat16", "yes: training and scans may use it" if exact else "no: training takes 32 bits"
    )
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        "machine", "threads", f"{_counted(available, 'core')}, {_counted(torch.get_num_threads(), 'thread')}"
        + (f" (OMP_NUM_THREADS={limit})" if limit else ""),
    )  # fmt: skip
    total, free = _memory()
    if total:
        told = readable(total) + (f", of which {readable(free)} are free" if free else "")
        small = (free or total) < _MEMORY
        yield Finding(
            "machine", "memory", told + (": little for a large genome" if small else ""), "note" if small else "ok"
        )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _memory() -> tuple[int | None, int | None]:
    """Return the bytes of memory, and those that are free; `None` where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return values["MemTotal"], values["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    except (ValueError, OSError):
        return None, None


def _software() -> Iterator[Finding]:
    """Versions, and what is missing."""
    yield Finding("software", "capsight", f"{__version__}, in {Path(__file__).parent}")
    yield Finding("software", "Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("software", "system", platform.platform())
    versions = [f"{name} {version}" for name in _LIBRARIES if (version := _version(name))]
    yield Finding("software", "libraries", ", ".join(versions))
    needed, extras = _requirements()
    if missing := [name for name in needed if _version(name) is None]:
        yield Finding("software", "missing", f"{', '.join(missing)}: install capsight again", "fault")
    for extra, names in extras.items():
        missing = [name for name in names if _version(name) is None]
        told = f"not installed ({', '.join(missing)}): pip install 'capsight[{extra}]'" if missing else "installed"
        yield Finding("software", f"extra [{extra}]", told, "note" if missing else "ok")


def _version(name: str) -> str | None:
    """Return the installed version of a distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Return the distributions that capsight needs, and those of each extra that users install, as its metadata say."""
    try:
        lines = metadata.requires("capsight") or []
    except metadata.PackageNotFoundError:
        lines = []
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in lines:
        name = re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0]
        marker = line.partition(";")[2]
        if "sys_platform" in marker:  # of this system or another
            continue
        if extra := re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker):
            if extra[1] not in ("dev", "docs") and name != "capsight":
                extras.setdefault(extra[1], []).append(name)
        else:
            needed.append(name)
    return needed, extras


def _places(out: Path) -> Iterator[Finding]:
    """Where results and fetched files go, and where data come from."""
    yield _place("results", out)
    cache = cache_folder().absolute()
    files = [path for path in cache.rglob("*") if path.is_file()] if cache.is_dir() else []
    size = readable(sum(path.stat().st_size for path in files))
    yield _place("cache", cache, f"; {_counted(len(files), 'file')} of {size}" if files else "; empty")
    try:
        where = mirror()
        told = f"{where} ({MIRROR})" if where else f"none ({MIRROR} is not set): data come from their public addresses"
        yield Finding("places", "mirror", told)
    except CapsightError as error:
        yield Finding("places", "mirror", str(error), "fault")


def _place(name: str, folder: Path, more: str = "") -> Finding:
    """Tell how much room there is in a folder, or in the one above that exists, and whether it can be written."""
    folder = folder.absolute()
    there = next((each for each in (folder, *folder.parents) if each.is_dir()), Path("/"))
    if not os.access(there, os.W_OK):
        return Finding("places", name, f"{folder}: cannot be written", "fault")
    free = shutil.disk_usage(there).free
    told = f"{folder}: {readable(free)} free{more}"
    return Finding("places", name, told, "note" if free < _ROOM else "ok")


def _inputs(model: Path | None, genome: Path | None, peaks: Path | None) -> Iterator[Finding]:
    """Tell whether model, genome and peaks can be read and fit together: each that cannot be used is a fault."""
    opened = card = None
    if genome:
        try:
            from capsight.data.genome.genome import Genome

            opened = Genome.open(_here(genome, "genome"))
            names = ", ".join(opened.names[:4]) + (", …" if len(opened.names) > 4 else "")
            size = f"{int(opened.lengths.sum()):,} bases on {len(opened.names):,} contigs"
            yield Finding("inputs", "genome", f"{genome}: {size} ({names})")
        except CapsightError as error:
            yield Finding("inputs", "genome", str(error), "fault")
    if model:
        try:
            card = _card(model)
            yield Finding("inputs", "model", _described(model, card))
        except CapsightError as error:
            yield Finding("inputs", "model", str(error), "fault")
    if peaks and genome is None:
        yield Finding("inputs", "peaks", f"{peaks}: not read, as no genome is named (--genome)", "note")
    elif peaks and opened is not None:
        try:
            from capsight.data.peaks.reader import read_peaks

            table = read_peaks(_here(peaks, "peaks"), opened)
            on = f"{table['chrom'].nunique():,} of the {len(opened.names):,} contigs of the genome"
            yield Finding("inputs", "peaks", f"{peaks}: {_counted(len(table), 'peak')}, on {on}")
        except CapsightError as error:
            yield Finding("inputs", "peaks", str(error), "fault")
    if card is not None and opened is not None and card.get("train"):
        yield _fit(card, dict(zip(opened.names, map(int, opened.lengths), strict=True)))


def _here(path: Path, kind: str) -> Path:
    """Return the file that a path or the name of an asset stands for; nothing is fetched.

    Raises
    ------
    InputError
        If it is the name of an asset that is not here.
    """
    from capsight.data.fetch.named import named_asset
    from capsight.data.fetch.stage import locate

    asset = named_asset(path, kind, kind)
    if asset is None:
        return path
    if found := locate(asset, cache_folder().absolute()).path:
        return found
    raise InputError("is an asset that is not here", where=path, remedy=f"fetch it: capsight fetch {path}")


def _card(model: Path) -> dict[str, Any]:
    """Read what a model folder says of itself."""
    folder = find_model(model)
    file = next((folder / name for name in ("capsight.json", "baseline.json") if (folder / name).is_file()), None)
    if file is None:
        raise InputError("is not a model folder of capsight", where=folder)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError("cannot be read", where=file) from None
    return found if isinstance(found, dict) else {}


def _described(model: Path, card: dict[str, Any]) -> str:
    """Return what kind of model this is."""
    if card.get("task") == "track":
        halo = f"{card.get('halo', 0):,}"
        networks = _counted(card.get("members", 1), "track network")
        return f"{model}: {networks}; what is predicted for a base depends on {halo} bases on either side"
    if "length" in card:
        return f"{model}: network of windows of {card['length']:,} bases"
    return f"{model}: baseline ({card.get('model', 'unknown')})"


def _fit(card: dict[str, Any], contigs: dict[str, int]) -> Finding:
    """Tell whether a genome is the one that the model was trained on; models of earlier versions know no lengths."""
    learned: dict[str, int] = card.get("lengths") or {}
    names = learned or [re.sub(r":[0-9]+-[0-9]+$", "", name) for name in card["train"]]
    shared = [name for name in names if name in contigs]
    other = [name for name in shared if learned and learned[name] != contigs[name]]
    if not shared:
        told = (
            "no contig has the name of one that the model was trained on: another genome, or other names. The model "
            "can be used all the same; how good it is there is not known"
        )
        return Finding("inputs", "both", told, "note")
    if other:
        told = f"{other[0]} has {contigs[other[0]]:,} bases, and had {learned[other[0]]:,} where the model was trained"
        return Finding("inputs", "both", f"another assembly or species than the model was trained on: {told}", "note")
    held = ", ".join(card.get("test") or ()) or "none"
    known = "names and lengths" if learned else "names"
    told = f"the contigs have the {known} of those that the model was trained on; held out for testing: {held}"
    return Finding("inputs", "both", told)
