//! Models by the name of a repository, `hf:OWNER/NAME@REVISION`: against a server on this machine that answers as the Hugging Face hub
//! does, and against ones that do not.

use crate::hostile_hub::Server;
use crate::support::{TINY, hashed_file, repository};
use assert_cmd::Command;
use burn::tensor::Device;
use cam_models::{Error, Hub};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const FIRST: &str = "0123456789abcdef0123456789abcdef01234567";
const SECOND: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the hub has for `owner/name`: the commit of each version, and the files of each commit.
#[derive(Clone, Default)]
struct Shelf {
    versions: BTreeMap<String, String>,
    files: BTreeMap<(String, String), Vec<u8>>,
}

impl Shelf {
    /// One commit with these files, on the branch `main` and under the tag `v1`.
    fn of(files: &[(&str, Vec<u8>)]) -> Self {
        let mut shelf = Self::default();
        for version in ["main", "v1"] {
            shelf.versions.insert(version.into(), FIRST.into());
        }
        shelf.commit(FIRST, files);
        shelf
    }

    fn commit(&mut self, commit: &str, files: &[(&str, Vec<u8>)]) {
        self.versions.insert(commit.into(), commit.into());
        for (name, bytes) in files {
            self.files.insert((commit.into(), (*name).into()), bytes.clone());
        }
    }

    fn answer(&self, request: &str, stream: &mut TcpStream) -> std::io::Result<()> {
        let path = request.split(' ').nth(1).unwrap();
        let found = path.strip_prefix("/owner/name/resolve/").and_then(|rest| {
            let (version, file) = rest.split_once('/')?;
            let commit = self.versions.get(&version.replace("%2F", "/"))?;
            Some((commit, self.files.get(&(commit.clone(), file.into()))?))
        });
        let Some((commit, bytes)) = found else {
            return write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        };
        let range = request
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(String::from));
        let (from, to) = range.as_deref().and_then(|range| range.split_once('-')).unwrap();
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(bytes.len(), |last: usize| last + 1).min(bytes.len());
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nX-Repo-Commit: {commit}\r\nETag: \"{}\"\r\nContent-Range: bytes {from}-{}/{}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            hash(bytes),
            to - 1,
            bytes.len(),
            to - from,
        )?;
        stream.write_all(&bytes[from..to])
    }
}

/// A hub with a shelf that can be changed.
fn serve(shelf: Shelf) -> (Server, Arc<Mutex<Shelf>>) {
    let shelf = Arc::new(Mutex::new(shelf));
    let shared = shelf.clone();
    (Server::new(move |request, stream| shared.lock().unwrap().answer(request, stream)), shelf)
}

/// The paths that were asked for, without those of before.
fn asked(server: &Server, before: usize) -> Vec<String> {
    let path = |request: &String| request.split(' ').nth(1).unwrap().replace("/owner/name/resolve/", "");
    server.asked()[before..].iter().map(path).collect()
}

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    fn hub(&self, endpoint: String) -> Hub {
        Hub {
            endpoint,
            cache: self.cache(),
            token: None,
            offline: false,
            timeout: Duration::from_millis(400),
        }
    }

    fn repository(&self) -> PathBuf {
        self.cache().join("models--owner--name")
    }

    /// `cam explain` of a golden photo, at this hub.
    fn explain(&self, endpoint: &str, model: &str) -> Command {
        let mut cam = Command::cargo_bin("cam").unwrap();
        let photo = repository().join("tests/golden/folders/wide.png");
        cam.current_dir(self.folder.path())
            .arg("explain")
            .arg(photo)
            .args(["--model", model, "--method", "gradcam"]);
        for unset in ["HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            cam.env_remove(unset);
        }
        cam.env("HF_ENDPOINT", endpoint).env("HF_HOME", self.folder.path()).env("HF_HUB_CACHE", self.cache());
        cam
    }
}

fn weights() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    hashed_file(&TINY.init(&Device::flex()), &path);
    std::fs::read(path).unwrap()
}

fn config() -> Vec<u8> {
    let labels: BTreeMap<String, String> =
        (0..10).map(|class| (class.to_string(), format!("thing {class}"))).collect();
    json!({"model_type": "resnet", "id2label": labels}).to_string().into_bytes()
}

fn processor() -> Vec<u8> {
    json!({"image_processor_type": "ViTImageProcessor", "size": 64}).to_string().into_bytes()
}

fn resnet() -> Shelf {
    Shelf::of(&[
        ("config.json", config()),
        ("preprocessor_config.json", processor()),
        ("model.safetensors", weights()),
    ])
}

