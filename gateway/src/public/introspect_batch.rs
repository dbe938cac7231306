//! `POST /introspect/batch`: up to a thousand tokens, one engine batch, one snapshot of the revocation state.

use std::fmt;

use assay_engine::{Job, Verdict};
use assay_oauth::bitcoin_token::{self, Checked};
use assay_oauth::facts::{ClientFacts, UserFacts};
use assay_oauth::flow::introspect::{self, INACTIVE, INACTIVE_UNAVAILABLE, Request, push_batch_item};
use assay_oauth::form::Form;
use assay_oauth::proof::KeyProven;
use bytes::Bytes;
use http::StatusCode;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;

use super::access_token::{self, CachedToken, Look, Pending};
use super::introspect::{bitcoin_expect, caller, use_once};
use super::{bitcoin, person};
use crate::admission::Class;
use crate::http::dispatch::Call;
use crate::http::error::Failure;
use crate::http::response::{self, Answer};
use crate::lane;
use crate::limits::BATCH_ITEMS_MAX;

/// What is known of one item on its way through.
enum Progress<'t> {
    /// Only the engine can tell: a token of ours.
    AskedToken(Box<Pending<'t>>),
    /// Only the engine can tell: a signed request.
    AskedBitcoin(Box<Checked>, bool),
    /// A Bitcoin-auth token that verified, and who signs with its key.
    Bitcoin(KeyProven, Option<UserFacts>),
    /// The bytes prove nothing.
    Bad,
    /// Verified claims; whether they are active is judged last, for all items at once.
    Known(CachedToken),
    /// The engine broke on this item: closed, and said so.
    Unavailable,
}

/// Answers every item, in order.
pub async fn post_batch(call: Call) -> Result<Answer, Failure> {
    // A JSON body carries no credentials: they come by header, and a key-holding client names itself in the query.
    let query = call.head.uri.query().unwrap_or_default().to_owned();
    let caller = caller(&call, &Form::parse(query.as_bytes())?).await?;
    let caller = &caller.facts;
    let body = call.body.clone();
    let items = parse(&body)?;
    let units = u32::try_from(items.len()).unwrap_or(u32::MAX);
    call.charge_subject(Class::Introspect, "client:", &caller.client_id, units)?;

    let mut jobs = Vec::new();
    let mut progress: Vec<Progress<'_>> = items.iter().map(|item| begin(&call, caller, item, &mut jobs)).collect();
    if !jobs.is_empty() {
        let verdicts =
            lane::verify_all(&call.core, jobs).await.map_err(|_| Failure::Unavailable { what: "engine_full" })?;
        let mut verdicts = verdicts.into_iter();
        for step in &mut progress {
            let asked = std::mem::replace(step, Progress::Bad);
            *step = conclude(&call, caller, asked, &mut verdicts).await?;
        }
        load_users(&call, &mut progress).await?;
    }
    Ok(response::json(StatusCode::OK, render(&call, caller, &items, &progress)))
}

fn begin<'t>(call: &Call, caller: &ClientFacts, item: &'t Item<'_>, jobs: &mut Vec<Job>) -> Progress<'t> {
    let Some(token) = item.token.as_deref().filter(|_| !item.malformed) else { return Progress::Bad };
    let (hint, path, body) = (item.hint.as_deref(), item.request_path.as_deref(), item.body_sha256.as_deref());
    match Request::new(token, hint, path, body, item.single_use) {
        Err(_) => Progress::Bad,
        Ok(Request::Token(token)) => match access_token::look(&call.core, token.as_bytes(), call.now()) {
            Look::Known(known) => Progress::Known(known),
            Look::Foreign => Progress::Bad,
            Look::Ask(pending, job) => {
                jobs.push(job);
                Progress::AskedToken(pending)
            }
        },
        Ok(Request::Bitcoin(request)) => {
            if !introspect::may_judge_bitcoin(caller) {
                return Progress::Bad;
            }
            let expect = bitcoin_expect(call, &request, std::slice::from_ref(&request.request_path));
            match bitcoin_token::check(request.token.as_bytes(), &expect) {
                Err(_) => Progress::Bad,
                Ok(checked) => {
                    jobs.push(bitcoin::job(&checked, checked.message()));
                    Progress::AskedBitcoin(Box::new(checked), request.single_use)
                }
            }
        }
    }
}

