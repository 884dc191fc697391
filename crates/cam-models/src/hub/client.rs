//! A file by HTTP, from a server that is not trusted: it decides neither where anything is written nor how long or how much is waited
//! for, and the token goes to the hub alone.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::{Agent, Body};

/// The most redirects from the hub to the contents.
const REDIRECTS: usize = 5;

/// How often a transfer is begun, the first time included.
const ATTEMPTS: usize = 4;

/// The largest file that is accepted, in bytes.
pub const LARGEST: u64 = 32 << 30;

/// The fewest bytes that have to come in each [`Client::timeout`], on average.
const SLOWEST: u64 = 1024;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why there is no file.
pub enum Failure {
    /// The server answers with this status.
    Status(u16),
    /// The answer is not one of a hub, and why.
    NoHub(String),
    /// The transfer broke; it may be continued.
    Broken(String),
    /// A file on this machine cannot be written.
    Write(io::Error),
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Failure {
    /// Returns the reason, in words for a user.
    pub fn reason(&self) -> String {
        match self {
            Self::Status(404) => "the hub has no such file (404)".into(),
            Self::Status(code @ (401 | 403)) => {
                format!("the hub needs a token with access to it, in HF_TOKEN ({code})")
            }
            Self::Status(code) => format!("the hub answers with status {code}"),
            Self::NoHub(reason) => format!("this is not the answer of a hub ({reason})"),
            Self::Broken(reason) => reason.clone(),
            Self::Write(error) => format!("the cache cannot be written: {error}"),
        }
    }
}

/// What a hub says of a file: names that are safe in a path.
pub struct About {
    /// The version that the file is of.
    pub commit: String,
    /// What the hub calls the contents.
    pub etag: String,
}

/// A connection to one file of a hub.
pub struct Client<'a> {
    agent: Agent,
    url: Uri,
    token: Option<&'a str>,
    timeout: Duration,
}

