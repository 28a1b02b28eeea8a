"""A disk that fills up, memory that runs out, and files that are there already: a sentence, and nothing half-written.

A full disk is a small file system where one can be mounted, else a limit on the size of files. Memory runs out by a
limit on the process. `benchmarks/full_disk.py` tries every place of the package, which takes minutes.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lamina
from command_line import Done, run
from conftest import customers, write_csv
from lamina.resources import disk, memory
from lamina.resources.disk import StorageError
from lamina.resources.memory import OutOfMemoryError

BUNDLES = Path(__file__).parent / "bundles"
TABLE, ROWS, IMAGES = (BUNDLES / f"{name}.lamina" for name in
                         ("classification_fnn", "generation_gan_rows", "generation_gan_images"))  # fmt: skip
SMALL = 32 << 20


def lamina_(*words: object, most_bytes: int | None = None) -> Done:
    """The command line in this process, whose files may have so many bytes meanwhile."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
        return run(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 32 MB, 12 kB of which are free."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here, which takes Linux and its root")
    try:
        (folder / "filler").write_bytes(bytes(SMALL - 3 * 4096))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def is_a_sentence(done: Done, *words: str) -> bool:
    """Whether a command ended by one line that says all this."""
    (line,) = done.err.splitlines()
    return done.code == 1 and line.startswith("lamina: ") and all(word in line for word in words)


# a full disk


WRITERS = {
    "predict csv": ["predict", TABLE, "rows.csv", "-o", "full/answers.csv"],
    "predict parquet": ["predict", TABLE, "rows.csv", "-o", "full/answers.parquet"],
    "predict jsonl": ["predict", TABLE, "rows.csv", "-o", "full/answers.jsonl"],
    "predict feather": ["predict", TABLE, "rows.csv", "-o", "full/answers.feather"],
    "generate rows": ["generate", ROWS, "-n", "2000", "-o", "full/rows.csv"],
    "generate images": ["generate", IMAGES, "-n", "64", "-o", "full/images"],
    "export lamina": ["export", TABLE, "-o", "full/model.lamina"],
    "export onnx": ["export", TABLE, "-o", "full/model.onnx"],
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_does_not_fit_is_a_sentence_and_leaves_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "rows.csv", customers(300))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    done = lamina_(*WRITERS[name], most_bytes=100 if "images" in name else 2000)
    assert is_a_sentence(done, "full/", "cannot be written, the file is larger than it may be here"), done.err
    assert everything(tmp_path / "full") == {"mine.txt": b"mine"}


def test_a_full_disk_says_what_is_needed_and_what_is_free(small_disk):
    before = everything(small_disk)
    with pytest.raises(StorageError, match=r"the disk is full \(1 MB needed, [\d.]+ kB free\). Make room there"):
        disk.write_bytes(small_disk / "file", bytes(1_000_000))
    with pytest.raises(StorageError, match="the disk is full"), disk.new_folder(small_disk / "folder") as folder:
        (folder / "a").write_bytes(bytes(1000))
        (folder / "b").write_bytes(bytes(1_000_000))
    assert everything(small_disk) == before
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_run_on_a_full_disk_ends_in_a_sentence_and_goes_on_when_there_is_room(small_disk, churn_csv):
    command = ("train", churn_csv, "--target", "left", "--set", "train.epochs=2", "--set", "model=fnn")
    done = lamina_(*command, "--out", small_disk / "run")
    assert is_a_sentence(done, "disk is full"), done.err
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".writing")]
    (small_disk / "filler").unlink()
    again = lamina_("train", "--resume", small_disk / "run") if (small_disk / "run" / "recipe.yaml").exists() else (
        lamina_(*command, "--out", small_disk / "run"))  # fmt: skip
    assert again.code == 0, again.err


def test_rows_are_appended_whole_or_not_at_all(small_disk):
    file = small_disk / "rows.jsonl"
    disk.append_text(file, "one\n")
    with pytest.raises(StorageError, match="the disk is full"):
        disk.append_text(file, "x" * 100_000)
    assert file.read_text() == "one\n"


