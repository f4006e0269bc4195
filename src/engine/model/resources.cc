#include "engine/model/resources.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "base/text.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

constexpr int kMaxNumber = 65535;

std::vector<BlockLimit> block_limits_from(const JsonReader& r, const char* list, const char* key) {
    std::vector<BlockLimit> limits;
    for (const JsonReader& entry : r.objects(list))
        limits.push_back({entry.string("Path"), entry.integer(key)});
    return limits;
}

json block_limits_json(const std::vector<BlockLimit>& limits, const char* key) {
    if (limits.empty()) return nullptr;
    json list = json::array();
    for (const BlockLimit& one : limits) list.push_back({{"Path", one.path}, {key, one.value}});
    return list;
}

int number_from(std::string_view text, const std::string& whole) {
    const auto number = whole_number<int>(text);
    if (!number || *number < 0 || *number > kMaxNumber)
        throw Error(ErrorKind::invalid, "\"{}\" is not a list of numbers", whole);
    return *number;
}

void refuse_if(bool bad, const char* text) {
    if (bad) throw Error::with_text(ErrorKind::conflict, text);
}

/// Docker's: NanoCpus stands for a period and a quota, so both cannot be given.
void check_cpu_conflicts(const Resources& now, const Resources& wanted) {
    refuse_if(
        wanted.nano_cpus > 0 && now.cpu_period > 0,
        "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
    refuse_if(wanted.nano_cpus > 0 && now.cpu_quota > 0,
              "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    refuse_if(wanted.cpu_period > 0 && now.nano_cpus > 0,
              "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
    refuse_if(wanted.cpu_quota > 0 && now.nano_cpus > 0,
              "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
}

void update_memory(Resources& now, const Resources& wanted) {
    refuse_if(wanted.memory > 0 && wanted.memory_swap == 0 && now.memory_swap != 0 &&
                  wanted.memory > now.memory_swap,  // -1, unlimited, too
              "Memory limit should be smaller than already set memoryswap limit, update the "
              "memoryswap at the same time");
    if (wanted.memory != 0) now.memory = wanted.memory;
    if (wanted.memory_swap != 0) now.memory_swap = wanted.memory_swap;
    // As at the creation of a container that gets its first memory limit.
    if (now.memory > 0 && now.memory_swap == 0) now.memory_swap = 2 * now.memory;
    refuse_if(now.memory_swap > 0 && now.memory_swap < now.memory,
              "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (wanted.memory_reservation != 0) now.memory_reservation = wanted.memory_reservation;
    refuse_if(now.memory > 0 && now.memory_reservation > now.memory,
              "Minimum memory limit can not be less than memory reservation limit, see usage");
}

void update_resources(Resources& now, const Resources& wanted) {
    check_cpu_conflicts(now, wanted);
    update_memory(now, wanted);
    const auto take = [](auto& mine, const auto& theirs) {
        if (theirs != std::decay_t<decltype(theirs)>{}) mine = theirs;
    };
    take(now.blkio_weight, wanted.blkio_weight);
    take(now.cpu_shares, wanted.cpu_shares);
    take(now.nano_cpus, wanted.nano_cpus);
    take(now.cpu_period, wanted.cpu_period);
    take(now.cpu_quota, wanted.cpu_quota);
    take(now.cpuset_cpus, wanted.cpuset_cpus);
    take(now.cpuset_mems, wanted.cpuset_mems);
    if (!wanted.pids_limit) return;
    now.pids_limit = wanted.pids_limit;
    if (*now.pids_limit <= 0) now.pids_limit.reset();
}

}  // namespace

Resources resources_from(const JsonReader& r) {
    return Resources{.memory = r.integer("Memory"),
                     .memory_swap = r.integer("MemorySwap"),
                     .memory_reservation = r.integer("MemoryReservation"),
                     .memory_swappiness = r.optional_integer("MemorySwappiness"),
                     .nano_cpus = r.has("NanoCpus") ? r.integer("NanoCpus") : r.integer("NanoCPUs"),
                     .cpu_shares = r.integer("CpuShares"),
                     .cpu_period = r.integer("CpuPeriod"),
                     .cpu_quota = r.integer("CpuQuota"),
                     .cpuset_cpus = r.string("CpusetCpus"),
                     .cpuset_mems = r.string("CpusetMems"),
                     .cgroup_parent = r.string("CgroupParent"),
                     .pids_limit = r.optional_integer("PidsLimit"),
                     .blkio_weight = r.integer("BlkioWeight"),
                     .weight_devices = block_limits_from(r, "BlkioWeightDevice", "Weight"),
                     .read_bps = block_limits_from(r, "BlkioDeviceReadBps", "Rate"),
                     .write_bps = block_limits_from(r, "BlkioDeviceWriteBps", "Rate"),
                     .read_iops = block_limits_from(r, "BlkioDeviceReadIOps", "Rate"),
                     .write_iops = block_limits_from(r, "BlkioDeviceWriteIOps", "Rate"),
                     .oom_kill_disable = r.optional_boolean("OomKillDisable")};
}

void add_resources(const Resources& r, json& value) {
    value["Memory"] = r.memory;
    value["MemorySwap"] = r.memory_swap;
    value["MemoryReservation"] = r.memory_reservation;
    value["MemorySwappiness"] = r.memory_swappiness ? json(*r.memory_swappiness) : json();
    value["NanoCpus"] = r.nano_cpus;
    value["CpuShares"] = r.cpu_shares;
    value["CpuPeriod"] = r.cpu_period;
    value["CpuQuota"] = r.cpu_quota;
    value["CpusetCpus"] = r.cpuset_cpus;
    value["CpusetMems"] = r.cpuset_mems;
    value["CgroupParent"] = r.cgroup_parent;
    value["PidsLimit"] = r.pids_limit ? json(*r.pids_limit) : json();
    value["BlkioWeight"] = r.blkio_weight;
    value["BlkioWeightDevice"] = block_limits_json(r.weight_devices, "Weight");
    value["BlkioDeviceReadBps"] = block_limits_json(r.read_bps, "Rate");
    value["BlkioDeviceWriteBps"] = block_limits_json(r.write_bps, "Rate");
    value["BlkioDeviceReadIOps"] = block_limits_json(r.read_iops, "Rate");
    value["BlkioDeviceWriteIOps"] = block_limits_json(r.write_iops, "Rate");
    value["OomKillDisable"] = r.oom_kill_disable ? json(*r.oom_kill_disable) : json();
}

std::set<int> number_list_from(const std::string& text) {
    std::set<int> numbers;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        const std::string_view item(text.data() + at, end - at);
        const std::size_t dash = item.find('-');
        const int first = number_from(item.substr(0, dash), text);
        const int last =
            dash == std::string_view::npos ? first : number_from(item.substr(dash + 1), text);
        if (last < first) throw Error(ErrorKind::invalid, "\"{}\" counts backwards", text);
        for (int number = first; number <= last; ++number) numbers.insert(number);
        at = end + 1;
    }
    return numbers;
}

bool is_set(const json& value) {
    return !value.is_null() && value != 0 && value != "" && value != false &&
           !(value.is_structured() && value.empty());
}

namespace {

/// Keys are read in any case, so they are compared without.
std::vector<std::string> ignored_keys(const json& body) {
    static const std::set<std::string> kServed = {
        "memory",    "memoryswap",  "memoryreservation", "memoryswappiness", "nanocpus",
        "cpushares", "cpuperiod",   "cpuquota",          "cpusetcpus",       "cpusetmems",
        "pidslimit", "blkioweight", "oomkilldisable",    "restartpolicy"};
    std::vector<std::string> ignored;
    for (const auto& [key, value] : body.items()) {
        if (is_set(value) && !kServed.contains(to_lower(key))) ignored.push_back(key);
    }
    return ignored;
}

}  // namespace

UpdateRequest UpdateRequest::from_json(const json& body) {
    const JsonReader r(body, "", KeyCase::any);
    UpdateRequest request;
    request.resources = resources_from(r);
    const JsonReader policy = r.object("RestartPolicy");
    const std::int64_t retries = policy.integer("MaximumRetryCount");
    if (!std::in_range<int>(retries))
        throw Error(ErrorKind::invalid, "RestartPolicy.MaximumRetryCount: {} is out of range",
                    retries);
    request.restart_policy = {policy.string("Name"), static_cast<int>(retries)};
    request.ignored = ignored_keys(body);
    return request;
}

HostConfig updated(const HostConfig& host, const UpdateRequest& request) {
    HostConfig result = host;
    update_resources(result.resources, request.resources);
    const RestartPolicy& policy = request.restart_policy;
    if (policy.name.empty()) return result;
    refuse_if(host.auto_remove && policy.name != "no",
              "Restart policy cannot be updated because AutoRemove is enabled for the container");
    result.restart_policy = policy;
    return result;
}

}  // namespace berth::engine::model
