"""Sigma rules judged by pySigma, as cases for the engine of this repository.

    cases.py [--cross N] FOLDER...

Every rule file below the folders is read by pySigma. For each rule, events are made that its condition asks for, and
each is changed a little: a field left out, the case swapped, a character left out, something before or after. What a rule
says to each event is worked out over pySigma's own condition tree, without the engine and without its code.

Prints one JSON object a line. A rule file: {"file", "accepted": true} or {"file", "accepted": false, "reason"}. A case:
{"fields": {name: value}, "asked": RULE, "matching": [RULE, ...]}, where a RULE is the path of its file, `#`, and its
position in the file. Every Nth event (with --cross) is asked of all rules: then "asked" is null. The last line counts.
"""

import argparse
import ipaddress
import json
import random
import re
import sys
from functools import lru_cache
from pathlib import Path

import exrex
import yaml
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.policy import default_policy
from sigma.rule import SigmaRule
from sigma.rule.base import SigmaYAMLLoader
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

# How many events are made for one rule before they are changed.
MOST_EVENTS = 24
# Fields of an event that a rule does not ask for: keywords look at these too.
NOISE = {"User": "alice"}


class NotSupported(Exception):
    """Something that the evaluator does not judge."""


# --- What a rule says to an event ---------------------------------------------------------------------------------------


def lower(text):
    """Character by character, so that no character changes with what stands beside it."""
    return "".join(character.lower() for character in text)


@lru_cache(maxsize=100_000)
def compiled(parts, cased, anywhere):
    """The regular expression of a string with wildcards; `anywhere`: not the whole value, but a part of it."""
    pattern = ""
    for part in parts:
        if part is SpecialChars.WILDCARD_MULTI:
            pattern += ".*"
        elif part is SpecialChars.WILDCARD_SINGLE:
            pattern += "."
        else:
            pattern += re.escape(part if cased else lower(part))
    return re.compile(pattern if anywhere else rf"(?:{pattern})\Z", re.DOTALL)


def refuse_placeholders(string):
    for part in string.s:
        if isinstance(part, Placeholder):
            raise NotSupported(f"the placeholder %{part.name}%")


def string_matches(string, value, anywhere=False):
    cased = isinstance(string, SigmaCasedString)
    refuse_placeholders(string)
    pattern = compiled(tuple(string.s), cased, anywhere)
    find = pattern.search if anywhere else pattern.match
    return find(value if cased else lower(value)) is not None


def regex_matches(expression, value):
    # RE2, as pySigma itself reads a rule's expressions.
    return regex_of(str(expression.regexp), frozenset(expression.flags)).search(value) is not None


@lru_cache(maxsize=10_000)
def regex_of(text, flags):
    python_flags = 0
    for flag in flags:
        python_flags |= SigmaRegularExpression.sigma_to_python_flags[flag]
    return default_policy.regex_engine.compile(text, python_flags)


def number_of(value):
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value):
        return float(value)
    return None


def compare(operator, one, other):
    return {
        CompareOperators.LT: one < other,
        CompareOperators.LTE: one <= other,
        CompareOperators.GT: one > other,
        CompareOperators.GTE: one >= other,
        CompareOperators.NEQ: one != other,
    }[operator]


