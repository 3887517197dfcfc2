"""Latency tables: the shared files for real, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import raynas
from raynas.errors import TruthError
from raynas.truth.importers import import_truth
from raynas.truth.latency import LatencyTable
from raynas.truth.latency_files import load_help_nasbench201, load_help_ofa, load_hwnasbench
from tests.conftest import shared_file

SPACE = raynas.space("nasbench201")


def test_hwnasbench_has_no_value_where_nothing_was_measured() -> None:
    path, order = shared_file("hwnasbench/hw_nasbench201.npz"), shared_file("nasbench201/nasbench201.npz")
    table = load_hwnasbench(path, order=order)
    assert table.devices == ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga")
    with np.load(path) as stored, np.load(order) as cells:
        values, texts = stored["cifar10"], cells["arch"].tolist()
    assert np.isnan(table.latency_ms["edgetpu"]).sum() == (values[:, 3] == -1).sum() == 4_699
    assert table.query(texts[0], "edgegpu") == pytest.approx(5.80741854)
    assert table.energy(texts[0], "edgegpu") == pytest.approx(24.22661433)
    missing = SPACE.parse(texts[int(np.flatnonzero(values[:, 3] == -1)[0])])
    assert table.knows(missing, "raspi4")
    assert not table.knows(missing, "edgetpu")
    with pytest.raises(TruthError, match="on edgetpu was not measured"):
        table.query(missing, "edgetpu")
    with pytest.raises(TruthError, match="no device 'pixel', did you mean 'pixel3'"):
        table.query(missing, "pixel")


def test_the_two_sources_agree() -> None:
    order = shared_file("nasbench201/nasbench201.npz")
    ours = load_hwnasbench(shared_file("hwnasbench/hw_nasbench201.npz"), order=order)
    theirs = load_help_nasbench201(shared_file("hwnasbench/help_nasbench201_latency.npz"), order=order)
    assert (len(theirs), len(theirs.devices)) == (15_625, 27)
    for device in ("raspi4", "pixel3", "eyeriss", "fpga"):
        np.testing.assert_allclose(ours.latency_ms[device], theirs.latency_ms[device], rtol=1e-5)


def test_help_ofa() -> None:
    table = load_help_ofa(shared_file("hwnasbench/help_ofa_latency.npz"))
    assert (len(table), len(table.devices)) == (5_000, 12)
    assert table.query(table.texts[0], "2080ti_1") == pytest.approx(12.081938)
    assert table.texts[0].endswith("@204")


def test_columns_of_a_truth_table() -> None:
    options = {"latency": str(shared_file("hwnasbench/hw_nasbench201.npz")), "dataset": "cifar100"}
    cells = shared_file("nasbench201/nasbench201.npz")
    table = import_truth("npz-nasbench201", cells, options)
    hardware = load_hwnasbench(shared_file("hwnasbench/hw_nasbench201.npz"), "cifar100", order=cells)
    text = table.texts[77]
    assert table.query(text, "latency_ms/raspi4") == hardware.query(text, "raspi4")
    assert table.query(text, "energy_mj/fpga") == hardware.energy(text, "fpga")


def test_what_is_refused() -> None:
    rng = np.random.default_rng(0)
    texts = tuple({SPACE.sample(rng).text for _ in range(4)})
    table = LatencyTable("mine", SPACE, texts, {"phone": np.arange(len(texts), dtype=float)}, {}, {})
    assert table.query(SPACE.parse(texts[1]), "phone") == 1
    stranger = next(a for a in SPACE.enumerate() if a.text not in texts)
    with pytest.raises(TruthError, match="does not know"):
        table.query(stranger, "phone")
    with pytest.raises(TruthError, match="is of space nasbench201"):
        table.query("22212202", "phone")
    with pytest.raises(TruthError, match="knows encodings of nasbench201, truth 'digits201' functions"):
        table.added_to(raynas.truth("digits201"))


def test_small_files_of_ones_own_with_an_order(tmp_path: Path) -> None:
    cells, measured, latencies = tmp_path / "cells.npz", tmp_path / "hw.npz", tmp_path / "help.npz"
    texts = [a.text for a, _ in zip(SPACE.enumerate(), range(3), strict=False)]
    np.savez(cells, arch=np.array(texts))
    np.savez(measured, metric=np.array(["phone_latency", "phone_energy"]), cifar10=np.array([[1, 2], [-1, 3], [4, 5]]))
    np.savez(latencies, device=np.array(["phone"]), latency_ms=np.array([[7.0], [8.0], [9.0]]))
    table = load_hwnasbench(measured, order=cells)
    assert (table.query(texts[2], "phone"), table.energy(texts[1], "phone")) == (4, 3)
    assert load_help_nasbench201(latencies, order=cells).query(texts[0], "phone") == 7


def test_another_file_is_refused_and_the_order_must_be_given(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, x=np.zeros(3))
    with pytest.raises(TruthError, match="is not an npz of HW-NAS-Bench's columns: it has no metric"):
        load_hwnasbench(other, order=other)
    np.savez(tmp_path / "hw.npz", metric=np.array(["a_latency"]), cifar10=np.zeros((3, 1)))
    with pytest.raises(TruthError, match=r"other\.npz is not an npz with NAS-Bench-201's cells \(arch\).*has no arch"):
        load_hwnasbench(tmp_path / "hw.npz", order=other)
    for load in (load_hwnasbench, load_help_nasbench201):
        with pytest.raises(TypeError, match="'order'"):
            load(tmp_path / "hw.npz")  # type: ignore[operator]
