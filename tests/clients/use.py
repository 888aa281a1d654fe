"""A web application in Python, with the client that openapi-python-client generates."""

import os

from ringonce_client import AuthenticatedClient
from ringonce_client.api.default import (
    call_customer,
    erase_customer,
    list_attempts,
    report,
    show_customer,
    upsert_customer,
)
from ringonce_client.models import ExtraCall, Upsert, Variables, Why
from ringonce_client.types import UNSET

api = AuthenticatedClient(base_url=os.environ["BASE"], token=os.environ["TOKEN"])

variables = Variables()
variables["plan"] = "gold"
new = Upsert(
    external_id="py-1",
    phone="+12125550172",
    timezone="America/New_York",
    call_time="07:30",
    phone_validated=True,
    variables=variables,
)
made = upsert_customer.sync_detailed(client=api, body=new)
assert made.status_code == 201 and made.parsed.customer.external_id == "py-1", made.content

wish = ExtraCall.from_dict({"reason": "asked", "at": "2026-02-02T18:00:00Z", "key": "py-call-1"})
for status in (202, 200):
    queued = call_customer.sync_detailed("external:py-1", client=api, body=wish)
    assert queued.status_code == status and queued.parsed.item_id > 0, queued.content

page = list_attempts.sync_detailed(client=api, changed_after=0, limit=10)
attempt = page.parsed.attempts[0]
assert attempt.result is not UNSET and attempt.result.structured["Mood"], page.content

total = report.sync_detailed(client=api).parsed.total
assert total.due >= 0 and total.cost >= 0, total

erased = erase_customer.sync_detailed("external:py-1", client=api, body=Why(reason="letter of today"))
assert erased.parsed.skipped == 1, erased.content
gone = show_customer.sync_detailed("external:py-1", client=api)
assert gone.status_code == 404 and gone.parsed.status == 404, gone.content
