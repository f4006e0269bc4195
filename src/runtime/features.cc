#include <nlohmann/json.hpp>

#include "base/file.h"
#include "oci/defaults.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

using nlohmann::json;

const json& mount_options() {
    static const json kWords = {
        "async",        "atime",       "bind",        "defaults",    "dev",          "diratime",
        "dirsync",      "exec",        "lazytime",    "loud",        "noatime",      "nodev",
        "nodiratime",   "noexec",      "norelatime",  "nosuid",      "nosymfollow",  "private",
        "rbind",        "rdev",        "rdiratime",   "relatime",    "rexec",        "rnoatime",
        "rnodev",       "rnodiratime", "rnoexec",     "rnosuid",     "rnosymfollow", "ro",
        "rprivate",     "rrelatime",   "rro",         "rrw",         "rshared",      "rslave",
        "rstrictatime", "rsuid",       "rsymfollow",  "runbindable", "rw",           "shared",
        "silent",       "slave",       "strictatime", "suid",        "symfollow",    "sync",
        "unbindable"};
    return kWords;
}

}  // namespace

int features(const Settings&, const Arguments&) {
    const json seccomp{
        {"enabled", true},
        {"actions",
         {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
          "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"}},
        {"operators",
         {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
          "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"}},
        {"archs",
         {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_X32",
          "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}},
        {"knownFlags",
         {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
          "SECCOMP_FILTER_FLAG_TSYNC"}},
        {"supportedFlags",
         {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
          "SECCOMP_FILTER_FLAG_TSYNC"}}};
    const json linux_part{
        {"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
        {"capabilities", oci::all_capabilities()},
        {"cgroup",
         {{"v1", false}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}}},
        {"seccomp", seccomp},
        {"apparmor", {{"enabled", false}}},
        {"selinux", {{"enabled", false}}},
        {"intelRdt", {{"enabled", false}}},
        {"mountExtensions", {{"idmap", {{"enabled", false}}}}}};
    const json document{{"ociVersionMin", "1.0.0"},
                        {"ociVersionMax", oci::kSpecVersion},
                        {"hooks",
                         {"prestart", "createRuntime", "createContainer", "startContainer",
                          "poststart", "poststop"}},
                        {"mountOptions", mount_options()},
                        {"linux", linux_part},
                        {"potentiallyUnsafeConfigAnnotations", json::array()}};
    write_all(BorrowedFd{1}, document.dump(2) + "\n");
    return 0;
}

}  // namespace berth::runtime
