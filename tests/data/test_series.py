"""Whole series: what a cell means, where series come from, what the network makes of them, one answer everywhere."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

import lamina
from lamina import data, models, preprocess
from lamina.cli.commands import app as commands
from lamina.config import DataError, RecipeError
from lamina.data import arrays, files, long, recordings
from lamina.deploy.predictor import Predictor, onnx_runtime
from lamina.deploy.server import Limits, app
from lamina.evaluate import baselines
from lamina.layers import inception
from lamina.plugins import plugin
from lamina.recipe import build
from lamina.schema import MISSING, Column, Input, Output, Schema, Spec, clean
from lamina.tasks import classification

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "time_series" / "ucr_uea"
NAN = float("nan")


def fitted(values: Any, **settings: Any) -> preprocess.Preprocessor:
    """One column `x` of series."""
    schema = Schema(columns=(Column(name="x", kind="series", settings=settings),))
    return preprocess.fit(clean(arrays.table({"x": values}), MISSING), schema)


def codes(prep: preprocess.Preprocessor, values: Any) -> np.ndarray:
    (result,) = prep.encode(clean(arrays.table({"x": values}), MISSING)).values()
    return result


def reasons(train: Any, values: Any) -> list[str | None]:
    """Why some cells cannot be used beside those of training."""
    tables = [clean(arrays.table({"x": cells}), MISSING) for cells in (train, values)]
    *_, result = preprocess.faults(tables, fitted(train).columns[0])
    return result


# what a cell means


def test_series_are_standardised_by_the_training_rows_channel_by_channel():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(50, 20, 2)) * [2.0, 100.0] + [5.0, -1000.0]
    result = codes(fitted(train), train)
    assert result.shape == (50, 20, 2)
    assert result.mean((0, 1)) == pytest.approx([0, 0], abs=1e-5)
    assert result.std((0, 1)) == pytest.approx([1, 1], abs=1e-5)
    assert codes(fitted(train), train + 1)[0, 0, 0] > result[0, 0, 0]


def test_each_series_may_be_brought_to_mean_0_and_spread_1_by_itself():
    prep = fitted([[1.0, 2, 3, 4], [10.0, 20, 30, 40]], normalise="each")
    result = codes(prep, [[1.0, 2, 3, 4], [-5.0, -5, -5, -5]])[:, :, 0]
    assert result[0].mean() == pytest.approx(0, abs=1e-6)
    assert result[0].std() == pytest.approx(1, abs=1e-6)
    assert result[1].tolist() == [0, 0, 0, 0]
    assert np.array_equal(codes(fitted([[1.0, 2, 4]], normalise="none"), [[1.0, 2, 4]])[0, :, 0], [1, 2, 4])


def test_gaps_are_filled_between_their_neighbours_and_at_the_ends_by_the_nearest():
    prep = fitted([[0.0, 1, 2, 3, 4, 5, 6]], normalise="none")
    result = codes(prep, [[None, 1.0, NAN, None, 4.0, 6.0, 6.5], [3.0, NAN, 5.0]])[:, :, 0]
    assert result[0].tolist() == [1, 1, 2, 3, 4, 6, 6.5]
    assert result[1][:3].tolist() == [3, 4, 5]
    assert np.isnan(result[1][3:]).all()


def test_of_a_longer_series_the_first_steps_are_seen_and_behind_a_shorter_one_there_is_nothing():
    prep = fitted([[1.0, 2, 3, 4, 5]] * 3, normalise="none", steps=4)
    result = codes(prep, [[1.0, 2, 3, 4, 5, 6], [1.0, 2]])[:, :, 0]
    assert result[0].tolist() == [1, 2, 3, 4]
    assert np.isnan(result[1]).tolist() == [False, False, True, True]


def test_a_missing_series_is_the_training_mean_all_along():
    prep = fitted([[1.0, 2, 3, 6], None])
    assert codes(prep, [None])[0, :, 0].tolist() == [0, 0, 0, 0]


def test_a_broken_series_is_told_with_its_reason():
    one, two = [[1.0, 2, 3, 4]] * 3, [[[1.0, 2], [3.0, 4], [5.0, 6]]] * 3
    result = reasons(one, pa.array([[1.0, 2], [None, NAN], [None, None, None, 1.0], None, []]))
    assert result == [None, "holds no finite number", "3 of its 4 numbers are missing, more than half", None,
                     "holds no finite number"]  # fmt: skip
    assert reasons(one, ["1, 2, x, 4"]) == ["number 3 is 'x', which is no number"]
    assert reasons(one, two[:1]) == ["has 2 channels, the others have 1"]
    assert reasons(two, pa.array([[[1.0, 2], [3.0]]])) == ["its steps hold 1 to 2 channels, and must have equally many"]
    assert reasons(two, ["[[1, 2], [3, 4]"]) == ["is not JSON"]


@pytest.mark.parametrize(
    "cell", ["1, 2.5, 3, -4e1", "1;2.5;3;-40", "1 2.5 3 -40", "[1, 2.5, 3, -40.0]", "[[1], [2.5], [3], [-40]]"]
)
def test_text_is_read_as_the_list_it_spells(cell):
    prep = fitted([[1.0, 2, 3, 4]], normalise="none")
    assert codes(prep, [cell])[0, :, 0].tolist() == [1, 2.5, 3, -40]


def test_gaps_in_text_are_gaps():
    prep = fitted([[1.0, 2, 3, 4]], normalise="none")
    for cell in ("1,?,3,4", "1,,3,4", "[1, null, 3, 4]", "1 NaN 3 4"):
        assert codes(prep, [cell])[0, :, 0].tolist() == [1, 2, 3, 4], cell


def test_which_lists_are_steps_is_found_out_by_their_lengths():
    def seen(cells: Any) -> dict[str, Any]:
        return preprocess.infer(arrays.table({"x": cells}), None, {}, MISSING).columns[0].settings

    rng = np.random.default_rng(0)
    ragged = [rng.normal(size=(20 + i % 3, 4)).tolist() for i in range(10)]
    assert seen(ragged) == {}
    turned = [np.array(cell).T.tolist() for cell in ragged]
    assert seen(turned) == {"layout": "channels_first"}
    assert seen([rng.normal(size=(4, 20)).tolist() for _ in range(10)]) == {"layout": "channels_first"}
    assert seen(rng.normal(size=(10, 4, 20))) == {}  # an array says which are its steps
    a = codes(fitted(ragged, normalise="none"), ragged)
    b = codes(fitted(turned, normalise="none", layout="channels_first"), turned)
    assert np.array_equal(a, b, equal_nan=True)


def test_lists_of_arrays_and_dicts_of_rows_hold_the_same_series():
    rng = np.random.default_rng(0)
    some = [rng.normal(size=(5 + i, 2)) for i in range(4)]
    by_column, by_row = arrays.table({"x": some}), arrays.table([{"x": one} for one in some])
    assert by_column.equals(by_row)
    assert by_column["x"].to_pylist()[1] == some[1].tolist()
    with pytest.raises(DataError, match="equally many channels"):
        arrays.table({"x": [np.ones((3, 2)), np.ones((3, 4))]})


# where series come from

UNIVARIATE = """# a comment
@problemName Toy
@TimeStamps false
@Univariate true
@classLabel true a b

