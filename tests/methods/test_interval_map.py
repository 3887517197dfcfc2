"""The interval maps of CLOSE against those that the released schedule gives."""

from __future__ import annotations

import pytest

from raynas.networks.interval_map import IntervalMap

RESNET = {
    9: "0 4 3 5 6 2 8 8 7 7 7" + " 1" * 12,
    11: "0 4 3 5 6 2 8 9 7 10 10" + " 1" * 12,
    13: "0 4 3 5 6 2 8 9 7 10 11" + " 1" * 6 + " 12" * 6,
    15: "0 4 3 5 6 2 8 9 7 10 11 1 14 14 13 13 13" + " 12" * 6,
    17: "0 4 3 5 6 2 8 9 7 10 11 1 14 15 13 16 16" + " 12" * 6,
}
"""Group of each of ResNet's 23 positions, by the number of groups (epochs 1, 201, 401, 601 and 801)."""
RESNEXT_A = {
    9: "0 3 4 2 6 5 7 1 1 1 1 8 8 8 8",
    10: "0 3 4 2 6 5 7 1 1 9 9 8 8 8 8",
    11: "0 3 4 2 6 5 7 1 10 9 9 8 8 8 8",
    12: "0 3 4 2 6 5 7 1 10 9 11 8 8 8 8",
    13: "0 3 4 2 6 5 7 1 10 9 11 8 8 12 12",
}


@pytest.mark.parametrize(("positions", "published"), [(23, RESNET), (15, RESNEXT_A)], ids=["resnet", "resnext_a"])
def test_maps_of_the_released_schedules(positions: int, published: dict[int, str]) -> None:
    assert {count: " ".join(map(str, IntervalMap.whole(positions).grown(count).numbers)) for count in published} == (
        published
    )


@pytest.mark.parametrize("criterion", ["pre", "max"])
@pytest.mark.parametrize("positions", [1, 2, 7, 15, 23])
def test_groups_cover_every_position_once_down_to_single_ones(positions: int, criterion: str) -> None:
    now = IntervalMap.whole(positions)
    for count in range(2, positions + 1):
        before, number, now = now, now.next_split(criterion), now.split(criterion)
        covered = [place for left, right in now.groups for place in range(left, right)]
        assert sorted(covered) == list(range(positions))
        assert now.positions == positions
        assert len(now.groups) == count
        (left, right), (a, b), (c, d) = before.groups[number], now.groups[number], now.groups[-1]
        assert (a, d) == (left, right)
        assert b == c == (left + right) // 2
        assert [now.groups[i] for i in range(count - 1) if i != number] == [
            before.groups[i] for i in range(count - 1) if i != number
        ]
        for place in range(positions):
            assert now.left(place) == now.groups[now.numbers[place]][0]
    with pytest.raises(ValueError, match="nothing left to split"):
        now.split(criterion)


def test_the_longest_group_goes_first_where_asked() -> None:
    now = IntervalMap.whole(10)  # 10; 5 5; 2 5 3 -> lengths by number
    lengths = []
    for _ in range(4):
        number = now.next_split("max")
        left, right = now.groups[number]
        lengths.append((number, right - left))
        now = now.split("max")
    assert lengths == [(0, 10), (0, 5), (1, 5), (2, 3)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one position"):
        IntervalMap.whole(0)
    for count in (2, 6):
        with pytest.raises(ValueError, match=f"{count} groups cannot be had from 3 groups of 5 positions"):
            IntervalMap.whole(5).grown(3).grown(count)
