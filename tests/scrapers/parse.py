"""Reads a page from standard input by one of the two parsers of Prometheus' client, and writes what it made of it as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

parse = {"text": text, "openmetrics": openmetrics}[sys.argv[1]]
families = parse(sys.stdin.buffer.read().decode())
json.dump([[sample.name, sample.labels] for family in families for sample in family.samples], sys.stdout)