async fn conclude<'t>(
    call: &Call,
    caller: &ClientFacts,
    asked: Progress<'t>,
    verdicts: &mut impl Iterator<Item = Verdict>,
) -> Result<Progress<'t>, Failure> {
    match asked {
        Progress::AskedToken(pending) => Ok(match verdicts.next() {
            None => Progress::Unavailable,
            Some(verdict) => match access_token::conclude(&call.core, *pending, verdict) {
                Ok(Some(known)) => Progress::Known(known),
                Ok(None) => Progress::Bad,
                Err(_) => Progress::Unavailable,
            },
        }),
        Progress::AskedBitcoin(checked, single_use) => match verdicts.next() {
            None | Some(Verdict::Internal) => Ok(Progress::Unavailable),
            Some(verdict) => {
                let Ok((key, replay)) = checked.conclude(verdict.is_valid()) else { return Ok(Progress::Bad) };
                if single_use && !use_once(call, caller, &replay).await? {
                    return Ok(Progress::Bad);
                }
                Ok(Progress::Bitcoin(key, None))
            }
        },
        known => Ok(known),
    }
}

/// One read for all signers of the batch.
async fn load_users(call: &Call, progress: &mut [Progress<'_>]) -> Result<(), Failure> {
    let keys: Vec<[u8; 33]> = progress
        .iter()
        .filter_map(|step| match step {
            Progress::Bitcoin(key, _) => Some(*key.pubkey()),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let shared = &call.core.shared;
    let tenant = shared.tenant;
    let users = shared
        .store
        .read(call.now(), move |reader| {
            keys.iter().map(|key| person::user_by_pubkey(reader, tenant, key)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let mut users = users.into_iter();
    for step in progress {
        if let Progress::Bitcoin(_, user) = step {
            *user = users.next().flatten();
        }
    }
    Ok(())
}

/// Judges every item against one snapshot, taken after the request was received, and writes the answer.
fn render(call: &Call, caller: &ClientFacts, items: &[Item<'_>], progress: &[Progress<'_>]) -> Bytes {
    let shared = &call.core.shared;
    let snapshot = shared.directory.snapshot(shared.tenant, call.now());
    let mut out = Vec::with_capacity(64 + items.len() * 512);
    out.extend_from_slice(b"{\"results\":[");
    for (index, (item, step)) in items.iter().zip(progress).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let bitcoin;
        let answer: &[u8] = match step {
            Progress::Known(known)
                if introspect::judge(&known.claims, &known.kid, &shared.tenant_facts, &*snapshot, call.now())
                    .is_ok()
                    && introspect::may_see(caller, &known.claims) =>
            {
                &known.active_answer
            }
            Progress::Bitcoin(key, user) => {
                bitcoin = introspect::render_bitcoin(key, user.as_ref());
                &bitcoin
            }
            Progress::Unavailable => INACTIVE_UNAVAILABLE,
            _ => INACTIVE,
        };
        push_batch_item(&mut out, answer, item.id.as_deref());
    }
    drop(snapshot);
    out.extend_from_slice(b"],\"evaluated_at\":");
    out.extend_from_slice(itoa::Buffer::new().format(call.now()).as_bytes());
    out.push(b'}');
    out.into()
}

/// One item of the request. What is not an object, or has a member of the wrong type, is `malformed`: that item is
/// inactive and its neighbours are not harmed.
#[derive(Default)]
struct Item<'a> {
    malformed: bool,
    token: Option<Cow<'a, str>>,
    hint: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    request_path: Option<Cow<'a, str>>,
    body_sha256: Option<Cow<'a, str>>,
    single_use: bool,
}

fn parse(body: &[u8]) -> Result<Vec<Item<'_>>, Failure> {
    let parsed: Result<Batch<'_>, _> = serde_json::from_slice(body);
    let Ok(Batch { tokens }) = parsed else {
        return Err(Failure::invalid_request("the body must be {tokens: [{token: ...}, ...]}"));
    };
    match tokens.len() {
        0 => Err(Failure::invalid_request("tokens must hold at least one item")),
        count if count > BATCH_ITEMS_MAX => Err(Failure::TooManyItems { items_max: BATCH_ITEMS_MAX }),
        _ => Ok(tokens),
    }
}

struct Batch<'a> {
    tokens: Vec<Item<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;
        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an array `tokens`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch<'de>, A::Error> {
                let mut tokens = None;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name == "tokens" {
                        if tokens.is_some() {
                            return Err(de::Error::duplicate_field("tokens"));
                        }
                        tokens = Some(map.next_value::<Items<'de>>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Batch { tokens: tokens.ok_or_else(|| de::Error::missing_field("tokens"))? })
            }
        }
        deserializer.deserialize_map(BatchVisitor)
    }
}

struct Items<'a>(Vec<Item<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;
        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                // Items beyond the bound are counted, not kept: the answer is 413 either way.
                while let Some(item) = seq.next_element::<Item<'de>>()? {
                    if items.len() <= BATCH_ITEMS_MAX {
                        items.push(item);
                    }
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

/// Any JSON value read as text, or noted as something else.
struct Text<'a>(Option<Cow<'a, str>>);

