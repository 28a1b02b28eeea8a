"""Stage 6: the bundle, the predictor that reads it, and the ways to serve it. Serving needs no torch."""
