// Capability sets of the calling thread, set without libcap. Names are those of the kernel
// ("CAP_CHOWN"); a name that the build does not know is Error{invalid}.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::linux_os {

using CapabilityMask = std::uint64_t;

/// Bit per capability; names that this kernel lacks are left out silently, as runc does.
CapabilityMask capability_mask(const std::vector<std::string>& names);

struct CapabilitySets final {
    CapabilityMask bounding = 0;
    CapabilityMask effective = 0;
    CapabilityMask inheritable = 0;
    CapabilityMask permitted = 0;
    CapabilityMask ambient = 0;
};

/// Drops everything outside `bounding`; needs CAP_SETPCAP. Call it before the user changes.
void limit_bounding_set(CapabilityMask bounding);
/// capset(2) and the ambient set; call it after the user changed (with PR_SET_KEEPCAPS).
void apply_capabilities(const CapabilitySets& sets);

}  // namespace berth::linux_os
