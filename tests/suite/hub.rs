//! Weights by the name of a model: against a server on this machine that answers as the Hugging Face hub does.

use assert_cmd::Command;
use burn::tensor::Device;
use cam_models::zoo::resnet::VARIANTS;
use cam_models::{Error, Hub, ModelCard};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

/// What the hub has for `timm/resnet18.tv_in1k`, and how it behaves.
#[derive(Clone)]
struct Shelf {
    file: Arc<Vec<u8>>,
    /// The hash that it claims for the file.
    etag: String,
    /// The status of every answer, where it is no file.
    refuses: Option<&'static str>,
    /// Bytes after which the connection is cut, and how often that happens.
    cut: (usize, usize),
    /// The token that it wants.
    token: Option<&'static str>,
    /// Sends to another path for the contents, as the hub sends to its store.
    redirects: bool,
}

impl Shelf {
    fn of(file: &[u8]) -> Self {
        Self {
            file: Arc::new(file.to_vec()),
            etag: hash(file),
            refuses: None,
            cut: (0, 0),
            token: None,
            redirects: true,
        }
    }
}

/// A hub that serves until it is dropped.
struct Server {
    endpoint: String,
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn open(shelf: Shelf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, open) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(1)));
        let (log, running, cuts) = (asked.clone(), open.clone(), AtomicUsize::new(shelf.cut.1));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if running.load(Ordering::SeqCst) == 0 {
                    break;
                }
                let stream = stream.unwrap();
                // One answer a connection, one connection after the other.
                answer(&stream, &shelf, &cuts, &log);
                stream.shutdown(Shutdown::Both).ok();
            }
        });
        Self { endpoint: format!("http://{address}"), address, asked, open, thread: Some(thread) }
    }

    /// The requests so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open.store(0, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(mut stream: &TcpStream, shelf: &Shelf, cuts: &AtomicUsize, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.collect();
    let header = |name: &str| {
        headers.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    let path = request.split(' ').nth(1).unwrap();
    log.lock().unwrap().push(format!("{path} {}", header("range").unwrap_or("whole")));
    let mut say = |text: String| stream.write_all(text.as_bytes()).ok();
    let at_home = path == "/timm/resnet18.tv_in1k/resolve/main/model.safetensors";
    let refuses = match shelf.token {
        _ if !at_home && path != "/store/0" => Some("404 Not Found"),
        // The store knows no tokens, and is not to be given one of the hub's... but it is the same host here.
        Some(token) if at_home && header("authorization") != Some(&format!("Bearer {token}")) => {
            Some("401 Unauthorized")
        }
        _ => shelf.refuses,
    };
    if let Some(status) = refuses {
        say(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        return;
    }
    let about = format!(
        "ETag: \"{0}\"\r\nX-Linked-ETag: \"{0}\"\r\nX-Repo-Commit: 0123abcd\r\nAccept-Ranges: bytes\r\nConnection: close\r\n",
        shelf.etag
    );
    if at_home && shelf.redirects {
        let host = header("host").unwrap();
        say(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/store/0\r\nContent-Length: 0\r\n{about}\r\n"
        ));
        return;
    }
    // `bytes=10-` or `bytes=0-0`
    let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (from, to) = range.unwrap_or(("0", ""));
    let whole = shelf.file.len();
    let from: usize = from.parse().unwrap();
    if from >= whole {
        say(format!("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n{about}\r\n"));
        return;
    }
    let to = to.parse().map_or(whole, |last: usize| last + 1);
    say(format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{whole}\r\n{about}\r\n",
        to - from,
        to - 1
    ));
    let mut body = &shelf.file[from..to];
    let left = cuts.load(Ordering::SeqCst);
    if left > 0 && body.len() > shelf.cut.0 {
        cuts.store(left - 1, Ordering::SeqCst);
        body = &body[..shelf.cut.0];
    }
    stream.write_all(body).ok();
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The weights of a ResNet-18, hashed from their names.
fn weights() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resnet18.safetensors");
        crate::support::hashed_file(&VARIANTS[0].1.init(&Device::flex()), &path);
        std::fs::read(path).unwrap()
    })
}

