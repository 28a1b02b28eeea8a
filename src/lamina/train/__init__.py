"""Stage 4: the one training loop, for every architecture, as a generator of rows."""

import os

# Threads that spin long while they wait can cost a busy machine ten times what they gain; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
