//! Speaks to the admin listener of a running server. Owns the bearer token and turns every way in which a call can
//! fail into one line; knows no resource.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::failure::Failure;
use crate::limits::{ANSWER_BYTES_MAX, TIMEOUT_S, TOKEN_BYTES_MAX};

/// Everything the command line does is done to the one tenant there is.
const BASE: &str = "/v1/tenants/default";

/// How a resource is called.
#[derive(Clone, Copy)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

/// A server's admin interface.
pub struct AdminClient {
    agent: Agent,
    /// Origin of the admin listener, no slash at its end.
    origin: String,
    bearer: String,
    /// For messages: where the token was found.
    token_path: String,
}

impl AdminClient {
    /// Reads the token that the server left in its data directory. Nothing is sent yet. `origin` is that of the admin
    /// listener, without a slash at its end.
    ///
    /// # Errors
    /// If the directory holds no admin token.
    pub fn connect(origin: &str, data: &Path) -> Result<Self, Failure> {
        let path = data.join("admin.token");
        let token = read_token(&path)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(TIMEOUT_S)))
            // The token goes to the address the operator named and nowhere else: no proxy, no redirect.
            .proxy(None)
            .max_redirects(0)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            origin: origin.to_owned(),
            bearer: format!("Bearer {token}"),
            token_path: path.display().to_string(),
        })
    }

    /// Calls `path` below the tenant and returns the JSON of a success; `{}` for a success without a body.
    ///
    /// # Errors
    /// If nobody answers, or the answer is a refusal: its own words.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}{BASE}{path}", self.origin);
        let sent = match (method, body) {
            (Method::Get, _) => self.agent.get(&url).header("authorization", &self.bearer).call(),
            (Method::Post, None) => self.agent.post(&url).header("authorization", &self.bearer).send_empty(),
            (Method::Post, Some(body)) => self.agent.post(&url).header("authorization", &self.bearer).send_json(body),
        };
        let response = sent.map_err(|error| self.unreachable(&error))?;
        self.answer(response)
    }

    /// Every row of the list at `path`, page after page.
    ///
    /// # Errors
    /// As [`AdminClient::call`].
    pub fn list(&self, path: &str) -> Result<Value, Failure> {
        let mut rows = Vec::new();
        let mut page = self.call(Method::Get, path, None)?;
        loop {
            let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) else {
                return Err(Failure::Failed(format!(
                    "{} answered without a list; use the assay of the server's own version",
                    self.origin
                )));
            };
            // A page without rows ends the list whatever it says, so that no server can hold us here.
            let is_empty = items.is_empty();
            rows.append(items);
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(after) if !is_empty => {
                    let path = format!("{path}?after={}", segment("cursor", after)?);
                    page = self.call(Method::Get, &path, None)?;
                }
                _ => return Ok(Value::Array(rows)),
            }
        }
    }

    fn answer(&self, mut response: Response<ureq::Body>) -> Result<Value, Failure> {
        let status = response.status();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(|error| {
            Failure::Unreachable(format!("the answer of {} broke off: {error}; try again", self.origin))
        })?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(Failure::Failed(format!(
                "{} refuses the token in {}; give --data the directory of the server that --admin names",
                self.origin, self.token_path
            )));
        }
        if !status.is_success() {
            return Err(Failure::Failed(problem(&self.origin, status.as_u16(), &text)));
        }
        if text.trim().is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_str(&text).map_err(|_| {
            Failure::Failed(format!(
                "{} answered {status} but not with JSON; is it assay's admin listener?",
                self.origin
            ))
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::Unreachable(format!(
            "no assay server answers at {} ({error}); start `assay serve`, or name its admin listener with --admin",
            self.origin
        ))
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let token = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the admin token {shown}: {error}; run as the user of the server and name its directory with --data \
             (`assay serve` makes the token at its first start)"
        ))
    })?;
    let token = token.trim();
    // It becomes a header, so it must be made of what a bearer token is made of.
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token {
        return Err(Failure::Usage(format!(
            "{shown} holds no admin token; remove it and restart the server, which makes a new one"
        )));
    }
    Ok(token.to_owned())
}

