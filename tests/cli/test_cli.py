"""The command line: one JSON object for programs, sentences for people, and exit codes that mean something."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

import lamina
import warm_python
from command_line import Done
from command_line import run as lamina_
from conftest import customers, houses, write_csv
from lamina.cli import commands
from lamina.config import load_yaml

VERBS = sorted(command.name or command.callback.__name__ for command in commands.app.registered_commands)
TINY = ("--model", "linear", "--set", "train.epochs=2", "--set", "columns.remark=ignore")


def process(*words: str | Path, **options: Any) -> Done:
    """The command in a process of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-m", "lamina", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Every test in a directory of its own; wide enough that no line is folded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def fresh(tmp_path) -> Path:
    """Rows to be answered: no target, a missing column, an extra one, unseen and malformed cells."""
    rows = [
        {"id": i, **{k: v for k, v in row.items() if k not in ("left", "since")}}
        for i, row in enumerate(customers(30, 7))
    ]
    rows[3]["plan"], rows[4]["months"], rows[5]["paperless"] = "platinum", "soon", None
    return write_csv(tmp_path / "fresh.csv", rows)


# verbs


def test_the_verbs_are_these():
    assert set(VERBS) >= {"doctor", "evaluate", "explain", "export", "init", "inspect", "predict", "schema", "serve"}
    assert "train" in VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    done = lamina_(verb, "--help")
    assert done.code == 0
    assert "Usage" in done.out
    assert all(line == line.rstrip("\x1b") for line in done.out.splitlines())


def test_without_a_verb_there_is_help_and_the_version_is_one_line():
    assert "train" in lamina_("--help").out
    assert lamina_("--version") == Done(0, f"lamina {lamina.__version__}\n", "")
    assert "Usage" in lamina_().out + lamina_().err


def test_train_prints_one_json_object_with_where_everything_is(churn_csv):
    done = lamina_("train", churn_csv, "--target", "left", *TINY, "--out", "run", "--json")
    assert done.code == 0, done.err
    result = done.json
    assert Path(result["bundle"]).is_dir()
    assert Path(result["report"]).is_file()
    assert result["rows"] == 300 == sum(result["parts"].values())
    assert result["scores"]["accuracy"] > 0.5
    assert "verdict" in result


def test_train_tells_a_person_what_it_does(churn_csv):
    done = lamina_("train", churn_csv, "--target", "left", *TINY)
    assert done.code == 0, done.err
    for word in ("300 rows", "210 to train", "months", "number", "linear", "epoch 2", "majority", "runs/churn-1"):
        assert word in done.out, word
    assert "\x1b" not in done.out, "colours are for terminals"
    assert lamina_("train", churn_csv, "--target", "left", *TINY, "--json").json["run"] == "runs/churn-2"


def test_choices_on_the_command_line_win_over_the_recipe(churn_csv):
    Path("r.yaml").write_text(f"data: {churn_csv}\ntarget: plan\nmodel: fnn\ntrain: {{epochs: 50}}\n")
    done = lamina_("train", "r.yaml", "--target", "left", *TINY, "--seed", "3", "--out", "run", "--json")
    assert done.code == 0, done.err
    recipe = json.loads(Path("run/bundle/training.json").read_text())["recipe"]
    assert (recipe["target"], recipe["train"]["epochs"], recipe["seed"]) == ("left", 2, 3)
    assert recipe["model"]["kind"] == "linear"


def test_a_target_that_looks_like_a_number_is_a_name_or_counts_columns(tmp_path):
    path = write_csv(tmp_path / "h.csv", [{"area": r["area"], "2": r["price"]} for r in houses(40)])
    for target in ("2", "-1"):
        done = lamina_("train", path, "--target", target, *TINY[:4], "--set", "data.header=true", "--json")
        assert done.code == 0, done.err
        assert lamina.load(done.json["bundle"]).predictor.target == "2"


def test_init_writes_a_recipe_that_trains(churn_csv):
    done = lamina_("init", churn_csv, "--target", "left", "-o", "r.yaml", "--json")
    assert done.json == {
        "recipe": "r.yaml",
        "read": 300,
        "used": 300,
        "skipped": 0,
        "train": 210,
        "validation": 45,
        "test": 45,
    }
    text = Path("r.yaml").read_text()
    assert "months: number  # " in text
    assert text.startswith("# yaml-language-server: $schema=r.schema.json\n")
    jsonschema.validate(load_yaml(text, "recipe"), json.loads(Path("r.schema.json").read_text()))
    done = lamina_(
        "train", "r.yaml", "--set", "train.epochs=1", "--set", "columns.remark=ignore", "--out", "run", "--json"
    )
    assert done.code == 0, done.err


