"""What a report cites, in BibTeX; a method, benchmark or judge names its own."""

from __future__ import annotations

from harness.records.base import Record


class Citation(Record):
    """An entry of a bibliography: its key and its BibTeX text."""

    key: str
    bibtex: str


def entry(kind: str, key: str, **fields: str) -> Citation:
    """A BibTeX entry of `kind` (article, inproceedings, misc, ...) with `fields` in their order."""
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return Citation(key=key, bibtex=f"@{kind}{{{key},\n{body}\n}}\n")


def arxiv(key: str, *, author: str, title: str, year: str, number: str) -> Citation:
    """The entry of a preprint by its arXiv number."""
    return entry("misc", key, author=author, title=title, year=year, eprint=number, archiveprefix="arXiv")
