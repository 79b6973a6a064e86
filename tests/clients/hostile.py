"""Hostile input against the running demo: each is refused with an OperationOutcome or a negative acknowledgement, and the gateway goes on.

HTTP and MLLP by plain sockets, so that nothing is mended on the way. No status 500, no silence, no growth without bounds.
"""

import json
import os
import pathlib
import socket
import ssl
import sys
import urllib.parse
import uuid

BASE, CA, BEARER, PATIENT = (os.environ["SILTA_" + name] for name in ("BASE", "CA", "BEARER", "PATIENT"))
STATE, MLLP = os.environ["SILTA_STATE"], int(os.environ["SILTA_MLLP"])
PORT = urllib.parse.urlsplit(BASE).port
wrong = 0


def check(name, holds, seen=""):
    global wrong
    wrong += not holds
    print("ok   " if holds else "WRONG", name, "" if holds else seen)


def connect(port, certificate=False):
    context = ssl.create_default_context(cafile=CA)
    if certificate:
        context.load_cert_chain(f"{STATE}/hospital-client.pem", f"{STATE}/hospital-client.key")
    plain = socket.create_connection(("127.0.0.1", port), 10)
    return context.wrap_socket(plain, server_hostname="localhost")


def raw(request, half=False):
    """Sends bytes, and gives status and body of the first answer; status 0 is a closed connection."""
    with connect(PORT) as connection:
        connection.settimeout(40)
        try:
            connection.sendall(request)
        except OSError:
            pass  # Refused before all of it was read.
        data = b""
        try:
            while part := connection.recv(65536):
                data += part
        except OSError:
            pass
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), head, body


