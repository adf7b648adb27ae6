//! A store out of reach, and one of a system on trial: time is virtual.

use std::fs;
use std::path::Path;

use super::*;

/// The store in `directory` as a system with this command line of the kernel sees it.
fn system(directory: &Path, cmdline: &str) -> Home {
    let proc = directory.join("proc");
    fs::create_dir_all(&proc).unwrap();
    fs::write(proc.join("cmdline"), cmdline).unwrap();
    Home { directory: directory.to_owned(), proc }
}

/// An update has been installed by the system with this command line.
fn install(directory: &Path, cmdline: &str) {
    fs::create_dir_all(directory.join("firmware")).unwrap();
    fs::write(directory.join(MARKER), format!("system={cmdline}\nboot=1\nlimit=900\n")).unwrap();
}

fn confirm(directory: &Path) {
    fs::remove_file(directory.join(MARKER)).unwrap();
}

fn memory_of(server: u16) -> Record {
    Record::Session(Session { server, secret: vec![1] })
}

/// Writes one record, and is killed.
async fn commit(keeper: &mut Keeper, server: u16) {
    keeper.commit(Ticket(1), vec![Change::Put(memory_of(server))]);
    assert!(matches!(keeper.next().await, Told::Committed(Ticket(1), Ok(()))));
}

/// Copies of the store in a directory.
fn copies(directory: &Path) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name());
    let is_copy = |name: &str| name.starts_with("lwm2md.db.trial-") && !name.ends_with("-wal");
    files.filter(|name| is_copy(name.to_str().unwrap())).count()
}

/// A store with one record, out of reach: no file can be opened where a directory is.
fn out_of_reach(directory: &Path) -> Home {
    let home = system(directory, "root=a");
    let mut store = home.open().unwrap().0.store;
    store.commit(&[session((101, Secret::new(vec![1])))]).unwrap();
    drop(store);
    fs::rename(directory.join(NAME), directory.join("away")).unwrap();
    fs::create_dir(directory.join(NAME)).unwrap();
    home
}

fn bring_back(directory: &Path) {
    fs::remove_dir(directory.join(NAME)).unwrap();
    fs::rename(directory.join("away"), directory.join(NAME)).unwrap();
}

/// What is told within so many seconds.
async fn told(keeper: &mut Keeper, seconds: u64) -> Option<Told> {
    tokio::time::timeout(Duration::from_secs(seconds), keeper.next()).await.ok()
}

/// DESIGN 4.
#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_opened_is_tried_again_with_back_off() {
    let directory = tempfile::tempdir().unwrap();
    let (mut keeper, records) = Keeper::open(out_of_reach(directory.path())).unwrap();
    assert_eq!(records, []);
    // After 10, 30, 70, 150, 310, 630 s, then every 600 s.
    assert!(told(&mut keeper, 629).await.is_none());
    keeper.commit(Ticket(1), Vec::new());
    match keeper.next().await {
        Told::Committed(Ticket(1), Err(reason)) => assert!(reason.contains(NAME), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(told(&mut keeper, 2).await.is_none());
    bring_back(directory.path());
    assert!(told(&mut keeper, 595).await.is_none(), "not sooner");
    match told(&mut keeper, 10).await {
        Some(Told::Opened(records)) => assert_eq!(records.len(), 1),
        other => panic!("{other:?}"),
    }
    keeper.commit(Ticket(2), vec![Change::RemoveAll]);
    assert!(matches!(keeper.next().await, Told::Committed(Ticket(2), Ok(()))));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_store_can_be_cancelled_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let (mut keeper, _) = Keeper::open(out_of_reach(directory.path())).unwrap();
    bring_back(directory.path());
    for _ in 0..11 {
        match told(&mut keeper, 1).await {
            None => {}
            Some(Told::Opened(records)) => return assert_eq!(records.len(), 1),
            other => panic!("{other:?}"),
        }
    }
    panic!("it was not opened after 10 s");
}

#[tokio::test]
async fn what_a_link_left_behind_is_forgotten_if_it_is_not_written_yet() {
    let directory = tempfile::tempdir().unwrap();
    let home = system(directory.path(), "root=a");
    let (mut keeper, _) = Keeper::open(home.clone()).unwrap();
    keeper.remember(101, Secret::new(vec![1]));
    keeper.remember(102, Secret::new(vec![2]));
    keeper.forget(101);
    keeper.settle().await;
    drop(keeper);
    let (_, records) = Keeper::open(home).unwrap();
    assert_eq!(records, [Record::Session(Session { server: 102, secret: vec![2] })]);
}

/// DESIGN 4.
#[tokio::test(start_paused = true)]
async fn a_rollback_finds_the_store_that_the_old_system_knows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (mut keeper, _) = Keeper::open(system(path, "root=a")).unwrap();
    commit(&mut keeper, 101).await;
    install(path, "root=a");
    assert!(told(&mut keeper, 100).await.is_none(), "the old system is not on trial");
    commit(&mut keeper, 102).await;
    drop(keeper);

    let (mut keeper, records) = Keeper::open(system(path, "root=b")).unwrap();
    assert_eq!(records, [memory_of(101), memory_of(102)]);
    commit(&mut keeper, 103).await;
    assert!(told(&mut keeper, 1000).await.is_none());
    keeper.settle().await;
    drop(keeper);
    let (keeper, records) = Keeper::open(system(path, "root=b")).unwrap();
    assert_eq!(records.len(), 3, "the trial goes on after a restart");
    drop(keeper);

    let (_keeper, records) = Keeper::open(system(path, "root=a")).unwrap();
    assert_eq!(records, [memory_of(101), memory_of(102)]);
    assert_eq!(copies(path), 0);
}

