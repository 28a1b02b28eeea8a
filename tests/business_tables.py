"""Three tables as businesses have them: dates, prices, ids, durations, orderings, totals and fixed combinations."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

CITIES = {
    "Paris": "France",
    "Lyon": "France",
    "Rome": "Italy",
    "Turin": "Italy",
    "Berlin": "Germany",
    "Bonn": "Germany",
}
FIRST = datetime(2023, 1, 1)


def bookings(rows: int = 600, seed: int = 0) -> pa.Table:
    """Hotel stays: guests leave after they arrive, and pay per night."""
    rng = np.random.default_rng(seed)
    arrival = [FIRST + timedelta(days=int(day)) for day in rng.integers(0, 700, rows)]
    nights = 1 + rng.poisson(2.5, rows)
    departure = [day + timedelta(days=int(n)) for day, n in zip(arrival, nights, strict=True)]
    room = rng.choice(["single", "double", "suite"], rows, p=[0.4, 0.5, 0.1])
    price = np.round(nights * np.where(room == "suite", 400, 150) * rng.uniform(0.8, 1.3, rows), 2)
    city = rng.choice([*CITIES], rows)
    discount = rng.choice([0.0, 5.0, 7.5, 12.5], rows)
    return pa.table(
        {
            "booking_id": [f"BK-{n:06}" for n in 4211 + np.cumsum(rng.integers(1, 9, rows))],
            "check_in": [day.strftime("%Y-%m-%d") for day in arrival],
            "check_out": [day.strftime("%Y-%m-%d") for day in departure],
            "nights": nights,
            "room": room,
            "price": [f"${value:,.2f}" for value in price],
            "discount": [f"{value:.1f} %" for value in discount],
            "phone": [f"+49 170 {n}" for n in rng.integers(1_000_000, 9_999_999, rows)],
            "city": city,
            "country": [CITIES[name] for name in city],
            "cancelled": rng.choice(["Yes", "No"], rows, p=[0.2, 0.8]),
        }
    )  # fmt: skip


def maintenance(rows: int = 600, seed: int = 0) -> pa.Table:
    """Work on machines, on weekdays from 7 to 16 in a zone of summer and winter."""
    rng = np.random.default_rng(seed)
    days = [day for day in range(700) if (FIRST + timedelta(days=day)).weekday() < 5]
    hours = np.clip(rng.normal(11, 2, rows), 7, 16)
    begin = [
        FIRST + timedelta(days=int(day), seconds=int(hour * 3600))
        for day, hour in zip(rng.choice(days, rows), hours, strict=True)
    ]
    minutes = 5 * (1 + rng.poisson(15, rows))
    end = [moment + timedelta(minutes=int(n), seconds=17) for moment, n in zip(begin, minutes, strict=True)]
    spelled = [
        [moment.replace(tzinfo=ZoneInfo("Europe/Berlin")).isoformat() for moment in some] for some in (begin, end)
    ]
    temperature, balance = rng.normal(45, 30, rows), rng.normal(500, 1500, rows).round()
    letters, codes = rng.choice([*"ABCDEFGH"], (rows, 2)), rng.integers(0, 9999, rows)
    names = ["".join(word) for word in rng.choice([*"abcdeo"], (rows, 6))]
    return pa.table(
        {
            "machine": rng.choice(["M-01", "M-02", "M-07"], rows),
            "started": spelled[0],
            "finished": spelled[1],
            "duration": [f"{n // 60} h {n % 60:02} min" if n >= 60 else f"{n} min" for n in minutes.tolist()],
            "part": [f"{a}{b}{n:04}" for (a, b), n in zip(letters, codes, strict=True)],
            "temperature": [f"{value:.1f}".replace(".", ",") for value in temperature],
            "balance": [(f"({-v:,.0f})" if v < 0 else f"{v:,.0f}").replace(",", ".") for v in balance],
            "shift": np.where(hours < 11, "early", "late"),
            "visit": [moment.strftime("%d %B %Y") for moment in begin],
            "weekday": [moment.strftime("%A") for moment in begin],
            "technician": [f"Tech{name} {name[::-1].title()}sen" for name in names],
        }
    )  # fmt: skip


def invoices(rows: int = 600, seed: int = 0) -> pa.Table:
    """Sales: total is quantity times price, dates without marks, weights with a unit."""
    rng = np.random.default_rng(seed)
    day = [FIRST + timedelta(days=int(n)) for n in rng.integers(0, 700, rows)]
    quantity = 1 + rng.poisson(4, rows)
    price = rng.integers(2, 90, rows) - 0.01
    city = rng.choice([*CITIES], rows)
    due = [moment + timedelta(days=int(n)) for moment, n in zip(day, rng.choice([14, 30], rows), strict=True)]
    net = np.round(quantity * price, 2)
    tax = np.round(0.19 * net, 2)
    return pa.table(
        {
            "invoice": [f"{n:08}" for n in rng.permutation(rows) + 10_345],
            "date": [int(moment.strftime("%Y%m%d")) for moment in day],
            "due": [moment.strftime("%d%m%Y") for moment in due],
            "quantity": quantity,
            "price": [f"{value:.2f}" for value in price],
            "net": [f"{value:.2f}" for value in net],
            "tax": [f"{value:.2f}" for value in tax],
            "gross": [f"{value:.2f}" for value in net + tax],
            "weight": [f"{value:.1f} kg" for value in np.round(quantity * rng.uniform(0.5, 4, rows), 1)],
            "rating": [str(float(n)) for n in rng.integers(1, 6, rows)],
            "postcode": [f"{n:05}" for n in rng.integers(400, 99_999, rows)],
            "city": city,
            "country": [CITIES[name] for name in city],
        }
    )  # fmt: skip


TABLES = {"bookings": bookings, "maintenance": maintenance, "invoices": invoices}
