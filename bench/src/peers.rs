//! The copiers on one machine: how each is called, what it promises to keep, and where it is on this machine.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use serde::Serialize;

use crate::services::Service;
use crate::verify::Fidelity;

/// A copier that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Blit,
    Cp,
    Rsync,
    Cpz,
    Xcp,
    /// Takes part in deleting only
    Rm,
    /// Takes part in deleting only
    Rmz,
}

/// The engines of blit, each an arm of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Auto,
    Threads,
    Uring,
}

/// One contestant: a program that was found, and how it is called.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Arm {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    pub(crate) fidelity: Fidelity,
    /// Whether the copy survives a power failure when the command returns.
    pub(crate) durability: &'static str,
    pub(crate) encryption: &'static str,
    pub(crate) calls: Vec<Call>,
    /// What has to run at the far end.
    pub(crate) service: Option<Service>,
    /// Whether a second run finds that nothing is left to do.
    pub(crate) has_noop: bool,
    /// It would take hours for more files, or lose the links among them.
    pub(crate) is_for_few_plain_files: bool,
    pub(crate) is_blit: bool,
    /// How many data streams it was held to.
    pub(crate) streams: Option<u32>,
}

/// What a copy goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Copy,
    Push,
    Pull,
    /// Of a copy that was made for it.
    Delete,
}

/// How an arm is called for one operation.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// With the words SOURCE, TARGET and EMPTY where paths go, or, in a longer word, ADDRESS and FAR where
    /// the daemon's address and the path that it knows go.
    pub(crate) arguments: Vec<String>,
}

/// What takes the places of the words in a call.
pub(crate) struct Places<'a> {
    pub(crate) source: &'a Path,
    /// A directory with nothing in it.
    pub(crate) empty: &'a Path,
    pub(crate) target: &'a Path,
    pub(crate) address: &'a str,
    pub(crate) far: &'a str,
}

/// A contestant that was asked for and is not here.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Missing {
    pub(crate) name: String,
    pub(crate) looked_for: String,
}

/// Where programs are looked for.
pub(crate) struct Search<'a> {
    pub(crate) blit: &'a Path,
    /// Before PATH.
    pub(crate) peer_paths: &'a [PathBuf],
}

impl Arm {
    /// None for an operation that this arm does not know.
    pub(crate) fn command(
        &self,
        operation: Operation,
        places: &Places<'_>,
    ) -> Option<Vec<OsString>> {
        let call = self.calls.iter().find(|call| call.operation == operation)?;
        let mut command = vec![self.program.clone().into_os_string()];
        command.extend(call.arguments.iter().map(|argument| match argument.as_str() {
            "SOURCE" => places.source.as_os_str().to_os_string(),
            "SOURCE/" => places.source.join("").into_os_string(),
            "EMPTY/" => places.empty.join("").into_os_string(),
            "TARGET" => places.target.as_os_str().to_os_string(),
            "TARGET/" => places.target.join("").into_os_string(),
            other => other.replace("ADDRESS", places.address).replace("FAR", places.far).into(),
        }));
        Some(command)
    }

    pub(crate) fn knows(&self, operation: Operation) -> bool {
        self.calls.iter().any(|call| call.operation == operation)
    }

    /// As a person would type them.
    pub(crate) fn command_lines(&self) -> impl Iterator<Item = String> {
        let line = |call: &Call| format!("{} {}", self.program.display(), call.arguments.join(" "));
        self.calls.iter().map(line)
    }
}

impl Call {
    pub(crate) fn new(operation: Operation, words: &[&str]) -> Self {
        Self { operation, arguments: words.iter().map(|word| (*word).to_owned()).collect() }
    }
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Delete => "delete",
        }
    }
}

impl Peer {
    /// All arms of this peer: one, or for blit one an engine.
    pub(crate) fn find(self, engines: &[Engine], search: &Search<'_>) -> Vec<Result<Arm, Missing>> {
        let program = match self {
            Self::Blit => search.blit.is_file().then(|| search.blit.to_path_buf()),
            _ => find_program(self.program(), search.peer_paths),
        };
        let version = program.as_deref().map(version).unwrap_or_default();
        let calls = self.calls(engines);
        let arms = calls.into_iter().map(|(name, calls)| match &program {
            Some(program) => Ok(Arm {
                name,
                program: program.clone(),
                version: version.clone(),
                fidelity: self.fidelity(),
                durability: "none",
                encryption: "none",
                calls,
                service: None,
                // The others copy everything again, or into the target.
                has_noop: matches!(self, Self::Blit | Self::Rsync),
                is_for_few_plain_files: false,
                is_blit: self == Self::Blit,
                streams: None,
            }),
            None => Err(Missing { name, looked_for: self.looked_for(search) }),
        });
        arms.collect()
    }

