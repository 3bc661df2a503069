//! Which trees a session copies: from options to trees; it makes none of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::{Count, SessionArgs, TreeChoice};
use crate::error::{Error, OnPath, Result};
use crate::trees::{Origin, Recipe, Tree};

/// The trees that were asked for, or `default` where none was.
pub(crate) fn trees(args: &SessionArgs, default: &[TreeChoice]) -> Result<Vec<Tree>> {
    let choices = match (&args.tree, args.trees.as_slice()) {
        (None, []) if args.scale.is_empty() => default,
        (_, chosen) => chosen,
    };
    let mut trees = choices.iter().map(|choice| tree(*choice, args)).collect::<Result<Vec<_>>>()?;
    for Count(files) in &args.scale {
        let recipe = Recipe::Small { files: *files, file_size: args.file_size.0 };
        trees.push(Tree {
            name: format!("{SCALE}{files}"),
            origin: Origin::Grown { recipe, seed: args.seed },
        });
    }
    if let Some(path) = &args.tree {
        let path = fs::canonicalize(path).on("resolve", path)?;
        if !path.is_dir() {
            return Err(Error::Usage(format!("--tree {}: not a directory", path.display())));
        }
        trees.push(Tree { name: "own".to_owned(), origin: Origin::Found(path) });
    }
    Ok(trees)
}

fn tree(choice: TreeChoice, args: &SessionArgs) -> Result<Tree> {
    let grown = |name: &str, recipe| Tree {
        name: name.to_owned(),
        origin: Origin::Grown { recipe, seed: args.seed },
    };
    Ok(match choice {
        TreeChoice::Small => {
            let files = args.files.unwrap_or(SMALL_FILES);
            grown("small", Recipe::Small { files, file_size: args.file_size.0 })
        }
        TreeChoice::Big => grown("big", Recipe::Big { size: args.big_size.0 }),
        TreeChoice::Mixed => {
            grown("mixed", Recipe::Mixed { files: args.files.unwrap_or(MIXED_FILES) })
        }
        TreeChoice::Deep => {
            let files = args.files.unwrap_or(DEEP_FILES);
            grown("deep", Recipe::Deep { files, file_size: args.file_size.0 })
        }
        TreeChoice::Wide => {
            let files = args.files.unwrap_or(SMALL_FILES);
            grown("wide", Recipe::Wide { files, file_size: args.file_size.0 })
        }
        TreeChoice::Sparse => {
            grown("sparse", Recipe::Sparse { files: args.files.unwrap_or(SPARSE_FILES) })
        }
        TreeChoice::Linked => {
            let files = args.files.unwrap_or(LINKED_FILES);
            grown("linked", Recipe::Linked { files, file_size: args.file_size.0 })
        }
        TreeChoice::Real => Tree { name: "real".to_owned(), origin: Origin::Found(real_tree()?) },
    })
}

/// Tens of thousands of real files that most machines of our users have.
fn real_tree() -> Result<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    let documentation = sysroot.ok().map(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("share/doc")
    });
    let found = documentation
        .into_iter()
        .chain([PathBuf::from("/usr/share/doc")])
        .find(|path| path.is_absolute() && path.is_dir());
    found.ok_or_else(|| {
        let text = "no Rust documentation and no /usr/share/doc here: use --trees without real";
        Error::Usage(text.to_owned())
    })
}

/// How the names of trees begin that differ in nothing but the number of files.
pub(crate) const SCALE: &str = "scale-";
const DEEP_FILES: u64 = 20_000;
const SPARSE_FILES: u64 = 100;
const LINKED_FILES: u64 = 20_000;
const SMALL_FILES: u64 = 100_000;
const MIXED_FILES: u64 = 2_000;
