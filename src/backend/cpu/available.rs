// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much memory this process can still take, as Linux tells it: the machine's free memory, or less where a control
//! group (a container, a batch job) has a limit. Both versions of control groups are read; see cgroups(7), proc(5) and
//! the kernel's admin-guide/cgroup-v1/memory and admin-guide/cgroup-v2.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that can be taken without driving other programs out; `None` where the system does not say.
pub fn available_bytes() -> Option<usize> {
    available_below(Path::new("/"))
}

/// The same, with `root` in the place of the root directory.
fn available_below(root: &Path) -> Option<usize> {
    let machine = machine_bytes(root);
    let groups = memory_groups(root).into_iter().filter_map(|group| group.left());
    machine.into_iter().chain(groups).min()
}

/// `MemAvailable` of /proc/meminfo.
fn machine_bytes(root: &Path) -> Option<usize> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    V1,
    V2,
}

/// A control group that may limit memory: the folder of its files.
struct Group {
    version: Version,
    folder: PathBuf,
}

impl Group {
    /// Bytes up to its limit; `None` if it has none. Files that were read and can be read again do not count as used.
    fn left(&self) -> Option<usize> {
        let (limits, usage, cache): (&[&str], _, _) = match self.version {
            Version::V1 => (
                &["memory.limit_in_bytes"],
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
            Version::V2 => (&["memory.max", "memory.high"], "memory.current", "inactive_file"),
        };
        // "max" is no number and means no limit.
        let limit = limits.iter().filter_map(|name| self.number(name)).min()?;
        let used = self.number(usage)?;
        let cached = self.statistic(cache).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    }

    fn number(&self, name: &str) -> Option<usize> {
        fs::read_to_string(self.folder.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// A line "name number" of `memory.stat`.
    fn statistic(&self, name: &str) -> Option<usize> {
        let text = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let mut words = text.lines().filter_map(|line| line.split_once(' '));
        words.find(|(key, _)| *key == name)?.1.trim().parse().ok()
    }
}

/// The groups that this process is in, from the innermost outwards, as far as they can be seen from here.
fn memory_groups(root: &Path) -> Vec<Group> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let mut groups = Vec::new();
    for (version, path) in memberships.lines().filter_map(membership) {
        let Some((top, mount)) = mounts.lines().find_map(|line| mounted(line, version)) else {
            continue;
        };
        // A container sees its own group as the top of the mount, whatever its path is outside.
        let inside = Path::new(path).strip_prefix(&top).unwrap_or(Path::new(""));
        let mount = root.join(mount.strip_prefix("/").unwrap_or(&mount));
        let mut folder = mount.join(inside.strip_prefix("/").unwrap_or(inside));
        loop {
            groups.push(Group {
                version,
                folder: folder.clone(),
            });
            if folder == mount || !folder.pop() {
                break;
            }
        }
    }
    groups
}

/// The memory group in a line of /proc/self/cgroup, "number:controllers:path"; version 2 has the number 0 and no
/// controllers.
fn membership(line: &str) -> Option<(Version, &str)> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if controllers.split(',').any(|controller| controller == "memory") {
        Some((Version::V1, path))
    } else if number == "0" && controllers.is_empty() {
        Some((Version::V2, path))
    } else {
        None
    }
}

/// Which group is at the top of a mount, and where it is mounted, if a line of /proc/self/mountinfo is about groups of
/// that version: "id parent device top mount options… - type source options".
fn mounted(line: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
    let fits = match version {
        Version::V1 => name == "cgroup" && options.split(',').any(|option| option == "memory"),
        Version::V2 => name == "cgroup2",
    };
    let mut fields = place.split(' ').skip(3);
    fits.then_some((fields.next()?.into(), fields.next()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// A file system with these files, of a machine with 1000 MiB available.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    1024000 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn available(files: &[(&str, &str)]) -> usize {
        available_below(root(files).path()).unwrap() / MIB
    }

    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 24 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn without_limits_it_is_what_the_machine_has() {
        assert_eq!(available(&[]), 1000);
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/memory.current", "1048576\n"),
        ];
        assert_eq!(available(&files), 1000);
        assert_eq!(available_below(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_container_of_version_2_limits_it_and_its_cache_does_not_count() {
        let mut files = vec![
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "314572800\n"),
            ("sys/fs/cgroup/memory.current", "104857600\n"),
        ];
        assert_eq!(available(&files), 200);
        files.push(("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 52428800\n"));
        assert_eq!(available(&files), 250);
    }

    #[test]
    fn an_outer_group_may_be_the_narrower_one() {
        let files = [
            ("proc/self/cgroup", "0::/user.slice/job.scope\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/user.slice/job.scope/memory.max", "734003200\n"),
            ("sys/fs/cgroup/user.slice/job.scope/memory.current", "0\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/memory.high", "419430400\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "104857600\n"),
        ];
        assert_eq!(available(&files), 300);
    }

    #[test]
    fn a_container_of_version_1_sees_its_own_group_at_the_top() {
        let files = [
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n",
            ),
            ("proc/self/mountinfo", V1),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "209715200\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "157286400\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "cache 1\ntotal_inactive_file 52428800\n",
            ),
        ];
        assert_eq!(available(&files), 100);
    }

    #[test]
    fn no_limit_of_version_1_is_a_very_large_number() {
        let files = [
            ("proc/self/cgroup", "4:memory:/\n"),
            (
                "proc/self/mountinfo",
                "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "157286400\n"),
        ];
        assert_eq!(available(&files), 1000);
    }

    #[test]
    fn more_used_than_allowed_leaves_nothing() {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/memory.max", "1048576\n"),
            ("sys/fs/cgroup/memory.current", "2097152\n"),
        ];
        assert_eq!(available(&files), 0);
    }
}
