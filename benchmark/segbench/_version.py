"""The version of segbench; part of every signature."""

__version__ = "0.1.0"
