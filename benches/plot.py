"""Draws the growth of the gate's time as an SVG of two log-log plots: python3 benches/plot.py CSV SVG.

The CSV has the columns tenants, migrations, portcullis (ms), raw (ms) and peak (MB). The plot by tenants uses the rows
with the most frequent number of migrations, and the plot by migrations those with the most frequent number of tenants.
"""

import csv
import math
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 300, 60, 48, 40


def main(source, target):
    rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(open(source))]
    migrations = max({row["migrations"] for row in rows}, key=lambda n: sum(row["migrations"] == n for row in rows))
    tenants = max({row["tenants"] for row in rows}, key=lambda n: sum(row["tenants"] == n for row in rows))
    by_tenants = sorted((row for row in rows if row["migrations"] == migrations), key=lambda row: row["tenants"])
    by_migrations = sorted((row for row in rows if row["tenants"] == tenants), key=lambda row: row["migrations"])
    parts = [
        plot(0, f"tenants ({migrations:.0f} migrations each)", "tenants", by_tenants),
        plot(WIDTH + 40, f"migrations ({tenants:.0f} tenants)", "migrations", by_migrations),
    ]
    open(target, "w").write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH + 40} {HEIGHT}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        + "".join(parts) + "</svg>\n"
    )


def plot(left, title, key, rows):
    values = [row[which] for row in rows for which in ("portcullis", "raw")]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    first, last = rows[0][key], max(rows[-1][key], rows[0][key] * 10)

    def x(value):
        share = (math.log10(value) - math.log10(first)) / (math.log10(last) - math.log10(first))
        return left + LEFT + share * (WIDTH - LEFT - 30)

    def y(value):
        share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    parts = [f'<text x="{left + LEFT}" y="18" font-size="13">milliseconds by {title}</text>']
    tick = low
    while tick <= high:
        parts.append(f'<path d="M{left + LEFT} {y(tick):.1f}H{left + WIDTH - 30}" stroke="#ddd"/>')
        parts.append(f'<text x="{left + LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,.0f}</text>')
        tick *= 10
    for row in rows:
        parts.append(f'<text x="{x(row[key]):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{row[key]:,.0f}</text>')
    for which, name, colour, dash in (("raw", "the same SQL through psql", "#888", "5 4"), ("portcullis", "portcullis verify", "#06c", "none")):
        points = " ".join(f"{x(row[key]):.1f},{y(row[which]):.1f}" for row in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>')
        for row in rows:
            parts.append(f'<circle cx="{x(row[key]):.1f}" cy="{y(row[which]):.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{left + LEFT + (0 if which == "portcullis" else 130)}" y="{HEIGHT - 10}" fill="{colour}">{name}</text>')
    return "".join(parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
