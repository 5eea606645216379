"""YAML without the readings of version 1.1 that change names: 010 is no 8, and 2:10 no 130.

A chromosome may be called 010, 0x1F or 2_1. Version 1.1 of YAML, which PyYAML reads, makes numbers of all of these,
and of some dates; version 1.2 reads decimal numbers only, and so does this loader.
"""

import re
from typing import Final

import yaml

_CHANGED: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, for which only decimal numbers are whole numbers, and nothing is a date."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _CHANGED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


PlainLoader.add_implicit_resolver(_CHANGED[0], re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
