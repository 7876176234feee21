"""Documents of Systems Manager, for the one that matters here: SSM-SessionManagerRunShell, the session preferences.

Create, get, describe, update, choose the default version, and delete, each with the errors that a caller may meet.
What StartSession reads is the default version of that document.

A document's content is kept as it was written: it is not checked against the schema of documents. It cannot: share
documents, list them, run one that is no session document, or record these calls in CloudTrail.
"""

import hashlib
import json
import time

from ministack.core.responses import AccountRegionScopedDict, error_response_json, json_response

import scope

PREFERENCES = "SSM-SessionManagerRunShell"

documents = AccountRegionScopedDict()


class Refused(Exception):
    """An error of the API: its code and its message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def arn(name):
    """Documents of AWS belong to no account."""
    account = "" if name.startswith("AWS-") else scope.account()
    return name if name.startswith("arn:") else f"arn:aws:ssm:{scope.region()}:{account}:document/{name}"


def preferences():
    """The inputs of the session preferences; empty where the account has none in this Region."""
    document = documents.get(PREFERENCES)
    if not document:
        return {}
    return json.loads(document["versions"][document["default"]]).get("inputs") or {}


# ---- what may be done with a document ----------------------------------------------------------------------


def create(name, content, kind="Command", form="JSON"):
    if name in documents:
        raise Refused("DocumentAlreadyExists", f"Document with same name {name} already exists")
    read(content)
    documents[name] = {
        "name": name,
        "type": kind,
        "format": form,
        "created": time.time(),
        "versions": {"1": content},
        "default": "1",
    }
    return documents[name]


def update(name, content, version=None):
    """A new version, which is not the default: AWS leaves that to the caller."""
    document = known(name)
    latest = str(len(document["versions"]))
    if version not in (None, "$LATEST", latest):
        raise Refused("InvalidDocumentVersion", "The document version is not valid or does not exist.")
    if content in document["versions"].values():
        raise Refused("DuplicateDocumentContent", "The content of the association document matches another document.")
    read(content)
    document["versions"][str(len(document["versions"]) + 1)] = content
    return document


def choose(name, version):
    document = known(name)
    document["default"] = known_version(document, version)
    return document


def delete(name):
    known(name)
    del documents[name]


def read(content):
    try:
        return json.loads(content)
    except ValueError:
        raise Refused("InvalidDocumentContent", "JSON not well-formed.") from None


def known(name):
    document = documents.get(name.rsplit("/", 1)[-1])
    if not document:
        raise Refused("InvalidDocument", f"Document with name {name} does not exist.")
    return document


def known_version(document, version):
    version = {
        None: document["default"],
        "$DEFAULT": document["default"],
        "$LATEST": str(len(document["versions"])),
    }.get(version, version)
    if version not in document["versions"]:
        raise Refused("InvalidDocumentVersion", "The document version is not valid or does not exist.")
    return version


# ---- the calls ---------------------------------------------------------------------------------------------


def described(document, version=None):
    version = known_version(document, version)
    content = document["versions"][version]
    return {
        "Name": document["name"],
        "Owner": scope.account(),
        "CreatedDate": round(document["created"], 3),
        "Status": "Active",
        "DocumentVersion": version,
        "DefaultVersion": document["default"],
        "LatestVersion": str(len(document["versions"])),
        "DocumentType": document["type"],
        "DocumentFormat": document["format"],
        "SchemaVersion": str(read(content).get("schemaVersion", "1.0")),
        "Description": read(content).get("description", ""),
        "Hash": hashlib.sha256(content.encode()).hexdigest(),
        "HashType": "Sha256",
        "PlatformTypes": ["Windows", "Linux", "MacOS"],
    }


def create_document(data):
    document = create(
        data["Name"], data["Content"], data.get("DocumentType", "Command"), data.get("DocumentFormat", "JSON")
    )
    return {"DocumentDescription": described(document)}


def get_document(data):
    document = known(data["Name"])
    version = known_version(document, data.get("DocumentVersion"))
    return {
        "Name": document["name"],
        "CreatedDate": round(document["created"], 3),
        "DocumentVersion": version,
        "Status": "Active",
        "Content": document["versions"][version],
        "DocumentType": document["type"],
        "DocumentFormat": document["format"],
    }


def describe_document(data):
    return {"Document": described(known(data["Name"]), data.get("DocumentVersion"))}


def update_document(data):
    document = update(data["Name"], data["Content"], data.get("DocumentVersion"))
    return {"DocumentDescription": described(document, "$LATEST")}


def update_document_default_version(data):
    document = choose(data["Name"], data["DocumentVersion"])
    return {"Description": {"Name": document["name"], "DefaultVersion": document["default"]}}


def delete_document(data):
    delete(data["Name"])
    return {}


OPERATIONS = {
    "CreateDocument": create_document,
    "DeleteDocument": delete_document,
    "DescribeDocument": describe_document,
    "GetDocument": get_document,
    "UpdateDocument": update_document,
    "UpdateDocumentDefaultVersion": update_document_default_version,
}


def answer(operation, data):
    try:
        return json_response(OPERATIONS[operation](data))
    except Refused as refusal:
        return error_response_json(refusal.code, str(refusal), 400)