#[test]
fn a_repository_is_fetched_once_and_then_used_without_a_hub() {
    let (home, (server, shelf)) = (Home::new(), serve(resnet()));
    let said = home.explain(&server.endpoint(), "hf:owner/name").assert().success();
    let said = String::from_utf8(said.get_output().stdout.clone()).unwrap();
    assert!(said.contains("thing "), "{said}");
    // As Python's huggingface_hub has it.
    let place = home.repository().join("snapshots").join(FIRST);
    assert_eq!(std::fs::read_to_string(home.repository().join("refs/main")).unwrap(), FIRST);
    let contents = place.join("model.safetensors").canonicalize().unwrap();
    assert!(
        contents.ends_with(Path::new("models--owner--name/blobs").join(hash(&weights()))),
        "{contents:?}"
    );
    #[cfg(unix)]
    assert!(std::fs::read_link(place.join("config.json")).unwrap().starts_with("../../blobs"));
    assert_eq!(asked(&server, 0)[0], "main/config.json");
    assert!(
        asked(&server, 0)[1..].iter().all(|path| path.starts_with(FIRST)),
        "one commit: {:?}",
        asked(&server, 0)
    );

    // A branch may move, and is asked for; a commit does not.
    let before = server.asked().len();
    home.explain(&server.endpoint(), "hf:owner/name").assert().success();
    assert_eq!(asked(&server, before), ["main/config.json"]);
    home.explain(&server.endpoint(), &format!("hf:owner/name@{FIRST}")).assert().success();
    assert_eq!(server.asked().len(), before + 1, "{:?}", asked(&server, before));
    home.explain(&server.endpoint(), "hf:owner/name").env("HF_HUB_OFFLINE", "1").assert().success();
    assert_eq!(server.asked().len(), before + 1);

    // What moved is fetched, but not what stayed as it was.
    let other = json!({"image_processor_type": "ViTImageProcessor", "size": 80}).to_string().into_bytes();
    let files =
        [("config.json", config()), ("preprocessor_config.json", other), ("model.safetensors", weights())];
    shelf.lock().unwrap().commit(SECOND, &files);
    shelf.lock().unwrap().versions.insert("main".into(), SECOND.into());
    let hub = home.hub(server.endpoint());
    let mut most = 0;
    let folder = hub.folder("owner/name", |_, total| most = most.max(total)).unwrap();
    assert!(folder.ends_with(SECOND) && most < 1000, "{folder:?} {most}");
    assert_eq!(std::fs::read_to_string(home.repository().join("refs/main")).unwrap(), SECOND);

    // A tag.
    let folder = hub.folder("owner/name@v1", |_, _| ()).unwrap();
    assert!(folder.ends_with(FIRST), "{folder:?}");
    assert_eq!(std::fs::read_to_string(home.repository().join("refs/v1")).unwrap(), FIRST);

    // The hub cannot be reached: what is here is used.
    let endpoint = server.endpoint();
    drop(server);
    assert!(home.hub(endpoint.clone()).folder("owner/name", |_, _| ()).unwrap().ends_with(SECOND));
    let missing = home.hub(endpoint).folder("owner/other", |_, _| ()).unwrap_err();
    assert!(matches!(missing, Error::Fetch { .. }), "{missing}");
    let offline = Hub { offline: true, ..home.hub("http://127.0.0.1:9".into()) };
    let said = offline.folder("owner/other", |_, _| ()).unwrap_err().to_string();
    assert!(said.contains("owner/other/resolve/main/model.safetensors and put it at"), "{said}");
}

#[test]
fn a_branch_of_several_parts_is_one() {
    let (home, mut shelf) = (Home::new(), resnet());
    shelf.versions.insert("refs/pr/1".into(), FIRST.into());
    let (server, _) = serve(shelf);
    let folder = home.hub(server.endpoint()).folder("owner/name@refs/pr/1", |_, _| ()).unwrap();
    assert!(folder.ends_with(FIRST));
    assert_eq!(asked(&server, 0)[0], "refs%2Fpr%2F1/config.json");
    assert_eq!(std::fs::read_to_string(home.repository().join("refs/refs/pr/1")).unwrap(), FIRST);
}

