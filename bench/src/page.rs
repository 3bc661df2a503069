//! A report as one page of HTML with plots, which needs no script, no font and no network.

use std::fmt::Write as _;

use crate::ceilings::Ceilings;
use crate::page::plot::{Bar, Line};
use crate::report::{Report, TreeReport, float};
use crate::table::{self, seconds};

mod plot;

impl Report {
    /// The whole page.
    pub(crate) fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let machine = &self.machine;
        let title = format!("blit-bench {}", self.verb);
        add(&mut page, format_args!("<title>{0}</title>\n<h1>{0}</h1>\n", escape(&title)));
        page.push_str("<table class=\"facts\">\n");
        let memory = table::bytes_in(machine.memory_bytes, 30);
        let conditions = &self.conditions;
        for (name, value) in [
            ("machine", format!("{}, {} cores, {memory:.1} GiB", machine.processor, machine.cores)),
            ("system", format!("{}, {}", machine.kernel, machine.distribution)),
            ("load at the start", machine.load.clone()),
            (
                "conditions",
                format!(
                    "{} rounds, seed {}, {} source; target: {}",
                    conditions.rounds, conditions.seed, conditions.cache, conditions.fresh
                ),
            ),
        ] {
            fact(&mut page, name, &value);
        }
        for arm in &self.arms {
            let lines: Vec<String> = arm.command_lines().collect();
            fact(&mut page, &arm.name, &format!("{} ({})", lines.join("; "), arm.version));
        }
        for missing in &self.missing {
            fact(&mut page, &missing.name, &format!("missing: no {}", missing.looked_for));
        }
        page.push_str("</table>\n");
        self.trees.iter().for_each(|tree| tree.add_to(&mut page));
        if let Some(ceilings) = &self.ceilings {
            ceilings.add_to(&mut page);
        }
        page.push_str("<h2>What the columns mean</h2>\n<p>");
        page.push_str(&escape(&table::LEGEND.join(" ")));
        page.push_str("</p>\n</html>\n");
        page
    }
}

impl TreeReport {
    fn add_to(&self, page: &mut String) {
        add(page, format_args!("<h2>{}</h2>\n", escape(&self.title())));
        let census = &self.census;
        let about = format!(
            "{} files, {} directories, {:.1} MiB, on {}",
            census.files,
            census.directories,
            table::bytes_in(census.bytes, 20),
            self.target_mount
        );
        add(page, format_args!("<p>{}</p>\n", escape(&about)));
        for note in &self.notes {
            add(page, format_args!("<p class=\"note\">{}</p>\n", escape(note)));
        }
        let bars: Vec<Bar> = self
            .rows
            .iter()
            .map(|row| Bar {
                name: row.arm.clone(),
                value: row.wall_seconds.median,
                ends: (row.wall_seconds.min, row.wall_seconds.max),
                text: format!("{} s", seconds(row.wall_seconds.median)),
                is_ours: self.is_ours(&row.arm),
            })
            .collect();
        page.push_str(&plot::bars("wall seconds, median with least and most", &bars));
        page.push_str("<table>\n");
        let columns = table::columns(&self.rows);
        for line in 0..=self.rows.len() {
            let tag = if line == 0 { "th" } else { "td" };
            page.push_str("<tr>");
            for column in &columns {
                add(page, format_args!("<{tag}>{}</{tag}>", escape(&column[line])));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table>\n");
    }

    fn is_ours(&self, arm: &str) -> bool {
        self.rows.iter().any(|row| row.arm == arm && row.arm.starts_with("blit"))
    }
}

impl Ceilings {
    fn add_to(&self, page: &mut String) {
        page.push_str("<h2>Ceilings</h2>\n");
        let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
        let sent = self.socket.iter();
        let points = sent.map(|sent| (float(sent.streams), sent.bytes_per_second / 1e6)).collect();
        let lines = [line("MB/s over loopback", points)];
        page.push_str(&plot::lines("throughput against streams", "streams", &lines));
        let made = self.create.iter();
        let points = made.map(|made| (float(made.threads), made.files_per_second)).collect();
        let title = format!("files of {} bytes created a second", self.extent.file_bytes);
        let lines = [line(&title, points)];
        page.push_str(&plot::lines("files a second against threads", "threads", &lines));
        let write = self.write_bytes_per_second / 1e6;
        add(page, format_args!("<p>Writing one file: {write:.0} MB/s</p>\n"));
    }
}

fn fact(page: &mut String, name: &str, value: &str) {
    add(page, format_args!("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value)));
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string does not fail");
}

/// Text as it may stand between tags and in attributes. Control characters have no place there.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<style>
body { font: 14px/1.4 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5em 0 1.5em; }
th, td { padding: 0.2em 0.7em; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child, .facts th, .facts td { text-align: left; vertical-align: top; }
.note { color: #a40; } svg { max-width: 100%; } svg text { font: 12px sans-serif; fill: #222; }
</style>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_name_holds_becomes_markup() {
        assert_eq!(escape("<a href='x'>&\"\x1b"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}");
    }
}
