#include "base/error.h"
#include "base/file.h"
#include "runtime/resources.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

struct Target final {
    Status status = Status::stopped;
    linux_os::Cgroup cgroup;
};

Target find_target(const Settings& settings, const Arguments& arguments, std::string_view verb) {
    const std::string id = container_id(arguments);
    const auto directory = StateDirectory::open(settings.root, id);
    const ContainerState state = directory.load();
    auto cgroup = state.cgroup.empty() ? std::nullopt : linux_os::Cgroup::open(state.cgroup);
    if (!cgroup)
        throw Error(ErrorKind::unavailable, "cannot {} container \"{}\": it has no cgroup", verb,
                    id);
    return {status_of(directory, state), std::move(*cgroup)};
}

}  // namespace

int pause(const Settings& settings, const Arguments& arguments) {
    const Target target = find_target(settings, arguments, "pause");
    if (target.status != Status::running && target.status != Status::created)
        throw Error(ErrorKind::conflict, "container not running");
    target.cgroup.freeze();
    return 0;
}

int resume(const Settings& settings, const Arguments& arguments) {
    const Target target = find_target(settings, arguments, "resume");
    if (target.status != Status::paused) throw Error(ErrorKind::conflict, "container not paused");
    target.cgroup.thaw();
    return 0;
}

int update(const Settings& settings, const Arguments& arguments) {
    const Target target = find_target(settings, arguments, "update");
    const Options& options = arguments.options;
    oci::Resources resources;
    if (options.has("resources")) {
        const std::string path = options.value("resources");
        resources = oci::parse_resources(path == "-" ? read_all(BorrowedFd{0}) : read_file(path));
    }
    if (options.has("memory")) resources.memory_limit = options.number("memory");
    if (options.has("memory-reservation"))
        resources.memory_reservation = options.number("memory-reservation");
    if (options.has("memory-swap")) resources.memory_swap = options.number("memory-swap");
    if (options.has("cpu-quota")) resources.cpu_quota = options.number("cpu-quota");
    if (options.has("cpu-period"))
        resources.cpu_period = static_cast<std::uint64_t>(*options.number("cpu-period"));
    for (const char* name : {"cpu-share", "cpu-shares"})
        if (options.has(name))
            resources.cpu_shares = static_cast<std::uint64_t>(*options.number(name));
    if (options.has("cpu-idle")) resources.cpu_idle = options.number("cpu-idle");
    resources.cpuset_cpus = options.value("cpuset-cpus", resources.cpuset_cpus);
    resources.cpuset_mems = options.value("cpuset-mems", resources.cpuset_mems);
    if (options.has("pids-limit")) resources.pids_limit = options.number("pids-limit");
    if (options.has("blkio-weight"))
        resources.blkio_weight = static_cast<std::uint16_t>(*options.number("blkio-weight"));
    target.cgroup.apply(cgroup_settings(resources));
    return 0;
}

}  // namespace berth::runtime
