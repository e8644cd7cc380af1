"""A bar chart as SVG, by hand: a plotting library would be the largest thing here."""

from html import escape

ROW, LABEL, WIDTH = 26, 190, 560


def bars(values: dict, title: str, subtitle: str) -> str:
    """Horizontal bars, the longest first; ours in a colour of their own."""
    order = sorted(values, key=values.get, reverse=True)
    longest = max(values.values(), default=1) or 1
    height = 64 + ROW * len(order)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 70}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-size="16">{escape(title)}</text>',
        f'<text x="10" y="42" fill="#666">{escape(subtitle)}</text>',
    ]
    for row, name in enumerate(order):
        y, width = 54 + ROW * row, WIDTH * values[name] / longest
        colour = "#c0392b" if name.startswith("paidan") else "#7f8c8d"
        lines.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{ROW - 6}" fill="{colour}"/>')
        lines.append(f'<text x="{LABEL + width + 6:.1f}" y="{y + 15}">{values[name]:.0f}</text>')
    return "\n".join([*lines, "</svg>"])
