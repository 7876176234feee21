"""Metrics from logs: EMF lines, metric filters, and JSON patterns of filters.

MiniStack stores these and computes nothing from them. Here every line that a function logs
- becomes metrics when it is an EMF document;
- is held against the metric filters of its log group.
The filter patterns understood are plain MiniStack ones and the JSON form { $.a = "x*" && ($.b > 1 || $.c IS
NULL) }. A pattern that says more matches nothing, and the log of the stack says so.
"""

import json
import logging
import re

from ministack.services import cloudwatch, cloudwatch_logs

from patching import current, replace

log = logging.getLogger("localaws.metrics")

TOKEN = re.compile(
    r"""
    (?P<bracket>[()]) | (?P<and>&&) | (?P<or>\|\|) |
    \$\.(?P<path>[\w.\-]+) \s* (?:
        (?P<test>NOT\s+EXISTS|EXISTS|IS\s+TRUE|IS\s+FALSE|IS\s+NULL) |
        (?P<operator>!=|>=|<=|=|>|<) \s* (?P<value>"(?:[^"\\]|\\.)*"|[^\s&|()]+)
    )""",
    re.VERBOSE,
)
MISSING = object()


def install():
    for name in ("_metric_filters",):
        current(cloudwatch_logs, name)
    current(cloudwatch, "record_metric")

    @replace(cloudwatch_logs, "_subscription_pattern_matches")
    def pattern_matches(original, pattern, message):
        text = (pattern or "").strip()
        return json_pattern_matches(text, message) if text.startswith("{") else original(pattern, message)

    @replace(cloudwatch_logs, "_fanout_to_subscription_filters")
    def fanout(original, group, stream, events):
        for event in events:
            message = event.get("message", "")
            if '"_aws"' in message:
                record_embedded_metrics(message)
            apply_metric_filters(group, message)
        return original(group, stream, events)


def record_embedded_metrics(message):
    try:
        document = json.loads(message)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                values = document[metric["Name"]]
                for names in directive.get("Dimensions") or [[]]:
                    dimensions = {name: str(document[name]) for name in names}
                    for value in values if isinstance(values, list) else [values]:
                        cloudwatch.record_metric(
                            directive["Namespace"],
                            metric["Name"],
                            float(value),
                            metric.get("Unit", "None"),
                            dimensions,
                        )
    except (ValueError, KeyError, TypeError) as error:
        # CloudWatch drops such a document without a word; here a test should find out why.
        log.warning("no metrics from an EMF line (%s): %s", error, message[:300])


def apply_metric_filters(group, message):
    for (name, _), filtered in list(cloudwatch_logs._metric_filters.items()):
        if name != group or not cloudwatch_logs._subscription_pattern_matches(
            filtered.get("filterPattern", ""), message
        ):
            continue
        for transformation in filtered["metricTransformations"]:
            value = transformation["metricValue"]
            if value.startswith("$."):
                value = found(json.loads(message), value[2:])
            try:
                cloudwatch.record_metric(
                    transformation["metricNamespace"],
                    transformation["metricName"],
                    float(value),
                    transformation.get("unit", "None"),
                    {},
                )
            except (TypeError, ValueError):
                log.warning("no number %r for metric %s", value, transformation["metricName"])


def json_pattern_matches(pattern, message):
    try:
        document = json.loads(message)
    except ValueError:
        return False
    words, end = [], 0
    inside = pattern.strip()[1:-1]
    for token in TOKEN.finditer(inside):
        if inside[end : token.start()].strip():
            break
        end = token.end()
        words.append(
            token["bracket"] or ("and" if token["and"] else "or" if token["or"] else term(token, document))
        )
    if inside[end:].strip():
        log.warning("a filter pattern is not understood and matches nothing: %s", pattern)
        return False
    return either(words)


def either(words):
    """any of them: `a or b`, over words that are True, False, and, or, brackets; takes what it reads off
    `words`.
    """
    result = both(words)
    while words and words[0] == "or":
        words.pop(0)
        result = both(words) or result
    return result


def both(words):
    result = single(words)
    while words and words[0] == "and":
        words.pop(0)
        result = single(words) and result
    return result


def single(words):
    word = words.pop(0)
    if word != "(":
        return word is True
    result = either(words)
    words.pop(0)
    return result


def found(document, path):
    for name in path.split("."):
        if not isinstance(document, dict) or name not in document:
            return MISSING
        document = document[name]
    return document


def term(token, document):
    value = found(document, token["path"])
    if token["test"]:
        test = " ".join(token["test"].split())
        return {
            "EXISTS": value is not MISSING,
            "NOT EXISTS": value is MISSING,
            "IS TRUE": value is True,
            "IS FALSE": value is False,
            "IS NULL": value is None,
        }[test]
    operator, wanted = token["operator"], token["value"]
    is_number = not wanted.startswith('"') and re.fullmatch(r"-?\d+(\.\d+)?", wanted)
    if is_number:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        wanted = float(wanted)
        return {
            "=": value == wanted,
            "!=": value != wanted,
            ">": value > wanted,
            "<": value < wanted,
            ">=": value >= wanted,
            "<=": value <= wanted,
        }[operator]
    if value is MISSING or isinstance(value, (dict, list)):
        return False
    parts = wanted.strip('"').split("*")
    equal = re.fullmatch(".*".join(map(re.escape, parts)), str(value), re.DOTALL) is not None
    return equal if operator == "=" else operator == "!=" and not equal
