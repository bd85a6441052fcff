"""What rotel, the collector of the end-to-end test, does with the spans that it receives: a line of JSON each, in the
file that LINNET_SPANS names. Run by rotel's own Python, which calls process_spans for every delivery."""

import json
import os

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


def fields(attributes):
    return {one.key: one.value.value for one in attributes if one.value is not None}


def process_spans(resource_spans):
    resource = fields(resource_spans.resource.attributes)
    lines = []
    for scope in resource_spans.scope_spans:
        for span in scope.spans:
            lines.append(json.dumps({
                "trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                "service": resource.get("service.name"), "name": span.name, "kind": KINDS.get(span.kind, "unknown"),
                "began": span.start_time_unix_nano, "ended": span.end_time_unix_nano,
                "fields": fields(span.attributes), "links": [link.trace_id.hex() for link in span.links],
                "events": [{"name": event.name, "fields": fields(event.attributes)} for event in span.events],
                "resource": resource}, default=str) + "\n")
    # In one go: the test reads while this writes.
    with open(os.environ["LINNET_SPANS"], "a") as out:
        out.write("".join(lines))
