// What the host must offer before containers can run: each missing piece becomes one finding that
// says what failed, why, and the exact command that mends it. Facts are gathered by facts.cc; the
// judgement is pure. Used at the start of berthd (cheap facts only) and by `berth doctor`.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "rootlesskit/finding.h"
#include "rootlesskit/holder.h"
#include "rootlesskit/host_files.h"
#include "rootlesskit/id_ranges.h"

namespace berth::rootlesskit {

enum class Privilege { full, none, nosuid_mount };

struct MapProgram final {
    std::string path;  // empty: not found
    Privilege privilege = Privilege::none;
    std::string mount_point;  // of a nosuid mount
};

struct Facts final {
    uid_t uid = 0;
    gid_t gid = 0;
    std::string user;        // empty: without a name
    bool local_user = true;  // in /etc/passwd; usermod(8) knows no other
    bool host_root = false;  // uid 0 of the machine itself
    bool no_new_privileges = false;
    std::vector<IdRange> uids;
    std::vector<IdRange> gids;
    std::optional<Overlap> uid_overlap;
    std::optional<Overlap> gid_overlap;
    std::uint64_t free_range = 100000;  // where a new range could begin
    MapProgram newuidmap;
    MapProgram newgidmap;
    std::string os_release;  // content of /etc/os-release
    // Content of the kernel's switches; nothing where the kernel has none.
    std::optional<std::int64_t> unprivileged_userns_clone;
    std::optional<std::int64_t> max_user_namespaces;
    std::optional<std::int64_t> apparmor_restrict;
    int tun_errno = 0;  // of opening /dev/net/tun
};

/// Names that others look for.
constexpr std::string_view kTunFinding = "tun";

/// Reads the host. Throws Error only for what should always work. `PATH` is searched first for
/// newuidmap and newgidmap, then the usual places.
Facts gather_facts(const HostFiles& files = HostFiles{});
/// The judgement: one finding for each check, also for what is well.
std::vector<Finding> check(const Facts& facts);
/// Why the holder did not start, as a finding named "namespaces".
Finding explain(const HolderFailure& failure, const Facts& facts);
HolderPlan plan_holder(const Facts& facts);
/// The commands that set a kernel switch now and at each boot.
std::vector<std::string> set_switch(std::string_view name, std::string_view value);
/// Those that load a profile for this installation of berth.
std::vector<std::string> allow_in_apparmor(uid_t uid);

}  // namespace berth::rootlesskit
