#include "engine/model/status_text.h"

#include <fmt/format.h>

namespace berth::engine::model {

std::string human_duration(std::int64_t seconds) {
    const std::int64_t minutes = seconds / 60;
    const std::int64_t hours = (seconds + 1800) / 3600;
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return fmt::format("{} seconds", seconds);
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return fmt::format("{} minutes", minutes);
    if (hours == 1) return "About an hour";
    if (hours < 48) return fmt::format("{} hours", hours);
    if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
    if (hours < 24 * 60) return fmt::format("{} weeks", hours / 24 / 7);
    if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
    return fmt::format("{} years", hours / 24 / 365);
}

namespace {

std::string health_text(const State& state) {
    if (!state.health) return "";
    const bool starts = state.health->status == HealthStatus::starting;
    return fmt::format(" ({}{})", starts ? "health: " : "", to_string(state.health->status));
}

}  // namespace

std::string status_text(const State& state, Timestamp now) {
    const auto since = [&](Timestamp at) {
        return human_duration((now.ns - at.ns) / 1'000'000'000);
    };
    switch (state.status) {
        case Status::created:
            return "Created";
        case Status::running:
            return "Up " + since(state.started_at) + health_text(state);
        case Status::paused:
            return fmt::format("Up {} (Paused)", since(state.started_at));
        case Status::restarting:
            return fmt::format("Restarting ({}) {} ago", state.exit_code, since(state.finished_at));
        case Status::removing:
            return "Removal In Progress";
        case Status::dead:
            return "Dead";
        case Status::exited:
            break;
    }
    return fmt::format("Exited ({}) {} ago", state.exit_code, since(state.finished_at));
}

}  // namespace berth::engine::model