/// One line out of an RFC 9457 problem, or out of whatever else answered.
fn problem(origin: &str, status: u16, text: &str) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let member = |name: &str| problem.get(name).and_then(Value::as_str);
    let wrong_members = wrong_members(&problem);
    let detail = if wrong_members.is_empty() { member("detail").map(str::to_owned) } else { Some(wrong_members) };
    let what = match (member("title"), detail) {
        (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
        (Some(title), _) => title.to_owned(),
        (None, Some(detail)) => detail,
        (None, None) => {
            format!("{origin} answered with status {status} and no explanation; is it assay's admin listener?")
        }
    };
    let code = member("code").map(|code| format!(", code {code}")).unwrap_or_default();
    let request_id = member("request_id").map(|id| format!(", request {id}")).unwrap_or_default();
    let remedy = match status {
        404 => "; `list` prints the ids that exist",
        409 => "; look at its present state with `list` or `show`",
        429 | 503 => "; try again in a moment",
        500.. => "; the server's log tells more under that request id",
        _ => "",
    };
    format!("{what} (status {status}{code}{request_id}){remedy}")
}

/// What is wrong with the body, member by member; empty when the server does not say.
fn wrong_members(problem: &Value) -> String {
    let errors = problem.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let told = errors.iter().filter_map(|error| {
        let detail = error.get("detail")?.as_str()?;
        let pointer = error.get("pointer").and_then(Value::as_str).unwrap_or_default();
        Some(format!("{} {detail}", pointer.trim_start_matches('/')).trim().to_owned())
    });
    told.collect::<Vec<_>>().join(", ")
}

