//! Records: event → region → file. Runs inside the allocator of the recorded process.