def http(method, target, body=b"", media="application/fhir+json", headers=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {BEARER}", "Connection: close", *headers]
    if body or method in ("POST", "PUT"):
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def outcome(body):
    try:
        return json.loads(body)["resourceType"] == "OperationOutcome"
    except (ValueError, KeyError, TypeError):
        return False


def refused(name, answer, statuses=(400, 413, 415, 422)):
    status, _, body = answer
    check(name, status in statuses and outcome(body), f"{status} {body[:120]!r}")


ORDER = {
    "resourceType": "ServiceRequest",
    "status": "active",
    "intent": "order",
    "code": {"text": "example"},
    "subject": {"reference": "Patient/none"},
}
order = json.dumps(ORDER)


def changed(**more):
    return json.dumps({**ORDER, **more}).encode()


bodies = {
    "nothing": b"",
    "white space": b"   \n",
    "a key twice": b'{"resourceType":"ServiceRequest","status":"active","status":"draft","intent":"order"}',
    "depth 10,000": b'{"resourceType":"ServiceRequest","extension":' + b'[{"extension":' * 10_000 + b"1" + b"}]" * 10_000 + b"}",
    "50 MB of text": b'{"resourceType":"ServiceRequest","note":[{"text":"' + b"a" * 50_000_000 + b'"}]}',
    "a million members of an array": b'{"resourceType":"ServiceRequest","note":[' + b"1," * 999_999 + b"1]}",
    "NaN": b'{"resourceType":"ServiceRequest","quantityQuantity":{"value":NaN}}',
    "1e999999": changed(quantityQuantity={"value": 0}).replace(b'"value": 0', b'"value": 1e999999'),
    "bytes that are not UTF-8": order.replace("example", "\udcff").encode("utf-8", "surrogateescape"),
    "half of a surrogate pair": order.replace("example", "\\ud800").encode(),
    "trailing bytes": order.encode() + b"x",
    "two documents": order.encode() * 2,
    "a truncated document": order.encode()[:-2],
    "UTF-16": order.encode("utf-16"),
    "an array": b"[" + order.encode() + b"]",
    "a number": b"42",
    "no resourceType": b"{}",
    "an unknown resourceType": b'{"resourceType":"Banana"}',
    "another type than the URL's": b'{"resourceType":"Patient"}',
    "an unknown element": changed(banana=1),
    "an unknown modifierExtension": changed(modifierExtension=[{"url": "urn:unknown", "valueBoolean": True}]),
    "a script in the narrative": changed(
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'}
    ),
    "more values than their twins": changed(instantiatesUri=["a", "b"], _instantiatesUri=[None]),
    "an empty array": changed(note=[]),
    "an empty object": changed(occurrencePeriod={}),
    "null": changed(note=None),
    "two choices of one": changed(occurrenceDateTime="2026", occurrencePeriod={"start": "2026"}),
    "a wrong code": changed(status="banana"),
    "a date that is none": changed(authoredOn="2026-02-30"),
    "contained resources that are in a circle": changed(
        contained=[
            {"resourceType": "Patient", "id": "a", "managingOrganization": {"reference": "#b"}},
            {"resourceType": "Organization", "id": "b", "partOf": {"reference": "#b"}},
        ],
        subject={"reference": "#c"},
    ),
    "a reference into nothing": changed(requester={"reference": "#none"}),
}
for name, body in bodies.items():
    refused(f"JSON: {name}", http("POST", "/ServiceRequest", body))

XML = '<ServiceRequest xmlns="http://hl7.org/fhir"><status value="active"/><intent value="order"/></ServiceRequest>'
laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
documents = {
    "an external entity": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + XML.replace("active", "&e;"),
    "a billion laughs": f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]>' + XML.replace("active", "&l9;"),
    "an external DTD": '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + XML,
    "an inclusion": XML.replace("<status", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><status'),
    "100,000 attributes": XML.replace('value="active"', " ".join(f'a{n}="1"' for n in range(100_000))),
    "no namespace": XML.replace(' xmlns="http://hl7.org/fhir"', ""),
    "an end that is not its beginning's": XML.replace("</ServiceRequest>", "</Task>"),
    "depth 10,000": '<ServiceRequest xmlns="http://hl7.org/fhir">' + "<extension>" * 10_000 + "</extension>" * 10_000 + "</ServiceRequest>",
}
for name, body in documents.items():
    status, head, answer = http("POST", "/ServiceRequest", body.encode(), "application/fhir+xml", ["Accept: application/fhir+json"])
    refused(f"XML: {name}", (status, head, answer))
refused("a body in a form that is not spoken", http("POST", "/ServiceRequest", b"a,b", "text/csv"), (415,))
refused("a compressed body", http("POST", "/ServiceRequest", b"\x1f\x8b" + b"\0" * 64, headers=["Content-Encoding: gzip"]), (400, 415))

patient = urllib.parse.quote(PATIENT)
queries = {
    "_include of everything": ("/CarePlan?_id=none&_include:iterate=*", (200, 400)),
    "a chain of 20": ("/CarePlan?" + "subject." * 20 + "name=a", (400,)),
    "10,000 values": ("/_search", (400, 404, 405, 413)),
    "_count beyond 32 bits": ("/CarePlan?_id=none&_count=2147483648", (200, 400)),
    "_count below nothing": ("/CarePlan?_id=none&_count=-1", (400,)),
    "a page that was never given": ("/CarePlan?_page=AAAA", (400, 403, 404, 410)),
    "an identity code in the URL": (f"/CarePlan?patient.identifier={patient}", (400,)),
    "a percent sign of nothing": ("/CarePlan?_id=%zz", (400,)),
    "a NUL": ("/CarePlan?_id=%00", (200, 400)),
    "dots and slashes": ("/CarePlan/../../etc/passwd", (400, 404)),
    "an id that is none": ("/CarePlan/" + "a" * 65, (400, 404)),
    "a date that is none": ("/CarePlan?_lastUpdated=gestern", (400,)),
    "an unknown modifier": ("/CarePlan?status:banana=active", (400,)),
    "an unknown format": ("/CarePlan?_id=none&_format=csv", (406,)),
}
for name, (target, statuses) in queries.items():
    status, _, body = http("GET", target)
    check(f"search: {name}", status in statuses and (status == 200 or outcome(body)), f"{status} {body[:120]!r}")
values = "identifier=" + ",".join(f"a|{n}" for n in range(10_000))
status, _, body = http("POST", "/CarePlan/_search", values.encode(), "application/x-www-form-urlencoded")
check("search: 10,000 values in a form", status in (200, 400, 413), f"{status} {body[:80]!r}")

authorised = f"Host: localhost\r\nAuthorization: Bearer {BEARER}\r\n"
frames = {
    "a length and a chunked body": f"POST /ServiceRequest HTTP/1.1\r\n{authorised}Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
    "two lengths": f"POST /ServiceRequest HTTP/1.1\r\n{authorised}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{{}}  ",
    "10,000 header fields": f"GET /metadata HTTP/1.1\r\n{authorised}" + "".join(f"X-{n}: 1\r\n" for n in range(10_000)) + "\r\n",
    "a header of a megabyte": f"GET /metadata HTTP/1.1\r\n{authorised}X-A: {'a' * 1_000_000}\r\n\r\n",
    "a URL of a megabyte": f"GET /{'a' * 1_000_000} HTTP/1.1\r\n{authorised}\r\n",
    "no HTTP at all": "\x16\x03\x01 hello\r\n\r\n",
    "an unknown version": f"GET /metadata HTTP/9.9\r\n{authorised}\r\n",
    "a line feed in a header": f"GET /metadata HTTP/1.1\r\n{authorised}X-A: a\nX-B: b\rc\r\nConnection: close\r\n\r\n",
}
for name, request in frames.items():
    status, _, body = raw(request.encode("latin-1"))
    check(f"HTTP: {name}", status == 0 or 400 <= status < 500 or (status == 200 and "line feed" in name) or status == 505, status)
for method in ("TRACE", "CONNECT", "PATCH", "BANANA"):
    status, _, body = http(method, "/CarePlan/none" if method != "CONNECT" else "localhost:1")
    check(f"HTTP: method {method}", status in (400, 403, 404, 405, 501), status)

# MLLP ---------------------------------------------------------------------------------------------------------------------


def header(control, event="ADT^A01^ADT_A01", encoding="^~\\&", charset=""):
    return f"MSH|{encoding}|EPJ|SAIRAALA|SILTA|SILTA|20261121120000+0200||{event}|{control}|T|2.5.1||||||{charset}"


BODY = "EVN||20261121120000+0200\rPID|1||130244-9330^^^&1.2.246.21&ISO^NNFIN||Koe^Kalle||19440213|M\rPV1|1|I\r"


def control():
    return uuid.uuid4().hex[:20]


def frame(content):
    return b"\x0b" + (content if isinstance(content, bytes) else content.encode()) + b"\x1c\r"


class Sender:
    def __init__(self):
        self.connection = connect(MLLP, certificate=True)
        self.connection.settimeout(40)
        self.rest = b""

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            pass

    def answer(self):
        """The next framed answer's MSA-1 and the whole; an empty text when the connection was closed."""
        while b"\x1c\r" not in self.rest:
            try:
                part = self.connection.recv(65536)
            except OSError:
                part = b""
            if not part:
                return "", ""
            self.rest += part
        one, self.rest = self.rest.split(b"\x1c\r", 1)
        text = one.strip(b"\x0b").decode("latin-1")
        code = next((line.split("|")[1] for line in text.split("\r") if line.startswith("MSA")), "none")
        return code, text

    def close(self):
        self.connection.close()


def goes_on(name, sender=None):
    sender = sender or Sender()
    number = control()
    sender.send(frame(header(number) + "\r" + BODY))
    code, text = sender.answer()
    check(f"MLLP: a message is taken after {name}", code == "AA" and number in text, text[:200])
    sender.close()


messages = {
    "no MSH": "PID|1||1\r",
    "text": "hello",
    "nothing": "",
    "MSH alone": "MSH",
    "MSH and a delimiter": "MSH|",
    "delimiters of letters": header(control(), encoding="abcd") + "\r" + BODY,
    "the field delimiter twice": header(control(), encoding="|~\\&") + "\r" + BODY,
    "no control id": header("") + "\r" + BODY,
    "a control id of 10 kB": header("A" * 10_000) + "\r" + BODY,
    "no type": header(control(), event="") + "\r" + BODY,
    "an unknown type": header(control(), event="ZZZ^Z01") + "\r" + BODY,
    "bytes that are not the set's": header(control(), charset="UNICODE UTF-8").encode() + b"\r" + BODY.encode().replace(b"Kalle", b"K\xe4lle"),
    "a charset that is none": header(control(), charset="BANANA") + "\r" + BODY,
    "a patient without a number": header(control()) + "\rPID|1\r",
}
sender = Sender()
for name, content in messages.items():
    sender.send(frame(content))
    code, text = sender.answer()
    check(f"MLLP: {name} is refused", code in ("AE", "AR", "CE", "CR"), text[:200])
    if not text:
        sender.close()
        sender = Sender()
goes_on("all of these on one connection", sender)

sender = Sender()
whole = frame(header(control()) + "\r" + BODY)
for byte in whole:
    sender.send(bytes([byte]))
check("MLLP: a frame byte by byte is taken", sender.answer()[0] == "AA")
first, second = control(), control()
sender.send(frame(header(first) + "\r" + BODY) + frame(header(second) + "\r" + BODY))
check("MLLP: two messages in one packet are taken in order", first in sender.answer()[1] and second in sender.answer()[1])
for ending in ("\n", "\r\n"):
    sender.send(frame((header(control()) + "\r" + BODY).replace("\r", ending)))
    check(f"MLLP: segments that end with {ending!r} are taken", sender.answer()[0] == "AA")
sender.send(frame((header(control()) + "\r" + BODY).rstrip("\r")))
check("MLLP: a last segment without an end is taken", sender.answer()[0] == "AA")
sender.send(b"noise before" + whole.replace(b"noise", b""))
code, text = sender.answer()
check("MLLP: bytes before a frame are refused or passed over", code in ("AA", "AR", "AE", ""), text[:120])
sender.close()

sender = Sender()
sender.send(frame(header(control()) + "\r" + BODY + "NTE|1||a\\X0D\\b\r" + "ZZZ|1|a\r" * 100_000))
code, text = sender.answer()
check("MLLP: 100,000 segments are taken or refused", code in ("AA", "AE", "AR"), text[:200])
sender.send(frame(f"MSH|^~\\&|EPJ|SAIRAALA|SILTA|SILTA|20261121||ACK^A01^ACK|{control()}|T|2.5.1\rMSA|AA|none\r"))
goes_on("an acknowledgement that came as a request", sender)

sender = Sender()
big = b"\x0b" + header(control()).encode() + b"\r" + b"A" * 20_000_000
sender.send(big)
code, text = sender.answer()
check("MLLP: a frame over the limit is refused or closed", code in ("AR", "AE", ""), text[:200])
goes_on("a frame over the limit")

for cut in range(0, len(whole), 7):
    sender = Sender()
    sender.send(whole[:cut])
    sender.close()
goes_on("messages cut at every seventh byte")
parsed = (header("T" + control()[:10]) + "\r" + BODY).encode()
sender = Sender()
seen = set()
for cut in range(3, len(parsed), 3):
    sender.send(frame(parsed[:cut].replace(b"|T1", b"|T")))
    code, text = sender.answer()
    seen.add(code)
    if not text:
        sender = Sender()
check("MLLP: every truncation gets an answer", seen <= {"AA", "AE", "AR"}, seen)
goes_on("truncations", sender)

status, _, body = http("GET", "/metadata")
check("the FHIR interface goes on", status == 200)
resident = 0
for process in pathlib.Path("/proc").glob("[0-9]*/status"):
    try:
        text = process.read_text()
    except OSError:
        continue
    if text.startswith("Name:\tsilta\n"):
        resident = max(resident, int(text.split("VmHWM:")[1].split()[0]) // 1024)
check(f"it never needed more than 1 GiB (at most {resident} MiB)", 0 < resident < 1024)
sys.exit(1 if wrong else 0)
