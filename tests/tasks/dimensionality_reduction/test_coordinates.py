"""Rows, images and series become coordinates and come back: in Python, on the terminal and over HTTP."""

import base64
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import generator_tools
import lamina
from lamina.config import DataError
from lamina.deploy.server import Limits
from service_tools import as_csv, ask, command, path

TASK = "dimensionality-reduction"
TRAIN = {"epochs": 8, "threads": 1, "batch_size": 32}
NAMES = ("z1", "z2")


def flowers(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows on a curved sheet: two hidden numbers say five columns, and a third says nothing; three species."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        species = int(rng.integers(3))
        size, shade = rng.normal(3 * species, 1), rng.normal()
        rows.append(
            {
                "length": None if rng.random() < 0.03 else round(float(10 + 2 * size + 0.1 * rng.normal()), 3),
                "width": round(float(5 + size**2 / 5 + 0.1 * rng.normal()), 3),
                "light": round(float(100 + 9 * shade + 0.2 * rng.normal()), 2),
                "warmth": round(float(20 - 3 * shade + 0.1 * rng.normal()), 2),
                "leaf": ("round", "long", "split")[species],
                "planet": "earth",
                "species": f"sort {species}",
            }
        )
    return rows


def learn(rows: Any, folder: Path, target: str | None = None, **choices: Any) -> lamina.Estimator:
    recipe = {"task": TASK, "model": {"kind": "autoencoder", "hidden": [32]}, "train": TRAIN} | choices
    return lamina.fit(rows, target, recipe=recipe, out=folder)


@pytest.fixture(scope="module")
def garden(tmp_path_factory) -> lamina.Estimator:
    """A table, with a label that only evaluates."""
    return learn(flowers(300), tmp_path_factory.mktemp("garden") / "run", "species", train=TRAIN | {"epochs": 25})


@pytest.fixture(scope="module")
def bands(tmp_path_factory) -> lamina.Estimator:
    """Images without labels."""
    codes = generator_tools.codes(160, 0)
    rows = {"picture": generator_tools.images((12, 12, 1), codes, 0)}
    model = {"kind": "autoencoder", "width": 4}
    return learn(rows, tmp_path_factory.mktemp("bands") / "run", model=model, train=TRAIN | {"epochs": 3})


@pytest.fixture(scope="module")
def waves(tmp_path_factory) -> lamina.Estimator:
    """Series of unequal lengths."""
    rng = np.random.default_rng(0)
    rows = {"wave": [np.sin(np.arange(n) / 3 + rng.normal()) * 5 + 20 for n in rng.integers(20, 33, 120)]}
    model = {"kind": "autoencoder", "width": 4}
    return learn(rows, tmp_path_factory.mktemp("waves") / "run", model=model, train=TRAIN | {"epochs": 3})


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def coordinates_of(answers: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[row[name] for name in NAMES] for row in answers])


# rows to coordinates


def test_every_door_gives_the_same_coordinates(garden, tmp_path):
    rows = flowers(40, seed=5)
    own = coordinates_of(garden.predict(rows))
    (tmp_path / "rows.csv").write_text(as_csv(rows))
    assert command("predict", path(garden), tmp_path / "rows.csv", "-o", tmp_path / "z.csv")[0] == 0
    written = [{k: float(v) for k, v in row.items()} for row in table(tmp_path / "z.csv")]
    assert np.abs(coordinates_of(written) - own).max() < 1e-5
    for body in ({"json": {"rows": rows}}, {"content": as_csv(rows), "headers": {"Content-Type": "text/csv"}}):
        reply = ask(garden, "POST", "/predict", **body)
        assert np.abs(coordinates_of(reply.json()["predictions"]) - own).max() < 1e-5


def test_the_label_evaluates_and_is_no_input(garden):
    rows = flowers(30, seed=6)
    without = [{name: value for name, value in row.items() if name != "species"} for row in rows]
    assert garden.predict(rows) == garden.predict(without)
    assert garden.result["scores"]["nearest_neighbour_accuracy"] > 0.8
    assert "species" not in [c["name"] for c in ask(garden, "GET", "/schema").json()["columns"]]