    fn calls(self, engines: &[Engine]) -> Vec<(String, Vec<Call>)> {
        let copy: &[&str] = match self {
            Self::Blit => {
                let calls = |engine: &Engine| {
                    let (option, name) = ("--engine", engine.name());
                    let copy = ["copy", option, name, "SOURCE/", "TARGET"];
                    let empty = ["mirror", option, name, "--yes", "--allow-empty-source"];
                    let delete = [&empty[..], &["EMPTY/", "TARGET"]].concat();
                    let calls =
                        [Call::new(Operation::Copy, &copy), Call::new(Operation::Delete, &delete)];
                    (format!("blit-{name}"), calls.to_vec())
                };
                return engines.iter().map(calls).collect();
            }
            Self::Cp => &["-a", "SOURCE", "TARGET"],
            Self::Rsync => &["-aHAXS", "--numeric-ids", "SOURCE/", "TARGET/"],
            Self::Cpz => &["SOURCE", "TARGET"],
            Self::Xcp => &["-r", "--no-progress", "-w", "0", "SOURCE", "TARGET"],
            Self::Rm | Self::Rmz => &[],
        };
        let delete: &[&str] = match self {
            Self::Rsync => &["-a", "--delete", "EMPTY/", "TARGET/"],
            Self::Rm => &["-rf", "TARGET"],
            Self::Rmz => &["TARGET"],
            Self::Blit | Self::Cp | Self::Cpz | Self::Xcp => &[],
        };
        let calls = [(Operation::Copy, copy), (Operation::Delete, delete)]
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(operation, words)| Call::new(operation, words));
        vec![(self.program().to_owned(), calls.collect())]
    }

    /// Whether it can take part in any of these.
    pub(crate) fn knows(self, operations: &[Operation]) -> bool {
        let calls = self.calls(&[Engine::Auto]);
        let knows = |call: &Call| operations.contains(&call.operation);
        calls.iter().any(|(_, calls)| calls.iter().any(knows))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Blit => "blit",
            Self::Cp => "cp",
            Self::Rsync => "rsync",
            Self::Cpz => "cpz",
            Self::Xcp => "xcp",
            Self::Rm => "rm",
            Self::Rmz => "rmz",
        }
    }

    fn fidelity(self) -> Fidelity {
        match self {
            // What only deletes keeps nothing: it is judged by what is left.
            Self::Blit | Self::Cp | Self::Rsync | Self::Rm | Self::Rmz => Fidelity::Full,
            Self::Xcp => Fidelity::ModeTimes,
            // It does keep modes, but no times.
            Self::Cpz => Fidelity::Data,
        }
    }

    fn looked_for(self, search: &Search<'_>) -> String {
        match self {
            Self::Blit => search.blit.display().to_string(),
            _ => format!("{} in --peer-path and PATH", self.program()),
        }
    }
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Threads => "threads",
            Self::Uring => "uring",
        }
    }
}

pub(crate) fn find_program(name: &str, first: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = first.iter().cloned().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The first line of what the program says of itself.
pub(crate) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().map(|line| line.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(folder: &Path) -> Vec<Result<Arm, Missing>> {
        let search = Search { blit: &folder.join("blit"), peer_paths: &[folder.to_path_buf()] };
        let engines = [Engine::Auto, Engine::Uring];
        [Peer::Blit, Peer::Cpz].iter().flat_map(|peer| peer.find(&engines, &search)).collect()
    }

    #[test]
    fn blit_has_an_arm_for_each_engine_and_takes_the_contents_of_the_source() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("blit"), "").expect("a stand-in");
        std::fs::write(folder.path().join("cpz"), "").expect("a stand-in");
        let arms: Vec<Arm> =
            search(folder.path()).into_iter().map(|arm| arm.expect("an arm")).collect();
        let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["blit-auto", "blit-uring", "cpz"]);
        let places = Places {
            source: Path::new("s"),
            empty: Path::new("e"),
            target: Path::new("t"),
            address: "",
            far: "",
        };
        let command = arms[1].command(Operation::Copy, &places).expect("it copies");
        assert!(arms[1].command(Operation::Push, &places).is_none());
        let source = Path::new("s").join("").into_os_string();
        assert_eq!(command[4], source);
        assert_eq!(command[1..4], ["copy", "--engine", "uring"]);
    }

    #[test]
    fn what_is_not_there_is_missing_by_name() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let missing = search(folder.path()).swap_remove(0).expect_err("no blit");
        assert_eq!(missing.name, "blit-auto");
        assert!(missing.looked_for.ends_with("blit"));
    }
}
