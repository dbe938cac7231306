//! Request bodies as data: one table says what a body may hold, and both the check and the published JSON Schema are
//! made from it, so the two cannot differ.

use assay_oauth::limits::JSON_INTEGER_MAX;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::problem::FieldError;
use crate::limits::ADMIN_FIELD_ERRORS_MAX;

/// The bodies one route takes: an object with these members and no others.
pub(crate) struct Shape {
    /// Name among the document's schemas.
    pub(crate) name: &'static str,
    /// What it is, for the document.
    pub(crate) about: &'static str,
    /// Every member.
    pub(crate) members: &'static [Member],
    /// Members that must be there.
    pub(crate) required: &'static [&'static str],
    /// Rules across members, as JSON Schema keywords beside the others; checked by the route itself.
    pub(crate) across: fn() -> Value,
    /// A body that is accepted.
    pub(crate) example: fn() -> Value,
}

/// One member of a body.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
    /// Whether `null` is accepted: "not set".
    pub(crate) nullable: bool,
    pub(crate) about: &'static str,
}

/// What a value must be.
pub(crate) enum Rule {
    Boolean,
    /// A whole number in a range, both ends included.
    Integer {
        min: u64,
        max: u64,
    },
    /// Distinct values that each follow one rule.
    List {
        items_max: usize,
        item: &'static Rule,
    },
    OneOf(&'static [&'static str]),
    /// Text of bounded length that a predicate accepts; the pattern says the same in the document.
    Text {
        chars_max: usize,
        pattern: &'static str,
        accepts: fn(&str) -> bool,
        must: &'static str,
    },
    /// Anything else: its schema, and its check with the reason of a refusal.
    Special {
        schema: fn() -> Value,
        check: fn(&Value) -> Result<(), String>,
    },
}

impl Shape {
    /// Everything that is wrong with a body; empty when nothing is.
    pub(crate) fn check(&self, body: &Value) -> Vec<FieldError> {
        let Some(object) = body.as_object() else {
            return vec![FieldError::new("", "must be an object")];
        };
        let mut errors = Vec::new();
        for name in self.required.iter().filter(|name| !object.contains_key(**name)) {
            errors.push(FieldError::new(format!("/{name}"), "is missing"));
        }
        for (name, value) in object {
            match self.members.iter().find(|member| member.name == name) {
                None => errors.push(FieldError::new(pointer_to(name), "is not known here")),
                Some(member) if member.nullable && value.is_null() => {}
                Some(member) => member.rule.check(value, &format!("/{name}"), &mut errors),
            }
            if errors.len() >= ADMIN_FIELD_ERRORS_MAX {
                break;
            }
        }
        errors
    }

    /// The JSON Schema of the bodies this accepts.
    pub(crate) fn schema(&self) -> Value {
        let mut properties = Map::new();
        for member in self.members {
            let mut schema = member.rule.schema();
            if member.nullable {
                schema = nullable(schema);
            }
            schema["description"] = json!(member.about);
            properties.insert(member.name.to_owned(), schema);
        }
        let mut schema = json!({
            "type": "object",
            "description": self.about,
            "properties": properties,
            "additionalProperties": false,
            "examples": [(self.example)()],
        });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        if let (Some(schema), Value::Object(across)) = (schema.as_object_mut(), (self.across)()) {
            schema.extend(across);
        }
        schema
    }
}

/// For [`Shape::across`]: members are independent of each other.
pub(crate) fn independent() -> Value {
    json!({})
}

impl Rule {
    fn check(&self, value: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
        let wrong = match self {
            Rule::Boolean => (!value.is_boolean()).then(|| "must be true or false".to_owned()),
            Rule::Integer { min, max } => (!whole_number(value).is_some_and(|number| (*min..=*max).contains(&number)))
                .then(|| format!("must be a whole number from {min} to {max}")),
            Rule::OneOf(words) => (!value.as_str().is_some_and(|text| words.contains(&text)))
                .then(|| format!("must be one of {}", words.join(", "))),
            Rule::Text { chars_max, accepts, must, .. } => match value.as_str() {
                None => Some("must be a string".to_owned()),
                Some(text) if text.chars().count() > *chars_max => {
                    Some(format!("must not be longer than {chars_max} characters"))
                }
                Some(text) => (!accepts(text)).then(|| (*must).to_owned()),
            },
            Rule::Special { check, .. } => check(value).err(),
            Rule::List { items_max, item } => match value.as_array() {
                None => Some("must be an array".to_owned()),
                Some(items) if items.len() > *items_max => Some(format!("must not have more than {items_max} items")),
                Some(items) => {
                    for (index, value) in items.iter().enumerate() {
                        let pointer = format!("{pointer}/{index}");
                        if items[..index].contains(value) {
                            errors.push(FieldError::new(pointer, "is there twice"));
                        } else {
                            item.check(value, &pointer, errors);
                        }
                    }
                    None
                }
            },
        };
        errors.extend(wrong.map(|detail| FieldError::new(pointer, detail)));
    }

