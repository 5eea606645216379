"""Errors that are the user's to mend: one clear line, exit code 2, no traceback."""


class CapsightError(Exception):
    """Base of every error that `capsight` reports to its user as one line."""


class InputError(CapsightError):
    """A file, a record or a combination of them that cannot be used.

    Parameters
    ----------
    what
        What is wrong, quoting the offending value.
    where
        The file, and the line or record where there is one, such as ``peaks.bed:12``.
    remedy
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, remedy: str | None = None) -> None:
        prefix = f"{where}: " if where is not None else ""
        suffix = f" ({remedy})" if remedy else ""
        super().__init__(f"{prefix}{what}{suffix}")


class ConfigError(InputError):
    """An unknown key, a value out of range, or options that contradict each other."""


class NoPredictedPositives(InputError):  # noqa: N818 (it says what happened, not that a file is wrong)
    """No window is predicted positive (or none negative), or by no probability: there is nothing to explain."""


class KeepsPartial(InputError):  # noqa: N818 (it says what happens)
    """Work cannot go on, and what is done of it is kept: the ``.partial`` folder stays for the same command."""


class DamagedCheckpoint(KeepsPartial):
    """A checkpoint of an unfinished training cannot be used: nothing is removed, for the rest of the work is intact."""