@pytest.mark.parametrize("model", ["fnn", "linear", "sequential"])
def test_init_writes_a_recipe_for_any_model(churn_csv, model):
    layers = ["--set", "model.layers=[{dense: 4}, {dense: 1}]"] if model == "sequential" else []
    done = lamina_("init", churn_csv, "--target", "left", "--set", f"model.kind={model}", *layers, "-o", "r.yaml")
    assert done.code == 0, done.err
    from lamina.recipe import read

    assert read(Path("r.yaml")).model.model_dump()["kind"] == model


def test_inspect_tells_of_a_table_and_of_a_bundle(churn_csv, churn_bundle):
    result = lamina_("inspect", churn_csv, "--target", "left", "--json").json
    assert result["rows"] == 300
    assert {c["name"]: c["kind"] for c in result["columns"]} == {
        "months": "number",
        "charges": "number",
        "plan": "category",
        "paperless": "boolean",
        "since": "time",
        "remark": "text",
        "left": "category",
    }
    result = lamina_("inspect", churn_bundle, "--json").json
    assert (result["task"], result["model"], result["target"]) == ("classification", "fnn", "left")
    for place in (churn_csv, churn_bundle, churn_bundle.parent):
        done = lamina_("inspect", place)
        assert done.code == 0, done.err
        assert "paperless" in done.out


def test_evaluate_gives_the_scores_python_gives(churn_run, churn_bundle, tmp_path):
    rows = customers(80, 5)
    path = write_csv(tmp_path / "fresh.csv", rows)
    result = lamina_("evaluate", churn_bundle, path, "--json").json
    assert result["rows"] == 80
    assert result["scores"]["accuracy"] == pytest.approx(churn_run.evaluate(rows)["accuracy"])
    assert "accuracy" in lamina_("evaluate", churn_bundle, path).out


def test_export_writes_one_file_or_the_graph(churn_bundle, tmp_path):
    result = lamina_("export", churn_bundle, "-o", "m.lamina", "--json").json
    assert result["bytes"] == Path("m.lamina").stat().st_size
    assert lamina.load("m.lamina").predictor.bundle.id == result["bundle"]
    assert lamina_("export", "m.lamina", "-o", "m.onnx").code == 0
    assert Path("m.onnx").read_bytes() == (churn_bundle / "model.onnx").read_bytes()


def test_schema_and_doctor_print_one_object():
    assert lamina_("schema", "--json").json["title"] == "Lamina recipe"
    result = lamina_("doctor", "--json").json
    assert result["lamina"] == lamina.__version__
    assert lamina_("doctor").code == 0


# answers


def read(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".csv":
            with open(path, encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        case ".jsonl":
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        case ".parquet":
            return pa.parquet.read_table(path).to_pylist()
    return pa.feather.read_table(path).to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".feather"])
def test_files_of_answers_hold_what_python_answers(churn_run, churn_bundle, fresh, suffix):
    out = Path(f"deep/answers{suffix}")
    result = lamina_("predict", churn_bundle, fresh, "-o", out, "--keep", "id,plan", "--json").json
    assert result.pop("notes") == [
        "'since' is not there; read as missing in every row.",
        "'months' in row 5: 'soon' is not a number; read as missing.",
        "'plan' in row 4: 'platinum' is a value that this model does not know; read as a rare one.",
    ]
    assert result == {"output": str(out), "rows": 30, "skipped": 0}
    expected = churn_run.predict(pa.table({k: [r[k] or None for r in read(fresh)] for k in read(fresh)[0]})).to_pylist()
    got = read(out)
    assert len(got) == 30
    for i, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        assert int(mine["id"]) == i
        assert mine["prediction"] == theirs["prediction"]
        chances = mine.get("probabilities") or {k.partition(".")[2]: float(v) for k, v in mine.items() if "." in k}
        assert chances == pytest.approx(theirs["probabilities"], abs=1e-6)
    assert [p.name for p in Path("deep").iterdir()] == [out.name]