    fn schema(&self) -> Value {
        match self {
            Rule::Boolean => json!({ "type": "boolean" }),
            Rule::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Rule::OneOf(words) => json!({ "type": "string", "enum": words }),
            Rule::Text { chars_max, pattern, .. } => {
                json!({ "type": "string", "maxLength": chars_max, "pattern": pattern })
            }
            Rule::Special { schema, .. } => schema(),
            Rule::List { items_max, item } => {
                json!({ "type": "array", "maxItems": items_max, "uniqueItems": true, "items": item.schema() })
            }
        }
    }
}

/// A number without a fraction, however it is written: to JSON, `60.0` is the integer 60.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let is_exact = number.fract() == 0.0 && (0.0..=JSON_INTEGER_MAX as f64).contains(&number);
        is_exact.then_some(number as u64)
    })
}

/// Reads a member of [`Rule::Integer`]; for `deserialize_with`.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.as_ref().and_then(whole_number))
}

fn nullable(mut schema: Value) -> Value {
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// JSON Pointer to a member of the body. The name came from outside: escaped, and cut to a length that a person reads.
fn pointer_to(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    format!("/{}", shown.replace('~', "~0").replace('/', "~1"))
}

/// Text without control characters, not empty.
pub(crate) fn is_plain_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c <= '\u{1f}' || c == '\u{7f}')
}

/// [`is_plain_text`] as a pattern.
pub(crate) const PLAIN_TEXT: &str = r"^[^\x00-\x1f\x7f]+$";

/// Visible ASCII, not empty: identifiers and audiences.
pub(crate) fn is_visible_ascii(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// [`is_visible_ascii`] as a pattern.
pub(crate) const VISIBLE_ASCII: &str = "^[!-~]+$";

#[cfg(test)]
mod tests {
    use super::*;

    static SHAPE: Shape = Shape {
        name: "Test",
        about: "A test.",
        members: &[
            Member { name: "flag", rule: Rule::Boolean, nullable: false, about: "F." },
            Member { name: "age", rule: Rule::Integer { min: 1, max: 9 }, nullable: true, about: "A." },
            Member {
                name: "list",
                rule: Rule::List {
                    items_max: 2,
                    item: &Rule::Text {
                        chars_max: 3,
                        pattern: VISIBLE_ASCII,
                        accepts: is_visible_ascii,
                        must: "must be visible",
                    },
                },
                nullable: false,
                about: "L.",
            },
            Member { name: "word", rule: Rule::OneOf(&["a", "b"]), nullable: true, about: "W." },
        ],
        required: &["flag"],
        across: independent,
        example: || json!({ "flag": true }),
    };

    #[test]
    fn every_wrong_place_is_named() {
        fn check(body: Value, pointers: &[&str]) {
            let errors = SHAPE.check(&body);
            let found: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(found, pointers, "{body}");
        }
        check(json!({"flag": true, "age": 9, "list": ["x", "y"], "word": "a"}), &[]);
        check(json!({"flag": false, "age": null, "word": null, "list": []}), &[]);
        check(json!([]), &[""]);
        check(json!({}), &["/flag"]);
        check(json!({"flag": null}), &["/flag"]);
        check(json!({"flag": true, "age": 0}), &["/age"]);
        check(json!({"flag": true, "age": 1.5}), &["/age"]);
        check(json!({"flag": true, "age": 2.0}), &[]);
        check(json!({"flag": true, "age": 1e300}), &["/age"]);
        check(json!({"flag": true, "age": -1}), &["/age"]);
        check(json!({"flag": true, "age": "1"}), &["/age"]);
        check(json!({"flag": true, "list": ["a", "a"]}), &["/list/1"]);
        check(json!({"flag": true, "list": ["a", "b", "c"]}), &["/list"]);
        check(json!({"flag": true, "list": ["abcd", ""]}), &["/list/0", "/list/1"]);
        check(json!({"flag": true, "list": [1]}), &["/list/0"]);
        check(json!({"flag": true, "list": null}), &["/list"]);
        check(json!({"flag": true, "word": "c"}), &["/word"]);
        check(json!({"flag": true, "a/b~c": 1}), &["/a~1b~0c"]);
    }

    #[test]
    fn errors_and_pointers_are_bounded() {
        let mut body = Map::new();
        for index in 0..1000 {
            body.insert(format!("{index}{}", "x".repeat(500)), Value::Null);
        }
        let errors = SHAPE.check(&Value::Object(body));
        assert!(errors.len() <= ADMIN_FIELD_ERRORS_MAX + 1);
        assert!(errors.iter().all(|error| error.pointer.len() <= 65));
    }

    #[test]
    fn the_schema_says_what_the_check_does() {
        let schema = SHAPE.schema();
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["required"], json!(["flag"]));
        assert_eq!(schema["properties"]["age"]["type"], json!(["integer", "null"]));
        assert_eq!(schema["properties"]["word"]["enum"], json!(["a", "b", null]));
        assert_eq!(schema["properties"]["list"]["items"]["maxLength"], json!(3));
    }
}
