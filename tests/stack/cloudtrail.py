"""CloudTrail records of Session Manager calls, and their way to EventBridge.

A record has the fields of a real one, in CloudTrail's spelling: the shapes of `userIdentity`,
`requestParameters` only with what the caller sent and null when the call was refused, the token hidden. It is
put on the account's default bus as `AWS API Call via CloudTrail` before the caller has its answer; on AWS it
comes seconds to minutes later.

Where a caller comes from cannot be seen on one machine: `set_source_address` says what records shall claim.
The access key id of the account itself (twelve digits here) is written as a root key, AKIAROOT and the
digits.
"""

import json
import time

from ministack.core import iam_evaluator
from ministack.core.responses import AccountScopedDict, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import eventbridge, iam, sts

import scope
from patching import replace

EVENT_VERSION = "1.11"
# What STS calls tell about a session beyond what MiniStack keeps of it, by access key id.
session_facts = {}
source_addresses = AccountScopedDict()


def install():
    @replace(sts, "handle_request")
    async def handle_request(original, method, path, headers, body, query):
        before = set(sts._sessions)
        answer = await original(method, path, headers, body, query)
        parameters = sts_parameters(headers, body, query)
        for access_key_id in set(sts._sessions) - before:
            session_facts[access_key_id] = {
                "mfa": bool(parameters.get("SerialNumber") and parameters.get("TokenCode")),
                "action": parameters.get("Action"),
                "source_identity": parameters.get("SourceIdentity"),
                "provider": parameters.get("ProviderId"),
            }
        return answer


def sts_parameters(headers, body, query):
    target = headers.get("x-amz-target", "")
    if target:
        return {**json.loads(body or b"{}"), "Action": target.rsplit(".", 1)[-1]}
    from urllib.parse import parse_qs

    sent = {**query, **parse_qs((body or b"").decode("utf-8", "replace"))}
    return {name: values[0] for name, values in sent.items() if values}


def iso(seconds=None):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def set_source_address(address):
    source_addresses["address"] = address


class Caller:
    """Who made a call: the ARN, the name sessions are called after, and the `userIdentity` of CloudTrail."""

    def __init__(self, headers, query):
        self.headers = headers
        key = extract_access_key_id(headers, query) or scope.account()
        credential = iam_evaluator.resolve_credential(key, scope.account())
        if isinstance(credential, iam_evaluator.CredentialResolutionError):
            # IAM is not enforced, so a key nobody made still calls: as the account.
            key = scope.account()
            credential = iam_evaluator.resolve_credential(key, key)
        self.arn = credential.principal_arn
        self.name = "root" if credential.principal_type == "Root" else self.arn.rsplit("/", 1)[-1]
        self.identity = self._identity(key, credential)

    def _identity(self, key, credential):
        account = credential.account_id
        session = sts._sessions.get(key)
        facts = session_facts.get(key, {})
        kind = {"User": "IAMUser"}.get(credential.principal_type, credential.principal_type)
        identity = {
            "type": kind,
            "principalId": credential.principal_id,
            "arn": self.arn,
            "accountId": account,
            "accessKeyId": f"AKIAROOT{account}" if key == account else key,
        }
        if kind == "IAMUser":
            identity["userName"] = credential.principal_name
        if session:
            identity["sessionContext"] = {
                "sessionIssuer": self._issuer(kind, account, session),
                "webIdFederationData": {},
                "attributes": {
                    "creationDate": iso(session.get("IssuedAt")),
                    "mfaAuthenticated": "true" if facts.get("mfa") else "false",
                },
            }
            if facts.get("action") == "AssumeRoleWithWebIdentity":
                identity["sessionContext"]["webIdFederationData"] = {
                    "federatedProvider": facts.get("provider") or "cognito-identity.amazonaws.com",
                    "attributes": {},
                }
            if facts.get("source_identity"):
                identity["sessionContext"]["sourceIdentity"] = facts["source_identity"]
        return identity

    def _issuer(self, kind, account, session):
        if kind == "AssumedRole":
            name = self.arn.split("/")[1]
            role = iam._roles.get_scoped(account, None, name) or {}
            return {
                "type": "Role",
                "principalId": role.get("RoleId") or str(session.get("UserId", "")).split(":")[0],
                # Only the issuer has the path of the role: the ARN of the session drops it.
                "arn": role.get("Arn") or f"arn:aws:iam::{account}:role/{name}",
                "accountId": account,
                "userName": name,
            }
        if kind == "FederatedUser":
            arn = session.get("SourcePrincipalArn") or f"arn:aws:iam::{account}:root"
            name = arn.rsplit("/", 1)[-1]
            user = iam._users.get_scoped(account, None, name) or {}
            if not user:
                return {"type": "Root", "principalId": account, "arn": arn, "accountId": account}
            return {
                "type": "IAMUser",
                "principalId": user["UserId"],
                "arn": arn,
                "accountId": account,
                "userName": name,
            }
        return {}


def record(caller, event_name, request, response, error=None):
    """Puts the record of an SSM call on the bus, and returns its event id."""
    region = scope.region()
    detail = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": caller.identity,
        "eventTime": iso(),
        "eventSource": "ssm.amazonaws.com",
        "eventName": event_name,
        "awsRegion": region,
        "sourceIPAddress": source_addresses.get("address") or "127.0.0.1",
        "userAgent": caller.headers.get("user-agent", ""),
    }
    if error:
        detail["errorCode"], detail["errorMessage"] = error
    detail.update(
        {
            "requestParameters": request,
            "responseElements": response,
            "requestID": new_uuid(),
            "eventID": new_uuid(),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": scope.account(),
            "eventCategory": "Management",
            "tlsDetails": {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": f"ssm.{region}.amazonaws.com",
            },
        }
    )
    put_events(
        [{"Source": "aws.ssm", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}]
    )
    return detail["eventID"]


def put_events(entries):
    """PutEvents as AWS services have it: sources that begin with `aws.` are allowed, and any number of
    entries.
    """
    eventbridge._ensure_default_bus()
    answers = []
    for first in range(0, len(entries), 10):
        status, _, body = eventbridge._put_events(
            {"Entries": entries[first : first + 10]}, allow_aws_source=True
        )
        answer = json.loads(body)
        if status != 200:
            return status, answer
        answers.extend(answer["Entries"])
    return 200, {"FailedEntryCount": sum("ErrorCode" in entry for entry in answers), "Entries": answers}
