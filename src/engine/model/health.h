// A container's health: what its check is, what a probe's result makes of it, and how clients see
// it. Pure values; who runs the probes is containers/health.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/model/container_config.h"

namespace berth::engine::model {

enum class HealthStatus { starting, healthy, unhealthy };
/// The word that events, filters and inspect have.
std::string_view to_string(HealthStatus status);

struct ProbeResult final {
    Timestamp start, end;
    int exit_code = 0;   // -1: it could not be run, or took too long
    std::string output;  // its first kMaxProbeOutput bytes
};
constexpr std::size_t kMaxProbeOutput = 4096;

struct Health final {
    HealthStatus status = HealthStatus::starting;
    int failing_streak = 0;
    std::vector<ProbeResult> log;  // the newest five, oldest first
};

nlohmann::json to_json(const Health& health);
/// From what to_json() gave. Throws Error{invalid}.
Health health_from(const nlohmann::json& value);

/// What is to be run; empty: the container has no health check.
std::vector<std::string> probe_command(const ContainerConfig& config);

/// A check's times with Docker's defaults for what is not set.
struct HealthTimes final {
    std::chrono::nanoseconds interval, timeout, start_period, start_interval;
    int retries = 0;
};
HealthTimes health_times(const Healthcheck& check);
/// How long to wait for the next probe.
std::chrono::nanoseconds next_probe_in(const Health& health, const HealthTimes& times,
                                       std::chrono::nanoseconds running_for);

/// The health after one more result; `age` is how long the container ran when the probe began.
Health with_result(Health health, ProbeResult result, const HealthTimes& times,
                   std::chrono::nanoseconds age);

/// "1m30s", "500ms", "1.5s": as Go writes a duration.
std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace berth::engine::model