/// A folder with a photo and a cache.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 90]))
            .save(desk.folder.path().join("photo.png"))
            .unwrap();
        desk
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("huggingface")
    }

    /// `cam explain photo.png --model resnet18`, at this hub.
    fn explain(&self, endpoint: &str) -> Command {
        let mut cam = Command::cargo_bin("cam").unwrap();
        cam.current_dir(self.folder.path()).args(["explain", "photo.png", "--model", "resnet18"]);
        for unset in [
            "HF_TOKEN",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            cam.env_remove(unset);
        }
        cam.env("HF_ENDPOINT", endpoint).env("HF_HOME", self.home());
        cam
    }

    /// The library's hub, with the same cache.
    fn hub(&self, endpoint: &str) -> Hub {
        let timeout = std::time::Duration::from_secs(10);
        Hub {
            endpoint: endpoint.into(),
            cache: self.home().join("hub"),
            token: None,
            offline: false,
            timeout,
        }
    }

    /// Where a person puts the file.
    fn place(&self) -> PathBuf {
        self.home().join("hub/models--timm--resnet18.tv_in1k/snapshots/main/model.safetensors")
    }

    /// Everything in the cache that looks like weights to whom looks for them.
    fn found(&self) -> Vec<PathBuf> {
        let snapshots = self.home().join("hub/models--timm--resnet18.tv_in1k/snapshots");
        let commits = std::fs::read_dir(snapshots).into_iter().flatten().flatten();
        commits.map(|commit| commit.path().join("model.safetensors")).filter(|file| file.exists()).collect()
    }
}

/// Runs, and expects this exit code and one line that holds these words.
#[track_caller]
fn refuses(mut cam: Command, code: i32, words: &str) -> String {
    let output = cam.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(words), "{said}");
    said
}

fn card() -> ModelCard {
    ModelCard::named("resnet18").unwrap()
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_hub() {
    let desk = Desk::new();
    let server = Server::open(Shelf::of(weights()));
    let endpoint = server.endpoint.clone();
    desk.explain(&endpoint).assert().success();
    let asked = server.asked();
    assert!(asked[0].starts_with("/timm/resnet18.tv_in1k/resolve/main/model.safetensors "), "{asked:?}");
    drop(server);
    desk.explain(&endpoint).assert().success();
    desk.explain(&endpoint).env("HF_HUB_OFFLINE", "1").assert().success();

    // As Python's huggingface_hub has it: the name of the contents is their hash.
    let found = desk.found();
    assert_eq!(found.len(), 1);
    let contents = found[0].canonicalize().unwrap();
    assert!(contents.ends_with(Path::new("blobs").join(hash(weights()))), "{contents:?}");

    // It is read, and so nothing is written in its place.
    let mut over = desk.explain(&endpoint);
    over.arg("--html").arg(&found[0]);
    refuses(over, 2, "would overwrite");
    assert!(std::fs::read(&contents).unwrap() == weights());
}

#[test]
fn progress_ends_with_the_whole_file() {
    let desk = Desk::new();
    let file = vec![7; 300_000];
    let server = Server::open(Shelf { redirects: false, ..Shelf::of(&file) });
    let mut told = Vec::new();
    let path = desk.hub(&server.endpoint).weights(&card(), |done, total| told.push((done, total))).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), file);
    assert_eq!(told.last(), Some(&(300_000, 300_000)));
    assert!(told.windows(2).all(|two| two[0].0 <= two[1].0), "it never goes back");
}

#[test]
fn a_connection_that_is_cut_once_is_taken_up_where_it_broke() {
    let desk = Desk::new();
    let file: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let server = Server::open(Shelf { cut: (100_000, 1), ..Shelf::of(&file) });
    let path = desk.hub(&server.endpoint).weights(&card(), |_, _| ()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), file);
    let asked = server.asked();
    assert_eq!(asked.last().unwrap(), "/store/0 bytes=100000-", "{asked:?}");
}

#[test]
fn a_connection_that_is_always_cut_leaves_nothing_that_could_be_taken_for_weights() {
    let desk = Desk::new();
    let server = Server::open(Shelf { cut: (10_000, usize::MAX), ..Shelf::of(weights()) });
    let said = refuses(desk.explain(&server.endpoint), 15, "cannot download the weights of `resnet18`");
    let url = format!("{}/timm/resnet18.tv_in1k/resolve/main/model.safetensors", server.endpoint);
    assert!(
        said.contains(&format!("download {url} yourself and put it at `{}`", desk.place().display())),
        "{said}"
    );
    assert!(desk.found().is_empty());
    drop(server);
    // The next call goes on where the four attempts of this one ended.
    let server = Server::open(Shelf::of(weights()));
    desk.explain(&server.endpoint).assert().success();
    let asked = server.asked();
    assert_eq!(asked.last().unwrap(), "/store/0 bytes=40000-", "{asked:?}");
}

