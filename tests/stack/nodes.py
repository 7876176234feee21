"""Managed nodes: what DescribeInstanceInformation and the tagging API know about them.

A node is registered by POST /_localaws/nodes and registered again to change it, or is an EC2 instance that
CloudFormation made (`resource_types.py`): the tags of that one are EC2's. A node without tags is absent from
GetResources, as on AWS, where an untagged resource is not listed.
"""

import time

from ministack.core.responses import AccountRegionScopedDict, error_response_json, json_response
from ministack.services import ec2, tagging

import scope
from patching import PatchError, current

nodes = AccountRegionScopedDict()


def install():
    collectors = current(tagging, "_COLLECTORS")
    for service, prefix in (("ec2", "i-"), ("ssm", "mi-")):
        if service in collectors:
            raise PatchError(
                f"MiniStack now answers the tags of {service} itself: see what is left to do here"
            )
    collectors["ec2"] = lambda: tagged_nodes("i-")
    collectors["ssm"] = lambda: tagged_nodes("mi-")


def register(data):
    node = {
        "PingStatus": "Online",
        "AgentVersion": "3.3.987.0",
        "PlatformName": "Amazon Linux",
        "PlatformVersion": "2023",
        "IPAddress": "10.0.1.11",
        "ComputerName": "",
        "Tags": {},
        "Shell": False,
        **data,
    }
    nodes[node["InstanceId"]] = node
    return node


def is_reachable(target):
    """ECS tasks are not registered with SSM, so any ECS target is taken to be there."""
    if target.startswith("ecs:"):
        return True
    node = nodes.get(target)
    return node is not None and node["PingStatus"] == "Online"


def tags(target):
    """The tags of a node; none for a target that is no node."""
    if target in ec2._instances:
        return {each["Key"]: each["Value"] for each in ec2._tags.get(target) or ()}
    return (nodes.get(target) or {"Tags": {}})["Tags"]


def arn(instance_id):
    kind = "ssm" if instance_id.startswith("mi-") else "ec2"
    resource = "managed-instance" if kind == "ssm" else "instance"
    return f"arn:aws:{kind}:{scope.region()}:{scope.account()}:{resource}/{instance_id}"


def tagged_nodes(prefix):
    for instance_id in nodes:
        if instance_id.startswith(prefix) and tags(instance_id):
            yield arn(instance_id), [{"Key": key, "Value": value} for key, value in tags(instance_id).items()]


def describe_instance_information(data):
    filters = [(each.get("Key"), each.get("Values")) for each in data.get("Filters") or []]
    filters += [
        (each.get("key"), each.get("valueSet")) for each in data.get("InstanceInformationFilterList") or []
    ]
    named = next((values for key, values in filters if key == "InstanceIds"), None)
    # A look-up by id must not grow with the number of nodes.
    found = [nodes[name] for name in named if name in nodes] if named else list(nodes.values())
    for key, values in filters:
        if key == "InstanceIds":
            continue
        if key in ("PingStatus", "AgentVersion"):
            found = [node for node in found if node[key] in values]
        elif key == "PlatformTypes":
            found = [node for node in found if platform_type(node) in values]
        elif key.startswith("tag:"):
            found = [node for node in found if tags(node["InstanceId"]).get(key[4:]) in values]
        else:
            return error_response_json(
                "InvalidInstanceInformationFilterValue", f"{key} is no filter here.", 400
            )
    first, limit = int(data.get("NextToken") or 0), int(data.get("MaxResults") or 10)
    answer = {"InstanceInformationList": [information(node) for node in found[first : first + limit]]}
    if first + limit < len(found):
        answer["NextToken"] = str(first + limit)
    return json_response(answer)


def platform_type(node):
    return next(
        (kind for kind in ("Windows", "macOS") if kind.lower() in node["PlatformName"].lower()), "Linux"
    )


def information(node):
    managed = node["InstanceId"].startswith("mi-")
    return {
        "InstanceId": node["InstanceId"],
        "PingStatus": node["PingStatus"],
        "LastPingDateTime": round(time.time(), 3),
        "AgentVersion": node["AgentVersion"],
        "IsLatestVersion": False,
        "PlatformType": platform_type(node),
        "PlatformName": node["PlatformName"],
        "PlatformVersion": node["PlatformVersion"],
        "ResourceType": "ManagedInstance" if managed else "EC2Instance",
        "IPAddress": node["IPAddress"],
        "ComputerName": node["ComputerName"],
        "SourceId": node["InstanceId"],
        "SourceType": "AWS::SSM::ManagedInstance" if managed else "AWS::EC2::Instance",
    }


def list_tags(instance_id):
    if instance_id not in nodes:
        return error_response_json("InvalidResourceId", f"{instance_id} is not a managed node.", 400)
    return json_response(
        {"TagList": [{"Key": key, "Value": value} for key, value in tags(instance_id).items()]}
    )
