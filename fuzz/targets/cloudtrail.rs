//! Bytes to a record, a decision, a response and an alert: nothing on the way may panic.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use session::alert::{Alert, SIZE_LIMIT};
use session::cloudtrail;
use session::event::Session;
use session::policy::Policies;
use session::response::{Mode, respond};
use session::target::{Tags, Target, TargetId};

static POLICIES: LazyLock<Policies> = LazyLock::new(|| {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies"));
    policy_folder::policies(folder, policy_folder::parameters(folder).unwrap()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = serde_json::from_slice(bytes) else { return };
    let event = match cloudtrail::session_event(&record) {
        Ok(Some(event)) => event,
        Ok(None) => return,
        Err(error) => {
            Alert::unreadable("event", "111122223333", "eu-west-1", &error, Timestamp::UNIX_EPOCH).render();
            return;
        }
    };
    let id = event.target().cloned().unwrap_or_else(|| TargetId::parse("i-0123456789abcdef0"));
    for tags in [Tags::Unknown("AccessDenied".to_owned()), Tags::Known(BTreeMap::new())] {
        let session = Session::new(event.clone(), Some(Target::new(id.clone(), tags, None)));
        let decision = POLICIES.decide(&session);
        assert_eq!(decision.errors, [], "a record made a policy fail");
        assert_eq!(respond(&decision, &session, Mode::Observe).terminate, None);
        let response = respond(&decision, &session, Mode::Enforce);
        let alert = Alert::new(&session, &decision, &response.otherwise, Mode::Enforce, event.time);
        let message = alert.render();
        assert!(message.body.len() <= SIZE_LIMIT && message.subject.len() <= 100);
    }
});
