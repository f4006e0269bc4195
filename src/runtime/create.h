// Creating a container: shared by `create` and `run`.
#pragma once

#include "linux/pid_fd.h"
#include "runtime/arguments.h"
#include "runtime/verbs.h"

namespace berth::runtime {

/// Makes the container and returns its process 1, which waits for start. A failure leaves
/// nothing behind. Throws Error.
linux_os::PidFd create_container(const Settings& settings, const Arguments& arguments);
/// Lets process 1 of a created container execute its program. Throws Error with the reason when
/// execve failed.
void start_container(const Settings& settings, const std::string& id);
/// Removes a container that has stopped, with its cgroup and state, and runs poststop hooks.
void delete_stopped(const Settings& settings, const std::string& id);
/// The number of `--preserve-fds`; throws unless all of them are open.
unsigned preserved_fds(const Options& options);
/// Writes the pid file: decimal, renamed into place.
void write_pid_file(const std::string& path, pid_t pid);

}  // namespace berth::runtime
