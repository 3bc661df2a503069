//! A report as one page of HTML with plots, which needs no script, no font and no network.

use std::fmt::Write as _;

use crate::ceilings::{Ceilings, Created, Sealed};
use crate::choice::SCALE;
use crate::page::plot::{Bar, Frame, Line};
use crate::report::{Moment, Report, TreeReport, float};
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
        self.add_scale_to(&mut page);
        for tree in &self.trees {
            tree.add_to(&mut page);
            self.add_streams_to(tree, &mut page);
        }
        if let Some(ceilings) = &self.ceilings {
            ceilings.add_to(&mut page);
        }
        page.push_str("<h2>What the columns mean</h2>\n<p>");
        page.push_str(&escape(&table::LEGEND.join(" ")));
        page.push_str("</p>\n</html>\n");
        page
    }
}

impl Report {
    /// How time grows with the number of files, where trees of several sizes were copied.
    fn add_scale_to(&self, page: &mut String) {
        let scaled = || self.trees.iter().filter(|tree| tree.name.starts_with(SCALE));
        let mut operations: Vec<&str> = Vec::new();
        for tree in scaled().filter(|tree| !tree.rows.is_empty()) {
            if !operations.contains(&tree.operation.as_str()) {
                operations.push(&tree.operation);
            }
        }
        for operation in operations {
            let lines: Vec<Line> = self
                .arms
                .iter()
                .map(|arm| {
                    let points = scaled().filter(|tree| tree.operation == operation);
                    let points = points.filter_map(|tree| {
                        let row = tree.rows.iter().find(|row| row.arm == arm.name)?;
                        Some((float(tree.census.files), row.wall_seconds.median))
                    });
                    Line { name: arm.name.clone(), points: points.collect() }
                })
                .filter(|line| !line.points.is_empty())
                .collect();
            let title = format!("{operation}: seconds against number of files");
            let frame = Frame { title: &title, across: "files", is_logarithmic: true };
            page.push_str(&plot::lines(&frame, &lines));
        }
    }

    /// Throughput of the arms that were held to a number of streams.
    fn add_streams_to(&self, tree: &TreeReport, page: &mut String) {
        let mut lines: Vec<Line> = Vec::new();
        for arm in &self.arms {
            let row = tree.rows.iter().find(|row| row.arm == arm.name);
            let (Some(streams), Some(row)) = (arm.streams, row) else { continue };
            let name = arm.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            let point = (f64::from(streams), row.megabytes_per_second);
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: name.to_owned(), points: vec![point] }),
            }
        }
        if lines.is_empty() {
            return;
        }
        if let Some(ceilings) = &self.ceilings {
            lines.push(ceilings.loopback());
        }
        let frame =
            Frame { title: "MB/s against streams", across: "streams", is_logarithmic: false };
        page.push_str(&plot::lines(&frame, &lines));
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
        for timeline in &self.timelines {
            let line = |name: &str, amount: fn(&Moment) -> u64| {
                let moments = timeline.moments.iter();
                let points = moments.map(|moment| (moment.seconds, float(amount(moment)) / 1e6));
                Line { name: name.to_owned(), points: points.collect() }
            };
            let title = format!("{}: MB done and known against seconds", timeline.arm);
            let frame = Frame { title: &title, across: "seconds", is_logarithmic: false };
            let lines =
                [line("done", |moment| moment.bytes), line("known", |moment| moment.bytes_known)];
            page.push_str(&plot::lines(&frame, &lines));
        }
    }

    fn is_ours(&self, arm: &str) -> bool {
        self.rows.iter().any(|row| row.arm == arm && row.arm.starts_with("blit"))
    }
}

impl Ceilings {
    fn add_to(&self, page: &mut String) {
        page.push_str("<h2>Ceilings</h2>\n");
        let frame = |title, across| Frame { title, across, is_logarithmic: false };
        let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
        let streams = frame("MB/s over loopback against streams", "streams");
        page.push_str(&plot::lines(&streams, &[self.loopback()]));
        let made = |pace: fn(&Created) -> f64| {
            self.create.iter().map(|made| (float(made.threads), pace(made))).collect()
        };
        let lines = [
            line("created", made(|made| made.files_per_second)),
            line("unlinked", made(|made| made.unlinked_per_second)),
        ];
        let title = format!("files of {} bytes a second against threads", self.extent.file_bytes);
        page.push_str(&plot::lines(&frame(&title, "threads"), &lines));
        let bar = |sealed: &Sealed| {
            let value = sealed.rustls_bytes_per_second / 1e6;
            let (name, text) = (sealed.cipher.to_owned(), format!("{value:.0} MB/s"));
            Bar { name, value, ends: (value, value), text, is_ours: false }
        };
        let bars: Vec<Bar> = self.sealed.iter().map(bar).collect();
        page.push_str(&plot::bars("one stream of rustls over loopback, MB/s", &bars));
        let write = self.write_bytes_per_second / 1e6;
        add(page, format_args!("<p>Writing one file: {write:.0} MB/s</p>\n"));
    }
}

impl Ceilings {
    fn loopback(&self) -> Line {
        let sent = self.socket.iter();
        let points = sent.map(|sent| (float(sent.streams), sent.bytes_per_second / 1e6));
        Line { name: "plain loopback".to_owned(), points: points.collect() }
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
