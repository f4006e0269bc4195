#include "rootlesskit/process_record.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace berth::rootlesskit {

using linux_os::PidFd;

void write_process_record(const std::string& path, const PidFd& process) {
    const auto start_time = linux_os::process_start_time(process.pid());
    if (!start_time)
        throw Error(ErrorKind::not_found, "writing {}: process {} is gone", path, process.pid());
    const nlohmann::json record{
        {"pid", process.pid()}, {"start_time", *start_time}, {"boot_id", linux_os::boot_id()}};
    replace_file(path, dump_json(record), 0600, Durability::process);
}

std::optional<PidFd> read_process_record(const std::string& path) {
    const auto text = read_file_if_exists(path);
    if (!text) return std::nullopt;
    try {
        const nlohmann::json value = parse_json(*text);
        const JsonReader record(value, path);
        const auto pid = static_cast<pid_t>(record.integer("pid"));
        if (pid <= 0 || record.string("boot_id") != linux_os::boot_id()) return std::nullopt;
        PidFd process = PidFd::open(pid);
        // Read after the pidfd was taken: from here on the pid cannot change its bearer.
        const auto start_time = linux_os::process_start_time(pid);
        if (!start_time || static_cast<std::int64_t>(*start_time) != record.integer("start_time"))
            return std::nullopt;
        if (!process.alive()) return std::nullopt;
        return process;
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace berth::rootlesskit
