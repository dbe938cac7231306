//! Text with `${variables}`: checked when the script is read, filled in for each journey.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::load::journey::basic;

/// Variables that every journey has.
pub(crate) const BUILT_IN: [&str; 6] = ["counter", "worker", "seed", "random", "pkce_verifier", "pkce_challenge"];

/// Text with holes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Template {
    /// HTTP Basic credentials of two texts.
    Basic(Box<Template>, Box<Template>),
    Parts(Vec<Part>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Variable(String),
}

/// A journey's values.
pub(crate) type Values = BTreeMap<String, String>;

impl Template {
    /// Finds the holes; `${env:NAME}` is filled in at once, `$${` is a literal `${`.
    pub(crate) fn parse(
        text: &str,
        known: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                push(&mut parts, before);
                push(&mut parts, "${");
                rest = &rest[at + 2..];
                continue;
            }
            push(&mut parts, &rest[..at]);
            let (name, after) = rest[at + 2..].split_once('}').ok_or_else(|| format!("{text:?} has ${{ without }}"))?;
            rest = after;
            match name.strip_prefix("env:") {
                Some(variable) => {
                    let value = environment(variable);
                    push(&mut parts, &value.ok_or_else(|| format!("the environment has no {variable}; set it"))?);
                }
                None if known.iter().any(|known| known == name) => parts.push(Part::Variable(name.to_owned())),
                None => return Err(format!("${{{name}}} is not known here; extract it in an earlier step")),
            }
        }
        push(&mut parts, rest);
        Ok(Template::Parts(parts))
    }

    /// HTTP Basic credentials.
    pub(crate) fn basic(user: Template, password: Template) -> Template {
        Template::Basic(Box::new(user), Box::new(password))
    }

    /// The text with a journey's values.
    pub(crate) fn fill(&self, values: &Values) -> String {
        match self {
            Template::Basic(user, password) => basic(&user.fill(values), &password.fill(values)),
            Template::Parts(parts) => {
                let value = |part: &Part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Variable(name) => values.get(name).cloned().unwrap_or_default(),
                };
                parts.iter().map(value).collect()
            }
        }
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// A JSON value whose texts are templates.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Array(Vec<Json>),
    Fixed(Value),
    Object(Vec<(String, Json)>),
    Text(Template),
}

impl Json {
    /// Reads every text within.
    pub(crate) fn parse(value: Value, one: &dyn Fn(&str) -> Result<Template, String>) -> Result<Json, String> {
        Ok(match value {
            Value::String(text) => Json::Text(one(&text)?),
            Value::Array(items) => {
                Json::Array(items.into_iter().map(|item| Json::parse(item, one)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| Ok((name, Json::parse(value, one)?)));
                Json::Object(members.collect::<Result<_, String>>()?)
            }
            other => Json::Fixed(other),
        })
    }

    /// The value with a journey's values.
    pub(crate) fn fill(&self, values: &Values) -> Value {
        match self {
            Json::Array(items) => items.iter().map(|item| item.fill(values)).collect(),
            Json::Fixed(value) => value.clone(),
            Json::Object(members) => members.iter().map(|(name, value)| (name.clone(), value.fill(values))).collect(),
            Json::Text(text) => Value::String(text.fill(values)),
        }
    }
}
