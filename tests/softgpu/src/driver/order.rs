// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens before what: the work of a stream in its order, across streams by events, and for the host by waiting.
//!
//! Work runs late and one piece after the other, so that an access which no event orders shows itself by what is
//! recorded here and not by luck.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::errors::Outcome;
use super::state::{Driver, Handle, LEGACY};
use super::streams::{Command, Source};

/// By stream, how many pieces of its work happen before something.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Clock(Vec<(Handle, u64)>);

impl Clock {
    fn position(&self, stream: Handle) -> u64 {
        let found = self.0.iter().find(|(known, _)| *known == stream);
        found.map_or(0, |(_, position)| *position)
    }

    pub fn holds(&self, ticket: &Ticket) -> bool {
        self.position(ticket.stream) >= ticket.position
    }

    pub fn raise(&mut self, stream: Handle, position: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, known)) => *known = (*known).max(position),
            None => self.0.push((stream, position)),
        }
    }

    pub fn join(&mut self, other: &Clock) {
        for (stream, position) in &other.0 {
            self.raise(*stream, *position);
        }
    }

    fn includes(&self, other: &Clock) -> bool {
        other
            .0
            .iter()
            .all(|(stream, position)| self.position(*stream) >= *position)
    }
}

/// A piece of work: which of its stream's it is, and what happens before it.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub stream: Handle,
    pub position: u64,
    pub after: Arc<Clock>,
}

/// Work that has run and that does not come before all that follows: by stream its position and how the records of races call it.
#[derive(Debug, Default)]
pub struct Open(HashMap<Handle, VecDeque<(u64, u16)>>);

impl Open {
    /// Notes work of a ticket that runs now.
    fn add(&mut self, ticket: &Ticket, work: u16) {
        self.0
            .entry(ticket.stream)
            .or_default()
            .push_back((ticket.position, work));
    }

    /// The work that a ticket's does not come after.
    fn beside(&self, ticket: &Ticket) -> Vec<u16> {
        let others = self.0.iter().filter(|(stream, _)| **stream != ticket.stream);
        others
            .flat_map(|(stream, works)| {
                let before = ticket.after.position(*stream);
                let later = works.iter().rev().take_while(move |(at, _)| *at > before);
                later.map(|(_, work)| *work)
            })
            .collect()
    }

    /// Forgets what comes before all that is there and will be: the host has waited for it, and so has all work that still
    /// waits in a stream, of which `waiting` has the first of each.
    fn close(&mut self, host: &Clock, waiting: &[Arc<Clock>]) {
        for (stream, works) in &mut self.0 {
            let waiting = waiting.iter().map(|clock| clock.position(*stream));
            let before = waiting.fold(host.position(*stream), u64::min);
            while works.front().is_some_and(|(at, _)| *at <= before) {
                works.pop_front();
            }
        }
        self.0.retain(|_, works| !works.is_empty());
    }
}

impl Driver {
    /// The ticket of what a stream is given next.
    pub fn ticket(&mut self, handle: Handle) -> Outcome<Ticket> {
        let handle = if handle <= 2 { LEGACY } else { handle };
        // The legacy stream and the blocking ones wait for each other.
        let mut before = Clock::default();
        if self.stream(handle)?.blocking {
            let others = self.streams.iter().filter(|(name, stream)| {
                **name != handle && stream.blocking && (handle == LEGACY || **name == LEGACY)
            });
            for (name, stream) in others {
                before.join(&stream.clock);
                before.raise(*name, stream.position);
            }
        }
        before.join(&self.host);
        let stream = self.stream(handle)?;
        if !stream.clock.includes(&before) {
            Arc::make_mut(&mut stream.clock).join(&before);
        }
        stream.position += 1;
        Ok(Ticket {
            stream: handle,
            position: stream.position,
            after: stream.clock.clone(),
        })
    }

