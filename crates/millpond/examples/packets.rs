//! A pool of packet buffers that threads share: bounded, and with back-pressure instead of growth.
//!
//! A network thread takes a buffer for each packet and sends it to two workers; dropping a buffer returns it to the
//! pool. There are eight buffers in a static. When all are in use, the network thread waits until a worker has dropped
//! one, so slow workers slow down the sender, and memory use does not grow.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use millpond::{AllocError, Blocks, Inspect, Locked, SharedPool, StaticBuffer, typed::SharedBox};

/// A packet as received from the network.
struct Packet {
    number: u32,
    bytes: [u8; 1500],
}

const BUFFERS: usize = 8;
const PACKETS: u32 = 10_000;

/// Memory for exactly eight packets: a pool of blocks needs none for itself.
type Room = StaticBuffer<{ BUFFERS * size_of::<Packet>() }>;
static ROOM: Room = StaticBuffer::new();

/// The pool of buffers: blocks for packets behind a lock, all of them in one chunk.
type Memory = Locked<Blocks, &'static Room>;
static POOL: SharedPool<Packet, Memory> =
    SharedPool::builder().parent(&ROOM).capacity(BUFFERS).build_shared();

/// A packet in its buffer, which this handle owns.
type Buffer = SharedBox<'static, Packet, Memory>;

fn main() {
    println!("{BUFFERS} buffers of {} bytes, {PACKETS} packets", size_of::<Packet>());
    let (waits, done, sum) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        // No worker runs yet: the first eight packets take all buffers, and there is none for the ninth.
        let taken: Vec<_> = std::iter::from_fn(|| receive(0).ok()).collect();
        let ninth = receive(0).err().map_or("there is a buffer".into(), |error| error.to_string());
        println!("{} taken; one more: {ninth}", taken.len());
        drop(taken);
        for _ in 0..2 {
            scope.spawn(|| work(&receiver, &done, &sum));
        }
        scope.spawn(|| network(sender, &waits));
    });
    println!("{} packets handled, bytes add up to {}", done.into_inner(), sum.into_inner());
    println!("the network thread found no buffer {} times, and waited", waits.into_inner());
    println!("{} bytes live, {} held", POOL.stats().live, POOL.stats().held);
}

/// Builds a packet in a buffer of the pool; returns an error if all are in use.
fn receive(number: u32) -> Result<Buffer, AllocError> {
    POOL.try_alloc_with(|| Packet { number, bytes: [number as u8; 1500] })
}

/// Receives packets as fast as buffers become free.
fn network(sender: Sender<Buffer>, waits: &AtomicUsize) {
    for number in 1..=PACKETS {
        let packet = loop {
            match receive(number) {
                Ok(packet) => break packet,
                Err(_) => {
                    waits.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_micros(10));
                }
            }
        };
        if sender.send(packet).is_err() {
            return; // no worker is left
        }
    }
}

/// Handles packets until there are no more.
fn work(receiver: &Mutex<Receiver<Buffer>>, done: &AtomicUsize, sum: &AtomicUsize) {
    loop {
        let Ok(packet) = receiver.lock().expect("no worker panics").recv() else { return };
        let bytes: usize = packet.bytes.iter().map(|&byte| usize::from(byte)).sum();
        assert_eq!(bytes, 1500 * (packet.number as usize % 256), "another packet lies in this buffer");
        sum.fetch_add(bytes, Relaxed);
        done.fetch_add(1, Relaxed);
        // The packet is dropped here, which frees its buffer.
    }
}
