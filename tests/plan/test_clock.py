"""Schedules: the last time and the next one, against a search minute by minute; what is no schedule is told."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from mldlc.plan import clock

NOW = "2026-11-26T09:19:45Z"  # a Thursday


@pytest.mark.parametrize(
    ("schedule", "last", "following"),
    [
        ("15m", "2026-11-26T09:15Z", "2026-11-26T09:30Z"),
        ("6h", "2026-11-26T06:00Z", "2026-11-26T12:00Z"),
        ("1d", "2026-11-26T00:00Z", "2026-11-27T00:00Z"),
        ("1w", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),
        ("0 3 * * mon", "2026-11-23T03:00Z", "2026-11-30T03:00Z"),
        ("0 3 * * 1", "2026-11-23T03:00Z", "2026-11-30T03:00Z"),
        ("30 4 1,15 * fri", "2026-11-20T04:30Z", "2026-11-27T04:30Z"),
        ("*/20 8-10 * nov *", "2026-11-26T09:00Z", "2026-11-26T09:20Z"),
        ("0 0 29 2 *", "2024-02-29T00:00Z", "2028-02-29T00:00Z"),
    ],
)
def test_last_and_following(schedule: str, last: str, following: str) -> None:
    assert (clock.last(schedule, NOW), clock.following(schedule, NOW)) == (last, following)
    assert clock.last(schedule, last) == last  # the minute itself counts
    assert clock.last(schedule, following) == following == clock.following(schedule, last)


@pytest.mark.parametrize("schedule", ["7,51 */6 * * *", "0 12 1-7 * sun", "5/25 1 * 2,3 *", "0 3 * * 7"])
def test_cron_is_a_search_minute_by_minute(schedule: str) -> None:
    rule, draw = clock.parse(schedule), random.Random(schedule)
    assert isinstance(rule, clock.Cron)
    for _ in range(3):
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=draw.randrange(500_000))
        back = moment
        while not (back.minute in rule.minutes and back.hour in rule.hours and rule.on(back.date())):
            back -= dt.timedelta(minutes=1)
        assert clock.last(schedule, moment.isoformat()) == back.strftime(clock.FORMAT)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("7", "neither an interval"), ("0d", "neither an interval"), ("0 3 * *", "neither an interval"),
        ("61 * * * *", "0 to 59"), ("x * * * *", "'x' is no minute"), ("0 3 * * 8", "0 to 7"),
        ("0 0 30 2 *", "never comes"), ("0 9-5 * * *", "is no hour"), ("*/0 * * * *", "is no minute"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_told(schedule: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clock.parse(schedule)
