"""http.html#read, #vread, #versioning"""

from wire import equal


def case_a_read_has_version_and_time(server):
    task = server.one("Task")
    answer = server.get(f"Task/{task['id']}")
    equal(200, answer.status)
    equal(f"W/\"{task['meta']['versionId']}\"", answer.headers["ETag"])
    assert answer.headers["Last-Modified"]
    equal(task["id"], answer.json["id"])


def case_a_copy_that_is_current_is_not_sent_again(server):
    path = f"Task/{server.one('Task')['id']}"
    tag = server.get(path).headers["ETag"]
    answer = server.get(path, If_None_Match=tag)
    equal((304, b""), (answer.status, answer.body))


def case_a_version_can_be_read(server):
    task = server.one("Task")
    answer = server.get(f"Task/{task['id']}/_history/{task['meta']['versionId']}")
    equal((200, task["meta"]["versionId"]), (answer.status, answer.json["meta"]["versionId"]))


def case_what_is_not_there_is_not_found(server):
    answer = server.get("Patient/not-there")
    equal((404, "not-found"), (answer.status, answer.issue()))


def case_a_type_that_fhir_does_not_have(server):
    answer = server.get("Banana/1")
    equal((404, "not-supported"), (answer.status, answer.issue()))


def case_xml_by_header_and_by_parameter(server):
    path = f"Task/{server.one('Task')['id']}"
    for answer in (server.get(path, Accept="application/fhir+xml"), server.get(f"{path}?_format=xml")):
        equal(200, answer.status)
        assert answer.body.startswith(b"<") and b'xmlns="http://hl7.org/fhir"' in answer.body


def case_a_format_that_cannot_be_written(server):
    equal(406, server.get(f"Task/{server.one('Task')['id']}", Accept="text/csv").status)


def case_credentials_are_needed(server):
    answer = server.ask("GET", "Patient/1", bearer=False)
    equal((401, "login"), (answer.status, answer.issue()))
    assert answer.headers["WWW-Authenticate"]
