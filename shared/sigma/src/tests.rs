//! What a team that writes rules sees: which events match, and what an error says.

use proptest::prelude::*;

use super::*;

/// A rule for each entry of a search.
pub(crate) fn rules(entries: &[&str]) -> RuleSet {
    let rules: Vec<String> = entries.iter().map(|entry| rule(&format!("selection: {{{entry}}}"))).collect();
    load(rules.iter().map(String::as_str))
}

/// A rule of one search, or of several lines that the condition joins.
fn rule(search: &str) -> String {
    let condition = if search.contains("condition:") { "" } else { "    condition: selection\n" };
    format!("title: A rule\nlogsource: {{product: linux}}\ndetection:\n    {search}\n{condition}")
}

fn load<'a>(rules: impl Iterator<Item = &'a str>) -> RuleSet {
    let loaded = RuleSet::load(rules.map(|text| ("rule.yml", text)));
    assert_eq!(loaded.refused, []);
    loaded.rules
}

/// The positions of the rules that match.
fn matching(rules: &RuleSet, fields: &[(&str, &str)]) -> Vec<usize> {
    let mut found = Vec::new();
    rules.matches(&Event { fields }, &mut Scratch::default(), &mut |rule| found.push(rule.as_usize()));
    found
}

fn error(text: &str) -> String {
    let refused = RuleSet::load([("rules/x.yml", text)]).refused;
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_rule_says_what_it_is() {
    let rules = load(
        ["title: A shell over the network
id: 6f2d1a54-9d0c-4a8b-b8a7-0d6b1c1f6a01
status: test
level: high
description: Detects a shell.
author: A. Writer
references: ['https://example.org/1']
tags: [attack.execution, attack.t1059.004]
falsepositives: [Administration]
runbook: End the session.
priority: 3
logsource: {product: linux, category: process_creation}
detection:
    selection: {CommandLine|contains: x}
    condition: selection
"]
        .into_iter(),
    );
    let (index, rule) = rules.iter().next().unwrap();
    assert_eq!(rules.get(index).map(Rule::title), Some("A shell over the network"));
    assert_eq!(rule.path(), "rule.yml");
    assert_eq!(rule.id(), Some("6f2d1a54-9d0c-4a8b-b8a7-0d6b1c1f6a01"));
    assert_eq!((rule.status(), rule.level()), (Some(Status::Test), Level::High));
    assert_eq!((rule.description(), rule.author()), ("Detects a shell.", "A. Writer"));
    assert_eq!(rule.references(), ["https://example.org/1"]);
    assert_eq!(rule.tags(), ["attack.execution", "attack.t1059.004"]);
    assert_eq!(rule.falsepositives(), ["Administration"]);
    assert_eq!((rule.custom("runbook"), rule.custom("priority")), (Some("End the session."), None));
    let source = rule.logsource();
    assert_eq!(
        (source.product.as_deref(), source.category.as_deref()),
        (Some("linux"), Some("process_creation"))
    );
}

#[test]
fn a_rule_without_a_level_is_medium_and_levels_are_ordered() {
    let rules = rules(&["Image: x"]);
    assert_eq!(rules.iter().next().map(|(_, rule)| rule.level()), Some(Level::Medium));
    assert!(Level::Informational < Level::Low && Level::High < Level::Critical);
}

#[test]
fn rules_are_told_in_their_order_and_only_those_that_are_selected() {
    let rules = rules(&["Image: x", "CommandLine|contains: y", "Image|startswith: x", "Image: z"]);
    let fields = [("CommandLine", "a y"), ("Image", "X")];
    assert_eq!(matching(&rules, &fields), [0, 1, 2]);
    let selection = rules.select(|_| false);
    let mut found = Vec::new();
    let mut scratch = Scratch::default();
    rules.matches_of(&selection, &Event { fields: &fields }, &mut scratch, &mut |rule| found.push(rule));
    assert_eq!(found, []);
}

#[test]
fn of_two_values_of_one_field_the_first_counts_and_keywords_see_both() {
    let rules = rules(&["Image: one", "Image: two", "'|contains': two"]);
    assert_eq!(matching(&rules, &[("Image", "one"), ("Image", "two")]), [0, 2]);
}

#[test]
fn scratch_carries_nothing_from_one_event_or_set_to_the_next() {
    let one = rules(&["Image: x", "CommandLine|re: 'a.c'", "User|exists: false"]);
    let two = rules(&["CommandLine|contains: q", "User: root"]);
    let mut scratch = Scratch::default();
    let mut ask = |rules: &RuleSet, fields: &[(&str, &str)]| {
        let mut found = Vec::new();
        rules.matches(&Event { fields }, &mut scratch, &mut |rule| found.push(rule.as_usize()));
        found
    };
    assert_eq!(ask(&one, &[("Image", "x"), ("CommandLine", "abc")]), [0, 1, 2]);
    assert_eq!(ask(&two, &[("User", "root")]), [1]);
    assert_eq!(ask(&one, &[("CommandLine", "ac"), ("User", "u")]), Vec::<usize>::new());
    assert_eq!(ask(&one, &[]), [2]);
}

#[test]
fn letters_are_compared_one_by_one_in_lower_case() {
    let rules = rules(&["User: 'É'", "User: ΣΑΣ", "User: straße", "User: sudo", "User|re|i: '^sudo$'"]);
    for (value, expected) in [
        ("é", vec![0]),
        ("σασ", vec![1]),
        // The last letter of a word has a form of its own, and is another letter.
        ("σας", vec![]),
        ("STRASSE", vec![]),
        ("SUDO", vec![3, 4]),
        // A regular expression folds the long s, a text does not.
        ("\u{17f}udo", vec![4]),
    ] {
        assert_eq!(matching(&rules, &[("User", value)]), expected, "{value}");
    }
}

#[test]
fn an_address_may_have_a_zone_and_a_number_is_decimal() {
    let rules = rules(&["Ip|cidr: 'fe80::/10'", "N: 16", "N|gte: 16"]);
    assert_eq!(matching(&rules, &[("Ip", "fe80::1%eth0")]), [0]);
    assert_eq!(matching(&rules, &[("Ip", "10.0.0.1%eth0")]), Vec::<usize>::new());
    for (value, expected) in
        [("16.0", vec![1, 2]), ("1.7e1", vec![2]), ("0x10", vec![]), ("inf", vec![]), (" 16", vec![])]
    {
        assert_eq!(matching(&rules, &[("N", value)]), expected, "{value}");
    }
}

#[test]
fn utf16le_is_another_name_of_wide() {
    let rules = rules(&["Data|utf16le: id", "Data|wide: id"]);
    assert_eq!(matching(&rules, &[("Data", "i\0d\0")]), [0, 1]);
}

#[test]
fn placeholders_are_replaced_by_the_values_that_are_given() {
    let text = rule("selection: {User|expand: 'svc-%team%', CommandLine|re|expand: '^%tool%\\s'}");
    let values =
        |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    let placeholders =
        [values("team", &["red*", "blue"]), values("tool", &["nc", "ncat"])].into_iter().collect();
    let loaded = RuleSet::load_with([("rule.yml", text.as_str())], &placeholders);
    assert_eq!(loaded.refused, []);
    let is_match =
        |user, command| !matching(&loaded.rules, &[("User", user), ("CommandLine", command)]).is_empty();
    assert!(is_match("svc-red-1", "ncat x"));
    assert!(is_match("svc-blue", "nc x"));
    assert!(!is_match("svc-blue-1", "nc x"));
    assert!(!is_match("svc-blue", "netcat x"));
}

#[test]
fn an_error_names_the_file_the_rule_the_field_and_the_next_step() {
    let text = rule("selection: {EventID|contains: 4624}");
    insta::assert_snapshot!(error(&text), @"
    rules/x.yml: rule `A rule`: `detection.selection.EventID|contains`: the modifier `contains` does not apply to a number
      hint: put the number in quotes
    ");
    insta::assert_snapshot!(error(&rule("selection: {CommandLine|re: 'a(?!b)'}")), @"
    rules/x.yml: rule `A rule`: `detection.selection.CommandLine|re`: look-ahead in a regular expression
      hint: write the rule with `contains`, `startswith` and `not`, or as several expressions
    ");
    insta::assert_snapshot!(error("title: x\n  y: z"), @"rules/x.yml:2: mapping values are not allowed in this context");
    insta::assert_snapshot!(error("- 1"), @"rules/x.yml: a rule is a mapping, and this is a list");
    insta::assert_snapshot!(error(""), @"rules/x.yml: there is no rule in it");
    insta::assert_snapshot!(error(&rule("sel: {Image: x}\n    condition: Sel")), @"
    rules/x.yml: rule `A rule`: `detection.condition`: there is no search `Sel`
      hint: the rule names it `sel`
    ");
    insta::assert_snapshot!(error(&rule("selection: {User|expand: '%admins%'}")), @"
    rules/x.yml: rule `A rule`: `detection.selection.User|expand`: the placeholder `%admins%` has no value
      hint: replace it by your own values, without the modifier `expand`
    ");
}

#[test]
fn what_counts_several_events_is_refused_by_name() {
    for (text, reason) in [
        ("title: x\ncorrelation: {type: event_count}", "a correlation rule"),
        ("title: x\nfilter: {rules: []}", "a filter document"),
        ("action: global\ntitle: x", "a rule collection (`action`)"),
    ] {
        let refused = RuleSet::load([("x.yml", text)]).refused;
        let found: Vec<_> = refused.iter().map(|error| (error.kind, error.reason.as_str())).collect();
        assert_eq!(found, [(RuleErrorKind::Unsupported, reason)]);
    }
    assert!(
        error(&rule("selection: {Image: x}\n    condition: selection | count() > 1")).contains("aggregation")
    );
    assert!(error(&rule("selection: {Image: x}\n    timeframe: 5m")).contains("`detection.timeframe`"));
}

#[test]
fn a_refused_rule_leaves_the_others() {
    let files =
        [("a.yml", rule("selection: {Image: a}")), ("b.yml", "nothing".to_owned()), ("c.yml", rule("x"))];
    let loaded = RuleSet::load(files.iter().map(|(path, text)| (*path, text.as_str())));
    assert_eq!(loaded.rules.len(), 1);
    assert_eq!(
        loaded.refused.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(),
        ["b.yml", "c.yml"]
    );
    assert_eq!(matching(&loaded.rules, &[("Image", "a")]), [0]);
}

#[test]
fn a_second_rule_with_an_id_is_refused() {
    let text = format!("id: 6f2d1a54-9d0c-4a8b-b8a7-0d6b1c1f6a01\n{}", rule("selection: {Image: x}"));
    let loaded = RuleSet::load([("a.yml", text.as_str()), ("b.yml", text.as_str())]);
    assert_eq!(loaded.rules.len(), 1);
    assert_eq!(
        loaded.refused.iter().map(|error| (error.kind, error.path.as_str())).collect::<Vec<_>>(),
        [(RuleErrorKind::Duplicate, "b.yml")]
    );
}

#[test]
fn a_regular_expression_beyond_the_bound_is_refused() {
    let text = rule(r"selection: {CommandLine|re: '([^a]{500}[^b]{500}){1000}'}");
    let refused = RuleSet::load([("x.yml", text.as_str())]).refused;
    assert_eq!(refused.iter().map(|error| error.kind).collect::<Vec<_>>(), [RuleErrorKind::TooLarge]);
}

#[test]
fn what_asks_for_no_text_is_asked_for_every_event() {
    let rules = rules(&["Image|neq: x", "CommandLine|re: '^.$'", "User: '*'", "User: ''", "N|lt: 3"]);
    assert_eq!(matching(&rules, &[]), [0]);
    assert_eq!(
        matching(&rules, &[("Image", "x"), ("CommandLine", "y"), ("User", ""), ("N", "2")]),
        [1, 2, 3, 4]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}") {
        RuleSet::load([("x.yml", text.as_str())]);
    }

    #[test]
    fn no_rule_and_no_event_makes_the_matcher_panic(
        modifiers in prop::sample::subsequence(
            vec!["wide", "base64offset", "contains", "startswith", "endswith", "cased", "windash", "re", "i", "all", "neq"], 0..4,
        ),
        values in prop::collection::vec("[a-cA-C*?\\\\%/ \\-éſ.|()\\[\\]{}1]{0,12}", 1..4),
        condition in prop::sample::select(vec!["s", "not s", "1 of them", "s and not s"]),
        value in "[a-cA-Cé\u{17f} /\\-*1]{0,16}",
    ) {
        let key = [vec!["CommandLine"], modifiers].concat().join("|");
        let values: Vec<String> = values.iter().map(|value| format!("'{}'", value.replace('\'', ""))).collect();
        let text = rule(&format!("s: {{'{key}': [{}]}}\n    condition: {condition}", values.join(", ")));
        let loaded = RuleSet::load([("x.yml", text.as_str())]);
        let found = matching(&loaded.rules, &[("CommandLine", &value), ("CommandLine", "b")]);
        match condition {
            "s and not s" => prop_assert_eq!(found.len(), 0),
            _ => prop_assert!(found.len() <= loaded.rules.len()),
        }
    }

    #[test]
    fn a_value_that_holds_a_text_matches_it(before in ".{0,9}", text in "[^*?\\\\'\u{0}-\u{1f}\u{7f}-\u{9f}\u{feff}\u{fffe}\u{ffff}\u{2028}\u{2029}]{1,9}", after in ".{0,9}") {
        let file = rule(&format!("selection: {{'C|contains': '{text}'}}"));
        let loaded = RuleSet::load([("x.yml", file.as_str())]);
        prop_assert_eq!(&loaded.refused, &[]);
        let value = format!("{before}{text}{after}");
        // A text of blanks alone is folded by YAML; what is left of it is still in the value.
        prop_assert_eq!(matching(&loaded.rules, &[("C", &value)]), [0]);
    }
}
