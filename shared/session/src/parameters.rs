//! What teams change without touching a policy: tag keys, networks, hours, allowed documents.
//!
//! They sit in `policies/parameters.json`, beside the policies; a deployment can override the required
//! tags and the networks. Policies see them as `context.parameters`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Why parameters cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// The file is not what it should be.
    #[error("parameters.json: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A value cannot be what it is.
    #[error("parameters.json: `{field}`: `{value}` is not {expected}")]
    Value {
        /// The field's path.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// The parameters of a policy set.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Tag keys that every target must carry. Empty: any one tag will do.
    pub required_tags: Vec<String>,
    /// The tag of a target that names who may enter.
    pub access_tag: String,
    /// The tag of a principal that may match the access tag instead of the principal's name.
    pub principal_tag: String,
    /// The tag that tells a target's environment.
    pub environment_tag: String,
    /// The values of the environment tag that mean production.
    pub production_values: Vec<String>,
    /// Session documents that may be used.
    pub allowed_documents: Vec<String>,
    /// Networks by name. None at all: sessions may come from anywhere.
    pub networks: BTreeMap<String, Vec<IpNet>>,
    /// When people work.
    pub business_hours: BusinessHours,
}

/// When people work.
#[derive(Clone, Debug)]
pub struct BusinessHours {
    zone: TimeZone,
    days: Vec<Weekday>,
    from: Time,
    to: Time,
}

/// The file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    required_tags: Vec<String>,
    access_tag: String,
    principal_tag: String,
    environment_tag: String,
    production_values: Vec<String>,
    allowed_documents: Vec<String>,
    networks: BTreeMap<String, Vec<String>>,
    business_hours: Hours,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hours {
    time_zone: String,
    days: Vec<String>,
    from: String,
    to: String,
}

impl Parameters {
    /// Reads `parameters.json`.
    pub fn from_json(text: &str) -> Result<Self, ParametersError> {
        let file: File = serde_json::from_str(text)?;
        let mut networks = BTreeMap::new();
        for (name, cidrs) in file.networks {
            networks.insert(name, parse_networks(cidrs.iter().map(String::as_str))?);
        }
        Ok(Self {
            required_tags: file.required_tags,
            access_tag: file.access_tag,
            principal_tag: file.principal_tag,
            environment_tag: file.environment_tag,
            production_values: file.production_values,
            allowed_documents: file.allowed_documents,
            networks,
            business_hours: BusinessHours::parse(&file.business_hours)?,
        })
    }

    /// Replaces the required tags by a comma-separated list; an empty one leaves them as they are.
    pub fn override_required_tags(&mut self, list: &str) {
        let tags: Vec<_> = entries(list).map(str::to_owned).collect();
        if !tags.is_empty() {
            self.required_tags = tags;
        }
    }

    /// Replaces the networks by a comma-separated list of CIDRs, named `allowed`; an empty one leaves
    /// them as they are.
    pub fn override_networks(&mut self, list: &str) -> Result<(), ParametersError> {
        let networks = parse_networks(entries(list))?;
        if !networks.is_empty() {
            self.networks = BTreeMap::from([("allowed".to_owned(), networks)]);
        }
        Ok(())
    }

    /// The names of the networks that an address is in.
    pub fn networks_of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.networks
            .iter()
            .filter(move |(_, networks)| networks.iter().any(|network| network.contains(&address)))
            .map(|(name, _)| name.as_str())
    }
}

impl BusinessHours {
    fn parse(hours: &Hours) -> Result<Self, ParametersError> {
        let invalid = |field, value: &str, expected| ParametersError::Value {
            field,
            value: value.to_owned(),
            expected,
        };
        let time = |field, text: &str| {
            text.parse::<Time>().map_err(|_| invalid(field, text, "a time such as `07:30`"))
        };
        let mut days = Vec::new();
        for day in &hours.days {
            let day = weekday(day)
                .ok_or_else(|| invalid("businessHours.days", day, "one of Mon Tue Wed Thu Fri Sat Sun"))?;
            days.push(day);
        }
        Ok(Self {
            zone: TimeZone::get(&hours.time_zone).map_err(|_| {
                invalid(
                    "businessHours.timeZone",
                    &hours.time_zone,
                    "an IANA time zone such as `Europe/Berlin`",
                )
            })?,
            days,
            from: time("businessHours.from", &hours.from)?,
            to: time("businessHours.to", &hours.to)?,
        })
    }

