"""CloudFormation: the resource types of `infra/` that MiniStack does not know.

- AWS::IAM::Group, with its managed policies;
- AWS::EC2::Instance, with launch template and tags. One with an instance profile becomes a managed node
  (`nodes.py`) whose sessions get a real shell;
- AWS::SSM::Document (`documents.py`);
- AWS::CloudTrail::Trail, which MiniStack has as an API only.

The public parameter of Amazon Linux for arm64, the default of `infra/instances.yaml`, is there as the one for x86_64 is.

It cannot: replace a group or a document with a fixed name, or record in a trail's bucket. An instance is not
launched in anything: its image, its volumes and its security groups are not looked at.
"""

import json

from ministack.services import cloudtrail, ec2, iam, ssm
from ministack.services.cloudformation import provisioners

import documents
import nodes
from patching import PatchError, current

IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"


def install():
    handlers = current(provisioners, "_RESOURCE_HANDLERS")
    tagged = current(provisioners, "_STACK_TAG_PROPERTY")
    for resource_type, handler in TYPES.items():
        if resource_type in handlers:
            raise PatchError(f"MiniStack now has {resource_type} itself: see what is left to do here")
        handlers[resource_type] = {**handler, "update_with_logical_id": True}
    tagged["AWS::EC2::Instance"] = ("Tags", "list")
    current(ssm, "_PUBLIC_AMI_PARAMETERS")[IMAGE] = "ami-0c2023a1b2c3d4e64"

def call(function, request):
    """Calls an operation of MiniStack; what it refuses is the reason why the resource failed."""
    status, _, body = function(request)
    if status >= 400:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
        raise ValueError(text)
    return json.loads(body) if body and body[:1] in (b"{", "{") else body


# ---- groups ------------------------------------------------------------------------------------------------


def create_group(logical_id, properties, stack):
    name = properties.get("GroupName") or provisioners._physical_name(stack, logical_id)
    call(iam._create_group, {"GroupName": name, "Path": properties.get("Path", "/")})
    attach(name, {}, properties)
    return name, {"Arn": iam._groups[name]["Arn"]}


def update_group(name, old, new, _stack, _logical_id):
    attach(name, old, new)
    return name, {"Arn": iam._groups[name]["Arn"]}


def delete_group(name, properties):
    if name in iam._groups:
        attach(name, properties, {})
        call(iam._delete_group, {"GroupName": name})


def attach(group, old, new):
    before, after = set(old.get("ManagedPolicyArns") or ()), set(new.get("ManagedPolicyArns") or ())
    for arn in sorted(before - after):
        call(iam._detach_group_policy, {"GroupName": group, "PolicyArn": arn})
    for arn in sorted(after - before):
        call(iam._attach_group_policy, {"GroupName": group, "PolicyArn": arn})


# ---- instances ---------------------------------------------------------------------------------------------


def create_instance(_logical_id, properties, _stack):
    properties = launched(properties)
    network = (properties.get("NetworkInterfaces") or [{}])[0]
    profile = properties.get("IamInstanceProfile") or {}
    if isinstance(profile, str):
        profile = {"Name": profile}
    attached, _ = ec2._resolve_iam_instance_profile(
        iam_arn=profile.get("Arn", ""), iam_name=profile.get("Name", ""), allow_missing=True
    )
    (instance,) = ec2._launch_instances_internal(
        properties.get("ImageId", ""),
        properties.get("InstanceType", "t3.micro"),
        network.get("SubnetId") or properties.get("SubnetId", ""),
        1,
        sg_ids=network.get("GroupSet") or properties.get("SecurityGroupIds"),
        iam_profile=attached,
    )
    if str(network.get("AssociatePublicIpAddress")).lower() == "false":
        instance["PublicIpAddress"] = instance["PublicDnsName"] = ""
    name = instance["InstanceId"]
    ec2._tags[name] = properties.get("Tags") or []
    if attached:
        # On AWS the agent registers the instance, which needs the permissions of a role.
        nodes.register(
            {
                "InstanceId": name,
                "ComputerName": instance["PrivateDnsName"],
                "IPAddress": instance["PrivateIpAddress"],
                "Role": role_of(attached["Arn"]),
                "Shell": True,
            }
        )
    return name, attributes(instance)


