//! What a rate decision says on the wire: header names and values, formatted on the stack.
//!
//! Two generations are sent together: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, structured
//! fields) and the `X-RateLimit-*` set that Sigma's clients read. On a refusal `Retry-After` is the authority, in
//! delta-seconds, with the `X-` twins existing clients look for. Names are lower case, ready for `HeaderName::from_static`.

use super::delays::RetryAfter;
use super::limiter::Quota;
use super::{Decision, QuotaState};
use crate::limits::RATE_HEADER_BYTES_MAX;

/// `RateLimit-Policy` of a class: formatted once, at start.
pub(super) fn policy(name: &str, quota: Quota) -> Box<str> {
    format!("\"{name}\";q={};w={}", quota.units, quota.window_s).into_boxed_str()
}

/// Emits what a decision has to say; nothing for an unlimited class.
pub(super) fn each(decision: &Decision, policy: &str, mut emit: impl FnMut(&'static str, &str)) {
    let Some(QuotaState { quota, remaining, reset_after_s, reset_at }) = decision.quota else { return };
    let mut text = Text::new();
    emit("ratelimit-policy", policy);
    text.push_str("\"").push_str(decision.class.row().name).push_str("\";r=").push_u64(remaining.into());
    emit("ratelimit", text.push_str(";t=").push_u64(reset_after_s).as_str());
    emit("x-ratelimit-limit", Text::new().push_u64(quota.units.into()).as_str());
    emit("x-ratelimit-remaining", Text::new().push_u64(remaining.into()).as_str());
    emit("x-ratelimit-reset", Text::new().push_u64(reset_at).as_str());
    if !decision.admitted {
        each_retry_after(reset_after_s, emit);
    }
}

impl RetryAfter {
    /// Emits `Retry-After` and its twins for a delayed attempt.
    pub fn each_header(&self, emit: impl FnMut(&'static str, &str)) {
        each_retry_after(self.seconds, emit);
    }
}

fn each_retry_after(seconds: u64, mut emit: impl FnMut(&'static str, &str)) {
    let mut text = Text::new();
    let seconds = text.push_u64(seconds.max(1)).as_str();
    for name in ["retry-after", "x-retry-after", "x-ratelimit-retry-after"] {
        emit(name, seconds);
    }
}

/// A short ASCII string on the stack. Beyond its size it stops growing, and the tests below show that it never gets there.
struct Text {
    bytes: [u8; RATE_HEADER_BYTES_MAX],
    len: usize,
}

impl Text {
    fn new() -> Text {
        Text { bytes: [0; RATE_HEADER_BYTES_MAX], len: 0 }
    }

    fn push_str(&mut self, text: &str) -> &mut Text {
        for &byte in text.as_bytes() {
            if let Some(free) = self.bytes.get_mut(self.len) {
                *free = byte;
                self.len += 1;
            }
        }
        self
    }

    fn push_u64(&mut self, mut value: u64) -> &mut Text {
        let mut digits = [0_u8; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.push_str(std::str::from_utf8(&digits[start..]).expect("decimal digits are ASCII"))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only whole ASCII strings are pushed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CLASSES, Class};
    use super::*;

    fn lines(decision: &Decision, policy: &str) -> Vec<String> {
        let mut all = Vec::new();
        each(decision, policy, |name, value| all.push(format!("{name}: {value}")));
        all
    }

    #[test]
    fn an_admitted_request_says_what_is_left() {
        let quota = Quota { units: 10, window_s: 60 };
        let state = QuotaState { quota, remaining: 7, reset_after_s: 42, reset_at: 1_700_000_042 };
        let decision = Decision { class: Class::OAuth, admitted: true, quota: Some(state) };
        assert_eq!(
            lines(&decision, &policy("oauth", quota)),
            [
                r#"ratelimit-policy: "oauth";q=10;w=60"#,
                r#"ratelimit: "oauth";r=7;t=42"#,
                "x-ratelimit-limit: 10",
                "x-ratelimit-remaining: 7",
                "x-ratelimit-reset: 1700000042",
            ]
        );
    }

    #[test]
    fn the_longest_value_fits() {
        for row in &CLASSES {
            let quota = Quota { units: u32::MAX, window_s: u32::MAX };
            let state = QuotaState { quota, remaining: u32::MAX, reset_after_s: u64::MAX, reset_at: u64::MAX };
            let decision = Decision { class: row.class, admitted: false, quota: Some(state) };
            let lines = lines(&decision, "");
            assert_eq!(lines[1], format!("ratelimit: \"{}\";r={};t={}", row.name, u32::MAX, u64::MAX));
            assert_eq!(lines[5], format!("retry-after: {}", u64::MAX));
            assert_eq!(lines.len(), 8);
        }
    }

    #[test]
    fn a_delay_says_only_when_to_come_back() {
        let mut all = Vec::new();
        RetryAfter { seconds: 900 }.each_header(|name, value| all.push(format!("{name}: {value}")));
        assert_eq!(all, ["retry-after: 900", "x-retry-after: 900", "x-ratelimit-retry-after: 900"]);
    }
}
