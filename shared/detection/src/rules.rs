//! Sigma rules, sorted by the log that they read.
//!
//! A rule set asks every rule's questions of every event, whichever log it is for: the texts of all rules are looked for
//! in one pass. So that a command is not searched for the texts of Windows rules, nor for keywords, the rules are kept
//! in one set for each [`Group`] of logs. A file is given to a group by its `logsource`, read off its lines; one that
//! does not show it that way (flow style, several documents) is given to all of them, and the [`Selection`] of each
//! log still decides by the logsource that was really loaded. Two rules with one id are refused within a group only.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sigma::{Event, Rule, RuleError, RuleIndex, RuleSet, Scratch, Selection};

use crate::event::Log;
use crate::output::Picker;

/// Rules, ready to be asked about commands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rules {
    linux: RuleSet,
    shell: RuleSet,
    windows: RuleSet,
    selections: [Selection; 5],
    count: usize,
    /// What picks lines out of output: made once, not for every session.
    #[serde(skip)]
    pub(crate) picker: Picker,
}

/// Logs whose rules are kept in one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Linux,
    Shell,
    Windows,
}

/// One rule of all groups.
pub(crate) type RuleId = (Group, RuleIndex);

/// What is needed to ask, kept from one event to the next.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    linux: Scratch,
    shell: Scratch,
    windows: Scratch,
}

/// What became of rule files.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that were read.
    pub rules: Rules,
    /// Those that were not, and why.
    pub refused: Vec<RuleError>,
    /// Those that were read, but whose log a transcript does not stand for: they never match.
    pub unread: Vec<Unread>,
}

/// A rule that reads a log which a transcript does not stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The file, as it was named.
    pub path: String,
    /// The rule's title.
    pub title: String,
    /// `product/category/service`, `-` where the rule says nothing.
    pub logsource: String,
}

impl Rules {
    /// Reads rule files, each with the path that errors name and its YAML text.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Loaded {
        let files: Vec<(&str, &str, Vec<Group>)> =
            files.into_iter().map(|(path, text)| (path, text, groups_of(text))).collect();
        let load = |group: Group| {
            let of_group = files.iter().filter(|(_, _, groups)| groups.contains(&group));
            RuleSet::load(of_group.map(|(path, text, _)| (*path, *text)))
        };
        let (linux, shell, windows) = (load(Group::Linux), load(Group::Shell), load(Group::Windows));
        let selections = ALL.map(|log| {
            let set = match group_of(log) {
                Group::Linux => &linux.rules,
                Group::Shell => &shell.rules,
                Group::Windows => &windows.rules,
            };
            set.select(|rule| reads(rule.logsource(), log))
        });
        let mut seen = HashSet::new();
        let mut refused: Vec<RuleError> = Vec::new();
        for error in linux.refused.into_iter().chain(shell.refused).chain(windows.refused) {
            if seen.insert(error.to_string()) {
                refused.push(error);
            }
        }
        let mut unread = Vec::new();
        let mut named = HashSet::new();
        let mut count = 0_usize;
        for (_, rule) in [&linux.rules, &shell.rules, &windows.rules].into_iter().flat_map(RuleSet::iter) {
            if !named.insert((rule.path(), rule.id(), rule.title())) {
                continue;
            }
            count = count.saturating_add(1);
            if !ALL.into_iter().any(|log| reads(rule.logsource(), log)) {
                unread.push(Unread {
                    path: rule.path().to_owned(),
                    title: rule.title().to_owned(),
                    logsource: logsource_name(rule.logsource()),
                });
            }
        }
        let (linux, shell, windows) = (linux.rules, shell.rules, windows.rules);
        let rules = Self { linux, shell, windows, selections, count, picker: Picker::default() };
        Loaded { rules, refused, unread }
    }

    /// How many rules there are, those that are never asked included.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rules that are asked about some log.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.named().map(|(_, rule)| rule)
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        let sets =
            [(Group::Linux, &self.linux), (Group::Shell, &self.shell), (Group::Windows, &self.windows)];
        let all = sets
            .into_iter()
            .flat_map(|(group, set)| set.iter().map(move |(index, rule)| ((group, index), rule)));
        all.filter(|((group, _), rule)| {
            ALL.into_iter().any(|log| group_of(log) == *group && reads(rule.logsource(), log))
        })
    }

    pub(crate) fn get(&self, (group, index): RuleId) -> Option<&Rule> {
        self.set(group).get(index)
    }

    fn set(&self, group: Group) -> &RuleSet {
        match group {
            Group::Linux => &self.linux,
            Group::Shell => &self.shell,
            Group::Windows => &self.windows,
        }
    }

    /// Calls `hit` with each rule of a log that matches an event.
    pub(crate) fn ask(&self, log: Log, event: &Event<'_>, asking: &mut Asking, hit: &mut dyn FnMut(RuleId)) {
        let group = group_of(log);
        let scratch = match group {
            Group::Linux => &mut asking.linux,
            Group::Shell => &mut asking.shell,
            Group::Windows => &mut asking.windows,
        };
        let Some(position) = ALL.into_iter().position(|known| known == log) else { return };
        let Some(selection) = self.selections.get(position) else { return };
        self.set(group).matches_of(selection, event, scratch, &mut |index| hit((group, index)));
    }
}

