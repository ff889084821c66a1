// SPDX-License-Identifier: MIT OR Apache-2.0

//! Page-locked memory of the host. The user sees it at addresses whose pages are taken away while a copy from or to them
//! is not waited for; the driver sees the same memory elsewhere. Whoever reads what has not arrived, or writes to what has
//! not left, is stopped by the processor, told of, and let go on; the next call of the driver fails.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::errors::Status;
use super::order::{Clock, Ticket};
use super::state::look_soon;

const PAGE: usize = 4096;
/// Address space for all pinned memory of a process, none of which is handed out twice. It costs nothing.
const SPACE: usize = 1 << 40;

static SPACE_START: AtomicUsize = AtomicUsize::new(0);

/// A copy that the host has not waited for.
struct Guard {
    start: usize,
    end: usize,
    /// Whether the card writes there.
    arrives: bool,
    ticket: Ticket,
}

struct Block {
    bytes: usize,
    /// Where the driver sees it.
    alias: usize,
}

/// All pinned memory, by the user's address.
#[derive(Default)]
pub struct Pinned {
    blocks: BTreeMap<usize, Block>,
    guards: Vec<Guard>,
    /// The first address that was not handed out yet.
    next: usize,
}

fn pages(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(PAGE)
}

fn map(at: usize, bytes: usize, protection: i32, file: i32) -> Option<usize> {
    let kind = if file < 0 {
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE
    } else {
        libc::MAP_SHARED
    };
    let fixed = if at == 0 { 0 } else { libc::MAP_FIXED };
    // SAFETY: a mapping at no fixed address disturbs nothing, and one at a fixed address replaces pages of the space that
    // was reserved for it.
    let start = unsafe { libc::mmap(at as *mut _, bytes, protection, kind | fixed, file, 0) };
    (start != libc::MAP_FAILED).then_some(start as usize)
}

const BOTH: i32 = libc::PROT_READ | libc::PROT_WRITE;

