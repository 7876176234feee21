//! What IAM knows of who called: tags and groups.

use std::collections::BTreeMap;

use aws_sdk_iam::types::Tag;

use crate::error::AwsError;

/// The tags of an IAM user.
pub async fn user_tags(iam: &aws_sdk_iam::Client, user: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let failed = |error| AwsError::new("iam:ListUserTags", user, error);
    let pages = iam.list_user_tags().user_name(user).into_paginator().items().send();
    Ok(by_key(pages.collect::<Result<Vec<_>, _>>().await.map_err(failed)?))
}

/// The tags of an IAM role.
pub async fn role_tags(iam: &aws_sdk_iam::Client, role: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let failed = |error| AwsError::new("iam:ListRoleTags", role, error);
    let pages = iam.list_role_tags().role_name(role).into_paginator().items().send();
    Ok(by_key(pages.collect::<Result<Vec<_>, _>>().await.map_err(failed)?))
}

/// The names of the groups that an IAM user is in.
pub async fn groups(iam: &aws_sdk_iam::Client, user: &str) -> Result<Vec<String>, AwsError> {
    let failed = |error| AwsError::new("iam:ListGroupsForUser", user, error);
    let pages = iam.list_groups_for_user().user_name(user).into_paginator().items().send();
    let groups = pages.collect::<Result<Vec<_>, _>>().await.map_err(failed)?;
    Ok(groups.into_iter().map(|group| group.group_name).collect())
}

fn by_key(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_iam::operation::list_groups_for_user::ListGroupsForUserOutput;
    use aws_sdk_iam::operation::list_user_tags::ListUserTagsOutput;
    use aws_sdk_iam::types::Group;
    use aws_smithy_mocks::{mock, mock_client};

    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag::builder().key(key).value(value).build().unwrap()
    }

    #[tokio::test]
    async fn every_page_of_tags_is_read() {
        let first = mock!(aws_sdk_iam::Client::list_user_tags)
            .match_requests(|request| request.user_name() == Some("alice") && request.marker().is_none())
            .then_output(|| {
                let page = ListUserTagsOutput::builder().tags(tag("Team", "payments"));
                page.is_truncated(true).marker("more").build().unwrap()
            });
        let second = mock!(aws_sdk_iam::Client::list_user_tags)
            .match_requests(|request| request.marker() == Some("more"))
            .then_output(|| ListUserTagsOutput::builder().tags(tag("Cost", "42")).build().unwrap());
        let iam = mock_client!(aws_sdk_iam, aws_smithy_mocks::RuleMode::MatchAny, [&first, &second]);
        let tags = user_tags(&iam, "alice").await.unwrap();
        assert_eq!(tags, BTreeMap::from([("Cost".into(), "42".into()), ("Team".into(), "payments".into())]));
    }

    #[tokio::test]
    async fn groups_are_told_by_name() {
        let rule = mock!(aws_sdk_iam::Client::list_groups_for_user).then_output(|| {
            let date = aws_smithy_types::DateTime::from_secs(0);
            let group = Group::builder()
                .path("/")
                .group_name("admins")
                .group_id("AGPA1")
                .arn("arn")
                .create_date(date);
            ListGroupsForUserOutput::builder().groups(group.build().unwrap()).build().unwrap()
        });
        let iam = mock_client!(aws_sdk_iam, [&rule]);
        assert_eq!(groups(&iam, "alice").await.unwrap(), ["admins"]);
    }
}
