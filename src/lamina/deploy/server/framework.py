"""What a server is built with, which is optional: one sentence where it is not installed."""

from lamina.config import LaminaError

try:
    import fastapi  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise LaminaError(f"serve: {error.name} is not installed. Install it: pip install 'lamina[serve]'") from None
