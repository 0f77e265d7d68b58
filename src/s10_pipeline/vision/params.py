"""The base class of all parameter groups. It does not import torch, so that reading parameters is fast."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Base class of a group of parameters: unknown keys are errors, and values cannot be changed after creation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
