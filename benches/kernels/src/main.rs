//! Runs one case once after a warm-up, for a tool that counts instructions: `relunet-kernels NAME`; without a name,
//! prints all names.

use relunet_kernels::{Work, cases};

/// What is counted.
#[inline(never)]
fn counted(work: &mut Work) {
    work();
}

fn main() {
    let name = std::env::args().nth(1);
    for case in cases() {
        match &name {
            None => println!("{}\t{}", case.size, case.name),
            Some(name) if *name == case.name => {
                let mut work = (case.make)();
                work();
                counted(&mut work);
            }
            Some(_) => {}
        }
    }
}
