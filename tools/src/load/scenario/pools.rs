//! Scenarios of one prepared request per journey, drawn from weighted pools: introspection in every mixture, userinfo,
//! jwks, client credentials. Every answer is judged; a wrong verdict is an error of its own kind.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::load::journey::{Answer, Journey, Kind, Moment, Next, Request, Scenario};
use crate::load::pace::Share;

/// What an answer must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// 200 and so many `"active":true`.
    Batch { active: usize },
    /// 200 and this text.
    Contains(&'static str),
    /// Any success.
    Success,
    /// 200 and this verdict; the name is the token's class.
    Verdict { active: bool, class: &'static str },
}

impl Check {
    fn judge(self, answer: &Answer<'_>) -> Result<(), Kind> {
        if !(200..300).contains(&answer.status) {
            return Err(answer.unexpected_status());
        }
        match self {
            Check::Success => Ok(()),
            Check::Contains(text) if memmem::find(answer.body, text.as_bytes()).is_some() => Ok(()),
            Check::Contains(text) => Err(Cow::Owned(format!("answer without {text}"))),
            Check::Verdict { active, class } => match verdict(answer.body) {
                Some(verdict) if verdict == active => Ok(()),
                Some(true) => Err(Cow::Owned(format!("WRONG VERDICT: {class} token accepted"))),
                Some(false) => Err(Cow::Owned(format!("WRONG VERDICT: {class} token refused"))),
                None => Err(Cow::Borrowed("answer without a verdict")),
            },
            Check::Batch { active } => {
                let found = memmem::find_iter(answer.body, br#""active":true"#).count();
                if found == active { Ok(()) } else { Err(Cow::Borrowed("WRONG VERDICT: in a batch")) }
            }
        }
    }
}

/// The member `active`: found as servers write it, or by parsing whatever is written otherwise.
fn verdict(body: &[u8]) -> Option<bool> {
    if memmem::find(body, br#""active":true"#).is_some() {
        return Some(true);
    }
    if body == br#"{"active":false}"# {
        return Some(false);
    }
    serde_json::from_slice::<Value>(body).ok()?.get("active")?.as_bool()
}

/// Requests of one class.
pub(crate) struct Pool {
    pub weight: f64,
    pub check: Check,
    pub requests: Arc<Vec<Arc<Request>>>,
}

/// All classes.
pub(crate) struct Pools(pub Vec<Pool>);

impl Pools {
    pub(crate) fn one(check: Check, requests: Vec<Arc<Request>>) -> Pools {
        Pools(vec![Pool { weight: 1.0, check, requests: Arc::new(requests) }])
    }

    pub(crate) fn worker(&self, share: Share) -> Draws {
        let mut random = ChaCha8Rng::seed_from_u64(share.seed ^ 0x706f_6f6c);
        random.set_stream(share.worker as u64);
        let total: f64 = self.0.iter().map(|pool| pool.weight).sum();
        let mut sum = 0.0;
        let classes = self.0.iter().map(|pool| {
            sum += pool.weight / total;
            // Copies, so that workers do not count references on each other's cache lines.
            let requests: Vec<_> = pool.requests.iter().map(|request| Arc::new(Request::clone(request))).collect();
            let next = requests.len() * share.worker / share.workers;
            Class { until: sum, check: pool.check, requests, next }
        });
        Draws { classes: classes.collect(), random }
    }
}

struct Class {
    /// Upper end of its part of 0..1.
    until: f64,
    check: Check,
    requests: Vec<Arc<Request>>,
    next: usize,
}

/// One worker's draws.
pub(crate) struct Draws {
    classes: Vec<Class>,
    random: ChaCha8Rng,
}

impl Scenario for Draws {
    fn begin(&mut self, _: Moment) -> Option<Box<dyn Journey>> {
        let class = match self.classes.len() {
            1 => self.classes.first_mut(),
            _ => {
                let draw = self.random.random::<f64>();
                let last = self.classes.len() - 1;
                let at = self.classes.iter().position(|class| draw < class.until).unwrap_or(last);
                self.classes.get_mut(at)
            }
        }?;
        let request = Arc::clone(class.requests.get(class.next)?);
        class.next = (class.next + 1) % class.requests.len();
        Some(Box::new(One { request, check: class.check }))
    }
}

struct One {
    request: Arc<Request>,
    check: Check,
}

impl Journey for One {
    fn start(&mut self, _: Moment) -> Next {
        Next::Send(Arc::clone(&self.request))
    }

    fn answer(&mut self, answer: &Answer<'_>, _: Moment) -> Next {
        match self.check.judge(answer) {
            Ok(()) => Next::Done,
            Err(kind) => Next::Failed(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::journey::Head;
    use std::collections::BTreeMap;

    fn check(check: Check, status: u16, body: &str, expected: Result<(), &str>) {
        let answer = Answer { status, head: Head::Raw(b""), body: body.as_bytes() };
        assert_eq!(check.judge(&answer), expected.map_err(|kind| Cow::Owned(kind.to_owned())), "{body}");
    }

    #[test]
    fn verdicts_are_judged() {
        let valid = Check::Verdict { active: true, class: "valid" };
        let bad = Check::Verdict { active: false, class: "bad-signature" };
        check(valid, 200, r#"{"active":true,"sub":"x"}"#, Ok(()));
        check(valid, 200, r#"{"sub":"x", "active" : true}"#, Ok(()));
        check(valid, 200, r#"{"active":false}"#, Err("WRONG VERDICT: valid token refused"));
        check(bad, 200, r#"{"active":false}"#, Ok(()));
        check(bad, 200, r#"{"active" :false}"#, Ok(()));
        check(bad, 200, r#"{"active":true}"#, Err("WRONG VERDICT: bad-signature token accepted"));
        check(bad, 200, "<html>", Err("answer without a verdict"));
        check(bad, 500, r#"{"active":false}"#, Err("status 500"));
        check(bad, 429, "", Err("status 429 (rate limited)"));
        check(Check::Batch { active: 2 }, 200, r#"[{"active":true},{"active":true},{"active":false}]"#, Ok(()));
        check(Check::Batch { active: 3 }, 200, r#"[{"active":true}]"#, Err("WRONG VERDICT: in a batch"));
        check(Check::Contains("keys"), 200, "{}", Err("answer without keys"));
        check(Check::Success, 204, "", Ok(()));
    }

    #[test]
    fn draws_keep_the_weights_and_the_seed() {
        let pool = |step: usize, weight: f64| Pool {
            weight,
            check: Check::Success,
            requests: Arc::new(vec![Request::new(step, "GET", "/").to("h")]),
        };
        let pools = Pools(vec![pool(0, 90.0), pool(1, 4.0), pool(2, 6.0)]);
        let draw = |seed| {
            let mut worker = pools.worker(Share { worker: 0, workers: 1, seed });
            (0..10_000)
                .map(|_| match worker.begin(Moment::default()).unwrap().start(Moment::default()) {
                    Next::Send(request) => request.step,
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        let mut counts = BTreeMap::<usize, u32>::new();
        for step in draw(1) {
            *counts.entry(step).or_default() += 1;
        }
        assert!((8_850..9_150).contains(&counts[&0]) && (330..470).contains(&counts[&1]), "{counts:?}");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