@data
1,2,3,4:a
1,2,?,4,5:b
1,2,oops,4:a
1,2,3,4:c
?,?,?,?:a
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def loaded(path: Path, **settings: Any) -> Any:
    return data.load(build({"data": {"path": str(path), **settings}}).data)


def test_a_ts_file_gives_series_labels_and_the_lines_that_cannot_be_used(tmp_path):
    collected = loaded(write(tmp_path, "Toy.ts", UNIVARIATE))
    assert collected.target == "label"
    assert collected.table["series"].to_pylist() == [[1, 2, 3, 4], [1, 2, None, 4, 5], [None] * 4]
    assert collected.table["label"].to_pylist() == ["a", "b", "a"]
    assert [(q.line, q.reason) for q in collected.skipped_rows] == [
        (10, "number 3 is 'oops', which is no number"),
        (11, "its label 'c' is not among those the file declares"),
    ]
    assert plugin("data", "recordings").source_line(recordings.Config(path=str(tmp_path / "Toy.ts")), [2])[0][1] == 12


def test_a_ts_file_of_several_channels_may_have_series_of_any_length_but_no_ragged_ones(tmp_path):
    text = "@univariate false\n@dimensions 2\n@classlabel true a b\n@DATA\n1,2,3:4,5,6:a\n1,2:3,4:b\n1,2:3:a\n1,2:b\n"
    collected = loaded(write(tmp_path, "Toy.ts", text))
    assert collected.table["series"].to_pylist() == [[[1, 4], [2, 5], [3, 6]], [[1, 3], [2, 4]]]
    assert [q.reason for q in collected.skipped_rows] == [
        "its channels are not equally long (2, 1 steps)", "has 1 channels, and must have 2",
    ]  # fmt: skip


