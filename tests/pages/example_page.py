"""A page that uses every field of the contract, of invented numbers."""

import struct
import zlib

import numpy as np
import pandas as pd

from neurotransfer.pages.looks import looks
from neurotransfer.pages.model import (
    Axis,
    Choice,
    Code,
    Facts,
    Figure,
    Layer,
    Overlay,
    Page,
    Row,
    Section,
    Table,
    Text,
    Volumes,
)

STRATEGIES = ("baseline", "frozen", "finetuned", "linear", "transferred")
SIZES = (50, 100, 200, 500, 1000, 2000)
SCORES = {"auc": "AUC", "brier": "Brier score"}
STATISTICS = {"mean": "Mean ± 1.96 SEM", "median": "Median"}
EVIL = "</script><script>document.title='broken'</script>"


def curve_table(seed: int = 0) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    rows = []
    for score in SCORES:
        for statistic in STATISTICS:
            for place, strategy in enumerate(STRATEGIES):
                for n in SIZES:
                    value = 0.6 + 0.03 * place + 0.08 * np.log10(n / 50) + 0.01 * draws.standard_normal()
                    value = value if score == "auc" else 1 - value
                    sem = 0.1 / np.sqrt(n / 10)
                    rows.append(
                        {
                            "score": score,
                            "statistic": statistic,
                            "strategy": strategy,
                            "n": n,
                            "value": value,
                            "low": value - sem if statistic == "mean" else None,
                            "high": value + sem if statistic == "mean" else None,
                            "better": bool((place + n) % 3),
                            "replicates": 100,
                        }
                    )
    return pd.DataFrame(rows)


def replicate_table(per_cell: int = 15, seed: int = 1) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    curve = curve_table()
    curve = curve[curve["statistic"] == "mean"]
    table = curve.loc[curve.index.repeat(per_cell), ["score", "strategy", "n", "value"]].reset_index(drop=True)
    table["value"] += draws.normal(0, 0.03, len(table))
    table["replicate"] = np.arange(len(table)) % per_cell
    return table


def curves(name: str = "sex-curves", per_cell: int = 15) -> Figure:
    published = pd.DataFrame(
        [
            {"score": "auc", "source": source, "n": n, "value": base + 0.1 * np.log10(n / 50)}
            for source, base in (("finetuned (2022)", 0.7), ("baseline (2022)", 0.55))
            for n in (50, 200, 1000, 5000)
        ]
    )
    return Figure(
        name=name,
        title="Learning curves of sex",
        description="AUC against the number of training scans, a line a strategy; finetuned is above baseline everywhere.",
        x=Axis("n, training scans", "log", switch=True, ticks=SIZES),
        y=Axis("AUC", switch=True, labels={"score": SCORES}, logarithmic={"score": ("brier",)}),
        layers=(
            Layer("rule", pd.DataFrame({"score": ["auc"], "chance": [0.5]}), y="chance", label="chance"),
            Layer(
                "line", published, x="n", y="value", series="source", quiet=True, label="published curves", shown=False
            ),
            Layer(
                "dot",
                replicate_table(per_cell),
                x="n",
                y="value",
                series="strategy",
                label="single replicates",
                shown=False,
                tips={"replicate": "Replicate"},
            ),
            Layer(
                "line",
                curve_table(),
                x="n",
                y="value",
                series="strategy",
                low="low",
                high="high",
                filled="better",
                tips={"replicates": "Replicates"},
            ),
        ),
        choices=(Choice("score", "Score", SCORES), Choice("statistic", "Shown", STATISTICS)),
        looks=looks(STRATEGIES),
        caption="A filled marker beats the next best strategy at the same n.",
        keys={"filled": "filled: beats the next best", "hollow": "hollow: it does not, or is last"},
    )


def p_matrix() -> Figure:
    draws = np.random.default_rng(2)
    rows = [
        {"n": str(n), "row": row, "column": column, "p": p, "shown": f"{p:.3f}{'*' if p < 0.01 else ''}"}
        for n in SIZES
        for row in STRATEGIES
        for column in STRATEGIES
        if row != column
        for p in [float(draws.uniform() ** 4)]
    ]
    return Figure(
        name="sex-p",
        title="Does the row beat the column?",
        description="One-sided p of every strategy against every other one.",
        x=Axis("is beaten", "category"),
        y=Axis("beats", "category"),
        layers=(Layer("cell", pd.DataFrame(rows), x="column", y="row", value="p", text="shown"),),
        choices=(Choice("n", "n, training scans", {str(n): str(n) for n in SIZES}),),
        colours="probability",
        colour_label="one-sided p",
        caption="A star: also below 0.05 after Holm's correction.",
    )


