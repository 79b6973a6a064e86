"""http.html#capabilities"""

from wire import equal


def case_the_statement_is_of_r4_and_needs_no_credentials(server):
    answer = server.ask("GET", "metadata", bearer=False)
    equal(200, answer.status)
    statement = answer.json
    equal("CapabilityStatement", statement["resourceType"])
    equal("4.0.1", statement["fhirVersion"])
    assert "application/fhir+json" in answer.headers["Content-Type"]


def case_what_it_offers_is_there(server):
    for resource in server.get("metadata").json["rest"][0]["resource"]:
        for interaction in resource["interaction"]:
            if interaction["code"] == "read":
                equal(404, server.get(f"{resource['type']}/not-there").status)
