"""The program's version, in a module of its own so that everything may read it."""

__version__ = "0.2.0"
