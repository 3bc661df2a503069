//! The pairs of client and daemon: how each sends and fetches, and what it keeps on the way.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::peers::{Arm, Call, Engine, Missing, Operation, find_program, version};
use crate::services::{Kind, Service};
use crate::verify::Fidelity;

/// A pair that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Route {
    /// blit and blitd, encrypted as by default
    Blit,
    /// The same with --plaintext-data
    BlitClear,
    /// rsync and its daemon, which does not encrypt
    Rsyncd,
    /// rclone and its webdav server, which does not encrypt; trees of few files only
    Rclone,
}

/// Where programs are looked for.
pub(crate) struct Search<'a> {
    pub(crate) blit: &'a Path,
    pub(crate) blitd: &'a Path,
    pub(crate) engines: &'a [Engine],
    /// An arm of blit for each number of data streams; one without a bound where there is none.
    pub(crate) streams: &'a [u32],
    /// Before PATH.
    pub(crate) peer_paths: &'a [PathBuf],
}

impl Route {
    /// All arms of this pair: one, or for blit one an engine.
    pub(crate) fn find(self, search: &Search<'_>) -> Vec<Result<Arm, Missing>> {
        match self {
            Self::Blit | Self::BlitClear => {
                let streams: Vec<Option<u32>> = match search.streams {
                    [] => vec![None],
                    some => some.iter().copied().map(Some).collect(),
                };
                let engines = search.engines.iter();
                engines
                    .flat_map(|engine| streams.iter().map(move |streams| (*engine, *streams)))
                    .map(|(engine, streams)| self.find_blit(engine, streams, search))
                    .collect()
            }
            Self::Rsyncd => vec![find_other(search, "rsync", rsyncd)],
            Self::Rclone => vec![find_other(search, "rclone", rclone)],
        }
    }

    fn find_blit(
        self,
        engine: Engine,
        streams: Option<u32>,
        search: &Search<'_>,
    ) -> Result<Arm, Missing> {
        let is_clear = self == Self::BlitClear;
        let mut name = format!("blit-{}{}", engine.name(), if is_clear { "-clear" } else { "" });
        let bound = streams.map(|streams| streams.to_string());
        if let Some(bound) = &bound {
            name = format!("{name}-{bound}");
        }
        let missing = |looked_for: String| Missing { name: name.clone(), looked_for };
        for program in [search.blit, search.blitd] {
            if !program.is_file() {
                return Err(missing(program.display().to_string()));
            }
        }
        if is_clear && !knows(search.blit, CLEAR) {
            return Err(missing(format!("{CLEAR} in {} copy --help", search.blit.display())));
        }
        let call = |operation, ends: [&str; 2]| {
            let mut words = vec!["copy", "--engine", engine.name()];
            words.extend(is_clear.then_some(CLEAR));
            if let Some(bound) = &bound {
                // A stream keeps one thread busy: there are never more of them than threads.
                words.extend(["--max-threads", bound]);
            }
            words.extend(ends);
            Call::new(operation, &words)
        };
        Ok(Arm {
            version: version(search.blit),
            program: search.blit.to_path_buf(),
            fidelity: Fidelity::Full,
            durability: "none",
            encryption: if is_clear { "none" } else { "TLS 1.3" },
            calls: vec![
                call(Operation::Push, ["SOURCE/", "ADDRESS://FAR"]),
                call(Operation::Pull, ["ADDRESS://FAR/", "TARGET"]),
            ],
            service: Some(Service {
                version: version(search.blitd),
                program: search.blitd.to_path_buf(),
                kind: Kind::Blitd { engine: engine.name(), threads: streams },
            }),
            has_noop: true,
            is_for_few_plain_files: false,
            is_blit: true,
            streams,
            name,
        })
    }
}

fn find_other(
    search: &Search<'_>,
    program: &str,
    arm: fn(PathBuf, String) -> Arm,
) -> Result<Arm, Missing> {
    let found = find_program(program, search.peer_paths);
    let found = found.ok_or_else(|| Missing {
        name: program.to_owned(),
        looked_for: format!("{program} in --peer-path and PATH"),
    })?;
    let version = version(&found);
    Ok(arm(found, version))
}

