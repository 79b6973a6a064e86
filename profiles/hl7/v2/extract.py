#!/usr/bin/env python3
"""Carries the facts of the HL7 v2 tables over from the Python package hl7apy into the .tsv files beside this script.

    python3 -m pip download --no-deps --no-binary :none: hl7apy==1.3.5 && unzip -q hl7apy-1.3.5-*.whl -d hl7apy-src
    python3 extract.py hl7apy-src

Same package, same bytes: rows are sorted and nothing depends on the time or the machine. What is written by hand
(events.tsv, errata.tsv) is not touched. SOURCE.md says what the columns mean.
"""
import importlib
import os
import re
import sys

VERSIONS = ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2"]
# Table 0354 gives one structure to S12-S24, S26 and S27; the package repeats it under each event in some versions.
SHARED = re.compile(r"SIU_S(1[3-9]|2[0-7])$")
SLIPS = {"TIIMING": "TIMING"}
WITHDRAWN = (None, "", "WD", "wd", "NUL")
# What stands among the codes of a table and is a range, a pattern or a remark: the table is then open.
OPEN = re.compile(r"\.\.\.|^\d+ ?_|nnnn|zzz$|xxx$|< ?\w+ ?>|and higher")
REMARKS = {
    "8H SHIFT", "An Identifier for a provi", "An Identifier for a provider a", "An identifier for a provider r",
    "E.g. Use in Care Plans,", "For micriobo", "L, M, N", "Meal Related Timings", "Not present", "Octet - stream",
    "Similar uses of above moods ma", "not present", "x - hl7 - cda - level - one",
}


def cardinality(pair):
    low, high = pair
    return str(low), ("*" if high == -1 else str(high))


def table_of(value):
    return re.sub(r"^HL7", "", value) if value else ""


def children_of(definition):
    """A definition is (kind, children), only the kind, or (a slip in 2.1) only the children."""
    if isinstance(definition[0], str):
        return definition[0], (definition[1] if len(definition) > 1 else ())
    return "sequence", definition


def fields(package):
    for segment, definition in package.SEGMENTS.items():
        kind, children = children_of(definition)
        if kind == "choice":  # "any segment": a wildcard, not a segment
            continue
        for name, _, pair, _ in children:
            number = int(name.rsplit("_", 1)[1])
            facts = package.FIELDS[name]
            datatype, label, table = facts[2], facts[-3], facts[-2]
            low, high = cardinality(pair)
            if datatype in WITHDRAWN:
                datatype, low, high, table = "", "0", "0", None
            yield (segment, number), (label or "", datatype, low, high, table_of(table))


def components(package):
    for datatype, children in package.DATATYPES_STRUCTS.items():
        for name, _, pair, _ in children:
            number = int(name.rsplit("_", 1)[1])
            facts = package.DATATYPES[name]
            kind, label, table = facts[2], facts[-3], facts[-2]
            low, high = cardinality(pair)
            if kind in WITHDRAWN:
                kind, low, high, table = "", "0", "0", None
            yield (datatype, number), (label or "", kind, low, high, table_of(table))


def expression(package, structure, children, kind):
    """HL7's abstract message syntax on one line: [optional] {repeating} NAME(group) <A|B>."""
    parts = []
    for name, _, (low, high), what in children:
        if what == "GRP":
            inner_kind, inner = children_of(package.GROUPS[name])
            label = name[len(structure) + 1:] if name.startswith(structure + "_") else name
            label = "CHOICE" if inner_kind == "choice" and label.endswith("_SUPPGRP") else SLIPS.get(label, label)
            text = label + "(" + expression(package, structure, inner, inner_kind) + ")"
        else:
            text = {"ANYHL7SEGMENT": "*", "ANYZSEGMENT": "Z*"}.get(name, name)
        if low == 0:
            text = "[" + text + "]"
        if high == -1:
            text = "{" + text + "}"
        elif high > 1:
            text = "{" + text + "}" + str(high)
        parts.append(text)
    return "<" + "|".join(parts) + ">" if kind == "choice" else " ".join(parts)


def structures(package):
    for name, definition in package.MESSAGES.items():
        if SHARED.match(name):
            continue
        kind, children = children_of(definition)
        yield (name,), (expression(package, name, children, kind),)


def tables(package):
    for name, (_, codes) in getattr(package, "TABLES", {}).items():
        number = table_of(name)
        if not re.fullmatch(r"\d{4}", number):  # a slip: 025, beside 0250
            continue
        written = {re.sub(r" \((obsolete|deprecated|star)\)$", "", (code or "").strip()) for code in codes} - {""}
        kept = sorted(code for code in written if code not in REMARKS and not OPEN.search(code))
        if kept:
            yield (number,), ("open" if len(kept) < len(written) else "", "|".join(kept))


def titles(packages):
    """The newest title of each table, as its versions differ in capitals only."""
    found = {}
    for package in packages:
        for name, (title, _) in getattr(package, "TABLES", {}).items():
            if title and title.strip():
                found[table_of(name)] = title.strip()
    return found


def shared_rows(packages, facts):
    """One row for each run of versions in which a key has the same facts."""
    rows = []
    open_rows = {}
    for index, package in enumerate(packages):
        seen = dict(facts(package))
        for key, value in seen.items():
            last = open_rows.get(key)
            if last and last[1] == index - 1 and last[2] == value:
                last[1] = index
            else:
                open_rows[key] = [index, index, value]
                rows.append((key, open_rows[key]))
    rows.sort(key=lambda row: (row[0], row[1][0]))
    for key, (since, until, value) in rows:
        yield [str(part) for part in key] + [VERSIONS[since], VERSIONS[until]] + list(value)


def main():
    sys.path.insert(0, sys.argv[1])
    packages = [importlib.import_module("hl7apy.v" + version.replace(".", "_")) for version in VERSIONS]
    named = titles(packages)
    here = os.path.dirname(os.path.abspath(__file__))
    for file, header, facts in (
        ("structures.tsv", "structure since until segments", structures),
        ("segments.tsv", "segment field since until name datatype min max table", fields),
        ("datatypes.tsv", "datatype component since until name type min max table", components),
        ("tables.tsv", "table since until title open codes", tables),
    ):
        with open(os.path.join(here, file), "w", encoding="utf-8", newline="\n") as out:
            out.write("\t".join(header.split()) + "\n")
            for row in shared_rows(packages, facts):
                if facts is tables:
                    row.insert(3, named.get(row[0], ""))
                out.write("\t".join(row) + "\n")


main()
