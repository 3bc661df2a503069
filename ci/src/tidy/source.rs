//! A file as the rules see it: its path, its text, and its code without comments and literals.
//! It knows no rule.

use std::iter::Peekable;
use std::str::CharIndices;

/// A text file of the tree.
pub(crate) struct Source {
    /// Relative to the top of the tree, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// For Rust: the text with comments, strings and characters blanked, every line in its place.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        let code = if path.ends_with(".rs") { blank_literals(&text) } else { String::new() };
        Self { path: path.to_owned(), text, code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code that the schema compiler wrote.
    pub(crate) fn is_generated(&self) -> bool {
        self.path.starts_with("schema/") && self.text.starts_with("// @generated")
    }

    /// A file of a `tests` folder, or the tests of a module in a file of their own.
    pub(crate) fn is_test(&self) -> bool {
        self.is_under_tests() || self.path.ends_with("/tests.rs")
    }

    pub(crate) fn is_under_tests(&self) -> bool {
        self.path.split('/').rev().skip(1).any(|folder| folder == "tests")
    }

    /// Whether this file is the module `module` (given without `.rs`) or lies below it.
    pub(crate) fn is_module(&self, module: &str) -> bool {
        self.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The identifiers of the code, each with where it starts.
    pub(crate) fn idents(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.split(move |c| !is_part(c)).filter(|word| !word.is_empty()).map(|word| {
            let at = word.as_ptr() as usize - self.code.as_ptr() as usize;
            (at, word)
        })
    }

    /// The line, counted from 1, of a position in `code` or `text`: both have the same length.
    pub(crate) fn line_at(&self, position: usize) -> usize {
        self.text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Overwrites everything that is not code with spaces, byte for byte, and keeps line ends.
fn blank_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let rest = &text[start..];
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_length(rest),
            '"' => string_length(rest),
            'r' | 'b' | 'c' if !ends_in_word(&code) => prefixed_string_length(rest),
            '\'' => char_length(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(c);
            continue;
        }
        code.extend(rest[..length].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        skip_to(&mut chars, start + length);
    }
    code
}

fn skip_to(chars: &mut Peekable<CharIndices<'_>>, end: usize) {
    while chars.next_if(|(at, _)| *at < end).is_some() {}
}

fn ends_in_word(code: &str) -> bool {
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r".."`, `r#".."#`, `b".."`, `br".."`, `c".."`, `b'.'`; 0 when it is a plain word.
fn prefixed_string_length(rest: &str) -> usize {
    let letters = rest.bytes().take_while(|byte| b"rbc".contains(byte)).count();
    let prefix = &rest[..letters];
    let after = &rest[letters..];
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    if letters > 2 {
        0
    } else if prefix.ends_with('r') && after[hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = letters + hashes + 1;
        rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len())
    } else if letters == 1 && after.starts_with('"') {
        letters + string_length(after)
    } else if prefix == "b" && after.starts_with('\'') {
        letters + char_length(after)
    } else {
        0
    }
}

/// 0 for a lifetime.
fn char_length(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(rest.len(), |end| end + 4),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("a.rs", text).code
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a // unsafe\n/* b /* c */ \n d */ e \"f\\\"g\nh\" i\n";
        let code = code(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "i"]);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn every_form_of_string_is_blanked() {
        for literal in [
            "r\"x\"",
            "r#\"x\"y\"#",
            "b\"x\"",
            "br##\"x\"#\"##",
            "c\"x\"",
            "cr\"x\"",
            "'x'",
            "'\\''",
            "'\\\\'",
            "b'x'",
            "b'\\''",
            "'\\u{1F600}'",
            "'é'",
            "\"é\"",
            "\"\\\\\"",
        ] {
            let code = code(&format!("({literal})z"));
            assert_eq!(code.replace(' ', ""), "()z", "{literal}");
        }
    }

    #[test]
    fn lifetimes_and_words_that_end_like_a_prefix_are_code() {
        let text = "fn f<'a>(x: &'a str) -> Ptr<'static> { attr!(\"x\"); b + r + c }";
        assert_eq!(code(text), text.replace("\"x\"", "   "));
    }

    #[test]
    fn text_that_ends_inside_a_literal_is_taken_to_its_end() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'\\", "'", "b'", "r#", "'\\'"] {
            assert_eq!(code(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn identifiers_come_with_their_line() {
        let source = Source::new("a.rs", "one\n// two\nthree_3\n");
        let found: Vec<_> = source.idents().map(|(at, word)| (source.line_at(at), word)).collect();
        assert_eq!(found, [(1, "one"), (3, "three_3")]);
    }

    #[test]
    fn a_path_knows_its_module_and_its_tests() {
        assert!(Source::new("fallback/src/sys.rs", "").is_module("fallback/src/sys"));
        assert!(Source::new("fallback/src/sys/linux.rs", "").is_module("fallback/src/sys"));
        assert!(!Source::new("fallback/src/system.rs", "").is_module("fallback/src/sys"));
        assert!(Source::new("cli/tests/copy.rs", "").is_under_tests());
        assert!(!Source::new("cli/src/tests.rs", "").is_under_tests());
        assert!(Source::new("cli/src/tests.rs", "").is_test());
    }

    #[test]
    fn generated_code_is_known_by_its_first_line_in_schema_only() {
        assert!(Source::new("schema/src/control_capnp.rs", "// @generated by\n").is_generated());
        assert!(!Source::new("cli/src/control.rs", "// @generated by\n").is_generated());
    }
}
