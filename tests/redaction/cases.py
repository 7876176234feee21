"""Texts that hold a secret, as two kept sets of rules say.

    cases.py CACHE

For each rule of Kingfisher (which carries the rules of Betterleaks, gitleaks' successor, and of Veles) and of detect-secrets,
texts are made that its own regular expression matches, and the secret in each is put into commands and files as people
write them. A set's own scanner then says what in a text is a secret; a text in which it finds none is no case.

Prints one JSON object a line. A case: {"rule", "shape", "text", "secrets": [...]}. The last line counts: {"rules", "cases",
"without": [rules of which no case could be made]}. CACHE is a folder for the rules as Kingfisher compiles them.
"""

import json
import random
import re
import string
import sys
from pathlib import Path
from re import _constants as op
from re import _parser

import kingfisher_sdk
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

# How many secrets are made for a rule, and how often one is tried that the rule's filters refuse.
SECRETS = 3
TRIES = 30
WORD = string.ascii_letters + string.digits + "_"
CATEGORIES = {
    op.CATEGORY_DIGIT: string.digits,
    op.CATEGORY_WORD: WORD,
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_NOT_DIGIT: string.ascii_letters,
    op.CATEGORY_NOT_WORD: "-",
    op.CATEGORY_NOT_SPACE: WORD,
}
# The secret where a person would have it. NAME is the issuer's variable, NAME_OPTION the same as an option.
SHAPES = {
    "argument": "login {secret}",
    "variable": "export {name}={secret}",
    "one command": "{name}='{secret}' ./deploy --verbose",
    "quoted": 'set {name} "{secret}"; {name}="{secret}"',
    "option": "tool --{option} {secret} --verbose",
    "option with equals": "tool --{option}={secret} run",
    "header": "curl -s -H 'X-Api-Key: {secret}' https://api.example.com/v1",
    "bearer": 'curl -H "Authorization: Bearer {secret}" https://api.example.com/v1',
    "query": "curl 'https://api.example.com/v1?{name}={secret}&page=2'",
    "form": "curl -d {name}={secret} https://api.example.com",
    "JSON": '{{"user": "alice", "{name}": "{secret}", "region": "eu"}}',
    "YAML": "{lower}: {secret}",
    "INI": "{lower} = {secret}",
    "written": "echo {secret} > /etc/app/credentials",
    "container": "docker run -e {name}={secret} -p 80:80 app",
    "brackets": "see ({secret}), [{secret}]",
    "URL": "git clone https://alice:{secret}@git.example.com/app.git",
}


class NotMade(Exception):
    """A part of an expression that no text is made for."""


# --- A text that an expression matches ----------------------------------------------------------------------------------


def parsed(pattern):
    """The tree of an expression; whether letters' case counts, and how it is laid out, make no other text."""
    if pattern.startswith("(?x)"):
        pattern = re.sub(r"\s+", "", pattern)
    pattern = re.sub(r"\(\?[a-zA-Z-]+\)", "", pattern)
    pattern = re.sub(r"\(\?[a-zA-Z-]+:", "(?:", pattern)
    pattern = pattern.replace("[:alnum:]", "A-Za-z0-9").replace("[[A-Za-z0-9]]", "[A-Za-z0-9]").replace(r"\z", r"\Z")
    return _parser.parse(pattern)


def members(items):
    wanted, inverted = [], False
    for kind, value in items:
        if kind is op.NEGATE:
            inverted = True
        elif kind is op.LITERAL:
            wanted.append(chr(value))
        elif kind is op.RANGE:
            wanted.extend(chr(each) for each in range(value[0], min(value[1], 126) + 1))
        elif kind is op.CATEGORY:
            wanted.extend(CATEGORIES[value])
        else:
            raise NotMade(kind)
    if inverted:
        return [each for each in WORD if each not in wanted] or [" "]
    # A blank of a table or a line's end, where a space would do as well, is not how people write.
    return [each for each in wanted if each.isprintable()] or wanted


def spelled(tree, chance, groups):
    parts = []
    for kind, value in tree:
        if kind is op.LITERAL:
            parts.append(chr(value))
        elif kind is op.NOT_LITERAL:
            parts.append(chance.choice([each for each in WORD if ord(each) != value]))
        elif kind is op.ANY:
            # Alone it stands for a dot that was not escaped.
            parts.append(".")
        elif kind is op.IN:
            parts.append(chance.choice(members(value)))
        elif kind is op.BRANCH:
            parts.append(spelled(chance.choice(value[1]), chance, groups))
        elif kind is op.SUBPATTERN:
            groups[value[0]] = spelled(value[3], chance, groups)
            parts.append(groups[value[0]])
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, inner = value
            parts.append(repeated(inner[0], least, most, lambda: spelled(inner, chance, groups), chance, kind))
        elif kind is op.GROUPREF:
            parts.append(groups.get(value, ""))
        elif kind not in (op.AT, op.ASSERT, op.ASSERT_NOT):
            raise NotMade(kind)
    return "".join(parts)