impl<'a> Client<'a> {
    /// Prepares a connection. `timeout` is how long an answer, or the next bytes, may take.
    pub fn new(url: &str, token: Option<&'a str>, timeout: Duration) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT.min(timeout)))
            .timeout_resolve(Some(CONNECT.min(timeout)))
            .timeout_send_request(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout));
        let url = url.parse().map_err(|error| Failure::Broken(format!("its address is invalid: {error}")))?;
        Ok(Self { agent: config.build().into(), url, token, timeout })
    }

    /// Asks what the file is called.
    pub fn about(&self) -> Result<About, Failure> {
        let answer = self.ask(&self.url, 0, Some(0))?;
        let headers = match answer.status().as_u16() {
            200 | 206 | 301..=303 | 307 | 308 => answer.headers(),
            code => return Err(status(code)),
        };
        let name = |header: &str| {
            let text = text(headers, header)?;
            let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
            let is_safe =
                (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_safe.then(|| text.to_string())
        };
        let missing = |header: &str| Failure::NoHub(format!("its {header} is missing, or is no name"));
        Ok(About {
            commit: name("x-repo-commit").ok_or_else(|| missing("X-Repo-Commit"))?,
            etag: name("x-linked-etag").or_else(|| name("etag")).ok_or_else(|| missing("ETag"))?,
        })
    }

    /// Transfers the file of so many bytes at most, or what is missing of it. `progress` gets the bytes that are there and their total number.
    pub fn download(
        &self,
        file: &mut File,
        most: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            match self.transfer(file, most, progress) {
                // What is there does not fit the file: as long already, or longer.
                Err(Failure::Status(416)) if attempt < ATTEMPTS => file.set_len(0).map_err(Failure::Write)?,
                Err(Failure::Broken(_)) if attempt < ATTEMPTS => {}
                ended => return ended,
            }
            attempt += 1;
        }
    }

    fn transfer(
        &self,
        file: &mut File,
        most: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Failure> {
        let have = file.seek(SeekFrom::End(0)).map_err(Failure::Write)?;
        let mut answer = self.follow(have)?;
        let length = |header: &str| text(answer.headers(), header)?.parse::<u64>().ok();
        let (start, total) = match answer.status().as_u16() {
            200 => (0, length("content-length")),
            206 => {
                let range = text(answer.headers(), "content-range").and_then(range);
                let (start, total) =
                    range.ok_or_else(|| Failure::NoHub("its Content-Range is missing".into()))?;
                (start, Some(total))
            }
            code => return Err(status(code)),
        };
        let total = total.ok_or_else(|| Failure::NoHub("it does not say how long the file is".into()))?;
        if total > most {
            return Err(Failure::NoHub(format!("a file of {total} bytes, more than {most}")));
        }
        if start > have || have > total && start > 0 {
            return Err(Failure::Status(416));
        }
        file.set_len(start).and_then(|()| file.seek(SeekFrom::End(0))).map_err(Failure::Write)?;
        let mut done = start;
        progress(done, total);
        let mut body = answer.body_mut().as_reader();
        let (mut buffer, started) = (vec![0; 1 << 16], Instant::now());
        while done < total {
            let room = buffer.len().min(usize::try_from(total - done).unwrap_or(usize::MAX));
            let count = body.read(&mut buffer[..room]).map_err(|error| Failure::Broken(error.to_string()))?;
            if count == 0 {
                return Err(Failure::Broken("the download has another length than the hub announced".into()));
            }
            file.write_all(&buffer[..count]).map_err(Failure::Write)?;
            done += count as u64;
            progress(done, total);
            let waited = started.elapsed().as_secs_f64() / self.timeout.as_secs_f64();
            if waited > 1.0 && ((done - start) as f64) < waited * SLOWEST as f64 {
                return Err(Failure::Broken("the hub sends too slowly".into()));
            }
        }
        Ok(())
    }

    /// Asks for the file from this byte on, wherever the hub sends us for it.
    fn follow(&self, from: u64) -> Result<Response<Body>, Failure> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&url, from, None)?;
            if !matches!(answer.status().as_u16(), 301..=303 | 307 | 308) {
                return Ok(answer);
            }
            let place = text(answer.headers(), "location").and_then(|place| joined(&url, place));
            url = place.ok_or_else(|| Failure::NoHub("it redirects to nowhere".into()))?;
        }
        Err(Failure::NoHub(format!("it redirects more than {REDIRECTS} times")))
    }

    fn ask(&self, url: &Uri, from: u64, to: Option<u64>) -> Result<Response<Body>, Failure> {
        let to = to.map_or(String::new(), |to| to.to_string());
        let mut request = self.agent.get(url).header("Range", format!("bytes={from}-{to}"));
        if let Some(token) = self.token.filter(|_| is_same_origin(url, &self.url)) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Ok(request.call()?)
    }
}

fn status(code: u16) -> Failure {
    match code {
        400.. => Failure::Status(code),
        _ => Failure::NoHub(format!("status {code}")),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Reads the first byte and the whole length of `bytes 10-99/100`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.host() == other.host() && one.port_u16() == other.port_u16()
}

/// Returns where a redirect leads, if it is a place of the web, and not less secure than where it comes from.
fn joined(from: &Uri, place: &str) -> Option<Uri> {
    let place: Uri = match place.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        Some(_) => Uri::builder()
            .scheme(from.scheme_str()?)
            .authority(from.authority()?.as_str())
            .path_and_query(place)
            .build()
            .ok()?,
        None => place.parse().ok()?,
    };
    match (from.scheme_str()?, place.scheme_str()?) {
        (_, "https") | ("http", "http") => place.host().is_some().then_some(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn redirects_lead_to_places_of_the_web() {
        let from = url("https://hub.example/a/b");
        let to = |place: &str| joined(&from, place).map(|place| place.to_string());
        assert_eq!(to("/c?d"), Some("https://hub.example/c?d".into()));
        assert_eq!(to("https://store.example/c"), Some("https://store.example/c".into()));
        for nowhere in
            ["", "c", "//store.example/c", "http://hub.example/c", "file:///etc/passwd", "ftp://a/b"]
        {
            assert_eq!(to(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let hub = url("https://hub.example/a");
        assert!(is_same_origin(&url("https://hub.example/b"), &hub));
        for other in ["http://hub.example/a", "https://hub.example:444/a", "https://hub.example.org/a"] {
            assert!(!is_same_origin(&url(other), &hub), "{other}");
        }
    }
}