fn rsyncd(program: PathBuf, version: String) -> Arm {
    let keep = ["-aHAXS", "--numeric-ids"];
    let call = |operation, ends: [&str; 2]| Call::new(operation, &[&keep[..], &ends].concat());
    Arm {
        name: "rsyncd".to_owned(),
        fidelity: Fidelity::Full,
        durability: "none",
        encryption: "none",
        calls: vec![
            call(Operation::Push, ["SOURCE/", "rsync://ADDRESS/root/FAR/"]),
            call(Operation::Pull, ["rsync://ADDRESS/root/FAR/", "TARGET/"]),
        ],
        service: Some(Service {
            program: program.clone(),
            version: version.clone(),
            kind: Kind::Rsyncd,
        }),
        has_noop: true,
        is_for_few_plain_files: false,
        is_blit: false,
        streams: None,
        program,
        version,
    }
}

fn rclone(program: PathBuf, version: String) -> Arm {
    let how = ["copy", "--create-empty-src-dirs", "--transfers", "16", "--checkers", "16"];
    let far = ":webdav,url='http://ADDRESS':FAR";
    let call = |operation, ends: [&str; 2]| Call::new(operation, &[&how[..], &ends].concat());
    Arm {
        name: "rclone-webdav".to_owned(),
        // Its protocol has no place for modes, nor for times that it could set.
        fidelity: Fidelity::Data,
        durability: "none",
        encryption: "none",
        calls: vec![call(Operation::Push, ["SOURCE", far]), call(Operation::Pull, [far, "TARGET"])],
        service: Some(Service {
            program: program.clone(),
            version: version.clone(),
            kind: Kind::Webdav,
        }),
        has_noop: true,
        is_for_few_plain_files: true,
        is_blit: false,
        streams: None,
        program,
        version,
    }
}

/// Whether `copy --help` of this blit speaks of an option.
fn knows(blit: &Path, option: &str) -> bool {
    let help = Command::new(blit).args(["copy", "--help"]).stdin(Stdio::null()).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(option))
}

const CLEAR: &str = "--plaintext-data";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Places;

    fn search(folder: &Path, route: Route) -> Vec<Result<Arm, Missing>> {
        search_streams(folder, route, &[])
    }

    fn search_streams(folder: &Path, route: Route, streams: &[u32]) -> Vec<Result<Arm, Missing>> {
        let paths = [folder.to_path_buf()];
        let (blit, blitd) = (folder.join("blit"), folder.join("blitd"));
        let search = Search {
            blit: &blit,
            blitd: &blitd,
            engines: &[Engine::Auto, Engine::Threads],
            streams,
            peer_paths: &paths,
        };
        route.find(&search)
    }

    #[test]
    fn a_pair_of_blit_needs_both_programs_and_the_clear_one_its_option() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("blit"), "").expect("a stand-in");
        let missing = search(folder.path(), Route::Blit).swap_remove(0).expect_err("no daemon");
        assert!(missing.looked_for.ends_with("blitd"), "{missing:?}");
        std::fs::write(folder.path().join("blitd"), "").expect("a stand-in");
        let arms = search(folder.path(), Route::Blit);
        assert_eq!(arms.len(), 2);
        assert_eq!(arms[1].as_ref().expect("an arm").name, "blit-threads");
        let held = search_streams(folder.path(), Route::Blit, &[1, 4]);
        let names = held.iter().map(|arm| arm.as_ref().expect("an arm").name.as_str());
        let wanted = ["blit-auto-1", "blit-auto-4", "blit-threads-1", "blit-threads-4"];
        assert_eq!(names.collect::<Vec<_>>(), wanted);
        let clear = search(folder.path(), Route::BlitClear).swap_remove(0);
        assert!(clear.expect_err("an empty file prints no help").looked_for.contains(CLEAR));
    }

    #[test]
    fn addresses_and_far_paths_take_their_places_within_words() {
        let arm = rsyncd("rsync".into(), "1".to_owned());
        let places = Places {
            source: Path::new("s"),
            empty: Path::new("e"),
            target: Path::new("t"),
            address: "127.0.0.1:9",
            far: "targets/1-rsyncd/copy",
        };
        let push = arm.command(Operation::Push, &places).expect("it pushes");
        assert_eq!(push[4], "rsync://127.0.0.1:9/root/targets/1-rsyncd/copy/");
        let pull = arm.command(Operation::Pull, &places).expect("it pulls");
        assert_eq!(pull[3], "rsync://127.0.0.1:9/root/targets/1-rsyncd/copy/");
        assert_eq!(pull[4], Path::new("t").join("").into_os_string());
        assert!(arm.command(Operation::Copy, &places).is_none());
    }
}