def correlations(count: int = 40) -> Figure:
    draws = np.random.default_rng(3)
    mixed = draws.normal(size=(200, 6)) @ draws.normal(size=(6, count)) + draws.normal(size=(200, count))
    matrix = np.corrcoef(mixed.T)
    names = [f"feature {i + 1}" for i in range(count)]
    table = pd.DataFrame(
        [{"a": names[i], "b": names[j], "r": matrix[i, j]} for i in range(count) for j in range(count)]
    )
    return Figure(
        name="correlations",
        title="Features with features",
        description="Correlation of every feature with every other one.",
        x=Axis("feature", "category"),
        y=Axis("feature", "category"),
        layers=(Layer("cell", table, x="a", y="b", value="r"),),
        colours="diverging",
        colour_label="Pearson r",
        ends=(-1.0, 1.0),
    )


def thickness() -> Figure:
    draws = np.random.default_rng(4)
    rows = [
        {"region": region, "age": age, "thickness": 2.0 + 0.2 * i - 0.1 * j + 0.05 * draws.standard_normal()}
        for i, region in enumerate(("frontal", "parietal", "a temporal region with a long name", "occipital"))
        for j, age in enumerate(("20 to 39", "40 to 59", "60 to 79"))
    ]
    return Figure(
        name="thickness",
        title="Cortical thickness",
        description="Mean thickness of four regions in three groups of age.",
        x=Axis("age (years)", "category"),
        y=Axis("region", "category"),
        layers=(Layer("cell", pd.DataFrame(rows), x="age", y="region", value="thickness"),),
        colours="sequential",
        colour_label="thickness (mm)",
    )


def pyramid() -> Figure:
    draws = np.random.default_rng(5)
    rows = [
        {"age": age, "scans": sign * int(draws.integers(3, 40)), "cohort": cohort}
        for cohort in ("IXI", "OASIS", "site C")
        for age in range(20, 85, 5)
        for sign in (1, -1)
    ]
    return Figure(
        name="pyramid",
        title="Who was scanned",
        description="Number of scans by age, females above the axis and males below, stacked by cohort.",
        x=Axis("age (years)"),
        y=Axis("scans: females above, males below"),
        layers=(Layer("bar", pd.DataFrame(rows), x="age", y="scans", series="cohort", width=5.0),),
        caption="One colour a cohort.",
    )


def epochs() -> Figure:
    table = pd.DataFrame(
        {"strategy": STRATEGIES, "epochs": [40, 12, 25, 0, 0], "low": [30, 10, 20, 0, 0], "high": [50, 14, 30, 0, 0]}
    )
    return Figure(
        name="epochs",
        title="Epochs",
        description="Epochs of every strategy.",
        x=Axis("strategy", "category"),
        y=Axis("epochs"),
        layers=(Layer("bar", table, x="strategy", y="epochs", series="strategy", low="low", high="high"),),
        looks=looks(STRATEGIES),
    )


def agreement() -> Figure:
    draws = np.random.default_rng(6)
    observed = draws.uniform(20, 85, 120).round()
    table = pd.DataFrame(
        {"observed": observed, "predicted": observed + draws.normal(0, 6, 120), "count": draws.integers(1, 30, 120)}
    )
    line = pd.DataFrame({"from": [10.0], "to": [95.0]})
    return Figure(
        name="agreement",
        title="Observed and predicted age",
        description="Predicted age against observed age; most bubbles are near the line of perfect prediction.",
        x=Axis("observed age (years)", ends=(10.0, 95.0)),
        y=Axis("predicted age (years)", ends=(10.0, 95.0)),
        layers=(
            Layer("rule", line, x="from", y="from", x_end="to", y_end="to", quiet=True, label="perfect prediction"),
            Layer("dot", table, x="observed", y="predicted", size="count", tips={"count": "Predictions"}),
        ),
        square=True,
    )


