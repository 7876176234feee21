//! Text that somebody else wrote, made fit to be shown: secrets out, control characters out, cut short.
//!
//! What a caller gives as a reason or a command can hold a password, an escape sequence for the
//! reader's terminal, or a page of text. On doubt the whole word goes: a redacted innocent costs a
//! look at CloudTrail, a leaked secret a rotation.

use std::sync::LazyLock;

use regex::Regex;

const REDACTED: &str = "[redacted]";

/// What gives a secret away: by its own shape, or by the word before it.
///
/// All blanks are spaces by then ([`shown`]), so that no pattern needs Unicode's classes: they are most of what a pattern costs to compile.
const PATTERNS: [&str; 9] = [
    // First, since what follows would take it apart: a password that is handed on: echo SECRET | sudo -S, echo root:SECRET | chpasswd, passwd --stdin <<< SECRET
    r#"(?i)(?:echo|printf|print) [^|]*\| *(?:[^|]*\| *)*(?:[a-z/]*/)?(?:sudo(?: +-[a-z]+)* +-S|sudo +-S|chpasswd|passwd|su|docker|podman|helm|gh|cryptsetup|openssl|gpg|smbclient|kinit|ldapsearch|adduser)(?-u:\b)|htpasswd +-[a-z]*b[a-z]* +[^ ]+ +[^ ]+ +[^ ]+|(?:chpasswd|passwd|sudo +-S)[^<|;]*<<< *(?:"[^"]*"?|'[^']*'?|[^ ]+)"#,
    // AWS access key ids, and session tokens in their usual first bytes.
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}|(?:IQoJ|FwoG)[A-Za-z0-9+/=]{20,}",
    // Tokens of well-known issuers, and JSON Web Tokens.
    r"(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|xapp-|sk-|[srp]k_live_|npm_|pypi-|hv[sb]\.|AIza|ya29\.|SG\.|dop_v1_|shp(?:at|ca|pa|ss)_|sq0(?:atp|csp)-|glsa_|glc_|hf_|ATATT3|NRAK-|PMAK-|rubygems_|dapi|pul-|tskey-|whsec_|lin_api_|figd_|dp\.pt\.|AGE-SECRET-KEY-|EAAC)[A-Za-z0-9_\-.]{10,}|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]+|hooks\.slack\.com/[^ ]+",
    // Credentials in a URL: a password may itself hold `@` and `/`.
    r"(?i)(?-u:\b)[a-z][a-z0-9+.\-]*://[^ /@:]*:[^ ]+@",
    // A private key's first line, and all after it.
    r"-----BEGIN [A-Z ]*PRIVATE KEY.*",
    // NAME_PASSWORD=…, token: …, --password …, password is …; several such words before one value are one.
    r#"(?ix)
        (?: [a-z0-9_\-]* (?: passw(?:or)?d | passphrase | passin | passout | pwd | secret | token | credentials?
                      | (?:api|access|account|private|signing)[_\-]?key ) [a-z0-9_\-]* ["']?
            (?: \x20* (?: := | => | -> | [:=] ) \x20* | \x20+ (?: (?:is|was|to|=|:) \x20+ )? )
        )+
        (?: "[^"]*"? | '[^']*'? | [^\x20]+ )"#,
    // mysql -pSECRET, sshpass -p SECRET, curl -u user:SECRET
    r#"(?i)(?-u:\b)(?:mysql[a-z]*|mariadb[a-z]*|sshpass|docker +login|htpasswd|redis-cli|curl|wget|7z|rar|unrar)(?-u:\b)(?:[^|;&]*? (?:-p|-a|-b|-u|--user) *(?:"[^"]*"?|'[^']*'?|[^ ]+))+"#,
    // net user NAME SECRET, ConvertTo-SecureString SECRET, smbclient -U NAME%SECRET, useradd -p SECRET, ldap -w SECRET
    r#"(?i)net1?(?:\.exe)? +user +[^ ]+ +[^ /][^ ]*|ConvertTo-SecureString +(?:-String +)?(?:"[^"]*"?|'[^']*'?|[^ ]+)|(?-u:\b)(?:smbclient|rpcclient|smbmap|crackmapexec|nxc|evil-winrm|ldapsearch|ldapmodify|useradd|usermod|wmic|mongo[a-z]*|mosquitto_[a-z]+|svn|zip|unzip|sqlcmd|impacket-[a-z]+|[a-z]+\.py)(?-u:\b)(?:[^|;&]*? (?-i:-U|-w|-p|-P|-hashes|-H|--pass) +(?:"[^"]*"?|'[^']*'?|[^ ]+))+"#,
    // Authorization headers, and signatures in a query.
    r"(?i)(?:authorization|x-[a-z\-]*auth[a-z\-]*) *: *.+|(?:bearer|basic) +[A-Za-z0-9+/=._\-]{8,}|sig(?:nature)?=[^ ]+",
];