def update_instance(name, old, new, stack, logical_id):
    if {**old, "Tags": None} != {**new, "Tags": None}:
        return provisioners._replace_resource("AWS::EC2::Instance", name, old, new, stack, logical_id)
    ec2._tags[name] = new.get("Tags") or []
    return name, attributes(ec2._instances[name])


def delete_instance(name, _properties):
    nodes.nodes.pop(name, None)
    ec2._tags.pop(name, None)
    if name in ec2._instances:
        call(ec2._terminate_instances, {"InstanceId.1": name})


def launched(properties):
    """The properties, with what the launch template says of the others."""
    template = properties.get("LaunchTemplate")
    if not template:
        return properties
    data, _, error = ec2._resolve_launch_template_data({**template, "Version": str(template.get("Version"))})
    if error:
        raise ValueError(f"there is no launch template {template}")
    return {**data, **properties}


def role_of(profile_arn):
    profile = iam._instance_profiles.get(profile_arn.rsplit("/", 1)[-1]) or {}
    return next(iter(profile.get("Roles") or ()), None)


def attributes(instance):
    return {
        "InstanceId": instance["InstanceId"],
        "PrivateIp": instance["PrivateIpAddress"],
        "PrivateDnsName": instance["PrivateDnsName"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
    }


# ---- documents ---------------------------------------------------------------------------------------------


def create_document(logical_id, properties, stack):
    name = properties.get("Name") or provisioners._physical_name(stack, logical_id)
    kind, form = properties.get("DocumentType", "Command"), properties.get("DocumentFormat", "JSON")
    try:
        documents.create(name, text(properties["Content"]), kind, form)
    except documents.Refused as refusal:
        raise ValueError(f"{refusal} ({refusal.code})") from None
    return name, {}


def update_document(name, old, new, _stack, _logical_id):
    if text(old["Content"]) != text(new["Content"]):
        if new.get("UpdateMethod") != "NewVersion":
            raise ValueError(f"{name} has a fixed name and cannot be replaced")
        documents.update(name, text(new["Content"]))
    return name, {}


def delete_document(name, _properties):
    documents.documents.pop(name, None)


def text(content):
    return content if isinstance(content, str) else json.dumps(content)


# ---- trails ------------------------------------------------------------------------------------------------


def create_trail(logical_id, properties, stack):
    name = properties.get("TrailName") or provisioners._physical_name(stack, logical_id)
    call(cloudtrail._create_trail, trail_request(name, properties))
    set_up(name, properties)
    return name, {"Arn": cloudtrail._trail_arn(name)}


def update_trail(name, _old, new, _stack, _logical_id):
    call(cloudtrail._update_trail, trail_request(name, new))
    set_up(name, new)
    return name, {"Arn": cloudtrail._trail_arn(name)}


def delete_trail(name, _properties):
    call(cloudtrail._delete_trail, {"Name": name})


def trail_request(name, properties):
    flags = ("IsMultiRegionTrail", "IncludeGlobalServiceEvents", "EnableLogFileValidation")
    return {
        "Name": name,
        "S3BucketName": properties["S3BucketName"],
        "KmsKeyId": properties.get("KMSKeyId", ""),
        **{flag: str(properties.get(flag, False)).lower() == "true" for flag in flags},
    }


def set_up(name, properties):
    if properties.get("EventSelectors"):
        request = {"TrailName": name, "EventSelectors": properties["EventSelectors"]}
        call(cloudtrail._put_event_selectors, request)
    is_logging = str(properties["IsLogging"]).lower() == "true"
    call(cloudtrail._start_logging if is_logging else cloudtrail._stop_logging, {"Name": name})


TYPES = {
    "AWS::CloudTrail::Trail": {"create": create_trail, "update": update_trail, "delete": delete_trail},
    "AWS::EC2::Instance": {"create": create_instance, "update": update_instance, "delete": delete_instance},
    "AWS::IAM::Group": {"create": create_group, "update": update_group, "delete": delete_group},
    "AWS::SSM::Document": {"create": create_document, "update": update_document, "delete": delete_document},
}