/// Any JSON value read as a boolean, or noted as something else.
struct Flag(Option<bool>);

macro_rules! other_values {
    ($lifetime:lifetime, $other:expr) => {
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_seq<A: SeqAccess<$lifetime>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

macro_rules! any_value {
    ($lifetime:lifetime, $other:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        other_values!($lifetime, $other);
        fn visit_map<A: MapAccess<$lifetime>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            any_value!('de, Text(None));
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;
            any_value!('de, Flag(None));
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(Some(value)))
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Flag, E> {
                Ok(Flag(None))
            }
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            other_values!('de, Item { malformed: true, ..Item::default() });
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Item<'de>, E> {
                Ok(Item { malformed: true, ..Item::default() })
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Item<'de>, E> {
                Ok(Item { malformed: true, ..Item::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                let mut item = Item::default();
                let mut seen = 0_u8;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let (bit, field) = match &*name {
                        "token" => (1, &mut item.token),
                        "token_type_hint" => (2, &mut item.hint),
                        "id" => (4, &mut item.id),
                        "request_path" => (8, &mut item.request_path),
                        "body_sha256" => (16, &mut item.body_sha256),
                        "single_use" => {
                            let flag = map.next_value::<Flag>()?.0;
                            item.malformed |= seen & 32 != 0 || flag.is_none();
                            item.single_use = flag.unwrap_or_default();
                            seen |= 32;
                            continue;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = map.next_value::<Text<'de>>()?.0;
                    item.malformed |= seen & bit != 0 || field.is_none();
                    seen |= bit;
                }
                Ok(item)
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&[(Option<&str>, bool)], u16>) {
        let parsed = parse(body.as_bytes()).map_err(|failure| failure.into_answer().status().as_u16());
        let parsed = parsed.map(|items| {
            items.iter().map(|item| (item.token.as_deref().map(str::to_owned), item.malformed)).collect::<Vec<_>>()
        });
        let expected = expected.map(|items| {
            items.iter().map(|(token, malformed)| (token.map(str::to_owned), *malformed)).collect::<Vec<_>>()
        });
        assert_eq!(parsed, expected, "{body}");
    }

    #[test]
    fn attack_35_and_36_shapes() {
        check(r#"{"tokens":[{"token":"a"}]}"#, Ok(&[(Some("a"), false)]));
        check(r#"{"x":[1,{"y":2}],"tokens":[{"token":"a","id":"1","extra":{"b":[]}}]}"#, Ok(&[(Some("a"), false)]));
        check(r#"{"tokens":[{"token":"\u0061"}]}"#, Ok(&[(Some("a"), false)]));
        check(
            r#"{"tokens":[1,null,"x",true,[],1.5,-1,{},{"token":1},{"token":"a","token":"b"}]}"#,
            Ok(&[
                (None, true),
                (None, true),
                (None, true),
                (None, true),
                (None, true),
                (None, true),
                (None, true),
                (None, false),
                (None, true),
                (Some("b"), true),
            ]),
        );
        for bad in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"tokens":{}}"#,
            r#"{"tokens":"a"}"#,
            r#"{"tokens":[]}"#,
            r#"{"tokens":[{"token":"a"}"#,
        ] {
            check(bad, Err(400));
        }
        check(r#"{"tokens":[{"token":"a"}],"tokens":[]}"#, Err(400));
        let thousand = format!(r#"{{"tokens":[{}]}}"#, vec!["{}"; 1000].join(","));
        assert_eq!(parse(thousand.as_bytes()).map_err(|_| ()).unwrap().len(), 1000);
        let more = format!(r#"{{"tokens":[{}]}}"#, vec!["{}"; 1001].join(","));
        check(&more, Err(413));
    }
}
