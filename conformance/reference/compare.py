"""Verdicts of two validators side by side: which files both refuse, both take, and where they differ."""
import collections
import json
import os
import re
import sys

ours, theirs, texts, took = {}, collections.defaultdict(list), {}, [0, 0]
for line in open(sys.argv[1], encoding="utf-8"):
    one = json.loads(line)
    name = os.path.basename(one["file"])
    issues = [issue for issue in one["outcome"]["issue"] if issue["severity"] in ("error", "fatal")]
    ours[name] = [(issue.get("expression", ["-"])[0], issue["details"]["text"]) for issue in issues]
    took[0] += one["micros"]
judged = set()
for line in open(sys.argv[2], encoding="utf-8"):
    name, place, text = line.rstrip("\n").split("\t", 2)
    if place == "=":
        judged.add(name)
        took[1] += int(text)
    else:
        theirs[name].append((place, text))
agree, places, both = 0, 0, 0
differ = []
plain = lambda places: {re.sub(r"/\*.*?\*/", "", place) for place, _ in places}
for name in sorted(judged & ours.keys()):
    if bool(ours[name]) == bool(theirs[name]):
        agree += 1
        if ours[name]:
            both += 1
            places += plain(ours[name]) == plain(theirs[name])
    else:
        differ.append(name)
for name in differ:
    side, told = ("only ours", ours[name]) if ours[name] else ("only theirs", theirs[name])
    for place, text in told[:3]:
        print(f"{name}: {side}: {place}: {text[:200]}")
total = len(judged & ours.keys())
print(f"{agree} of {total} verdicts agree ({100 * agree / max(total, 1):.1f} %); of {both} refused by both, {places} at the same places")
print(f"time: ours {took[0] / 1e6:.2f} s, theirs {took[1] / 1e6:.2f} s")
