// Seccomp policies as BPF. Compiling one with libseccomp takes 20 to 30 ms, so programs are kept
// below `--root`/seccomp/, one file each: the policy's full text and the program. The name is a
// hash, the text decides. Files appear by rename, so that first starts may race.
#pragma once

#include <linux/filter.h>

#include <string>
#include <vector>

#include "oci/seccomp_spec.h"

namespace berth::runtime {

struct SeccompProgram final {
    std::vector<sock_filter> instructions;
    unsigned flags = 0;  // SECCOMP_FILTER_FLAG_*
};

/// From the cache in `directory`, or compiled and put there; a cache that cannot be written does
/// no harm. Throws Error{invalid} for a policy that libseccomp refuses.
SeccompProgram obtain_seccomp(const oci::Seccomp& policy, const std::string& directory);
SeccompProgram compile_seccomp(const oci::Seccomp& policy);
/// seccomp(2) on the calling thread. Needs no_new_privs or CAP_SYS_ADMIN. Throws Error.
void load_seccomp(const SeccompProgram& program);

}  // namespace berth::runtime
