"""Stage 4: the one training loop, for every architecture, as a generator of rows."""

import os

# Threads that spin while they wait cost a busy machine ten times what they gain an idle one; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
