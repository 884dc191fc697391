//! A hub that misbehaves decides neither where files are written nor who gets the token, and nobody waits for it for ever.

use cam_models::{Error, Hub, ModelCard};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that answers every request by a function, until it is dropped.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (asked, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, over) = (asked.clone(), ended.clone());
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
                log.lock().unwrap().push(request.clone());
                // The client may have gone away, which is what some tests are about.
                answer(&request, &mut stream).ok();
            }
        });
        Self { address, asked, ended, thread: Some(thread) }
    }

    /// One that answers every request with these headers and this body.
    pub fn saying(status: &'static str, headers: String, body: &'static [u8]) -> Self {
        Self::new(move |_, stream| {
            write!(stream, "HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")?;
            stream.write_all(body)
        })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A folder with a cache in it, and what of the user's is beside it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(home.folder.path().join("precious"), "mine").unwrap();
        home
    }

    fn hub(&self, endpoint: String) -> Hub {
        let (cache, timeout) = (self.folder.path().join("a/b/hub"), Duration::from_millis(400));
        Hub { endpoint, cache, token: Some("hf_secret".into()), offline: false, timeout }
    }

    /// Fetches from this server, which has to fail soon, and returns why.
    #[track_caller]
    fn fails(&self, server: &Server) -> String {
        let started = Instant::now();
        let error = self.hub(server.endpoint()).weights(&card(), |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Fetch { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        assert_eq!(std::fs::read_to_string(self.folder.path().join("precious")).unwrap(), "mine");
        let found = self.files();
        let is_ours = |path: &PathBuf| path.starts_with("a/b/hub/models--timm--resnet18.tv_in1k/blobs");
        assert!(found.iter().all(|path| is_ours(path) || path == Path::new("precious")), "{found:?}");
        error.to_string()
    }

    /// All files, from the folder on.
    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.path().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path.strip_prefix(self.folder.path()).unwrap().to_path_buf()),
                }
            }
        }
        files
    }
}

fn card() -> ModelCard {
    ModelCard::named("resnet18").unwrap()
}

/// The headers by which a hub names a file of four bytes.
fn named(commit: &str, etag: &str) -> String {
    format!(
        "X-Repo-Commit: {commit}\r\nETag: \"{etag}\"\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n"
    )
}

const COMMIT: &str = "0123abcd";

#[test]
fn names_of_a_hub_are_no_paths() {
    let paths = [
        "../../../../../precious",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "a.part",
        "a b",
        "%2e%2e",
        "con:",
        "a\u{e9}",
    ];
    for path in paths {
        for headers in [named(path, "abcd"), named(COMMIT, path), named(path, path)] {
            let (home, server) = (Home::new(), Server::saying("206 Partial Content", headers, b"evil"));
            assert!(home.fails(&server).contains("this is not the answer of a hub"), "{path}");
        }
    }
    let long = "a".repeat(5000);
    let server = Server::saying("206 Partial Content", named(COMMIT, &long), b"evil");
    assert!(Home::new().fails(&server).contains("its ETag is missing, or is no name"));
    // The plain names of the same answer are taken.
    let (home, server) = (Home::new(), Server::saying("206 Partial Content", named(COMMIT, "abcd"), b"good"));
    let path = home.hub(server.endpoint()).weights(&card(), |_, _| ()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "good");
}

#[test]
fn what_a_cache_names_is_no_path_either() {
    let home = Home::new();
    let repository = home.folder.path().join("a/b/hub/models--timm--resnet18.tv_in1k");
    std::fs::create_dir_all(repository.join("refs")).unwrap();
    std::fs::create_dir_all(home.folder.path().join("elsewhere")).unwrap();
    std::fs::write(home.folder.path().join("elsewhere/model.safetensors"), "evil").unwrap();
    std::fs::write(repository.join("refs/main"), "../../../../../elsewhere").unwrap();
    let hub = Hub { offline: true, ..home.hub("http://127.0.0.1:9".into()) };
    assert!(matches!(hub.weights(&card(), |_, _| ()), Err(Error::Offline { .. })));
    // Nor is what a model card names.
    for id in ["../../x", "/etc/x", "a", "a/b/c", "a/..", "a/b?c", "a/b#c", "", "/", "a/"] {
        let mut card = card();
        card.hub = Some(id.into());
        assert!(matches!(hub.weights(&card, |_, _| ()), Err(Error::NoWeights { .. })), "{id}");
    }
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let store = Server::saying("206 Partial Content", named(COMMIT, "abcd"), b"good");
    let place = store.endpoint();
    let server = Server::new(move |_, stream| {
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nX-Repo-Commit: 0123abcd\r\nX-Linked-ETag: \"abcd\"\r\nContent-Length: 0\r\n\
             Location: {place}/x\r\nConnection: close\r\n\r\n"
        )
    });
    let home = Home::new();
    home.hub(server.endpoint()).weights(&card(), |_, _| ()).unwrap();
    let has_token = |request: &String| request.to_lowercase().contains("hf_secret");
    assert!(server.asked().iter().all(has_token), "{:?}", server.asked());
    assert!(!store.asked().is_empty() && !store.asked().iter().any(has_token), "{:?}", store.asked());
}