def test_the_network_is_beside_pca_with_as_many_numbers(garden, bands, waves):
    for model in (garden, bands, waves):
        scores, pca = model.result["scores"], model.result["baselines"]["pca"]
        assert set(scores) == set(pca)
        assert scores["explained_variance"] > 0.5 and 0.5 < scores["trustworthiness"] <= 1
        assert f"{pca['explained_variance']:.1%}".replace("%", "\u00a0%") in model.result["verdict"]


def test_with_neighbours_left_to_themselves_nothing_is_lost_to_pca(tmp_path):
    model = learn(flowers(300), tmp_path / "run", model={"kind": "autoencoder", "hidden": [32], "neighbors": 0})
    own, pca = model.result["scores"], model.result["baselines"]["pca"]
    assert own["reconstruction_error"] < 1.02 * pca["reconstruction_error"]


def test_a_map_keeps_neighbours_and_more_numbers_keep_rows(garden):
    """Two and three dimensions ask for neighbours; one and four do not."""
    settings = {}
    for count in (1, 2, 3, 4):
        task = garden.predictor.task
        cfg = task.cfg.model_copy(update={"dimensions": count})
        settings[count] = type(task)(cfg, task.state).output().settings
    assert [bool(settings[count]) for count in (1, 2, 3, 4)] == [False, True, True, False]


def test_odd_rows_have_coordinates_too(garden):
    usual = flowers(1, seed=7)[0]
    odd = [
        usual | {"length": None},
        usual | {"leaf": "never seen"},
        usual | {"leaf": None},
        usual | {"light": 1e300},
        usual | {"width": "no number"},
        {"light": 100},
    ]
    assert np.isfinite(coordinates_of(garden.predict(odd))).all()
    fewer = {name: value for name, value in usual.items() if name != "planet"}
    assert garden.predict([usual]) == garden.predict([fewer])


def test_rows_without_one_known_column_are_refused(garden):
    with pytest.raises(DataError, match="not one of the columns is known"):
        garden.predict([{"nothing": 1}])


def test_coordinates_are_called_as_no_column_is(tmp_path):
    rows = [{"z1": row["light"], "width": row["width"], "warmth": row["warmth"]} for row in flowers(60)]
    model = learn(rows, tmp_path / "run", train=TRAIN | {"epochs": 1})
    assert list(model.predict(rows[:1])[0]) == ["latent1", "latent2"]


def test_columns_of_the_rows_are_kept_beside_their_coordinates(garden, tmp_path):
    (tmp_path / "rows.csv").write_text(as_csv(flowers(20, seed=8)))
    words = ("predict", path(garden), tmp_path / "rows.csv", "--keep", "*", "-o", tmp_path / "wide.csv")
    assert command(*words)[0] == 0
    rows = table(tmp_path / "wide.csv")
    assert list(rows[0]) == [*flowers(1)[0], *NAMES]
    model = lamina.fit(rows, "species", recipe={"train": {"epochs": 1, "threads": 1}}, out=tmp_path / "after")
    assert "z1" in [column.name for column in model.predictor.prep.columns]


# and back


def test_rows_come_back_as_a_person_reads_them(garden, tmp_path):
    rows = flowers(60, seed=9)
    places = garden.predict(rows)
    back = garden.inverse_transform(places)
    assert list(back[0]) == ["length", "width", "light", "warmth", "leaf"]
    light = np.array([[a["light"], b["light"]] for a, b in zip(rows, back, strict=True)])
    assert np.corrcoef(light.T)[0, 1] > 0.8
    assert np.mean([a["leaf"] == b["leaf"] for a, b in zip(rows, back, strict=True)]) > 0.9
    reply = ask(garden, "POST", "/inverse_transform", json={"rows": places}).json()
    assert [row["leaf"] for row in reply["rows"]] == [row["leaf"] for row in back]
    (tmp_path / "z.csv").write_text(as_csv(places))
    words = ("inverse-transform", path(garden), tmp_path / "z.csv", "-o", tmp_path / "rows.csv")
    code, printed, _ = command(*words)
    assert code == 0 and "60 rows in" in printed
    written = table(tmp_path / "rows.csv")
    gaps = [abs(float(row["light"]) - other["light"]) for row, other in zip(written, back, strict=True)]
    assert max(gaps) < 1e-5


