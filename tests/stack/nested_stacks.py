"""CloudFormation: what MiniStack's nested stacks lack.

- a template of SAM is transformed;
- what an update leaves alone keeps its attributes, so that others can still refer to it;
- what is retained stays when the stack goes.

It cannot: roll back the resources of one nested stack by themselves.
"""

from ministack.services import cloudformation
from ministack.services.cloudformation import engine, provisioners

from patching import current, replace

RETAINING = ("Retain", "RetainExceptOnCreate")


def install():
    # Only what is nested imports it at the call; a stack of its own is transformed elsewhere.
    @replace(engine, "_parse_template")
    def parse_template(original, body):
        return engine._apply_transforms(original(body))

    @replace(provisioners, "_update_resource")
    def update_resource(original, kind, physical_id, old, new, stack, logical_id=None, attributes=None):
        if attributes is None:
            known = (cloudformation._stacks.get(stack) or {}).get("_resources", {})
            attributes = known.get(logical_id, {}).get("Attributes")
        return original(kind, physical_id, old, new, stack, logical_id, attributes)

    handler = current(provisioners, "_RESOURCE_HANDLERS")["AWS::CloudFormation::Stack"]
    delete = handler["delete"]

    def delete_stack(physical_id, properties):
        stack = cloudformation._stacks.get(provisioners._nested_stack_lookup_name(physical_id)) or {}
        for name, definition in (stack.get("_template") or {}).get("Resources", {}).items():
            if definition.get("DeletionPolicy") in RETAINING:
                stack["_resources"].pop(name, None)
        delete(physical_id, properties)

    handler["delete"] = delete_stack
