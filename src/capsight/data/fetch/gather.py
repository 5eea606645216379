"""Several assets at once: all are found before the first is fetched."""

import logging
from collections.abc import Sequence
from pathlib import Path

from capsight.data.assets import Asset
from capsight.data.fetch.download import ask_size, readable
from capsight.data.fetch.stage import Located, locate, mirror_remedy, obtain
from capsight.data.io.cache import cache_folder
from capsight.errors import InputError

logger = logging.getLogger(__name__)


def gather(assets: Sequence[Asset]) -> list[Path]:
    """Return the files of assets; fetch those that are not here, after saying how much that is and from where.

    Raises
    ------
    InputError
        If one cannot be had, before anything is fetched: all that are not here in one line, with where they would come
        from.
    """
    cache = cache_folder().absolute()
    located = [locate(asset, cache) for asset in assets]
    if not all(found.path or found.place for found in located):  # no need to ask anybody for sizes
        raise _cannot_fetch(located)
    located = [found if found.path or found.size else _with_size(found) for found in located]
    if not all(found.path or found.place for found in located):
        raise _cannot_fetch(located)
    missing = [found for found in located if not found.path]
    for found in missing:
        logger.info("to be fetched: %s", described(found))
    if missing:
        sizes = [_size(found) for found in missing]
        more = f", and {sizes.count(None)} of unknown size" if None in sizes else ""
        logger.info("to be fetched: %s in all%s, into %s", readable(sum(size or 0 for size in sizes)), more, cache)
    return [found.path or obtain(found, cache) for found in located]


def _with_size(found: Located) -> Located:
    """Ask the place that an asset would be fetched from for its size; without an answer, it is no place."""
    assert found.place is not None
    try:
        return found._replace(size=ask_size(found.place.url))
    except InputError as error:
        return found._replace(place=None, problems=(*found.problems, str(error)))


def _size(found: Located) -> int | None:
    """Return the size of an asset, as the server says, or the table of the file in a mirror."""
    public = (found.place.url if found.place else found.asset.url) == found.asset.url != ""
    return found.size if found.size is not None or public or not found.asset.size else int(found.asset.size)


def described(found: Located) -> str:
    """Return what an asset is, how large, and where it would come from."""
    asset, size = found.asset, _size(found)
    told = f"{asset.name} ({asset.kind}{f', {readable(size)}' if size is not None else ''})"
    if address := found.place.url if found.place else asset.url:
        return f"{told} from {address}"
    return f"{told}, of which there is no public file, made from {asset.source or 'another'}"


def _cannot_fetch(located: Sequence[Located]) -> InputError:
    """Return the one line that says what would be fetched from where, and why that is not possible."""
    missing = [found for found in located if not found.path]
    lacking = [found for found in missing if not found.place]
    problems = "; ".join(dict.fromkeys(problem for found in lacking for problem in found.problems))
    made = [found.asset for found in lacking if not found.asset.url]
    alone = f"check the network, or {mirror_remedy([found.asset for found in lacking])}"
    remedy = f"{mirror_remedy(made)}; capsight fetch NAME reports how each is made" if made else alone
    what = "; ".join(map(described, missing))
    return InputError(f"needed, and cannot be fetched: {what}{f' [{problems}]' if problems else ''}", remedy=remedy)
