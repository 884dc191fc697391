//! Weights from the Hugging Face hub, downloaded on first use into the cache that Python's `huggingface_hub` uses.

mod client;

use crate::digest::sha256;
use crate::{Error, ModelCard, text_file};
use client::{Client, Failure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The weight file of timm's repositories.
const FILE: &str = "model.safetensors";

/// The version of a repository that is used.
const REVISION: &str = "main";

/// The most bytes of a file of one word: a token, a commit.
const WORD: u64 = 1 << 12;

/// Where weights are downloaded from and where they are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The address of the hub, without a trailing slash.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// An access token, for repositories that are not public.
    pub token: Option<String>,
    /// Whether only the cache is used.
    pub offline: bool,
    /// How long an answer, or the next bytes, may take.
    pub timeout: Duration,
}

impl Hub {
    /// Returns the hub that the environment names, by the rules of `huggingface_hub`: `HF_ENDPOINT`, `HF_HUB_CACHE` or the folder
    /// `hub` of `HF_HOME` (by default `~/.cache/huggingface`), `HF_TOKEN` or the file `token` of `HF_HOME`, `HF_HUB_OFFLINE`,
    /// `HF_HUB_DOWNLOAD_TIMEOUT` in seconds (by default 10).
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = set("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            let caches = set("XDG_CACHE_HOME").map(PathBuf::from);
            caches
                .unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache"))
                .join("huggingface")
        });
        let token = set("HF_TOKEN").or_else(|| text_file::read(&home.join("token"), WORD).ok());
        let yes = ["1", "ON", "YES", "TRUE"];
        Self {
            endpoint: set("HF_ENDPOINT")
                .map_or("https://huggingface.co".into(), |endpoint| endpoint.trim_end_matches('/').into()),
            cache: set("HF_HUB_CACHE").map_or(home.join("hub"), PathBuf::from),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            offline: set("HF_HUB_OFFLINE").is_some_and(|value| yes.contains(&value.to_uppercase().as_str())),
            timeout: Duration::from_secs(
                set("HF_HUB_DOWNLOAD_TIMEOUT")
                    .and_then(|value| value.trim().parse().ok())
                    .filter(|seconds| *seconds > 0)
                    .unwrap_or(10),
            ),
        }
    }

    /// Returns the weight file of a model, from the cache or from the hub. `progress` gets the bytes that have arrived and their total
    /// number.
    ///
    /// The file has the sha256 of its model card, or else the one that the hub reports; a file with another hash is removed. A partial
    /// download is resumed by the next call. The hub is not trusted: its names reach no path unless they are plain, the token goes to
    /// no other host, and time, redirects and lengths are limited.
    ///
    /// # Errors
    /// [`Error::NoWeights`] for a card without a repository, [`Error::Offline`], [`Error::Fetch`] and [`Error::WrongHash`].
    pub fn weights(&self, card: &ModelCard, mut progress: impl FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let Some(id) = card.hub.as_deref().filter(|id| is_repository(id)) else {
            return Err(Error::NoWeights { model: card.name.clone(), url: card.url.clone() });
        };
        let repository = Repository { hub: self, card, id };
        let placed = repository.snapshot(REVISION);
        if placed.exists() {
            return repository.check(&placed).map(|()| placed);
        }
        if let Some(path) = repository.cached() {
            match repository.check(&path) {
                Err(Error::WrongHash { .. }) if !self.offline => remove(&path),
                checked => return checked.map(|()| path),
            }
        }
        if self.offline {
            let (url, place) = (repository.url(&without_password(&self.endpoint)), placed);
            return Err(Error::Offline { model: card.name.clone(), url, place });
        }
        let path = repository.download(&mut progress).map_err(|failure| repository.failed(&failure))?;
        repository.check(&path).inspect_err(|_| remove(&path))?;
        Ok(path)
    }
}

/// One repository of the hub.
struct Repository<'a> {
    hub: &'a Hub,
    card: &'a ModelCard,
    id: &'a str,
}

