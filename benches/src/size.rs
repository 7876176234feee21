//! What is deployed, in bytes.

use std::fs;
use std::path::Path;

use crate::function::Functions;
use crate::report::print_table;

pub(crate) fn measure(functions: &Functions) -> Result<(), String> {
    let megabytes = |path: &Path| {
        let size = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.len();
        Ok::<_, String>(format!("{:.2}", size as f64 / 1e6))
    };
    let guard = &functions.guard;
    let rows = [
        ("MB", "size".to_owned()),
        ("session-event, binary", megabytes(&guard.program)?),
        ("session-event, zip with its policies", megabytes(&guard.folder.with_extension("zip"))?),
        ("hello world, binary", megabytes(&functions.hello.program)?),
    ];
    print_table("Size", &rows.map(|(name, size)| vec![name.to_owned(), size]));
    Ok(())
}
