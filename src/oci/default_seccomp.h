// Docker's default seccomp policy: everything that is not listed fails with EPERM; some calls are
// allowed only with a capability, clone3 answers ENOSYS so that libc falls back to clone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/seccomp_spec.h"

namespace berth::oci {

/// The policy for a process with these capabilities ("CAP_SYS_ADMIN", the bounding set), on this
/// machine's architecture and its sub-architectures.
Seccomp default_seccomp(const std::vector<std::string>& capabilities);

/// Turns a profile in Docker's file format (`--security-opt seccomp=FILE`: archMap, includes,
/// excludes, names) into the specification's form for these capabilities. Throws Error{invalid}.
Seccomp parse_docker_seccomp(std::string_view text, const std::vector<std::string>& capabilities);

}  // namespace berth::oci
