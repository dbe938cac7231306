//! Somebody else's login flow, written down: steps in TOML with values extracted from answers (docs/load-script.md).

pub(crate) mod run;
pub(crate) mod template;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::options::Target;
use crate::failure::Failure;
use crate::limits::SCRIPT_STEPS_MAX;
use template::{Json, Template};

/// A script that holds together: every variable is known before it is used.
#[derive(Debug)]
pub(crate) struct Script {
    pub name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) variables: Vec<(String, Template)>,
    pub(crate) authority: String,
    pub(crate) origin: String,
    pub(crate) seed: u64,
}

/// One request and what is expected of its answer.
#[derive(Debug)]
pub(crate) struct Step {
    pub name: String,
    pub method: String,
    /// A path, or a URL of the target.
    pub url: Template,
    pub headers: Vec<(String, Template)>,
    pub query: Vec<(Template, Template)>,
    pub body: Body,
    pub extract: Vec<(String, From)>,
    pub statuses: Vec<u16>,
    /// JSON pointers and what must be there.
    pub expected: Vec<(String, Json)>,
}

/// What a step sends.
#[derive(Debug)]
pub(crate) enum Body {
    Form(Vec<(Template, Template)>),
    Json(Json),
    None,
    Text(Template),
}

/// Where a variable's value stands in an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum From {
    Header(String),
    Json(String),
    /// A parameter of the query (or fragment) of `Location`.
    Redirect(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(rename = "step")]
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    name: String,
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    form: Option<BTreeMap<String, String>>,
    json: Option<serde_json::Value>,
    body: Option<String>,
    /// User and password of HTTP Basic.
    basic: Option<[String; 2]>,
    #[serde(default)]
    extract: BTreeMap<String, WrittenFrom>,
    #[serde(default)]
    expect: WrittenExpect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum WrittenFrom {
    Header(String),
    Json(String),
    Redirect(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpect {
    status: Option<Statuses>,
    #[serde(default)]
    json: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    Many(Vec<u16>),
    One(u16),
}

impl Script {
    /// Reads and checks a file.
    pub(crate) fn read(file: &Path, target: &Target, seed: u64) -> Result<Script, Failure> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("cannot read the script {shown}: {error}; correct FILE")))?;
        let environment = |name: &str| std::env::var(name).ok();
        Self::parse(&text, target, seed, &environment)
            .map_err(|why| Failure::Usage(format!("script {shown}: {why}; docs/load-script.md says how it is written")))
    }

    fn parse(
        text: &str,
        target: &Target,
        seed: u64,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Script, String> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{line}{}", error.message())
        })?;
        if written.steps.is_empty() || written.steps.len() > SCRIPT_STEPS_MAX {
            return Err(format!("it has {} steps; 1 to {SCRIPT_STEPS_MAX} are possible", written.steps.len()));
        }
        let mut known: Vec<String> = template::BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
        let mut variables = Vec::new();
        for (name, value) in written.variables {
            let value =
                Template::parse(&value, &known, environment).map_err(|why| format!("variable {name:?}: {why}"))?;
            known.push(name.clone());
            variables.push((name, value));
        }
        let mut steps = Vec::new();
        for (index, step) in written.steps.into_iter().enumerate() {
            let place = format!("step {} ({})", index + 1, step.name);
            let step = read_step(step, &mut known, environment).map_err(|why| format!("{place}: {why}"))?;
            steps.push(step);
        }
        Ok(Script {
            name: written.name.unwrap_or_else(|| "script".to_owned()),
            steps,
            variables,
            authority: target.authority.clone(),
            origin: target.origin(),
            seed,
        })
    }

    /// As reports name them.
    pub(crate) fn step_names(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.name.clone()).collect()
    }
}

fn read_step(
    step: WrittenStep,
    known: &mut Vec<String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Step, String> {
    let one = |text: &str| Template::parse(text, known, environment);
    let pairs = |map: &BTreeMap<String, String>| {
        map.iter().map(|(name, value)| Ok((one(name)?, one(value)?))).collect::<Result<Vec<_>, String>>()
    };
    let bodies = [step.form.is_some(), step.json.is_some(), step.body.is_some()].iter().filter(|has| **has).count();
    if bodies > 1 {
        return Err("form, json and body exclude each other".to_owned());
    }
    let body = match (&step.form, &step.json, &step.body) {
        (Some(form), _, _) => Body::Form(pairs(form)?),
        (_, Some(json), _) => Body::Json(Json::parse(json.clone(), &one)?),
        (_, _, Some(body)) => Body::Text(one(body)?),
        _ => Body::None,
    };
    let method = step.method.unwrap_or_else(|| if bodies == 0 { "GET" } else { "POST" }.to_owned());
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("method {method:?} is none; write such as \"GET\" or \"POST\""));
    }
    let mut headers = Vec::new();
    for (name, value) in &step.headers {
        let is_token =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let is_ours = ["host", "content-length", "transfer-encoding", "connection"]
            .iter()
            .any(|ours| name.eq_ignore_ascii_case(ours));
        if !is_token || is_ours {
            return Err(format!("header {name:?} cannot be set"));
        }
        headers.push((name.clone(), one(value)?));
    }
    if let Some([user, password]) = &step.basic {
        headers.push(("authorization".to_owned(), Template::basic(one(user)?, one(password)?)));
    }
    let statuses = match step.expect.status {
        Some(Statuses::One(status)) => vec![status],
        Some(Statuses::Many(statuses)) => statuses,
        None => Vec::new(),
    };
    let mut expected = Vec::new();
    for (pointer, value) in step.expect.json {
        check_pointer(&pointer)?;
        expected.push((pointer, Json::parse(value, &one)?));
    }
    let (url, query) = (one(&step.url)?, pairs(&step.query)?);
    let mut extract = Vec::new();
    for (name, from) in step.extract {
        let from = match from {
            WrittenFrom::Header(header) => From::Header(header),
            WrittenFrom::Json(pointer) => {
                check_pointer(&pointer)?;
                From::Json(pointer)
            }
            WrittenFrom::Redirect(parameter) => From::Redirect(parameter),
        };
        known.push(name.clone());
        extract.push((name, from));
    }
    Ok(Step { name: step.name, method, url, headers, query, body, extract, statuses, expected })
}

fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(())
    } else {
        Err(format!("{pointer:?} is no JSON pointer; it begins with /, such as \"/access_token\""))
    }
}

#[cfg(test)]
#[path = "script/tests.rs"]
mod tests;