impl Pinned {
    /// An address for so many bytes; None where there is no memory left.
    pub fn allocate(&mut self, bytes: usize) -> Option<usize> {
        if self.next == 0 {
            self.next = match SPACE_START.load(Ordering::Acquire) {
                0 => map(0, SPACE, libc::PROT_NONE, -1)?,
                known => known,
            };
            SPACE_START.store(self.next, Ordering::Release);
            watch();
        }
        let (at, size) = (self.next, pages(bytes));
        if at + size + PAGE > SPACE_START.load(Ordering::Acquire) + SPACE {
            return None;
        }
        // SAFETY: the name is a text; the file has no other name and goes with its mappings.
        let file = unsafe { libc::memfd_create(c"pinned".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return None;
        }
        // SAFETY: the file was just made.
        let sized = unsafe { libc::ftruncate(file, size as i64) } == 0;
        let alias = sized.then(|| map(0, size, BOTH, file)).flatten();
        let mapped = alias.and_then(|_| map(at, size, BOTH, file));
        // SAFETY: the mappings keep the file.
        unsafe { libc::close(file) };
        let (alias, _) = alias.zip(mapped)?;
        // What nobody wrote shows up as NaNs in halves and singles.
        // SAFETY: just mapped with this size.
        unsafe { (alias as *mut u8).write_bytes(0xff, bytes) };
        self.blocks.insert(at, Block { bytes, alias });
        // A page of nobody's lies behind each.
        self.next = at + size + PAGE;
        Some(at)
    }

    /// Gives memory back; whether it was there.
    pub fn free(&mut self, at: usize) -> bool {
        let Some(block) = self.blocks.remove(&at) else {
            return false;
        };
        let size = pages(block.bytes);
        self.guards
            .retain(|guard| guard.start < at || guard.start >= at + size);
        map(at, size, libc::PROT_NONE, -1);
        // SAFETY: the mapping was made by `allocate`, and nobody else knows it.
        unsafe { libc::munmap(block.alias as *mut _, size) };
        true
    }

    pub fn clear(&mut self) {
        while let Some(at) = self.blocks.keys().next().copied() {
            self.free(at);
        }
    }

    /// Addresses and sizes.
    pub fn live(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.blocks.iter().map(|(at, block)| (*at, block.bytes))
    }

    /// The block that an address lies in.
    pub fn around(&self, at: usize) -> Option<(usize, usize)> {
        let (start, block) = self.blocks.range(..=at).next_back()?;
        (at < start + block.bytes).then_some((*start, block.bytes))
    }

    /// Where the driver finds what the user names, pinned or not.
    pub fn seen_from_here(&self, at: usize) -> usize {
        match self.blocks.range(..=at).next_back() {
            Some((start, block)) if at < start + block.bytes => block.alias + (at - start),
            _ => at,
        }
    }

    /// Takes bytes away from the user until the host has waited for a copy.
    pub fn guard(&mut self, start: usize, bytes: usize, arrives: bool, ticket: &Ticket) {
        let Some((block, _)) = self.around(start).filter(|_| bytes > 0) else {
            return;
        };
        self.guards.push(Guard {
            start,
            end: start + bytes,
            arrives,
            ticket: ticket.clone(),
        });
        self.protect(block);
    }

    /// Gives back what the host has waited for.
    pub fn release(&mut self, host: &Clock) {
        let mut freed = Vec::new();
        self.guards.retain(|guard| {
            let waits = !host.holds(&guard.ticket);
            if !waits {
                freed.push(guard.start);
            }
            waits
        });
        for at in freed {
            if let Some((block, _)) = self.around(at) {
                self.protect(block);
            }
        }
    }

    /// Gives the pages of a block the protection that its guards ask for.
    fn protect(&self, block: usize) {
        let size = self.blocks.get(&block).map_or(0, |block| pages(block.bytes));
        let of_page = |page: usize| {
            let here = |guard: &&Guard| guard.start < page + PAGE && guard.end > page;
            let strictest = self.guards.iter().filter(here).map(|guard| guard.arrives).max();
            match strictest {
                None => BOTH,
                Some(false) => libc::PROT_READ,
                Some(true) => libc::PROT_NONE,
            }
        };
        let mut from = block;
        while from < block + size {
            let protection = of_page(from);
            let mut to = from + PAGE;
            while to < block + size && of_page(to) == protection {
                to += PAGE;
            }
            // SAFETY: the pages are those of the block.
            unsafe { libc::mprotect(from as *mut _, to - from, protection) };
            from = to;
        }
    }

    /// What is wrong with the user's access to an address that the processor refused, if anything is; the page is the user's
    /// from then on. None for an address that is in no block.
    fn refused(&mut self, at: usize) -> Option<Option<String>> {
        let (block, _) = self.around(at).or_else(|| {
            // The rest of the last page.
            let (start, block) = self.blocks.range(..=at).next_back()?;
            (at < start + pages(block.bytes)).then_some((*start, block.bytes))
        })?;
        let page = at / PAGE * PAGE;
        let broken = self
            .guards
            .iter()
            .find(|guard| (guard.start..guard.end).contains(&at));
        let what = broken.map(|guard| {
            let (does, way) = if guard.arrives {
                (
                    "touches",
                    "from the card that nobody has waited for may still write to",
                )
            } else {
                ("writes", "to the card that nobody has waited for may still read")
            };
            format!(
                "the host {does} byte {} of pinned memory, which a copy {way}",
                at - block
            )
        });
        // SAFETY: the page is one of the block.
        unsafe { libc::mprotect(page as *mut _, PAGE, BOTH) };
        Some(what)
    }
}

/// Who listened before.
static EARLIER: OnceLock<libc::sigaction> = OnceLock::new();

/// Listens for accesses that the processor refuses.
fn watch() {
    EARLIER.get_or_init(|| {
        // SAFETY: an action of zeros is one, which is overwritten.
        let mut earlier: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the place is good for an action.
        unsafe { libc::sigaction(libc::SIGSEGV, std::ptr::null(), &mut earlier) };
        earlier
    });
    // SAFETY: the handler has the type that SA_SIGINFO asks for, and finds the earlier one in its place.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
    }
}

/// A fault in the space of pinned memory is the user's own, never the driver's, which sees that memory elsewhere. All other
/// faults are for whoever listened before.
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let start = SPACE_START.load(Ordering::Acquire);
    // SAFETY: the system gives the information of a fault.
    let at = unsafe { (*info).si_addr() } as usize;
    if start != 0 && (start..start + SPACE).contains(&at) {
        let known = look_soon(|driver| {
            let refused = driver.pinned.refused(at);
            if let Some(Some(what)) = &refused {
                eprintln!("softgpu: race: {what}");
                driver.sticky.get_or_insert(Status::LAUNCH_FAILED);
            }
            refused.is_some()
        });
        if known == Some(true) {
            return;
        }
        eprintln!("softgpu: pinned memory is touched that is not allocated, at {at:#x}");
    }
    let earlier = EARLIER.get().map_or((libc::SIG_DFL, 0), |earlier| {
        (earlier.sa_sigaction, earlier.sa_flags)
    });
    match earlier {
        // SAFETY: back to where it happened, and to the end.
        (libc::SIG_DFL | libc::SIG_IGN, _) => unsafe {
            libc::signal(signal, libc::SIG_DFL);
        },
        (handler, flags) if flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: who asks for information is a handler of this type.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        }
        (handler, _) => {
            // SAFETY: and who does not is one of this.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(i32)>(handler) };
            handler(signal);
        }
    }
}
