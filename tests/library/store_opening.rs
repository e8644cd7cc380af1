//! A SQLite file that is opened: what keeps it from being one is told with its path, and several may make it at once.

use paidan::store::{FileTrouble, Store, StoreError};

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.jsonl");
    let text = "{\"order_id\": \"1\"}\n".repeat(100);
    std::fs::write(&path, &text).expect("written");
    for reading in [false, true] {
        let url = format!("sqlite:{}", path.display());
        let opened = if reading { Store::open_to_read(&url).await } else { Store::open(&url).await };
        match opened.expect_err("no database") {
            StoreError::File { path: named, trouble: FileTrouble::Damaged, .. } => {
                assert_eq!(named, path.display().to_string())
            }
            other => panic!("{other}"),
        }
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), text);
    }
}

#[tokio::test]
async fn a_file_in_a_folder_that_is_not_there_or_that_is_a_folder_itself_is_said_to_be_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("nowhere/paidan.db");
    for (path, said) in [(nowhere.as_path(), "its folder is not there"), (folder.path(), "is a folder, not a file")] {
        let refused = Store::open(&format!("sqlite:{}", path.display())).await.expect_err("refused").to_string();
        assert!(refused.contains(said) && refused.contains(&path.display().to_string()), "{refused}");
    }
}

#[test]
fn several_who_open_a_new_file_at_once_all_get_it() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("paidan.db").display());
        // Each as a process has it: a runtime and connections of its own.
        let open = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let store = Store::open(&url).await.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(store.last_change().await.expect("its tables are there"), 0);
                store.close().await;
            });
        };
        std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(open))));
    }
}
