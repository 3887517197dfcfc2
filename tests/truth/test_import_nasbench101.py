"""NAS-Bench-101's tfrecord files, read without TensorFlow and protobuf."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas.errors import TruthError
from raynas.spaces.nasbench101 import Nasbench101, cell_hash
from raynas.truth.importers import import_truth
from raynas.truth.importers.protobuf import fields
from raynas.truth.importers.tfrecord import masked_crc32c, read_records
from tests.truth.formats import crc32c, masked, message, nasbench101_record, write_tfrecord

CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
MATRIX = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
OPS = ["input", CONV3, POOL, "output"]
OTHER = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
OTHER_OPS = ["input", CONV1, "output"]
SPACE = Nasbench101()


def hash_of(matrix: list[list[int]], ops: list[str]) -> str:
    return cell_hash(SPACE.from_matrix(matrix, ops).options)


def test_crc32c_of_the_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    for text in (b"", b"\0" * 32, b"123456789", bytes(range(256)) * 3):
        assert int(masked_crc32c([text])[0]).to_bytes(4, "little") == masked(text)
    together = masked_crc32c([b"abc", b"", b"longer text"])
    assert [int(c).to_bytes(4, "little") for c in together] == [masked(t) for t in (b"abc", b"", b"longer text")]


def test_protobuf_fields() -> None:
    inner = message((1, 2.5))
    assert list(fields(message((1, inner), (2, 300), (2, 1 << 40), (15, -0.5), (16, b"text")))) == [
        (1, inner), (2, 300), (2, 1 << 40), (15, -0.5), (16, b"text"),
    ]  # fmt: skip
    for broken in (b"\x08", b"\x0a\x05ab", b"\x09\x00", b"\x0b", b"\xff" * 12):
        with pytest.raises(ValueError, match=r"ends inside|wire type|longer than"):
            list(fields(broken))


def small_file(folder: Path) -> Path:
    first = hash_of(MATRIX, OPS)
    records = [nasbench101_record(first, MATRIX, OPS, (1.0, 0.93 + i / 100, 0.92 + i / 100)) for i in range(3)]
    records.insert(1, nasbench101_record(first, MATRIX, OPS, (0.3, 0.2, 0.1), epochs=4))
    records.append(
        nasbench101_record(hash_of(OTHER, OTHER_OPS), OTHER, OTHER_OPS, (0.9, 0.8, 0.7), seconds=500.0, parameters=300)
    )
    return write_tfrecord(folder / "small.tfrecord", records)


def test_three_repeats_are_three_seeds_at_the_end_of_the_training(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    table = import_truth("nasbench101", path)
    assert (len(table), table.source["epochs"], table.source["data"]) == (2, 108, "cifar10")
    text = SPACE.from_matrix(MATRIX, OPS).text
    assert table.per_seed(text, "valid_accuracy") == pytest.approx([93, 94, 95])
    assert table.query(text) == pytest.approx(93)
    assert table.query(text, "train_accuracy") == pytest.approx(100)
    assert table.query(text, "params_m") == pytest.approx(8.55553)
    assert table.query(text, "train_seconds") == pytest.approx(1000)
    assert table.n_seeds().tolist() == [3, 1]
    assert table.query(SPACE.from_matrix(OTHER, OTHER_OPS)) == pytest.approx(70)
    padded = [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert table.query(SPACE.from_matrix(padded, ["input", POOL, CONV1, "output"])) == pytest.approx(70)
    four = import_truth("nasbench101", path, {"epochs": "4"})
    assert len(four) == 1
    assert four.query(text) == pytest.approx(10)
    with pytest.raises(TruthError, match=r"no trainings of 36 epochs \(but 4, 108\)"):
        import_truth("nasbench101", path, {"epochs": 36})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([nasbench101_record("0" * 32, MATRIX, OPS, (1.0, 1.0, 1.0))], "record 0: the file gives .* hash 0{32}"),
        ([nasbench101_record("x", MATRIX, ["input", "conv5x5", POOL, "output"], (1, 1, 1.0))], "'conv5x5'"),
        ([nasbench101_record("x", MATRIX, OPS, (1.0, 1.0, 1.0), last_epoch=54.0)], "is at epoch 54 of 108"),
        ([b'["hash", 108, "0", "input"]'], "record 0: not a record of NAS-Bench-101"),
        ([b'["hash", 108, "0", "input", "AAAA"]'], "record 0: not a record of NAS-Bench-101"),
        ([nasbench101_record("x", [[0, 1, 1]], OPS, (1.0, 1.0, 1.0))], "is not a square matrix"),
    ],
)  # fmt: skip
def test_wrong_records_are_named(tmp_path: Path, records: list[bytes], message: str) -> None:
    with pytest.raises(TruthError, match=message):
        import_truth("nasbench101", write_tfrecord(tmp_path / "x.tfrecord", records))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = small_file(tmp_path).read_bytes()
    assert len(list(read_records(tmp_path / "small.tfrecord"))) == 5
    damaged = tmp_path / "damaged.tfrecord"
    for content, expected in (
        (whole[:100], "record 0: the file ends inside it"),
        (whole[:-2], "record 4: the file ends inside it"),
        (whole + b"12345", "record 5: the file ends inside its head"),
        (whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "record 0: its data have a wrong checksum"),
        (whole[:8] + bytes([whole[8] ^ 1]) + whole[9:], "record 0: its length has a wrong checksum"),
        (b"some text that is no tfrecord at all", "record 0: a length of .* bytes; this is no TFRecord file"),
    ):
        damaged.write_bytes(content)
        with pytest.raises(TruthError, match=rf"damaged\.tfrecord: {expected}"):
            import_truth("nasbench101", damaged)
    with pytest.raises(TruthError, match="no file at"):
        import_truth("nasbench101", tmp_path / "nothing")
