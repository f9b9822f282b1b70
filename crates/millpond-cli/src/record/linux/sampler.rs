//! Looks at recorded processes from outside while they run: their memory, their CPU time, their
//! mappings and the names of their threads.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    mem::MaybeUninit,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Instant,
};

use millpond_trace::raw::{DIRECTORY, FromBytes, Header, MAGIC, Sample, ThreadName};

/// Number of samples from one reading of thread names and mappings to the next.
const DETAILS: u32 = 3;

/// Reading mappings takes at most the time divided by this.
const MAPS_SHARE: u32 = 50;

/// Max samples in which the header of a new process image is looked for: it may never appear, because the process has no
/// file, or ends first.
const LOOKS: u32 = 10;

/// Samples all processes of a recording.
pub(super) struct Sampler {
    directory: PathBuf,
    samples: File,
    names: File,
    /// The processes that are recorded, by their numbers in the system, with their latest images.
    processes: HashMap<u32, u32>,
    /// Number of process images so far.
    images: u32,
    /// Those that have no complete header yet, with the number of samples in which it is still looked for.
    starting: Vec<(u32, u32)>,
    /// Names that were written, by image and thread.
    known: HashMap<(u32, u32), [u8; 16]>,
    /// The mappings of each image that were written last.
    maps: HashMap<u32, Vec<u8>>,
    /// When mappings are read next.
    next_maps: Instant,
    turn: u32,
}

