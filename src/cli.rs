//! The command line: what was typed becomes one library call, and its answer is printed.
