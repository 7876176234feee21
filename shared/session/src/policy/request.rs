//! From a session to a Cedar request.

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};

use crate::event::{EventKind, Session, Source};
use crate::parameters::Parameters;
use crate::principal::{Groups, Principal, PrincipalKind};
use crate::target::{Tags, Target, TargetId};

type Field = (String, RestrictedExpression);

/// The entity types of the schema, parsed once.
#[derive(Debug)]
pub(super) struct Names {
    user: EntityTypeName,
    role: EntityTypeName,
    root: EntityTypeName,
    other: EntityTypeName,
    identity_center: EntityTypeName,
    group: EntityTypeName,
    instance: EntityTypeName,
    managed: EntityTypeName,
    task: EntityTypeName,
    unknown: EntityTypeName,
    action: EntityTypeName,
}

impl Names {
    pub(super) fn new() -> Result<Self, String> {
        let name = |text: &str| text.parse::<EntityTypeName>().map_err(|error| error.to_string());
        Ok(Self {
            user: name("AWS::IAM::User")?,
            role: name("AWS::IAM::Role")?,
            root: name("AWS::IAM::Root")?,
            other: name("AWS::IAM::Other")?,
            identity_center: name("AWS::IdentityStore::User")?,
            group: name("AWS::IAM::Group")?,
            instance: name("AWS::EC2::Instance")?,
            managed: name("AWS::SSM::ManagedInstance")?,
            task: name("AWS::ECS::Task")?,
            unknown: name("AWS::SSM::UnknownTarget")?,
            action: name("AWS::SSM::Action")?,
        })
    }
}

/// The action that a session's event is judged as.
pub(super) fn action(session: &Session) -> Option<&'static str> {
    if session.is_own {
        return None;
    }
    match session.event.kind {
        EventKind::Started { .. } => Some("StartSession"),
        EventKind::Resumed { .. } => Some("ResumeSession"),
        EventKind::Attempted { .. } => Some("AttemptSession"),
        EventKind::Terminated { .. } => None,
    }
}

pub(super) fn build(
    session: &Session,
    action: &str,
    names: &Names,
    parameters: &Parameters,
    schema: &Schema,
) -> Result<(Request, Entities), String> {
    let principal = uid(
        match session.event.principal.kind {
            PrincipalKind::IamUser => &names.user,
            PrincipalKind::AssumedRole | PrincipalKind::WebIdentity { .. } => &names.role,
            PrincipalKind::Root => &names.root,
            PrincipalKind::IdentityCenter { .. } | PrincipalKind::IdentityCenterUser => {
                &names.identity_center
            }
            PrincipalKind::FederatedUser | PrincipalKind::Service | PrincipalKind::Other(_) => &names.other,
        },
        &session.event.principal.name,
    );
    let target = session.target.as_ref();
    let resource_id = target.map_or_else(|| "unknown".to_owned(), |target| target.id.to_string());
    let resource = uid(
        match target.map(|target| &target.id) {
            Some(TargetId::Instance(_)) => &names.instance,
            Some(TargetId::ManagedNode(_)) => &names.managed,
            Some(TargetId::EcsTask { .. }) => &names.task,
            Some(TargetId::Other(_)) | None => &names.unknown,
        },
        &resource_id,
    );
    let action = uid(&names.action, action);

    let entities = [
        principal_entity(&session.event.principal, principal.clone(), &names.group)?,
        target_entity(target, &resource_id, resource.clone())?,
    ];
    let entities = Entities::from_entities(entities, Some(schema)).map_err(|error| describe(&error))?;
    let context = Context::from_pairs(context(session, parameters)).map_err(|error| describe(&error))?;
    let request =
        Request::new(principal, action, resource, context, Some(schema)).map_err(|error| describe(&error))?;
    Ok((request, entities))
}

fn principal_entity(
    principal: &Principal,
    uid: EntityUid,
    group_type: &EntityTypeName,
) -> Result<Entity, String> {
    let mut fields = vec![field("name", text(&principal.name))];
    optional(&mut fields, "account", principal.account.as_deref().map(text));
    optional(&mut fields, "arn", principal.arn.as_deref().map(text));
    optional(&mut fields, "sessionName", principal.session_name.as_deref().map(text));
    optional(&mut fields, "sourceIdentity", principal.source_identity.as_deref().map(text));
    if let PrincipalKind::IdentityCenter { permission_set } = &principal.kind {
        fields.push(field("permissionSet", text(permission_set)));
    }
    let groups: Vec<_> = match (&principal.kind, &principal.groups) {
        (PrincipalKind::IamUser, Groups::Known(groups)) => {
            groups.iter().map(|group| self::uid(group_type, group)).collect()
        }
        _ => Vec::new(),
    };
    Entity::new_with_tags(uid, fields, groups, tags(&principal.tags)).map_err(|error| describe(&error))
}

