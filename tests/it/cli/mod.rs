//! The command line: commands, exit codes, the SQL prompt, permissions.

pub(crate) mod leftovers;
pub(crate) mod check;
pub(crate) mod commands;
pub(crate) mod diff;
pub(crate) mod load;
pub(crate) mod permissions;
pub(crate) mod repl;
pub(crate) mod report;
pub(crate) mod walkthrough;
pub(crate) mod whole_answers;
