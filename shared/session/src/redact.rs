//! Text that somebody else wrote, made fit to be shown: secrets out, control characters out, cut short.
//!
//! What a caller gives as a reason or a command can hold a password, an escape sequence for the
//! reader's terminal, or a page of text. On doubt the whole word goes: a redacted innocent costs a
//! look at CloudTrail, a leaked secret a rotation.

mod issuers;
mod names;
mod options;
mod tokens;
mod words;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

const REDACTED: &str = "[redacted]";

/// What gives a secret away, apart from [`tokens`], [`names`] and [`options`]: its place, or its shape.
///
/// All blanks are spaces by then ([`shown`]), so that no pattern needs Unicode's classes: they are most of what a pattern costs to compile.
const PATTERNS: [&str; 6] = [
    // First, since what follows would take it apart: a password that is handed on: echo SECRET | sudo -S, echo root:SECRET | chpasswd, passwd --stdin <<< SECRET
    r#"(?i)(?:echo|printf|print) [^|]*\| *(?:[^|]*\| *)*(?:[a-z/]*/)?(?:sudo(?: +-[a-z]+)* +-S|sudo +-S|(?:sudo +)?(?:chpasswd|passwd|su|docker|podman|helm|gh|cryptsetup|openssl|gpg|smbclient|kinit|ldapsearch|adduser|vault|npm|glab|oras|skopeo|secret-tool))(?-u:\b)|htpasswd +-[a-z]*b[a-z]* +[^ ]+ +[^ ]+ +[^ ]+|(?:chpasswd|passwd|sudo +-S|login|kinit|su|cryptsetup)[^<|;]*<<< *(?:"[^"]*"?|'[^']*'?|[^ ]+)|chpasswd *<<.*"#,
    // AWS access key ids, and session tokens in their usual first bytes.
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{12,}|(?:IQoJ|FwoG)[A-Za-z0-9+/=]{20,}",
    // Credentials in an address, where a password may itself hold `@` and `/`; addresses that whoever has them may post to; a database's file of passwords.
    r"(?i)[a-z0-9+.\-]*://(?:[^ /@:]*:[^ ]+|[a-z0-9_\-]{20,})@|:thin:[^ /@]+/[^ @]+@|sqlplus(?: +-[a-z]+)* +[^ /]+/[^ @]+|(?:hooks\.slack\.com|webhook\.office\.com|hooks\.zapier\.com|discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|api\.softlayer\.com/(?:soap|xmlrpc))[^ ]+|[a-z0-9\-]*[.g-z*][a-z0-9.\-]*:(?:[0-9]{3,5}|\*):[^ :]+:[^ :]+:[^ ]+",
    // A private key's first line, also in base64, and all after it; the values of a Secret of Kubernetes; hashes of passwords.
    r"-{4,5} ?BEGIN[A-Z0-9 _\-]*PRIVATE KEY.*|PuTTY-User-Key-File-.*|LS0tLS1CRUdJTi(?:BSU0|BQUklW|BFQyB|BPUEVO|BFTkNS|BEU0E)[^ ]+|(?i:(?:data: .*)?(?-u:\b)kind: *.?secret(?-u:\b).*)|\$(?:[1567y]|2[abxy]|gy|argon2[a-z]*|pbkdf2[a-z0-9\-]*|scrypt)\$[./A-Za-z0-9,=+$\-]{10,}|(?i:[0-9a-f]{32}:[0-9a-f]{32})",
    // net user NAME SECRET, net use SHARE SECRET, ConvertTo-SecureString SECRET, PSCredential(NAME, SECRET), IDENTIFIED BY SECRET
    r#"(?i)net1?(?:\.exe)? +user(?: +/[^ ]+)* +[^ ]+ +[^ /][^ ]*|/v +[^ ]*(?:passw|secret|token)[^ ]* +(?:/t +[^ ]+ +)?/d +[^ ]+|net1?(?:\.exe)? +use +(?:[a-z*]: +)?\\\\[^ ]+ +[^ /][^ ]*|(?:ConvertTo-SecureString +(?:-String +)?|identified +by +|db2 +connect +[^|;]* using +|rabbitmqctl +(?:add_user|change_password) +[^ ]+ +|wpa_passphrase +[^ ]+ +)(?:"[^"]*"?|'[^']*'?|[^ $(][^ ]*)|PSCredential *\([^)]*\)?"#,
    // Authorization headers, and signatures in a query.
    r#"(?i)"(?:authorization|x-[a-z\-]*auth[a-z\-]*) *: *[^"]+|'(?:authorization|x-[a-z\-]*auth[a-z\-]*) *: *[^']+|(?:authorization|x-[a-z\-]*auth[a-z\-]*) *: *.+|(?:bearer|basic) +[A-Za-z0-9+/=._\-]{8,}|sig(?:nature)?=[^ ]+"#,
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
    names::prepare();
    tokens::prepare();
}

