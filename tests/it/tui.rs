//! The explorer without a screen: scopes, tables, trees and their oracles.

use crate::tui_fixture;

/// Leaves the fixture behind to be looked at by hand: `RHEAPER_KEEP=path cargo test keep_fixture`.
#[test]
fn keep_fixture() {
    if let Some(path) = std::env::var_os("RHEAPER_KEEP") {
        let _ = std::fs::remove_file(&path);
        tui_fixture::write(&tui_fixture::leaky_server(), path.as_ref());
    }
}
