//! Log lines: one for each event, whatever is in it.
//! It must not know what is logged; what a peer sent is escaped here, so that nothing above can forget to.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{LogFormat, LogLevel};
use crate::escape::{Plain, is_active};

/// Logs to standard error from now on, panics too.
pub fn start(format: LogFormat, level: LogLevel) {
    // Only the first one counts; in one process there is only one.
    drop(tracing::dispatcher::set_global_default(dispatch(format, level, io::stderr)));
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("a panic without words");
        tracing::error!(place, "a mistake in blitd: {text}");
    }));
}

/// What writes each event as one line to what `writer` makes.
pub fn dispatch<W>(format: LogFormat, level: LogLevel, writer: fn() -> W) -> Dispatch
where
    W: Write + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .with_target(false)
        .with_writer(Lines(writer));
    match format {
        LogFormat::Text => builder.finish().into(),
        LogFormat::Json => builder.json().flatten_event(true).finish().into(),
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    LevelFilter::from_level(match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    })
}

struct Lines<W>(fn() -> W);

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line((self.0)())
    }
}

/// Writes what it is given as one line. An event comes in one piece.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if text.contains(is_active) {
            self.0.write_all(format!("{}\n", Plain(text)).as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Shared by the tests of this module, each of which looks for its own words.
    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Memory;

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, word: &str, log: impl FnOnce()) -> Vec<String> {
        let dispatch = dispatch(format, LogLevel::Info, || Memory);
        tracing::dispatcher::with_default(&dispatch, log);
        let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(written).expect("UTF-8");
        assert!(text.ends_with('\n'));
        text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
    }

    const HOSTILE: &str = "a\x1b[2J\nERROR forged\r\u{9b}5m\u{202e}\0";

    #[test]
    fn what_a_peer_sent_stays_in_its_line_and_does_nothing_to_a_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let word = if format == LogFormat::Text { "wordT" } else { "wordJ" };
            let lines = lines(format, word, || {
                tracing::info!(name = HOSTILE, other = %HOSTILE, third = ?HOSTILE, "{word} {HOSTILE}");
            });
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(!lines[0].contains(|c: char| c.is_control() || c == '\u{202e}'), "{lines:?}");
            assert!(lines[0].contains("forged"), "{lines:?}");
        }
    }

    #[test]
    fn a_json_line_reads_back_as_what_was_logged() {
        let lines = lines(LogFormat::Json, "wordB", || tracing::warn!(name = HOSTILE, "wordB"));
        let value: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(value["name"], HOSTILE);
        assert_eq!(value["level"], "WARN");
    }

    #[test]
    fn lower_levels_are_left_out() {
        assert_eq!(
            lines(LogFormat::Text, "wordD", || {
                tracing::debug!("wordD low");
                tracing::info!("wordD high");
            })
            .len(),
            1
        );
    }
}
