"""From raw data to a running service, with a neural network in between."""

__version__ = "0.1.0"