def test_a_ts_file_may_have_a_number_as_its_target_and_no_time_stamps(tmp_path):
    result = loaded(write(tmp_path, "Toy.ts", "@targetLabel true\n@data\n1,2,3:0.5\n1,2,4:none\n"))
    assert result.target == "target"
    assert result.task == "regression"
    assert result.table["target"].to_pylist() == [0.5]
    for text in ("@timeStamps true\n@data\n", "@classLabel true a\n@data\n(0,1),(1,2):a\n"):
        with pytest.raises(DataError, match="time stamps"):
            loaded(write(tmp_path, "Stamped.ts", text))


def test_the_test_file_beside_a_train_file_evaluates_and_a_note_says_so(tmp_path):
    write(tmp_path, "Toy_TEST.ts", UNIVARIATE)
    path = write(tmp_path, "Toy_TRAIN.ts", UNIVARIATE)
    result = loaded(path)
    assert result.part == "part"
    assert result.table["part"].to_pylist() == ["train"] * 3 + ["test"] * 3
    assert "Toy_TEST.ts, which stands beside it" in result.notes[0]
    (single,) = data.stream(recordings.Config(path=str(path)))
    assert single.table.num_rows == 3
    assert recordings.source_line(recordings.Config(path=str(path)), [3])[0][0].endswith("Toy_TEST.ts")
    assert loaded(path, test=str(tmp_path / "Toy_TEST.ts")).part is None


def test_a_quote_that_does_not_close_in_an_arff_file_is_a_sentence(tmp_path):
    head = "@RELATION r\n@ATTRIBUTE a NUMERIC\n@ATTRIBUTE b NUMERIC\n@ATTRIBUTE target {'one','two'}\n@DATA\n"
    rows = loaded(write(tmp_path, "Long.arff", f"{head}1,2,'one'\n1,2,'{'x' * 140_000}\n3,4,'two'\n"))
    assert rows.table.num_rows == 2 and "characters in quotes" in rows.skipped_rows[0].reason
    with pytest.raises(DataError, match="Mend the list of labels"):
        loaded(write(tmp_path, "Labels.arff", head.replace("'two'", "'" + "x" * 140_000)))


def test_arff_files_of_one_and_of_several_channels_are_read(tmp_path):
    one = "% by hand\n@RELATION toy\n@ATTRIBUTE t1 NUMERIC\n@ATTRIBUTE t2 NUMERIC\n@ATTRIBUTE target {'1','two, 2'}\n"
    collected = loaded(write(tmp_path, "One.arff", one + "@DATA\n1.5,?,'two, 2'\n3,4,1\n"))
    assert collected.table.to_pylist() == [{"series": [1.5, None], "label": "two, 2"}, {"series": [3, 4], "label": "1"}]
    many = (
        "@relation toy\n@attribute rel relational\n@attribute t1 numeric\n@attribute t2 numeric\n@end rel\n"
        "@attribute class {a,b}\n@data\n'1,2\\n3,4',a\n\"5,6\\n7,8\",b\n1,2,a\n"
    )
    collected = loaded(write(tmp_path, "Many.arff", many))
    assert collected.table["series"].to_pylist() == [[[1, 3], [2, 4]], [[5, 7], [6, 8]]]
    assert collected.table["label"].to_pylist() == ["a", "b"]
    assert [q.line for q in collected.skipped_rows] == [10]


def test_text_of_the_ucr_archive_has_its_label_first_and_nan_behind_the_end(tmp_path):
    result = loaded(write(tmp_path, "Toy_TRAIN.tsv", "1\t0.5\t1.5\tNaN\n2.0\t1\t2\t3\n"))
    assert result.table.to_pylist() == [{"series": [0.5, 1.5], "label": "1"}, {"series": [1, 2, 3], "label": "2"}]
    assert loaded(write(tmp_path, "Toy_TEST.txt", "  1.0000e+00  -2.5e-01   4.0\n")).table["series"].to_pylist() == [
        [-0.25, 4]
    ]


