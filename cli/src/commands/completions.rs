//! `blit completions`: generated from the definitions of the words.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Args, CompletionsArgs};
use crate::report::Exit;
use crate::ui;

/// Prints the completions for a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Exit {
    // Into memory first, since the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "blit", &mut script);
    let mut script = hidden_left_out(&String::from_utf8_lossy(&script));
    match args.shell {
        Shell::Bash => script.push_str(REMOTE_IN_BASH),
        Shell::Zsh => {
            let own = script.find(END_IN_ZSH).unwrap_or(script.len());
            script.replace_range(own.., REMOTE_IN_ZSH);
        }
        Shell::Fish => script.push_str(REMOTE_IN_FISH),
        _ => {}
    }
    ui::print(script.as_bytes())
}

/// The generators do not know that an option is hidden. One writes all options of a verb in one line, the others one a line.
fn hidden_left_out(script: &str) -> String {
    let command = Args::command();
    let verbs = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let hidden: Vec<String> = verbs
        .filter(|arg| arg.is_hide_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let mut kept = String::with_capacity(script.len());
    for line in script.lines() {
        let mut line = line.to_owned();
        if line.trim_start().starts_with("opts=") {
            for option in &hidden {
                line = line.replace(&format!(" {option} "), " ");
            }
        } else if hidden
            .iter()
            .any(|option| line.contains(option) || line.contains(&format!("-l {}", &option[2..])))
        {
            continue;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

/// Paths at a daemon that is known already are completed by asking it. Readline takes a colon for the end of a word, so what
/// stands before the last one is not repeated.
const REMOTE_IN_BASH: &str = r#"
_blit_or_remote() {
    local word=${COMP_LINE:0:COMP_POINT} before= IFS=$'\n'
    word=${word##*[[:space:]]}
    if [[ $word == ?*:/* ]]; then
        [[ $COMP_WORDBREAKS == *:* ]] && before=${word%"${word##*:}"}
        COMPREPLY=($(blit complete -- "$word" 2>/dev/null))
        COMPREPLY=("${COMPREPLY[@]#"$before"}")
        compopt -o nospace 2>/dev/null
        return 0
    fi
    _blit "$@"
}
complete -F _blit_or_remote -o bashdefault -o default blit
"#;

/// Where the generated script decides whether it is read for its first completion or beforehand.
const END_IN_ZSH: &str = "if [ \"$funcstack[1]\" = \"_blit\" ]; then";

/// The same decision, with paths at a daemon. Zsh quotes what it inserts.
const REMOTE_IN_ZSH: &str = r#"
_blit_or_remote() {
    local word=${(Q)PREFIX}
    local -a found
    if [[ $word == ?*:/* ]]; then
        found=(${(f)"$(blit complete -- "$word" 2>/dev/null)"})
        compadd -f -S '' -- $found
        return
    fi
    _blit "$@"
}

compdef _blit_or_remote blit
if [ "$funcstack[1]" = "_blit" ]; then
    _blit_or_remote "$@"
fi
"#;

/// Fish puts no space after a slash.
const REMOTE_IN_FISH: &str = r#"
function __blit_word
    string unescape -- (commandline --current-token --cut-at-cursor)
end
function __blit_is_remote
    string match --quiet --regex '^[^/].*:/' -- (__blit_word)
end
complete -c blit -n __blit_is_remote -f -a '(blit complete -- (__blit_word) 2>/dev/null)'
"#;
