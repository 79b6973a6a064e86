"""http.html#search, search.html"""

import urllib.parse

from wire import equal


def case_a_searchset_says_what_each_entry_is(server):
    answer = server.search("CarePlan", ("_include", "CarePlan:activity-reference"))
    equal(200, answer.status)
    bundle = answer.json
    equal(("Bundle", "searchset"), (bundle["resourceType"], bundle["type"]))
    modes = {entry["search"]["mode"] for entry in bundle["entry"]}
    assert modes <= {"match", "include", "outcome"} and "match" in modes and "include" in modes, modes
    assert any(link["relation"] == "self" for link in bundle["link"])


def case_no_link_holds_the_identity_code(server):
    value = server.patient.split("|")[1]
    for link in server.search("CarePlan", ("_count", "1")).json["link"]:
        assert value not in urllib.parse.unquote(link["url"])


def case_pages_follow_one_another_to_the_end(server):
    whole = server.search("Task").json
    bundle, paged = server.search("Task", ("_count", "1")).json, []
    while True:
        paged += [e["resource"]["id"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match"]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        bundle = server.get(following[0]).json
    equal(len(set(paged)), len(paged))
    equal(whole["total"], len(paged))
    # A server may give less at once than there is.
    first = {e["resource"]["id"] for e in whole["entry"] if e["search"]["mode"] == "match"}
    assert first <= set(paged), first - set(paged)


def case_an_unknown_patient_has_nothing(server):
    form = urllib.parse.urlencode({"patient.identifier": "urn:oid:1.2.246.21|010101-999R"}).encode()
    answer = server.ask("POST", "CarePlan/_search", form, Content_Type="application/x-www-form-urlencoded")
    equal(200, answer.status)
    assert not [e for e in answer.json.get("entry", []) if e["search"]["mode"] == "match"]


def case_an_identity_code_in_a_url_is_refused(server):
    query = urllib.parse.urlencode({"patient.identifier": server.patient})
    answer = server.get(f"CarePlan?{query}")
    equal(400, answer.status)
    assert "_search" in answer.body.decode()


def case_an_unknown_parameter_is_refused_when_strict(server):
    equal(400, server.search("Task", ("colour", "red"), Prefer="handling=strict").status)


def case_status_selects(server):
    task = server.one("Task")
    found = server.search("Task", ("status", task["status"])).json["entry"]
    for entry in found:
        if entry["search"]["mode"] == "match":
            equal(task["status"], entry["resource"]["status"])


def case_no_returned_reference_dangles(server):
    bundle = server.search("CarePlan", ("_include", "CarePlan:activity-reference"), ("_revinclude:iterate", "Task:focus"))
    missing = []

    def walk(node):
        if isinstance(node, dict):
            target = node.get("reference")
            if isinstance(target, str) and target.count("/") == 1 and not target.startswith("#"):
                if server.get(target).status != 200:
                    missing.append(target)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(bundle.json)
    assert not missing, missing