/// An id from the command line as one segment of a path.
///
/// # Errors
/// If it cannot be one.
pub fn segment(name: &str, id: &str) -> Result<String, Failure> {
    if id.is_empty() || id == "." || id == ".." {
        return Err(Failure::Usage(format!("{name} {id:?} is no id; `list` prints the ids that exist")));
    }
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    Ok(id.bytes().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str, token: &str) -> Self {
            let path = std::env::temp_dir().join(format!("assay-admin-client-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("admin.token"), token).unwrap();
            Self(path)
        }

        fn connect(&self, admin: &str) -> Result<AdminClient, Failure> {
            AdminClient::connect(admin, &self.0)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Answers one request with `response` and returns what was asked.
    fn once(response: &str) -> (String, std::thread::JoinHandle<String>) {
        let (origin, served) = each(&[response.to_owned()]);
        (origin, std::thread::spawn(move || served.join().unwrap().remove(0)))
    }

    /// Answers one connection after another and returns what was asked on each.
    fn each(responses: &[String]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let responses = responses.to_vec();
        let served = std::thread::spawn(move || responses.iter().map(|response| serve(&listener, response)).collect());
        (origin, served)
    }

    fn serve(listener: &TcpListener, response: &str) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(response.as_bytes()).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_call_carries_token_path_and_body() {
        let directory = Directory::new("call", "secret-token\n");
        let (origin, served) = once(&answer("201 Created", r#"{"client_id":"c"}"#));
        let client = directory.connect(&origin).unwrap();
        let got = client.call(Method::Post, "/applications", Some(&serde_json::json!({"name": "N"}))).unwrap();
        assert_eq!(got, serde_json::json!({"client_id": "c"}));
        let asked = served.join().unwrap();
        assert!(asked.starts_with("POST /v1/tenants/default/applications HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("authorization: bearer secret-token\r\n"), "{asked}");
        let body: Value = serde_json::from_str(&asked[asked.find('{').unwrap()..]).unwrap();
        assert_eq!(body, serde_json::json!({"name": "N"}));
    }

    #[test]
    fn a_success_without_body_is_an_empty_object() {
        let directory = Directory::new("empty", "t");
        let (origin, served) = once("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(
            directory.connect(&origin).unwrap().call(Method::Post, "/keys/rotate", None).unwrap(),
            serde_json::json!({})
        );
        served.join().unwrap();
    }

    #[test]
    fn a_list_is_read_to_its_last_page() {
        let directory = Directory::new("pages", "t");
        let pages = [
            answer("200 OK", r#"{"items":[1,2],"next_cursor":"a b"}"#),
            answer("200 OK", r#"{"items":[3],"next_cursor":null}"#),
        ];
        let (origin, served) = each(&pages);
        assert_eq!(directory.connect(&origin).unwrap().list("/keys").unwrap(), serde_json::json!([1, 2, 3]));
        let asked = served.join().unwrap();
        assert!(asked[1].starts_with("GET /v1/tenants/default/keys?after=a%20b HTTP/1.1"), "{asked:?}");
        for (body, expected) in [(r#"{"items":[],"next_cursor":"x"}"#, Some(serde_json::json!([]))), ("{}", None)] {
            let (origin, served) = once(&answer("200 OK", body));
            assert_eq!(directory.connect(&origin).unwrap().list("/keys").ok(), expected);
            served.join().unwrap();
        }
    }

    #[test]
    fn refusals_say_what_the_server_said() {
        let directory = Directory::new("refusals", "secret-token");
        for (response, words) in [
            (
                answer(
                    "404 Not Found",
                    r#"{"title":"Not found","status":404,"detail":"no application x","code":"not_found","request_id":"r1"}"#,
                ),
                "Not found: no application x (status 404, code not_found, request r1); `list`",
            ),
            (
                answer(
                    "422 Unprocessable Entity",
                    r#"{"title":"Invalid value","detail":"see errors","errors":[{"pointer":"/name","detail":"must be text"},{"pointer":"","detail":"needs a key"}]}"#,
                ),
                "Invalid value: name must be text, needs a key (status 422)",
            ),
            (answer("401 Unauthorized", "{}"), "refuses the token in"),
            (answer("302 Found\r\nlocation: http://127.0.0.1:9/", ""), "status 302"),
            (answer("200 OK", "<html>"), "not with JSON"),
            (answer("500 Internal Server Error", "oops"), "status 500"),
        ] {
            let (origin, served) = once(&response);
            let failure = directory.connect(&origin).unwrap().call(Method::Get, "/keys", None).unwrap_err();
            served.join().unwrap();
            let text = failure.to_string();
            assert!(matches!(failure, Failure::Failed(_)) && text.contains(words), "{text}");
            assert!(!text.contains("secret-token"), "{text}");
        }
    }

    #[test]
    fn nobody_there_is_its_own_failure() {
        let directory = Directory::new("nobody", "t");
        // A listener that is closed again leaves a port where nobody listens.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure =
            directory.connect(&format!("http://{address}")).unwrap().call(Method::Get, "/keys", None).unwrap_err();
        assert!(matches!(&failure, Failure::Unreachable(text) if text.contains("assay serve")), "{failure}");
    }

    #[test]
    fn token_files_are_checked() {
        for (name, token) in
            [("none", ""), ("blank", " \n"), ("two", "a b"), ("header", "a\r\nx: y"), ("long", &"a".repeat(5000))]
        {
            let directory = Directory::new(name, token);
            assert!(matches!(directory.connect("http://127.0.0.1:1"), Err(Failure::Usage(_))), "{name}");
        }
        let missing = read_token(Path::new("/nonexistent/admin.token")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/admin.token") && missing.contains("--data"), "{missing}");
    }

    #[test]
    fn ids_cannot_leave_their_segment() {
        assert_eq!(segment("KID", "aB9-_.~").unwrap(), "aB9-_.~");
        assert_eq!(segment("KID", "../a?b#c%").unwrap(), "..%2Fa%3Fb%23c%25");
        for bad in ["", ".", ".."] {
            assert!(segment("KID", bad).is_err());
        }
    }
}
