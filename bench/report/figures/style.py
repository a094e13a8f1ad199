"""The one style sheet of figures for print: a column of 8.5 cm, type of 7 points or more, told apart without colour."""

from __future__ import annotations

from typing import Any

# Okabe & Ito (2008), for all kinds of colour vision, in an order in which neighbours differ in grey too; their yellow
# is too pale for lines.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#D55E00", "#56B4E9", "#009E73")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "p", ">")  # no multiple of the colours: 77 series differ
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2, 2, 2)))
FAINT = "#6b6b6b"
COLUMN = 8.5 / 2.54  # inches: a column of most journals and conferences
SMALLEST = 7.0  # points, of any type

RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same shapes on every machine
    "font.size": SMALLEST,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.linewidth": 0.6,
    "axes.labelpad": 2.5,
    "axes.titlepad": 4.0,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
    "legend.title_fontsize": SMALLEST,
    "legend.handlelength": 3.2,  # long enough to tell dashes apart
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
    "legend.labelspacing": 0.25,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.1,
    "text.parse_math": False,  # a class called $5 is a class called $5
    "svg.hashsalt": "imagebench",  # ids inside the file are random without it
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType: most venues refuse Type 3
    "pdf.compression": 0,  # the same bytes whichever zlib there is
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "path.simplify": False,
}


def look(i: int) -> dict[str, Any]:
    """Colour, marker and dash of the i-th series; told apart without colour too."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[i % len(DASHES)],
    }


def decade_steps(ends: tuple[float, float]) -> tuple[float, ...]:
    """Where a logarithmic axis divides its decades: at 1, 2 and 5 where it shows two of them at most."""
    return (1.0, 2.0, 5.0) if max(ends) / min(ends) < 150 else (1.0,)
