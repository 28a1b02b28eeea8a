"""What every kind of column can be told beside its own settings."""

from typing import Literal, get_args

from pydantic import Field

from lamina.config import Config

Policy = Literal["reject", "impute", "flag"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


class ColumnConfig(Config):
    """Settings of a column; those of a kind are a class on this one."""

    policy: Policy | None = Field(
        default=None, description="what becomes of cells that training had none of, where a bundle is asked"
    )
