#include "engine/model/health.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::engine::model {

using nlohmann::json;
using std::chrono::nanoseconds;

namespace {

constexpr std::array<std::string_view, 3> kNames{"starting", "healthy", "unhealthy"};
constexpr std::size_t kMaxLog = 5;
constexpr int kDefaultRetries = 3;

nanoseconds or_default(std::int64_t ns, std::chrono::seconds fallback) {
    return ns == 0 ? nanoseconds(fallback) : nanoseconds(ns);
}

/// `count` of a unit with its fraction, trailing zeros dropped.
std::string with_fraction(std::int64_t count, std::int64_t unit, const char* name) {
    std::string text = std::to_string(count / unit);
    std::string fraction = std::to_string(unit + count % unit).substr(1);
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    if (!fraction.empty()) text += "." + fraction;
    return text + name;
}

}  // namespace

std::string_view to_string(HealthStatus status) { return kNames[static_cast<std::size_t>(status)]; }

json to_json(const Health& health) {
    json log = json::array();
    for (const ProbeResult& result : health.log)
        log.push_back({{"Start", rfc3339(result.start)},
                       {"End", rfc3339(result.end)},
                       {"ExitCode", result.exit_code},
                       {"Output", result.output}});
    return {{"Status", to_string(health.status)},
            {"FailingStreak", health.failing_streak},
            {"Log", std::move(log)}};
}

Health health_from(const json& value) {
    const JsonReader r(value, "Health");
    Health health;
    const std::string status = r.string("Status", "starting");
    const auto* const found = std::find(kNames.begin(), kNames.end(), status);
    if (found == kNames.end()) throw Error(ErrorKind::invalid, "invalid health '{}'", status);
    health.status = static_cast<HealthStatus>(found - kNames.begin());
    health.failing_streak = static_cast<int>(r.integer("FailingStreak"));
    for (const JsonReader& entry : r.objects("Log"))
        health.log.push_back({parse_rfc3339(entry.string("Start")),
                              parse_rfc3339(entry.string("End")),
                              static_cast<int>(entry.integer("ExitCode")), entry.string("Output")});
    return health;
}

std::vector<std::string> probe_command(const ContainerConfig& config) {
    if (!config.healthcheck || config.healthcheck->test.size() < 2) return {};
    const std::vector<std::string>& test = config.healthcheck->test;
    if (test.front() == "CMD") return {test.begin() + 1, test.end()};
    if (test.front() != "CMD-SHELL") return {};  // NONE, or a kind of the future
    std::vector<std::string> command = config.shell;
    if (command.empty()) command = {"/bin/sh", "-c"};
    command.insert(command.end(), test.begin() + 1, test.end());
    return command;
}

HealthTimes health_times(const Healthcheck& check) {
    using std::chrono::seconds;
    HealthTimes times;
    times.interval = or_default(check.interval_ns, seconds(30));
    times.timeout = or_default(check.timeout_ns, seconds(30));
    times.start_period = nanoseconds(check.start_period_ns);
    times.start_interval = or_default(check.start_interval_ns, seconds(5));
    times.retries = check.retries == 0 ? kDefaultRetries : static_cast<int>(check.retries);
    return times;
}

nanoseconds next_probe_in(const Health& health, const HealthTimes& times, nanoseconds running_for) {
    const bool starts = health.status == HealthStatus::starting && running_for < times.start_period;
    return starts ? times.start_interval : times.interval;
}

Health with_result(Health health, ProbeResult result, const HealthTimes& times, nanoseconds age) {
    if (result.exit_code == 0) {
        health.status = HealthStatus::healthy;
        health.failing_streak = 0;
    } else if (health.status != HealthStatus::starting || age >= times.start_period) {
        ++health.failing_streak;
        if (health.failing_streak >= times.retries) health.status = HealthStatus::unhealthy;
    }
    health.log.push_back(std::move(result));
    if (health.log.size() > kMaxLog) health.log.erase(health.log.begin());
    return health;
}

std::string duration_text(nanoseconds duration) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t ns = duration.count();
    if (ns == 0) return "0s";
    if (ns < 1000) return with_fraction(ns, 1, "ns");
    if (ns < 1'000'000) return with_fraction(ns, 1000, "µs");
    if (ns < kSecond) return with_fraction(ns, 1'000'000, "ms");
    std::string text;
    if (ns >= 3600 * kSecond) text += fmt::format("{}h", ns / (3600 * kSecond));
    if (ns >= 60 * kSecond) text += fmt::format("{}m", ns / (60 * kSecond) % 60);
    return text + with_fraction(ns % (60 * kSecond), kSecond, "s");
}

}  // namespace berth::engine::model