/// The length of an AWS secret access key, which has no other mark.
const SECRET_KEY_LENGTH: usize = 40;

#[expect(clippy::expect_used, reason = "the patterns are constants and are compiled by a test")]
static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    PATTERNS.iter().map(|pattern| Regex::new(pattern).expect("a pattern of this file")).collect()
});

/// Compiles the patterns, so that the first alert does not have to wait for it.
pub fn prepare() {
    LazyLock::force(&SECRETS);
}

/// `text` without secrets and control characters, at most `longest` characters long.
pub fn shown(text: &str, longest: usize) -> String {
    let mut text = plain(text);
    for secret in SECRETS.iter() {
        if let std::borrow::Cow::Owned(redacted) = secret.replace_all(&text, REDACTED) {
            text = redacted;
        }
    }
    cut(without_secret_keys(&text).trim(), longest)
}

/// `text` without control characters, at most `longest` characters long: for what the team itself wrote, such as a rule's title,
/// in which "Password Hashes" is no secret.
pub fn fit(text: &str, longest: usize) -> String {
    cut(plain(text).trim(), longest)
}

/// `text` without control characters: what cannot steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if unfit(character) { ' ' } else { character }).collect()
}

/// `text` cut to `longest` characters; the last one tells that there was more.
pub fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(longest.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Replaces what has the length and the mixture of an AWS secret access key. A commit's hash has no capitals.
fn without_secret_keys(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '/');
    text.split_inclusive(|character| !is_part(character))
        .map(|piece| {
            let word = piece.trim_end_matches(|character| !is_part(character));
            let end = piece.get(word.len()..).unwrap_or_default();
            if is_secret_key(word) { format!("{REDACTED}{end}") } else { piece.to_owned() }
        })
        .collect()
}

