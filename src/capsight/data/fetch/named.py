"""Names of assets in settings: the one place where a name becomes the path of a file.

Settings that take a file of a kind below take the name of an asset too. An existing file of that name goes before it.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel

from capsight.config import ASSET_SETTINGS
from capsight.data.assets import Asset, nearest, read_table
from capsight.errors import InputError

if TYPE_CHECKING:
    from capsight.data.fetch.stage import Located

logger = logging.getLogger(__name__)

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)

#: Likeness from which on a name is taken for a misspelt one (`difflib`).
_NEAR: Final = 0.75


def with_files(config: AnyConfig) -> AnyConfig:
    """Return settings in which names of assets have become files; what is missing is fetched, after saying how much.

    Raises
    ------
    InputError
        If a name is that of another kind, or an asset cannot be had: all of them in one line, with where they would
        come from.
    """
    wanted = wanted_assets(config)
    if not wanted:
        return config
    from capsight.data.fetch.gather import gather  # takes a while to load, and most settings name no assets

    files = dict(zip(wanted, gather(list(wanted.values())), strict=True))
    return _change_files(config, lambda path, kind, _: files.get((str(path), kind), path))


def wanted_assets(config: BaseModel) -> dict[tuple[str, str], Asset]:
    """Return the assets that settings name, by name and kind; none is fetched."""
    wanted: dict[tuple[str, str], Asset] = {}

    def note(path: Path, kind: str, setting: str) -> Path:
        if asset := named_asset(path, kind, setting):
            wanted[str(path), kind] = asset
        return path

    _change_files(config, note)
    return wanted


def with_files_here(config: AnyConfig) -> "tuple[AnyConfig, list[Located]]":
    """Return settings in which names of assets that are here are files, and where the others would come from."""
    from capsight.data.fetch.stage import locate
    from capsight.data.io.cache import cache_folder

    found = {key: locate(asset, cache_folder().absolute()) for key, asset in wanted_assets(config).items()}
    files = {key: each.path for key, each in found.items() if each.path}
    changed = _change_files(config, lambda path, kind, _: files.get((str(path), kind), path))
    return changed, [each for each in found.values() if not each.path]


def asset_file(path: Path, kind: str, setting: str) -> Path:
    """Return the file that an argument of the command line names: itself, or that of an asset."""
    if asset := named_asset(path, kind, setting):
        from capsight.data.fetch.gather import gather

        return gather([asset])[0]
    return path


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
    if not path.suffix and (near := nearest(of_kind, name, _NEAR) or nearest(table, name, _NEAR)):
        raise InputError(
            f"there is neither a file nor an asset {name!r}", where=setting, remedy=f"did you mean {near!r}?"
        )
    return None


def may_be_asset(name: str) -> bool:
    """Tell whether a name is that of an asset of whatever kind, or so near to one that a mistake is likely."""
    path = Path(name)
    if len(path.parts) != 1:
        return False
    table = read_table()
    return any(asset.name == name for asset in table) or (not path.suffix and bool(nearest(table, name, _NEAR)))


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
