//! The OpenAPI document: what utoipa gathered from the handlers, the request shapes, and the refusals, which are the
//! same for every route of a kind and therefore written in one place.

use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::OpenApi;

use super::frame::OPEN_PATHS;
use super::problem::{FieldError, Kind, ProblemBody};
use super::shape::Shape;

/// Which list supplies the id another operation takes: the list, its id's name, and the operations.
const LINKS: &[(&str, &str, &[&str])] = &[
    ("list_applications", "client_id", &["show_application"]),
    ("list_keys", "kid", &["revoke_key"]),
    ("list_sessions", "sid", &["revoke_session"]),
    ("list_users", "user_id", &["show_user", "suspend_user", "reactivate_user"]),
];

/// The one body that may be left out.
const OPTIONAL_BODY: &str = "#/components/schemas/SecretRotation";

/// Completes the document.
pub(crate) fn document(gathered: &OpenApi, shapes: &[&Shape], tenant: &str) -> Value {
    let mut document = serde_json::to_value(gathered).expect("an OpenAPI document is JSON");
    document["info"] = json!({
        "title": "assay admin API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Applications, users, sessions, signing keys and revocations of one assay server. \
            Every change is durable, and visible on every core, before it is answered.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["components"]["securitySchemes"] = json!({
        "admin_token": { "type": "http", "scheme": "bearer", "description": "The text of `admin.token` in the data directory." },
    });
    let schemas = &mut document["components"]["schemas"];
    for shape in shapes {
        schemas[shape.name] = shape.schema();
    }
    schemas["Problem"] = serde_json::to_value(ProblemBody::schema()).expect("a schema is JSON");
    schemas["FieldError"] = serde_json::to_value(FieldError::schema()).expect("a schema is JSON");
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths.iter_mut() {
        let Some(operations) = item.as_object_mut() else { continue };
        for (method, operation) in operations.iter_mut() {
            complete(path, method, operation, tenant);
        }
    }
    document
}

fn complete(path: &str, method: &str, operation: &mut Value, tenant: &str) {
    operation["security"] = if OPEN_PATHS.contains(&path) { json!([]) } else { json!([{ "admin_token": [] }]) };
    if OPEN_PATHS.contains(&path) {
        return;
    }
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        for parameter in parameters.iter_mut().filter(|parameter| parameter["in"] == "query") {
            parameter["required"] = json!(false);
        }
    }
    if path.contains("{tenant}") {
        let tenant = json!({
            "name": "tenant", "in": "path", "required": true, "description": "The tenant.",
            "schema": { "type": "string", "enum": [tenant] },
        });
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(parameters) => parameters.insert(0, tenant),
            None => operation["parameters"] = json!([tenant]),
        }
    }
    let links = LINKS.iter().find(|(list, ..)| operation["operationId"] == *list);
    if let Some((_, id, targets)) = links {
        for target in *targets {
            operation["responses"]["200"]["links"][target] = json!({
                "operationId": target,
                "parameters": { "tenant": "$request.path.tenant", (*id): format!("$response.body#/items/0/{id}") },
            });
        }
    }
    let has_body = operation.get("requestBody").is_some();
    let mut kinds = vec![Kind::Unauthorized, Kind::NotFound, Kind::Unavailable];
    if method == "get" {
        kinds.push(Kind::InvalidParameter);
    } else {
        kinds.push(Kind::Conflict);
    }
    if has_body {
        let required = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"] != OPTIONAL_BODY;
        operation["requestBody"]["required"] = json!(required);
        kinds.extend([Kind::InvalidBody, Kind::BodyTooLarge, Kind::MediaType, Kind::InvalidValue]);
    }
    for kind in kinds {
        let (status, _, title) = kind.row();
        let mut headers = json!({});
        match kind {
            Kind::Unauthorized => headers["WWW-Authenticate"] = json!({ "schema": { "type": "string" } }),
            Kind::Unavailable => headers["Retry-After"] = json!({ "schema": { "type": "integer", "minimum": 0 } }),
            _ => {}
        }
        operation["responses"][status.as_str()] = json!({
            "description": title,
            "headers": headers,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        for response in responses.values_mut() {
            response["headers"]["X-Request-ID"] = json!({
                "description": "The id of this request: the caller's own if it sent a usable one.",
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$" },
            });
        }
    }
}
