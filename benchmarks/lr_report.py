"""Build the tables of learning-rate finders: the rate that each suggested in each setting, and its regret."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from lr_regret import AccuracyCurve, regrets
from lr_rules import Curve, auto, suggested
from lr_settings import LrSetting, rates_of_test
from s10_pipeline.vision.lr_search.params import LrSearchParams


def suggestions(setting: LrSetting, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rate of each finder (columns) from each seed's range tests (rows) of a setting."""
    rows = []
    mine = curves[curves["setting"] == setting.name]
    own = [curve_of(row) for row in mine[mine["kind"] == "auto"].sort_values("seed").itertuples()]
    for seed, (_, tests) in enumerate(mine.groupby("seed")):
        by_kind = {row.kind: curve_of(row) for row in tests.itertuples()}
        rows.append(suggested(by_kind, setting.batch_size))
        if seed < len(own):
            together = [own[(seed + i) % len(own)] for i in range(LrSearchParams().num_tests)]
            rows[-1]["auto"] = auto(together, setting.batch_size, setting.params(seed=0).momentum)
    return pd.DataFrame(rows)


def curve_of(row: Any) -> Curve:
    losses = np.array(row.losses.split(), float)
    return Curve(rates_of_test(row.start_lr, row.end_lr, row.num_batches)[: len(losses)], losses)


def report(settings: list[LrSetting], trainings: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """Return the page: settings with their best rates, then finders with their regret per setting, best first."""
    lines = [
        "| setting | half | best rate | accuracy there, % | standard error | trainings | s per training |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    scored: dict[str, pd.DataFrame] = {}
    for setting in settings:
        runs = trainings[trainings["setting"] == setting.name]
        found = suggestions(setting, curves)
        if runs["rate"].nunique() < 3 or found.empty:
            lines.append(f"| {setting.name} | {setting.half} | | | | {len(runs)} | |")
            continue
        curve = AccuracyCurve(runs["rate"].to_numpy(), 100 * runs["accuracy"].to_numpy())
        near = runs[np.abs(np.log10(runs["rate"] / curve.best_rate)) < 0.3]
        error = 100 * near.groupby("seed")["accuracy"].mean().sem()
        lines.append(
            f"| {setting.name} | {setting.half} | {curve.best_rate:.2g} | {curve.best:.1f} | {error:.2f} "
            f"| {len(runs)} | {runs['seconds'].mean():.0f} |"
        )
        scored[setting.name] = regrets(runs, found)
    if not scored:
        return lines
    table = pd.concat(scored, names=["setting", "finder"])
    order = table["regret"].groupby("finder").mean().sort_values().index
    lines += [
        "",
        "Regret in points (95 % bootstrap interval over seeds) at the median rate of the finder's tests:",
        "",
        f"| finder | mean ± standard error | more than auto's | spread | {' | '.join(scored)} |",
        f"| --- | ---: | ---: | ---: | {' | '.join('---:' for _ in scored)} |",
    ]
    ours = table[table.index.get_level_values("finder") == "auto"].droplevel("finder")["regret"]
    for finder in order:
        rows = table.xs(finder, level="finder")
        frames = [frame.loc[[finder]] if finder in frame.index else frame.iloc[:0] for frame in scored.values()]
        cells = [" ".join(cell_of(row) for row in frame.itertuples()) or "-" for frame in frames]
        mean = f"{rows['regret'].mean():.2f} ± {rows['regret'].sem():.2f}"
        more = paired(rows["regret"] - ours) if finder != "auto" and len(ours) else ""
        lines.append(f"| {finder} | {mean} | {more} | {rows['spread'].median():.1f} x | {' | '.join(cells)} |")
    return lines


def paired(differences: "pd.Series[float]") -> str:
    """Return the mean difference over settings and its 95 % interval (Student's t)."""
    found = differences.dropna()
    half = stats.t.ppf(0.975, len(found) - 1) * found.sem() if len(found) > 1 else np.inf
    return f"{found.mean():+.2f} ({found.mean() - half:+.2f} to {found.mean() + half:+.2f})"


def cell_of(row: Any) -> str:
    return f"{row.regret:.1f} ({row.low:.1f} to {row.high:.1f}) at {row.rate:.2g}"