#[test]
fn redirects_come_to_an_end() {
    let headers = "X-Repo-Commit: 0123abcd\r\nETag: \"abcd\"\r\nContent-Length: 0\r\n";
    let redirect = |place: &str| Server::saying("302 Found", format!("{headers}Location: {place}\r\n"), b"");
    let server = redirect("/again");
    assert!(Home::new().fails(&server).contains("redirects more than 5 times"));
    assert!(server.asked().len() < 20, "{}", server.asked().len());
    for nowhere in
        ["file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.1/x", "", "x", "http://", "http://[/x"]
    {
        let said = Home::new().fails(&redirect(nowhere));
        assert!(said.contains("redirects to nowhere"), "{nowhere}: {said}");
    }
}

#[test]
fn nobody_waits_for_a_hub_that_says_nothing_or_hardly_anything() {
    // Nothing; a header that does not end; a body that stops; one byte now and then.
    let pause = Duration::from_millis(600);
    let silent = Server::new(move |_, _| {
        std::thread::sleep(pause);
        Ok(())
    });
    Home::new().fails(&silent);
    let endless = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        (0..100_000).try_for_each(|number| write!(stream, "X-{number}: x\r\n"))
    });
    Home::new().fails(&endless);
    let head = || "HTTP/1.1 206 Partial Content\r\nX-Repo-Commit: 0123abcd\r\nETag: \"abcd\"\r\nContent-Range: bytes 0-999999/1000000\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n";
    let stops = Server::new(move |_, stream| {
        stream.write_all(head().as_bytes())?;
        std::thread::sleep(pause);
        Ok(())
    });
    Home::new().fails(&stops);
    let drips = Server::new(move |_, stream| {
        stream.write_all(head().as_bytes())?;
        (0..100).try_for_each(|_| {
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(b"x")?;
            stream.flush()
        })
    });
    assert!(Home::new().fails(&drips).contains("too slowly"));
}

#[test]
fn lengths_are_limited_and_kept() {
    let about = |range: &str, length: &str| {
        format!("X-Repo-Commit: 0123abcd\r\nETag: \"abcd\"\r\n{range}Content-Length: {length}\r\n")
    };
    let huge = Server::saying(
        "206 Partial Content",
        about("Content-Range: bytes 0-3/9999999999999\r\n", "4"),
        b"good",
    );
    assert!(Home::new().fails(&huge).contains("a file of 9999999999999 bytes"));
    let short = Server::saying("206 Partial Content", about("Content-Range: bytes 0-7/8\r\n", "4"), b"good");
    Home::new().fails(&short);
    for range in
        ["", "Content-Range: bytes 0-3/*\r\n", "Content-Range: 0-3/4\r\n", "Content-Range: bytes x-3/4\r\n"]
    {
        let server = Server::saying("206 Partial Content", about(range, "4"), b"good");
        assert!(Home::new().fails(&server).contains("its Content-Range is missing"), "{range}");
    }
    // A hub that ignores what is asked for sends all of it.
    let (home, whole) = (Home::new(), Server::saying("200 OK", about("", "4"), b"good and more"));
    let path = home.hub(whole.endpoint()).weights(&card(), |_, _| ()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "good");
}

#[test]
fn a_password_in_the_address_is_not_printed() {
    let server = Server::saying("404 Not Found", "Content-Length: 0\r\n".into(), b"");
    let home = Home::new();
    for (endpoint, offline) in [
        (format!("http://user:pass%40word@{}", server.address), false),
        ("http://user:pass%40word@127.0.0.1:9".into(), false),
        ("ftp://user:pass%40word@127.0.0.1:9".into(), false),
        ("http://user:pass%40word@127.0.0.1:9".into(), true),
    ] {
        let hub = Hub { offline, ..home.hub(endpoint) };
        let said = hub.weights(&card(), |_, _| ()).unwrap_err().to_string();
        assert!(!said.contains("pass") && !said.contains("user:") && said.contains("://127.0.0.1"), "{said}");
    }
}