def logged(folder: Path) -> Path:
    """Four machines out of order in time, one of which changes its label, and one with a word for a number."""
    rows = ["machine,at,volts,amps,state"]
    for step in (2, 0, 1, 3):
        rows += [f"m{i},2024-01-0{step + 1},{10 * i + step},{step},{'on' if i % 2 else 'off'}" for i in range(12)]
    rows += ["m1,2024-01-09,1,1,off", "m2,2024-01-09,many,1,off"]
    return write(folder, "log.csv", "\n".join(rows) + "\n")


def test_a_long_table_becomes_one_row_per_series_in_the_order_of_time(tmp_path):
    path = logged(tmp_path)
    collected = loaded(path, kind="long", series="machine", time="at")
    assert collected.table.num_rows + len(collected.skipped_rows) == 12
    first = collected.table.to_pylist()[0]
    assert first == {"machine": "m0", "state": "off", "series": [[0, 0], [1, 1], [2, 2], [3, 3]]}
    assert collected.metadata == ("machine",)
    assert [(q.line, q.reason) for q in collected.skipped_rows] == [
        (3, "column 'state' does not say the same in all rows of this series"),
        (4, "column 'volts' holds 'many', which is no number"),
    ]
    cfg = long.Config(path=str(path), series="machine", time="at")
    assert [line for _, line in long.source_line(cfg, [0, 1])] == [2, 5]
    one = loaded(path, kind="long", series="machine", values=["amps"])
    assert one.table["amps"].to_pylist()[0] == [2, 0, 1, 3]


def test_a_long_table_keeps_duplicates_and_gaps_and_refuses_unknown_columns(tmp_path):
    rows = "id,t,x,y\n" + "".join(f"{i},{t},{t if t != 5 else ''},{i % 2}\n" for i in range(3) for t in (7, 5, 1, 1))
    path = write(tmp_path, "log.csv", rows)
    result = loaded(path, kind="long", series="id", time="t")
    assert result.table["x"].to_pylist() == [[1, 1, None, 7]] * 3
    pa.parquet.write_table(pa.table({"id": [0, 0, 1], "t": [2, 1, 0], "x": [1.0, 2, 3]}), tmp_path / "log.parquet")
    assert loaded(tmp_path / "log.parquet", kind="long", series="id", time="t").table["x"].to_pylist() == [[2, 1], [3]]
    with pytest.raises(DataError, match=r"data.series: there is no column 'ids'. Did you mean 'id'\?"):
        loaded(path, kind="long", series="ids")


def test_columns_that_count_up_are_one_series_only_when_that_is_said(tmp_path):
    head = ",".join([*(f"t{i}" for i in (0, 1, 10, 11, *range(2, 10))), "label"])
    path = write(tmp_path, "wide.csv", f"{head}\n" + "0,1,10,11,2,3,4,5,6,7,8,9,a\n0,1,,,2,?,4,5,6,7,8,9,b\n")
    plain = loaded(path)
    assert len(plain.table.column_names) == 13
    joined = loaded(path, series={"signal": "t*"})
    assert joined.table.column_names == ["signal", "label"]
    assert joined.table["signal"].to_pylist() == [list(range(12)), [0, 1, 2, None, 4, 5, 6, 7, 8, 9]]
    (piece,) = files.stream(files.Config(path=str(path), series={"signal": "t*"}))
    assert piece.table.equals(joined.table)
    with pytest.raises(DataError, match=r"no two columns match 'x\*'"):
        loaded(path, series={"signal": "x*"})
    rows = ",".join(f"t{i}" for i in range(12)) + "\n" + ",".join(["1"] * 12) + "\n"
    assert "--set data.series.signal='t*'" in loaded(write(tmp_path, "hint.csv", rows)).notes[-1]


# the network


def waves(count: int, seed: int = 0, steps: int = 24) -> dict[str, list[Any]]:
    """Sines and squares of several lengths in noise."""
    rng = np.random.default_rng(seed)
    series, labels = [], []
    for i in range(count):
        x = np.sin(0.5 * np.arange(steps - 6 * (i % 3 == 0)) + rng.random())
        x = np.sign(x) if i % 2 else x
        series.append((3 + x + 0.3 * rng.normal(size=len(x))).round(3).tolist())
        labels.append("square" if i % 2 else "sine")
    return {"signal": series, "label": labels}


HEADS = {"cross_entropy": "logits", "mse": "value", "multilabel": "multilabel"}


