"""CloudFormation: template properties that MiniStack refuses or drops.

- Lambda: reserved concurrency, dead-letter queue
- DynamoDB: time to live, point-in-time recovery, encryption
- SNS: KmsMasterKeyId
- alarms over metric math: stored, never evaluated
- conditions: the account and Region of the deployment
- saved queries of CloudWatch Logs: kept, described, never run

A resource type that MiniStack does not know is still refused, with its name.
"""

import json

from ministack.core.responses import AccountRegionScopedDict, json_response, new_uuid
from ministack.services import cloudwatch, cloudwatch_logs, dynamodb, lambda_svc, sns
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

import scope
from patching import PatchError, current, replace


def install():
    after("AWS::Lambda::Function", finish_function)
    after("AWS::DynamoDB::Table", finish_table)
    after("AWS::SNS::Topic", finish_topic)
    current(cloudwatch, "_alarms")
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
        "create": lambda _logical_id, properties, _stack: keep_query(new_uuid(), properties),
        "update": lambda query_id, _old, properties, _stack: keep_query(query_id, properties),
        "delete": lambda query_id, _properties: queries.pop(query_id, None),
    }

    @replace(cloudwatch_logs, "handle_request")
    async def logs_request(original, method, path, headers, body, query_params):
        if headers.get("x-amz-target", "").endswith(".DescribeQueryDefinitions"):
            return described_queries(json.loads(body).get("queryDefinitionNamePrefix", ""))
        return await original(method, path, headers, body, query_params)

    for module in (changesets, engine, handlers, stacks):

        @replace(module, "_evaluate_conditions")
        def evaluate_conditions(original, template, parameters):
            place = {"AWS::AccountId": {"Value": scope.account()}, "AWS::Region": {"Value": scope.region()}}
            return original(template, {**parameters, **place})


    @replace(provisioners, "_cw_metric_alarm_record")
    def metric_alarm_record(original, name, properties):
        metrics = properties.get("Metrics")
        if not metrics:
            return original(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        record = original(name, {**plain, "MetricName": f"math-{name}", "Namespace": "LocalAws/MetricMath"})
        record["_Metrics"] = metrics
        return record


queries = AccountRegionScopedDict()


def keep_query(query_id, properties):
    queries[query_id] = {
        "queryDefinitionId": query_id,
        "name": properties["Name"],
        "queryString": properties["QueryString"],
        "logGroupNames": properties.get("LogGroupNames") or [],
    }
    return query_id, {}


def described_queries(prefix):
    found = [query for query in queries.values() if query["name"].startswith(prefix)]
    return json_response({"queryDefinitions": found})


def after(resource_type, finish):
    """Runs `finish(physical id, properties)` after a resource was created or updated."""
    handler = provisioners._RESOURCE_HANDLERS.get(resource_type)
    if not handler or not {"create", "update"} <= set(handler):
        raise PatchError(
            f"MiniStack has no create and update for {resource_type}: its patch must be written anew"
        )
    create, update = handler["create"], handler["update"]

    def created(logical_id, properties, stack_name):
        answer = create(logical_id, properties, stack_name)
        finish(answer[0], properties)
        return answer

    def updated(physical_id, old_properties, properties, stack_name, logical_id=None):
        answer = update(physical_id, old_properties, properties, stack_name, logical_id=logical_id)
        finish(answer[0], properties)
        return answer

    handler["create"], handler["update"] = created, updated


def finish_function(name, properties):
    function = lambda_svc._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)
    function["config"]["DeadLetterConfig"] = properties.get("DeadLetterConfig") or {}
    if properties.get("KmsKeyArn"):
        function["config"]["KMSKeyArn"] = properties["KmsKeyArn"]


def finish_table(name, properties):
    if properties.get("TimeToLiveSpecification"):
        dynamodb._update_ttl(
            {"TableName": name, "TimeToLiveSpecification": as_booleans(properties["TimeToLiveSpecification"])}
        )
    if properties.get("PointInTimeRecoverySpecification"):
        dynamodb._update_continuous_backups(
            {
                "TableName": name,
                "PointInTimeRecoverySpecification": as_booleans(
                    properties["PointInTimeRecoverySpecification"]
                ),
            }
        )
    encryption = as_booleans(properties.get("SSESpecification") or {})
    if encryption.get("SSEEnabled"):
        dynamodb._tables[name]["SSEDescription"] = {
            "Status": "ENABLED",
            "SSEType": encryption.get("SSEType", "KMS"),
            "KMSMasterKeyArn": key_arn(encryption.get("KMSMasterKeyId", "alias/aws/dynamodb")),
        }


def finish_topic(arn, properties):
    attributes = sns._topics[arn]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if properties.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]


def as_booleans(specification):
    """YAML may hold a flag as text."""
    return {
        key: (
            value.lower() == "true"
            if isinstance(value, str) and value.lower() in ("true", "false")
            else value
        )
        for key, value in specification.items()
    }


def key_arn(key):
    if key.startswith("arn:"):
        return key
    kind = "" if key.startswith("alias/") else "key/"
    return f"arn:aws:kms:{scope.region()}:{scope.account()}:{kind}{key}"