impl Repository<'_> {
    fn folder(&self) -> PathBuf {
        self.hub.cache.join(format!("models--{}", self.id.replace('/', "--")))
    }

    /// Returns where the file of a version is; of [`REVISION`] where a user puts one that was downloaded in another way.
    fn snapshot(&self, version: &str) -> PathBuf {
        self.folder().join("snapshots").join(version).join(FILE)
    }

    /// Returns the file of the version that was downloaded last.
    fn cached(&self) -> Option<PathBuf> {
        let commit = text_file::read(&self.folder().join("refs").join(REVISION), WORD).ok()?;
        let commit =
            Some(commit.trim()).filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        Some(self.snapshot(commit)).filter(|path| path.exists())
    }

    fn url(&self, endpoint: &str) -> String {
        format!("{endpoint}/{}/resolve/{REVISION}/{FILE}", self.id)
    }

    /// Returns the error for a hub that cannot be reached or does not have the file.
    fn failed(&self, failure: &Failure) -> Error {
        let shown = without_password(&self.hub.endpoint);
        let (model, url, place) = (self.card.name.clone(), self.url(&shown), self.snapshot(REVISION));
        Error::Fetch { model, url, place, reason: failure.reason().replace(&self.hub.endpoint, &shown) }
    }

    /// Downloads the file into the cache, where it appears only when it is complete.
    fn download(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, Failure> {
        let client = Client::new(&self.url(&self.hub.endpoint), self.hub.token.as_deref(), self.hub.timeout)?;
        let about = client.about()?;
        let (folder, place) = (self.folder(), self.snapshot(&about.commit));
        let contents = folder.join("blobs").join(&about.etag);
        for path in [&contents, &place, &folder.join("refs").join(REVISION)] {
            std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(Failure::Write)?;
        }
        let part = contents.with_extension("part");
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&part)
            .map_err(Failure::Write)?;
        // Another process may be downloading the same file. Where files cannot be locked, both do.
        file.lock().ok();
        if !contents.exists() {
            client.download(&mut file, progress)?;
            file.sync_all().map_err(Failure::Write)?;
            std::fs::rename(&part, &contents).map_err(Failure::Write)?;
        }
        drop(file);
        std::fs::remove_file(&place).ok();
        link(&contents, &about.etag, &place).map_err(Failure::Write)?;
        std::fs::write(folder.join("refs").join(REVISION), &about.commit).map_err(Failure::Write)?;
        Ok(place)
    }

    /// Checks the sha256 of a file if it is known: from the model card, or from the name that the hub gave to its contents.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let contents = path.canonicalize().ok();
        let given = contents.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let given = given.filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(expected) = self.card.sha256.as_deref().or(given) else { return Ok(()) };
        let found = File::open(path)
            .and_then(sha256)
            .map_err(|e| Error::UnreadableWeights { path: path.into(), reason: e.to_string() })?;
        match found.eq_ignore_ascii_case(expected) {
            true => Ok(()),
            false => Err(Error::WrongHash { path: path.into(), expected: expected.into(), found }),
        }
    }
}

/// Returns whether a text is the name of a repository, `owner/name`, and nothing else in a path or an address.
fn is_repository(id: &str) -> bool {
    let is_name = |part: &str| {
        !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    id.split_once('/')
        .is_some_and(|(owner, name)| [owner, name].iter().all(|part| !part.is_empty() && is_name(part)))
}

/// Returns an address without the name and password that it may have, for people.
fn without_password(address: &str) -> String {
    match address
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split('/').next()?.rsplit_once('@')?.0)))
    {
        Some((_, secret)) => address.replacen(&format!("{secret}@"), "", 1),
        None => address.into(),
    }
}

/// Puts contents of the cache in their place.
fn link(contents: &Path, _name: &str, place: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(Path::new("../../blobs").join(_name), place)
        .or_else(|_| copy(contents, place));
    #[cfg(not(unix))]
    copy(contents, place)
}

fn copy(contents: &Path, place: &Path) -> std::io::Result<()> {
    std::fs::hard_link(contents, place).or_else(|_| std::fs::copy(contents, place).map(drop))
}

/// Removes a file of the cache, and the contents that it links to.
fn remove(path: &Path) {
    // What cannot be removed is found to be wrong again by the next call.
    if let Ok(contents) = path.canonicalize() {
        std::fs::remove_file(contents).ok();
    }
    std::fs::remove_file(path).ok();
}
