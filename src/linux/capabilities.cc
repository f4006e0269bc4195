#include "linux/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace berth::linux_os {
namespace {

// In the order of their numbers.
constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};

bool kernel_has(std::size_t number) { return ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; }

}  // namespace

CapabilityMask capability_mask(const std::vector<std::string>& names) {
    CapabilityMask mask = 0;
    for (const std::string& name : names) {
        std::string_view bare = name;
        if (bare.starts_with("CAP_")) bare.remove_prefix(4);
        const auto* found = std::find(kNames.begin(), kNames.end(), bare);
        if (found == kNames.end())
            throw Error(ErrorKind::invalid, "unknown capability \"{}\"", name);
        const auto number = static_cast<std::size_t>(found - kNames.begin());
        if (kernel_has(number)) mask |= CapabilityMask{1} << number;
    }
    return mask;
}

void limit_bounding_set(CapabilityMask bounding) {
    for (unsigned number = 0; number < 64; ++number) {
        if ((bounding >> number) & 1U) continue;
        const int held = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (held < 0) break;  // past the last one that the kernel knows
        if (held == 1 && ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0)
            throw_errno("dropping capability {} from the bounding set", number);
    }
}

void apply_capabilities(const CapabilitySets& sets) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    for (unsigned word = 0; word < 2; ++word) {
        const unsigned shift = 32 * word;
        data[word].effective = static_cast<std::uint32_t>(sets.effective >> shift);
        data[word].permitted = static_cast<std::uint32_t>(sets.permitted >> shift);
        data[word].inheritable = static_cast<std::uint32_t>(sets.inheritable >> shift);
    }
    if (::syscall(SYS_capset, &header, data.data()) < 0) throw_errno("setting capabilities");
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        throw_errno("clearing ambient capabilities");
    for (unsigned number = 0; number < 64; ++number)
        if ((sets.ambient >> number) & 1U)
            // The kernel refuses what is not both permitted and inheritable; so does the caller's
            // wish make no sense then, and runc ignores it as well.
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
}

}  // namespace berth::linux_os
