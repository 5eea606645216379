"""Names of assets in settings: the one place where a name becomes the path of a file.

Settings that take a file of a kind below take the name of an asset too. An existing file of that name goes before it.
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from capsight.config import ASSET_SETTINGS
from capsight.data.assets import Asset, nearest, read_table
from capsight.data.cache import cache_folder
from capsight.data.download import Patience, ask_size, readable
from capsight.data.fetch import Located, locate, mirror_remedy, obtain
from capsight.errors import InputError

logger = logging.getLogger(__name__)

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def with_files(config: AnyConfig) -> AnyConfig:
    """Return settings in which names of assets have become files; what is missing is fetched, after saying how much.

    Raises
    ------
    InputError
        If a name is that of another kind, or an asset cannot be had: all of them in one line, with where they would
        come from.
    """
    wanted: dict[tuple[str, str], Asset] = {}

    def note(path: Path, kind: str, setting: str) -> Path:
        if asset := named_asset(path, kind, setting):
            wanted[str(path), kind] = asset
        return path

    _change_files(config, note)
    if not wanted:
        return config
    files = dict(zip(wanted, _files(list(wanted.values())), strict=True))
    return _change_files(config, lambda path, kind, _: files.get((str(path), kind), path))


def asset_file(path: Path, kind: str, setting: str) -> Path:
    """Return the file that an argument of the command line names: itself, or that of an asset."""
    asset = named_asset(path, kind, setting)
    return _files([asset])[0] if asset else path


def named_asset(path: Path, kind: str, setting: str) -> Asset | None:
    """Return the asset that a setting names, or None where it names a file.

    Parameters
    ----------
    path
        What the setting holds.
    kind
        What the setting takes.
    setting
        Its name, for messages.

    Raises
    ------
    InputError
        If the name is that of an asset of another kind, or there is neither such a file nor such an asset and one has
        nearly this name.
    """
    name = str(path)
    if len(path.parts) != 1 or name == "-":
        return None
    table = read_table()
    assets = {asset.kind: asset for asset in table if asset.name == name}
    if path.exists() and (kind == "genome" or not path.is_dir()):  # a genome may be a folder
        if assets:
            logger.warning("%s: the file %s is taken, not the asset of this name", setting, os.path.abspath(path))
        return None
    if kind in assets:
        return assets[kind]
    of_kind = [asset for asset in table if asset.kind == kind]
    if assets:
        known = ", ".join(asset.name for asset in of_kind)
        raise InputError(
            f"the asset {name!r} is of kind {' and '.join(assets)}, not {kind}", where=setting,
            remedy=f"of kind {kind} there are {known}",
        )  # fmt: skip
    if not path.suffix and (near := nearest(of_kind, name, cutoff=0.75)):
        raise InputError(
            f"there is neither a file nor an asset {name!r}", where=setting, remedy=f"did you mean {near!r}?"
        )
    return None


def is_asset(name: str) -> bool:
    """Tell whether the table has a name, of whatever kind."""
    return any(asset.name == name for asset in read_table())


def _change_files(config: AnyConfig, change: Callable[[Path, str, str], Path], within: str = "") -> AnyConfig:
    """Return settings in which every file that may be an asset is what `change` makes of it, at every depth."""
    changed: dict[str, Any] = {}
    for name, value in config:
        setting = f"{within}{name}"
        if isinstance(value, BaseModel):
            changed[name] = _change_files(value, change, f"{setting}.")
        elif kind := _kind(config, name):
            if isinstance(value, Path):
                changed[name] = change(value, kind, setting)
            elif isinstance(value, tuple):
                files = [change(Path(item), kind, setting) for item in value]
                pairs = zip(value, files, strict=True)
                changed[name] = tuple(item if Path(item) == file else type(item)(file) for item, file in pairs)
    changed = {name: value for name, value in changed.items() if value != getattr(config, name)}
    return config.model_copy(update=changed) if changed else config


def _kind(config: BaseModel, name: str) -> str | None:
    """Return the kind of asset that a setting takes; folds are files only of labelled sequences."""
    if name in ("validation", "test") and not isinstance(getattr(config, "train", None), Path):
        return None
    return ASSET_SETTINGS.get(name)


def _files(assets: Sequence[Asset]) -> list[Path]:
    """Return the files of assets; fetch those that are not here, after saying how much that is and from where."""
    cache = cache_folder().absolute()
    located = [locate(asset, cache) for asset in assets]
    if not all(found.path or found.place for found in located):  # no need to ask anybody for sizes
        raise _cannot_fetch(located)
    located = [found if found.path or found.size else _with_size(found) for found in located]
    if not all(found.path or found.place for found in located):
        raise _cannot_fetch(located)
    missing = [found for found in located if not found.path]
    for found in missing:
        logger.info("to be fetched: %s", _described(found))
    if missing:
        total = sum(found.size or 0 for found in missing)
        unknown = sum(found.size is None for found in missing)
        more = f", and {unknown} of unknown size" if unknown else ""
        logger.info("to be fetched: %s in all%s, into %s", readable(total), more, cache)
    return [found.path or obtain(found, cache, Patience()) for found in located]


def _with_size(found: Located) -> Located:
    """Ask the place that an asset would be fetched from for its size; without an answer, it is no place."""
    assert found.place is not None
    try:
        return found._replace(size=ask_size(found.place.url))
    except InputError as error:
        return found._replace(place=None, problems=(*found.problems, str(error)))


def _described(found: Located) -> str:
    """Return what an asset is, how large, and where it would come from."""
    asset = found.asset
    size = found.size if found.size is not None else int(asset.size) if asset.size and not asset.url else None
    told = f"{asset.name} ({asset.kind}{f', {readable(size)}' if size is not None else ''})"
    if address := found.place.url if found.place else asset.url:
        return f"{told} from {address}"
    return f"{told}, of which there is no public file, made from {asset.source or 'another'}"


def _cannot_fetch(located: Sequence[Located]) -> InputError:
    """Return the one line that says what would be fetched from where, and why that is not possible."""
    missing = [found for found in located if not found.path]
    problems = "; ".join(dict.fromkeys(problem for found in missing for problem in found.problems))
    made = [found.asset for found in missing if not found.asset.url]
    remedy = mirror_remedy(made) if made else f"check the network, or {mirror_remedy([f.asset for f in missing])}"
    what = "; ".join(map(_described, missing))
    return InputError(
        f"needed, and cannot be fetched: {what}{f' [{problems}]' if problems else ''}",
        remedy=f"{remedy}; capsight fetch NAME reports how each is made" if made else remedy,
    )
