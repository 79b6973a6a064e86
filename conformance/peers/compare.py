"""How many files each validator refuses, and what it needed for all of them."""
import json
import os
import sys

ours, micros = {}, {}
for line in open(sys.argv[1], encoding="utf-8"):
    one = json.loads(line)
    name = os.path.basename(one["file"])
    ours[name] = any(issue["severity"] in ("error", "fatal") for issue in one["outcome"]["issue"])
    micros[name] = one["micros"]
took = sum(micros.values())
print(f"silta: refuses {sum(ours.values())} of {len(ours)}, {took / 1000:.1f} ms")
for path in sys.argv[2:]:
    peer = [json.loads(line) for line in open(path, encoding="utf-8")]
    total = sum(one["micros"] for one in peer)
    refused = {one["file"] for one in peer if one["errors"]}
    broken = sum(1 for one in peer if one["errors"] and one["errors"][0].startswith("broken"))
    agree = sum((one["file"] in refused) == ours.get(one["file"]) for one in peer)
    print(
        f"{os.path.basename(path)}: refuses {len(refused)} of {len(peer)} ({broken} by breaking), verdicts as ours on {agree}, "
        f"{total / 1000:.1f} ms, {total / max(took, 1):.1f} times ours"
    )
