"""What all parameter groups have in common. Free of torch: reading parameters must stay quick."""

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """A group of parameters: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
