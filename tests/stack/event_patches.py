"""EventBridge between accounts and Regions, and the organisation that they are in.

A rule's target may be the event bus of another account or Region. The event goes there when the target's role may put
events (with IAM enforced) and the bus's own policy lets that role, and keeps the account and Region that it came from;
otherwise it goes to the target's dead-letter queue. A bus has the policy that CloudFormation gives it.

Accounts are in an organisation when an admin call says so: `aws:PrincipalOrgID` and `aws:ResourceOrgID` are known
from then on.
"""

import json

from ministack.core import iam_evaluator
from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

import lambda_patches
import scope
from cloudformation_patches import after
from patching import current, replace

# The organisation of each account.
organizations = {}


def install():
    after("AWS::Events::EventBus", finish_bus)
    current(eventbridge, "_event_bus_policies")

    @replace(eventbridge, "_dispatch_to_event_bus")
    def dispatch_to_event_bus(original, spec, event, rule, event_path, payload=None):
        if (spec.account_id, spec.region) == (scope.account(), scope.region()):
            return original(spec, event, rule, event_path, payload)
        forward(spec, event, rule)

    @replace(iam_evaluator, "_principal_org_id")
    def principal_org_id(_original, account):
        return organizations.get(account)

    @replace(iam_evaluator, "_resolve_condition_key")
    def resolve_condition_key(original, key, context):
        if key.lower() == "aws:resourceorgid":
            account = context.resource_arn.split(":")[4] if context.resource_arn.count(":") >= 5 else ""
            return organizations.get(account or context.principal_account)
        return original(key, context)


def join(organization):
    """The account is in this organisation from now on."""
    organizations[scope.account()] = organization


def finish_bus(name, properties):
    if properties.get("Policy"):
        eventbridge._event_bus_policies[name] = properties["Policy"]


def forward(spec, event, rule):
    arn = f"arn:aws:events:{spec.region}:{spec.account_id}:{spec.resource}"
    key = eventbridge._rule_key(rule.get("Name"), rule.get("EventBusName", "default"))
    target = next(target for target in eventbridge._targets.get(key, []) if target.get("Arn") == arn)
    sent = {**event, "EventBusName": spec.resource.split("/", 1)[1]}
    # The envelope keeps whose event it is.
    sent.setdefault("Account", scope.account())
    sent.setdefault("Region", scope.region())
    account, role = scope.account(), target.get("RoleArn", "")
    with scope.of(spec.account_id, spec.region):
        if admits(sent["EventBusName"], arn, account, role):
            return eventbridge._dispatch_event(sent)
    dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
    if dead_letters:
        lambda_patches.send_to_queue(
            dead_letters,
            json.dumps(eventbridge._pattern_event_view(event).event_with_detail()),
            {"RULE_ARN": rule.get("Arn", ""), "TARGET_ARN": arn, "ERROR_CODE": "NO_PERMISSIONS"},
        )


def admits(bus, arn, account, role):
    """Whether the bus is there, and its policy lets a role of another account put events."""
    if bus not in eventbridge._event_buses:
        return False
    caller = iam_evaluator.EvalContext(
        principal_arn=role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/events",
        principal_type="AssumedRole",
        principal_account=account,
        action="events:PutEvents",
        resource_arn=arn,
        region=scope.region(),
    )
    policy = eventbridge._event_bus_policies.get(bus)
    return iam_evaluator.resource_policy_allows(policy, caller, account == scope.account())
