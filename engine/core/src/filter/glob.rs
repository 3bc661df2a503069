//! One glob in the syntax of gitignore, put into the words of the `globset` crate, which does the matching.
//! It must not know where a rule comes from or what it decides.

use globset::{Glob, GlobBuilder};

/// A glob ready to be matched with paths relative to the source.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Matches whole paths.
    pub(super) glob: Glob,
    /// Only directories count as matches.
    pub(super) dirs_only: bool,
}

impl Pattern {
    /// Reads `text`, of which a `!` in front is already taken off.
    ///
    /// # Errors
    /// Why the glob could never match anything, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (body, dirs_only) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let is_anchored = body.contains('/');
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() {
            return Err("it names nothing".to_owned());
        }
        let tokens = tokens(body)?;
        let mut glob = if is_anchored { String::new() } else { "**/".to_owned() };
        write_path(&tokens, is_anchored, &mut glob)?;
        let glob = GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        Ok(Self { glob, dirs_only })
    }
}

/// What a glob is made of.
#[derive(Debug, PartialEq)]
enum Token {
    /// This character.
    Literal(char),
    /// `?`: one byte other than `/`.
    Any,
    /// That many `*` in a row.
    Stars(usize),
    /// `[..]`, as `globset` reads it.
    Class(String),
    /// Ends a component.
    Slash,
}

