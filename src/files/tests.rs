use super::*;

#[test]
fn a_directory_without_a_parent_in_its_name_is_in_the_current_one() {
    for directory in ["logs", "./logs", "/logs"] {
        assert!(sync_parent(Path::new(directory)).is_ok(), "{directory}");
    }
    assert!(sync_parent(Path::new("not there/logs")).is_err());
}
