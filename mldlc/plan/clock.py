"""Times that come again, by an interval ("7d") or cron's five fields, in UTC: the last one and the next one."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MONDAY = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)  # intervals are counted from here, so weeks begin on Mondays
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
FORMAT = "%Y-%m-%dT%H:%MZ"
FARTHEST = 8 * 366  # days: 29 February comes at least once in that time


@dataclass(frozen=True)
class Cron:
    """Allowed values of each field. either: day and weekday are both restricted, and one of them is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: dt.date) -> bool:
        """Whether it comes on this day."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either else of_month and of_week)


def parse(schedule: str) -> dt.timedelta | Cron:
    """ValueError, for a person to read, when it is neither an interval nor cron's five fields."""
    if found := re.fullmatch(r"([1-9]\d*)([mhdw])", schedule):
        return dt.timedelta(seconds=int(found[1]) * UNITS[found[2]])
    texts = schedule.split()
    if len(texts) != len(FIELDS):
        raise ValueError(
            f"'{schedule}' is neither an interval (15m, 6h, 7d, 2w) nor the five fields of cron (0 3 * * mon)"
        )
    values = [_field(text, *field) for text, field in zip(texts, FIELDS, strict=True)]
    weekdays = frozenset(value % 7 for value in values[4])
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    cron = Cron(tuple(values[0]), tuple(values[1]), frozenset(values[2]), frozenset(values[3]), weekdays, either)
    if not any(cron.on(dt.date(2024, 1, 1) + dt.timedelta(days=number)) for number in range(FARTHEST)):
        raise ValueError(f"'{schedule}' never comes: no month has such a day")
    return cron


def _field(text: str, name: str, low: int, high: int) -> list[int]:
    """The values that a field allows, ascending."""
    out: set[int] = set()
    for item in text.lower().split(","):
        found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", item)
        if not found or (found[1] == "*" and found[2]):
            raise ValueError(f"'{item}' is no {name} of cron")
        first, last = (low, high) if found[1] == "*" else (_value(found[1], name), _value(found[2] or found[1], name))
        if found[3] and found[1] != "*" and not found[2]:
            last = high  # 5/10: from 5 on
        step = int(found[3] or 1)
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"'{item}' is no {name} of cron: {low} to {high}")
        out.update(range(first, last + 1, step))
    return sorted(out)


def _value(text: str, name: str) -> int:
    names = NAMES.get(name, [])
    if text[:3] in names and text.isalpha():
        return names.index(text[:3]) + (name == "month")
    if not text.isdecimal():
        raise ValueError(f"'{text}' is no {name} of cron")
    return int(text)


def last(schedule: str, now: str) -> str:
    """The last such time at or before `now` (ISO), as text that sorts by time."""
    return _text(_last(parse(schedule), dt.datetime.fromisoformat(now)))


def following(schedule: str, now: str) -> str:
    """The next such time after `now`."""
    rule, moment = parse(schedule), dt.datetime.fromisoformat(now)
    if isinstance(rule, dt.timedelta):
        return _text(_last(rule, moment) + rule)
    for number in range(FARTHEST):
        day = moment.date() + dt.timedelta(days=number)
        times = (_at(day, hour, minute) for hour in rule.hours for minute in rule.minutes) if rule.on(day) else ()
        if found := next((time for time in times if time > moment), None):
            return _text(found)
    raise AssertionError(schedule)


def _last(rule: dt.timedelta | Cron, now: dt.datetime) -> dt.datetime:
    if isinstance(rule, dt.timedelta):
        return MONDAY + (now - MONDAY) // rule * rule
    for number in range(FARTHEST):
        day = now.date() - dt.timedelta(days=number)
        times = (_at(day, h, m) for h in reversed(rule.hours) for m in reversed(rule.minutes)) if rule.on(day) else ()
        if found := next((time for time in times if time <= now), None):
            return found
    raise AssertionError(rule)


def _at(day: dt.date, hour: int, minute: int) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=dt.UTC)


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime(FORMAT)
