"""IAM enforced: what MiniStack's policy evaluation lacks for this project. Installed with --enforce-iam only.

MiniStack then checks every signature and every call against the caller's policies; a 12-digit key stays
all-powerful. A function acts as its role, so a call that the role does not allow fails in a test as it would
on AWS. Added here:
- Session Manager calls are checked on the node or the session, and `ssm:resourceTag/...` is the node's tag;
- `aws:PrincipalArn` of a role's session is the role, not the session;
- `${aws:username}` and other variables in resources and conditions;
- `aws:MultiFactorAuthPresent` of a session that was opened with a code (no code is ever checked);
- every call counts as made over TLS, which this stack does not have.

It is our reading of IAM. MiniStack evaluates no KMS grants and no conditions on KMS, and does not look at the
permissions by which services deliver (queue policies, Lambda permissions).
"""

import dataclasses
import json
import re
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam, sts

import cloudtrail
import nodes
from patching import replace

VARIABLE = re.compile(r"\$\{([^}]+)\}")


def install():
    @replace(app, "pin_request_origin")
    def pin_request_origin(original, source_ip, _secure_transport):
        original(source_ip, True)

    @replace(iam_actions, "extract_resource_arn")
    def extract_resource_arn(original, service, method, path, headers, body, query, region, account):
        operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        if service == "ssm" and operation == "StartSession":
            return nodes.arn(json.loads(body or b"{}").get("Target", ""))
        if service == "ssm" and operation in ("ResumeSession", "TerminateSession"):
            return f"arn:aws:ssm:{region}:{account}:session/{json.loads(body or b'{}').get('SessionId', '')}"
        return original(service, method, path, headers, body, query, region, account)

    @replace(iam_evaluator, "enforce")
    def enforce(original, key, action, service, region, resource_arn="*", service_context=None):
        if action == "ssm:StartSession":
            node = nodes.nodes.get(resource_arn.rsplit("/", 1)[-1]) or {"Tags": {}}
            service_context = {
                **(service_context or {}),
                **{
                    f"{prefix}:resourceTag/{name}": value
                    for name, value in node["Tags"].items()
                    for prefix in ("ssm", "aws")
                },
            }
        return original(
            key, action, service, region, resource_arn=resource_arn, service_context=service_context
        )

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
                    conditions=substituted(statement.conditions, context),
                )
                for statement in statements
            ],
            effect,
        )

    @replace(iam_evaluator, "_principal_keys")
    def principal_keys(original, credential):
        keys = original(credential)
        if cloudtrail.session_facts.get(credential.access_key_id, {}).get("mfa"):
            issued = sts._sessions[credential.access_key_id].get("IssuedAt", time.time())
            keys["aws:multifactorauthpresent"] = "true"
            keys["aws:multifactorauthage"] = str(int(time.time() - issued))
        return keys


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
