"""http.html#create, #update, #concurrency"""

from wire import equal


def case_what_is_not_json_is_refused(server):
    answer = server.send("POST", "ServiceRequest", b"{")
    equal((400, "structure"), (answer.status, answer.issue()))


def case_a_body_of_another_kind_is_refused(server):
    equal(415, server.send("POST", "ServiceRequest", b"x", Content_Type="text/plain").status)


def case_an_order_without_what_is_required(server):
    answer = server.send("POST", "ServiceRequest", {"resourceType": "ServiceRequest", "status": "active"})
    assert answer.status in (400, 422), answer.status
    equal("OperationOutcome", answer.json["resourceType"])


def case_an_order_for_nobody_known(server):
    order = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/not-there"},
    }
    equal(422, server.send("POST", "ServiceRequest", order).status)


def case_a_task_is_not_changed_blindly(server):
    task = server.one("Task")
    answer = server.send("PUT", f"Task/{task['id']}", task)
    equal((400, "required"), (answer.status, answer.issue()))


def case_a_stale_version_is_refused(server):
    task = server.one("Task")
    answer = server.send("PUT", f"Task/{task['id']}", task, If_Match='W/"999999"')
    equal((412, "conflict"), (answer.status, answer.issue()))


def case_an_id_that_is_not_the_urls(server):
    task = dict(server.one("Task"), id="another")
    equal(400, server.send("PUT", f"Task/{server.one('Task')['id']}", task, If_Match='W/"1"').status)


def case_a_method_that_is_not_offered(server):
    answer = server.ask("DELETE", f"Task/{server.one('Task')['id']}")
    # Whether it is not offered at all, or not to this caller, is the server's to say.
    assert answer.status in (403, 405), answer.status
    assert answer.status != 405 or answer.headers["Allow"]
    assert answer.issue() in ("forbidden", "not-supported"), answer.issue()
