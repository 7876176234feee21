//! What `docs/policies.md` shows is so: its commands print what it says, its policies load, its cases pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use session::cases::{self, Expected};
use session::policy::{Policies, PolicySource, SCHEMA};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/policies.md")).unwrap()
}

/// The code blocks in this language, without the indentation of a list that they are in.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != format!("```{language}") {
            continue;
        }
        let indentation = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let block: Vec<_> = block.map(|line| line.get(indentation..).unwrap_or_default()).collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

/// Every shown command with what it is said to print.
fn sessions(block: &str) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), sessions.last_mut()) {
            (Some(command), _) => sessions.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => printed.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    sessions
}

fn load(id: &str, text: &str) -> Result<Policies, String> {
    let source = PolicySource { path: id.to_owned(), folder: id.to_owned(), text: text.to_owned() };
    let parameters = policy_folder::parameters(&root().join("policies")).unwrap();
    Policies::load(&[source], parameters)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn id_of(policy: &str) -> &str {
    policy.split_once("@id(\"").unwrap().1.split('"').next().unwrap()
}

#[test]
fn commands_print_what_the_page_says() {
    let program = Path::new(env!("CARGO_BIN_EXE_ssm-guard"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let sessions: Vec<_> = blocks(&page(), "console").iter().flat_map(|block| sessions(block)).collect();
    assert!(sessions.len() > 5, "{sessions:?}");
    for (command, expected) in sessions {
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(root())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{command}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{command}");
    }
}

#[test]
fn the_policies_of_the_page_load_and_its_case_passes() {
    let policies = blocks(&page(), "cedar");
    for policy in &policies {
        load(id_of(policy), policy).unwrap();
    }
    let example = policies.iter().find(|policy| id_of(policy) == "payments-from-office").unwrap();
    let loaded = load("payments-from-office", example).unwrap();
    for case in blocks(&page(), "json") {
        cases::run(&loaded, "payments-from-office", Expected::Deny, &case).unwrap();
    }
}

#[test]
fn every_shipped_policy_has_a_runbook_on_the_page() {
    let page = page();
    let headings: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for folder in fs::read_dir(root().join("policies")).unwrap().map(|entry| entry.unwrap()) {
        if !folder.path().is_dir() {
            continue;
        }
        let id = folder.file_name().into_string().unwrap();
        let policy = fs::read_to_string(folder.path().join("policy.cedar")).unwrap();
        assert!(policy.contains(&format!("@runbook(\"docs/policies.md#{id}\")")), "{id} has no runbook");
        assert!(headings.contains(id.as_str()), "{id} has no section");
    }
}

#[test]
fn every_word_of_the_schema_is_explained() {
    let page = page();
    let words = SCHEMA
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split(','))
        .filter_map(|field| field.split_once(": ").map(|(name, _)| name.trim().trim_end_matches('?')))
        .filter(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric));
    let words: BTreeSet<_> =
        words.filter(|word| !["principal", "resource", "context"].contains(word)).collect();
    assert!(
        words.contains("sourceNetworks") && words.contains("permissionSet") && words.len() > 25,
        "{words:?}"
    );
    for word in words {
        assert!(page.contains(&format!("`{word}`")), "`{word}` is not explained");
    }
}

#[test]
fn every_parameter_is_explained() {
    let parameters = fs::read_to_string(root().join("policies/parameters.json")).unwrap();
    let parameters: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&parameters).unwrap();
    for name in parameters.keys() {
        assert!(page().contains(&format!("`{name}`")), "`{name}` is not explained");
    }
}