    /// Whether people work at `instant`. Hours that end before they begin run over midnight and belong
    /// to the day on which they began.
    pub fn contain(&self, instant: Timestamp) -> bool {
        let local = instant.to_zoned_datetime(self.zone.clone());
        let (time, today) = (local.time(), local.weekday());
        let works = |day: Weekday| self.days.contains(&day);
        if self.from <= self.to {
            return works(today) && self.from <= time && time < self.to;
        }
        (works(today) && time >= self.from) || (works(today.previous()) && time < self.to)
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn parse_networks<'a>(list: impl Iterator<Item = &'a str>) -> Result<Vec<IpNet>, ParametersError> {
    list.map(|cidr| {
        cidr.parse().map_err(|_| ParametersError::Value {
            field: "networks",
            value: cidr.to_owned(),
            expected: "a CIDR such as `203.0.113.0/24`",
        })
    })
    .collect()
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "Mon" => Weekday::Monday,
        "Tue" => Weekday::Tuesday,
        "Wed" => Weekday::Wednesday,
        "Thu" => Weekday::Thursday,
        "Fri" => Weekday::Friday,
        "Sat" => Weekday::Saturday,
        "Sun" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, to: &str) -> BusinessHours {
        let days = ["Mon", "Tue", "Wed", "Thu", "Fri"].map(str::to_owned).to_vec();
        let (time_zone, from, to) = ("Europe/Berlin".to_owned(), from.to_owned(), to.to_owned());
        BusinessHours::parse(&Hours { time_zone, days, from, to }).unwrap()
    }

    #[test]
    fn hours_are_local_and_half_open() {
        let hours = hours("07:00", "19:00");
        for (instant, expected) in [
            ("2026-11-23T06:00:00Z", true), // Monday 07:00 in winter
            ("2026-11-23T05:59:59Z", false),
            ("2026-07-20T05:00:00Z", true),  // Monday 07:00 in summer
            ("2026-11-23T18:00:00Z", false), // 19:00
            ("2026-11-22T10:00:00Z", false), // Sunday
        ] {
            assert_eq!(hours.contain(instant.parse().unwrap()), expected, "{instant}");
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_they_began_on() {
        let hours = hours("22:00", "06:00");
        for (instant, expected) in [
            ("2026-11-27T22:00:00Z", true),  // Friday 23:00
            ("2026-11-28T04:00:00Z", true),  // Saturday 05:00, still Friday's
            ("2026-11-28T22:00:00Z", false), // Saturday 23:00
            ("2026-11-23T04:00:00Z", false), // Monday 05:00 would be Sunday's
        ] {
            assert_eq!(hours.contain(instant.parse().unwrap()), expected, "{instant}");
        }
    }

    fn file(change: impl FnOnce(&mut serde_json::Value)) -> Result<Parameters, ParametersError> {
        let mut file = serde_json::json!({
            "requiredTags": ["Owner"], "accessTag": "SessionAccess", "principalTag": "Team",
            "environmentTag": "Environment", "productionValues": ["production"],
            "allowedDocuments": ["SSM-SessionManagerRunShell"],
            "networks": {"office": ["203.0.113.0/24"], "vpn": ["10.0.0.0/8", "203.0.113.128/25"]},
            "businessHours": {"timeZone": "UTC", "days": ["Mon"], "from": "07:00", "to": "19:00"}
        });
        change(&mut file);
        Parameters::from_json(&file.to_string())
    }

    #[test]
    fn an_address_is_in_every_network_that_holds_it() {
        let parameters = file(|_| ()).unwrap();
        let of = |ip: &str| parameters.networks_of(ip.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(of("203.0.113.200"), ["office", "vpn"]);
        assert_eq!(of("203.0.113.1"), ["office"]);
        assert_eq!(of("2001:db8::1"), [""; 0]);
    }

    #[test]
    fn a_deployment_overrides_tags_and_networks_and_nothing_by_an_empty_text() {
        let mut parameters = file(|_| ()).unwrap();
        parameters.override_required_tags("");
        parameters.override_networks(" ").unwrap();
        assert_eq!((parameters.required_tags.len(), parameters.networks.len()), (1, 2));
        parameters.override_required_tags("Owner, CostCenter");
        parameters.override_networks("198.51.100.0/24").unwrap();
        assert_eq!(parameters.required_tags, ["Owner", "CostCenter"]);
        assert_eq!(parameters.networks_of("198.51.100.9".parse().unwrap()).collect::<Vec<_>>(), ["allowed"]);
        let error = parameters.override_networks("198.51.100.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameters.json: `networks`: `198.51.100.0` is not a CIDR such as `203.0.113.0/24`"
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (path, value, expected) in [
            (
                "/businessHours/timeZone",
                "Mars/Base",
                "parameters.json: `businessHours.timeZone`: `Mars/Base` is not an IANA time zone such as `Europe/Berlin`",
            ),
            (
                "/businessHours/from",
                "7 o'clock",
                "parameters.json: `businessHours.from`: `7 o'clock` is not a time such as `07:30`",
            ),
            (
                "/businessHours/days/0",
                "Monday",
                "parameters.json: `businessHours.days`: `Monday` is not one of Mon Tue Wed Thu Fri Sat Sun",
            ),
        ] {
            let error = file(|file| *file.pointer_mut(path).unwrap() = value.into()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
