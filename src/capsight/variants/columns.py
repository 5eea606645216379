"""What is written of the effect of an allele: the fields of a VCF, and the columns of a table."""

from typing import Final

from capsight.variants.effects import Effect, Move

PREFIX: Final = "CAPSIGHT_"
#: Fields of the output: name, type, description.
FIELDS: Final = (
    ("LOG2_PLUS", "Float", "Change of log2 expected tags on the plus strand, {reach}"),
    ("LOG2_MINUS", "Float", "Change of log2 expected tags on the minus strand, {reach}"),
    ("GAIN", "Float", "Largest gain of probability of a TSS at a base"),
    ("GAIN_AT", "String", "Position (from 1) and strand of the largest gain"),
    ("LOSS", "Float", "Largest loss of probability of a TSS at a base"),
    ("LOSS_AT", "String", "Position (from 1) and strand of the largest loss"),
    ("TSS_LOG2", "Float", "Of the called TSS that changes most, change of log2 expected tags within 10 bases"),
    ("TSS_AT", "String", "Position (from 1) and strand of the called TSS that changes most"),
)
COLUMNS: Final = tuple(name.lower() for name, _, _ in FIELDS)
_NOTHING: Final = (".",) * len(FIELDS)


def fields(effect: Effect | None) -> tuple[str, ...]:
    """Return the values of `FIELDS` for one allele."""
    if effect is None:
        return _NOTHING
    plus, minus = (_number(value) for value in effect.log2)
    return plus, minus, *_moved(effect.gain, 1), *_moved(effect.loss, -1), *_moved(effect.tss, 1, ".")


def _moved(move: Move | None, sign: int, none: str = "0") -> tuple[str, str]:
    text = _number(sign * move.change) if move else "0"
    return (none, ".") if move is None or text == "0" else (text, f"{move.position + 1}:{'+-'[move.strand]}")


def _number(value: float) -> str:
    """Return a number with four decimals at the most; nothing is 0, never -0."""
    return f"{round(value, 4) + 0.0:.6g}"