def spec_of(loss: str = "cross_entropy", size: int = 3, **more: Input) -> Spec:
    series = {"series0": Input(kind="series", shape=(20, 2), dtype="float32")}
    return Spec(inputs={**series, **more}, output=Output(head=HEADS[loss], size=size, loss=loss), rows=40)


NUMBERS = Input(kind="number", shape=(2,), dtype="float32", edges=((0.0, 1.0),) * 2)


def built(spec: Spec, **settings: Any) -> Any:
    return models.build(plugin("models", "cnn").Config(**{"width": 16, "members": 2, **settings}), spec, 0)


def padded(rows: int, steps: int, channels: int = 2, behind: int = 0, seed: int = 0) -> torch.Tensor:
    result = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, steps, channels)).astype(np.float32))
    return torch.cat([result, torch.full((rows, behind, channels), NAN)], 1)


def test_series_are_given_to_cnn_and_forecasts_are_not():
    spec = spec_of()
    assert models.choice(None, spec).kind == "cnn"
    assert models.choice(None, spec_of(number0=NUMBERS)).kind == "cnn"
    settings = {"horizon": 2.0, "targets": 1.0, "quantiles": []}
    forecast = spec.model_copy(
        update={"output": Output(head="horizon", size=2, loss="forecast_mse", settings=settings)}
    )
    assert models.suits("cnn", forecast) == 0


