#include "linux/filesystem.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {
namespace {

struct KnownType final {
    std::uint64_t magic;
    const char* name;
};

constexpr auto kKnown = std::to_array<KnownType>(
    {{0xef53, "ext4"},         {0x58465342, "xfs"},       {0x9123683e, "btrfs"},
     {0x01021994, "tmpfs"},    {0x794c7630, "overlayfs"}, {0x6969, "nfs"},
     {0x2fc12fc1, "zfs"},      {0xf2f52010, "f2fs"},      {0x65735546, "fuse"},
     {0xca451a4e, "bcachefs"}, {0x517b, "smb"},           {0xff534d42, "cifs"},
     {0xfe534d42, "smb2"},     {0xf15f, "ecryptfs"},      {0x00c36400, "ceph"},
     {0x0bd00bd0, "lustre"},   {0x47504653, "gpfs"},      {0x5346414f, "afs"},
     {0x01021997, "9p"},       {0x786f4256, "vboxsf"},    {0x4d44, "vfat"},
     {0x2011bab0, "exfat"},    {0x7366746e, "ntfs3"},     {0x63677270, "cgroup2"}});

// mountinfo writes blanks and the like as three octal digits.
std::string unescape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0'));
            i += 3;
        } else {
            result += text[i];
        }
    }
    return result;
}

// Anybody may ask for a quota of their own. quotactl_fd(2) came with Linux 5.14.
std::optional<std::uint64_t> quota_left(BorrowedFd fd) {
    constexpr long kQuotactlFd = 443;
    constexpr std::uint64_t kBlock = 1024;
    struct dqblk quota {};
    if (::syscall(kQuotactlFd, fd.get(), QCMD(Q_GETQUOTA, USRQUOTA), ::getuid(), &quota) < 0)
        return std::nullopt;
    if ((quota.dqb_valid & QIF_BLIMITS) == 0 || quota.dqb_bhardlimit == 0) return std::nullopt;
    const std::uint64_t limit = quota.dqb_bhardlimit * kBlock;
    return limit > quota.dqb_curspace ? limit - quota.dqb_curspace : 0;
}

}  // namespace

std::string filesystem_name(std::uint64_t magic) {
    for (const KnownType& known : kKnown)
        if (known.magic == magic) return known.name;
    return fmt::format("0x{:x}", magic);
}

std::string mount_point_of(const std::string& path) {
    struct statx found {};
    constexpr unsigned kMountId = 0x1000;  // STATX_MNT_ID
    if (::statx(AT_FDCWD, path.c_str(), 0, kMountId, &found) < 0 ||
        (found.stx_mask & kMountId) == 0)
        return "";
    std::istringstream lines(read_file_if_exists("/proc/self/mountinfo").value_or(""));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::uint64_t id = 0;
        std::string parent, device, root, place;
        if (words >> id >> parent >> device >> root >> place && id == found.stx_mnt_id)
            return unescape(place);
    }
    return "";
}

FilesystemFacts examine_filesystem(const std::string& path) {
    const UniqueFd fd = open_file(path, O_RDONLY | O_DIRECTORY);
    struct statfs kind {};
    struct statvfs volume {};
    if (::fstatfs(fd.get(), &kind) < 0 || ::fstatvfs(fd.get(), &volume) < 0)
        throw_errno("looking at the file system of {}", path);
    FilesystemFacts facts;
    facts.name = filesystem_name(static_cast<std::uint64_t>(kind.f_type) & 0xffffffffU);
    facts.mount_point = mount_point_of(path);
    facts.read_only = (volume.f_flag & ST_RDONLY) != 0;
    facts.noexec = (volume.f_flag & ST_NOEXEC) != 0;
    facts.nosuid = (volume.f_flag & ST_NOSUID) != 0;
    facts.free_bytes = std::uint64_t{volume.f_bavail} * volume.f_frsize;
    facts.free_inodes = volume.f_favail;
    facts.inodes = volume.f_files;
    facts.quota_bytes = quota_left(fd);
    return facts;
}

void SpaceGuard::take(std::uint64_t size) {
    constexpr std::uint64_t kMaxReserve = 256ULL << 20;
    constexpr std::uint64_t kMaxBudget = 64ULL << 20;
    constexpr std::uint64_t kFile = 4096;  // of an inode, a name and the last block
    size += kFile;
    if (size <= budget_) {
        budget_ -= size;
        return;
    }
    struct statvfs disk {};
    if (::fstatvfs(on_.get(), &disk) < 0) throw_errno("asking for free space");
    // Some file systems have no such numbers.
    const std::uint64_t free = disk.f_bavail * disk.f_frsize;
    const std::uint64_t reserve = std::min(disk.f_blocks * disk.f_frsize / 100, kMaxReserve);
    if (disk.f_blocks != 0 && (free < reserve || free - reserve < size))
        throw Error::from_errno(
            ENOSPC, fmt::format("{} bytes are needed and {} are free, of which {} are kept free",
                                size, free, reserve));
    const std::uint64_t kept_inodes = std::min<std::uint64_t>(disk.f_files / 100, 10'000);
    if (disk.f_favail < kept_inodes)
        throw Error::from_errno(ENOSPC, fmt::format("{} inodes are free, of which {} are kept free",
                                                    disk.f_favail, kept_inodes));
    // Others write at the same time.
    budget_ = disk.f_blocks == 0 ? kMaxBudget : std::min((free - reserve - size) / 8, kMaxBudget);
}

}  // namespace berth::linux_os