#[test]
fn a_file_that_was_fetched_but_not_yet_put_in_place_is_no_dead_end() {
    let desk = Desk::new();
    let file = vec![9; 50_000];
    let blobs = desk.home().join("hub/models--timm--resnet18.tv_in1k/blobs");
    for left in [50_000, 60_000] {
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(hash(&file)).with_extension("part"), vec![9; left]).unwrap();
        let server = Server::open(Shelf::of(&file));
        let path = desk.hub(&server.endpoint).weights(&card(), |_, _| ()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), file, "{left}");
        std::fs::remove_dir_all(desk.home()).unwrap();
    }
}

#[test]
fn contents_of_another_hash_are_refused_and_removed() {
    let desk = Desk::new();
    let expected = "0".repeat(64);
    let server = Server::open(Shelf { etag: expected.clone(), ..Shelf::of(weights()) });
    refuses(
        desk.explain(&server.endpoint),
        16,
        &format!("their sha256 is {}, not {expected}", hash(weights())),
    );
    assert!(desk.found().is_empty());
    drop(server);

    // The card's hash counts more than the hub's, which need be none.
    let file = vec![1; 1000];
    let server = Server::open(Shelf { etag: "plain".into(), ..Shelf::of(&file) });
    let hub = desk.hub(&server.endpoint);
    let card = |sha256: String| {
        let mut card = card();
        card.sha256 = Some(sha256);
        card
    };
    let error = hub.weights(&card(expected), |_, _| ()).unwrap_err();
    assert!(matches!(error, Error::WrongHash { .. }), "{error}");
    assert!(desk.found().is_empty());
    assert!(hub.weights(&card(hash(&file).to_uppercase()), |_, _| ()).is_ok());
}

#[test]
fn a_cached_file_that_was_spoilt_is_fetched_anew() {
    let desk = Desk::new();
    let file = vec![3; 5000];
    let server = Server::open(Shelf::of(&file));
    let mut hub = desk.hub(&server.endpoint);
    let path = hub.weights(&card(), |_, _| ()).unwrap();
    std::fs::write(path.canonicalize().unwrap(), vec![4; 5000]).unwrap();
    hub.offline = true;
    assert!(matches!(hub.weights(&card(), |_, _| ()), Err(Error::WrongHash { .. })));
    hub.offline = false;
    assert_eq!(std::fs::read(hub.weights(&card(), |_, _| ()).unwrap()).unwrap(), file);
}

#[test]
fn what_a_hub_refuses_is_said() {
    let desk = Desk::new();
    for (status, words) in [
        ("404 Not Found", "the hub has no such file (404)"),
        ("401 Unauthorized", "the hub needs a token with access to it, in HF_TOKEN (401)"),
        ("503 Service Unavailable", "503"),
        ("304 Not Modified", "this is not the answer of a hub"),
    ] {
        let shelf = Shelf { refuses: Some(status), ..Shelf::of(b"") };
        let server = Server::open(shelf);
        let error = desk.hub(&server.endpoint).weights(&card(), |_, _| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let server = Server::open(Shelf { refuses: Some("404 Not Found"), ..Shelf::of(b"") });
    refuses(desk.explain(&server.endpoint), 15, "the hub has no such file (404)");
    let endpoint = server.endpoint.clone();
    drop(server);
    refuses(desk.explain(&endpoint), 15, "onnection refused");
    refuses(desk.explain("no address"), 15, "cannot download the weights");
    assert!(desk.found().is_empty());
}

#[test]
fn a_token_is_taken_from_the_environment_or_its_file() {
    let desk = Desk::new();
    let server = Server::open(Shelf { token: Some("hf_secret"), ..Shelf::of(weights()) });
    refuses(desk.explain(&server.endpoint), 15, "(401)");
    desk.explain(&server.endpoint).env("HF_TOKEN", "hf_secret").assert().success();
    std::fs::remove_dir_all(desk.home().join("hub")).unwrap();
    std::fs::write(desk.home().join("token"), "hf_secret\n").unwrap();
    desk.explain(&server.endpoint).assert().success();
}

#[test]
fn offline_without_a_cache_says_what_to_fetch_and_where_to_put_it() {
    let desk = Desk::new();
    let mut cam = desk.explain("https://huggingface.co/");
    cam.env("HF_HUB_OFFLINE", "true");
    let words = format!(
        "download https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors and put it at `{}`",
        desk.place().display()
    );
    refuses(cam, 6, &words);
    // There it is looked for.
    std::fs::create_dir_all(desk.place().parent().unwrap()).unwrap();
    std::fs::write(desk.place(), weights()).unwrap();
    desk.explain("http://127.0.0.1:9").assert().success();
    desk.explain("http://127.0.0.1:9")
        .env("HF_HUB_CACHE", desk.folder.path().join("elsewhere"))
        .assert()
        .code(15);
}
