"""Features of many rows by a frozen network: computed once, kept on disk under a name made of all that they hang on."""

import contextlib
import hashlib
import io
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from lamina import config
from lamina.resources import disk
from lamina.resources.disk import StorageError

CHUNK = 2048  # rows in one file


class Extractor(NamedTuple):
    """What turns rows into features: `front`, then `backbone`, which has `identity()` and `rows_at_once`."""

    front: nn.Module
    backbone: Any

    def key(self, settings: object) -> bytes:
        """A digest of everything between rows and features; `settings`: what is in no weight."""
        digest = hashlib.blake2b(self.backbone.identity(), digest_size=16)
        digest.update(repr(settings).encode())
        for module in (self.front, self.backbone):
            for name, value in module.state_dict().items():
                digest.update(name.encode())
                digest.update(value.contiguous().flatten().view(torch.uint8).cpu().numpy())
        return digest.digest()

    def features(self, rows: np.ndarray, key: bytes, where: torch.device) -> np.ndarray:
        """(rows, width), a file for each part of them."""
        chunks = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
        return np.concatenate([self._chunk(chunk, key, where) for chunk in chunks])

    def _chunk(self, rows: np.ndarray, key: bytes, where: torch.device) -> np.ndarray:
        digest = hashlib.blake2b(repr((key, rows.shape)).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(rows).data)
        file = config.cache() / "features" / f"{digest.hexdigest()}.npy"
        try:
            return np.load(file, allow_pickle=False)
        except (OSError, ValueError):  # not there, or cut short
            pass
        with torch.inference_mode():
            size = self.backbone.rows_at_once
            batches = [torch.from_numpy(rows[i : i + size]).to(where) for i in range(0, len(rows), size)]
            values = torch.cat([self.backbone(self.front(batch)).float().cpu() for batch in batches]).numpy()
        body = io.BytesIO()
        np.save(body, values)
        with contextlib.suppress(StorageError):  # they are computed again next time
            disk.write_bytes(file, body.getvalue())
        return values
