"""Files of scalars: what is in them after each call, a crash and a new start."""

import csv
import json
import math
import os
import stat
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optaxwd.telemetry._writers import (
    CSVWriter,
    JSONLinesWriter,
    TensorBoardWriter,
    read_json_lines,
)

FILES = [JSONLinesWriter, CSVWriter]


def table(path):
    """Return the rows of a CSV file, which must all be as long as its header."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_json_lines_by_hand(tmp_path):
    path = tmp_path / "a.jsonl"
    with JSONLinesWriter(path) as writer:
        writer.write_scalars(3, {"decay_rate/a": 0.25, "step": 2.0})
        writer.write_scalars(4, {})
    assert path.read_text() == '{"step": 3, "decay_rate/a": 0.25}\n{"step": 4}\n'


def test_csv_by_hand(tmp_path):
    path = tmp_path / "a.csv"
    with CSVWriter(path) as writer:
        writer.write_scalars(3, {"b": 0.25, "step": 2.0})
        writer.write_scalars(4, {"a": math.nan})
        writer.write_scalars(5, {"a": math.inf, "b": 1e-7})
    assert path.read_text() == "step,b,a\n3,0.25,\n4,,nan\n5,1e-07,inf\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_json_lines_are_read_back(tmp_path):
    path = tmp_path / "a.jsonl"
    scalars = {"η": 0.1, 'a "quoted", one': 1 / 3, "tiny": 5e-324, "": -0.0}
    with JSONLinesWriter(path) as writer:
        writer.write_scalars(1, scalars)
        writer.write_scalars(2, {"a": math.nan, "b": math.inf, "c": -math.inf})
    first, second = read_json_lines(path)
    assert first == {"step": 1.0, **scalars}
    assert all(type(value) is float for value in first.values())
    assert second.pop("step") == 2
    assert second.keys() == {"a", "b", "c"} and all(map(math.isnan, second.values()))
    # Any other reader of JSON can read it too.
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_csv_is_read_back(tmp_path):
    path = tmp_path / "a.csv"
    names = ['a,b "c"', "two\nlines", "η", "plain"]
    with CSVWriter(path) as writer:
        for step, name in enumerate(names):
            writer.write_scalars(step, {name: step / 3})
    for step, row in enumerate(table(path)):
        assert list(row) == ["step", *names]
        assert row.pop("step") == str(step)
        assert float(row.pop(names[step])) == step / 3
        assert set(row.values()) == {""}


@pytest.mark.parametrize("writer", FILES)
def test_each_line_is_there_at_once(writer, tmp_path):
    path = tmp_path / "some" / "where" / "a.txt"
    opened = writer(path)
    for step in range(3):
        opened.write_scalars(step, {"a": 0.5})
        lines = path.read_text().splitlines()
        assert len(lines) == step + 1 + (writer is CSVWriter)
    opened.flush()
    opened.close()
    opened.close()


@pytest.mark.parametrize("writer", FILES)
def test_a_resumed_run_appends(writer, tmp_path):
    path = tmp_path / "a.txt"
    for step in range(4):
        with writer(path) as opened:
            opened.write_scalars(step, {f"new/{step}": 0.5, "old": float(step)})
    rows = table(path) if writer is CSVWriter else read_json_lines(path)
    assert [float(row["step"]) for row in rows] == [0, 1, 2, 3]
    assert [float(row["old"]) for row in rows] == [0, 1, 2, 3]
    assert [float(rows[i][f"new/{i}"]) for i in range(4)] == [0.5] * 4


def cut(writer, path, missing):
    """Write three lines and cut the last one by so many bytes, as a crash may."""
    with writer(path) as opened:
        for step in range(3):
            opened.write_scalars(step, {"a": 0.125, "b": 0.125})
    os.truncate(path, path.stat().st_size - missing)


@pytest.mark.parametrize("missing", [2, 5, 25, 34])
def test_json_lines_after_a_crash(missing, tmp_path):
    path = tmp_path / "a.jsonl"
    cut(JSONLinesWriter, path, missing)
    assert [row["step"] for row in read_json_lines(path)] == [0, 1]
    with JSONLinesWriter(path) as writer:
        writer.write_scalars(7, {"a": 1.0})
    assert [row["step"] for row in read_json_lines(path)] == [0, 1, 7]


def test_a_line_that_lacks_its_end_only_is_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    cut(JSONLinesWriter, path, 1)
    JSONLinesWriter(path).write_scalars(7, {})
    assert [row["step"] for row in read_json_lines(path)] == [0, 1, 2, 7]


# Of 0.125 the cut leaves 0.12 or less, which nothing tells from a whole number.
@pytest.mark.parametrize("missing", [1, 2, 8, 12])
def test_csv_after_a_crash(missing, tmp_path):
    path = tmp_path / "a.csv"
    cut(CSVWriter, path, missing)
    with CSVWriter(path) as writer:
        writer.write_scalars(7, {"b": 1.0})
    assert path.read_text() == "step,a,b\n0,0.125,0.125\n1,0.125,0.125\n7,,1.0\n"


def test_csv_is_whole_when_it_cannot_be_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    writer = CSVWriter(path)
    writer.write_scalars(0, {"a": 0.5})
    before = path.read_bytes()

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            writer.write_scalars(1, {"a": 0.5, "b": 0.5})
    assert path.read_bytes() == before
    writer.write_scalars(1, {"a": 0.5, "b": 0.5})
    assert path.read_text() == "step,a,b\n0,0.5,\n1,0.5,0.5\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_csv_keeps_links_and_permissions(tmp_path):
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    CSVWriter(target)
    target.chmod(0o640)
    link.symlink_to(target)
    CSVWriter(link).write_scalars(0, {"a": 0.5})
    assert link.is_symlink() and target.read_text() == "step,a\n0,0.5\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_csv_of_other_programs(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'step,"a,b"\r\n0,1.5\r\n')
    CSVWriter(path).write_scalars(1, {"a,b": 0.5, "c": 2.0})
    assert path.read_text() == 'step,"a,b",c\n0,1.5,\n1,0.5,2.0\n'


@pytest.mark.parametrize("writer", FILES)
def test_a_relative_path_stays_where_it_was(writer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = writer("a.txt")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    opened.write_scalars(0, {"a": 0.5})
    assert (
        os.listdir(tmp_path / "b") == [] and "0.5" in (tmp_path / "a.txt").read_text()
    )


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.array(0.5), jnp.array(0.5), jnp.bfloat16(0.5)],
)
def test_scalars_of_all_kinds(value, tmp_path):
    JSONLinesWriter(tmp_path / "a.jsonl").write_scalars(np.int32(1), {"a": value})
    assert read_json_lines(tmp_path / "a.jsonl") == [{"step": 1.0, "a": 0.5}]


def test_steps_of_all_kinds(tmp_path):
    writer = CSVWriter(tmp_path / "a.csv")
    for step in (0, np.int64(1), jnp.array(2), 3.0, np.float32(4)):
        writer.write_scalars(step, {})
    assert (tmp_path / "a.csv").read_text() == "step\n0\n1\n2\n3\n4\n"


@pytest.mark.parametrize("writer", FILES)
@pytest.mark.parametrize(
    ("step", "scalars", "error", "message"),
    [
        (0, {"a": 1.0, "b": "high"}, TypeError, "'b' must be a real number .* 'high'"),
        (0, {"a": 1.0, "b": None}, TypeError, "'b' must be a real number .* None"),
        (0, {"a": True}, TypeError, "'a' must be a real number .* got True"),
        (0, {"a": 1j}, TypeError, "'a' must be a real number"),
        (0, {"a": jnp.array(True)}, TypeError, "'a' must be a real number"),
        (0, {"a": jnp.ones(1)}, TypeError, "a scalar array of one"),
        (0, {"a": np.ones(1)}, TypeError, "a scalar array of one"),
        (0, {"a": 1.0, 3: 1.0}, TypeError, "names must be texts, got 3 of type int"),
        (0, [("a", 1.0)], TypeError, "scalars must be a mapping .* of type list"),
        (0.5, {"a": 1.0}, ValueError, "step must be a whole number .* got 0.5"),
        (-1, {"a": 1.0}, ValueError, "step must be finite and >= 0, got -1"),
        ("0", {"a": 1.0}, TypeError, "step must be a number"),
    ],
)
def test_nothing_is_written_of_what_is_wrong(
    writer, step, scalars, error, message, tmp_path
):
    opened = writer(tmp_path / "a.txt")
    before = (tmp_path / "a.txt").read_bytes()
    with pytest.raises(error, match=f"^{writer.__name__}.write_scalars: .*{message}"):
        opened.write_scalars(step, scalars)
    assert (tmp_path / "a.txt").read_bytes() == before


def test_a_traced_scalar(tmp_path):
    writer = JSONLinesWriter(tmp_path / "a.jsonl")
    with pytest.raises(TypeError, match="'a' must be a number, got the traced"):
        jax.jit(lambda x: writer.write_scalars(0, {"a": x}))(1.0)


@pytest.mark.parametrize("writer", FILES)
def test_a_closed_writer(writer, tmp_path):
    with writer(tmp_path / "a.txt") as opened:
        pass
    with pytest.raises(ValueError, match="the writer is closed. Make a new one"):
        opened.write_scalars(0, {})


@pytest.mark.parametrize(
    ("writer", "text"),
    [
        (JSONLinesWriter, "step,a\n0,1\n"),
        (JSONLinesWriter, '{"step": 0}\nsome notes'),
        (JSONLinesWriter, "[1, 2]"),
        (CSVWriter, '{"step": 0}\n'),
        (CSVWriter, "loss,step\n1,2\n"),
        (CSVWriter, "step,a,a\n1,2,3\n"),
        (CSVWriter, "step,a"),
        (CSVWriter, "\n"),
    ],
)
def test_files_of_others_stay_as_they_are(writer, text, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"path must be .* Choose another path"):
        writer(path)
    assert path.read_text() == text


@pytest.mark.parametrize("writer", [*FILES, TensorBoardWriter])
def test_a_path_is_needed(writer):
    if writer is TensorBoardWriter:
        pytest.importorskip("tensorboardX")
    with pytest.raises(TypeError, match=f"{writer.__name__}: .* must be a path, got 3"):
        writer(3)


@pytest.mark.parametrize(
    "line", ["not JSON", "[1]", '{"a": [1]}', '{"a": "high"}', '{"a": 1}{"a": 1}']
)
def test_lines_that_cannot_be_read(line, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1}\n\n' + line + '\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 3 of .* must be a JSON object"):
        read_json_lines(path)


def test_read_json_lines_needs_a_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json_lines(tmp_path / "a.jsonl")
    assert not os.listdir(tmp_path)
    (tmp_path / "a.jsonl").touch()
    assert read_json_lines(tmp_path / "a.jsonl") == []


def test_tensorboard_is_read_back(tmp_path):
    pytest.importorskip("tensorboardX")
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    scalars = {"decay_rate/mlp/~/linear 0/w": 0.1, "cosine": math.nan, "big": 1e300}
    wanted = {**scalars, "big": math.inf}
    # Two runs within one second, which tensorboardX alone writes to one file.
    for start in (0, 2):
        with TensorBoardWriter(tmp_path / "new" / "run") as writer:
            writer.write_scalars(start, {"step": start, **scalars})
            writer.flush()
            writer.write_scalars(start + 1, scalars)
        writer.close()
    read = accumulators.EventAccumulator(str(tmp_path / "new" / "run")).Reload()
    assert set(read.Tags()["scalars"]) == set(scalars)
    for name, value in wanted.items():
        events = read.Scalars(name)
        assert [event.step for event in events] == [0, 1, 2, 3]
        for event in events:
            np.testing.assert_equal(event.value, float(np.float32(value)))
    with pytest.raises(ValueError, match="the writer is closed"):
        writer.write_scalars(9, {})


def test_tensorboard_is_not_needed_otherwise(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "optaxwd\[tensorboard\]"'):
        TensorBoardWriter(tmp_path / "a")
    assert not os.listdir(tmp_path)