@pytest.mark.parametrize("steps", [20, 700])
def test_how_far_a_series_is_padded_changes_no_answer(steps):
    spec = spec_of()
    spec = spec.model_copy(update={"inputs": {"series0": Input(kind="series", shape=(steps, 2), dtype="float32")}})
    model = built(spec)
    for _ in range(3):  # so that batch norm has seen both long and short ones
        model.train()
        batch = torch.cat([padded(4, steps), padded(4, steps - 9, behind=9, seed=1)])
        model({"series0": batch})
    model.eval()
    short = padded(5, steps // 2, seed=2)
    far = torch.cat([short, torch.full((5, steps - steps // 2, 2), NAN)], 1)
    a, b = (model({"series0": series})["target"] for series in (short, far))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_batch_norm_looks_only_at_the_steps_that_are_there():
    norm = inception.Norm(2)
    whole = torch.randn(3, 2, 10)
    there = torch.ones(3, 1, 15)
    there[:, :, 10:] = 0
    apart = torch.cat([whole, torch.full((3, 2, 5), 99.0)], 2)
    plain = torch.nn.BatchNorm1d(2)
    torch.testing.assert_close(norm(apart, there)[:, :, :10], plain(whole))
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "multilabel"])
def test_series_of_several_columns_and_what_stands_beside_them_all_count(loss):
    more = Input(kind="series", shape=(7, 1), dtype="float32")
    category = Input(kind="category", shape=(1,), dtype="int64", sizes=(4,))
    spec = spec_of(loss, 1 if loss == "mse" else 3, number0=NUMBERS, series1=more, category0=category)
    model = built(spec)
    inputs = {"series0": padded(8, 20), "series1": padded(8, 5, 1, behind=2), "number0": torch.randn(8, 2),
              "category0": torch.arange(8).view(8, 1) % 4}  # fmt: skip
    for value in inputs.values():
        if value.is_floating_point():
            value.requires_grad_()
    model.eval()
    answer = model(inputs)["target"]
    assert answer.shape == (8, spec.output.size)
    answer.sum().backward()
    assert all(
        v.grad is not None and v.grad.nan_to_num().abs().sum() > 0 for n, v in inputs.items() if n != "category0"
    )
    model.train()
    target = {"cross_entropy": torch.arange(8) % 3, "mse": torch.randn(8), "multilabel": torch.ones(8, 3)}[loss]
    ((_, value),) = model.losses(models_batch(inputs, target))
    value.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("steps", [9, 600])
def test_the_graph_of_any_length_and_mixture_agrees_with_the_network(steps):
    from lamina.deploy import onnx_export as export

    more = Input(kind="series", shape=(7, 1), dtype="float32")
    series = Input(kind="series", shape=(steps, 2), dtype="float32")
    spec = spec_of(number0=NUMBERS, series1=more).model_copy(
        update={"inputs": {"number0": NUMBERS, "series0": series, "series1": more}}
    )
    model = built(spec, width=8).eval()
    inputs = {"series0": padded(6, steps - 3, behind=3), "series1": padded(6, 7, 1), "number0": torch.randn(6, 2)}
    fed = {name: value.numpy() for name, value in inputs.items()}
    graph, why = export.onnx(model, fed)
    assert graph is not None, why
    one = {name: value[:1] for name, value in fed.items()}
    for some, rows in ((fed, slice(0, 6)), (one, slice(0, 1))):
        with torch.no_grad():
            expected = model(inputs)["target"][rows].numpy()
        np.testing.assert_allclose(onnx_runtime(graph)(some)["target"], expected, atol=1e-5)


def models_batch(inputs: dict[str, torch.Tensor], target: torch.Tensor) -> Any:
    from lamina.schema import Batch

    return Batch({name: value.detach() for name, value in inputs.items()}, target)


def test_settings_of_images_are_refused_for_series_and_the_other_way_round():
    with pytest.raises(RecipeError, match=r"model.test_time_augmentation: is for images"):
        built(spec_of(), views="flips")
    images = Spec(
        inputs={"image0": Input(kind="image", shape=(8, 8, 1), dtype="uint8", mean=(0.5,), std=(0.2,))},
        output=Output(head="value", size=1, loss="mse"),
    )
    with pytest.raises(RecipeError, match=r"model.members: is for series"):
        built(images)


def test_the_nearest_series_is_a_baseline_and_says_how_often_it_is_right():
    rng = np.random.default_rng(0)
    target = np.arange(60) % 2
    train = {"series0": (rng.normal(size=(60, 20, 1)) + 3 * target[:, None, None]).astype(np.float32)}
    notes: list[str] = []
    spec = Spec(
        inputs={"series0": Input(kind="series", shape=(20, 1), dtype="float32")},
        output=Output(head="logits", size=1, loss=""),
    )
    names = classification.Task.baselines
    result = baselines.fit(names, train, target, spec, 2, notes)
    assert list(result) == ["majority", "logistic", "nearest_neighbour"]
    assert notes == []
    answers = result["nearest_neighbour"](train)["probabilities"]
    assert (answers.argmax(1) == target).all()
    assert 0.9 < answers.max() < 1
    plain = {"number": rng.normal(size=(60, 2)).astype(np.float32)}
    numbers = Spec(inputs={"number": NUMBERS}, output=Output(head="logits", size=1, loss=""))
    assert "nearest_neighbour" not in baselines.fit(names, plain, target, numbers, 2, notes)
    assert notes == []


# one run, and one answer by every door

QUICK = {"model": {"kind": "cnn", "width": 16, "members": 2}, "train": {"epochs": 25, "threads": 1}}


@pytest.fixture(scope="module")
def waves_run(tmp_path_factory) -> lamina.Estimator:
    rows = waves(90)
    rows["signal"][5] = [NAN] * 9
    return lamina.fit(rows, "label", recipe=QUICK, out=tmp_path_factory.mktemp("runs") / "waves")


@pytest.fixture(scope="module")
def requests() -> list[dict[str, Any]]:
    rows = [{"signal": cell} for cell in waves(12, seed=9)["signal"]]
    rows[0] = {"signal": rows[0]["signal"] * 3}
    rows[1] = {"signal": [None, *rows[1]["signal"][1:5]]}
    rows[2] = {"signal": None}
    return [*rows, {"signal": "3, 4, 3.5, 2, 2"}]


def test_a_run_learns_and_its_report_shows_the_series(waves_run):
    folder = Path(waves_run.result["run"])
    report = json.loads((folder / "report.json").read_text())
    assert waves_run.result["scores"]["accuracy"] >= 0.8
    assert {"majority", "logistic", "nearest_neighbour"} == set(report["baselines"])
    assert report["data"]["skipped_rows"][0]["reason"] == "holds no finite number"
    assert report["series"]["steps"] == 24
    assert len(report["series"]["losses"]) == 12
    page = (folder / "report.html").read_text()
    assert "What they look like" in page and "<polyline" in page
    assert len(report["example"]["row"]["signal"]) <= 12
    assert report["training"]["best"]["epoch"] == 25  # the last weights


def near(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    chances = ([list(row["probabilities"].values()) for row in rows] for rows in (found, wanted))
    np.testing.assert_allclose(*chances, rtol=0, atol=1e-5)


def post(api: Any, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/predict", **request)

    return asyncio.run(send())


def test_python_files_the_graph_and_http_give_one_answer(waves_run, requests, tmp_path):
    from typer.testing import CliRunner

    expected = waves_run.predict(requests)
    predictor = waves_run.predictor
    assert predictor.bundle.model.runtime == "onnx"
    near([waves_run.predict([row])[0] for row in requests], expected)
    lists = [row["signal"] for row in requests[:12]]
    arguments = [None if one is None else np.array([NAN if v is None else v for v in one]) for one in lists]
    near(waves_run.predict([{"signal": one} for one in arguments]), expected[:12])
    near(pa.Table.from_pydict(waves_run.predict({"signal": arguments})).to_pylist(), expected[:12])

    api = app(predictor)
    near(post(api, json={"rows": requests}).json()["predictions"], expected)
    near(post(api, json={"columns": {"signal": [row["signal"] for row in requests]}}).json()["predictions"], expected)

    pa.parquet.write_table(pa.table({"signal": pa.array(lists, pa.list_(pa.float64()))}), tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"signal": one}) + "\n" for one in lists))
    texts = ["" if one is None else json.dumps(one).replace('"', "") for one in lists]
    (tmp_path / "rows.csv").write_text("id;signal\n" + "".join(f"{i};{text}\n" for i, text in enumerate(texts)))
    out = tmp_path / "answers.jsonl"
    for name in ("rows.parquet", "rows.jsonl", "rows.csv"):
        call = ["predict", waves_run.result["run"], str(tmp_path / name), "-o", str(out), "--overwrite"]
        done = CliRunner().invoke(commands, call)
        assert done.exit_code == 0, done.output
        near([json.loads(line) for line in out.read_text().splitlines()], expected[:12])

    inputs = predictor.encode(arrays.table([row for row in requests if row["signal"] is not None]))
    graph = onnx_runtime(predictor.bundle.files["model.onnx"])(inputs)["target"]
    config, spec = predictor.bundle.model.config, predictor.bundle.model.spec
    weights = predictor.bundle.files["weights.safetensors"]
    np.testing.assert_allclose(graph, models.runtime("cnn", config, spec, weights)(inputs)["target"], atol=1e-5)


def test_a_series_that_is_none_is_refused_over_http_with_its_place(waves_run):
    api = app(waves_run.predictor, Limits(numbers=50))

    def sentence(cell: Any, status: int) -> str:
        response = post(api, json={"rows": [{"signal": [1, 2, 3]}, {"signal": cell}]})
        assert response.status_code == status
        return response.json()["error"]

    assert "rows[1].signal: must be a list of numbers (got 3)" in sentence(3, 400)
    assert "rows[1].signal[2]: must be a number (got 'x')" in sentence([1, 2, "x"], 400)
    assert "rows[1].signal[1]: must be a number (got True)" in sentence([1, True], 400)
    assert "rows[1].signal[0][1]: must be a number" in sentence([[1, [2]]], 400)
    assert "rows[1].signal[1]: must be a list" in sentence([[1], 2], 400)
    assert "rows[1].signal: must be a list of numbers (got an object)" in sentence({"a": 1}, 400)
    assert "rows[1].signal: has more than 50 numbers" in sentence([1.0] * 51, 413)
    assert "rows[1].signal: holds no finite number" in sentence([None, None], 400)
    assert "rows[1].signal: has 2 channels, the others have 1" in sentence([[1, 2], [3, 4]], 400)
    assert "which is no number" in sentence("1, 2, x", 400)


def test_the_server_shows_a_series_to_try(waves_run):
    api = app(waves_run.predictor)
    body = api.openapi()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = body["examples"]["rows"]["value"]
    assert isinstance(example["rows"][0]["signal"], list)
    assert post(api, json=example).status_code == 200
    told = body["schema"]["oneOf"][0]["properties"]["rows"]["items"]["properties"]["signal"]
    assert "list of numbers" in told["description"]
    assert {one.get("type") for one in told["anyOf"]} == {"array", "null"}


def test_python_refuses_a_broken_series_and_files_set_it_aside(waves_run, tmp_path):
    from typer.testing import CliRunner

    with pytest.raises(DataError, match=r"rows\[1\].signal: holds no finite number"):
        waves_run.predict([{"signal": [1.0, 2.0]}, {"signal": [None]}])
    path = tmp_path / "rows.jsonl"
    path.write_text('{"signal": [1, 2, 3]}\n{"signal": []}\n')
    out = tmp_path / "answers.csv"
    done = CliRunner().invoke(commands, ["predict", waves_run.result["run"], str(path), "-o", str(out), "--json"])
    result = json.loads(done.output)
    assert (result["rows"], result["skipped"]) == (1, 1)
    assert result["skipped_rows"][0]["line"] == 2
    rows = waves(12, seed=5)
    rows["signal"][3] = [None]
    assert set(waves_run.evaluate(rows)) >= {"accuracy"}


def test_no_series_of_the_data_leaves_with_the_bundle(waves_run):
    golden = waves_run.predictor.bundle.golden.rows
    own = {json.dumps(one) for one in waves(90)["signal"]}
    assert not own & {json.dumps(row["signal"]) for row in golden}
    again = Predictor(waves_run.predictor.bundle.path)
    assert again.bundle.id == waves_run.predictor.bundle.id


def test_a_number_is_answered_for_series_beside_other_columns(tmp_path):
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(120, 15, 2))
    size = rng.normal(size=120)
    price = signal[:, :, 0].mean(1) * 4 + size
    rows = {"signal": signal, "size": size, "town": ["a", "b", "c"] * 40, "price": price}
    model = lamina.fit(
        rows, "price", recipe={**QUICK, "train": {"epochs": 15, "batch_size": 8, "threads": 1}}, out=tmp_path / "run"
    )
    assert model.predictor.bundle.model.kind == "cnn"
    assert model.result["scores"]["r2"] > 0.5
    assert set(model.result["baselines"]) == {"mean", "ridge", "gradient_boosting"}


def test_a_wide_and_a_long_file_train_by_one_command(tmp_path):
    from typer.testing import CliRunner

    logged(tmp_path)
    x = waves(30, steps=16)
    lines = [",".join([*(f"t{i}" for i in range(16)), "label"])]
    lines += [
        ",".join([*map(str, cell), *[""] * (16 - len(cell)), name]) for cell, name in zip(*x.values(), strict=True)
    ]
    write(tmp_path, "wide.csv", "\n".join(lines) + "\n")
    small = ["--set", "train.epochs=1", "--set", "model={kind: cnn, width: 8, members: 1}"]
    joined = ["--set", "data.series.signal=t*"]
    out = str(tmp_path / "wide")
    call = ["train", str(tmp_path / "wide.csv"), "--target", "label", "--out", out, *joined, *small]
    done = CliRunner().invoke(commands, call)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(commands, ["predict", out, str(tmp_path / "wide.csv"), "-o", f"{out}-a.csv", *joined])
    assert done.exit_code == 0, done.output
    grouped = ["--set", "data.kind=long", "--set", "data.series=machine", "--set", "data.time=at"]
    call = ["train", str(tmp_path / "log.csv"), "--target", "state", "--out", str(tmp_path / "log"), *grouped, *small]
    done = CliRunner().invoke(commands, call)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "log" / "report.json").read_text())
    assert report["data"]["rows"]["skipped"] == 2
    assert report["series"]["channels"] == 2