def test_an_array_of_points_needs_no_names(garden):
    points = np.array([[0.5, -0.5], [1.0, 0.0]])
    by_name = garden.inverse_transform([{"z2": -0.5, "z1": 0.5}])
    assert garden.inverse_transform(points)["leaf"][0] == by_name[0]["leaf"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"z1": 1.0}], "there is no column 'z2'"),
        ([{"z1": 1.0, "z2": None}], r"rows\[0\].z2: must be a number"),
        ([{"z1": 1.0, "z2": "up"}], r"rows\[0\].z2: must be a number up to 1e\+30 \(got 'up'\)"),
        ([{"z1": 1.0, "z2": 0.0}, {"z1": 1e40, "z2": 0.0}], r"rows\[1\].z1: must be a number"),
    ],
)
def test_a_point_that_is_none_is_refused_by_its_place(garden, rows, sentence):
    with pytest.raises(DataError, match=sentence):
        garden.inverse_transform(rows)
    reply = ask(garden, "POST", "/inverse_transform", json={"rows": rows})
    assert reply.status_code == 400
    assert "z1" in reply.json()["error"] or "z2" in reply.json()["error"]


def test_images_come_back_as_arrays_as_png_and_as_files(bands, tmp_path):
    images = generator_tools.images((12, 12, 1), generator_tools.codes(20, 3), 3)
    places = bands.predict({"picture": images})
    points = np.stack([places[name] for name in NAMES], axis=1)
    back = bands.inverse_transform(points)
    assert back.shape == images.shape and back.dtype == np.uint8
    assert np.corrcoef(back.ravel(), images.ravel())[0, 1] > 0.9
    rows = [dict(zip(NAMES, point, strict=True)) for point in points.tolist()]
    reply = ask(bands, "POST", "/inverse_transform", json={"rows": rows[:2]}).json()
    body = np.frombuffer(base64.b64decode(reply["rows"][1]["image"]), np.uint8)
    assert (cv2.imdecode(body, cv2.IMREAD_UNCHANGED) == back[1, :, :, 0]).all()
    (tmp_path / "z.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("inverse-transform", path(bands), tmp_path / "z.jsonl", "-o", tmp_path / "pictures")
    assert command(*words)[0] == 0
    files = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in files[:2]] == ["000001.png", "000002.png"] and len(files) == 20
    assert (cv2.imread(str(files[1]), cv2.IMREAD_UNCHANGED) == back[1, :, :, 0]).all()


def test_images_are_not_written_into_a_table(bands, tmp_path):
    (tmp_path / "z.csv").write_text("z1,z2\n0,0\n")
    words = ("inverse-transform", path(bands), tmp_path / "z.csv", "-o", tmp_path / "rows.csv")
    code, _, error = command(*words)
    assert code == 1 and "Name a new folder for the PNG files" in error


def test_columns_of_other_names_are_no_coordinates(bands, tmp_path):
    (tmp_path / "z.csv").write_text("a,b\n0,0\n")
    words = ("inverse-transform", path(bands), tmp_path / "z.csv", "-o", tmp_path / "pictures")
    code, _, error = command(*words)
    assert code == 1 and "there is no column 'z1' (got a, b). Give z1 and z2" in error


def test_what_hangs_on_no_part_of_an_image_is_not_explained(bands, tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((12, 12), np.uint8))
    code, _, error = command("explain", path(bands), tmp_path / "one.png", "-o", tmp_path / "why.png")
    assert code == 1 and "has no prediction that depends on parts of a row" in error


def test_a_server_makes_so_many_images_and_no_more(bands):
    rows = [{"z1": 0.0, "z2": 0.0}] * 3
    reply = ask(bands, "POST", "/inverse_transform", Limits(samples=2), json={"rows": rows})
    assert reply.status_code == 413 and "at most 2 images" in reply.json()["error"]


