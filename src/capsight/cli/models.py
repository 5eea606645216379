"""`capsight models`."""

from typing import Annotated

import typer

from capsight.cli.shared import Answer

EXAMPLE = "capsight models yeast"


def command(
    name: Annotated[
        str | None, typer.Argument(help="Model whose card is printed; default: a summary of all.", show_default=False)
    ] = None,
) -> Answer:
    """List the models that come with capsight: species, data, licence, metrics, limits."""
    from capsight.cli.show import show_card, show_models
    from capsight.shipped import models, read_card

    found = [read_card(name)] if name else models()
    return Answer(
        lambda: show_card(name) if name else show_models(found),
        lambda: [card.model_dump(mode="json") | {"bytes": card.bytes} for card in found],
        asked=True,
    )