def test_what_replaces_a_file_leaves_it_as_it_was_where_it_does_not_fit(small_disk):
    (small_disk / "file").write_text("before")
    with pytest.raises(StorageError):
        disk.write_bytes(small_disk / "file", bytes(SMALL))
    assert (small_disk / "file").read_text() == "before"


def test_a_full_standard_output_is_a_sentence_and_a_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -W ignore -m lamina schema"
    full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False)
    sentence = "standard output: cannot be written, the disk is full."
    assert is_a_sentence(Done(full.returncode, full.stdout, full.stderr), sentence), full.stderr
    pipe = subprocess.run(f"{command} | head -c 1", shell=True, capture_output=True, text=True, check=False)
    assert (pipe.stdout, pipe.stderr) == ("{", "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / ("x" * 300), "the name is too long"),
        (lambda folder: folder / "file" / "below", "a folder on the way there is a file"),
        (lambda folder: folder / "folder", "is a folder. Name a file"),
    ],
)
def test_what_an_operating_system_has_against_a_name_is_a_sentence(make, words, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=words):
        disk.write_text(make(tmp_path), "text")


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    disk.write_text(tmp_path / ("é" * 127), "text")
    assert (tmp_path / ("é" * 127)).read_text() == "text"


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".a.csv.{ended.pid}-00000000.writing").touch()
    (tmp_path / f".a.csv.{os.getppid()}-00000000.writing").touch()
    (tmp_path / ".a.csv.mine").touch()
    disk.write_text(tmp_path / "a.csv", "text")
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.csv", ".a.csv.mine", f".a.csv.{os.getppid()}-00000000.writing"
    }  # fmt: skip


# what is there already


def test_a_folder_of_other_files_is_not_replaced_by_a_model(tmp_path):
    model = lamina.load(TABLE)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"models is there already and not empty. Name a new folder. Or replace"):
        model.save(tmp_path / "models")
    assert everything(tmp_path) == {"models/other.txt": b"mine"}
    model.save(tmp_path / "models", overwrite=True)
    assert lamina.load(tmp_path / "models").predictor.id == model.predictor.id
    assert not (tmp_path / "models" / "other.txt").exists()


@pytest.mark.parametrize("name", ["model", "model.lamina"])
def test_a_model_is_saved_onto_itself_and_over_an_earlier_one(name, tmp_path):
    path = lamina.load(TABLE).save(tmp_path / name)
    lamina.load(path).save(path)
    other = lamina.load(BUNDLES / "regression_fnn.lamina")
    other.save(path)
    assert lamina.load(path).predictor.id == other.predictor.id
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_model_goes_from_one_file_to_a_folder_to_a_graph_and_not_over_a_file(tmp_path):
    model = lamina.load(lamina.load(TABLE).save(tmp_path / "a.lamina"))
    folder = model.save(tmp_path / "folder")
    graph = lamina.load(folder).save(tmp_path / "m.onnx")
    assert graph.read_bytes() == model.predictor.bundle.files["model.onnx"]
    for name in ("m.onnx", "text"):
        (tmp_path / "text").write_text("mine")
        with pytest.raises(StorageError, match=r"exists. Choose another name, or replace it with --overwrite"):
            model.save(tmp_path / name)
    with pytest.raises(StorageError, match=r"a bundle is a folder, or (a|one) file named .lamina or .onnx"):
        model.save(tmp_path / "m.pt")
    assert (tmp_path / "text").read_text() == "mine"


