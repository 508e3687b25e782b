"""Drives grafana-client as it is published: a line of JSON in says which of its methods is called and with what, a line out is
what it returned: {"returned": ...} or {"failed": "..."}. What it has no method for goes by its own `client.GET`.

usage: GRAFANA_TOKEN=... driver.py http://[user:password@]HOST:PORT[/PREFIX]
"""

import json
import os
import sys

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaException

# Of its examples: the prefix is the path of the URL, which ends in a slash.
url = sys.argv[1] if sys.argv[1].endswith("/") else sys.argv[1] + "/"
grafana = GrafanaApi.from_url(url, credential=os.environ.get("GRAFANA_TOKEN"))
annotations = grafana.annotations


def written(call):
    return {"time_from": call.get("time"), "time_to": call.get("timeEnd"), "tags": call.get("tags"), "text": call.get("text")}


METHODS = {
    "create": lambda call: annotations.add_annotation(**written(call)),
    "graphite": lambda call: annotations.add_annotation_graphite(
        what=call["what"], tags=call.get("tags"), when=call.get("when"), data=call.get("data")
    ),
    "find": lambda call: annotations.find_annotations(
        time_from=call.get("from"), time_to=call.get("to"), tags=call.get("tags"), limit=call.get("limit")
    ),
    "get": lambda call: grafana.client.GET(f"/annotations/{call['id']}"),
    "put": lambda call: annotations.update_annotation(call["id"], **written(call)),
    "patch": lambda call: annotations.partial_update_annotation(call["id"], **written(call)),
    "delete": lambda call: annotations.delete_annotations_by_id(call["id"]),
    "tags": lambda call: grafana.client.GET(f"/annotations/tags?tag={call['tag']}"),
    "connect": lambda call: {"info": grafana.connect(), "version": grafana.version},
    "health": lambda call: grafana.client.GET("/health"),
    "organization": lambda call: grafana.organization.get_current_organization(),
}

for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = {"returned": METHODS[call["method"]](call)}
    except GrafanaException as failure:
        answer = {"failed": f"{failure.status_code}: {failure}"}
    print(json.dumps(answer), flush=True)
