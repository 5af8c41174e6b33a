"""Catalogues without the tools of GNU gettext: texts that are marked, texts that are listed, a false language."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

from tests.support.platform_process import ROOT

FOLDERS = ("alerts", "subsystems", "vsm_site")
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
QUOTED = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
MARKED = re.compile(rf"\b(?:n?gettext|_)\({QUOTED}(?:,\s*{QUOTED})?", re.DOTALL)
MARKS = re.compile(r"(?:django\.utils\.translation|kernel\.texts) import")
SAID = re.compile(rf"\btn?\({QUOTED}(?:,\s*{QUOTED})?")
ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr(?:\[\d\])?) ((?:".*"\n)+)', re.MULTILINE)
OPEN, CLOSE = "⟦", "⟧"
MAGIC = 0x950412DE

Text = tuple[str, str]  # the text, and its plural where it has one


def marked() -> Iterator[tuple[Text, Path]]:
    """Yield each text of the pages that is marked in Python or in a template, and where."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if MARKS.search(source := path.read_text()):
                yield from ((text, path) for text in in_python(source))
        for path in (ROOT / folder).rglob("*.html"):
            yield from ((text, path) for text in in_template(path.read_text()))


def in_python(source: str) -> Iterator[Text]:
    """Yield the texts that are marked in Python."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if words:
                yield words[0], words[1] if node.func.id.startswith("n") and len(words) > 1 else ""


def in_template(source: str) -> Iterator[Text]:
    """Yield the texts that are marked in a template."""
    for one, many in MARKED.findall(templatize(source)):
        yield ast.literal_eval(one), ast.literal_eval(many) if many else ""


def in_script(source: str) -> Iterator[Text]:
    """Yield the texts that are marked in a script."""
    for one, many in SAID.findall(source):
        yield ast.literal_eval(one), ast.literal_eval(many) if many else ""


def listed(path: Path) -> list[Text]:
    """Return the texts of the catalogue at *path*."""
    found: list[Text] = []
    for name, lines in ENTRY.findall(path.read_text() + "\n"):
        text = "".join(ast.literal_eval(line) for line in lines.splitlines())
        if name == "msgid":
            found.append((text, ""))
        elif name == "msgid_plural":
            found[-1] = (found[-1][0], text)
    return [each for each in found if each[0]]


def compile_brackets(texts: list[Text], path: Path) -> None:
    """Write a catalogue in which each of *texts* stands in brackets: whatever stands outside was not translated."""
    pairs = {"": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"}
    for one, many in texts:
        pairs["\0".join(filter(None, (one, many)))] = "\0".join(f"{OPEN}{each}{CLOSE}" for each in (one, many) if each)
    keys = sorted(pairs, key=str.encode)
    blobs = [key.encode() for key in keys] + [pairs[key].encode() for key in keys]
    count, start = len(keys), 28 + 16 * len(keys)
    table = []
    for blob in blobs:
        table += [len(blob), start]
        start += len(blob) + 1
    head = struct.pack("<7I", MAGIC, 0, count, 28, 28 + 8 * count, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + struct.pack(f"<{len(table)}I", *table) + b"".join(blob + b"\0" for blob in blobs))
