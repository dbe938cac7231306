//! The two pages: sign-in and consent. Plain HTML, no script, no resource from elsewhere.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

use crate::http::response::{self, Answer};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.4rem}code,textarea{font:14px/1.4 ui-monospace,monospace}textarea{width:100%;box-sizing:border-box;padding:.5rem}\
button{font:inherit;padding:.5rem 1.2rem;margin:.5rem .5rem 0 0;cursor:pointer}.error{color:#a00000}pre{background:#f4f4f4;padding:.75rem;overflow-x:auto}\
@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}pre{background:#262626}.error{color:#ff8080}textarea{background:#262626;color:inherit}}";

/// Makes text harmless in HTML, in element content and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    response::html(status, Bytes::from(html))
}

/// An error that must not redirect.
#[must_use]
pub fn error(status: StatusCode, description: &str) -> Answer {
    let body = format!(
        "<p class=\"error\">{}</p><p>The application that sent you here made a mistake. Nothing was shared with it.</p>",
        escape(description)
    );
    page(status, "This request cannot be answered", &body)
}

/// Asks for a signed token. `path` is what it must be signed for; `resume` the authorization request to go on with.
#[must_use]
pub fn sign_in(status: StatusCode, path: &str, resume: &str, error: Option<&str>) -> Answer {
    let error = error.map(|text| format!("<p class=\"error\" role=\"alert\">{}</p>", escape(text))).unwrap_or_default();
    let body = format!(
        "{error}<p>Sign the path <code>{path}</code> with your Bitcoin key and paste the token:</p>\
         <pre>assay sign --key @my-key --path {path}</pre>\
         <form method=\"post\" action=\"{path}\"><input type=\"hidden\" name=\"resume\" value=\"{resume}\">\
         <label for=\"token\">Signed token</label>\
         <textarea id=\"token\" name=\"token\" rows=\"6\" required autocomplete=\"off\" spellcheck=\"false\"></textarea>\
         <button type=\"submit\">Sign in</button></form>",
        path = escape(path),
        resume = escape(resume),
    );
    let mut answer = page(status, "Sign in", &body);
    // The form's POST must carry its true Origin, which `no-referrer` would turn into `null`.
    answer.headers_mut().insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin"));
    answer
}

/// Confirms a sign-in that led nowhere further.
#[must_use]
pub fn signed_in(name: &str) -> Answer {
    page(StatusCode::OK, "Signed in", &format!("<p>You are signed in as <code>{}</code>.</p>", escape(name)))
}

/// Asks whether the client may have these scopes.
#[must_use]
pub fn consent(client_name: &str, host: &str, scopes: &[String], query: &str, csrf: &str) -> Answer {
    let scopes: String = scopes.iter().map(|scope| format!("<li><code>{}</code></li>", escape(scope))).collect();
    let body = format!(
        "<p><strong>{client}</strong> wants to know who you are. It will be told at <code>{host}</code>:</p><ul>{scopes}</ul>\
         <form method=\"post\" action=\"/consent\"><input type=\"hidden\" name=\"oauth_query\" value=\"{query}\">\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
         <button type=\"submit\" name=\"accept\" value=\"true\">Allow</button>\
         <button type=\"submit\" name=\"accept\" value=\"false\">Deny</button></form>",
        client = escape(client_name),
        host = escape(host),
        query = escape(query),
        csrf = escape(csrf),
    );
    page(StatusCode::OK, "Allow access?", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_request_becomes_markup() {
        assert_eq!(escape("<a href=\"x\" on='y'>&"), "&lt;a href=&quot;x&quot; on=&#39;y&#39;&gt;&amp;");
    }
}