#[test]
fn weights_in_several_files_are_fetched_and_lie_beside_their_index() {
    let index =
        |files: [&str; 2]| json!({"weight_map": {"a": files[0], "b": files[1]}}).to_string().into_bytes();
    let parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let shelf = |index: Vec<u8>| {
        Shelf::of(&[
            ("config.json", config()),
            ("model.safetensors.index.json", index),
            (parts[0], vec![1; 100]),
            (parts[1], vec![2; 200]),
        ])
    };
    let (home, (server, _)) = (Home::new(), serve(shelf(index(parts))));
    let folder = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap();
    assert_eq!(std::fs::read(folder.join(parts[1])).unwrap(), [2; 200]);
    // What was cut short is gone on with: the second file is missing.
    std::fs::remove_file(folder.join(parts[1])).unwrap();
    let before = server.asked().len();
    home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap();
    assert!(folder.join(parts[1]).exists() && server.asked().len() > before + 1);

    for elsewhere in ["../../../../x", "/tmp/x", "a/../../x", "..", "a\\b"] {
        let (home, (server, _)) = (Home::new(), serve(shelf(index([parts[0], elsewhere]))));
        let error = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("elsewhere than beside it"), "{error}");
        let snapshot = home.repository().join("snapshots").join(FIRST);
        let names = std::fs::read_dir(snapshot).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| name.to_string_lossy().ends_with(".json")));
    }
    let (home, (server, _)) = (Home::new(), serve(shelf(index([parts[0], "none.safetensors"]))));
    let error = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("none.safetensors") && error.contains("404"), "{error}");
}

#[test]
fn of_a_network_that_is_not_known_the_onnx_file_is_fetched() {
    let golden = repository().join("tests/golden/folders/regnet.onnx");
    let config = json!({"model_type": "regnet"}).to_string().into_bytes();
    let shelf = Shelf::of(&[
        ("config.json", config.clone()),
        ("model.safetensors", vec![0; 5000]),
        ("onnx/model.onnx", std::fs::read(golden).unwrap()),
    ]);
    let (home, (server, _)) = (Home::new(), serve(shelf));
    home.explain(&server.endpoint(), "hf:owner/name").assert().success();
    assert!(asked(&server, 0).iter().all(|path| !path.ends_with(".safetensors")), "{:?}", asked(&server, 0));
    let place = home.repository().join("snapshots").join(FIRST).join("onnx/model.onnx");
    #[cfg(unix)]
    assert!(std::fs::read_link(&place).unwrap().starts_with("../../../blobs"));
    assert!(place.exists());
    // Without one it is said what to do.
    let (home, (server, _)) =
        (Home::new(), serve(Shelf::of(&[("config.json", config), ("model.safetensors", weights())])));
    let model = home.explain(&server.endpoint(), "hf:owner/name").output().unwrap();
    assert!(model.status.success(), "weights tell which network they are of");
}

#[test]
fn a_hub_that_misbehaves_is_refused() {
    let files = || [("config.json", config()), ("model.safetensors", weights())];
    // Another commit for a file than for the first one.
    let mut shelf = Shelf::of(&files());
    shelf.versions.insert(FIRST.into(), SECOND.into());
    shelf.commit(SECOND, &files());
    shelf.versions.insert(FIRST.into(), SECOND.into());
    let (home, (server, _)) = (Home::new(), serve(shelf.clone()));
    let error = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("this is not the answer of a hub (it has the commit"), "{error}");
    let error = home.hub(server.endpoint()).folder(&format!("owner/name@{FIRST}"), |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("it has the commit"), "{error}");
    assert!(!home.repository().join("refs").exists());

    // A configuration as long as weights.
    let headers = format!(
        "X-Repo-Commit: {FIRST}\r\nETag: \"abcd\"\r\nContent-Range: bytes 0-3/99999999\r\nContent-Length: 4\r\n"
    );
    let (home, server) = (Home::new(), Server::saying("206 Partial Content", headers, b"evil"));
    let error = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("a file of 99999999 bytes, more than 8388608"), "{error}");

    // No such repository.
    let (home, (server, _)) = (Home::new(), serve(Shelf::default()));
    let error = home.hub(server.endpoint()).folder("owner/name", |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("the hub has no such file (404)"), "{error}");

    // Contents of another hash than the hub says.
    let (home, (server, shelf)) = (Home::new(), serve(Shelf::of(&files())));
    let hub = home.hub(server.endpoint());
    let folder = hub.folder("owner/name", |_, _| ()).unwrap();
    let contents = folder.join("model.safetensors").canonicalize().unwrap();
    std::fs::write(&contents, "spoilt").unwrap();
    assert!(matches!(hub.folder("owner/name", |_, _| ()), Err(Error::WrongHash { .. })));
    assert!(hub.folder("owner/name", |_, _| ()).is_ok(), "it was removed, and fetched anew");
    drop(shelf);

    for name in ["owner", "../x", "a/b/c", "a/..", "owner/name@", "owner/name@../x", "owner/name@a?b", ""] {
        let error = hub.folder(name, |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::UnknownRepository { .. }), "{name}: {error}");
    }
}