def test_the_current_folder_is_never_replaced(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with pytest.raises(StorageError, match="holds the folder you are in, and is not replaced"):
        lamina.load(TABLE).save(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


OVERWRITERS = {
    "predict onto its rows": (["predict", TABLE, "rows.csv", "-o", "rows.csv"], "rows.csv"),
    "predict beside old rows skipped": (["predict", TABLE, "rows.csv", "-o", "a.csv"], "a.csv.skipped.jsonl"),
    "generate": (["generate", ROWS, "-n", "5", "-o", "mine.csv"], "mine.csv"),
    "generate beside an old source": (["generate", ROWS, "-n", "5", "-o", "a.csv"], "a.csv.source.json"),
    "generate into a folder": (["generate", IMAGES, "-n", "5", "-o", "images"], "images/mine.txt"),
    "export onnx": (["export", TABLE, "-o", "m.onnx"], "m.onnx"),
    "export lamina": (["export", TABLE, "-o", "m.lamina"], "m.lamina"),
    "init": (["init", "rows.csv", "--target", "left", "-o", "r.yaml"], "r.yaml"),
}


@pytest.mark.parametrize("name", OVERWRITERS)
def test_what_is_there_is_replaced_only_where_that_is_asked_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, file = OVERWRITERS[name]
    write_csv(tmp_path / "rows.csv", customers(60))
    Path(file).parent.mkdir(exist_ok=True)
    if file != "rows.csv":
        Path(file).write_text("mine")
    before = everything(tmp_path)
    done = lamina_(*words)
    assert is_a_sentence(done, "--overwrite"), done.err
    assert everything(tmp_path) == before
    again = lamina_(*words, "--overwrite")
    assert again.code == 0, again.err
    assert everything(tmp_path) != before


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    disk.write_text(tmp_path / "link.txt", "after")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "after"


def test_a_run_replaces_nothing_that_no_run_wrote(tmp_path, churn_csv):
    """Files under the names that a run has are refused before anything is trained; others stay beside it."""
    for name in ("report.html", "rows.jsonl", "bundle/notes.txt", "checkpoints/a", ".lock", "data.sha256"):
        (folder := tmp_path / name.replace("/", "-")).mkdir()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
        done = lamina_("train", churn_csv, "--target", "left", "--out", folder)
        assert is_a_sentence(done, name.split("/")[0], "which no run of lamina wrote", "choose another --out"), done.err
        assert everything(folder) == {name: b"mine"}
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_text("mine")
    quick = ("--set", "model=fnn", "--set", "train.epochs=1")
    assert lamina_("train", churn_csv, "--target", "left", *quick, "--out", tmp_path / "work").code == 0
    assert (tmp_path / "work" / "notes.txt").read_text() == "mine"


def test_what_a_killed_process_was_about_to_replace_comes_back(tmp_path):
    """Between the two renames of a folder there is nothing under its name, and all under a hidden one."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    model = lamina.load(TABLE)
    model.save(tmp_path / "model").rename(tmp_path / f".model.{ended.pid}-00000000-old.writing")
    (tmp_path / f".model.{ended.pid}-00000000.writing").mkdir()
    with pytest.raises(StorageError, match="exists"), disk.new_path(tmp_path / "model", overwrite=False):
        pass
    assert lamina.load(tmp_path / "model").predictor.id == model.predictor.id
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / f".model.{ended.pid}-00000000-old.writing").mkdir()
    model.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_other_names_of_a_file_keep_what_it_held(tmp_path, monkeypatch):
    """A hard link and another path are the same file: refused, and where it is replaced, the link keeps the old one."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "rows.csv", customers(30))
    before = (tmp_path / "rows.csv").read_bytes()
    os.link("rows.csv", "hard.csv")
    os.symlink("rows.csv", "soft.csv")
    for name in ("hard.csv", "soft.csv", f"../{tmp_path.name}/rows.csv"):
        assert is_a_sentence(lamina_("predict", TABLE, "rows.csv", "-o", name), "exists")
    assert lamina_("predict", TABLE, "soft.csv", "-o", "soft.csv", "--overwrite").code == 0
    assert (tmp_path / "soft.csv").is_symlink()
    assert (tmp_path / "rows.csv").read_text().startswith('"prediction"')
    assert (tmp_path / "hard.csv").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["predict", TABLE, "rows.csv", "-o", "folder"],
        ["predict", TABLE, "rows.csv", "-o", "folder.csv"],
        ["predict", TABLE, "rows.csv", "-o", "folder.csv", "--overwrite"],
        ["export", TABLE, "-o", "-"],
        ["export", TABLE, "-o", "folder"],
        ["export", TABLE, "-o", "folder.onnx", "--overwrite"],
        ["export", TABLE, "-o", "folder.lamina", "--overwrite"],
        ["init", "rows.csv", "--target", "left", "-o", "-"],
        ["init", "rows.csv", "--target", "left", "-o", "folder.yaml", "--overwrite"],
        ["init", "rows.csv", "--target", "left", "-o", "rows.csv", "--overwrite"],
        ["generate", ROWS, "-n", "5", "-o", "folder.csv", "--overwrite"],
        ["generate", ROWS, "-n", "5", "-o", "-"],
        ["generate", IMAGES, "-n", "5", "-o", "rows.csv"],
        ["generate", IMAGES, "-n", "5", "-o", "folder"],
        ["train", "rows.csv", "--target", "left", "--out", "rows.csv"],
        ["train", "rows.csv", "--target", "left", "--out", "rows.csv/run"],
    ],
    ids=lambda words: " ".join(map(str, (words[0], *words[3:]))),
)
def test_a_name_that_is_of_something_else_is_refused(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "rows.csv", customers(30))
    for name in ("folder", "folder.csv", "folder.onnx", "folder.lamina", "folder.yaml"):
        Path(name).mkdir()
        Path(name, "mine.txt").write_text("mine")
    before = everything(tmp_path)
    assert is_a_sentence(lamina_(*words))
    assert everything(tmp_path) == before


