#include "engine/containers/stats_json.h"

#include <nlohmann/json.hpp>

namespace berth::engine {

using nlohmann::json;

namespace {

json cpu_json(const CpuUse& cpu) {
    json value = {{"cpu_usage",
                   {{"total_usage", cpu.total_ns},
                    {"usage_in_kernelmode", cpu.system_ns},
                    {"usage_in_usermode", cpu.user_ns}}},
                  {"throttling_data",
                   {{"periods", cpu.periods},
                    {"throttled_periods", cpu.throttled_periods},
                    {"throttled_time", cpu.throttled_ns}}}};
    if (cpu.host.cpus > 0) {
        value["system_cpu_usage"] = cpu.host.used_ns;
        value["online_cpus"] = cpu.host.cpus;
    }
    return value;
}

json memory_json(const StatsSample& sample) {
    if (sample.at.ns == 0) return json::object();
    json value = {
        {"usage", sample.memory_usage}, {"stats", sample.memory}, {"limit", sample.memory_limit}};
    if (sample.memory_failures != 0) value["failcnt"] = sample.memory_failures;
    return value;
}

json pids_json(const StatsSample& sample) {
    if (sample.at.ns == 0) return json::object();
    return {{"current", sample.pids}, {"limit", sample.pids_limit}};
}

/// The CLI looks at the first letter of "op".
json block_list(const StatsSample& sample, std::uint64_t BlockUse::*read,
                std::uint64_t BlockUse::*written) {
    if (sample.at.ns == 0) return nullptr;
    json list = json::array();
    const auto add = [&](const BlockUse& use, const char* operation, std::uint64_t value) {
        list.push_back(
            {{"major", use.major}, {"minor", use.minor}, {"op", operation}, {"value", value}});
    };
    for (const BlockUse& use : sample.block) {
        add(use, "read", use.*read);
        add(use, "write", use.*written);
    }
    return list;
}

json block_json(const StatsSample& sample) {
    json value = {
        {"io_service_bytes_recursive",
         block_list(sample, &BlockUse::read_bytes, &BlockUse::written_bytes)},
        {"io_serviced_recursive", block_list(sample, &BlockUse::reads, &BlockUse::writes)}};
    for (const char* of_version_1 :
         {"io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
          "io_merged_recursive", "io_time_recursive", "sectors_recursive"})
        value[of_version_1] = nullptr;
    return value;
}

json interface_json(const InterfaceUse& use) {
    return {{"rx_bytes", use.rx_bytes},   {"rx_packets", use.rx_packets},
            {"rx_errors", use.rx_errors}, {"rx_dropped", use.rx_dropped},
            {"tx_bytes", use.tx_bytes},   {"tx_packets", use.tx_packets},
            {"tx_errors", use.tx_errors}, {"tx_dropped", use.tx_dropped}};
}

}  // namespace

json stats_json(const std::string& id, const std::string& name, const StatsSample& sample,
                const StatsSample& before) {
    json value = {{"name", "/" + name},
                  {"id", id},
                  {"read", rfc3339(sample.at)},
                  {"preread", rfc3339(before.at)},
                  {"pids_stats", pids_json(sample)},
                  {"blkio_stats", block_json(sample)},
                  {"num_procs", 0},
                  {"storage_stats", json::object()},
                  {"cpu_stats", cpu_json(sample.cpu)},
                  {"precpu_stats", cpu_json(before.cpu)},
                  {"memory_stats", memory_json(sample)}};
    for (const auto& [interface, use] : sample.interfaces)
        value["networks"][interface] = interface_json(use);
    return value;
}

}  // namespace berth::engine