fn is_secret_key(word: &str) -> bool {
    word.len() == SECRET_KEY_LENGTH
        && word.bytes().any(|byte| byte.is_ascii_uppercase())
        && word.bytes().any(|byte| byte.is_ascii_lowercase())
        && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Control characters steer a terminal; bidirectional marks make a line read as another. Blanks of other scripts
/// are spaces to the reader, and so to the patterns.
fn unfit(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_do_not_survive() {
        for text in [
            "export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
            "x_AKIAIOSFODNN7EXAMPLE_y",
            "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "(wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY), and more",
            "mysql -u root -pS3cr3tPw prod",
            "sshpass -p S3cr3tPw ssh root@db",
            "curl -u admin:S3cr3tPw https://example.com",
            "curl -H 'Authorization: Bearer S3cr3tPwS3cr3tPw'",
            "psql postgresql://app:S3cr3tPw@db/prod",
            "psql postgresql://app:p@S3cr3tPw@db/prod",
            "PGPASSWORD=S3cr3tPw psql",
            "echo S3cr3tPw | sudo -S id",
            "echo 'root:S3cr3tPw' | chpasswd",
            "printf '%s' S3cr3tPw | docker login --username x --password-stdin",
            "passwd --stdin root <<< S3cr3tPw",
            "net user backdoor S3cr3tPw /add",
            "ConvertTo-SecureString 'S3cr3tPw' -AsPlainText -Force",
            "ConvertTo-SecureString -String S3cr3tPw",
            "smbclient -U admin%S3cr3tPw //fs/share",
            "useradd -m -p S3cr3tPw eve",
            "ldapsearch -x -D cn=admin -w S3cr3tPw",
            "aws configure set aws_secret_access_key S3cr3tPw",
            "htpasswd -cb .htpasswd bob S3cr3tPw",
            "docker login -u bob -p S3cr3tPw registry.example.com",
            "curl https://hooks.slack.com/services/T0/B0/S3cr3tPw",
            "export HF=hf_S3cr3tPwS3cr3tPw",
            "psql 'host=db password=S3cr3tPw dbname=x'",
            "redis-cli -a S3cr3tPw ping",
            "mongodump --uri mongodb+srv://u:S3cr3tPw@c0.example.net",
            "password\u{a0}=\u{2003}S3cr3tPw",
            "tool --token S3cr3tPw --verbose",
            "git clone https://ghp_S3cr3tPwS3cr3tPw@github.com/x/y",
            "password: \"S3cr3tPw with spaces\"",
            "the password is S3cr3tPw",
            "set password to S3cr3tPw",
            "secret token S3cr3tPw",
            "openssl rsa -passin pass:S3cr3tPw",
            "AccountKey=S3cr3tPw;Endpoint=x",
            "https://example.com/blob?sv=1&sig=S3cr3tPw%3D",
            "-----BEGIN RSA PRIVATE KEY-----\nS3cr3tPw\n-----END",
        ] {
            let shown = shown(text, 500);
            for secret in ["S3cr3tPw", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI"] {
                assert!(!shown.contains(secret), "{text:?} was shown as {shown:?}");
            }
            assert!(shown.contains(REDACTED), "{text:?} was shown as {shown:?}");
        }
    }

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        for text in [
            "CHG-1234 restart nginx",
            "sudo systemctl restart app",
            "INC0012: disk full on /var",
            "ls -la /tmp",
            "ssh -p 2222 db.internal",
            "echo done | tee /var/tmp/state",
            "net user",
            "net user alice /domain",
            "mkdir -p /srv/www",
            "docker ps -a",
            "openssl x509 -in cert.pem -noout -dates",
            "unzip -l backup.zip",
            "sudo -u postgres psql",
            "deploy 3f786850e387550fdab836ed7e6dc881de23001b",
            "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef",
            "Alice-abcdefghijklmnopqrstuvwxy2",
        ] {
            assert_eq!(shown(text, 500), text);
        }
    }

    #[test]
    fn text_cannot_steer_the_reader() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{202e}d", 500), "a [2Jb c d");
        assert_eq!(shown("0123456789", 5), "0123…");
    }

    proptest! {
        /// No secret survives redaction, whatever surrounds it.
        #[test]
        fn no_key_survives_its_surroundings(before in "[ -~]{0,40}", after in "[ -~]{0,40}") {
            let text = format!("{before}AKIAIOSFODNN7EXAMPLE{after}");
            prop_assert!(!shown(&text, 500).contains("AKIAIOSFODNN7EXAMPLE"));
        }

        /// However it is written down, and however long the text that is shown may be.
        #[test]
        fn no_password_survives_the_word_before_it(
            word in "(DB_|my-)?(password|passwd|secret|token|api_key|Access-Key|pwd)",
            between in "(=| = |: | is | was | := | |=\"|='|: \")",
            secret in "[A-Za-z0-9!#$%^*+/]{8,30}",
            after in "[ -~]{0,20}",
            longest in 1_usize..200,
        ) {
            let shown = shown(&format!("{word}{between}{secret} {after}"), longest);
            prop_assert!(!shown.contains(&secret), "{shown:?}");
        }

        #[test]
        fn whatever_is_shown_is_short_and_plain(text in any::<String>(), longest in 1_usize..200) {
            let shown = shown(&text, longest);
            prop_assert!(shown.chars().count() <= longest);
            prop_assert!(!shown.chars().any(unfit));
        }
    }
}
