"""`capsight models`."""

from typing import Annotated

import typer

from capsight.cli.options import Verbose

EXAMPLE = "capsight models yeast"


def command(
    name: Annotated[
        str | None, typer.Argument(help="Model whose card is printed; default: a summary of all.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that the cards say as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """List the models that come with capsight: species, data, licence, metrics, limits."""
    from capsight.cli.show import show_card, show_models
    from capsight.shipped import models, read_card

    if as_json:
        import json

        found = [read_card(name)] if name else models()
        typer.echo(json.dumps([card.model_dump(mode="json") | {"bytes": card.bytes} for card in found], indent=2))
    elif name:
        show_card(name)
    else:
        show_models(models())
