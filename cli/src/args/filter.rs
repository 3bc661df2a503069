//! The options that say which entries exist for a verb.
//! It must not read any file that they name.

use std::ffi::OsString;
use std::path::PathBuf;

use blit_core::entry::Time;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, ValueHint, value_parser};

use crate::options::limit;

/// Which entries are taken into account at all.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters (the last rule that matches wins)")]
pub(crate) struct FilterArgs {
    #[command(flatten)]
    pub(crate) rules: Rules,

    /// Only the paths that FILE lists, one a line, below the source; `-` reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files_from: Option<OsString>,

    /// The paths of --files-from end in a NUL byte instead of a line end
    #[arg(short = '0', long, requires = "files_from")]
    pub(crate) from0: bool,

    /// No files smaller than SIZE: bytes, or with K, M, G, T as 1024, 1024 * 1024 and so on
    #[arg(long, value_name = "SIZE", value_parser = limit::size)]
    pub(crate) min_size: Option<u64>,

    /// No files larger than SIZE
    #[arg(long, value_name = "SIZE", value_parser = limit::size)]
    pub(crate) max_size: Option<u64>,

    /// Only files changed after WHEN: an age (30m, 12h, 3d, 2w) or a date (2026-01-31, 2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN", value_parser = limit::moment)]
    pub(crate) newer_than: Option<Time>,

    /// Only files changed before WHEN
    #[arg(long, value_name = "WHEN", value_parser = limit::moment)]
    pub(crate) older_than: Option<Time>,

    /// Do not enter directories that are on another file system
    #[arg(short = 'x', long)]
    pub(crate) one_file_system: bool,
}

/// The rules, in the order in which they were typed. A derived definition would keep one list for each option, and so
/// lose the order between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

/// One rule, or a file of them.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    /// What matches is left out.
    Exclude(String),
    /// What matches is taken.
    Include(String),
    /// Rules are read from there.
    File(PathBuf),
}

impl clap::Args for Rules {
    fn augment_args(command: Command) -> Command {
        let rule = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
        command
            .arg(rule(EXCLUDE).value_name("GLOB").help(
                "Leave out what matches, as .gitignore does: *.o anywhere, /build only at the top, cache/ only directories",
            ))
            .arg(rule(INCLUDE).value_name("GLOB").help("Take what matches although an earlier rule leaves it out"))
            .arg(
                rule(FILTER_FILE)
                    .value_name("FILE")
                    .value_hint(ValueHint::FilePath)
                    .value_parser(value_parser!(PathBuf))
                    .help("Read rules from FILE, written as in .gitignore, in the place of this option"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Rules {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut rules = placed(matches, EXCLUDE, |glob: &String| Rule::Exclude(glob.clone()));
        rules.extend(placed(matches, INCLUDE, |glob: &String| Rule::Include(glob.clone())));
        rules.extend(placed(matches, FILTER_FILE, |file: &PathBuf| Rule::File(file.clone())));
        rules.sort_by_key(|(place, _)| *place);
        Ok(Self(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The rules of one option, each with its place among all words.
fn placed<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    name: &str,
    rule: impl Fn(&T) -> Rule,
) -> Vec<(usize, Rule)> {
    let places = matches.indices_of(name).into_iter().flatten();
    let values = matches.get_many::<T>(name).into_iter().flatten();
    places.zip(values.map(rule)).collect()
}

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const FILTER_FILE: &str = "filter-file";
