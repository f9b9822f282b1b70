//! The programs of `cargo xtask attacks`: each commits one misuse of one pool, in a process of its own, and says what
//! came of it.
//!
//! `attacks` alone lists the pools and the misuses; `attacks POOL MODE MISUSE` commits one. What is wrong here is wrong on
//! purpose.

mod misuses;
mod pools;
mod victim;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (pools, misuses) = (pools::all(), misuses::ALL);
    match words[..] {
        [] => {
            pools.iter().for_each(|pool| println!("pool\t{}\t{}", pool.name, pool.mode));
            misuses.iter().for_each(|(name, _)| println!("misuse\t{name}"));
            ExitCode::SUCCESS
        }
        [name, mode, misuse] => {
            let pool = pools.iter().find(|pool| pool.name == name && pool.mode == mode);
            let misuse = misuses.iter().find(|(name, _)| *name == misuse);
            let (Some(pool), Some((_, commit))) = (pool, misuse) else {
                eprintln!("attacks: there is no such pool or misuse; without arguments all are listed");
                return ExitCode::from(2);
            };
            let mut victim = (pool.victim)();
            println!("{}", commit(&mut victim).word());
            // Without dropping the pool: blocks that are still live are no part of the attack.
            std::process::exit(0)
        }
        _ => {
            eprintln!("attacks: pass a pool, a mode and a misuse, or nothing for a list");
            ExitCode::from(2)
        }
    }
}
