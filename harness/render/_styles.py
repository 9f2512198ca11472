"""What papers look like: three preambles of our own, with the widths that tables have to fit."""

from __future__ import annotations

from dataclasses import dataclass

CENTIMETRE, INCH = 28.45, 72.27
"""In TeX's points."""
TIMES = 0.94
"""How wide Times runs against Latin Modern."""
GAP = 5.0
"""`\\tabcolsep` of compact tables, on either side of a column, in points."""


@dataclass(frozen=True)
class Style:
    """A page's widths in points, and the sizes that tables may be set in, the first one that fits.

    `letters` is how wide the font runs against Latin Modern. A size is its command, its points, and the
    command and points of intervals, which stand one step below.
    """

    about: str
    letters: float
    column: float
    text: float
    sizes: tuple[tuple[str, float, str, float], ...]
    preamble: str

    @property
    def has_two_columns(self) -> bool:
        """Whether a table may span two columns."""
        return self.column < self.text


_COMMON = r"""\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{microtype}
\usepackage{booktabs,graphicx}
\usepackage{natbib}
"""
_TEN = (("small", 9.0, "footnotesize", 8.0), ("footnotesize", 8.0, "scriptsize", 7.0))
_ELEVEN = (("small", 10.0, "footnotesize", 9.0), ("footnotesize", 9.0, "scriptsize", 8.0))
_PLAIN = r"""\documentclass[10pt,a4paper]{article}
\usepackage[margin=2.5cm]{geometry}
\usepackage{lmodern}
\usepackage[skip=6pt]{caption}
"""
_ACL = r"""\documentclass[11pt,a4paper,twocolumn]{article}
\usepackage[margin=2.5cm]{geometry}
\setlength{\columnsep}{0.6cm}
\usepackage{times}
\usepackage[font=small,skip=6pt]{caption}
\usepackage{titlesec}
\titleformat*{\section}{\large\bfseries}
"""
_NEURIPS = r"""\documentclass[10pt,letterpaper]{article}
\usepackage[textwidth=5.5in,textheight=9in]{geometry}
\usepackage{times}
\usepackage[skip=6pt]{caption}
\usepackage{titlesec}
\titleformat*{\section}{\large\bfseries}
\setlength{\parindent}{0pt}
\setlength{\parskip}{5.5pt}
"""
STYLES = {
    "plain": Style("one column, Latin Modern", 1.0, 16 * CENTIMETRE, 16 * CENTIMETRE, _TEN, _PLAIN + _COMMON),
    "acl": Style("two columns, Times", TIMES, 7.7 * CENTIMETRE, 16 * CENTIMETRE, _ELEVEN, _ACL + _COMMON),
    "neurips": Style("one column, Times", TIMES, 5.5 * INCH, 5.5 * INCH, _TEN, _NEURIPS + _COMMON),
}
"""By name, as `--style` has it."""
