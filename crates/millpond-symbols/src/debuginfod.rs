//! Debug information from servers.

use std::{
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use ureq::Agent;

use crate::build_id::BuildId;

/// Servers that send debug information for a build id, and the folder that keeps it.
///
/// The folder has the layout of elfutils' client, so files that `debuginfod-find` or gdb have fetched are found.
#[derive(Clone, Debug)]
pub struct Debuginfod {
    /// Addresses of servers, in the order in which they are asked. `https://` needs the feature `https`.
    pub urls: Vec<String>,
    /// Where files are kept.
    pub cache: PathBuf,
    /// Max time for a server to start its answer, and for each pause in it.
    pub timeout: Duration,
    /// Max bytes of a file.
    pub max_size: u64,
}

impl Debuginfod {
    /// Reads the variables that elfutils' client reads: `DEBUGINFOD_URLS`, `DEBUGINFOD_CACHE_PATH` (or
    /// `XDG_CACHE_HOME`), `DEBUGINFOD_TIMEOUT` and `DEBUGINFOD_MAXSIZE`. Returns `None` if no server is named, or
    /// there is no place to keep files.
    pub fn from_environment() -> Option<Self> {
        let urls = env::var("DEBUGINFOD_URLS").ok()?;
        let urls: Vec<_> = urls.split_whitespace().map(str::to_owned).collect();
        let folder = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let number = |name: &str| env::var(name).ok()?.parse().ok().filter(|&number: &u64| number > 0);
        let cache = folder("DEBUGINFOD_CACHE_PATH")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("debuginfod_client")))
            .or_else(|| Some(folder("HOME")?.join(".cache/debuginfod_client")))?;
        let timeout = Duration::from_secs(number("DEBUGINFOD_TIMEOUT").unwrap_or(90));
        let max_size = number("DEBUGINFOD_MAXSIZE").unwrap_or(1 << 33);
        (!urls.is_empty()).then_some(Self { urls, cache, timeout, max_size })
    }

    /// Returns the path of the debug information for a build id: that of an earlier time, or that of the first server
    /// that has it. An error says why there is none, in words.
    pub(crate) fn fetch(&self, id: &BuildId) -> Result<PathBuf, String> {
        let folder = self.cache.join(id.to_string());
        let path = folder.join("debuginfo");
        // elfutils' client keeps an empty file for what no server has.
        if fs::metadata(&path).is_ok_and(|about| about.len() > 0) {
            return Ok(path);
        }
        let mut reasons = Vec::new();
        for url in &self.urls {
            match self.fetch_from(url, id, &folder, &path) {
                Ok(()) => return Ok(path),
                Err(reason) => reasons.push(format!("{url}: {reason}")),
            }
        }
        Err(format!("no server has debug information for {id} ({})", reasons.join("; ")))
    }

    fn fetch_from(&self, url: &str, id: &BuildId, folder: &Path, path: &Path) -> Result<(), String> {
        if url.starts_with("https:") && !cfg!(feature = "https") {
            return Err(
                "this build of millpond cannot use https: install it with `--features https`, or fetch the \
                 file with `debuginfod-find debuginfo`, which puts it where millpond finds it"
                    .into(),
            );
        }
        let url = format!("{}/buildid/{id}/debuginfo", url.trim_end_matches('/'));
        let mut answer = self.agent().get(url).call().map_err(|error| error.to_string())?;
        let mut body =
            answer.body_mut().with_config().limit(u64::MAX).reader().take(self.max_size.saturating_add(1));
        let mut save = || -> io::Result<u64> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let length = io::copy(&mut body, &mut file)?;
            if (1..=self.max_size).contains(&length) {
                file.persist(path)?;
            }
            Ok(length)
        };
        match save().map_err(|error| error.to_string())? {
            0 => Err("the answer is empty".into()),
            length if length > self.max_size => Err(format!("it has more than {} bytes", self.max_size)),
            _ => Ok(()),
        }
    }

    fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .user_agent(concat!("millpond/", env!("CARGO_PKG_VERSION")));
        #[cfg(feature = "https")]
        let config = {
            // It stays as it is if the program has chosen another.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let certificates = ureq::tls::RootCerts::PlatformVerifier;
            config.tls_config(ureq::tls::TlsConfig::builder().root_certs(certificates).build())
        };
        config.build().into()
    }
}