def map_of_scans(count: int = 2000) -> Figure:
    draws = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "first": draws.normal(size=count),
            "second": draws.normal(size=count),
            "age": draws.uniform(18, 90, count).round(1),
            "site": draws.choice(["London", "Oslo", "Basel"], count),
            "scan": [f"sub-{i:04d}" for i in range(count)],
        }
    )
    table.loc[3, "age"] = None
    table["picture"] = [picture() if i < 5 else None for i in range(count)]
    return Figure(
        name="map",
        title="A map of the scans",
        description="Scans by the first two principal components of their features, coloured by age or site.",
        x=Axis("first component (arbitrary units)"),
        y=Axis("second component (arbitrary units)"),
        layers=(Layer("dot", table, x="first", y="second", tips={"scan": "Scan"}, picture="picture"),),
        colour_by={"age": "age (years)", "site": "site"},
    )


def picture() -> str:
    from base64 import b64encode

    return f"data:image/png;base64,{b64encode(png(np.full((24, 24), 128, np.uint8))).decode()}"


def png(grey: np.ndarray) -> bytes:
    """A grey image as a PNG, without a library."""
    rows = b"".join(b"\0" + row.tobytes() for row in grey.astype(np.uint8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def nifti(values: np.ndarray, voxel_mm: float = 5.0) -> bytes:
    """A volume as the bytes of a compressed NIfTI-1 file, without a library."""
    import gzip

    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, voxel_mm, voxel_mm, voxel_mm, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<ff", header, 112, 1, 0)
    struct.pack_into("<hh", header, 252, 0, 1)
    for row in range(3):
        place = [0.0, 0.0, 0.0, -voxel_mm * values.shape[row] / 2]
        place[row] = voxel_mm
        struct.pack_into("<4f", header, 280 + 16 * row, *place)
    header[344:348] = b"n+1\0"
    return gzip.compress(bytes(header) + b"\0" * 4 + values.astype("<f4").tobytes(order="F"), mtime=0)


def head() -> Volumes:
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in (32, 40, 32)), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    brain = np.clip(1.2 - distance, 0, 1)
    relevance = np.exp(-(((axes[0] - 0.4) ** 2 + axes[1] ** 2 + axes[2] ** 2) * 12))
    return Volumes(
        name="head",
        title="Where the network looks",
        description="A head with relevance at the right of its middle.",
        base=Overlay("head", nifti(brain), 0.0, 1.0, "gray"),
        overlays=(
            Overlay("relevance", nifti(relevance), 0.3, 1.0, "warm"),
            Overlay(
                "signed relevance",
                nifti(relevance - np.exp(-(((axes[0] + 0.4) ** 2 + axes[1] ** 2 + axes[2] ** 2) * 12))),
                0.2,
                1.0,
                "warm",
                "winter",
            ),
        ),
        slices=png((brain[:, :, 16].T * 255).astype(np.uint8).repeat(6, 0).repeat(6, 1)),
        caption="Relevance above 0.3.",
    )


def table() -> Table:
    rows = [[strategy, f"{0.6 + place / 20:.3f}", f"{place * 12}"] for place, strategy in enumerate(STRATEGIES)]
    return Table("scores", "Scores at n = 100", ["Strategy", "AUC", "Epochs"], rows, numeric=(1, 2))


def example(with_volumes: bool = False) -> Page:
    """The whole page."""
    record = [
        Facts([("seed", "7"), ("a name with <brackets>", EVIL)]),
        Facts([("torch", "2.13.0")], folded="Versions"),
        Code(
            "neurotransfer benchmark studies/demo.toml --out run --workers 2 --note 'a long line that scrolls inside its box'"
        ),
        Code('[study]\nname = "demo"', folded="The whole study"),
        Text("Quiet words.", "quiet"),
        Text("A caution of its own.", "caution"),
        Text("Plain words & signs."),
    ]
    sections = [
        Section("sex", "Sex", [curves(), Row([p_matrix(), epochs()]), table()]),
        Section("age", "Age", [Row([agreement(), pyramid()])]),
        Section("features", "What the network knows", [Row([correlations(), thickness()]), map_of_scans()]),
        Section("record", "What was run and how", record),
    ]
    if with_volumes:
        sections.insert(3, Section("heads", "What the network looks at", [head()]))
    return Page(
        title="An example & its parts",
        found=[
            "With 100 scans finetuning beats training from scratch by 0.13 AUC (p < 0.001).",
            "It does not beat the linear model.",
        ],
        sections=sections,
        lead="Invented numbers that use every field.",
        cautions=["Replicates draw on one pool of people.", EVIL],
        banner="This run is not complete.",
    )
