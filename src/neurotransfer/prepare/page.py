"""The page on which every prepared scan is seen, worst first; its pictures lie beside it and are loaded as they come into view."""

from pathlib import Path

import pandas as pd

from neurotransfer.artifacts import write_atomically
from neurotransfer.cohort.recipes import Recipe
from neurotransfer.prepare.flags import LEAST_SCANS, LIMITS, UNUSUAL

MEASURES = (
    "overlap",
    "similarity",
    "inside",
    "brain_litres",
    "cnr",
    "cjv",
    "snr_white",
    "efc",
    "contrast",
    "orientation",
)
TEMPLATE = "page.html.j2"
# of the pictures, which all have one size
ASPECT = "630 / 234"


def write_page(path: Path, quality: pd.DataFrame, failed: pd.DataFrame, recipe: Recipe) -> None:
    """Write the page of a table of quality from `flagged`, and of what failed.

    Raises:
        StorageError: when the place cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("neurotransfer.prepare", "."),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    html = environment.get_template(TEMPLATE).render(
        recipe=recipe,
        scans=quality.fillna("n/a").to_dict("records"),
        failed=failed.to_dict("records"),
        n_flagged=int((quality["flags"] != "").sum()),
        measures=[name for name in MEASURES if name in quality],
        limits=LIMITS,
        unusual=UNUSUAL,
        least=LEAST_SCANS,
        aspect=ASPECT,
    )
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))
