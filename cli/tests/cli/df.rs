//! `blit df`: the room of file systems.

use crate::support::on_every_engine;
use crate::support::schema::{object, rows};
use crate::support::tree::file;

on_every_engine! {
    fn the_room_of_each_path_is_told(sandbox) {
        sandbox.make(&[file("d/f", "x")]);
        let value = object(&sandbox.blit(&["df", "--json", ".", "d", "d/f"]).code(0));
        assert_eq!(rows(&value, "path"), [".", "d", "d/f"]);
        for row in value["rows"].as_array().expect("always there") {
            let (total, available) = (row["total"].as_u64(), row["available"].as_u64());
            assert!(total > Some(0) && available <= total, "{row}");
        }
        let run = sandbox.blit(&["df"]).code(0);
        assert!(run.stdout.contains("AVAILABLE") && run.stdout.lines().count() == 2, "{run:?}");
    }

    fn what_is_not_there_is_told_beside_the_rest(sandbox) {
        let run = sandbox.blit(&["df", "none", "."]).code(2).says("none");
        assert_eq!(run.stdout.lines().count(), 2, "{run:?}");
    }
}
