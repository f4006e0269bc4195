#include "runtime/self_protection.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "linux/mount_api.h"

namespace berth::runtime {
namespace {

constexpr const char* kSelf = "/proc/self/exe";
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_protected() {
    const UniqueFd self = open_file(kSelf, O_RDONLY);
    struct statvfs about {};
    if (::fstatvfs(self.get(), &about) == 0 && (about.f_flag & ST_RDONLY)) return true;
    const int seals = ::fcntl(self.get(), F_GET_SEALS);
    return seals >= 0 && (seals & kSeals) == kSeals;
}

UniqueFd read_only_clone() {
    UniqueFd clone = linux_os::clone_mount(kSelf, linux_os::Depth::single);
    linux_os::change_mount(clone, {MOUNT_ATTR_RDONLY, 0, 0}, linux_os::Depth::single);
    return clone;
}

UniqueFd sealed_copy() {
    const UniqueFd self = open_file(kSelf, O_RDONLY);
    struct stat about {};
    if (::fstat(self.get(), &about) < 0) throw_errno("reading our own size");
    // 0x10 is MFD_EXEC (Linux 6.3), wanted where vm.memfd_noexec is set; older ones refuse it.
    constexpr unsigned kMemfdExec = 0x10;
    constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    UniqueFd copy{::memfd_create("berth-runtime", kFlags | kMemfdExec)};
    if (!copy) copy.reset(::memfd_create("berth-runtime", kFlags));
    if (!copy) throw_errno("making memory for our own copy");
    for (off_t left = about.st_size; left > 0;) {
        const ssize_t sent =
            ::sendfile(copy.get(), self.get(), nullptr, static_cast<std::size_t>(left));
        if (sent <= 0) throw_errno("copying ourselves");
        left -= sent;
    }
    if (::fcntl(copy.get(), F_ADD_SEALS, kSeals) < 0) throw_errno("sealing our own copy");
    return copy;
}

UniqueFd protected_file() {
    try {
        return read_only_clone();
    } catch (const Error&) {
        return sealed_copy();  // no right to mount here
    }
}

}  // namespace

void run_from_protected_file(char** arguments, char** environment) {
    if (is_protected()) return;
    const UniqueFd file = protected_file();
    ::syscall(SYS_execveat, file.get(), "", arguments, environment, AT_EMPTY_PATH);
    throw_errno("executing our own protected copy");
}

}  // namespace berth::runtime