def field_matches(field, wanted, event):
    value = event.get(field)
    if isinstance(wanted, SigmaNull):
        return value is None
    if isinstance(wanted, SigmaExists):
        return (value is not None) == wanted.exists
    if isinstance(wanted, SigmaExpansion):
        return any(field_matches(field, each, event) for each in wanted.values)
    if isinstance(wanted, SigmaTimestampPart):
        raise NotSupported("timestamp part")
    if value is None:
        return False
    if isinstance(wanted, SigmaString):
        return string_matches(wanted, value)
    if isinstance(wanted, SigmaRegularExpression):
        return regex_matches(wanted, value)
    if isinstance(wanted, SigmaNumber):
        return number_of(value) == float(wanted.number)
    if isinstance(wanted, SigmaBool):
        return lower(value) == lower(str(wanted.boolean))
    if isinstance(wanted, SigmaCompareExpression):
        if isinstance(wanted.number, SigmaTimestampPart):
            raise NotSupported("timestamp part")
        number = number_of(value)
        return number is not None and compare(wanted.op, number, float(wanted.number.number))
    if isinstance(wanted, SigmaCIDRExpression):
        try:
            return ipaddress.ip_address(value) in wanted.network
        except ValueError:
            return False
    if isinstance(wanted, SigmaFieldReference):
        other = event.get(wanted.field)
        if other is None:
            return False
        value, other = lower(value), lower(other)
        if wanted.starts_with and wanted.ends_with:
            return other in value
        if wanted.starts_with:
            return value.startswith(other)
        return value.endswith(other) if wanted.ends_with else value == other
    raise NotSupported(type(wanted).__name__)


def keyword_matches(wanted, event):
    if isinstance(wanted, SigmaExpansion):
        return any(keyword_matches(each, event) for each in wanted.values)
    if isinstance(wanted, SigmaString):
        return any(string_matches(wanted, value, anywhere=True) for value in event.values())
    if isinstance(wanted, SigmaRegularExpression):
        return any(regex_matches(wanted, value) for value in event.values())
    if isinstance(wanted, SigmaNumber) and not isinstance(wanted, SigmaTimestampPart):
        return any(str(wanted.number) in value for value in event.values())
    raise NotSupported(f"{type(wanted).__name__} as a keyword")


def holds(node, event):
    if isinstance(node, ConditionAND):
        return all(holds(each, event) for each in node.args)
    if isinstance(node, ConditionOR):
        return any(holds(each, event) for each in node.args)
    if isinstance(node, ConditionNOT):
        return not holds(node.args[0], event)
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return field_matches(node.field, node.value, event)
    if isinstance(node, ConditionValueExpression):
        return keyword_matches(node.value, event)
    raise NotSupported(type(node).__name__)


# --- Events for a rule --------------------------------------------------------------------------------------------------


def alternatives(node, negated, chance):
    """Lists of questions; the node holds when all questions of one list do. Each branch is in one of them at least."""
    if isinstance(node, ConditionNOT):
        return alternatives(node.args[0], not negated, chance)
    if not isinstance(node, (ConditionAND, ConditionOR)):
        return [[(node, negated)]]
    parts = [alternatives(each, negated, chance) for each in node.args]
    if isinstance(node, ConditionAND) == negated:
        choices = [choice for part in parts for choice in part]
        return choices if len(choices) <= 4 * MOST_EVENTS else chance.sample(choices, 4 * MOST_EVENTS)
    together = [[]]
    for part in parts:
        if len(together) * len(part) <= MOST_EVENTS:
            together = [one + other for one in together for other in part]
        else:
            length = max(len(together), len(part))
            together = [together[at % len(together)] + part[at % len(part)] for at in range(length)]
    return together


def spelled(string, filler):
    refuse_placeholders(string)
    parts = []
    for part in string.s:
        if part is SpecialChars.WILDCARD_MULTI:
            parts.append(filler)
        elif part is SpecialChars.WILDCARD_SINGLE:
            parts.append("q")
        else:
            parts.append(part)
    return "".join(parts)


def example_of(expression, chance):
    """A text that a regular expression matches, or something else where none can be made."""
    refuse_placeholders(expression.regexp)
    text = re.sub(r"\(\?[a-zA-Z]+\)", "", str(expression.regexp)).replace("\\z", "")
    random.seed(chance.random())
    for _ in range(8):
        try:
            example = exrex.getone(text, limit=3)
        except Exception:  # exrex knows fewer expressions than RE2; the other cases of the rule remain
            break
        if regex_matches(expression, example):
            return example
    return "zz"


