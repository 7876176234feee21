//! Signature Version 4, as far as calls to the local stack need it: at most one parameter in the query string, no encoded path.
//!
//! How it works: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Who signs, and for which service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer<'a> {
    pub(crate) key: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// What is signed. The headers are in alphabetical order and have lower-case names; `x-amz-date` is one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body_hash: &'a str,
}

impl Signer<'_> {
    /// The value of the `authorization` header of a request made at `time`, such as `20150830T123600Z`.
    pub(crate) fn authorization(self, request: Request<'_>, time: &str) -> String {
        let Self { key, secret, region, service } = self;
        let Request { method, path, headers, body_hash } = request;
        let signed: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed = signed.join(";");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{body_hash}");
        let date = time.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
        let derive = |key: Vec<u8>, part: &str| keyed_hash(&key, part.as_bytes());
        let signing_key = [date, region, service, "aws4_request"]
            .into_iter()
            .fold(format!("AWS4{secret}").into_bytes(), derive);
        let signature = hex(&keyed_hash(&signing_key, text.as_bytes()));
        format!("AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}")
    }
}

/// The hash of a body, as it is signed.
pub(crate) fn hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn keyed_hash(key: &[u8], text: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get-vanilla` and `post-vanilla` of AWS's own test suite.
    #[test]
    fn signatures_are_those_of_the_test_suite_of_aws() {
        let signer = Signer {
            key: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        let time = "20150830T123600Z";
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", time)];
        let body_hash = hash(b"");
        let request = |method| Request { method, path: "/", headers: &headers, body_hash: &body_hash };
        for (method, expected) in [
            ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ] {
            let value = signer.authorization(request(method), time);
            assert_eq!(
                value,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={expected}"
                )
            );
        }
    }
}
