"""Plots as SVG: `canvas` draws, `figures` are the plots, `curves` their points."""