def test_rows_that_cannot_be_read_are_counted_and_kept_aside(churn_bundle, fresh):
    lines = fresh.read_text().splitlines()
    lines[4] = "1,2"
    fresh.write_text("\n".join(lines) + "\n")
    done = lamina_("predict", churn_bundle, fresh, "-o", "a.csv", "--json")
    result = done.json
    assert (result["rows"], result["skipped"]) == (29, 1)
    (skipped,) = [json.loads(line) for line in Path(result["skipped_file"]).read_text().splitlines()]
    assert (skipped["line"], skipped["file"]) == (5, str(fresh))
    assert len(read(Path("a.csv"))) == 29
    assert "1 rows could not be read" in lamina_("predict", churn_bundle, fresh, "-o", "a.csv", "--overwrite").out


def test_numbers_come_with_their_interval(numbers_bundle, tmp_path):
    path = write_csv(tmp_path / "h.csv", houses(5))
    lamina_("predict", numbers_bundle, path, "-o", "a.csv")
    for row in read(Path("a.csv")):
        assert float(row["low"]) < float(row["prediction"]) < float(row["high"])


# mistakes

LEFT = ["train", "churn.csv", "--target", "left"]
MISTAKES: dict[str, tuple[list[str], str]] = {
    "missing file": (["train", "chrn.csv", "--target", "left"], "there is no such file. Did you mean 'churn.csv'?"),
    "no target": (["train", "churn.csv"], "target: is required"),
    "misspelt target": (["train", "churn.csv", "--target", "lft"], "no column 'lft'. Did you mean 'left'?"),
    "unknown model": ([*LEFT, "--model", "fnnn"], "Did you mean 'fnn'?"),
    "unknown task": (
        [*LEFT, "--task", "classify"],
        "Did you mean 'classification'?",
    ),
    "bad set": ([*LEFT, "--set", "train.lr"], "write key.sub=value"),
    "unknown setting": ([*LEFT, "--set", "train.lrr=1"], "Did you mean 'lr'?"),
    "bad value": ([*LEFT, "--set", "train.lr=-1"], "greater than 0 (got -1)"),
    "bad budget": ([*LEFT, "--budget", "soon"], "train.budget"),
    "unknown column": (
        [*LEFT, "--set", "columns.pln=category"],
        "Did you mean 'plan'?",
    ),
    "unknown kind": (
        [*LEFT, "--set", "columns.plan=categry"],
        "Did you mean 'category'?",
    ),
    "empty file": (["train", "empty.csv", "--target", "left"], "is empty"),
    "only a header": (["train", "header.csv", "--target", "left"], "has column names and no rows"),
    "a directory": (["train", ".", "--target", "left"], "is a directory"),
    "too few rows": (["train", "short.csv", "--target", "left"], "needs at least 10 rows"),
    "one class": (["train", "one.csv", "--target", "left"], "at least two classes"),
    "no such toy": (["train", "toy:chrn", "--target", "left"], "Did you mean 'churn'?"),
    "misspelt recipe": (["train", "bad.yaml"], "modle: unknown section. Did you mean 'model'?"),
    "missing recipe": (["train", "none.yaml"], "cannot be read"),
    "used directory": ([*LEFT, "--out", "RUN"], "already holds a run"),
    "resume of nothing": (["train", "--resume", "nowhere"], "holds no run"),
    "negative seed": ([*LEFT, "--seed", "-1"], "seed: "),
    "missing test file": ([*LEFT, "--test", "tst.csv"], "there is no such file"),
    "init over a file": (["init", "churn.csv", "--target", "left", "-o", "bad.yaml"], "bad.yaml exists"),
    "init into nowhere": (["init", "churn.csv", "--target", "left", "-o", "no/where.yaml"], "no/where.yaml"),
    "inspect nothing": (["inspect", "nothing.csv"], "there is no such file"),
    "inspect a wrong target": (["inspect", "churn.csv", "--target", "lft"], "Did you mean 'left'?"),
    "not a bundle": (["predict", "churn.csv", "churn.csv", "-o", "a.csv"], "is not a bundle"),
    "no bundle": (["predict", "nowhere", "churn.csv", "-o", "a.csv"], "there is no such bundle"),
    "a directory that is no bundle": (["predict", ".", "churn.csv", "-o", "a.csv"], "manifest.json"),
    "output suffix": (["predict", "BUNDLE", "churn.csv", "-o", "a.xlsx"], "must end in one of .csv"),
    "no known column": (["predict", "BUNDLE", "other.csv", "-o", "a.csv"], "not one of the columns is known"),
    "keep an unknown column": (
        ["predict", "BUNDLE", "churn.csv", "-o", "a.csv", "--keep", "pln"],
        "Did you mean 'plan'?",
    ),
    "predict nothing": (["predict", "BUNDLE", "nothing.csv", "-o", "a.csv"], "there is no such file"),
    "output is a directory": (["predict", "BUNDLE", "churn.csv", "-o", "folder.csv"], "folder.csv"),
    "output under a file": (["predict", "BUNDLE", "churn.csv", "-o", "churn.csv/a.csv"], "churn.csv"),
    "evaluate without a target": (["evaluate", "BUNDLE", "other.csv"], "the rows have no column 'left'"),
    "export suffix": (["export", "BUNDLE", "-o", "m.zip"], "must end in .lamina or .onnx"),
    "export into nowhere": (["export", "BUNDLE", "-o", "no/where.onnx"], "no/where.onnx"),
    "serve nothing": (["serve", "nowhere"], "there is no such bundle"),
}


