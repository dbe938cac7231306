//! Scripts read, refused, and walked without a server.

use super::*;
use crate::load::journey::{Answer, Head, Moment, Next, Scenario};
use crate::load::pace::Share;
use std::sync::Arc;

fn target() -> Target {
    Target { is_tls: false, host: "h".to_owned(), authority: "h:1".to_owned(), address: "127.0.0.1:1".parse().unwrap() }
}

fn parse(text: &str) -> Result<Script, String> {
    Script::parse(text, &target(), 1, &|name| (name == "SECRET").then(|| "s3cret".to_owned()))
}

const FLOW: &str = r##"
name = "flow"
[variables]
user = "user-${counter}"

[[step]]
name = "start"
url = "/login?x=1"
query = { user = "${user}", challenge = "${pkce_challenge}" }
extract = { code = { redirect = "code" }, where = { header = "Location" } }
expect = { status = [302, 303] }

[[step]]
name = "token"
url = "http://h:1/token#x"
basic = ["app", "${env:SECRET}"]
form = { code = "${code}", literal = "$${code}" }
extract = { token = { json = "/access_token" }, life = { json = "/expires_in" } }

[[step]]
name = "ask"
url = "/ask"
json = { token = "${token}", list = ["${life}", 1, true] }
expect = { status = 200, json = { "/active" = true, "/user" = "${user}" } }
"##;

#[test]
fn a_flow_is_walked() {
    let script = Arc::new(parse(FLOW).unwrap());
    assert_eq!(script.step_names(), ["start", "token", "ask"]);
    let mut runs = run::Runs::new(Arc::clone(&script), Share { worker: 1, workers: 2, seed: 1 });
    let at = Moment::default();
    let mut walk = runs.begin(at).unwrap();
    let Next::Send(request) = walk.start(at) else { panic!() };
    assert!(request.target.starts_with("/login?x=1&challenge="), "{}", request.target);
    assert!(request.target.ends_with("&user=user-1"), "{}", request.target);

    let head = "HTTP/1.1 303 x\r\nLocation: https://app/cb?code=a%20b\r\nSet-Cookie: s=1; Path=/\r\nSet-Cookie: gone=; x\r\n\r\n";
    let answer = |head: &'static str, status, body: &'static str| Answer {
        status,
        head: Head::Raw(head.as_bytes()),
        body: body.as_bytes(),
    };
    let Next::Send(request) = walk.answer(&answer(head, 303, ""), at) else { panic!() };
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/token"));
    assert_eq!(request.body, b"code=a%20b&literal=%24%7Bcode%7D");
    assert!(request.headers.contains(&("cookie".to_owned(), "s=1".to_owned())));
    assert!(request.headers.iter().any(|(name, value)| name == "authorization" && value == "Basic YXBwOnMzY3JldA=="));

    let Next::Send(request) = walk.answer(&answer("", 200, r#"{"access_token":"t\"","expires_in":60}"#), at) else {
        panic!()
    };
    assert_eq!(request.body, br#"{"list":["60",1,true],"token":"t\""}"#);
    assert!(matches!(walk.answer(&answer("", 200, r#"{"active":true,"user":"user-1"}"#), at), Next::Done));
    // The next journey of this worker has the next number but one.
    let Next::Send(request) = runs.begin(at).unwrap().start(at) else { panic!() };
    assert!(request.target.ends_with("user=user-3"));
}

#[test]
fn what_goes_wrong_names_its_step() {
    let script = Arc::new(parse(FLOW).unwrap());
    let at = Moment::default();
    for (head, status, kind) in [
        ("", 200, "start: status 200"),
        ("", 429, "start: status 429 (rate limited)"),
        ("location: /cb?code=1", 302, ""),
        ("x: y", 302, "start: no code in the answer"),
    ] {
        let mut runs = run::Runs::new(Arc::clone(&script), Share { worker: 0, workers: 1, seed: 1 });
        let mut walk = runs.begin(at).unwrap();
        let _sent = walk.start(at);
        match walk.answer(&Answer { status, head: Head::Raw(head.as_bytes()), body: b"" }, at) {
            Next::Failed(got) => assert_eq!(got, kind),
            Next::Send(_) => assert_eq!(kind, ""),
            Next::Done => panic!("{kind}"),
        }
    }
}

#[test]
fn values_cannot_begin_headers_or_leave_the_target() {
    let text = "[[step]]\nname='a'\nurl='/'\nextract={v={json='/v'}}\n[[step]]\nname='b'\n";
    let at = Moment::default();
    for (second, body, kind) in [
        ("url='/x'\nheaders={x='${v}'}", "{\"v\":\"a\\r\\nb: c\"}", "b: a value has characters that cannot be sent"),
        ("url='${v}'", "{\"v\":\"http://other/x\"}", "b: url leads to another server than --target"),
        ("url='${v}'", "{\"v\":\"http://h:1.evil/x\"}", "b: url leads to another server than --target"),
        ("url='/${v}'", "{\"v\":\"a b\"}", "b: a value has characters that cannot be sent"),
    ] {
        let script = Arc::new(parse(&format!("{text}{second}")).unwrap());
        let mut walk = run::Runs::new(script, Share { worker: 0, workers: 1, seed: 1 }).begin(at).unwrap();
        let _sent = walk.start(at);
        let answer = Answer { status: 200, head: Head::Raw(b""), body: body.as_bytes() };
        assert!(matches!(walk.answer(&answer, at), Next::Failed(got) if got == kind), "{second}");
    }
}

#[test]
fn errors_name_the_line_or_the_step() {
    for (text, words) in [
        ("[[step]\n", "line 1"),
        ("name = \"x\"\n[[step]]\nname = \"a\"\nurll = \"/\"\n", "line 4: unknown field `urll`"),
        ("step = []", "it has 0 steps"),
        ("[[step]]\nname='a'\nurl='/${x}'", "step 1 (a): ${x} is not known here"),
        ("[[step]]\nname='a'\nurl='/${x'", "step 1 (a): \"/${x\" has ${ without }"),
        ("[[step]]\nname='a'\nurl='/${env:NONE}'", "step 1 (a): the environment has no NONE"),
        ("[[step]]\nname='a'\nurl='/'\nbody='x'\nform={}", "step 1 (a): form, json and body exclude each other"),
        ("[[step]]\nname='a'\nurl='/'\nmethod='get'", "step 1 (a): method \"get\" is none"),
        ("[[step]]\nname='a'\nurl='/'\nheaders={Host='x'}", "step 1 (a): header \"Host\" cannot be set"),
        ("[[step]]\nname='a'\nurl='/'\nextract={v={json='v'}}", "step 1 (a): \"v\" is no JSON pointer"),
        ("variables={a='${b}'}\n[[step]]\nname='a'\nurl='/'", "variable \"a\": ${b} is not known here"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(words), "{text:?}: {error}");
        assert!(!error.contains("s3cret"));
    }
}
