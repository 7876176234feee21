"""IAM enforced: what MiniStack's policy evaluation lacks for this project. Installed with --enforce-iam only.

MiniStack then checks every signature and every call against the caller's policies; a 12-digit key stays
all-powerful. A function acts as its role, so a call that the role does not allow fails in a test as it would
on AWS. Added here:
- StartSession is checked on the node, whose tags are `ssm:resourceTag/...`, and on the document if one is named. It is not
  checked on the session preferences unless a policy asks for it with `ssm:SessionDocumentAccessCheck`, which is true
  when a document is named and false when none is;
- ResumeSession and TerminateSession are checked on the session and on the tags that Systems Manager puts on it;
- `aws:PrincipalArn` of a role's session is the role, not the session;
- `${aws:username}` and other variables in resources and conditions;
- `aws:MultiFactorAuthPresent` and `aws:MultiFactorAuthAge` of a session that a user opened with a code (no code is ever
  checked). A role's session has no second factor, whoever assumed the role with one;
- CreateVirtualMFADevice is checked on the device;
- a node that CloudFormation made puts the logs of its sessions only if its role may;
- every call counts as made over TLS, which this stack does not have.

It is our reading of IAM. MiniStack evaluates no KMS grants and no conditions on KMS, and does not look at the
permissions by which services invoke functions.
"""

import contextvars
import dataclasses
import json
import re
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam, sts

import cloudtrail
import documents
import nodes
import scope
import session_manager
from patching import replace

VARIABLE = re.compile(r"\$\{([^}]+)\}")
ACCESS_CHECK = "ssm:SessionDocumentAccessCheck"

# Of the StartSession at hand: the document that it names, and the ARN that it was refused on if not the node's.
named_document = contextvars.ContextVar("named_document", default=None)
refused_document = contextvars.ContextVar("refused_document", default=None)


def install():
    @replace(app, "pin_request_origin")
    def pin_request_origin(original, source_ip, _secure_transport):
        original(source_ip, True)

    @replace(iam_actions, "extract_resource_arn")
    def extract_resource_arn(original, service, method, path, headers, body, query, region, account):
        operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if service == "ssm" and operation in session_manager.SESSION_OPERATIONS:
            data = json.loads(body or b"{}")
            named_document.set(data.get("DocumentName"))
            return session_manager.resource_of(operation, data)
        if service == "iam" and (name := iam_actions._query_param(query, "VirtualMFADeviceName")):
            return f"arn:aws:iam::{account}:mfa/{name}"
        return original(service, method, path, headers, body, query, region, account)

    @replace(iam_evaluator, "enforce")
    def enforce(original, key, action, service, region, resource_arn="*", service_context=None):
        def check(resource, keys):
            context = {**(service_context or {}), **keys}
            return original(key, action, service, region, resource_arn=resource, service_context=context)

        name = resource_arn.rsplit("/", 1)[-1]
        if action in ("ssm:ResumeSession", "ssm:TerminateSession"):
            session = session_manager.sessions.get(name)
            return check(resource_arn, tag_keys(session.tags() if session else {}))
        if action != "ssm:StartSession":
            return check(resource_arn, {})
        document = named_document.get()
        access_check = {ACCESS_CHECK: "true" if document else "false"}
        refused_document.set(None)
        denied = check(resource_arn, {**tag_keys(nodes.tags(name)), **access_check})
        if denied or not document:
            return denied
        if document == documents.PREFERENCES and not asks_for_the_document(key):
            return None
        denied = check(documents.arn(document), access_check)
        if denied:
            refused_document.set(documents.arn(document))
        return denied

    @replace(iam_actions, "access_denied_response")
    def access_denied_response(original, service, action, *arguments, **keywords):
        if action == "ssm:StartSession" and refused_document.get():
            keywords["resource_arn"] = refused_document.get()
        return original(service, action, *arguments, **keywords)

    @replace(session_manager, "may")
    def may(_original, role, action, resource):
        return role_may(role, action, resource)

    @replace(iam_evaluator, "_resolve_condition_key")
    def resolve_condition_key(original, key, context):
        if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
            name = context.principal_arn.split("/")[1]
            role = iam._roles.get_scoped(context.principal_account, None, name) or {}
            return role.get("Arn") or f"arn:aws:iam::{context.principal_account}:role/{name}"
        return original(key, context)

    @replace(iam_evaluator, "_first_match")
    def first_match(original, context, statements, effect):
        return original(
            context,
            [
                dataclasses.replace(
                    statement,
                    resources=substituted(statement.resources, context),
                    not_resources=substituted(statement.not_resources, context),
                    conditions=substituted(statement.conditions, context),
                )
                for statement in statements
            ],
            effect,
        )

    @replace(iam_evaluator, "_principal_keys")
    def principal_keys(original, credential):
        keys = original(credential)
        facts = cloudtrail.session_facts.get(credential.access_key_id, {})
        if facts.get("mfa") and facts.get("action") == "GetSessionToken":
            issued = sts._sessions[credential.access_key_id].get("IssuedAt", time.time())
            keys["aws:multifactorauthpresent"] = "true"
            keys["aws:multifactorauthage"] = str(int(time.time() - issued))
        return keys


def tag_keys(tags):
    return {f"{prefix}:resourceTag/{name}": value for name, value in tags.items() for prefix in ("ssm", "aws")}


def asks_for_the_document(key):
    """Whether a policy of the caller has the condition that makes AWS check the session preferences too."""
    principal = iam_evaluator.resolve_principal(key or "", scope.account())
    policies = getattr(principal, "policies", None) or []
    return iam_evaluator._names_condition_key(policies, ACCESS_CHECK.lower())


def role_may(role, action, resource):
    """Whether the policies of a role of the account, given by its name, allow an action."""
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{scope.account()}:role/{role}",
        principal_type="AssumedRole",
        principal_account=scope.account(),
        action=action,
        resource_arn=resource,
        region=scope.region(),
    )
    policies = iam_evaluator._gather_role_policies(role, scope.account())
    return iam_evaluator.evaluate(context, policies).decision == "Allow"


def substituted(value, context):
    """The value with its variables filled in; one without a value here stays as it is and matches nothing."""
    if isinstance(value, str):
        return VARIABLE.sub(
            lambda found: str(iam_evaluator._resolve_condition_key(found[1], context) or found[0]), value
        )
    if isinstance(value, list):
        return [substituted(each, context) for each in value]
    if isinstance(value, dict):
        return {key: substituted(each, context) for key, each in value.items()}
    return value
