//! Attacks on the tools: whatever the bytes of a file, one verdict per line, and the same one whoever stands beside it.

use std::sync::Arc;

use assay_oauth::encoding::base64url;
use assay_tools::verify::judge::{Block, Judge};
use assay_tools::verify::keys::KeyRing;
use assay_tools::verify::rules::Rules;
use assay_tools::verify::summary::Counts;
use bytes::Bytes;
use p256::ecdsa::signature::Signer as _;

fn signer() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("in range")
}

fn rules() -> Arc<Rules> {
    let point = signer().verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let (x, y) = (base64url(x), base64url(y));
    let key = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k","x":"{x}","y":"{y}"}}]}}"#);
    let keys = KeyRing::parse(key.as_bytes()).expect("a key set");
    Arc::new(Rules { keys, now_ms: Some(1_768_478_400_000), ..Rules::default() })
}

fn verdicts(rules: &Arc<Rules>, first_line: u64, text: &[u8]) -> String {
    let (mut out, mut counts) = (String::new(), Counts::default());
    let block = Block { first_line, data: Bytes::copy_from_slice(text), long_line_follows: false };
    Judge::new(Arc::clone(rules)).judge(&block, &mut out, &mut counts);
    assert_eq!(counts.valid() + counts.invalid(), out.lines().count() as u64);
    out
}

/// One verdict per line, in order, whatever the neighbours.
pub fn verify_lines(data: &[u8]) {
    let rules = rules();
    let together = verdicts(&rules, 1, data);
    let alone: String = (1..)
        .zip(data.split_inclusive(|byte| *byte == b'\n'))
        .map(|(number, line)| verdicts(&rules, number, line))
        .collect();
    assert_eq!(together, alone);
    for (number, verdict) in (1..).zip(together.lines()) {
        let verdict: serde_json::Value = serde_json::from_str(verdict).expect("verdicts are JSON");
        assert_eq!(verdict["line"], serde_json::json!(number));
        assert_eq!(verdict["valid"] == true, verdict.get("reason").is_none());
    }
}

/// Seeds of `verify_lines`.
pub fn verify_lines_seeds() -> Vec<Vec<u8>> {
    let input = format!("{}.{}", base64url(r#"{"alg":"ES256","kid":"k"}"#), base64url(r#"{"exp":4102444800}"#));
    let signature: p256::ecdsa::Signature = signer().sign(input.as_bytes());
    let jwt = format!("{input}.{}", base64url(signature.to_bytes()));
    let key = format!("02{}", "11".repeat(32));
    let bsm = base64url([31; 66]);
    let lines = [
        jwt.clone(),
        format!(r#"{{"token":"{jwt}"}}"#),
        format!("{key}|bsm|2026-01-15T12:00:00.000Z|/p|{bsm}"),
        format!(r#"{{"pubkey":"{key}","message":"m","signature":"{}"}}"#, "1f".repeat(65)),
        format!(
            r#"{{"address":"1BoatSLRHtKNngkdXEeobR76b53LETtpyT","message":"m","signature":"{}"}}"#,
            "1f".repeat(65)
        ),
    ];
    lines.iter().cloned().chain([lines.join("\n"), lines[..2].join("\r\n\n")]).map(String::into_bytes).collect()
}
