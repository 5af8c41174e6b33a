"""Sends what an application measures to a VSM platform. The standard library is all it needs.

    from vsm_client import Client

    vsm = Client("http://localhost:8000", token="vsm_…", source="billing-1")
    vsm.gauge("queue_depth", 7)
    vsm.count("orders", labels={"kind": "book"})

    @vsm.operation("charge")
    def charge(card): ...

Nothing here ever raises into the application or makes it wait: samples lie in a bounded buffer and leave in the
background; what cannot be sent is tried again, and what has to be dropped is counted.
"""

from vsm_client.client import Client
from vsm_client.operations import Operation

__all__ = ["Client", "Operation"]
