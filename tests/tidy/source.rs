//! Rust source as the rules see it: which parts are code, which are comments and literals, which are unit tests.
//!
//! A small lexer, not a parser: it must only never take a comment or a literal for code. Blanked bytes keep their line
//! breaks, so that a finding's line number is the file's.

/// A file of the tree, by its path from the root.
pub struct SourceFile {
    pub path: String,
    pub text: String,
    /// `text` with comments and the insides of literals blanked; empty for files that are not Rust.
    pub code: String,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> SourceFile {
        let code = if path.ends_with(".rs") { code_only(text) } else { String::new() };
        SourceFile { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code that ships: neither a test or bench crate, nor a file's closing `mod tests`, nor an example.
    pub fn shipped_code(&self) -> &str {
        let aside = ["tests/", "benches/", "fuzz/"].iter().any(|top| self.path.starts_with(top))
            || ["/tests/", "/benches/", "/examples/"].iter().any(|room| self.path.contains(room))
            || self.path.ends_with("/tests.rs");
        if aside {
            return "";
        }
        // House style puts `mod tests` last, so everything from its attribute on is test code.
        let end = self
            .code
            .match_indices("#[cfg(test)]")
            .find(|(at, attribute)| self.code[at + attribute.len()..].trim_start().starts_with("mod "))
            .map_or(self.code.len(), |(at, _)| at);
        &self.code[..end]
    }
}

/// Every place `word` stands on its own in `code`, as a line number counted from 1.
pub fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = code.as_bytes();
    code.match_indices(word)
        .filter(|(at, _)| {
            let joined_before = *at > 0 && part_of_name(&bytes[at - 1]) && part_of_name(&bytes[*at]);
            let after = at + word.len();
            let joined_after = bytes.get(after).is_some_and(part_of_name) && part_of_name(&bytes[after - 1]);
            !joined_before && !joined_after
        })
        .map(|(at, _)| line_of(code, at))
        .collect()
}

pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Blanks comments, and the insides of string and character literals.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + match rest {
                [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
                [b'/', b'*', ..] => block_comment_len(rest),
                [b'"', ..] => quoted_len(rest, b'"'),
                [b'r', ..] if !ends_in_name(&code) => raw_string_len(rest),
                [b'\'', ..] => char_literal_len(rest),
                _ => 0,
            };
        if end == at {
            code.push(bytes[at]);
            at += 1;
        } else {
            code.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8(code).expect("blanking replaces whole literals and comments, never part of a character")
}

fn ends_in_name(code: &[u8]) -> bool {
    // `br"…"` is a raw string too: the `b` before it is not a name.
    let name = code.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    name > 0 && !(name == 1 && code.last() == Some(&b'b'))
}

fn block_comment_len(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn quoted_len(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// 0 when this `r` opens no raw string.
fn raw_string_len(bytes: &[u8]) -> usize {
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let body = 2 + hashes;
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    bytes[body..]
        .windows(closing.len())
        .position(|window| window == closing)
        .map_or(bytes.len(), |at| body + at + closing.len())
}

/// 0 when this `'` opens a lifetime or a label.
fn char_literal_len(bytes: &[u8]) -> usize {
    match bytes {
        [_, b'\\', ..] => quoted_len(bytes, b'\''),
        // One character of one to four bytes, then the closing quote.
        _ => (2..=5)
            .find(|at| bytes.get(*at) == Some(&b'\''))
            .filter(|at| std::str::from_utf8(&bytes[1..*at]).is_ok_and(|inside| inside.chars().count() == 1))
            .map_or(0, |at| at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_keeps_code_and_lines() {
        for (text, code) in [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            ("f(\"un\\\"safe\")", "f(          )"),
            ("r#\"a\"b\"# c", "         c"),
            ("br\"x\" c", "b     c"),
            ("for x in y", "for x in y"),
            ("let r = 1;", "let r = 1;"),
            ("'a' 'ä' '\\'' '\\u{1F600}'", "                      "),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("\"unterminated", "             "),
            ("'outer: loop {}", "'outer: loop {}"),
        ] {
            let blanked = code_only(text);
            assert_eq!(blanked.trim_end(), code.trim_end(), "{text}");
            assert_eq!(blanked.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn a_closing_test_module_is_not_shipped() {
        let file = SourceFile::new("x/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n");
        assert_eq!(file.shipped_code(), "fn a() {}\n");
        let file = SourceFile::new("x/src/a.rs", "#[cfg(test)]\nfn a() {}\nfn b() {}\n");
        assert_eq!(file.shipped_code(), file.code);
        assert_eq!(SourceFile::new("tests/e2e/main.rs", "fn a() {}").shipped_code(), "");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(lines_with_word("x\nunsafe {}\nunsafe_code", "unsafe"), [2]);
        assert_eq!(lines_with_word("std::time::Instant::now()", "Instant::now"), [1]);
        assert_eq!(lines_with_word("MyInstant::now()", "Instant::now"), Vec::<usize>::new());
    }
}
