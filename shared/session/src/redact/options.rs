//! Secrets that an option of a tool tells of, where the option's name says nothing: `mysql -pSECRET`, `sshpass -p SECRET`.

use std::ops::Range;

use super::words::{is_reference, length_of_value};

/// Tools, each by its name, by its beginning (`mysql*`) or by its end (`*.py`); a word that must have come after the name; the options
/// whose next word is a secret; those that have it attached.
struct Tool(&'static [&'static str], &'static str, &'static [&'static str], &'static [&'static str]);

/// Tools that take `domain/user:SECRET@host`.
const IMPACKET: [&str; 2] = ["impacket-*", "*.py"];

const TOOLS: [Tool; 37] = [
    Tool(&["mysql*", "mariadb*"], "", &[], &["-p"]),
    Tool(&["sshpass"], "", &["-p"], &["-p"]),
    Tool(
        &["docker", "podman", "buildah", "skopeo", "helm", "oras", "crane", "nerdctl", "az", "oc"],
        "login",
        &["-p"],
        &[],
    ),
    Tool(&["redis-cli"], "", &["-a", "--pass", "auth", "AUTH"], &["-a"]),
    Tool(
        &["curl"],
        "",
        &["-u", "--user", "-U", "--proxy-user", "-b", "--cookie"],
        &["-u", "--user=", "--proxy-user="],
    ),
    Tool(&["http", "https"], "", &["-a", "--auth"], &["--auth="]),
    Tool(&["7z", "7za", "7zr", "7zz"], "", &[], &["-p"]),
    Tool(&["rar", "unrar"], "", &[], &["-hp", "-p"]),
    Tool(&["zip", "unzip", "zipcloak"], "", &["-P"], &["-P"]),
    Tool(&["smbclient", "rpcclient", "smbcacls"], "", &["-U", "--user"], &["-U", "--user="]),
    Tool(
        &["smbmap", "crackmapexec", "nxc", "netexec", "evil-winrm", "adidnsdump", "ldapdomaindump"],
        "",
        &["-p", "-H", "-P"],
        &[],
    ),
    Tool(&IMPACKET, "", &["-hashes", "-aesKey", "-p", "-H", "-w"], &[]),
    Tool(
        &["ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami", "ldapcompare"],
        "",
        &["-w"],
        &["-w"],
    ),
    Tool(&["ldappasswd"], "", &["-w", "-s", "-a"], &["-w"]),
    Tool(&["useradd", "usermod", "adduser"], "", &["-p"], &[]),
    Tool(&["mongo*"], "", &["-p"], &["-p"]),
    Tool(&["mosquitto_*", "sqlcmd", "bcp", "osql", "isql", "tsql"], "", &["-P"], &["-P"]),
    Tool(&["cqlsh", "hdbsql", "twine", "rdesktop", "ncftp*", "wmic", "svn"], "", &["-p"], &[]),
    Tool(&["psexec", "psexec64", "paexec", "psexec.exe", "psexec64.exe"], "", &["-p"], &[]),
    Tool(
        &["plink", "pscp", "psftp", "putty", "plink.exe", "pscp.exe", "psftp.exe", "putty.exe"],
        "",
        &["-pw"],
        &[],
    ),
    Tool(&["xfreerdp", "wfreerdp", "xfreerdp3"], "", &[], &["/p:"]),
    Tool(&["winrs", "winrs.exe"], "", &[], &["-p:", "/p:"]),
    Tool(&["cmdkey", "cmdkey.exe"], "", &[], &["/pass:", "/p:"]),
    Tool(&["schtasks", "schtasks.exe"], "", &["/rp", "/p", "/RP", "/P"], &[]),
    Tool(&["openssl"], "", &["-pass", "-passin", "-passout", "-k", "-K"], &[]),
    Tool(
        &["keytool", "jarsigner"],
        "",
        &["-storepass", "-keypass", "-srcstorepass", "-deststorepass", "-srckeypass", "-destkeypass"],
        &[],
    ),
    Tool(&["openssl"], "passwd", &["-1", "-5", "-6", "-apr1"], &[]),
    Tool(&["ssh-keygen"], "", &["-N", "-P"], &["-N", "-P"]),
    Tool(&["snmpwalk", "snmpget", "snmpset", "snmpbulkwalk", "snmptable"], "", &["-A", "-X", "-c"], &[]),
    Tool(&["ipmitool"], "", &["-P"], &["-P"]),
    Tool(&["lftp"], "", &["-u"], &["-u"]),
    Tool(&["vault"], "login", &["login"], &[]),
    Tool(&["doctl", "glab"], "auth", &["-t"], &["-t"]),
    Tool(&["kubectl", "oc"], "secret", &["--from-literal"], &["--from-literal="]),
    Tool(&["aws"], "put-parameter", &["--value"], &["--value="]),
    Tool(&["gh"], "secret", &["-b", "--body"], &["--body="]),
    Tool(&["gpg", "gpg2"], "", &["--passphrase"], &["--passphrase="]),
];

/// Where the secrets of a text are, in order, none in another.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut tools: Vec<(&Tool, bool)> = Vec::new();
    let mut is_next = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b' ' | b'(' | b'{' | b'`') {
            // What a command prints is no secret of this text.
            is_next &= *byte != b'`';
            at += 1;
            continue;
        }
        if matches!(byte, b'|' | b';' | b'&') {
            tools.clear();
            is_next = false;
            at += 1;
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let length = length_of_shell_word(rest);
        let word = rest.get(..length).unwrap_or_default();
        if is_next && !is_spared(word) && !is_reference(rest) {
            found.push(at..at + length);
            is_next = false;
        } else {
            is_next = false;
            let mut from = None;
            if tools.iter().any(|(tool, _)| tool.0 == IMPACKET) {
                from = address_secret(word);
            }
            for (tool, is_ready) in &mut tools {
                let Tool(_, after, before, attached) = tool;
                *is_ready |= word == after.as_bytes();
                if *is_ready {
                    is_next |= before.iter().any(|option| word == option.as_bytes());
                    let option = attached.iter().find(|option| word.starts_with(option.as_bytes()));
                    from = from.or(option.map(|option| option.len()));
                }
            }
            if let Some(from) = from.filter(|from| {
                !is_next && word.get(*from..).is_some_and(|word| !word.is_empty() && !is_reference(word))
            }) {
                found.push(at + from..at + length);
            }
        }
        let name = word.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
        for tool in TOOLS.iter().filter(|tool| tool.is(name)) {
            if !tools.iter().any(|(known, _)| std::ptr::eq(*known, tool)) {
                tools.push((tool, tool.1.is_empty()));
            }
        }
        at += length.max(1);
    }
    found
}

