"""Times the Python peers, and compares what each translator made of the same documents."""
import json
import os
import re
import sys
import time
import xml.etree.ElementTree as Tree
from collections import defaultdict

APART = {"MSH", "SFT", "AUT", "IN1", "IN2", "IN3", "GT1", "ACC"}


def values(path):
    """The values of a document that a translation can be asked for."""
    text = open(path, encoding="utf-8-sig", errors="replace", newline="").read()
    if path.endswith(".xml"):
        found = set()
        for element in Tree.fromstring(text).iter():
            if element.text and not list(element):
                found.add(element.text.strip())
            for name in ("value", "displayName", "extension", "code"):
                found.add(element.get(name) or "")
        return {one for one in found if len(one) > 2}
    found = set()
    for segment in re.split(r"[\r\n]+", text):
        if segment[:3] in APART or len(segment) < 4:
            continue
        for field in segment.split(segment[3])[1:]:
            found.update(part.strip() for part in re.split(r"[\^&~]", field))
    return {one for one in found if len(one) > 2}


def text_of(bundle):
    """All text of a Bundle, once as it stands and once without what dates and numbers are set apart with."""
    parts = []
    open_ = [bundle]
    while open_:
        one = open_.pop()
        if isinstance(one, dict):
            open_.extend(one.values())
        elif isinstance(one, list):
            open_.extend(one)
        else:
            parts.append(str(one))
    text = "\n".join(parts)
    return text, re.sub(r"[-:T ]", "", text)


def share(path, bundle):
    """How many of a document's values are found, and how many there are."""
    wanted = values(path)
    text, bare = text_of(bundle)
    return sum(1 for one in wanted if one in text or re.sub(r"[-:T ]", "", one) in bare), len(wanted)


def told(peer, path, micros, bundle):
    found, of = share(path, bundle) if bundle is not None else (0, 0)
    line = {"peer": peer, "file": os.path.basename(path), "micros": micros, "found": found, "of": of}
    print(json.dumps(line), flush=True)


def shortest(work):
    best = float("inf")
    until = time.perf_counter() + 1.0
    runs = 0
    while runs < 5 or (time.perf_counter() < until and runs < 500):
        before = time.process_time()
        result = work()
        best = min(best, time.process_time() - before)
        runs += 1
    return best * 1e6, result


def peers(paths):
    import logging

    logging.disable(logging.CRITICAL)
    from v2fhir import convert as bridge
    from v2fhir.config import Config
    from v2fhir.hl7 import parser

    import ccda_to_fhir

    for path in paths:
        data = open(path, "rb").read()
        if path.endswith(".xml"):
            name, work = "ccda-to-fhir", lambda: ccda_to_fhir.convert_document(data.decode())
        else:
            settings = Config()
            name, work = "hl7v2-fhir-bridge", lambda: bridge.convert(parser.parse_bytes(data), settings).bundle
        try:
            micros, result = shortest(work)
        except Exception as refused:  # whatever a peer breaks by is its answer
            print(json.dumps({"peer": name, "file": os.path.basename(path), "refused": type(refused).__name__}), flush=True)
            continue
        if not isinstance(result, dict):
            result = getattr(result, "bundle", result)
            result = result if isinstance(result, dict) else json.loads(result.json() if hasattr(result, "json") else str(result))
        told(name, path, micros, result)


def line(path, bundle, timed):
    text = open(bundle, encoding="utf-8").read()
    found = re.search(r"to FHIR ([0-9.]+)(ns|µs|ms|s) ", open(timed, encoding="utf-8").read())
    if not text.strip():
        print(json.dumps({"peer": "silta", "file": os.path.basename(path), "refused": "refused"}))
        return
    scale = {"ns": 1e-3, "µs": 1.0, "ms": 1e3, "s": 1e6}
    told("silta", path, float(found.group(1)) * scale[found.group(2)] if found else None, json.loads(text))


def table(paths):
    rows = defaultdict(dict)
    for path in paths:
        for text in open(path, encoding="utf-8"):
            one = json.loads(text)
            if "bundle" in one:
                one["found"], one["of"] = share(one["path"], one["bundle"])
            rows[one["file"]][one["peer"]] = one
    for file, by in sorted(rows.items()):
        print(file)
        ours = (by.get("silta") or {}).get("micros")
        for peer, one in sorted(by.items(), key=lambda item: item[0] != "silta"):
            if "refused" in one:
                print(f"  {peer:22} refused ({one['refused']})")
                continue
            times = f"{one['micros'] / ours:8.1f} x" if ours and one["micros"] and peer != "silta" else " " * 10
            what = f"values found {one['found']} of {one['of']}" if one["of"] else "parsed only"
            micros = f"{one['micros']:10.0f} µs" if one["micros"] else " " * 13
            print(f"  {peer:22}{micros}{times}  {what}")


if __name__ == "__main__":
    mode, rest = sys.argv[1], sys.argv[2:]
    if mode == "peers":
        peers(rest)
    elif mode == "line":
        line(*rest)
    else:
        table(rest)