def repeated(part, least, most, one, chance, kind):
    """A part so often as people would write it."""
    if kind is op.MIN_REPEAT:
        return " " * max(least, min(most, 1))
    if part[0] is op.ANY:
        return "".join(chance.choice(WORD) for _ in range(least))
    if part[0] is op.IN and least == 0 and " " in members(part[1]):
        # Between a name and its value.
        more = chance.choice([0, 0, 1])
    elif most is op.MAXREPEAT and part[0] in (op.IN, op.CATEGORY) and least < 8:
        more = chance.choice([8, 12, 30])
    else:
        # A long secret is as long as it must be, and sometimes longer.
        more = chance.choice([0, 0, 1, 4, 2 if least < 8 else 40])
    return "".join(one() for _ in range(min(least + more, most if most is not op.MAXREPEAT else least + more)))


def shapes(rule, secret):
    """The secret in commands and files; the rule's name is the issuer's, near enough."""
    words = re.sub(r"[^a-z0-9]+", " ", re.sub(r"\.\d+$", "", rule.lower())).split()
    values = {"name": "_".join(words).upper(), "lower": "_".join(words), "option": "-".join(words), "secret": secret}
    return [(shape, text.format(**values)) for shape, text in SHAPES.items()]


# --- The sets -----------------------------------------------------------------------------------------------------------


class Kingfisher:
    def __init__(self, cache):
        rules = kingfisher_sdk.Rules(confidence="low", cache_dir=cache)
        self.scanner = kingfisher_sdk.Scanner(rules, base64=False)
        self.details = {each["id"]: rules.detail(each["id"]) for each in rules.metadata()}
        self.trees = {name: parsed(rule["pattern"]) for name, rule in self.details.items()}
        # Some rules are asked of some files alone.
        paths = {name: rule["path"] for name, rule in self.details.items() if rule["path"]}
        self.paths = {name: spelled(parsed(path), random.Random(0), {}) for name, path in paths.items()}

    def rules(self):
        # What is not visible is a public half: an account's number, a host. The scanner wants it beside the secret.
        return [name for name, rule in self.details.items() if rule["visible"]]

    def example(self, name, chance):
        text = spelled(self.trees[name], chance, {})
        beside = [spelled(self.trees[each["rule_id"]], chance, {}) for each in self.details[name]["depends_on_rule"]]
        return " ".join([text, *beside])

    def secrets(self, rule, text):
        source = kingfisher_sdk.ScanInput(data=text.encode(), path=self.paths.get(rule, ""))
        findings = [each for each in self.scanner.scan_input(source) if each.visible and each.secret]
        return {each.rule_id: self.password(each) for each in findings}

    def password(self, finding):
        """Of an address with a password in it, the password; of everything else all."""
        named = {name.lower(): text for name, text in finding.captures.items()}
        return named.get("git_password") or named.get("password") or finding.secret


class DetectSecrets:
    # What is told by its looks alone: every hash would be a secret, and every address.
    WITHOUT = {"Base64 High Entropy String", "Hex High Entropy String", "Public IP (ipv4)"}

    def __init__(self):
        kinds = get_mapping_from_secret_type_to_class()
        self.plugins = {kind: each() for kind, each in kinds.items() if kind not in self.WITHOUT}

    def rules(self):
        return [kind for kind, plugin in self.plugins.items() if hasattr(plugin, "denylist")]

    def example(self, name, chance):
        pattern = chance.choice(list(self.plugins[name].denylist))
        return spelled(parsed(pattern.pattern), chance, {})

    def secrets(self, _rule, text):
        return {kind: found for kind, each in self.plugins.items() for found in each.analyze_string(text) if found}


def cases(prefix, kept, chance):
    """For each rule its cases: what the set itself finds in texts of the rule's own, and in other shapes of what it found."""
    for rule in kept.rules():
        made, seen = [], set()
        for _ in range(TRIES):
            text = kept.example(rule, chance)
            found = kept.secrets(rule, text)
            secret = found.get(rule) or next(iter(found.values()), None)
            if secret is None:
                continue
            made.append(("its own", text, list(found.values())))
            seen.add(secret)
            for shape, shaped in shapes(re.split(r"[./]", rule, maxsplit=1)[-1], secret):
                if found := kept.secrets(rule, shaped):
                    made.append((shape, shaped, list(found.values())))
            if len(seen) == SECRETS:
                break
        yield f"{prefix}:{rule}", made


def main():
    cache = Path(sys.argv[1])
    cache.mkdir(parents=True, exist_ok=True)
    chance = random.Random(20261124)
    rules = count = 0
    without = []
    for prefix, kept in (("kingfisher", Kingfisher(cache)), ("detect-secrets", DetectSecrets())):
        for rule, made in cases(prefix, kept, chance):
            rules += 1
            count += len(made)
            if not made:
                without.append(rule)
            for shape, text, secrets in made:
                print(json.dumps({"rule": rule, "shape": shape, "text": text, "secrets": secrets}))
    print(json.dumps({"rules": rules, "cases": count, "without": without}))


if __name__ == "__main__":
    main()
