//! Files that are there as a whole or not at all: a full disk or a kill in the middle must not cost the file that was there before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::Failure;

/// Writes a file under a temporary name beside it and then gives it its own. One that is replaced keeps who may read it.
pub fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = Path::new(&temporary);
    let written = || -> io::Result<()> {
        let mut part = File::create(temporary)?;
        if let Ok(before) = fs::metadata(file) {
            part.set_permissions(before.permissions())?;
        }
        part.write_all(bytes)?;
        part.sync_all()?;
        fs::rename(temporary, file)
    };
    written().map_err(|error| {
        // It has a name that nobody believes: if it cannot be removed nothing is lost.
        let _ = fs::remove_file(temporary);
        Failure::file(file, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_who_may_read_it() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("rulings.csv");
        fs::write(&file, "before")?;
        let mut closed = fs::metadata(&file)?.permissions();
        closed.set_readonly(true);
        fs::set_permissions(&file, closed)?;
        let before = fs::metadata(&file)?.permissions();
        write(&file, b"after").expect("written");
        assert_eq!((fs::read(&file)?, fs::metadata(&file)?.permissions()), (b"after".to_vec(), before));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing is left beside it");
        Ok(())
    }

    #[test]
    fn what_cannot_be_written_leaves_the_file_as_it_was() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("rulings.csv");
        fs::write(&file, "before")?;
        // Where the temporary file would be stands something else.
        fs::create_dir(folder.path().join("rulings.csv.part"))?;
        write(&file, b"after").expect_err("no place for it");
        assert_eq!(fs::read(&file)?, b"before");
        Ok(())
    }
}
