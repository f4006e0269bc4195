#include "systemd/protocol.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::systemd {

using nlohmann::json;

namespace {

constexpr std::pair<Job, std::string_view> kJobs[] = {
    {Job::none, "none"}, {Job::start, "start"}, {Job::stop, "stop"}, {Job::restart, "restart"}};

std::string name_of(Job job) {
    for (const auto& [value, name] : kJobs)
        if (value == job) return std::string(name);
    throw Error(ErrorKind::internal, "job {} has no name", static_cast<int>(job));
}

Job job_from_name(const std::string& text) {
    for (const auto& [value, name] : kJobs)
        if (name == text) return value;
    throw Error(ErrorKind::invalid, "unknown job \"{}\"", text);
}

std::optional<std::uint64_t> unsigned_from(const json& value, const char* key) {
    const auto member = value.find(key);
    if (member == value.end() || member->is_null()) return std::nullopt;
    if (!member->is_number_unsigned())
        throw Error(ErrorKind::invalid, "{}: expected a whole number of 0 or more", key);
    return member->get<std::uint64_t>();
}

void put(json& object, const char* key, const std::optional<std::uint64_t>& number) {
    if (number) object[key] = *number;
}

}  // namespace

json to_json(const Scope& scope) {
    json value{{"name", scope.name},
               {"description", scope.description},
               {"slice", scope.slice},
               {"pids", scope.pids},
               {"before", scope.before}};
    put(value, "memory_max", scope.memory_max);
    put(value, "tasks_max", scope.tasks_max);
    put(value, "cpu_quota_per_second_us", scope.cpu_quota_per_second_us);
    return value;
}

Scope scope_from_json(const json& value) {
    const JsonReader reader(value);
    Scope scope{.name = reader.string("name"),
                .description = reader.string("description"),
                .slice = reader.string("slice"),
                .pids = {},
                .before = reader.strings("before"),
                .memory_max = unsigned_from(value, "memory_max"),
                .tasks_max = unsigned_from(value, "tasks_max"),
                .cpu_quota_per_second_us = unsigned_from(value, "cpu_quota_per_second_us")};
    const json* pids = reader.find("pids");
    if (!pids || !pids->is_array() || pids->empty())
        throw Error(ErrorKind::invalid, "scope {}: no process for it", scope.name);
    for (const json& pid : *pids) {
        if (!pid.is_number_integer())
            throw Error(ErrorKind::invalid, "scope {}: pids: expected numbers", scope.name);
        scope.pids.push_back(pid.get<pid_t>());
    }
    return scope;
}

json to_json(const UnitJob& job) {
    return {
        {"unit", job.unit}, {"job", name_of(job.job)}, {"manager_stopping", job.manager_stopping}};
}

UnitJob unit_job_from_json(const json& value) {
    const JsonReader reader(value);
    return {reader.string("unit"), job_from_name(reader.string("job", "none")),
            reader.boolean("manager_stopping", false)};
}

json to_json(const ManagerFacts& facts) {
    return {{"version", facts.version},
            {"state", facts.state},
            {"control_group", facts.control_group},
            {"controllers", facts.controllers}};
}

ManagerFacts manager_facts_from_json(const json& value) {
    const JsonReader reader(value);
    return {reader.string("version"), reader.string("state"), reader.string("control_group"),
            reader.strings("controllers")};
}

Job job_from_type(const std::string& type) {
    if (type == "restart" || type == "try-restart" || type == "reload-or-start")
        return Job::restart;
    if (type == "stop") return Job::stop;
    return type.empty() ? Job::none : Job::start;
}

}  // namespace berth::systemd
