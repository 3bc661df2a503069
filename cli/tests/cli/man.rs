//! `blit man`: a page for each verb.

use std::fs;

use crate::support::sandbox::Sandbox;
use crate::support::tree::dir;

#[test]
fn every_verb_has_a_page() {
    let sandbox = Sandbox::new("auto");
    sandbox.make(&[dir("man")]);
    let run = sandbox.blit(&["man", "man"]).code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let help = sandbox.blit(&["--help"]).stdout;
    let verbs = help.lines().skip_while(|line| *line != "Verbs:").skip(1);
    let verbs = verbs.map_while(|line| line.split_whitespace().next());
    let mut count = 0;
    for verb in verbs {
        let page = fs::read_to_string(sandbox.path(format!("man/blit-{verb}.1")));
        assert!(page.expect("a page").contains(".TH "), "{verb}");
        count += 1;
    }
    assert!(count >= 11, "{help}");
    assert!(sandbox.read("man/blit-copy.1").contains("\n.SH NOTES\n.nf\nThe trailing slash:"));
    assert!(sandbox.read("man/blit-mirror.1").contains("max\\-delete"));
}

#[test]
fn pages_that_cannot_be_written_are_an_error() {
    Sandbox::new("auto").blit(&["man", "none"]).code(2).says("error: write manual pages to none");
}
