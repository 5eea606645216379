"""The version of capsight."""

__version__ = "0.2.0"