def place_of(string):
    starts = bool(string.s) and string.s[0] is SpecialChars.WILDCARD_MULTI
    ends = bool(string.s) and string.s[-1] is SpecialChars.WILDCARD_MULTI
    return {(True, True): "inside", (True, False): "end", (False, True): "start", (False, False): "whole"}[starts, ends]


def event_for(questions, chance):
    """An event to which the answers are as wanted, as far as can be told from each question alone."""
    event = dict(NOISE)
    texts = {}
    keywords = []
    for node, negated in questions:
        wanted = node.value
        if negated:
            is_missing = isinstance(wanted, SigmaNull) or isinstance(wanted, SigmaExists) and not wanted.exists
            if is_missing or isinstance(wanted, SigmaString) and not wanted.s:
                event.setdefault(getattr(node, "field", "message"), "zz")
            continue
        while isinstance(wanted, SigmaExpansion):
            wanted = chance.choice(wanted.values)
        if isinstance(node, ConditionValueExpression):
            if isinstance(wanted, SigmaString):
                keywords.append(spelled(wanted, "-"))
            elif isinstance(wanted, SigmaRegularExpression):
                keywords.append(example_of(wanted, chance))
            elif isinstance(wanted, SigmaNumber):
                keywords.append(str(wanted.number))
            else:
                raise NotSupported(f"{type(wanted).__name__} as a keyword")
        elif isinstance(wanted, SigmaString):
            inner = spelled(wanted, "") if len(wanted.s) < 4 else spelled(wanted, " zz ").strip()
            texts.setdefault(node.field, []).append((place_of(wanted), inner))
        elif isinstance(wanted, SigmaRegularExpression):
            texts.setdefault(node.field, []).append(("inside", example_of(wanted, chance)))
        elif isinstance(wanted, SigmaNumber):
            event[node.field] = str(wanted.number)
        elif isinstance(wanted, SigmaBool):
            event[node.field] = str(wanted.boolean).lower()
        elif isinstance(wanted, SigmaCIDRExpression):
            event[node.field] = str(wanted.network[chance.randrange(min(wanted.network.num_addresses, 1 << 16))])
        elif isinstance(wanted, SigmaCompareExpression):
            event[node.field] = str(wanted.number.number + chance.choice([-1, 0, 1]))
        elif isinstance(wanted, SigmaExists) and wanted.exists:
            event.setdefault(node.field, "zz")
        elif isinstance(wanted, SigmaFieldReference):
            event.setdefault(wanted.field, "zz")
            place = {(True, True): "inside", (True, False): "start", (False, True): "end", (False, False): "whole"}
            texts.setdefault(node.field, []).append(
                (place[wanted.starts_with, wanted.ends_with], event[wanted.field])
            )
    for field, places in texts.items():
        at = {place: [text for each, text in places if each == place] for place in ("whole", "start", "inside", "end")}
        if at["whole"]:
            event[field] = at["whole"][0]
        else:
            separator = chance.choice([" ", "", " ; "])
            event[field] = separator.join(at["start"][:1] + at["inside"] + at["end"][:1])
    if keywords:
        event["message"] = "xx " + " ".join(keywords) + " yy"
    return event


def changed(event, asked, chance):
    """The event, and what a small change makes of each of its fields; `asked`: the fields that the rule asks for."""
    yield event
    for field in sorted(asked - set(event)):
        yield {**event, field: ""}
    for field, value in event.items():
        if field in NOISE:
            continue
        without = dict(event)
        del without[field]
        yield without
        yield {**event, field: ""}
        yield {**event, field: value.swapcase()}
        yield {**event, field: value.replace("-", "/")}
        yield {**event, field: value + " trailing"}
        yield {**event, field: "leading " + value}
        yield {**event, field: value + "\n"}
        if value:
            at = chance.randrange(len(value))
            yield {**event, field: value[:at] + value[at + 1 :]}
            yield {**event, field: value[:at] + "é" + value[at:]}
            # Letters that some case foldings take for `s`, `k` and `i`.
            yield {**event, field: value.replace("s", "ſ").replace("k", "\u212a").replace("I", "ı")}