/// Where the secret of `domain/user:SECRET@host` begins. The host goes with it: the secret may itself hold an `@`.
fn address_secret(word: &[u8]) -> Option<usize> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let is_address = word.get(..colon)?.contains(&b'/')
        && word.get(colon..)?.contains(&b'@')
        && !word.starts_with(b"http");
    is_address.then_some(colon + 1)
}

/// Whether what follows an option is none of its values, or none that is a secret: a further option, a port, a variable.
fn is_spared(word: &[u8]) -> bool {
    let is_option = word.strip_prefix(b"-").is_some_and(|option| {
        option.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'=' | b'_'))
    });
    let is_elsewhere = [&b"file:"[..], b"env:", b"fd:", b"stdin"].iter().any(|start| word.starts_with(start));
    is_option || is_elsewhere || (word.len() <= 5 && word.iter().all(u8::is_ascii_digit))
}

impl Tool {
    fn is(&self, name: &[u8]) -> bool {
        self.0.iter().any(|tool| match (tool.strip_suffix('*'), tool.strip_prefix('*')) {
            (Some(start), _) => name.starts_with(start.as_bytes()),
            (None, Some(end)) => name.len() > end.len() && name.ends_with(end.as_bytes()),
            (None, None) => name.eq_ignore_ascii_case(tool.as_bytes()),
        })
    }
}

/// A word of a command: to the blank or the operator behind it, quotes and what they hold included.
fn length_of_shell_word(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(byte) = bytes.get(length) {
        match byte {
            b' ' | b'|' | b';' | b'&' | b'(' | b')' => break,
            b'"' | b'\'' => length += length_of_value(bytes.get(length..).unwrap_or_default()),
            b'\\' if bytes.get(length + 1).is_some_and(u8::is_ascii) => length += 2,
            _ => length += 1,
        }
    }
    length.clamp(1, bytes.len())
}
