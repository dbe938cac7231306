//! Judges a block of lines: every line becomes a question or a verdict, the questions go to the engine together, and one
//! line of JSON per line comes out. Each worker has one judge of its own; judges share the rules and nothing else.

use std::sync::Arc;

use assay_engine::{Job, Recoverable, Verdict, recover_now, verify_now};
use assay_oauth::jose::writer::push_string;
use bytes::Bytes;

use super::bitcoin::{self, Addressed, ParsedKeys};
use super::jwt::{self, Heads};
use super::line::{self, Line};
use super::reason::{Reason, Scheme};
use super::rules::Rules;
use super::summary::Counts;
use crate::limits::LINE_BYTES_MAX;

/// Lines to be judged together.
pub struct Block {
    /// Number of its first line, from 1.
    pub first_line: u64,
    /// Its lines with their line ends; the last line of the input may have none.
    pub data: Bytes,
    /// Whether a line that is too long came after these. It is not here.
    pub long_line_follows: bool,
}

/// Judges blocks, one after the other.
pub struct Judge {
    rules: Arc<Rules>,
    heads: Heads,
    parsed_keys: ParsedKeys,
    // What follows is empty between blocks and keeps its memory.
    findings: Vec<Finding>,
    jobs: Vec<Job>,
    recoverables: Vec<Recoverable>,
    verdicts: Vec<Verdict>,
    scratch: Vec<u8>,
}

/// What is known of a line before the engine has answered.
struct Finding {
    outcome: Outcome,
    scheme: Option<Scheme>,
    signer: Signer,
}

enum Outcome {
    /// Judged without the engine.
    Known(Result<(), Reason>),
    /// The job of this index decides.
    Signature(usize),
    /// The key recovered from the signature of this index decides.
    Signer(usize, Addressed),
    /// The job of this index decides, then the claims in this payload do.
    SignatureAndClaims(usize, Bytes),
}

/// Whom a verdict names.
enum Signer {
    Address(String),
    Kid(Arc<str>),
    Nobody,
    Pubkey(String),
}

impl Finding {
    fn refused(reason: Reason) -> Self {
        Self { outcome: Outcome::Known(Err(reason)), scheme: None, signer: Signer::Nobody }
    }
}