# --- Files --------------------------------------------------------------------------------------------------------------


def rules_of(text):
    """The rules of a file, as pySigma reads them."""
    rules = []
    for document in yaml.load_all(text, SigmaYAMLLoader):
        if document is None:
            continue
        if "correlation" in document:
            SigmaCorrelationRule.from_dict(document)
            raise NotSupported("a correlation rule")
        if "filter" in document:
            SigmaFilter.from_dict(document)
            raise NotSupported("a filter")
        if "action" in document:
            raise NotSupported("a rule collection")
        rule = SigmaRule.from_dict(document)
        rules.append([condition.parsed for condition in rule.detection.parsed_condition])
    return rules


def events_of(conditions, chance):
    """Events for a rule, each of them once."""
    seen = set()
    for condition in conditions:
        questions = alternatives(condition, False, chance)
        if len(questions) > MOST_EVENTS:
            questions = chance.sample(questions, MOST_EVENTS)
        opposite = alternatives(condition, True, chance)
        for each in questions + chance.sample(opposite, min(4, len(opposite))):
            asked = {node.field for node, _ in each if isinstance(node, ConditionFieldEqualsValueExpression)}
            for event in changed(event_for(each, chance), asked, chance):
                key = tuple(sorted(event.items()))
                if key not in seen:
                    seen.add(key)
                    yield event


def says(conditions, event):
    return any(holds(condition, event) for condition in conditions)


def read(folders):
    """Prints what became of each file, and returns the events of the rules, and the rules."""
    counts = {"files": 0, "accepted": 0, "refused": 0, "rules": 0}
    events = []
    rules = {}
    for path in [path for folder in folders for path in sorted(Path(folder).rglob("*.y*ml"))]:
        counts["files"] += 1
        try:
            of_file = rules_of(path.read_text(encoding="utf-8"))
        # pySigma meets some broken rules with an exception of Python.
        except (SigmaError, NotSupported, yaml.YAMLError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            of_file = None
        if of_file is not None:
            try:
                named = {f"{path}#{position}": conditions for position, conditions in enumerate(of_file)}
                made = [
                    (rule, conditions, event)
                    for rule, conditions in named.items()
                    for event in events_of(conditions, random.Random(f"{path.name}{rule[-2:]}"))
                ]
                # What the evaluator does not judge shows when it is asked.
                for conditions in of_file:
                    says(conditions, dict(NOISE))
                for _, conditions, event in made:
                    says(conditions, event)
            except NotSupported as error:
                reason = str(error)
                of_file = None
        if of_file is None:
            counts["refused"] += 1
            print(json.dumps({"file": str(path), "accepted": False, "reason": reason}))
            continue
        counts["accepted"] += 1
        counts["rules"] += len(named)
        print(json.dumps({"file": str(path), "accepted": True}))
        rules.update(named)
        events += made
    return events, rules, counts


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--cross", type=int, default=0, metavar="N", help="ask all rules about every Nth event")
    arguments.add_argument("folders", nargs="+", metavar="FOLDER")
    options = arguments.parse_args()
    events, rules, counts = read(options.folders)
    counts.update({"cases": len(events), "positive": 0, "answers": 0})
    never = set(rules)
    for number, (rule, conditions, event) in enumerate(events):
        asked = rule
        matching = [rule] if says(conditions, event) else []
        counts["positive"] += len(matching)
        never.difference_update(matching)
        if options.cross and number % options.cross == 0:
            asked = None
            matching = [each for each, conditions in rules.items() if says(conditions, event)]
        counts["answers"] += 1 if asked else len(rules)
        print(json.dumps({"fields": event, "asked": asked, "matching": matching}))
    print(json.dumps({**counts, "never": sorted(never)}))


if __name__ == "__main__":
    main()
