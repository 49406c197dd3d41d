//! The `rheaper` command.

fn main() {}
