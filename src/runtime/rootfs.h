// The container's file system, made inside its new mount namespace: mounts, device nodes, masked
// and read-only paths, pivot_root. Runs in the child. Every target is reached through a descriptor
// of the root by openat2; nothing below the root is named by a string path from the host's root.
#pragma once

#include <map>
#include <string>

#include "base/unique_fd.h"
#include "linux/terminal.h"
#include "oci/runtime_spec.h"
#include "runtime/plan.h"

namespace berth::runtime {

class Rootfs final {
  public:
    /// Cuts the propagation to the host and makes the directory a mount of its own. `path` is
    /// absolute.
    static Rootfs enter(const std::string& path, const Plan& plan);

    void mount_all(const Plan& plan);
    void make_devices(const Plan& plan);
    /// /dev/console and the terminal behind it, from the container's own devpts.
    linux_os::Terminal make_console();
    /// Writes sysctls through a procfs that is certainly one (CVE-2025-52881).
    void write_sysctls(const std::map<std::string, std::string>& values);
    void protect_paths(const oci::Linux& part);
    void make_root_readonly();
    /// pivot_root; the host's tree is gone afterwards.
    void pivot(const Plan& plan);

  private:
    explicit Rootfs(UniqueFd root) : root_(std::move(root)) {}
    UniqueFd open_target(const MountStep& step, BorrowedFd source) const;
    UniqueFd make_mount(const MountStep& step, const Plan& plan) const;
    void mount_one(const MountStep& step, const Plan& plan);
    void make_device(const oci::Device& device);
    void mask(const std::string& path);
    void make_readonly(const std::string& path);

    UniqueFd root_;
    UniqueFd proc_;   // root of the container's procfs, when it has one of its own
    UniqueFd null_;   // the host's /dev/null, checked
    UniqueFd empty_;  // the empty read-only directory that covers masked directories
};

}  // namespace berth::runtime
