"""What is known already of what is predicted, beside the predictions, so that they can be judged."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from neurotransfer.cohort import Cohort
from neurotransfer.errors import InputError
from neurotransfer.predict.columns import Described
from neurotransfer.targets import Target, as_text


def observed_columns(targets: Sequence[Target], cohort: Cohort) -> tuple[pd.DataFrame, Described]:
    """`TARGET_observed` for every target that the table of scans has values of, and `site` where it has sites; and what they hold.

    A column with a value that the target cannot have means something else and is left out as a whole.
    """
    table: dict[str, Any] = {}
    said = Described()
    for target in targets:
        values = _known(target, cohort)
        if values is not None:
            name, unit = f"{target.name}_observed", {"Units": target.unit} if target.unit else {}
            table[name] = values.to_numpy()
            said[name] = {"Description": f"{target.name} in the table of scans; predictions do not use it."} | unit
    if "site" in cohort.table and (cohort.table["site"].fillna("") != "").any():
        table["site"], said["site"] = as_text(cohort.table["site"]).to_numpy(), {"Description": "Site of the scan."}
    return pd.DataFrame(table, index=range(len(cohort))), said


def _known(target: Target, cohort: Cohort) -> pd.Series | None:
    if target.column not in cohort.table:
        return None
    try:
        cohort.labels(target)
    except InputError:
        return None
    values = as_text(cohort.table[target.column])
    if not values.notna().any():
        return None
    return pd.to_numeric(values).astype(float) if target.kind == "continuous" else values