def test_series_come_back_in_their_own_unit(waves, tmp_path):
    back = waves.inverse_transform(np.array([[0.0, 0.0], [0.5, 0.5]]))
    series = np.array(list(back["wave"]))
    assert series.shape == (2, 32) and 10 < series.mean() < 30
    (tmp_path / "z.csv").write_text("z1,z2\n0,0\n0.5,0.5\n")
    for name in ("rows.csv", "rows.jsonl"):
        words = ("inverse-transform", path(waves), tmp_path / "z.csv", "-o", tmp_path / name)
        assert command(*words)[0] == 0
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert np.allclose(json.loads(lines[1])["wave"], series[1], atol=1e-4)


# what is said


def test_the_report_holds_the_map_and_no_row_of_a_table(garden):
    page = Path(garden.result["report"]).read_text()
    assert page.count("<circle") == garden.result["parts"]["test"]
    assert "script-src 'sha256-" in page and page.count("<script>") == 1
    facts = json.loads((Path(garden.result["run"]) / "report.json").read_text())
    assert {"relations", "pca_explained_variance", "worst"} <= set(facts)
    assert facts["relations"]["z1"][0]["share"] > 0.2
    test = flowers(300)
    leaks = [row for row in test if str(row["width"]) in page and str(row["light"]) in page]
    assert not leaks


def test_images_are_in_the_map_and_stand_all_over_it(bands):
    page = Path(bands.result["report"]).read_text()
    assert 'class="sprite"' in page and "All over the map" in page


def test_the_bound_of_a_variational_network_is_a_number_for_black_and_white_images(tmp_path):
    images = np.where(generator_tools.images((12, 12, 1), generator_tools.codes(120, 0), 0) > 100, 255, 0)
    model = {"kind": "vae", "width": 8, "likelihood": "bernoulli", "warmup": 0}
    rows = {"picture": images.astype(np.uint8)}
    vae = learn(rows, tmp_path / "run", model=model, train=TRAIN | {"epochs": 12, "lr": 0.01})
    assert -144 * np.log(2) < vae.result["scores"]["elbo"] < 0  # better than a coin for each pixel
    assert "Samples" in Path(vae.result["report"]).read_text()


def test_a_column_of_numbers_that_are_all_different_evaluates_nothing(tmp_path):
    rows = [row | {"price": i + 0.5} for i, row in enumerate(flowers(300))]
    model = learn(rows, tmp_path / "run", "price", train=TRAIN | {"epochs": 1})
    assert "nearest_neighbour_accuracy" not in model.result["scores"]


def test_more_coordinates_than_numbers_are_said_to_reduce_nothing(tmp_path):
    rows = [{"light": row["light"], "warmth": row["warmth"]} for row in flowers(60)]
    model = learn(rows, tmp_path / "run", train=TRAIN | {"epochs": 1})
    assert any("2 coordinates reduce nothing" in note for note in model.result["notes"])


def test_rows_that_cannot_be_learned_from_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(DataError, match="columns: none is left to learn from"):
        learn([{"planet": "earth", "shape": "round"}] * 30, tmp_path / "same")
    with pytest.raises(DataError, match="needs at least 10 rows"):
        learn(flowers(1), tmp_path / "one")


def test_one_training_row_is_a_map_of_one_place(tmp_path):
    rows = [row | {"part": "train" if i == 0 else ("validation", "test")[i % 2]} for i, row in enumerate(flowers(30))]
    split = {"kind": "column", "name": "part"}
    with pytest.raises(DataError, match="columns: none is left to learn from"):
        learn(rows, tmp_path / "run", split=split)


def test_a_bundle_is_evaluated_on_other_rows(garden):
    scores = garden.evaluate(flowers(100, seed=11))
    assert scores["explained_variance"] > 0.5 and scores["nearest_neighbour_accuracy"] > 0.8
    unlabelled = [{k: v for k, v in row.items() if k != "species"} for row in flowers(100, seed=11)]
    assert "nearest_neighbour_accuracy" not in garden.evaluate(unlabelled)
