//! Servers of debug information, on the loopback.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use millpond_symbols::{Debuginfod, Options, Origin};

use crate::support::{Program, only, program, split};

/// A server that sends what a path has, or the status 404.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn new(path: String, content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                counter.fetch_add(1, Relaxed);
                let (status, body) = match request.split(' ').nth(1) == Some(&path) {
                    true => ("200 OK", &content[..]),
                    false => ("404 Not Found", &b"no"[..]),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                // A client that has seen enough hangs up.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

/// A stripped program, and its debug information.
fn stripped(folder: &Path) -> (Program, PathBuf) {
    let program = program(folder, "g++", &[]).unwrap();
    let debug = folder.join("debug/moved");
    split(&program.path, &debug);
    (program, debug)
}

fn servers(urls: &[&str], cache: &Path) -> Debuginfod {
    Debuginfod {
        urls: urls.iter().map(|&url| url.into()).collect(),
        cache: cache.into(),
        timeout: Duration::from_secs(20),
        max_size: 1 << 30,
    }
}

#[test]
fn the_first_server_that_has_it_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let id = program.module().build_id.as_ref().unwrap().to_string();
    let without = Server::new("/nothing".into(), Vec::new());
    let with = Server::new(format!("/buildid/{id}/debuginfo"), fs::read(debug).unwrap());
    let never = Server::new("/nothing".into(), Vec::new());
    let cache = folder.path().join("cache");
    let debuginfod = servers(&[&without.url, &with.url, &never.url], &cache);
    let options = Options { debuginfod: Some(debuginfod), ..only(&[]) };
    for _ in 0..3 {
        program.assert_inlined(options.clone());
    }
    assert_eq!((without.requests(), with.requests(), never.requests()), (1, 1, 0));
    let kept = cache.join(&id).join("debuginfo");
    assert_eq!(*program.resolve(options).origin(), Origin::DebugInfo(kept));
    assert_eq!(fs::read_dir(cache.join(&id)).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn servers_are_not_asked_for_local_files_or_without_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let server = Server::new("/nothing".into(), Vec::new());
    let debuginfod = Some(servers(&[&server.url], &folder.path().join("cache")));
    fs::rename(&debug, debug.with_file_name("program.debug")).unwrap();
    program.assert_inlined(Options { debuginfod, ..only(&[&folder.path().join("debug")]) });
    assert_eq!(program.frames(only(&[])).len(), 1);
    assert_eq!(server.requests(), 0);
}

#[test]
fn answers_that_are_of_no_use_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (program, debug) = stripped(folder.path());
    let id = program.module().build_id.as_ref().unwrap().to_string();
    let path = format!("/buildid/{id}/debuginfo");
    let note = |debuginfod: Debuginfod| {
        let symbols = program.resolve(Options { debuginfod: Some(debuginfod), ..only(&[]) });
        assert_eq!(*symbols.origin(), Origin::SymbolTable(program.path.clone()));
        symbols.notes().join("\n")
    };
    let cache = folder.path().join("cache");
    let server = |content: &[u8]| Server::new(path.clone(), content.to_vec()).url;
    let missing = note(servers(&[&Server::new("/".into(), Vec::new()).url], &cache));
    assert!(missing.contains("404") && missing.contains(&id), "{missing}");
    let closed = note(servers(&["http://127.0.0.1:1/"], &cache));
    assert!(closed.contains("127.0.0.1:1") && closed.to_lowercase().contains("refused"), "{closed}");
    assert!(note(servers(&[&server(b"")], &cache)).contains("empty"));
    let long = Debuginfod { max_size: 100, ..servers(&[&server(&fs::read(debug).unwrap())], &cache) };
    assert!(note(long).contains("more than 100 bytes"));
    // A server that does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let no_tls = note(servers(&[&plain], &cache));
    let reason = if cfg!(feature = "https") { "InvalidContentType" } else { "debuginfod-find" };
    assert!(no_tls.contains(reason), "{no_tls}");
    let other = note(servers(&[&server(&fs::read("/proc/self/exe").unwrap())], &folder.path().join("other")));
    assert!(other.contains("another build"), "{other}");
    let garbage = note(servers(&[&server(b"<html>")], &folder.path().join("garbage")));
    assert!(garbage.contains("not an ELF file"), "{garbage}");
}
