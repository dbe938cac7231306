//! Writes JSON objects member by member, in the order given, without an intermediate tree.

/// An object being written.
pub struct ObjectWriter {
    out: String,
}

impl ObjectWriter {
    /// An empty object.
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// An empty object with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        Self { out }
    }

    fn name(&mut self, name: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        push_string(&mut self.out, name);
        self.out.push(':');
    }

    /// A string member.
    pub fn string(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_string(&mut self.out, value);
        self
    }

    /// A string member, left out when `None`.
    pub fn string_opt(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.string(name, value);
        }
        self
    }

    /// A non-negative integer.
    pub fn integer(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        self.out.push_str(&value.to_string());
        self
    }

    /// An integer, left out when `None`.
    pub fn integer_opt(&mut self, name: &str, value: Option<u64>) -> &mut Self {
        if let Some(value) = value {
            self.integer(name, value);
        }
        self
    }

    /// A boolean.
    pub fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.name(name);
        self.out.push_str(if value { "true" } else { "false" });
        self
    }

    /// An array of strings.
    pub fn strings<S: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) -> &mut Self {
        self.name(name);
        self.out.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            push_string(&mut self.out, value.as_ref());
        }
        self.out.push(']');
        self
    }

    /// A member that is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.out.push_str(json);
        self
    }

    /// The finished text.
    pub fn finish(&mut self) -> String {
        self.out.push('}');
        std::mem::take(&mut self.out)
    }
}

impl Default for ObjectWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a JSON string with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[start..at]);
        start = at + 1;
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_string_survives(name in ".*", value in "\\PC*|[\\x00-\\x22\\\\]*") {
            let text = ObjectWriter::new().string(&name, &value).finish();
            let back: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.get(&name).and_then(|v| v.as_str()), Some(value.as_str()));
        }
    }

    #[test]
    fn members_in_order() {
        let text = ObjectWriter::new()
            .bool("a", true)
            .integer("b", 7)
            .strings("c", ["x", "y"])
            .strings("d", [""; 0])
            .raw("e", "null")
            .string_opt("f", None)
            .integer_opt("g", Some(1))
            .finish();
        assert_eq!(text, r#"{"a":true,"b":7,"c":["x","y"],"d":[],"e":null,"g":1}"#);
        assert_eq!(ObjectWriter::new().finish(), "{}");
    }
}