impl Judge {
    /// A judge who has seen nothing yet.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            heads: Heads::default(),
            parsed_keys: ParsedKeys::default(),
            findings: Vec::new(),
            jobs: Vec::new(),
            recoverables: Vec::new(),
            verdicts: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Appends one verdict per line to `out` and counts them.
    pub fn judge(&mut self, block: &Block, out: &mut String, counts: &mut Counts) {
        let now_ms = self.rules.now_ms();
        let mut rest = &block.data[..];
        while !rest.is_empty() {
            let (line, after) = match memchr::memchr(b'\n', rest) {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = after;
            let finding = self.find(&block.data, line, now_ms);
            self.findings.push(finding);
        }
        if block.long_line_follows {
            self.findings.push(Finding::refused(Reason::LineTooLong));
        }
        verify_now(&self.jobs, &mut self.verdicts);
        let signers = recover_now(&self.recoverables);
        for (number, finding) in (block.first_line..).zip(&self.findings) {
            let result = match &finding.outcome {
                Outcome::Known(result) => *result,
                Outcome::Signature(job) => reason_of(self.verdicts[*job]),
                Outcome::Signer(index, addressed) => addressed.judge(signers[*index].as_ref()),
                Outcome::SignatureAndClaims(job, payload) => reason_of(self.verdicts[*job])
                    .and_then(|()| jwt::check_claims(payload, &self.rules, now_ms / 1_000, &mut self.scratch)),
            };
            counts.add(finding.scheme, result);
            write(out, number, result, finding);
        }
        // Jobs hold the block's memory, which its owner wants back.
        self.findings.clear();
        self.jobs.clear();
        self.recoverables.clear();
    }

    fn find(&mut self, block: &Bytes, line: &[u8], now_ms: u64) -> Finding {
        if line.len() > LINE_BYTES_MAX {
            return Finding::refused(Reason::LineTooLong);
        }
        let filter = self.rules.filter;
        match line::read(block, line, filter.wants_jwt_only()) {
            Err(reason) => Finding::refused(reason),
            Ok(Line::Jwt(token)) if filter.allows_jwt() => self.jwt(&token),
            Ok(Line::BitcoinAuth { token, path, body }) if filter.allows_bitcoin_auth() => {
                self.bitcoin_auth(&token, path.as_deref(), &body, now_ms)
            }
            Ok(Line::Signed(signed)) if filter.allows_signed_message() => self.signed(signed),
            Ok(Line::Addressed(signed)) if filter.allows_signed_message() && filter.allows(Scheme::Bsm) => {
                let address = signed.address.unwrap_or_default();
                let asked = match signed.scheme.as_deref() {
                    None | Some("bsm") => bitcoin::addressed(&address, &signed.message, &signed.signature),
                    Some(_) => Err(Reason::BadScheme),
                };
                let is_address = !matches!(asked, Err(Reason::BadAddress));
                let signer = if is_address { Signer::Address(address) } else { Signer::Nobody };
                let outcome = match asked {
                    Ok((addressed, recoverable)) => {
                        self.recoverables.push(recoverable);
                        Outcome::Signer(self.recoverables.len() - 1, addressed)
                    }
                    Err(reason) => Outcome::Known(Err(reason)),
                };
                Finding { outcome, scheme: Some(Scheme::Bsm), signer }
            }
            Ok(_) => Finding::refused(Reason::SchemeMismatch),
        }
    }

    fn jwt(&mut self, token: &Bytes) -> Finding {
        let (head, pending) = jwt::read(token, &mut self.heads, &self.rules);
        let (scheme, kid) = head.map_or((None, None), |head| (head.scheme, head.kid));
        let outcome = match pending {
            Err(reason) => Outcome::Known(Err(reason)),
            Ok(pending) => Outcome::SignatureAndClaims(self.ask(pending.job), pending.payload),
        };
        Finding { outcome, scheme, signer: kid.map_or(Signer::Nobody, Signer::Kid) }
    }

    fn bitcoin_auth(&mut self, token: &[u8], path: Option<&str>, body: &[u8], now_ms: u64) -> Finding {
        let (scheme, pubkey) = bitcoin::introduce(token);
        let outcome = if scheme.is_some_and(|scheme| !self.rules.filter.allows(scheme)) {
            Outcome::Known(Err(Reason::SchemeMismatch))
        } else {
            self.outcome(bitcoin::token(token, path, body, &self.rules, now_ms))
        };
        Finding { outcome, scheme, signer: pubkey.map_or(Signer::Nobody, Signer::Pubkey) }
    }

    fn signed(&mut self, signed: line::Signed) -> Finding {
        let hex = signed.pubkey.as_deref().unwrap_or_default();
        // 65 bytes are the longest form of a key.
        let Some(pubkey) = (hex.len() <= 130).then(|| hex::decode(hex).ok()).flatten() else {
            return Finding::refused(Reason::BadPubkey);
        };
        let (scheme, job) = bitcoin::signed(signed, &pubkey, self.rules.filter, &mut self.parsed_keys);
        Finding { outcome: self.outcome(job), scheme, signer: Signer::Pubkey(hex::encode(pubkey)) }
    }

    fn outcome(&mut self, job: Result<Job, Reason>) -> Outcome {
        match job {
            Ok(job) => Outcome::Signature(self.ask(job)),
            Err(reason) => Outcome::Known(Err(reason)),
        }
    }

    fn ask(&mut self, job: Job) -> usize {
        self.jobs.push(job);
        self.jobs.len() - 1
    }
}

fn reason_of(verdict: Verdict) -> Result<(), Reason> {
    match verdict {
        Verdict::Valid => Ok(()),
        Verdict::Invalid(reject) => Err(reject.into()),
        Verdict::Internal => Err(Reason::InternalError),
    }
}

fn write(out: &mut String, number: u64, result: Result<(), Reason>, finding: &Finding) {
    out.push_str(r#"{"line":"#);
    push_number(out, number);
    match result {
        Ok(()) => out.push_str(r#","valid":true"#),
        Err(reason) => {
            out.push_str(r#","valid":false,"reason":""#);
            out.push_str(reason.as_str());
            out.push('"');
        }
    }
    if let Some(scheme) = finding.scheme {
        out.push_str(r#","scheme":""#);
        out.push_str(scheme.as_str());
        out.push('"');
    }
    let (name, value): (_, &str) = match &finding.signer {
        Signer::Address(address) => ("address", address),
        Signer::Kid(kid) => ("kid", kid),
        Signer::Nobody => ("", ""),
        Signer::Pubkey(pubkey) => ("pubkey", pubkey),
    };
    if !name.is_empty() {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        push_string(out, value);
    }
    out.push_str("}\n");
}

fn push_number(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

#[cfg(test)]
mod tests;
