//! Weights and whole repositories from the Hugging Face hub, downloaded on first use into the cache that Python's `huggingface_hub` uses.

mod client;

use crate::digest::sha256;
use crate::folder::{self, CONFIG, Folder, ONNX, PROCESSOR, PROCESSORS, WEIGHTS};
use crate::weights::Index;
use crate::{Error, ModelCard, text_file};
use client::{Client, Failure, LARGEST};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The weight file of timm's repositories.
const FILE: &str = "model.safetensors";

/// The version of a repository that is used where none is named.
const REVISION: &str = "main";

/// The most bytes of a file of one word: a token, a commit.
const WORD: u64 = 1 << 12;

/// The most bytes of a text: a configuration, an index of weights.
const TEXT: u64 = 8 << 20;

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
        let (model, sha256) = (card.name.clone(), card.sha256.as_deref());
        let repository = Repository { hub: self, id, revision: REVISION, model, sha256 };
        let placed = repository.place(REVISION, FILE);
        if placed.exists() {
            return repository.check(&placed).map(|()| placed);
        }
        let cached = repository.cached().map(|commit| repository.place(&commit, FILE));
        if let Some(path) = cached.filter(|path| path.exists()) {
            match repository.check(&path) {
                Err(Error::WrongHash { .. }) if !self.offline => remove(&path),
                checked => return checked.map(|()| path),
            }
        }
        if self.offline {
            return Err(repository.offline(FILE));
        }
        let fetched = repository.fetch(REVISION, FILE, &mut progress);
        let (commit, path) = fetched.map_err(|failure| repository.failed(FILE, &failure))?;
        repository.refer(&commit).map_err(|failure| repository.failed(FILE, &failure))?;
        repository.check(&path).inspect_err(|_| remove(&path))?;
        Ok(path)
    }

    /// Returns the folder of a repository in the cache: `OWNER/NAME`, or `OWNER/NAME@REVISION` with a branch, a tag or a commit. Its
    /// configurations and its weights are in it, or its ONNX file if its network is not one that is known here. `progress` gets the bytes
    /// of each file that have arrived and their total number.
    ///
    /// The hub is asked which commit the branch is at, and what is missing of it is downloaded; without an answer the commit is taken that
    /// was last downloaded. All files are of one commit. What is said of [`weights`](Self::weights) holds here, too.
    ///
    /// # Errors
    /// [`Error::UnknownRepository`] for another name; [`Error::Offline`], [`Error::Fetch`] and [`Error::WrongHash`];
    /// [`Error::UnreadableWeights`] for an index of weights that cannot be followed.
    pub fn folder(&self, name: &str, mut progress: impl FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let (id, revision) = name.split_once('@').unwrap_or((name, REVISION));
        if !is_repository(id) || !is_revision(revision) {
            return Err(Error::UnknownRepository { asked: name.into() });
        }
        let repository = Repository { hub: self, id, revision, model: format!("hf:{name}"), sha256: None };
        let placed = [Some(revision.to_string()), repository.cached()].into_iter().flatten();
        let mut placed = placed.map(|version| repository.snapshot(&version));
        let placed = placed.find(|folder| is_complete(folder));
        let is_fixed =
            is_commit(revision) || placed.as_ref().is_some_and(|folder| folder.ends_with(revision));
        if let Some(folder) = placed.as_ref().filter(|_| is_fixed || self.offline) {
            return repository.check_folder(folder).map(|()| folder.clone());
        }
        if self.offline {
            return Err(repository.offline(FILE));
        }
        let commit = match repository.commit() {
            Ok(commit) => commit,
            // As in Python: what is here is used when the hub cannot be reached.
            Err((_, Failure::Broken(_))) if let Some(folder) = placed => {
                return repository.check_folder(&folder).map(|()| folder);
            }
            Err((file, failure)) => return Err(repository.failed(file, &failure)),
        };
        let folder = repository.snapshot(&commit);
        if !is_complete(&folder) {
            repository.fetch_all(&commit, &mut progress)?;
        }
        repository.refer(&commit).map_err(|failure| repository.failed(CONFIG, &failure))?;
        repository.check_folder(&folder)?;
        Ok(folder)
    }
}