fn tokens(body: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = body.chars().collect();
    let mut tokens = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        at += 1;
        let token = match char {
            '\0' => return Err("no name contains a NUL".to_owned()),
            '/' => Token::Slash,
            '?' => Token::Any,
            '*' => {
                let more = chars[at..].iter().take_while(|char| **char == '*').count();
                at += more;
                Token::Stars(1 + more)
            }
            '[' => {
                let (class, end) = Class::parse(&chars, at)?;
                at = end;
                class.token()?
            }
            '\\' => {
                let escaped = chars.get(at).ok_or("nothing follows the backslash at its end")?;
                at += 1;
                if *escaped == '/' { Token::Slash } else { Token::Literal(*escaped) }
            }
            char => Token::Literal(char),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

fn write_path(tokens: &[Token], is_anchored: bool, out: &mut String) -> Result<(), String> {
    let mut after_deep = false;
    for (index, component) in tokens.split(|token| *token == Token::Slash).enumerate() {
        // Alone between slashes, two stars and more stand for any number of directories; elsewhere they are one star.
        let is_deep = is_anchored && matches!(component, [Token::Stars(2..)]);
        if is_deep && after_deep {
            continue;
        }
        if index > 0 {
            out.push('/');
        }
        if is_deep {
            out.push_str("**");
        } else {
            write_component(component, out)?;
        }
        after_deep = is_deep;
    }
    Ok(())
}

fn write_component(component: &[Token], out: &mut String) -> Result<(), String> {
    match component {
        [] => return Err("no name between its slashes is empty".to_owned()),
        [Token::Literal('.')] | [Token::Literal('.'), Token::Literal('.')] => {
            return Err("no name is `.` or `..`; a leading `/` stands for the source".to_owned());
        }
        _ => {}
    }
    for token in component {
        match token {
            Token::Literal(char) => {
                if matches!(char, '*' | '?' | '[' | ']' | '{' | '}' | ',' | '\\') {
                    out.push('\\');
                }
                out.push(*char);
            }
            Token::Any => out.push('?'),
            Token::Stars(_) => out.push('*'),
            Token::Class(text) => out.push_str(text),
            Token::Slash => {}
        }
    }
    Ok(())
}

/// The characters between brackets.
#[derive(Debug, Default)]
struct Class {
    negated: bool,
    /// Bit n stands for the ASCII character n.
    ascii: u128,
    /// Members outside ASCII, each of which stands for all its bytes, since matching goes by bytes.
    others: String,
}

impl Class {
    /// Reads the class whose `[` is before `start`; also returns where it ends.
    fn parse(chars: &[char], start: usize) -> Result<(Self, usize), String> {
        const UNCLOSED: &str = "its `[` is not closed";
        let mut at = start;
        let mut class = Self::default();
        if let Some('!' | '^') = chars.get(at) {
            class.negated = true;
            at += 1;
        }
        let first = at;
        // What a `-` would continue: not a range or a named class.
        let mut previous = None;
        loop {
            let char = *chars.get(at).ok_or(UNCLOSED)?;
            at += 1;
            match (char, previous) {
                (']', _) if at - 1 > first => return Ok((class, at)),
                ('-', Some(from)) if !matches!(chars.get(at), None | Some(']')) => {
                    let (to, next) = member(chars, at).ok_or(UNCLOSED)?;
                    class.add_range(from, to)?;
                    (at, previous) = (next, None);
                }
                ('[', _) if chars.get(at) == Some(&':') => match class_name(chars, at + 1) {
                    Some((name, next)) => {
                        class.ascii |= named_class(&name)?;
                        (at, previous) = (next, None);
                    }
                    None => previous = class.add('['),
                },
                _ => {
                    let (char, next) = member(chars, at - 1).ok_or(UNCLOSED)?;
                    previous = class.add(char);
                    at = next;
                }
            }
        }
    }

    fn add(&mut self, char: char) -> Option<char> {
        if char.is_ascii() {
            self.ascii |= bit(char);
        } else {
            self.others.push(char);
        }
        Some(char)
    }

    fn add_range(&mut self, from: char, to: char) -> Result<(), String> {
        if !from.is_ascii() || !to.is_ascii() {
            return Err(format!("the range {from}-{to} reaches outside ASCII"));
        }
        for char in from..=to {
            self.ascii |= bit(char);
        }
        Ok(())
    }

    /// The class as `globset` reads it: it knows no escapes, so `]` can only be first, `!` and `^` not be first and `-`
    /// only be last. A `/` is never matched and may be in it.
    fn token(mut self) -> Result<Token, String> {
        self.ascii &= !bit('/');
        if !self.negated && self.others.is_empty() {
            match self.ascii.count_ones() {
                0 => return Err("its `[` matches no character".to_owned()),
                1 => {
                    let only =
                        (0..u128::BITS).find_map(|n| char::from_u32(n).filter(|c| self.has(*c)));
                    return Ok(Token::Literal(only.expect("one bit is set")));
                }
                _ => {}
            }
        }
        let mut text = String::from(if self.negated { "[!" } else { "[" });
        let head = text.len();
        if self.has(']') {
            text.push(']');
        }
        self.write_ranges(&mut text);
        text.push_str(&self.others);
        if self.has('[') {
            text.push('[');
        }
        if text.len() == head {
            text.push('/');
        }
        text.extend(['!', '^', '-'].into_iter().filter(|char| self.has(*char)));
        text.push(']');
        Ok(Token::Class(text))
    }

    fn write_ranges(&self, text: &mut String) {
        let is_plain = |char: char| self.has(char) && !matches!(char, ']' | '[' | '!' | '^' | '-');
        let mut from = None;
        for char in '\0'..='\u{7f}' {
            if !is_plain(char) {
                continue;
            }
            let start = *from.get_or_insert(char);
            let next = char::from_u32(u32::from(char) + 1).filter(|next| is_plain(*next));
            if next.is_none() {
                text.push(start);
                if start < char {
                    text.extend(['-', char]);
                }
                from = None;
            }
        }
    }

    fn has(&self, char: char) -> bool {
        char.is_ascii() && self.ascii & bit(char) != 0
    }
}

/// The bit of an ASCII character.
fn bit(ascii: char) -> u128 {
    1 << u32::from(ascii)
}

/// The member of a class at `at`, where a backslash makes the next character one, and what is after it.
fn member(chars: &[char], at: usize) -> Option<(char, usize)> {
    match chars.get(at)? {
        '\\' => Some((*chars.get(at + 1)?, at + 2)),
        char => Some((*char, at + 1)),
    }
}

/// The name that starts at `at` and ends with `:]`, and what is after that.
fn class_name(chars: &[char], at: usize) -> Option<(String, usize)> {
    let len = chars.get(at..)?.iter().position(|char| *char == ']')?;
    let name = chars[at..at + len].strip_suffix(&[':'])?;
    Some((name.iter().collect(), at + len + 1))
}

/// The ASCII characters of a named class, as git counts them.
fn named_class(name: &str) -> Result<u128, String> {
    let holds: fn(&char) -> bool = match name {
        "alnum" => char::is_ascii_alphanumeric,
        "alpha" => char::is_ascii_alphabetic,
        "blank" => |char| matches!(char, ' ' | '\t'),
        "cntrl" => char::is_ascii_control,
        "digit" => char::is_ascii_digit,
        "graph" => char::is_ascii_graphic,
        "lower" => char::is_ascii_lowercase,
        "print" => |char| matches!(char, ' '..='~'),
        "punct" => char::is_ascii_punctuation,
        "space" => |char| matches!(char, ' ' | '\t' | '\n' | '\r'),
        "upper" => char::is_ascii_uppercase,
        "xdigit" => char::is_ascii_hexdigit,
        _ => return Err(format!("there is no class [:{name}:]")),
    };
    Ok(('\0'..='\u{7f}').filter(holds).fold(0, |bits, char| bits | bit(char)))
}

#[cfg(test)]
mod tests {
    use globset::GlobSet;
    use proptest::prelude::*;

    use super::*;

    /// Whether `rule` matches, or why it is refused.
    fn matches(rule: &str, path: &[u8], is_dir: bool) -> Result<bool, String> {
        let Pattern { glob, dirs_only } = Pattern::parse(rule)?;
        let set = GlobSet::new([glob]).expect("small");
        let hit = set.is_match_candidate(&globset::Candidate::from_bytes(path));
        Ok(hit && (is_dir || !dirs_only))
    }

    /// The rules of gitignore(5), read byte by byte without any preparation.
    fn reference(rule: &[u8], path: &[u8], is_dir: bool) -> bool {
        let (body, dirs_only) = match rule.strip_suffix(b"/") {
            Some(body) => (body, true),
            None => (rule, false),
        };
        if dirs_only && !is_dir {
            return false;
        }
        if body.contains(&b'/') {
            return wild(body.strip_prefix(b"/").unwrap_or(body), path, true);
        }
        wild(body, path.rsplit(|byte| *byte == b'/').next().expect("one at least"), false)
    }

    fn wild(pattern: &[u8], text: &[u8], starts_component: bool) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', ..] => {
                let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
                let rest = &pattern[stars..];
                let is_deep = stars > 1 && starts_component && matches!(rest, [] | [b'/', ..]);
                let may_skip =
                    is_deep && rest.first().is_some_and(|_| wild(&rest[1..], text, true));
                let run = text.iter().take_while(|byte| is_deep || **byte != b'/').count();
                may_skip || (0..=run).any(|len| wild(rest, &text[len..], false))
            }
            [b'?', rest @ ..] => {
                matches!(text, [byte, ..] if *byte != b'/') && wild(rest, &text[1..], false)
            }
            [b'[', class @ ..] => {
                let Some((byte, text)) = text.split_first() else { return false };
                match class_matches(class, *byte) {
                    Some((true, rest)) => *byte != b'/' && wild(rest, text, false),
                    _ => false,
                }
            }
            [b'\\'] => false,
            [b'\\', char, rest @ ..] | [char, rest @ ..] => match text.split_first() {
                Some((byte, text)) => byte == char && wild(rest, text, *char == b'/'),
                None => false,
            },
        }
    }

    /// Whether `byte` is in the class, and the pattern after it; `None` where the class is not one.
    fn class_matches(mut class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
        let negated = matches!(class, [b'!' | b'^', ..]);
        if negated {
            class = &class[1..];
        }
        let (mut hit, mut before, mut first) = (false, None, true);
        loop {
            let (low, rest) = match class {
                [b']', rest @ ..] if !first => return Some((hit != negated, rest)),
                [b'-', high, rest @ ..] if before.is_some() && *high != b']' => {
                    let (high, rest) = match (high, rest) {
                        (b'\\', [high, rest @ ..]) => (high, rest),
                        (high, rest) => (high, rest),
                    };
                    hit |= before.is_some_and(|low| low <= byte) && byte <= *high;
                    (before, class) = (None, rest);
                    continue;
                }
                [b'[', b':', rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == b']')?;
                    let Some(name) = rest[..end].strip_suffix(b":") else {
                        hit |= byte == b'[';
                        (before, class, first) = (Some(b'['), &class[1..], false);
                        continue;
                    };
                    hit |= match name {
                        b"alpha" => byte.is_ascii_alphabetic(),
                        b"digit" => byte.is_ascii_digit(),
                        b"punct" => byte.is_ascii_punctuation(),
                        _ => return None,
                    };
                    (before, class, first) = (None, &rest[end + 1..], false);
                    continue;
                }
                [b'\\', low, rest @ ..] | [low, rest @ ..] => (*low, rest),
                [] => return None,
            };
            hit |= low == byte;
            (before, class, first) = (Some(low), rest, false);
        }
    }

    /// A rule in which no slash is escaped: that means a plain slash here, and to git something else after two stars.
    fn rule() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "a",
            "b",
            "c",
            ".",
            "/",
            "/",
            "/",
            "*",
            "**",
            "**/",
            "/**/",
            "?",
            "[ab]",
            "[!a]",
            "[^b-d]",
            "[a-c-e]",
            "[]a]",
            "[",
            "]",
            "!",
            "^",
            "-",
            "[!",
            "[a-",
            "\\",
            "\\*",
            "\\[",
            "{a,b}",
            ",",
            "}",
            "[[:alpha:]",
            "[[:digit:][:punct:]]",
            "[[:x:]]",
            "[[:",
            ":]",
            "[/]",
            "[.-0]",
            "[!^]",
            "[\\]]",
            "[--a]",
            "[z-a]",
            "é",
        ]);
        let rule = prop::collection::vec(part, 1..7).prop_map(|parts| parts.concat());
        rule.prop_filter("an escaped slash", |rule| !rule.contains("\\/"))
    }

    fn path() -> impl Strategy<Value = String> {
        let name = "[ab]|[a-d.!^{},*?\\[\\]:é-]{1,4}";
        let name = name.prop_filter("a name", |name| !matches!(name.as_str(), "." | ".."));
        prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_rule_matches_what_gits_own_way_matches_and_a_refused_one_matches_nothing(
            rule in rule(),
            paths in prop::collection::vec(path(), 1..20),
            is_dir: bool,
        ) {
            for path in paths {
                let found = matches(&rule, path.as_bytes(), is_dir);
                if found.as_ref().is_err_and(|why| why.contains("outside ASCII")) {
                    continue;
                }
                let expected = reference(rule.as_bytes(), path.as_bytes(), is_dir);
                prop_assert_eq!(found == Ok(true), expected, "{:?} {:?} {:?}", rule, path, found);
            }
        }
    }
}
