// How systemd names things in the cgroup tree. Paths are those of the version 2 hierarchy, below
// its mount point ("/user.slice/user-1000.slice/user@1000.service/app.slice/berth.service"). Pure.
#pragma once

#include <string>
#include <string_view>

namespace berth::systemd {

/// The version 2 line of a /proc/PID/cgroup; empty without one.
std::string unified_path(std::string_view proc_cgroup);
/// The part of `path` up to the user manager's own cgroup; empty when it is outside of one.
std::string manager_of(std::string_view path);
/// The unit of the user manager that `path` is in ("berth.service"); empty outside.
std::string unit_of(std::string_view path);
bool is_slice_name(std::string_view name);
/// Where a slice is below its manager: "a-b.slice" is "/a.slice/a-b.slice". Throws Error{invalid}.
std::string slice_path(std::string_view name);

}  // namespace berth::systemd
