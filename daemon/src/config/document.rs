//! A TOML document in which each value knows its line, and which keys were asked for.
//! It must not know any key: those that nobody asked for are the unknown ones.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::interval;
use crate::escape::Plain;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// In words, without what the file says there unless it is a name that the operator must find again.
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// A parsed document.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    top: Spanned<DeTable<'t>>,
}

/// A value and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    line: usize,
}

impl<T> Placed<T> {
    /// What is wrong with it.
    pub fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { line: self.line, why: why.into() }
    }
}

impl<'t> Document<'t> {
    /// Parses `text`.
    ///
    /// # Errors
    /// Where it is not TOML.
    pub fn parse(text: &'t str) -> Result<Self, Fault> {
        let top = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            // The first line of the message says what was expected; it quotes at most the one character found.
            let why = error.message().lines().next().unwrap_or("it is not TOML").to_owned();
            Fault { line: line_at(text, at), why: format!("not TOML: {}", Plain(&why)) }
        })?;
        Ok(Self { text, top })
    }

    /// All of it.
    pub fn section(&self) -> Section<'_> {
        Section { text: self.text, table: self.top.get_ref(), line: 1, known: Vec::new() }
    }
}

/// A table of the document. A key is known once it was asked for.
#[derive(Debug)]
pub struct Section<'d> {
    text: &'d str,
    table: &'d DeTable<'d>,
    line: usize,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    /// A fault of the section as a whole.
    pub fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { line: self.line, why: why.into() }
    }

    /// The text of `key`.
    ///
    /// # Errors
    /// If it is not a text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, Fault> {
        Ok(self.spanned_text(key)?.map(|text| text.value))
    }

    /// The text of `key` with its line.
    ///
    /// # Errors
    /// If it is not a text.
    pub fn spanned_text(&mut self, key: &'static str) -> Result<Option<Placed<String>>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        self.text_of(key, value).map(Some)
    }

    /// One text or a list of texts.
    ///
    /// # Errors
    /// If it is something else.
    pub fn texts(&mut self, key: &'static str) -> Result<Option<Vec<Placed<String>>>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|text| self.text_of(key, text)).collect(),
            _ => self.text_of(key, value).map(|text| vec![text]),
        }
        .map(Some)
    }

    /// A path that begins at the top of the system.
    ///
    /// # Errors
    /// If it is relative, or not a text.
    pub fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, Fault> {
        let Some(text) = self.spanned_text(key)? else { return Ok(None) };
        if !Path::new(&text.value).is_absolute() {
            return Err(text.fault(format!("{key} must be a path from the top, like /srv/data")));
        }
        Ok(Some(text.value.into()))
    }

    /// A name or a number, as text.
    ///
    /// # Errors
    /// If it is neither.
    pub fn name_or_number(&mut self, key: &'static str) -> Result<Option<Placed<String>>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let line = self.line_of(value);
        let wanted = || Fault { line, why: format!("{key} must be a name or a number") };
        let text = match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => text.to_string(),
            DeValue::Integer(_) => {
                let number =
                    whole_number(value.get_ref()).and_then(|number| u32::try_from(number).ok());
                number.ok_or_else(wanted)?.to_string()
            }
            _ => return Err(wanted()),
        };
        Ok(Some(Placed { value: text, line }))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// If it is neither.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let flag = value.get_ref().as_bool();
        flag.map(Some).ok_or_else(|| self.at(value, format!("{key} must be true or false")))
    }

    /// Sets `count` to the number of `key`, if it is there.
    ///
    /// # Errors
    /// If it is not between 1 and `max`.
    pub fn count(&mut self, key: &'static str, max: usize, count: &mut usize) -> Result<(), Fault> {
        let mut wide = 0;
        self.bytes(key, max as u64, &mut wide)?;
        if wide > 0 {
            *count = usize::try_from(wide).unwrap_or(max);
        }
        Ok(())
    }

    /// Sets `bytes` to the number of `key`, if it is there.
    ///
    /// # Errors
    /// If it is not between 1 and `max`.
    pub fn bytes(&mut self, key: &'static str, max: u64, bytes: &mut u64) -> Result<(), Fault> {
        let Some(value) = self.take(key) else { return Ok(()) };
        let number = whole_number(value.get_ref()).filter(|number| (1..=max).contains(number));
        let wanted = || self.at(value, format!("{key} must be a number from 1 to {max}"));
        *bytes = number.ok_or_else(wanted)?;
        Ok(())
    }

    /// Sets `time` to that of `key`, if it is there: seconds, or a text with a unit.
    ///
    /// # Errors
    /// If it is something else, or out of bounds.
    pub fn interval(&mut self, key: &'static str, time: &mut Duration) -> Result<(), Fault> {
        let Some(value) = self.take(key) else { return Ok(()) };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            other => whole_number(other).map(|number| number.to_string()).unwrap_or_default(),
        };
        *time = interval::interval(&text).map_err(|why| self.at(value, format!("{key}: {why}")))?;
        Ok(())
    }

    /// The table of that name.
    ///
    /// # Errors
    /// If it is something else.
    pub fn table(&mut self, key: &'static str) -> Result<Option<Self>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        self.section_of(value).map(Some).ok_or_else(|| {
            self.at(value, format!("{key} must be a section, which begins with [{key}]"))
        })
    }

    /// The list of tables of that name; empty where there is none.
    ///
    /// # Errors
    /// If it is something else.
    pub fn tables(&mut self, key: &'static str) -> Result<Vec<Self>, Fault> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let tables = match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|table| self.section_of(table)).collect(),
            _ => None,
        };
        tables.ok_or_else(|| {
            self.at(value, format!("{key} must be sections, each of which begins with [[{key}]]"))
        })
    }

    /// Ends the section.
    ///
    /// # Errors
    /// If it has a key that nobody asked for.
    pub fn finish(self) -> Result<(), Fault> {
        let unknown =
            self.table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref()));
        // The map is sorted by name; the operator reads from the top.
        let first = unknown.map(|(key, _)| key).min_by_key(|key| key.span().start);
        let Some(key) = first else { return Ok(()) };
        let hint = match nearest(key.get_ref(), &self.known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the keys here are {}", self.known.join(", ")),
        };
        let why = format!("there is no key {} here; {hint}", Plain(key.get_ref()));
        Err(Fault { line: line_at(self.text, key.span().start), why })
    }

    fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        let table: &'d DeTable<'d> = self.table;
        table.get(key)
    }

    fn text_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Placed<String>, Fault> {
        let line = self.line_of(value);
        match value.get_ref().as_str() {
            Some(text) if !text.contains('\0') => Ok(Placed { value: text.to_owned(), line }),
            _ => Err(Fault { line, why: format!("{key} must be a text, in quotes") }),
        }
    }

    fn section_of(&self, value: &'d Spanned<DeValue<'d>>) -> Option<Self> {
        let table = value.get_ref().as_table()?;
        Some(Self { text: self.text, table, line: self.line_of(value), known: Vec::new() })
    }

    fn at(&self, value: &Spanned<DeValue<'_>>, why: String) -> Fault {
        Fault { line: self.line_of(value), why }
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> usize {
        line_at(self.text, value.span().start)
    }
}

fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn line_at(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// The word that `typed` was probably meant to be.
fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    if typed.len() > WORD_BYTES_MAX {
        return None;
    }
    let distance = |word: &&&str| strsim::damerau_levenshtein(typed, word);
    let near = words.iter().min_by_key(distance)?;
    let longer = typed.len().max(near.len());
    (distance(&near) * 2 <= longer).then_some(*near)
}

/// No word that could be meant is nearly as long.
const WORD_BYTES_MAX: usize = 64;
