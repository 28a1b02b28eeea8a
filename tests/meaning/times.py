"""Times as people write them: no row is taken for another moment, and none for a step of a forecast by its place."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from meaning.corpus import Case, day, hour, month, table, text

COUNT = 70
DAYS = ("task.kind=forecasting", "task.horizon=2", "task.context=8")
NEXT = {"day": "2023-03-12T00:00:00", "prediction": (128, 142)}
RANDOM = "drawn at random"


def rising(i: int) -> float:
    """A number by which later rows can be told from earlier ones."""
    return 100 + i / 2


def newest_first(write: Callable[[int], Any], name: str = "day", count: int = COUNT) -> Callable[[Path], Path]:
    """A table of times and a rising number, as banks export it: the last row first."""
    return table(f"{name},y", lambda i: f"{write(count - 1 - i)},{rising(count - 1 - i)}", count)


def spelled(name: str, write: Callable[[int], Any], form: str = "", **more: Any) -> Case:
    """Days newest first, written in some way, and forecast forwards."""
    notes = (f"read by {form}",) if form else ()
    facts = {"kinds": {"day": "time"}, "used": COUNT, "notes": notes, "answer": NEXT} | more
    return Case(name, newest_first(write), target="y", sets=DAYS, task="forecasting", **facts)


def berlin(i: int) -> datetime:
    """Midnights in Berlin, of which the last are in summer time."""
    return datetime(2023, 1, 20, tzinfo=ZoneInfo("Europe/Berlin")) + timedelta(days=i)


def frame(times: Any) -> Callable[[Path], pd.DataFrame]:
    return lambda folder: pd.DataFrame({"day": times, "y": [rising(i) for i in range(len(times))]})


def week(i: int) -> Any:
    """Year and number of a week."""
    return day(7 * i, "2022-01-03").isocalendar()


def birthday(i: int) -> date:
    return date(1950 + i * 37 % 50, 1 + i * 7 % 12, 1 + i * 11 % 28)


SPELLINGS = [
    spelled("month_names", lambda i: f'"{day(i):%b %d, %Y}"', "%b %d, %Y"),
    spelled("whole_month_names", lambda i: f"{day(i):%d %B %Y}", "%d %b %Y"),
    spelled("weekdays_and_names", lambda i: f'"{day(i):%A, %B %d, %Y}"', "%a, %b %d, %Y"),
    spelled("american_midnights", lambda i: f"{day(i):%m/%d/%Y} 12:00:00 AM", "%m/%d/%Y %I:%M:%S %p"),
    spelled("dashes_day_first", lambda i: f"{day(i):%d-%m-%Y}", "%d-%m-%Y"),
    spelled("dots_year_first", lambda i: f"{day(i):%Y.%m.%d}", "%Y.%m.%d"),
    spelled("digits", lambda i: f"{day(i):%Y%m%d}", "%Y%m%d"),
    spelled("digits_with_a_gap", lambda i: "" if i == 5 else f"{day(i):%Y%m%d}.0", used=COUNT - 1, aside=1),
    spelled("two_digit_years", lambda i: f"{day(i):%d.%m.%y}", "%d.%m.%y"),
    spelled("two_digit_years_first", lambda i: f"{day(i):%y/%m/%d}", "%y/%m/%d"),
    spelled("names_and_short_years", lambda i: f"{day(i):%d-%b-%y}", "%d-%b-%y"),
    spelled("mail", lambda i: f'"{day(i):%a, %d %b %Y} 00:00:00 +0000"', answer={"day": "2023-03-12T00:00:00+00:00"}),
    spelled("ordinals", lambda i: f'"{day(i):%B} {day(i).day}th, {day(i):%Y}"', "%b %d, %Y"),
    spelled("days_of_the_year", lambda i: f"{day(i):%Y-%j}", "%Y-%j"),
    spelled("chinese", lambda i: f"{day(i):%Y年%m月%d日}"),
    spelled("logs", lambda i: f'"{day(i)} 00:00:00,123"'),
    spelled(
        "one_that_is_none", lambda i: "soon" if i == 5 else day(i), used=COUNT - 1, aside=1, notes=("1 of 70 times",)
    ),
]

FORECASTS = [
    Case(
        "seconds_since_1970",
        newest_first(lambda i: int((day(i) - date(1970, 1, 1)).total_seconds()) + 7, "created_at"),
        target="y",
        sets=DAYS,
        kinds={"created_at": "time"},
        notes=("seconds since 1970",),
        answer={"created_at": "2023-03-12T00:00:07", "prediction": (128, 142)},
    ),
    Case(
        "milliseconds_since_1970",
        newest_first(lambda i: int((day(i) - date(1970, 1, 1)).total_seconds()) * 1000, "x"),
        target="y",
        sets=DAYS,
        kinds={"x": "time"},
        notes=("milliseconds since 1970",),
        answer={"x": "2023-03-12T00:00:00"},
    ),
    Case(
        "iso_weeks",
        newest_first(lambda i: f"{day(7 * i, '2022-01-03'):%G-W%V}", "week"),
        target="y",
        sets=DAYS,
        kinds={"week": "time"},
        answer={"week": "2023-05-08T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "quarters",
        newest_first(lambda i: f"{2000 + i // 4}Q{i % 4 + 1}", "quarter"),
        target="y",
        sets=DAYS,
        kinds={"quarter": "time"},
        answer={"quarter": "2017-07-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "months_as_funds_write_them",
        newest_first(lambda i: f"{month(i):%YM%m}", "month"),
        target="y",
        sets=DAYS,
        kinds={"month": "time"},
        answer={"month": "2020-11-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "short_months",
        newest_first(lambda i: f"{month(i):%b-%y}", "month"),
        target="y",
        sets=DAYS,
        kinds={"month": "time"},
        answer={"month": "2020-11-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "hours_with_am_and_pm",
        newest_first(lambda i: f"{hour(i):%m/%d/%Y %I:%M %p}", "at"),
        target="y",
        sets=DAYS,
        kinds={"at": "time"},
        answer={"at": "2023-01-03T22:00:00", "prediction": (128, 142)},
    ),
    Case(
        "months_day_first",
        newest_first(lambda i: f"{month(i):%d/%m/%Y}", "month"),
        target="y",
        sets=DAYS,
        notes=("read by %d/%m/%Y, and %m/%d/%Y fits all cells too: --set columns.month.format=%m/%d/%Y",),
        answer={"month": "2020-11-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "months_month_first",
        newest_first(lambda i: f"{month(i):%m/%d/%Y}", "month"),
        target="y",
        sets=DAYS,
        notes=("read by %m/%d/%Y, and %d/%m/%Y fits all cells too",),
        answer={"month": "2020-11-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "one_order_of_day_and_month_in_a_table",
        table("start,end,y", lambda i: f"{day(i * 5 % 12):%d/%m/%Y},{day(i):%d/%m/%Y},{rising(i)}"),
        target="y",
        sets=("task.kind=regression",),
        notes=("as 'end' shows",),
        cells={"start": ["2023-01-01T00:00:00", "2023-01-06T00:00:00"]},
    ),
    Case(
        "a_day_and_a_clock",
        table("Date;Time;y", lambda i: f"{hour(i, '2023-01-20'):%d/%m/%Y;%H:%M:%S};{rising(i)}", COUNT),
        target="y",
        sets=DAYS,
        kinds={"Date": "time", "Time": "time"},
        notes=("The time was made of 'Date' and the clock 'Time'",),
        answer={"time": "2023-01-22T22:00:00", "prediction": (128, 142)},
    ),
    Case(
        "years_and_months",
        table("year,month,y", lambda i: f"{month(69 - i).year},{month(69 - i).month},{rising(69 - i)}", COUNT),
        target="y",
        sets=DAYS,
        answer={"time": "2020-11-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "years_of_countries",
        table("country,year,y", lambda i: f"{'ab'[i // 70]},{2019 - i % 70},{rising(69 - i % 70)}", 2 * COUNT),
        target="y",
        sets=DAYS,
        notes=("The series are told apart by 'country'",),
        answer={"country": "a", "year": 2020, "prediction": (128, 142)},
    ),
    Case(
        "years_and_quarters",
        table("year,quarter,y", lambda i: f"{2017 - (i + 2) // 4},{(69 - i) % 4 + 1},{rising(69 - i)}", COUNT),
        target="y",
        sets=DAYS,
        answer={"time": "2017-07-01T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "years_and_weeks",
        table("year,week,y", lambda i: f"{week(69 - i).year},{week(69 - i).week},{rising(69 - i)}", COUNT),
        target="y",
        sets=DAYS,
        answer={"time": "2023-05-08T00:00:00", "prediction": (128, 142)},
    ),
    Case(
        "cycles_of_units",
        table("unit,cycle,y", lambda i: f"u{i // 70 + 1},{70 - i % 70},{rising(69 - i % 70)}", 2 * COUNT),
        target="y",
        sets=DAYS,
        notes=("The series are told apart by 'unit'", "'cycle' was taken as the time"),
        answer={"unit": "u1", "cycle": 71, "prediction": (128, 142)},
    ),
    Case(
        "days_as_spreadsheets_count_them",
        newest_first(lambda i: 45_000 + i, "date"),
        target="y",
        sets=DAYS,
        notes=("'date' was taken as the time",),
        answer={"date": 45_070, "prediction": (128, 142)},
    ),
    Case(
        "hours_up_to_24",
        newest_first(lambda i: f"{hour(i - 1):%d.%m.%Y} {hour(i - 1).hour + 1:02}:00", "at"),
        target="y",
        sets=DAYS,
        used=COUNT,
        answer={"at": "2023-01-03T22:00:00", "prediction": (128, 142)},
    ),
    Case(
        "steps_that_count_down",
        newest_first(lambda i: i, "step"),
        target="y",
        sets=DAYS,
        notes=("'step' was taken as the time",),
        answer={"step": 70, "prediction": (128, 142)},
    ),
]

UNREAD = [
    Case(
        "times_that_cannot_be_read",
        newest_first(lambda i: f"{day(i).day}. Mai {1950 + i}"),
        target="y",
        sets=DAYS,
        error=("'day' looks like times", "columns.day.format"),
    ),
    Case(
        "numbers_of_days",
        newest_first(lambda i: f"day {i}"),
        target="y",
        sets=DAYS,
        error=("columns.day.format", "columns.day=category"),
    ),
    Case(
        "half_of_the_times",
        newest_first(lambda i: day(i) if i % 4 else f"the {i}th day"),
        target="y",
        sets=DAYS,
        error=("columns.day.format",),
    ),
    Case(
        "clocks_without_days",
        newest_first(lambda i: f"{hour(i):%H:%M}", "at"),
        target="y",
        sets=DAYS,
        error=("'at' holds times of day", "columns.at=ignore"),
    ),
    Case(
        "the_format_is_said",
        newest_first(lambda i: f"day {day(i):%j of %Y}"),
        target="y",
        sets=(*DAYS, "columns.day.format=day %j of %Y"),
        answer=NEXT,
    ),
    Case(
        "the_order_of_rows_is_said",
        table("day,y", lambda i: f"day {i},{rising(i)}", COUNT),
        target="y",
        sets=(*DAYS, "columns.day=ignore"),
        notes=("No column of time was found",),
        rows=[{"y": rising(i)} for i in range(COUNT)],
        answer={"step": 1, "prediction": (128, 142)},
    ),
]

RANDOM_ROWS = [
    Case(
        "a_line_pasted_twice",
        table("day,y", lambda i: f"{day(i)},{rising(i)}", 120, more=[f"{day(50)},{rising(50)}"]),
        target="y",
        task="forecasting",
        used=120,
        aside=1,
        notes=("1 row at the time of another", "--task regression"),
        answer={"day": "2023-05-01T00:00:00"},
    ),
    Case(
        "a_line_pasted_twice_beside_other_columns",
        table("day,x,y", lambda i: f"{day(i)},{i % 7},{rising(i)}", 120, more=[f"{day(50)},1,{rising(50)}"]),
        target="y",
        task="regression",
        notes=("1 row at the time of another", RANDOM, "--set split=time"),
    ),
    Case(
        "a_regression_on_random_days",
        table("day,x,y", lambda i: f"{day(i):%m/%d/%Y},{i % 7},{rising(i)}", 120),
        target="y",
        sets=("task.kind=regression",),
        kinds={"day": "time"},
        notes=(RANDOM, "by 'day'"),
    ),
    Case(
        "birthdays_are_no_order",
        table("born,x,y", lambda i: f"{birthday(i)},{i % 7},{rising(i)}", 120),
        target="y",
        sets=("task.kind=regression",),
        kinds={"born": "time"},
        silent=(RANDOM,),
    ),
    Case(
        "the_latest_rows_judge",
        table("day,x,y", lambda i: f"{day(119 - i):%m/%d/%Y},{i % 7},{rising(i)}", 120),
        target="y",
        sets=("task.kind=regression", "split=time"),
        notes=("Rows were put in order of time, by 'day'",),
        silent=(RANDOM,),
    ),
]

ZONES = [
    spelled("an_offset", lambda i: f"{day(i)}T00:00:00+02:00", answer={"day": "2023-03-12T00:00:00+02:00"}),
    spelled("utc", lambda i: f"{day(i)}T00:00:00Z", answer={"day": "2023-03-12T00:00:00+00:00"}),
    spelled("a_name_of_a_zone", lambda i: f"{day(i)} 00:00:00 EST", answer={"day": "2023-03-12T00:00:00-05:00"}),
    spelled("summer_time", lambda i: berlin(i).isoformat(), answer={"day": "2023-03-31T00:00:00+02:00"}),
    Case(
        "a_frame_of_berlin",
        frame(pd.date_range("2023-01-20", periods=COUNT, tz="Europe/Berlin")),
        target="y",
        sets=DAYS,
        answer={"day": "2023-03-31T00:00:00+02:00", "prediction": (128, 142)},
    ),
    Case(
        "moments_in_lists",
        lambda folder: [{"day": berlin(i), "y": rising(i)} for i in range(COUNT)],
        target="y",
        sets=DAYS,
        answer={"day": "2023-03-31T00:00:00+02:00", "prediction": (128, 142)},
    ),
]

TABLES = [
    Case(
        "a_time_of_day_is_a_time",
        table("at,x,y", lambda i: f"{hour(i):%I:%M %p},{i % 7},{i % 24}"),
        target="y",
        sets=("task.kind=regression",),
        kinds={"at": "time"},
        notes=("times of day",),
        silent=(RANDOM,),
    ),
    Case(
        "sort_codes_are_no_times",
        table("code,x,y", lambda i: f"{30 + i % 5}-{40 + i % 3}-{50 + i % 2},{i % 7},{rising(i)}"),
        target="y",
        kinds={"code": "category"},
    ),
    Case(
        "large_amounts_are_no_times",
        table("amount,x,y", lambda i: f"{1_500_000_001 + 7919 * i * i},{i % 7},{rising(i)}"),
        target="y",
        kinds={"amount": "number"},
    ),
    Case(
        "json_lines_of_moments",
        text(
            "".join(f'{{"at": "{hour(i):%d/%b/%Y:%H:%M:%S} +0200", "y": {rising(i)}}}\n' for i in range(COUNT)),
            "a.jsonl",
        ),
        target="y",
        sets=DAYS,
        kinds={"at": "time"},
        answer={"at": "2023-01-03T22:00:00+02:00"},
    ),
]

CASES = [*SPELLINGS, *FORECASTS, *UNREAD, *RANDOM_ROWS, *ZONES, *TABLES]
