"""PyPI hl7 (python-hl7) over MLLP with TLS against the running demo: answers, refusals, and a connection that outlives them."""

import os
import ssl
import sys
import uuid

import hl7
from hl7.client import MLLPClient

STATE, PORT, CA = os.environ["SILTA_STATE"], int(os.environ["SILTA_MLLP"]), os.environ["SILTA_CA"]
wrong = 0


def check(name, holds):
    global wrong
    wrong += not holds
    print("ok   " if holds else "WRONG", name)


class TlsClient(MLLPClient):
    """python-hl7's client on a socket with TLS and the hospital's certificate."""

    def __init__(self, host, port):
        super().__init__(host, port)
        context = ssl.create_default_context(cafile=CA)
        context.load_cert_chain(f"{STATE}/hospital-client.pem", f"{STATE}/hospital-client.key")
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


def header(event, control, mode="T", version="2.5.1"):
    return f"MSH|^~\\&|EPJ|SAIRAALA|SILTA|SILTA|20261121120000+0200||{event}|{control}|{mode}|{version}"


def admission(control, mode="T", version="2.5.1"):
    return "\r".join(
        [
            header("ADT^A01^ADT_A01", control, mode, version),
            "EVN||20261121120000+0200",
            "PID|1||130244-9330^^^&1.2.246.21&ISO^NNFIN||Koe^Kalle||19440213|M",
            "PV1|1|I",
            "",
        ]
    )


def answer(client, message):
    data = client.send_message(message)
    return hl7.parse(data.strip(b"\x0b\x1c\r").decode("utf-8") + "\r")


def code(message):
    return str(message.segment("MSA")[1]), str(message.segment("MSA")[2])


with TlsClient("localhost", PORT) as client:
    control = uuid.uuid4().hex[:20]
    first = answer(client, admission(control))
    check("an admission is answered AA with its own number", code(first) == ("AA", control))
    check("the answer is in the sender's version", str(first.segment("MSH")[12]) == "2.5.1")
    check("the answer goes back to who sent", str(first.segment("MSH")[5]) == "EPJ" and str(first.segment("MSH")[6]) == "SAIRAALA")
    check("sent again it is answered alike", code(answer(client, admission(control))) == ("AA", control))

    control = uuid.uuid4().hex[:20]
    refused = answer(client, admission(control, mode="P"))
    check("a message of production is refused AR 202", code(refused) == ("AR", control) and "202" in str(refused.segment("ERR")))

    control = uuid.uuid4().hex[:20]
    refused = answer(client, header("ZZZ^Z99", control) + "\rPID|1\r")
    check("an unknown event is refused AR with ERR", code(refused) == ("AR", control) and "ERR" in str(refused))

    control = uuid.uuid4().hex[:20]
    old = answer(client, header("ADT^A01", control, version="2.3") + "\rPID|1\r")
    check("a refusal is in the sender's version", str(old.segment("MSH")[12]) == "2.3" and code(old)[0] in ("AE", "AR"))

    refused = answer(client, "this is no message")
    check("what is no message is refused", str(refused.segment("MSA")[1]) in ("AR", "AE"))

    control = uuid.uuid4().hex[:20]
    check("the connection goes on after all that", code(answer(client, admission(control))) == ("AA", control))
sys.exit(1 if wrong else 0)