    /// What a stream is given from now on comes after what is in `clock`.
    pub fn wait_in_stream(&mut self, handle: Handle, clock: &Clock) -> Outcome<()> {
        Arc::make_mut(&mut self.stream(handle)?.clock).join(clock);
        Ok(())
    }

    /// All that a stream was given so far, and what comes before that.
    pub fn clock_of(&mut self, handle: Handle) -> Outcome<Clock> {
        let handle = if handle <= 2 { LEGACY } else { handle };
        let stream = self.stream(handle)?;
        let mut clock = Clock::clone(&stream.clock);
        clock.raise(handle, stream.position);
        Ok(clock)
    }

    /// The host has waited for all that is in `clock`.
    pub fn wait_on_host(&mut self, clock: &Clock) {
        if self.host.includes(clock) {
            return;
        }
        self.host.join(clock);
        let firsts = self.streams.values().filter_map(|stream| stream.queue.front());
        let waiting: Vec<Arc<Clock>> = firsts.map(|(ticket, _)| ticket.after.clone()).collect();
        self.open.close(&self.host, &waiting);
        self.pinned.release(&self.host);
    }

    /// The host has waited for a stream.
    pub fn wait_for_stream(&mut self, handle: Handle) -> Outcome<()> {
        self.drain(handle)?;
        let clock = self.clock_of(handle)?;
        self.wait_on_host(&clock);
        Ok(())
    }

    /// The host has waited for everything.
    pub fn wait_for_all(&mut self) -> Outcome<()> {
        self.drain_all()?;
        let mut everything = self.gone.clone();
        let all: Vec<Handle> = self.streams.keys().copied().collect();
        for handle in all {
            everything.join(&self.clock_of(handle)?);
        }
        self.wait_on_host(&everything);
        Ok(())
    }

    /// Begins a piece of work on the card; what no event orders before it may not touch what it does.
    pub fn begin_work(&mut self, ticket: &Ticket) {
        let (work, is_spent) = self.memory.begin_work();
        if is_spent {
            self.open = Open::default();
        }
        let beside = self.open.beside(ticket);
        self.memory.races.set_beside(&beside);
        self.open.add(ticket, work);
    }

    /// Begins a piece of work that nothing is beside.
    pub fn begin_alone(&mut self) {
        if self.memory.begin_launch() {
            self.open = Open::default();
        }
    }

    /// Guards the pinned memory that work of a ticket copies from or to until the host has waited for it.
    pub fn guard(&mut self, ticket: &Ticket, command: &Command) {
        match command {
            Command::Upload {
                source: Source::Later(pointer, bytes),
                ..
            } => self.pinned.guard(pointer.0 as usize, *bytes, false, ticket),
            Command::Download { to, bytes, .. } => {
                self.pinned.guard(to.0 as usize, *bytes as usize, true, ticket);
            }
            Command::Graph(commands) => {
                for command in commands.clone().iter() {
                    self.guard(ticket, command);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(stream: Handle, position: u64, after: &[(Handle, u64)]) -> Ticket {
        Ticket {
            stream,
            position,
            after: Arc::new(Clock(after.to_vec())),
        }
    }

    #[test]
    fn work_is_beside_what_it_does_not_come_after() {
        let mut open = Open::default();
        for position in 1..4 {
            open.add(&ticket(7, position, &[]), 10 + position as u16);
        }
        assert_eq!(open.beside(&ticket(7, 4, &[])), []);
        assert_eq!(open.beside(&ticket(8, 1, &[])), [13, 12, 11]);
        assert_eq!(open.beside(&ticket(8, 1, &[(7, 2)])), [13]);
        // Work that was ordered before the host waited does not know of it.
        let host = Clock(vec![(7, 2)]);
        open.close(&host, &[Arc::new(Clock(vec![(7, 1)]))]);
        assert_eq!(open.beside(&ticket(8, 1, &[])), [13, 12]);
        open.close(&host, &[]);
        assert_eq!(open.beside(&ticket(8, 1, &[])), [13]);
    }
}
