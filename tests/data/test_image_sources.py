"""Images come in by folders, zips, arrays, tables and videos: what arrives is what was there, all accounted for."""

import gzip
import json
import os
import re
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from conftest import experiment_of
from lamina import data, preprocess
from lamina.config import DataError, LaminaError
from lamina.data import arrays, files, folders, npz, video
from lamina.experiment import Experiment
from lamina.preprocess import image
from lamina.recipe import build
from lamina.schema import MISSING, Collected, clean

cv2 = pytest.importorskip("cv2", reason="needs lamina[images]")

RNG = np.random.default_rng(0)
LIKE = {"image": {"kind": "image", "size": 8}}


def png(value: int = 9, side: int = 8) -> bytes:
    return cv2.imencode(".png", np.full((side, side, 3), value, np.uint8))[1].tobytes()


def tree(root: Path, *names: str) -> Path:
    """A folder with a small image, each of another grey, under every name."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(i % 256))
    return root


def classes(root: Path, *inside: str, count: int = 12) -> Path:
    return tree(root, *(f"{part}/{label}/{i}.png" for part in inside or (".",) for label in "ab" for i in range(count)))


def read(root: Path) -> pa.Table:
    return folders.load(folders.Config(path=str(root))).table


def images_of(source, **more) -> Experiment:
    return experiment_of(build({"data": source, "columns": LIKE, **more}))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    where = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LAMINA_CACHE", str(where))
    return where / "images"


# folders and zips


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Train", "Val", "TEST"), ("training", "dev", "testing")]
)
def test_part_folders_are_known_in_any_case_and_by_their_usual_names(tmp_path, names):
    experiment = images_of(str(classes(tmp_path / "set", *names)))
    for part, name in zip(experiment.splits, names, strict=True):
        assert {Path(path).parts[-3] for path in part["image"].to_pylist()} == {name}
    assert experiment.counts()["used"] == 72


def test_with_train_and_test_folders_validation_is_drawn_from_train_and_a_note_says_so(tmp_path):
    experiment = images_of(str(classes(tmp_path, "train", "test")))
    assert all("/test/" in path for path in experiment.splits.test["image"].to_pylist())
    assert all("/train/" in path for path in experiment.splits.validation["image"].to_pylist())
    assert any("validation is drawn from train" in note for note in experiment.notes)


def test_with_train_and_val_folders_the_second_evaluates_and_a_note_says_so(tmp_path):
    experiment = images_of(str(classes(tmp_path, "train", "val")))
    assert all("/val/" in path for path in experiment.splits.test["image"].to_pylist())
    assert all("/train/" in path for path in experiment.splits.validation["image"].to_pylist())
    assert any("the validation folder is the test set" in note for note in experiment.notes)


def test_classes_may_be_nested_and_stand_below_a_lone_folder(tmp_path):
    tree(tmp_path, "set/cat/black/1.png", "set/cat/white/1.png", "set/dog/1.png")
    assert read(tmp_path)["label"].to_pylist() == ["cat/black", "cat/white", "dog"]


def test_a_class_of_one_image_is_learned_from_or_skipped_and_never_evaluated(tmp_path):
    experiment = images_of(str(tree(classes(tmp_path), "rare/one.png")))
    held_out = experiment.splits.test["label"].to_pylist() + experiment.splits.validation["label"].to_pylist()
    learned = experiment.splits.train["label"].to_pylist().count("rare")
    aside = [q.reason for q in experiment.skipped_rows]
    assert "rare" not in held_out
    assert (learned, aside) in [(1, []), (0, ["the label 'rare' was never seen in training"])]


def test_what_systems_leave_behind_is_ignored_and_other_files_are_skipped(tmp_path):
    tree(tmp_path, "a/1.png", "b/1.png", "__MACOSX/a/1.png", ".hidden/a/1.png", "a/.2.png")
    for name in ("a/Thumbs.db", "b/desktop.ini", ".DS_Store", "b/notes.md"):
        (tmp_path / name).write_bytes(b"x")
    collected = folders.load(folders.Config(path=str(tmp_path)))
    assert collected.table.num_rows == 2
    assert [(Path(q.file).name, q.reason) for q in collected.skipped_rows] == [
        ("notes.md", "is not an image by its name")
    ]


def test_links_are_followed_but_not_round_in_a_circle(tmp_path):
    tree(tmp_path / "real", "b/1.png")
    tree(tmp_path / "set", "a/1.png")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "real" / "b")
    (tmp_path / "set" / "a" / "back").symlink_to(tmp_path / "set")
    collected = folders.load(folders.Config(path=str(tmp_path / "set")))
    assert collected.table["label"].to_pylist() == ["a", "b"]
    assert [q.reason for q in collected.skipped_rows] == ["is a link that leads back to a folder around it"]


def test_images_directly_in_the_folder_can_be_answered_for_and_training_on_them_is_refused(tmp_path):
    tree(tmp_path, *(f"{i}.png" for i in range(20)))
    assert read(tmp_path).column_names == ["image"]
    with pytest.raises(DataError, match="put each into a folder named by its class"):
        images_of(str(tmp_path))
    tree(tmp_path, "a/1.png")
    with pytest.raises(DataError, match=r"20 of 21 images .* stand in no class folder"):
        images_of(str(tmp_path))


def test_a_folder_beside_train_and_test_is_skipped(tmp_path):
    classes(tmp_path, "train", "test")
    tree(tmp_path, "unlabelled/1.png")
    collected = folders.load(folders.Config(path=str(tmp_path)))
    assert collected.table.num_rows == 48
    assert [q.reason for q in collected.skipped_rows] == ["stands beside the train and test folders, in none of them"]


def test_a_zip_gives_the_images_of_its_folder(tmp_path):
    classes(tmp_path / "set", "train", "test")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted((tmp_path / "set").rglob("*.png")):
            archive.write(file, f"top/{file.relative_to(tmp_path / 'set')}")
    whole, packed = read(tmp_path / "set"), read(tmp_path / "set.zip")
    assert packed.drop_columns(["image"]).equals(whole.drop_columns(["image"]))
    assert [Path(p).read_bytes() for p in whole["image"].to_pylist()] == packed["image"].to_pylist()


def test_a_broken_image_of_a_zip_is_named_by_its_place_in_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(24):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", png(i) if i != 7 else png(i)[:50])
    (skipped,) = images_of(str(tmp_path / "set.zip")).skipped_rows
    assert (skipped.file, skipped.line, skipped.reason) == (f"{tmp_path}/set.zip/b/7.png", None, "is cut short")


def test_a_hundred_thousand_files_are_listed_in_seconds(tmp_path):
    for label in "abcd":
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.png").write_bytes(png())
        for i in range(1, 5_000):
            os.link(tmp_path / label / "0.png", tmp_path / label / f"{i}.png")
    start = time.process_time()
    assert read(tmp_path).num_rows == 20_000
    assert time.process_time() - start < 2  # a fifth of them in a fifth of ten seconds


# arrays on disk


def saved(path: Path, **settings) -> Path:
    np.savez(path, **settings)
    return path


def pixels_of(table: pa.Table) -> np.ndarray:
    """The pixels that came in, (rows, height, width, channels)."""
    values = image.parse(table["image"].combine_chunks(), image.Config())
    state = image.fit(values, image.Config())
    return image.encode(values, state)


COLOUR = RNG.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
COLOUR[0, 0, 0] = 255
ALPHA = np.concatenate([COLOUR, np.full((30, 6, 5, 1), 255, np.uint8)], axis=3)
LABELS = np.arange(30) % 3


@pytest.mark.parametrize(
    ("x", "expected", "note"),
    [
        (COLOUR[..., 0], COLOUR[..., :1], None),
        (COLOUR[..., :1], COLOUR[..., :1], None),
        (COLOUR, COLOUR, None),
        (ALPHA, COLOUR, None),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR, "colours first"),
        ((COLOUR / 255).astype(np.float32), COLOUR, "0 is black and 1 is white"),
        (COLOUR - 1e3, COLOUR, "-1000 is black and -745 is white"),
        (COLOUR.astype(np.float64), COLOUR, None),
        (COLOUR.astype(np.int64), COLOUR, None),
        (COLOUR.astype(np.uint16) * 257, COLOUR, "0 is black and 65535 is white"),
        (COLOUR[..., 0] > 127, (COLOUR[..., :1] > 127) * np.uint8(255), None),
    ],
    ids=[
        "grey",
        "one channel",
        "colour",
        "alpha",
        "channels first",
        "0 to 1",
        "below 0",
        "floats",
        "integers",
        "16 bits",
        "yes or no",
    ],
)
def test_an_npz_gives_the_very_pixels_whatever_their_layout(tmp_path, x, expected, note):
    result = npz.load(npz.Config(path=str(saved(tmp_path / "a.npz", X=x, Y=LABELS))))
    assert np.array_equal(pixels_of(result.table), expected)
    assert result.table["label"].to_pylist() == LABELS.tolist()
    _, *notes = image.describe(result.table["image"].combine_chunks(), image.Config()).split("; ")
    assert [bool(note and note in sentence) for sentence in (*result.notes, *notes)] == [True] * bool(note)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (LABELS[:, None], LABELS.tolist()),
        (np.eye(3)[LABELS], LABELS.tolist()),
        (np.array(list("abc"))[LABELS], list("abc" * 10)),
    ],
    ids=["a column", "one-hot", "words"],
)
def test_labels_are_read_whatever_their_layout(tmp_path, y, expected):
    result = npz.load(npz.Config(path=str(saved(tmp_path / "a.npz", x=COLOUR, y=y))))
    assert result.table["label"].to_pylist() == expected


def test_an_npz_with_parts_keeps_them(tmp_path):
    path = saved(tmp_path / "a.npz", x_train=COLOUR, y_train=LABELS, x_test=COLOUR[:9], y_test=LABELS[:9])
    experiment = images_of(str(path))
    assert (experiment.counts()["test"], experiment.counts()["used"]) == (9, 39)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"x": COLOUR}, "wanted x and y"),
        ({"x": COLOUR, "y": LABELS[:7]}, "30 rows but 7 labels"),
        ({"x": np.zeros((4, 2, 2, 7)), "y": LABELS[:4]}, "is neither images nor rows"),
        ({"x": COLOUR * np.nan, "y": LABELS}, "must hold finite numbers"),
        ({"x": COLOUR, "y": np.full((30, 4), 2)}, "neither one label per row nor one column per class"),
        ({"x": COLOUR[:0], "y": LABELS[:0]}, "holds no rows"),
        ({"x": np.array([None] * 3), "y": LABELS[:3]}, "cannot be read as .npz"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_with_the_reason(tmp_path, result, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        npz.load(npz.Config(path=str(saved(tmp_path / "a.npz", **result))))


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.astype(np.uint8).tobytes()


def test_a_folder_of_idx_files_is_read_and_a_cut_one_is_told(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(COLOUR[..., 0]))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(COLOUR[:9, ..., 0]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS[:9]))
    experiment = images_of(str(tmp_path))
    assert (experiment.counts()["test"], experiment.counts()["used"]) == (9, 39)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS[:9])[:-2])
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: is cut short: 7 bytes of 9"):
        images_of(str(tmp_path))


def test_raw_images_are_the_same_whole_sliced_and_of_mixed_sizes():
    cells = clean(arrays.table({"image": COLOUR}), MISSING)["image"].combine_chunks()
    values = image.parse(cells, image.Config())
    state = image.fit(values, image.Config())
    assert np.array_equal(image.encode(values, state), COLOUR)
    assert np.array_equal(image.encode(values.slice(7, 5), state), COLOUR[7:12])
    assert np.array_equal(image.encode(values.slice(3).slice(2, 1), state), COLOUR[5:6])
    assert np.array_equal(image.encode(values.take(pa.array([4, 1])), state), COLOUR[[4, 1]])
    mixed = pa.array([*cells.to_pylist()[:2], png(50, 3), None, b"P6\n-6 -5\n255\n" + bytes(90)], pa.large_binary())
    result = image.encode(image.parse(mixed, image.Config()), state)
    assert np.array_equal(result[:2], COLOUR[:2])
    assert result[2, 3, 2].tolist() == [50, 50, 50]
    assert (result[3:] == image.GREY).all()


# tables


def rows(count: int = 24) -> list[dict]:
    return [{"bytes": png(9 * i), "path": f"{i}.png"} for i in range(count)]


def test_image_structs_of_a_parquet_file_stay_whole_and_class_codes_get_their_names(tmp_path):
    names = ["cat", "dog"]
    facts = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}}}
    labels = [i % 2 for i in range(24)] + [-1]
    table = pa.table({"image": pa.array([*rows(), None]), "label": pa.array(labels, pa.int64())})
    table = table.replace_schema_metadata({"huggingface": json.dumps(facts)})
    pq.write_table(table.slice(0, 10), tmp_path / "train-00000-of-00002.parquet")
    pq.write_table(table.slice(10), tmp_path / "train-00001-of-00002.parquet")
    cfg = files.Config(path=str(tmp_path / "train-*.parquet"))
    result = data.load(cfg).table
    assert result.column_names == ["image", "label"]
    assert result["label"].to_pylist() == [names[i % 2] for i in range(24)] + [None]
    assert [cell["bytes"] for cell in result["image"].to_pylist()[:24]] == [row["bytes"] for row in rows()]
    assert pa.concat_tables([piece.table for piece in data.stream(cfg, 7)]).equals(result)
    experiment = images_of(str(tmp_path / "train-*.parquet"), target="label")
    counts = experiment.counts()
    assert (counts["read"], counts["used"], counts["skipped"]) == (25, 24, 1)
    assert (experiment.task.state.classes, experiment.schema.columns[0].kind) == (("cat", "dog"), "image")


def test_dicts_of_bytes_and_uint8_arrays_train_from_memory():
    labels = ["a", "b"] * 12
    for table in (
        arrays.table([{"image": row, "label": label} for row, label in zip(rows(), labels, strict=True)]),
        arrays.table(
            {"image": np.repeat(np.arange(24, dtype=np.uint8) * 9, 192).reshape(24, 8, 8, 3), "label": labels}
        ),
    ):
        experiment = experiment_of(build({"data": {"kind": "arrays"}, "target": "label"}), Collected(table))
        prep = preprocess.fit(experiment.splits.train, experiment.schema)
        result = np.concatenate([next(iter(prep.encode(part).values())) for part in experiment.splits])
        assert sorted(result[:, 0, 0, 0].tolist()) == [9 * i for i in range(24)]


def test_paths_in_a_table_are_found_from_here_and_else_beside_the_table(tmp_path, monkeypatch):
    tree(tmp_path / "home", *(f"pics/{i}.png" for i in range(24)))
    text = "file,label\n" + "".join(f"pics/{i}.png,{'ab'[i % 2]}\n" for i in range(24))
    (tmp_path / "home" / "table.csv").write_text(text)
    (tmp_path / "else" / "pics").mkdir(parents=True)
    (tmp_path / "else" / "pics" / "3.png").write_bytes(png(200))
    monkeypatch.chdir(tmp_path / "else")
    cfg = files.Config(path="../home/table.csv")
    result = data.load(cfg).table["file"].to_pylist()
    assert result[3] == "pics/3.png"
    assert result[4] == "../home/pics/4.png"
    assert pa.concat_tables([piece.table for piece in data.stream(cfg, 5)])["file"].to_pylist() == result
    (tmp_path / "home" / "pics" / "5.png").unlink()
    experiment = experiment_of(build({"data": "../home/table.csv", "target": "label"}))
    (skipped,) = experiment.skipped_rows
    assert (skipped.file, skipped.line, skipped.column) == ("../home/table.csv", 7, "file")
    assert skipped.reason == "pics/5.png cannot be read (No such file or directory)"


# videos


def film(path: Path, colour: tuple[int, int, int], seconds: float = 3.0, code: str = "mp4v") -> Path:
    """A square of a colour (blue first) that moves over black, ten frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10.0, (64, 48))
    assert out.isOpened()
    for i in range(round(seconds * 10)):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[10:38, i : i + 28] = colour
        out.write(frame)
    out.release()
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Two classes of nine videos each, and three that are of no use."""
    root = tmp_path_factory.mktemp("films")
    for i in range(9):
        film(root / "red" / f"{i}.mp4", (0, 0, 255))
        film(root / "blue" / f"{i}.avi", (255, 0, 0), code="MJPG")
    (root / "red" / "empty.mp4").write_bytes(b"")
    whole = (root / "red" / "0.mp4").read_bytes()
    (root / "red" / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (root / "red" / "list.mp4").write_bytes(b"#EXTM3U\nhttp://127.0.0.1/x.ts\n")
    return root


def test_the_frames_of_a_video_stay_in_one_part_and_bad_videos_are_skipped(films):
    experiment = images_of(str(films))
    counts = experiment.counts()
    assert (counts["read"], counts["used"], counts["skipped"]) == (57, 54, 3)
    parts = [set(part["video"].to_pylist()) for part in experiment.splits]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 18
    assert all({Path(v).parts[-2] for v in part} == {"red", "blue"} for part in parts)
    reasons = {Path(q.file).name: q.reason for q in experiment.skipped_rows}
    assert reasons == {
        "empty.mp4": "the file is empty",
        "cut.mp4": "cannot be opened as a video: it is damaged or cut short",
        "list.mp4": "is not a video of a known format",
    }
    kinds = {column.name: column.kind for column in experiment.schema.columns}
    assert kinds == {"image": "image", "time": "ignore", "video": "ignore"}
    assert images_of(str(films)).splits.test.equals(experiment.splits.test)


def test_frames_are_taken_at_even_times_and_show_what_the_video_shows(films):
    cfg = {"kind": "video", "path": str(films / "red" / "1.mp4")}
    result = video.load(video.Config(**cfg, every=0.5)).table
    assert result["time"].to_pylist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert result.column_names == ["image", "time", "video"]
    for time_, body in zip(result["time"].to_pylist(), result["image"].to_pylist(), strict=True):
        frame = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        inside = frame[14:34, round(time_ * 10) + 4 : round(time_ * 10) + 24].reshape(-1, 3).mean(0)
        assert inside[2] > 200 > 60 > inside[:2].max()
    few = video.load(video.Config(**cfg, frames=2)).table
    assert few["time"].to_pylist() == [0.7, 2.2]
    small = video.load(video.Config(**cfg, frames=1, largest=16)).table["image"][0].as_py()
    assert cv2.imdecode(np.frombuffer(small, np.uint8), 1).shape == (12, 16, 3)


def test_videos_of_another_folder_evaluate_those_of_this_one(tmp_path, films):
    for label, code, suffix in (("red", "mp4v", "mp4"), ("blue", "MJPG", "avi")):
        film(tmp_path / label / f"later.{suffix}", (0, 0, 255) if label == "red" else (255, 0, 0), code=code)
    experiment = images_of({"kind": "video", "path": str(films), "test": str(tmp_path)})
    assert {Path(v).stem for v in experiment.splits.test["video"].to_pylist()} == {"later"}
    learned, checked = (set(part["video"].to_pylist()) for part in experiment.splits[:2])
    assert len(learned | checked) == 18 and not learned & checked


def test_videos_in_part_folders_keep_their_part(tmp_path, films):
    for part, choice in (("train", range(6)), ("test", range(6, 9))):
        for label, suffix in (("red", "mp4"), ("blue", "avi")):
            (tmp_path / part / label).mkdir(parents=True)
            for i in choice:
                os.link(films / label / f"{i}.{suffix}", tmp_path / part / label / f"{i}.{suffix}")
    experiment = images_of(str(tmp_path))
    assert {Path(v).parts[-3] for v in experiment.splits.test["video"].to_pylist()} == {"test"}
    learned, checked = (set(part["video"].to_pylist()) for part in experiment.splits[:2])
    assert learned
    assert checked
    assert not learned & checked


# what is kept


def many(root: Path, count: int = 80) -> pa.Array:
    tree(root, *(f"{i}.png" for i in range(count)))
    return image.parse(pa.array([str(root / f"{i}.png") for i in range(count)]), image.Config())


def test_decoded_images_are_kept_and_found_again_until_a_file_changes(tmp_path, cache):
    values = many(tmp_path)
    state = image.fit(values, image.Config())
    assert image.faults(values, state) == [None] * 80
    (remaining,) = cache.glob("*.npy")
    stamp = remaining.stat().st_ino
    assert image.encode_memmap(values, state)[:, 0, 0, 0].tolist() == list(range(80))
    assert [file.stat().st_ino for file in cache.glob("*.npy")] == [stamp]
    (tmp_path / "3.png").write_bytes(png(211, 9))
    assert image.encode_memmap(values, state)[3, 0, 0, 0] == 211


def test_no_image_is_decoded_again_where_some_are_broken(tmp_path, cache):
    values = many(tmp_path)
    (tmp_path / "7.png").write_bytes(png()[:40])
    state = image.fit(values, image.Config())
    reasons = image.faults(values, state)
    assert [i for i, reason in enumerate(reasons) if reason] == [7]
    before = {file.name: file.stat().st_ino for file in cache.iterdir()}
    assert image.faults(values, state) == reasons
    sound = values.take(pa.array([i for i in range(80) if i != 7]))
    assert image.encode_memmap(sound, state)[:, 0, 0, 0].tolist() == [i for i in range(80) if i != 7]
    assert {file.name: file.stat().st_ino for file in cache.iterdir()} == before


def test_a_damaged_file_in_the_cache_is_written_anew(tmp_path, cache):
    values = many(tmp_path)
    state = image.fit(values, image.Config())
    right = np.array(image.encode_memmap(values, state))
    (remaining,) = cache.glob("*.npy")
    remaining.write_bytes(remaining.read_bytes()[:200])
    assert np.array_equal(image.encode_memmap(values, state), right)


def test_the_cache_stays_below_its_bound_and_the_oldest_go_first(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("LAMINA_CACHE_GB", "0.000012")  # 12 kB: two files of 80 grey images of 8 x 8
    groups = [many(tmp_path / name) for name in "abc"]
    names = []
    for values in groups:
        before = set(cache.glob("*.npy"))
        image.encode_memmap(values, image.fit(values, image.Config()))
        names += set(cache.glob("*.npy")) - before
        os.utime(names[-1], (len(names), len(names)))
    assert [name.exists() for name in names] == [False, True, True]
    monkeypatch.setenv("LAMINA_CACHE_GB", "plenty")
    with pytest.raises(LaminaError, match="LAMINA_CACHE_GB: must be a number"):
        image.encode_memmap(many(tmp_path / "d"), image.fit(groups[0], image.Config()))


def test_where_nothing_can_be_kept_images_are_decoded_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder can be made in here")
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "file" / "cache"))
    values = many(tmp_path / "set")
    state = image.fit(values, image.Config())
    assert image.faults(values, state) == [None] * 80
    assert image.encode_memmap(values, state)[:, 0, 0, 0].tolist() == list(range(80))


def test_runs_on_the_same_images_at_once_do_not_disturb_each_other(tmp_path, cache):
    values = many(tmp_path, 200)
    state = image.fit(values, image.Config())
    result: list[list[int]] = []
    runs = [
        threading.Thread(target=lambda: result.append(image.encode_memmap(values, state)[:, 0, 0, 0].tolist()))
        for _ in range(6)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert result == [list(range(200))] * 6
    assert [file.suffix for file in cache.iterdir()].count(".part") == 0