@pytest.fixture
def _things(churn_csv, tmp_path):
    header = churn_csv.read_text().splitlines()[0]
    Path("churn.csv").write_bytes(churn_csv.read_bytes())
    Path("empty.csv").write_text("")
    Path("header.csv").write_text(header + "\n")
    Path("short.csv").write_text("\n".join(churn_csv.read_text().splitlines()[:6]) + "\n")
    write_csv(Path("one.csv"), [{**row, "left": "no"} for row in customers(30)])
    Path("other.csv").write_text("a,b\n1,2\n3,4\n")
    Path("bad.yaml").write_text("data: churn.csv\ntarget: left\nmodle: fnn\n")
    Path("folder.csv").mkdir()


@pytest.mark.usefixtures("_things")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence_on_standard_error(churn_bundle, mistake):
    words, sentence = MISTAKES[mistake]
    words = [{"BUNDLE": str(churn_bundle), "RUN": str(churn_bundle.parent)}.get(word, word) for word in words]
    before = {p.name for p in Path().iterdir()}
    done = lamina_(*words)
    assert done.code == 1
    assert sentence in done.err
    assert all(line.startswith("lamina: ") for line in done.err.splitlines())
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
    if words[0] != "serve":
        reply = lamina_(*words, "--json")
        assert reply.code == 1
        assert sentence in reply.json["error"]
    left = {p.name for p in Path().iterdir()} - before
    assert left <= {"runs"}, f"a mistake leaves nothing behind but the run's directory: {left}"


@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        ["train", "churn.csv", "--sead", "3"],
        ["train", "churn.csv", "--seed", "three"],
        ["train", "churn.csv", "--resume", "run"],
        ["predict", "bundle"],
        ["evaluate"],
        ["trian", "churn.csv"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words):
    done = lamina_(*words)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert done.err
    assert done.out == ""


# processes


def test_a_mistake_in_a_process_is_a_sentence_without_a_traceback(churn_csv):
    done = process("inspect", churn_csv, "--target", "lft")
    assert (done.code, done.out) == (1, "")
    assert done.err == "lamina: target: the data has no column 'lft'. Did you mean 'left'?\n"


def test_train_in_a_process_prints_json_alone_and_warns_of_nothing(churn_csv):
    done = process("train", churn_csv, "--target", "left", *TINY, "--out", "run", "--json")
    assert done.code == 0, done.err
    assert done.json["bundle"] == "run/bundle"
    assert "Warning" not in done.err


def test_a_closed_pipe_is_no_error(churn_csv):
    command = f"{sys.executable} -m lamina inspect {churn_csv} --json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


def test_sigterm_saves_exits_75_and_says_how_to_go_on(tmp_path):
    train = [
        "train",
        "toy:churn",
        "--target",
        "Churn",
        "--set",
        "train.epochs=100000",
        "--set",
        "train.patience=100000",
    ]
    running = warm_python.Process("-m", "lamina", *train, "--out", "run", "--json")
    try:
        rows = tmp_path / "run" / "rows.jsonl"
        end = time.monotonic() + 60
        while not rows.exists() and time.monotonic() < end and running.poll() is None:
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 75, err
    assert "stopped and saved at step" in json.loads(out)["error"]
    assert "lamina train --resume run" in err
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert not (tmp_path / "run" / "DONE").exists()
