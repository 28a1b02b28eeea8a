"""Stage 4: the one training loop, for every architecture, as a generator of rows."""