@pytest.mark.skipif(not ARCHIVE.exists(), reason="the UCR archive is not on this machine: ../shared/data")
def test_days_of_power_demand_are_told_apart_as_well_as_by_their_neighbours(tmp_path):
    from typer.testing import CliRunner

    path = ARCHIVE / "ItalyPowerDemand" / "ItalyPowerDemand_TRAIN.ts"
    sets = ["--set", "train.epochs=30", "--set", "model.kind=cnn", "--set", "model.members=1"]
    done = CliRunner().invoke(commands, ["train", str(path), "--out", str(tmp_path / "run"), *sets, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.output[done.output.index('{"run"') :])
    assert result["parts"] == {"train": 57, "validation": 10, "test": 1029}
    assert result["scores"]["accuracy"] > 0.93
    assert result["baselines"]["nearest_neighbour"]["accuracy"] > 0.93


def test_a_state_that_would_fill_the_memory_is_refused():
    state = plugin("preprocess", "series").State
    sound = {"steps": 4, "channels": 1, "layout": "steps_first", "normalise": "none", "mean": (0.0,), "std": (1.0,)}
    assert state(**sound).steps == 4
    for wrong in ({"steps": 1 << 20, "channels": 1 << 20}, {"mean": ()}, {"std": (0.0,)}):
        with pytest.raises(ValueError, match=r"at most|one number|greater than 0"):
            state(**{**sound, **wrong})