# memory


def test_a_batch_is_halved_until_it_fits_and_the_answers_are_the_same():
    sizes = []

    def answer(start: int, stop: int) -> list[int]:
        sizes.append(stop - start)
        if stop - start > 10:
            raise MemoryError
        return list(range(start, stop))

    assert [n for part in memory.halving(100, 64, answer) for n in part] == list(range(100))
    assert sizes[:4] == [64, 32, 16, 8]
    assert list(memory.halving(0, 64, lambda start, stop: stop - start)) == [0]
    with pytest.raises(MemoryError):
        list(memory.halving(5, 4, lambda start, stop: (_ for _ in ()).throw(MemoryError)))


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (MemoryError(), ""),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 23000000 bytes."), "23 MB"),
        (RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"), ""),
        (MemoryError("malloc of size 1048576 failed"), "1.05 MB"),
        (MemoryError("Unable to allocate 1.50 GiB for an array with shape (4,)"), "1.61 GB"),
        (RuntimeError("can't start new thread"), ""),
    ],
)
def test_memory_that_runs_out_in_any_library_says_where_what_was_asked_for_and_the_cure(error, size):
    sentence = rf"^train: memory ran out \(.*{size}.* free\). Use fewer rows.$"
    with pytest.raises(OutOfMemoryError, match=sentence), memory.guard("train", "Use fewer rows."):
        raise error


def test_other_errors_are_not_taken_for_memory():
    for error in (ValueError("out of range"), KeyError("memory"), lamina.DataError("column 'out of memory' is empty")):
        assert not memory.exhausted(error)


NARROW = """
import resource, sys
import lamina, pyarrow as pa
from lamina.config import LaminaError

model = lamina.load(sys.argv[1])
rows = pa.table({column.name: ["1"] * 300_000 for column in model.predictor.schema.columns})
model.predict(rows.slice(0, 5))
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    print(len(model.predict(rows)))
except LaminaError as error:
    print(error)
"""


def test_python_gets_a_sentence_where_a_prediction_needs_more_memory_than_there_is():
    command = [sys.executable, "-W", "ignore", "-c", NARROW, str(TABLE), str(1 << 24)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("predict: memory ran out (") or done.stdout == "300000\n", done.stdout
