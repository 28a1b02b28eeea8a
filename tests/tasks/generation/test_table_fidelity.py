"""Rows of a table that a network makes: written as numbers and back, evaluated beside real ones, learned from."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lamina
from lamina import preprocess
from lamina.config import DataError, RecipeError
from lamina.preprocess import category
from lamina.schema import MISSING, Column, Schema, clean
from lamina.tasks.generation import column_transformer, table_fidelity, table_transformer
from lamina.tasks.generation.smote import smote
from lamina.tasks.generation.table_cells import CellEncoder

FAST = {"model": {"kind": "vae", "hidden": 64, "latent": 8}, "train": {"epochs": 40, "batch_size": 64, "lr": 3e-3}}
COUNT = 400


def people(count: int = COUNT, seed: int = 0) -> pa.Table:
    """A column of every sort that can be made, and some that cannot; `bought` hangs on income and city."""
    rng = np.random.default_rng(seed)
    income = np.round(rng.lognormal(3, 0.4, count), 2)
    gain = np.where(rng.random(count) < 0.8, 0.0, np.round(rng.normal(5000, 900, count), 1))
    city = rng.choice(["Bonn", "Köln", "Trier"], count, p=[0.5, 0.3, 0.2])
    days = rng.integers(17_000, 19_000, count)
    bought = income / 22 + (city == "Köln") + 0.3 * rng.normal(size=count) > 1.4
    return pa.table(
        {
            "id": [f"p{i}" for i in range(count)],
            "income": income,
            "gain": gain,
            "age": rng.integers(18, 90, count),
            "rooms": rng.integers(1, 5, count),
            "city": pa.array(city).cast(pa.string()),
            "member": rng.random(count) < 0.4,
            "since": pa.array(days.astype(np.int32), pa.date32()),
            "seen": [f"{10 + int(d) % 18}.0{1 + int(d) % 9}.2021 1{int(d) % 10}:30" for d in days],
            "debt": pa.array(np.where(rng.random(count) < 0.2, None, np.round(rng.normal(0, 3, count), 3))).cast(
                pa.float64()
            ),
            "country": ["DE"] * count,
            "bought": np.where(bought, "yes", "no"),
        }
    )


def understood(table: pa.Table) -> tuple[pa.Table, Schema, Any, tuple[str, ...]]:
    table = clean(table, MISSING)
    schema = preprocess.infer(table, None, {}, MISSING)
    fit = column_transformer.fit(table, schema)
    return table, schema, fit.columns, fit.notes


@pytest.fixture(scope="module")
def made_by() -> lamina.Estimator:
    """A network that makes people, of those who bought and those who did not."""
    return fitted("generator", FAST)


_RUNS: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory) -> None:
    _RUNS["folder"] = tmp_path_factory.mktemp("made")


def fitted(name: str, recipe: dict[str, Any], task: str = "generation") -> lamina.Estimator:
    settings = recipe | {"task": task}
    return lamina.fit(people(), "bought", recipe=settings, out=_RUNS["folder"] / name)


def test_rows_come_back_from_their_numbers():
    table, schema, columns, _ = understood(people())
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)
    assert back["country"].equals(table["country"]) and back["city"].equals(table["city"])
    assert back["member"].equals(table["member"]) and back["rooms"].equals(table["rooms"])
    assert back["debt"].null_count == table["debt"].null_count
    for name in ("income", "gain", "age", "debt"):
        result = next(c for c in columns if c.name == name)
        expected = np.clip(table[name].combine_chunks().to_numpy(zero_copy_only=False), result.low, result.high)
        np.testing.assert_allclose(back[name].to_numpy(), expected, atol=0.011, equal_nan=True)


def test_a_number_that_many_rows_share_comes_back_exactly():
    table, schema, columns, _ = understood(people())
    gain = next(c for c in columns if c.name == "gain")
    assert 0.0 in gain.spikes and gain.centres
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)
    zeros = pc.equal(table["gain"], 0.0)
    assert pc.all(pc.equal(back["gain"].filter(zeros), 0.0)).as_py()
    assert (back["gain"].to_numpy() == 0).sum() == pc.sum(zeros).as_py()


def test_numbers_that_few_rows_share_are_not_generated_as_round_ones():
    weights = np.random.default_rng(0).normal(100_000, 8_200, 30_000).round()  # nearly all differ
    table, schema, columns, _ = understood(pa.table({"weight": weights, "city": ["Bonn", "Trier"] * 15_000}))
    (weight,) = (column for column in columns if column.name == "weight")
    assert not weight.spikes and not weight.grid
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)["weight"].to_numpy()
    assert (back % 100 == 0).mean() < 0.05
    assert len(np.unique(back)) > 0.8 * len(np.unique(weights))


def test_times_come_back_as_they_were_written():
    table, schema, columns, _ = understood(people())
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)
    assert back["since"].type == pa.date32() and isinstance(back["since"][0].as_py(), date)
    for cell in back["seen"].to_pylist()[:50]:
        datetime.strptime(cell, "%d.%m.%Y %H:%M")


def test_identifiers_are_left_out_with_a_note_and_constants_return():
    table, schema, columns, notes = understood(people())
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)
    assert "id" not in back.column_names and "id" in notes[0]
    assert back["country"].to_pylist() == ["DE"] * COUNT


def test_what_one_person_alone_has_is_not_kept():
    table = people()
    city = table["city"].to_pylist()
    city[7] = "Atlantis"
    income = table["income"].to_pylist()
    income[7] = 99_999.99
    table = table.set_column(table.column_names.index("city"), "city", [city])
    table = table.set_column(table.column_names.index("income"), "income", [income])
    table, schema, columns, _ = understood(table)
    remaining = json.dumps([column.model_dump() for column in columns])
    assert "Atlantis" not in remaining and "99999" not in remaining
    back = table_transformer.decode(table_transformer.encode(table, schema, columns), columns)
    assert back["city"][7].as_py() in ("Bonn", "Köln", "Trier") and back["income"][7].as_py() < 1000


def test_choices_are_drawn_by_their_chances_and_by_the_seed_alone():
    table, schema, columns, _ = understood(people())
    city = next((made, at) for made, at in table_transformer.offsets(columns) if made.name == "city")
    matrix = np.zeros((4000, table_transformer.encode(table, schema, columns).shape[1]), np.float32)
    matrix[:, city[1] : city[1] + 3] = np.log([0.7, 0.2, 0.1])
    samples = table_transformer.decode(matrix, columns, range(4000))
    shares = [pc.mean(pc.equal(samples["city"], name).cast(pa.float64())).as_py() for name in city[0].values]
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=0.03)
    assert table_transformer.decode(matrix[:10], columns, range(5, 15)).equals(samples.slice(5, 10))


def test_scores_of_any_size_make_valid_cells():
    table, schema, columns, _ = understood(people())
    width = table_transformer.encode(table, schema, columns).shape[1]
    wild = np.random.default_rng(0).normal(0, 200, (500, width)).astype(np.float32)
    result = table_transformer.decode(wild, columns, range(500))
    reader = CellEncoder(table, [c for c in schema.columns if c.name in result.column_names], None, ())
    assert reader.invalid(result, reader.encode(result)) == 0.0


def test_a_cell_that_no_training_row_could_have_is_found():
    table, schema, _, _ = understood(people())
    columns = [c for c in schema.columns if c.name in ("age", "city")]
    reader = CellEncoder(table, columns, None, ())
    other = pa.table({"age": [30.5, 200.0, 30.0], "city": ["Bonn", "Rom", None]})
    assert reader.invalid(other, reader.encode(other)) == pytest.approx(4 / 6)


def test_smote_lies_between_rows_of_its_class():
    rng = np.random.default_rng(0)
    cells = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(20, 1, (60, 2))])
    plain = np.column_stack([cells, np.repeat([0.0, 1.0], 60)])
    result, classes = smote(plain, np.array([False, False, True]), np.repeat([0, 1], 60), 500)
    assert (result[classes == 0, :2] < 10).all() and (result[classes == 1, :2] > 10).all()
    assert (result[:, 2] == classes).all()
    low, high = cells[:60].min(0), cells[:60].max(0)
    inner = result[classes == 0, :2]
    assert (inner >= low).all() and (inner <= high).all() and len(np.unique(inner, axis=0)) > 200


def test_a_detector_tells_noise_from_rows_and_not_rows_from_rows():
    schema = Schema(
        columns=(Column(name="a", kind="number"), Column(name="b", kind="number")),
        target=Column(name="c", kind="category"),
    )

    def table(seed: int, tied: bool) -> pa.Table:
        rng = np.random.default_rng(seed)
        a = rng.normal(size=1500)
        b = a + 0.1 * rng.normal(size=1500) if tied else rng.normal(size=1500)
        return pa.table({"a": a, "b": b, "c": np.where(a > 0, "x", "y")})

    good = table_fidelity.measure(table(0, True), table(1, True), table(2, True), schema, ("x", "y"))
    bad = table_fidelity.measure(table(0, True), table(1, True), table(2, False), schema, ("x", "y"))
    assert abs(good["detector_auc"] - 0.5) < 0.08 and bad["detector_auc"] > 0.9
    assert good["pair_difference"] < 0.05 < bad["pair_difference"] and good["column_distance"] < 0.08
    copied = table_fidelity.measure(table(0, True), table(1, True), table(0, True), schema, ("x", "y"))
    assert copied["copies"] == 1.0 and copied["nearest"] == 0.0 and good["copies"] == 0.0


def test_made_rows_are_valid_and_of_the_class_asked_for(made_by):
    generated = made_by.generate(300, 1, ["yes", "no"] * 150)
    assert generated["bought"].to_pylist() == ["yes", "no"] * 150
    assert set(generated["city"].unique().to_pylist()) == {"Bonn", "Köln", "Trier"}
    assert set(generated["country"].to_pylist()) == {"DE"} and generated["age"].type == pa.int64()
    assert pc.min(generated["age"]).as_py() >= 18 and pc.max(generated["age"]).as_py() < 90
    yes = pc.equal(generated["bought"], "yes")
    richer = (
        pc.mean(generated["income"].filter(yes)).as_py() - pc.mean(generated["income"].filter(pc.invert(yes))).as_py()
    )
    assert richer > 3


def test_the_same_seed_makes_the_same_rows(made_by):
    first, again, other = (made_by.generate(20, seed) for seed in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)


def test_the_report_says_what_made_rows_are_worth_beside_smote(made_by):
    folder = Path(made_by.result["run"])
    report = json.loads((folder / "report.json").read_text("utf-8"))
    facts = report["synthetic_rows"]
    assert set(facts["trained_on"]) == {"real", "generated", "smote"} and facts["invalid"] == 0.0
    assert facts["trained_on"]["generated"]["accuracy"] > 0.6 and facts["copies"] == 0.0
    assert "SMOTE" in report["verdict"] and "from real ones with ROC AUC" in report["verdict"]
    page = (folder / "report.html").read_text("utf-8")
    assert "Generated rows" in page and "SMOTE’s rows" in page and "Columns of real and generated rows" in page


def test_the_report_shows_rows_that_are_made_up_and_never_a_real_one(made_by):
    table = people().drop_columns(["id", "country"])
    schema = preprocess.infer(table, "bought", {"bought": category.Config()}, MISSING)
    train, held_out, new = table.slice(0, 300), table.slice(300), people(4, seed=9).select(table.column_names)
    samples = pa.concat_tables([train.slice(0, 60), held_out.slice(0, 60), new])
    facts = table_fidelity.measure(train, held_out, samples, schema, ("no", "yes"))
    assert [row["income"] for row in facts["samples"]] == [str(value) for value in new["income"].to_pylist()]
    page = (Path(made_by.result["run"]) / "report.html").read_text("utf-8")
    assert "Synthetic rows" in page


def test_a_discriminator_and_a_generator_make_rows_of_the_table():
    recipe = {"model": {"kind": "gan", "hidden": 32, "latent": 8}, "train": {"epochs": 6, "batch_size": 64}}
    generated = fitted("gan", recipe).generate(50, 0)
    assert generated.num_rows == 50 and set(generated["city"].to_pylist()) <= {"Bonn", "Köln", "Trier"}


def test_a_table_without_a_class_is_made_too():
    table = people(200).select(["income", "city", "debt"])
    recipe = {"task": "generation", "model": FAST["model"], "train": {"epochs": 3}}
    result = lamina.fit(table, None, recipe=recipe, out=_RUNS["folder"] / "aimless")
    assert result.generate(5, 0).column_names == ["income", "city", "debt"]
    assert (
        "trained_on" not in result.result["synthetic_rows"]
        and "from real ones with ROC AUC" in result.result["verdict"]
    )


CLASSIFY = {"model": {"kind": "fnn", "width": 16, "depth": 1, "members": 1}, "train": {"epochs": 4, "batch_size": 64}}


def mixed(name: str, path: Path, **settings: Any) -> lamina.Estimator:
    recipe = CLASSIFY | {"train": CLASSIFY["train"] | {"augment_with": str(path), **settings}}
    return fitted(name, recipe, "classification")


def test_made_rows_are_learned_from_and_the_report_says_whether_that_helped(made_by):
    result = mixed("with", Path(made_by.result["bundle"]), augment_share=1.0)
    report = json.loads((Path(result.result["run"]) / "report.json").read_text("utf-8"))
    (note,) = [one for one in report["data"]["notes"] if "generated rows" in one]
    real = report["data"]["rows"]["train"]
    assert f"with {real:,} generated rows beside {real:,} real ones" in note and "kept" in note
    assert result.result["notes"].count(note) == 1
    compared, remaining = report["augmented"], report["augmented"]["helped"]
    without, other = compared["validation"]
    assert remaining == (other < without and compared["certainty"] >= 0.95)
    assert compared["test"]["accuracy"][remaining] == pytest.approx(report["scores"]["accuracy"])
    assert "On test rows, without and with: loss " in note


def test_the_better_of_both_networks_is_kept(made_by):
    noise = people(300, seed=1)
    turned = ["no" if v == "yes" else "yes" for v in noise["bought"].to_pylist()]
    path = _RUNS["folder"] / "wrong.csv"
    import pyarrow.csv

    pyarrow.csv.write_csv(noise.set_column(noise.num_columns - 1, "bought", [turned]), path)
    plain = fitted("plain", CLASSIFY, "classification")
    harmed = mixed("harmed", path, augment_share=1.0)
    assert any("did not help" in note for note in harmed.result["notes"])
    assert harmed.result["scores"] == plain.result["scores"]


def test_made_rows_must_have_the_columns_and_the_task_a_target(made_by, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("income,bought\n3.5,yes\n2.5,no\n", encoding="utf-8")
    with pytest.raises(DataError, match="have no column"):
        mixed("few", few)
    with pytest.raises(RecipeError, match="augment_with: is for tasks that predict"):
        fitted("itself", FAST | {"train": FAST["train"] | {"augment_with": made_by.result["bundle"]}})


@pytest.mark.slow
def test_made_images_are_learned_from_too():
    rng = np.random.default_rng(0)
    dark = np.arange(120) % 2
    seen = {"image": (rng.integers(0, 60, (120, 8, 8, 1)) + 150 * dark[:, None, None, None]).astype(np.uint8)}
    seen |= {"label": np.array(["night", "day"])[dark]}
    model = {"kind": "vae", "width": 4, "latent": 4}
    made = {"task": "generation", "model": model, "train": {"epochs": 1}}
    maker = lamina.fit(seen, "label", recipe=made, out=_RUNS["folder"] / "maker")
    train = {"epochs": 1, "augment_with": maker.result["run"], "augment_share": 0.25}
    recipe = {"model": {"kind": "cnn", "width": 4}, "train": train}
    result = lamina.fit(seen, "label", recipe=recipe, out=_RUNS["folder"] / "seer")
    parts = result.result["parts"]
    sentence = f"with {round(parts['train'] / 4)} generated rows beside {parts['train']} real ones"
    assert any(sentence in note for note in result.result["notes"])
