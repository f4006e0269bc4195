#include "linux/overlay_mount.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {
namespace {

// fsconfig(2) takes at most 256 bytes a value, the terminating NUL included.
constexpr std::size_t kMaxValue = 255;

// Names for directories that fit into an option whatever their paths are: a long path, or one with
// a separator of the option string, is named by a descriptor.
class OptionPaths final {
  public:
    std::string name(const std::string& path) {
        if (path.size() <= kMaxValue && path.find_first_of(":,\\") == std::string::npos)
            return path;
        return short_name(path);
    }
    std::string short_name(const std::string& path) {
        held_.push_back(open_file(path, O_PATH | O_DIRECTORY));
        return "/proc/self/fd/" + std::to_string(held_.back().get());
    }

  private:
    std::vector<UniqueFd> held_;
};

// What the kernel wrote into the context's log, which says more than the errno.
std::string context_log(BorrowedFd context) {
    std::string text;
    char line[512];
    for (;;) {
        const ssize_t count = ::read(context.get(), line, sizeof line);
        if (count <= 0) return text;
        if (!text.empty()) text += "; ";
        text.append(line, static_cast<std::size_t>(count));
        while (!text.empty() && text.back() == '\n') text.pop_back();
    }
}

[[noreturn]] void throw_configuration(BorrowedFd context, int saved, const char* key) {
    const std::string log = context_log(context);
    throw Error::from_errno(saved, log.empty()
                                       ? fmt::format("mounting overlay: setting {}", key)
                                       : fmt::format("mounting overlay: {} ({})", key, log));
}

void set_string(BorrowedFd context, const char* key, const std::string& value) {
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) < 0)
        throw_configuration(context, errno, key);
}

void set_flag(BorrowedFd context, const char* key) {
    if (::fsconfig(context.get(), FSCONFIG_SET_FLAG, key, nullptr, 0) < 0)
        throw_configuration(context, errno, key);
}

// Before Linux 6.5 overlay takes any key unseen and refuses when the file system is made, with a
// line in the kernel's log.
bool parses_options_one_by_one() {
    utsname names{};
    unsigned major = 0, minor = 0;
    ::uname(&names);
    if (std::sscanf(names.release, "%u.%u", &major, &minor) != 2) return true;
    return major > 6 || (major == 6 && minor >= 5);
}

enum class LayerKey { known, unknown };

LayerKey set_lower_layers(BorrowedFd context, const OverlayLayout& layout, OptionPaths& paths) {
    for (const std::string& lower : layout.lowerdirs) {
        if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", paths.name(lower).c_str(),
                       0) == 0)
            continue;
        // A kernel that does not know the key says EINVAL at the first use of it.
        if (errno == EINVAL && &lower == &layout.lowerdirs.front()) return LayerKey::unknown;
        throw_configuration(context, errno, "lowerdir+");
    }
    return LayerKey::known;
}

void check_layout(const OverlayLayout& layout) {
    if (layout.lowerdirs.empty()) throw Error(ErrorKind::invalid, "overlay without a lower layer");
    if (layout.upperdir.empty() != layout.workdir.empty())
        throw Error(ErrorKind::invalid, "overlay needs both an upper and a work directory");
}

}  // namespace

UniqueFd mount_overlay(const OverlayLayout& layout) {
    check_layout(layout);
    if (!parses_options_one_by_one()) return mount_overlay_classic(layout);
    UniqueFd context{::fsopen("overlay", FSOPEN_CLOEXEC)};
    if (!context) throw_errno("opening the overlay file system");
    OptionPaths paths;
    if (set_lower_layers(context, layout, paths) == LayerKey::unknown)
        return mount_overlay_classic(layout);
    set_flag(context, "userxattr");
    if (!layout.upperdir.empty()) {
        set_string(context, "upperdir", paths.name(layout.upperdir));
        set_string(context, "workdir", paths.name(layout.workdir));
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        throw_configuration(context, errno, "creating the file system");
    const unsigned attributes = layout.upperdir.empty() ? MOUNT_ATTR_RDONLY : 0;
    UniqueFd mount{::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes)};
    if (!mount) throw_errno("mounting overlay");
    return mount;
}

UniqueFd mount_overlay_classic(const OverlayLayout& layout) {
    check_layout(layout);
    // Descriptors keep the string within the page that mount(2) takes.
    OptionPaths paths;
    std::string options = "userxattr,lowerdir=";
    for (const std::string& lower : layout.lowerdirs) {
        if (&lower != &layout.lowerdirs.front()) options += ':';
        options += paths.short_name(lower);
    }
    if (!layout.upperdir.empty())
        options += ",upperdir=" + paths.short_name(layout.upperdir) +
                   ",workdir=" + paths.short_name(layout.workdir);
    const std::string& cover = layout.workdir.empty() ? layout.lowerdirs.back() : layout.workdir;
    const unsigned long flags = layout.upperdir.empty() ? MS_RDONLY : 0;
    if (::mount("overlay", cover.c_str(), "overlay", flags, options.c_str()) < 0)
        throw_errno("mounting overlay of {} layers", layout.lowerdirs.size());
    UniqueFd mount{::open_tree(AT_FDCWD, cover.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    const int saved = errno;
    ::umount2(cover.c_str(), MNT_DETACH);
    if (!mount) throw Error::from_errno(saved, "taking the overlay mount");
    return mount;
}

std::string fuse_overlay_options(const OverlayLayout& layout) {
    std::string options = fmt::format("lowerdir={}", fmt::join(layout.lowerdirs, ":"));
    if (!layout.upperdir.empty())
        options += fmt::format(",upperdir={},workdir={}", layout.upperdir, layout.workdir);
    if (!layout.uid_mapping.empty()) options += ",uidmapping=" + layout.uid_mapping;
    if (!layout.gid_mapping.empty()) options += ",gidmapping=" + layout.gid_mapping;
    return options;
}

void attach_mount(BorrowedFd mount, const std::string& target) {
    if (::move_mount(mount.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        throw_errno("attaching a mount to {}", target);
}

}  // namespace berth::linux_os
