//! Text of others, made harmless for terminals and logs.
//! It must not know where the text goes.

use std::fmt::{self, Write};

pub use blit_core::path::is_active;

/// Shows text without anything that a terminal or a reader of lines would take for more than text: control characters,
/// line ends, and what changes the direction of writing become `\u` and four digits, as in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_active(c) {
                write!(f, "\\u{:04x}", u32::from(c))?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_spelled_out_and_what_is_text_stays() {
        let shown = Plain("a\x1b[2J\nb\u{9b}\u{202e}\u{7f}\u{2028} ä漢 \\ \"").to_string();
        assert_eq!(shown, "a\\u001b[2J\\u000ab\\u009b\\u202e\\u007f\\u2028 ä漢 \\ \"");
    }
}
