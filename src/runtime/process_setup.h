// What a process becomes just before it is executed, in `create` and in `exec` alike: limits,
// user, capabilities, seccomp, directory, program. Runs in the child, inside the container.
#pragma once

#include <optional>
#include <string>

#include "oci/runtime_spec.h"
#include "runtime/seccomp_program.h"

namespace berth::runtime {

struct PreparedProgram final {
    std::string path;
    oci::Process process;  // with HOME filled in
};

/// Standard streams belong to the user, so that /dev/stdout can be opened again.
void give_streams(const oci::User& user);
void apply_rlimits(const std::vector<oci::Rlimit>& limits);
/// Makes an absent working directory, for process 1 only: an exec into one that is absent fails.
/// Not through a link of /proc to a descriptor of the host's (CVE-2024-21626).
void make_working_directory(const std::string& path);
/// Takes user, groups, capabilities, no_new_privs and (unless no_new_privs lets it wait) the
/// seccomp policy; enters and verifies the working directory; finds the program.
PreparedProgram become_user(const oci::Process& process,
                            const std::optional<SeccompProgram>& seccomp);
/// Loads the seccomp policy if it had to wait, then execve. Only returns by throwing.
[[noreturn]] void execute(const PreparedProgram& program,
                          const std::optional<SeccompProgram>& seccomp, unsigned preserved_fds);

/// The path of `name` by Go's exec.LookPath; the texts are what Docker clients match:
/// `exec: "foo": executable file not found in $PATH`.
std::string find_executable(const std::string& name, const std::vector<std::string>& environment);

}  // namespace berth::runtime