const ALL: [Log; 5] =
    [Log::LinuxProcess, Log::LinuxFile, Log::LinuxShell, Log::WindowsProcess, Log::WindowsScript];

fn group_of(log: Log) -> Group {
    match log {
        Log::LinuxProcess | Log::LinuxFile => Group::Linux,
        Log::LinuxShell => Group::Shell,
        Log::WindowsProcess | Log::WindowsScript => Group::Windows,
    }
}

/// The groups that a file's rules may belong to: its own if the lines show it, otherwise all.
fn groups_of(text: &str) -> Vec<Group> {
    let mut source = sigma::LogSource::default();
    let mut inside = false;
    let mut blocks = 0_usize;
    for line in text.lines() {
        if line.starts_with("logsource:") {
            blocks = blocks.saturating_add(if line.trim_end() == "logsource:" { 1 } else { 2 });
            inside = true;
        } else if line.starts_with(|first: char| !first.is_whitespace() && first != '#') {
            // A second document may name another log.
            blocks = blocks.saturating_add(if line.starts_with("---") && blocks > 0 { 2 } else { 0 });
            inside = false;
        } else if let Some((key, value)) = line.trim().split_once(':').filter(|_| inside) {
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['\'', '"']);
            match key {
                "product" => source.product = Some(value.to_owned()),
                "category" => source.category = Some(value.to_owned()),
                "service" => source.service = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    let all = [Group::Linux, Group::Shell, Group::Windows];
    if blocks != 1 {
        return all.to_vec();
    }
    let mut groups: Vec<Group> = all
        .into_iter()
        .filter(|group| ALL.into_iter().any(|log| group_of(log) == *group && reads(&source, log)))
        .collect();
    if groups.is_empty() {
        // It is never asked, but it is loaded, so that what is wrong with it is told.
        groups.push(Group::Windows);
    }
    groups
}

/// Whether a rule with this logsource reads a log.
fn reads(source: &sigma::LogSource, log: Log) -> bool {
    let product = match log {
        Log::LinuxProcess | Log::LinuxFile | Log::LinuxShell => "linux",
        Log::WindowsProcess | Log::WindowsScript => "windows",
    };
    let category = match log {
        Log::LinuxProcess | Log::WindowsProcess => Some("process_creation"),
        Log::LinuxFile => Some("file_event"),
        Log::WindowsScript => Some("ps_script"),
        Log::LinuxShell => None,
    };
    let is_service = match source.service.as_deref() {
        None => true,
        Some(service) => log == Log::LinuxShell && service == "shell",
    };
    // Without a product a rule is for both, but one that says nothing at all is for no log in particular.
    let is_product = match source.product.as_deref() {
        Some(named) => named == product,
        None => source.category.is_some() || source.service.is_some(),
    };
    is_product && is_service && source.category.as_deref() == category
}

fn logsource_name(source: &sigma::LogSource) -> String {
    [&source.product, &source.category, &source.service].map(|part| part.as_deref().unwrap_or("-")).join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_to_the_groups_that_may_ask_it() {
        let all = vec![Group::Linux, Group::Shell, Group::Windows];
        for (text, expected) in [
            ("logsource:\n  product: linux\n  category: process_creation\n", vec![Group::Linux]),
            (
                "logsource:\n    product: 'windows'  # all of them\n    category: ps_script\ntags: []",
                vec![Group::Windows],
            ),
            ("logsource:\n  category: process_creation\n", vec![Group::Linux, Group::Windows]),
            ("logsource:\n  product: linux\n  service: shell\n", vec![Group::Shell]),
            ("logsource: {product: linux}\n", all.clone()),
            ("title: x\n", all.clone()),
            ("logsource:\n  product: linux\n---\nlogsource:\n  product: windows\n", all.clone()),
        ] {
            assert_eq!(groups_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_rule_reads_the_log_that_it_names() {
        for (product, category, service, expected) in [
            (Some("linux"), Some("process_creation"), None, vec![Log::LinuxProcess]),
            (Some("linux"), Some("file_event"), None, vec![Log::LinuxFile]),
            (Some("linux"), None, None, vec![Log::LinuxShell]),
            (Some("linux"), None, Some("shell"), vec![Log::LinuxShell]),
            (Some("linux"), None, Some("auditd"), vec![]),
            (Some("linux"), Some("network_connection"), None, vec![]),
            (Some("windows"), Some("process_creation"), None, vec![Log::WindowsProcess]),
            (Some("windows"), Some("ps_script"), None, vec![Log::WindowsScript]),
            (Some("windows"), None, Some("security"), vec![]),
            (Some("macos"), Some("process_creation"), None, vec![]),
            (None, Some("process_creation"), None, vec![Log::LinuxProcess, Log::WindowsProcess]),
            (None, None, None, vec![]),
        ] {
            let source = sigma::LogSource {
                product: product.map(str::to_owned),
                category: category.map(str::to_owned),
                service: service.map(str::to_owned),
            };
            let found: Vec<Log> = ALL.into_iter().filter(|log| reads(&source, *log)).collect();
            assert_eq!(found, expected, "{source:?}");
        }
    }
}