fn target_entity(target: Option<&Target>, id: &str, uid: EntityUid) -> Result<Entity, String> {
    let tags_of_target = target.map(|target| tags(&target.tags)).unwrap_or_default();
    let keys = tags_of_target.iter().map(|(key, _)| text(key));
    let mut fields = vec![
        field("id", text(id)),
        field("tagKeys", RestrictedExpression::new_set(keys.collect::<Vec<_>>())),
    ];
    if let Some(facts) = target.and_then(|target| target.facts.as_ref()) {
        optional(&mut fields, "name", facts.name.as_deref().map(text));
        optional(&mut fields, "platform", facts.platform.as_deref().map(text));
    }
    Entity::new_with_tags(uid, fields, [], tags_of_target).map_err(|error| describe(&error))
}

fn context(session: &Session, parameters: &Parameters) -> Vec<Field> {
    let event = &session.event;
    let mut networks = Vec::new();
    let mut fields = vec![
        field("parameters", parameter_record(parameters)),
        field("account", text(&event.account)),
        field("region", text(&event.region)),
        field("time", RestrictedExpression::new_datetime(datetime(event.time))),
        field("businessHours", RestrictedExpression::new_bool(parameters.business_hours.contain(event.time))),
        field("mfa", text(event.principal.mfa.as_str())),
    ];
    if let Source::Ip(ip) = event.source {
        fields.push(field("sourceIp", RestrictedExpression::new_ip(ip.to_string())));
        networks.extend(parameters.networks_of(ip).map(text));
    }
    fields.push(field("sourceNetworks", RestrictedExpression::new_set(networks)));
    optional(&mut fields, "userAgent", event.user_agent.as_deref().map(text));
    if let EventKind::Attempted { operation, error_code, denied, .. } = &event.kind {
        fields.push(field("operation", text(operation)));
        fields.push(field("errorCode", text(error_code)));
        fields.push(field("denied", RestrictedExpression::new_bool(*denied)));
        return fields;
    }
    let document = session.document.as_ref();
    let kind = document.map_or("Unknown", |document| document.kind.as_str());
    fields.push(field("sessionKind", text(kind)));
    if let Some(document) = document {
        fields.push(field("document", text(&document.name)));
        optional(&mut fields, "documentAccount", document.account.as_deref().map(text));
        optional(&mut fields, "remoteHost", document.remote_host.as_deref().map(text));
        optional(&mut fields, "port", document.port.map(|port| RestrictedExpression::new_long(port.into())));
        optional(&mut fields, "command", document.command.as_deref().map(text));
    }
    optional(&mut fields, "reason", session.reason.as_deref().map(text));
    fields
}

fn parameter_record(parameters: &Parameters) -> RestrictedExpression {
    let set = |values: &[String]| RestrictedExpression::new_set(values.iter().map(|value| text(value)));
    let fields = [
        field("requiredTags", set(&parameters.required_tags)),
        field("accessTag", text(&parameters.access_tag)),
        field("principalTag", text(&parameters.principal_tag)),
        field("environmentTag", text(&parameters.environment_tag)),
        field("productionValues", set(&parameters.production_values)),
        field("allowedDocuments", set(&parameters.allowed_documents)),
        field("networks", RestrictedExpression::new_set(parameters.networks.keys().map(|name| text(name)))),
    ];
    // The keys are constants and differ, so this cannot fail; an empty record would fail validation
    // against the schema and so be told, never be believed.
    RestrictedExpression::new_record(fields)
        .unwrap_or_else(|_| RestrictedExpression::new_set(std::iter::empty()))
}

fn tags(tags: &Tags) -> Vec<Field> {
    match tags {
        Tags::Known(tags) => tags.iter().map(|(key, value)| field(key, text(value))).collect(),
        Tags::Unknown(_) => Vec::new(),
    }
}

/// Cedar reads RFC 3339 with milliseconds or none.
fn datetime(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn field(name: &str, value: RestrictedExpression) -> Field {
    (name.to_owned(), value)
}

fn optional(fields: &mut Vec<Field>, name: &str, value: Option<RestrictedExpression>) {
    fields.extend(value.map(|value| field(name, value)));
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// An error with everything beneath it: Cedar keeps the interesting part in the sources.
fn describe(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}
