"""HTTP as a FHIR client speaks it."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def issue(self):
        outcome = self.json
        assert outcome["resourceType"] == "OperationOutcome", "a refusal is an OperationOutcome"
        return outcome["issue"][0]["code"]


class Server:
    def __init__(self, base, ca, bearer, patient):
        self.base, self.bearer, self.patient = base.rstrip("/"), bearer, patient
        self.context = ssl.create_default_context(cafile=ca)

    def ask(self, method, path, body=None, bearer=True, **headers):
        url = path if path.startswith("https:") else f"{self.base}/{path}"
        request = urllib.request.Request(url, data=body, method=method)
        if bearer:
            request.add_header("Authorization", f"Bearer {self.bearer}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def send(self, method, path, resource, **headers):
        headers.setdefault("Content_Type", "application/fhir+json")
        body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
        return self.ask(method, path, body, **headers)

    def search(self, kind, *parameters, **headers):
        form = urllib.parse.urlencode([("patient.identifier", self.patient), *parameters]).encode()
        headers["Content_Type"] = "application/x-www-form-urlencoded"
        return self.ask("POST", f"{kind}/_search", form, **headers)

    def one(self, kind):
        """A resource of this type about the patient."""
        found = [e["resource"] for e in self.search(kind).json["entry"] if e["search"]["mode"] == "match"]
        assert found, f"the patient has a {kind}"
        return found[0]


def equal(wanted, found):
    assert wanted == found, f"expected {wanted}, got {found}"
