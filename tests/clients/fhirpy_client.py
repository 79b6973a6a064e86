"""PyPI fhirpy and fhir.resources against the running demo: search, read, refusals, and every resource a model accepts."""

import os
import sys

import requests
from fhir.resources.R4B import get_fhir_model_class
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import AuthorizationError, OperationOutcome, ResourceNotFound

BASE, CA, BEARER, PATIENT = (os.environ["SILTA_" + name] for name in ("BASE", "CA", "BEARER", "PATIENT"))
wrong = 0


def check(name, holds):
    global wrong
    wrong += not holds
    print("ok   " if holds else "WRONG", name)


def client(bearer):
    return SyncFHIRClient(BASE, authorization=f"Bearer {bearer}", requests_config={"verify": CA})


def refused(kind, action):
    try:
        action()
    except kind as error:
        return error
    return None


fhir = client(BEARER)
# The identity code goes in a body; fhirpy knows only searches by URL, so this one is made by requests, on which it stands.
bundle = requests.post(
    f"{BASE}/Patient/_search",
    data={"identifier": PATIENT},
    headers={"Authorization": f"Bearer {BEARER}"},
    verify=CA,
).json()
patients = [entry["resource"]["id"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
check("the patient is found by the identity code", len(patients) >= 1)

plans = {}
for patient in patients:
    for plan in fhir.resources("CarePlan").search(patient=patient).fetch_all():
        plans[plan.id] = plan
check("a search by patient gives the plans of two organisations", len({plan["meta"]["source"] for plan in plans.values()}) >= 2)

read = 0
for plan in plans.values():
    references = [plan["subject"], *plan.get("careTeam", [])]
    references += [activity["reference"] for activity in plan.get("activity", []) if "reference" in activity]
    for reference in references:
        found = fhir.get(reference["reference"])
        get_fhir_model_class(found["resourceType"]).model_validate(found)
        read += 1
    get_fhir_model_class("CarePlan").model_validate(dict(plan))
check(f"what the plans refer to is read, and is what fhir.resources takes for FHIR ({read} references)", read >= 4)

tasks = [task for patient in patients for task in fhir.resources("Task").search(patient=patient).fetch()]
check("Tasks are found", len(tasks) >= 2)
for task in tasks:
    get_fhir_model_class("Task").model_validate(dict(task))

error = refused(OperationOutcome, lambda: fhir.save(tasks[0]))
check("a Task saved without If-Match is refused as required", error and error.resource["issue"][0]["code"] == "required")
check("an unknown id is not found", refused(ResourceNotFound, lambda: fhir.get("CarePlan/none")))
check("a wrong secret is refused", refused(AuthorizationError, lambda: client("wrong").get("CarePlan/none")))
error = refused(OperationOutcome, lambda: fhir.resources("CarePlan").search(patient__identifier=PATIENT).fetch())
check("an unknown parameter is refused or nothing is guessed", error is not None)
sys.exit(1 if wrong else 0)