/// `text` without secrets and control characters, at most `longest` characters long.
pub fn shown(text: &str, longest: usize) -> String {
    let mut text = without(&plain(text), tokens::find);
    for secret in SECRETS.iter() {
        if let std::borrow::Cow::Owned(redacted) = secret.replace_all(&text, REDACTED) {
            text = redacted;
        }
    }
    let text = without(&without(&text, options::find), names::find);
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

/// Replaces what is found.
fn without(text: &str, find: fn(&str) -> Vec<Range<usize>>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for secret in find(text) {
        kept.push_str(text.get(at..secret.start).unwrap_or_default());
        kept.push_str(REDACTED);
        at = secret.end;
    }
    kept.push_str(text.get(at..).unwrap_or_default());
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
            "aws_session_token = S3cr3tPw",
            "AWS Secret Access Key [None]: S3cr3tPw",
            "AWS Session Token [****abcd]: S3cr3tPw",
            "db.internal:5432:prod:app:S3cr3tPw",
            "*:*:*:app:S3cr3tPw",
            "machine example.com login alice password S3cr3tPw",
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YWxpY2U6UzNjcjN0UHc="}}}"#,
            "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFcEFJQkFBS0NBUUVB",
            "users: - name: admin user: token: S3cr3tPw",
            r#"curl -d '{"user":"a","password":"S3cr3tPw"}' https://example.com"#,
            r#"curl -d "{\"user\":\"a\",\"password\":\"S3cr3tPw\"}" https://example.com"#,
            r#"curl -d '{"password":"with \" S3cr3tPw"}' https://example.com"#,
            "jdbc:mysql://db/prod?user=app&password=S3cr3tPw",
            "jdbc:oracle:thin:scott/S3cr3tPw@//db:1521/prod",
            "sqlplus scott/S3cr3tPw@prod",
            "amqp://app:S3cr3tPw@mq:5672/prod",
            "mongodb+srv://app:S3cr3tPw@c0.example.net/prod",
            "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=S3cr3tPw;EndpointSuffix=core.windows.net",
            "BlobEndpoint=https://x/;SharedAccessSignature=sv=2020&sig=S3cr3tPw",
            "Endpoint=sb://x/;SharedAccessKeyName=all;SharedAccessKey=S3cr3tPw",
            "Server=db;User ID=sa;Pwd=S3cr3tPw;",
            r#"Server=db;Uid=sa;Password="S3cr3tPw with";"#,
            "DB_PASS=S3cr3tPw ./run",
            "smtp_pw: S3cr3tPw",
            "docker login -u bob --password S3cr3tPw",
            "az login --service-principal -u x -p S3cr3tPw --tenant y",
            "vault login S3cr3tPw",
            "kubectl create secret generic db --from-literal=key=S3cr3tPw",
            "kubectl create secret generic db --from-literal key=S3cr3tPw",
            "aws ssm put-parameter --name /x --type SecureString --value S3cr3tPw",
            "aws secretsmanager create-secret --name x --secret-string S3cr3tPw",
            "openssl enc -aes-256-cbc -k S3cr3tPw -in a",
            "openssl rsa -in k -passin pass:S3cr3tPw",
            "openssl passwd -6 S3cr3tPw",
            "7z a -pS3cr3tPw x.7z /srv",
            "xfreerdp /u:x /p:S3cr3tPw /v:h",
            r#"net use Z: \\h\s S3cr3tPw /user:x"#,
            "net user /add bob S3cr3tPw",
            "schtasks /create /tn x /ru y /rp S3cr3tPw",
            r#"psexec \\h -u x -p S3cr3tPw cmd"#,
            "keytool -list -keystore k -storepass S3cr3tPw",
            "ssh-keygen -t ed25519 -N S3cr3tPw -f k",
            "ssh-keygen -t ed25519 -N 'S3cr3tPw two' -f k",
            "snmpwalk -v3 -u x -A S3cr3tPw h",
            "ipmitool -H h -U x -P S3cr3tPw power status",
            "lftp -u bob,S3cr3tPw h",
            "rabbitmqctl add_user bob S3cr3tPw",
            r#"mysql -e "ALTER USER bob IDENTIFIED BY 'S3cr3tPw'""#,
            "gh auth login --with-token <<< S3cr3tPw",
            r#"su - bob <<< "S3cr3tPw""#,
            "chpasswd <<EOF bob:S3cr3tPw EOF",
            "root:$6$abcdefgh$S3cr3tPwHashOfTheUser0123456789abcdef:19000:0:99999:7:::",
            "Administrator:500:aad3b435b51404eeaad3b435b51404ee:31d6cfe0d16ae931b73c59d7e0c089c0:::",
            "wpa_passphrase home S3cr3tPw",
            "<password>S3cr3tPw</password>",
            r#"<add key="Password" value="S3cr3tPw" />"#,
            "declare -A c=([password]=S3cr3tPw)",
            "c['password'] = 'S3cr3tPw'",
            r#"setPassword("S3cr3tPw")"#,
            r#"props.put("password", "S3cr3tPw")"#,
            r#"$p = New-Object PSCredential("u", (ConvertTo-SecureString "S3cr3tPw" -AsPlainText -Force))"#,
            r#"reg add HKLM\X /v DefaultPassword /t REG_SZ /d S3cr3tPw /f"#,
            "curl --user admin:S3cr3tPw https://example.com",
            "curl -uadmin:S3cr3tPw https://example.com",
            "http -a admin:S3cr3tPw example.com",
            "//registry.npmjs.org/:_authToken=S3cr3tPw",
            "//registry.npmjs.org/:_auth=S3cr3tPw",
            r#"password='it'"'"'s S3cr3tPw'"#,
            r#"password=it\ is\ S3cr3tPw"#,
            r#"PASSWORD="two S3cr3tPw" ./run"#,
            r#"PASSWORD=$'S3cr3tPw\n' ./run"#,
            "https://discord.com/api/webhooks/1/S3cr3tPw",
            "https://S3cr3tPwS3cr3tPwS3cr3tPw@o1.ingest.sentry.io/1",
            "impacket-secretsdump corp/bob:S3cr3tPw@10.0.0.5",
            "python3 secretsdump.py corp/bob:S3cr3tPw@10.0.0.5",
            "export CUSTOM_KEY=abcd1234S3cr3tPw5678",
            r#"curl -H "X-Api-Key: S3cr3tPw" https://example.com"#,
            r#"curl -H "X-Auth-Token: S3cr3tPw" https://example.com"#,
            r#"curl -H "PRIVATE-TOKEN: S3cr3tPw" https://example.com"#,
            r#"curl -b "session=S3cr3tPw" https://example.com"#,
            "Set-Cookie: session=S3cr3tPw; Path=/",
            "Cookie: PHPSESSID=S3cr3tPw",
            "echo S3cr3tPw | sudo passwd --stdin bob",
            "htpasswd -bc f bob S3cr3tPw",
            "mysql --user=root --password=S3cr3tPw",
            "mysqldump -uroot -p'S3cr3tPw' prod",
            r#"mysqldump -uroot -p"S3cr3tPw x" prod"#,
            "mongosh -u x -p S3cr3tPw",
            "redis-cli -h h -a S3cr3tPw",
            "smbclient //h/s -U 'bob%S3cr3tPw'",
            "rpcclient -U bob%S3cr3tPw h",
            "crackmapexec smb h -u bob -p S3cr3tPw",
            "evil-winrm -i h -u bob -p 'S3cr3tPw'",
            "ldapsearch -x -w 'S3cr3tPw' -D y",
            "cmdkey /add:h /user:x /pass:S3cr3tPw",
            "runas /user:x cmd password S3cr3tPw",
            "plink -ssh h -l root -pw S3cr3tPw id",
            "winrs -r:h -u:x -p:S3cr3tPw cmd",
            "unzip -P S3cr3tPw a.zip",
            "zip -P 'S3cr3tPw x' a.zip b",
            "rar a -hpS3cr3tPw a.rar b",
            "svn co --username x --password S3cr3tPw u",
            "cryptsetup open /dev/x y <<< S3cr3tPw",
            r#"ansible all -e "ansible_password=S3cr3tPw""#,
            "heroku config:set SECRET_KEY_BASE=S3cr3tPw",
            "terraform apply -var db_password=S3cr3tPw",
            "terraform apply -var 'db_password=S3cr3tPw'",
            "helm install x --set auth.password=S3cr3tPw",
            r#"git -c http.extraheader="AUTHORIZATION: basic S3cr3tPwS3" clone u"#,
            "git config credential.helper 'store'; echo https://bob:S3cr3tPw@github.com",
            "pip install -i https://bob:S3cr3tPw@pypi.example.com/simple x",
            "twine upload -u x -p S3cr3tPw dist/*",
            "otpauth://totp/x?secret=S3cr3tPw&issuer=y",
            r#"ssh-add - <<< "-----BEGIN OPENSSH PRIVATE KEY----- S3cr3tPw -----END OPENSSH PRIVATE KEY-----""#,
            "PuTTY-User-Key-File-2: ssh-rsa Private-Lines: 2 S3cr3tPw",
            "apiVersion: v1 data: x: S3cr3tPw kind: Secret",
            "kind: Secret apiVersion: v1 data: x: S3cr3tPw",
            r#""password": S3cr3tPw"#,
            "'password': 'S3cr3tPw'",
            "passwd=S3cr3tPw&user=x",
            "--client-secret=S3cr3tPw",
            "--client_secret S3cr3tPw",
            "Passwort: S3cr3tPw",
        ] {
            let shown = shown(text, 500);
            for secret in ["S3cr3tPw", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "YWxpY2U6", "LS0tLS1C"] {
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
            "cat /etc/passwd | grep root",
            "cp /etc/passwd /etc/shadow /srv/backup/",
            "grep -r PasswordAuthentication /etc/ssh/sshd_config",
            "PasswordAuthentication no",
            "bob ALL=(ALL) NOPASSWD:ALL",
            "kubectl get secret web-tls -o yaml",
            "kubectl get secrets -A",
            "docker secret ls",
            "passwd -l bob",
            "gpasswd -d bob docker",
            "pwd | sed s,/,_,",
            "aws secretsmanager get-secret-value --secret-id prod/db",
            "aws iam create-access-key --user-name bob",
            "aws sts get-session-token --duration-seconds 900",
            "mysqldump --user app --password --all-databases",
            "mysql -u root -p prod",
            "docker run -p 8080:80 -u 1000 nginx",
            "wget -q -P /tmp https://example.com/a",
            "curl -o a.json https://example.com:443/a",
            "PGPASSWORD=\"$DB_PASSWORD\" psql",
            "password=$(aws ssm get-parameter --name db)",
            "docker pull nginx@sha256:3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab836ed",
            "git checkout 3f786850e387550fdab836ed7e6dc881de23001b",
            "aws ec2 describe-instances --instance-ids i-0123456789abcdef0",
            "aws ecs register-task-definition --family disk-encryption-helper-v2",
            "kubectl logs web-7d9c5b8f6d-x2x4q",
            "ip maddress add 33:33:00:00:00:02 dev eth0",
            "kms 1234abcd-12ab-34cd-56ef-1234567890ab",
            "echo YmFzaCAtaSA+JiAvZGV2L3RjcC8xMC4wLjAuNS80NDQ0IDA+JjE= | base64 -d",
            "npm_config_registry=https://registry.example.com npm install",
            "sts.eu-west-1.amazonaws.com",
            "sg.example.com",
            "grep -i token /var/log/app.log",
            "ls api_keys",
            "--password-file /run/db",
            "secretName: web-tls",
            "reg add HKLM\\X /v UseLogonCredential /t REG_DWORD /d 1 /f",
            "find / -name credentials -type f",
            "python3 app.py -p 8080",
            "openssl enc -d -pass file:/run/k",
            "log_2026-11-24T10.00.00.txt",
        ] {
            assert_eq!(shown(text, 500), text);
        }
    }

    #[test]
    fn text_cannot_steer_the_reader() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{202e}d", 500), "a [2Jb c d");
        assert_eq!(shown("0123456789", 5), "0123…");
    }

    #[test]
    fn what_a_secret_was_called_stays() {
        for (text, expected) in [
            ("export DB_PASSWORD=hunter2; ./run", "export DB_PASSWORD=[redacted] ./run"),
            ("sshpass -p hunter2 ssh root@db", "sshpass -p [redacted] ssh root@db"),
            (
                "curl -H 'Authorization: Bearer abcdefgh1' https://example.com",
                "curl -H [redacted]' https://example.com",
            ),
            (
                r#"{"user": "bob", "password": "a\"b", "region": "eu"}"#,
                r#"{"user": "bob", "password": [redacted], "region": "eu"}"#,
            ),
            (
                "git clone https://ghp_0123456789abcdef@github.com/x/y",
                "git clone https://[redacted]@github.com/x/y",
            ),
        ] {
            assert_eq!(shown(text, 500), expected);
        }
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

        /// Nor an issuer's token, wherever it stands between words.
        #[test]
        fn no_token_survives_its_mark(
            issuer in proptest::sample::select(&issuers::MARKS[..]),
            before in "[ -~]{0,20}[ =:\"'(/@]",
            token in "[A-Z][a-z][0-9][A-Za-z0-9]{57}",
            after in "[ \"')&;][ -~]{0,20}",
        ) {
            for mark in issuer.2 {
                let shown = shown(&format!("{before}{mark}{token}{after}"), 500);
                prop_assert!(!shown.contains(&token), "{shown:?}");
            }
        }

        /// Nor a password that an option or a connection string holds.
        #[test]
        fn no_password_survives_its_place(
            (start, end) in proptest::sample::select(&[
                ("mysql -u root -p", " prod"), ("sshpass -p ", " ssh h"), ("curl -u bob:", " https://example.com"), ("postgres://bob:", "@db/prod"),
                ("net user bob ", " /add"), ("Server=db;Uid=sa;Pwd=", ";"), ("{\"password\":\"", "\"}"), ("smbclient //h/s -U bob%", " x"),
                ("docker login -u bob -p ", " example.com"), ("AWS Secret Access Key [None]: ", ""), ("<password>", "</password>"),
            ][..]),
            secret in "[A-Za-z0-9!#%^*+][A-Za-z0-9!#%^*+/]{7,29}",
        ) {
            let shown = shown(&format!("{start}{secret}{end}"), 500);
            prop_assert!(!shown.contains(&secret), "{shown:?}");
        }

        /// What identifies something stays readable, whatever it is called and whatever stands around it.
        #[test]
        fn what_identifies_is_shown(
            before in "(aws ec2 stop-instances --instance-ids |git show |docker inspect |commit=|digest: sha256:|id: |kubectl logs )",
            id in "(i-[0-9a-f]{17}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|web-[0-9a-f]{10}-[a-z0-9]{5})",
        ) {
            let text = format!("{before}{id}");
            prop_assert_eq!(shown(&text, 500), text);
        }

        #[test]
        fn whatever_is_shown_is_short_and_plain(text in any::<String>(), longest in 1_usize..200) {
            let shown = shown(&text, longest);
            prop_assert!(shown.chars().count() <= longest);
            prop_assert!(!shown.chars().any(unfit));
        }
    }
}
