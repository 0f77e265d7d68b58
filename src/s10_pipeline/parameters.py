"""One pydantic model of all parameters, and their validation with one-line error messages."""

from typing import Any

from pydantic import ValidationError

from .identity.affects import declared_fields
from .vision.data.params import AugmentParams, IngestParams
from .vision.errors import UserError, did_you_mean
from .vision.evaluation.params import EvaluateParams
from .vision.explain.params import ExplainParams
from .vision.export.params import ExportParams
from .vision.lr_search.params import LrSearchParams
from .vision.params import Params
from .vision.predict.params import PredictParams
from .vision.training.params import TrainParams


class Parameters(Params):
    """All parameter groups, such as ``train``, which are set in ``conf/<env>/parameters_<stage>.yml``."""

    ingest: IngestParams
    augment: AugmentParams
    lr_search: LrSearchParams
    train: TrainParams
    evaluate: EvaluateParams
    explain: ExplainParams
    predict: PredictParams
    export: ExportParams


# Parameter group, such as train -> stage in whose parameters file the group is. The group's class is in the stage's
# folder.
STAGES = {name: group.__module__.split(".")[-2] for name, group in Parameters.__annotations__.items()}

# Type of a pydantic error -> message for users; pydantic's own messages for these types are meant for programmers.
RULES = {
    "string_type": "must be a text, in quotes",
    "tuple_type": "must be a list; lists go into a file, see --config",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "is a group of parameters; give single ones, GROUP.NAME=VALUE",
}


def validate_parameters(values: dict[str, Any]) -> Parameters:
    """Validate all parameters, including those of stages that do not run.

    Raises:
        UserError: ``key=value: rule; remedy`` for each mistake, in one line.
    """
    try:
        return Parameters.model_validate(values)
    except ValidationError as error:
        found: dict[tuple[str, str], list[str]] = {}
        for subject, rule, remedy in map(_explain, error.errors(include_url=False)):
            found.setdefault((subject, remedy), []).append(rule)
        # Pydantic raises one error per type that a parameter may have; join the rules of these errors by "or".
        messages = [f"{key[0]}: {' or '.join(dict.fromkeys(rules))}{key[1]}" for key, rules in found.items()]
        raise UserError("; and ".join(messages)) from error


def _explain(error: Any) -> tuple[str, str, str]:
    """Return (``key=value``, broken rule, remedy) for one of the errors that pydantic found."""
    loc = [str(part) for part in error["loc"]]
    fields = [*declared_fields(Parameters, ".".join(loc))]
    # Keep the part of pydantic's error location that names parameters; the rest is a position inside a value.
    keys = loc[: len(fields)]
    model = fields[-1].annotation if fields else Parameters
    name = ".".join(keys)
    if error["type"] == "extra_forbidden":
        unknown = loc[len(keys)]
        kind = "parameter" if keys else "group of parameters"
        groups = [name for name, group in Parameters.__annotations__.items() if unknown in group.model_fields]
        inside = groups and not keys
        remedy = f"did you mean {groups[0]}.{unknown}?" if inside else did_you_mean(unknown, model.model_fields)
        return ".".join([*keys, unknown]), f"no such {kind}", f"; {remedy}"
    if error["type"] == "missing":
        return name, "missing", f"; every group must be in conf/base/parameters_{STAGES.get(keys[0], keys[0])}.yml"
    rule = error["msg"].removeprefix("Value error, ").replace("\n", " ")
    if error["type"] == "value_error" and hasattr(model, "model_fields"):
        # A validator of a parameter group raised this error; its message starts with the parameter's name in the group.
        subject, _, rule = rule.partition(": ")
        return f"{name}.{subject}", rule, ""
    rule = RULES.get(error["type"], rule).replace("Input should be", "must be").partition(", unable")[0]
    shown = "null" if error["input"] is None else str(error["input"])
    return (
        f"{name}={shown[:80]}",
        rule.replace("GROUP", name),
        f"; change it by --params or in parameters_{STAGES[keys[0]]}.yml",
    )