impl Sampler {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let create =
            |name: &str| fs::File::options().append(true).create(true).mode(0o600).open(directory.join(name));
        Ok(Self {
            directory: directory.to_owned(),
            samples: create("samples")?,
            names: create("threads")?,
            processes: HashMap::new(),
            images: 0,
            starting: Vec::new(),
            known: HashMap::new(),
            maps: HashMap::new(),
            next_maps: Instant::now(),
            turn: 0,
        })
    }

    /// Takes a sample of every process. `images` is the number of process images so far, and `ticks` the time.
    pub(super) fn sample(&mut self, images: u32, ticks: u64) -> io::Result<()> {
        self.find(images);
        let mut gone = Vec::new();
        for (&process, &image) in &self.processes {
            match sample(process, image, ticks) {
                Some(sample) => self.samples.write_all(sample.to_bytes())?,
                None => gone.push(process),
            }
        }
        for process in gone {
            self.maps.remove(&self.processes.remove(&process).unwrap_or_default());
        }
        self.turn = self.turn.wrapping_add(1);
        if self.turn % DETAILS == 1 {
            self.copy_maps()?;
            self.name_threads()?;
        }
        Ok(())
    }

    /// Adds the processes of images that were created since the last call.
    fn find(&mut self, images: u32) {
        self.starting.extend((self.images..images).map(|image| (image, LOOKS)));
        self.images = images.max(self.images);
        for (image, looks) in std::mem::take(&mut self.starting) {
            match self.process_of(image) {
                Some(process) if self.is_recorded(process) => drop(self.processes.insert(process, image)),
                None if looks > 1 => self.starting.push((image, looks - 1)),
                _ => {}
            }
        }
    }

    /// Returns the process of an image whose header is complete.
    fn process_of(&self, image: u32) -> Option<u32> {
        let mut bytes = [0; size_of::<Header>()];
        let file = File::open(self.directory.join(format!("live/{image}"))).ok()?;
        file.read_exact_at(&mut bytes, 0).ok()?;
        let header = Header::from_bytes(&bytes).filter(|header| header.magic.load(Relaxed) == MAGIC)?;
        Some(header.process.load(Relaxed))
    }

    /// Returns whether a process of this number is part of this recording. Within a container, processes have other
    /// numbers than outside.
    fn is_recorded(&self, process: u32) -> bool {
        let variable = [DIRECTORY.as_bytes(), b"=", self.directory.as_os_str().as_encoded_bytes()].concat();
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == variable)
    }

    /// Copies the mappings of all processes, for those that cannot do so at their end: they are killed, or cannot create
    /// files any more.
    fn copy_maps(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        if begin < self.next_maps {
            return Ok(());
        }
        for (&process, &image) in &self.processes {
            let maps = fs::read(format!("/proc/{process}/maps")).unwrap_or_default();
            if maps.is_empty() || self.maps.get(&image) == Some(&maps) {
                continue;
            }
            let path = |suffix: &str| self.directory.join(format!("live/{image}{suffix}"));
            let mut file = fs::File::options();
            let mut file =
                file.write(true).create(true).truncate(true).mode(0o600).open(path(".maps.new"))?;
            file.write_all(&maps)?;
            fs::rename(path(".maps.new"), path(".maps.seen"))?;
            self.maps.insert(image, maps);
        }
        // A process with very many mappings is delayed while they are read.
        self.next_maps = Instant::now() + begin.elapsed() * MAPS_SHARE;
        Ok(())
    }

    fn name_threads(&mut self) -> io::Result<()> {
        for (&process, &image) in &self.processes {
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
            for thread in threads.flatten() {
                let comm = fs::read(thread.path().join("comm")).unwrap_or_default();
                let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
                let number = thread.file_name().to_str().and_then(|name| name.parse().ok());
                let (Some(thread), false) = (number, comm.is_empty()) else { continue };
                let mut name = [0; 16];
                for (place, byte) in name.iter_mut().zip(comm) {
                    *place = *byte;
                }
                if self.known.insert((image, thread), name) != Some(name) {
                    self.names.write_all(ThreadName { image, thread, name }.to_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// Returns what a process has used; `None` if it has ended.
fn sample(process: u32, image: u32, ticks: u64) -> Option<Sample> {
    let memory = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    // Numbers of pages: address space, resident, and resident pages of files.
    let mut pages = memory.split(' ').skip(1).map_while(|number| number.parse::<u64>().ok());
    let (resident, of_files) = (pages.next()?, pages.next()?);
    // SAFETY: `sysconf` is always safe to call.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, is the second word and may contain spaces; faults are the 10th and 12th.
    let words: Vec<_> = status.rsplit_once(')')?.1.split_whitespace().collect();
    let faults = |at: usize| words.get(at - 3).and_then(|word| word.parse::<u64>().ok());
    Some(Sample {
        ticks,
        image: image.into(),
        resident: resident * page,
        anonymous: resident.saturating_sub(of_files) * page,
        page_faults: faults(10)? + faults(12)?,
        cpu_ns: cpu_time(process)?,
    })
}

/// Returns the nanoseconds of CPU time that a process has used; `None` if it has ended.
fn cpu_time(process: u32) -> Option<u64> {
    let (mut clock, mut time) = (MaybeUninit::uninit(), MaybeUninit::<libc::timespec>::uninit());
    // SAFETY: both places are valid for the results, which are read only on success.
    let time = unsafe {
        if libc::clock_getcpuclockid(process as i32, clock.as_mut_ptr()) != 0
            || libc::clock_gettime(clock.assume_init(), time.as_mut_ptr()) != 0
        {
            return None;
        }
        time.assume_init()
    };
    Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_header_does_not_hide_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("live")).unwrap();
        let mut sampler = Sampler::new(directory.path()).unwrap();
        let header = |magic: u64| {
            let mut bytes = vec![0; size_of::<Header>()];
            bytes[std::mem::offset_of!(Header, magic)..][..8].copy_from_slice(&magic.to_ne_bytes());
            bytes
        };
        let write = |image: u32, magic| {
            fs::write(directory.path().join(format!("live/{image}")), header(magic)).unwrap();
        };
        write(0, 0);
        write(2, MAGIC);
        sampler.find(3);
        assert_eq!(sampler.starting, [(0, LOOKS - 1), (1, LOOKS - 1)], "one is being made, one has no file");
        write(1, MAGIC);
        sampler.find(3);
        assert_eq!(sampler.starting, [(0, LOOKS - 2)]);
        (0..LOOKS).for_each(|_| sampler.find(3));
        assert_eq!((sampler.images, &sampler.starting[..]), (3, &[][..]));
    }

    #[test]
    fn a_process_can_be_sampled_until_it_ends() {
        let own = std::process::id();
        let before = sample(own, 7, 8).unwrap();
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = sample(own, 7, 9).unwrap();
        assert_eq!((before.ticks, before.image), (8, 7));
        assert!(after.anonymous >= before.anonymous + (30 << 20), "{before:?} {after:?}");
        assert!(after.resident >= after.anonymous && after.page_faults > before.page_faults);
        assert!(after.cpu_ns > before.cpu_ns && !block.is_empty());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(sample(child.id(), 0, 0), None);
    }
}