/// A device goes on for months after an update: its next one must not begin with what
/// was known before this one.
/// DESIGN 4.
#[tokio::test(start_paused = true)]
async fn the_store_of_a_confirmed_system_is_the_one_that_the_next_update_starts_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(Keeper::open(system(path, "root=a")).unwrap());
    for (number, (old, new)) in [("root=a", "root=b"), ("root=b", "root=a")].into_iter().enumerate()
    {
        install(path, old);
        let (mut keeper, records) = Keeper::open(system(path, new)).unwrap();
        assert_eq!(records.len(), 2 * number);
        let first = u16::try_from(2 * number).unwrap() + 1;
        commit(&mut keeper, first).await;
        assert_eq!(copies(path), 1);
        confirm(path);
        assert!(told(&mut keeper, 35).await.is_none());
        assert_eq!(copies(path), 0, "taken over while it runs");
        commit(&mut keeper, first + 1).await;
        assert!(told(&mut keeper, 1000).await.is_none());
    }
}

/// DESIGN 4, 8.2.
#[tokio::test(start_paused = true)]
async fn a_system_killed_or_stopped_right_after_its_confirmation_loses_nothing() {
    for is_stopped in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        install(path, "root=a");
        let (mut keeper, _) = Keeper::open(system(path, "root=b")).unwrap();
        commit(&mut keeper, 101).await;
        confirm(path);
        if is_stopped {
            keeper.settle().await;
        }
        assert_eq!(copies(path), usize::from(!is_stopped));
        drop(keeper);
        let (_keeper, records) = Keeper::open(system(path, "root=b")).unwrap();
        assert_eq!((records, copies(path)), (vec![memory_of(101)], 0));
    }
}

/// What cannot be taken over stays where it is, until it can.
#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_taken_over_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    install(path, "root=a");
    let (mut keeper, _) = Keeper::open(system(path, "root=b")).unwrap();
    commit(&mut keeper, 101).await;
    confirm(path);
    fs::create_dir(path.join(NAME)).unwrap();
    assert!(told(&mut keeper, 100).await.is_none());
    keeper.commit(Ticket(1), vec![Change::Put(memory_of(102))]);
    assert!(matches!(keeper.next().await, Told::Committed(Ticket(1), Err(_))));
    fs::remove_dir(path.join(NAME)).unwrap();
    match told(&mut keeper, 600).await {
        Some(Told::Opened(records)) => assert_eq!(records, [memory_of(101)]),
        other => panic!("{other:?}"),
    }
    commit(&mut keeper, 102).await;
    assert_eq!(copies(path), 0);
}

const NAME: &str = "lwm2md.db";
const MARKER: &str = "firmware/trial";
