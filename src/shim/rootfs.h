// Mounts a container's root directory, or another that it needs, in the shim's private mount
// namespace and takes it down again. Kernel overlay and the bind are done at once; fuse-overlayfs
// is a program that goes to the background when its mount is there. Throws Error naming the
// directory.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "shim/protocol.h"
#include "shim/reaper.h"

namespace berth::shim {

/// A mount namespace of our own; mounts of the host still arrive, ours do not leave.
void enter_private_mounts();

class Rootfs final {
  public:
    /// `target` is made when absent; `what` names it in errors.
    Rootfs(Reaper& reaper, RootfsMount mount, std::string target, std::string what)
        : reaper_(reaper),
          mount_(std::move(mount)),
          target_(std::move(target)),
          what_(std::move(what)) {}

    /// Calls back when mounted, or with the error.
    void mount(std::function<void(std::optional<Error>)> done);
    /// Unmounts; harmless when not mounted.
    void unmount();

  private:
    void mount_overlay();
    void mount_path();
    void mount_place();
    void mount_fuse(std::function<void(std::optional<Error>)> done);

    Reaper& reaper_;
    RootfsMount mount_;
    std::string target_;
    std::string what_;
    bool mounted_ = false;
};

}  // namespace berth::shim