/// One repository of the hub.
struct Repository<'a> {
    hub: &'a Hub,
    id: &'a str,
    revision: &'a str,
    /// What the user calls it.
    model: String,
    /// The hash of its weights, if it is known.
    sha256: Option<&'a str>,
}

impl Repository<'_> {
    fn folder(&self) -> PathBuf {
        self.hub.cache.join(format!("models--{}", self.id.replace('/', "--")))
    }

    /// Returns the folder of a version; that of the revision is where a user puts what was downloaded in another way.
    fn snapshot(&self, version: &str) -> PathBuf {
        self.folder().join("snapshots").join(version)
    }

    fn place(&self, version: &str, file: &str) -> PathBuf {
        self.snapshot(version).join(file)
    }

    fn reference(&self) -> PathBuf {
        self.folder().join("refs").join(self.revision)
    }

    /// Returns the commit of the revision that was downloaded last.
    fn cached(&self) -> Option<String> {
        let commit = text_file::read(&self.reference(), WORD).ok()?;
        let commit = commit.trim();
        let is_plain = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_plain.then(|| commit.into())
    }

    /// Writes down the commit that the revision is at.
    fn refer(&self, commit: &str) -> Result<(), Failure> {
        if self.revision == commit {
            return Ok(());
        }
        let path = self.reference();
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(Failure::Write)?;
        std::fs::write(path, commit).map_err(Failure::Write)
    }

    fn url(&self, endpoint: &str, version: &str, file: &str) -> String {
        format!("{endpoint}/{}/resolve/{}/{file}", self.id, version.replace('/', "%2F"))
    }

    /// Returns the error for a hub that cannot be reached or does not have a file.
    fn failed(&self, file: &str, failure: &Failure) -> Error {
        let shown = without_password(&self.hub.endpoint);
        let (url, place) = (self.url(&shown, self.revision, file), self.place(self.revision, file));
        let reason = failure.reason().replace(&self.hub.endpoint, &shown);
        Error::Fetch { model: self.model.clone(), url, place, reason }
    }

    fn offline(&self, file: &str) -> Error {
        let url = self.url(&without_password(&self.hub.endpoint), self.revision, file);
        Error::Offline { model: self.model.clone(), url, place: self.place(self.revision, file) }
    }

    fn client(&self, version: &str, file: &str) -> Result<Client<'_>, Failure> {
        let url = self.url(&self.hub.endpoint, version, file);
        Client::new(&url, self.hub.token.as_deref(), self.hub.timeout)
    }

    /// Asks which commit the revision is at, of the first file that there is.
    fn commit(&self) -> Result<String, (&'static str, Failure)> {
        let mut missing = None;
        for file in [CONFIG].into_iter().chain(WEIGHTS).chain(ONNX) {
            match self.client(self.revision, file).and_then(|client| client.about()) {
                Ok(about) if is_commit(self.revision) && about.commit != self.revision => {
                    return Err((file, Failure::NoHub(format!("it has the commit {}", about.commit))));
                }
                Ok(about) => return Ok(about.commit),
                Err(Failure::Status(404)) => missing = missing.or(Some((file, Failure::Status(404)))),
                Err(failure) => return Err((file, failure)),
            }
        }
        Err(missing.expect("there are files to ask for"))
    }

    /// Downloads the configurations of a commit, and its weights or its ONNX file.
    fn fetch_all(&self, commit: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
        let mut fetch = |file: &str| match self.fetch(commit, file, progress) {
            Ok((_, path)) => Ok(Some(path)),
            Err(Failure::Status(404)) => Ok(None),
            Err(failure) => Err(self.failed(file, &failure)),
        };
        let config = fetch(CONFIG)?;
        if fetch(PROCESSOR)?.is_none() {
            fetch(PROCESSORS)?;
        }
        let kind = config.as_deref().and_then(folder::kind);
        // Weights of a network that is not known here are of no use.
        let models = match kind.as_deref().is_some_and(|kind| !folder::is_known(kind)) {
            true => [&ONNX[..], &WEIGHTS[..]],
            false => [&WEIGHTS[..], &ONNX[..]],
        };
        for file in models.concat() {
            let Some(path) = fetch(file)? else { continue };
            if Index::is(&path) {
                for part in Index::open(&path)?.files() {
                    let part = part.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    fetch(part)?.ok_or_else(|| self.failed(part, &Failure::Status(404)))?;
                }
            }
            return Ok(());
        }
        Err(self.failed(FILE, &Failure::Status(404)))
    }

    /// Downloads a file into the cache, where it appears only when it is complete. Returns its commit, too.
    fn fetch(
        &self,
        version: &str,
        file: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(String, PathBuf), Failure> {
        let client = self.client(version, file)?;
        let about = client.about()?;
        if version != self.revision && version != about.commit {
            return Err(Failure::NoHub(format!("it has the commit {} for {version}", about.commit)));
        }
        let most = if file.ends_with(".json") { TEXT } else { LARGEST };
        let (folder, place) = (self.folder(), self.place(&about.commit, file));
        let contents = folder.join("blobs").join(&about.etag);
        for path in [&contents, &place] {
            std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(Failure::Write)?;
        }
        let part = contents.with_extension("part");
        let mut written = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&part)
            .map_err(Failure::Write)?;
        // Another process may be downloading the same file. Where files cannot be locked, both do.
        written.lock().ok();
        if !contents.exists() {
            client.download(&mut written, most, progress)?;
            written.sync_all().map_err(Failure::Write)?;
            std::fs::rename(&part, &contents).map_err(Failure::Write)?;
        }
        drop(written);
        std::fs::remove_file(&place).ok();
        link(&contents, &about.etag, &place, file).map_err(Failure::Write)?;
        Ok((about.commit, place))
    }

    /// Checks the weights of a folder.
    fn check_folder(&self, folder: &Path) -> Result<(), Error> {
        for file in Folder::open(folder)?.models() {
            for part in folder::parts(file)? {
                self.check(&part).inspect_err(|_| {
                    if !self.hub.offline {
                        remove(&part);
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Checks the sha256 of a file if it is known: from the model card, or from the name that the hub gave to its contents.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let contents = path.canonicalize().ok();
        let given = contents.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let given = given.filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(expected) = self.sha256.or(given) else { return Ok(()) };
        let found = File::open(path)
            .and_then(sha256)
            .map_err(|e| Error::UnreadableWeights { path: path.into(), reason: e.to_string() })?;
        match found.eq_ignore_ascii_case(expected) {
            true => Ok(()),
            false => Err(Error::WrongHash { path: path.into(), expected: expected.into(), found }),
        }
    }
}

/// Returns whether a folder of the cache has a model, with all of its files.
fn is_complete(folder: &Path) -> bool {
    let exist =
        |file: &PathBuf| folder::parts(file).is_ok_and(|parts| parts.iter().all(|part| part.exists()));
    folder.is_dir() && Folder::open(folder).is_ok_and(|folder| folder.models().iter().all(exist))
}

/// Returns whether a revision is a commit, which never becomes another one.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a text is the name of a branch, a tag or a commit, and nothing else in a path or an address.
fn is_revision(name: &str) -> bool {
    name.len() <= 128 && name.split('/').all(is_name)
}

/// Returns whether a text is a part of a name, and nothing else in a path or an address.
fn is_name(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain)
}

/// Returns whether a text is the name of a repository, `owner/name`, and nothing else in a path or an address.
fn is_repository(id: &str) -> bool {
    id.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
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

/// Puts contents of the cache in the place of a file, which may be in a folder of its snapshot.
fn link(contents: &Path, _name: &str, place: &Path, _file: &str) -> std::io::Result<()> {
    #[cfg(unix)]
    return {
        let up = "../".repeat(2 + _file.matches('/').count());
        std::os::unix::fs::symlink(Path::new(&up).join("blobs").join(_name), place)
            .or_else(|_| copy(contents, place))
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_and_revisions_are_nothing_else() {
        assert!(is_repository("timm/resnet50.a1_in1k") && is_revision("refs/pr/1") && is_revision("v1.0"));
        for name in ["", "a", "a/", "/a", "a/b/c", "../b", "a/..", "a/b?c", "a b/c", "a/b@c"] {
            assert!(!is_repository(name), "{name}");
        }
        for name in ["", "..", "a/../b", "/a", "a//b", "a?b", ".a", "a%2Fb", &"a".repeat(200)] {
            assert!(!is_revision(name), "{name}");
        }
        assert!(is_commit(&"0f".repeat(20)) && !is_commit("main") && !is_commit(&"0g".repeat(20)));
    }
}
