#include "engine/model/health.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/model/status_text.h"

namespace berth::engine::model {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

ContainerConfig config_with(std::vector<std::string> test) {
    ContainerConfig config;
    config.healthcheck = Healthcheck{.test = std::move(test)};
    return config;
}

ProbeResult result_of(int exit_code) { return {.exit_code = exit_code}; }

HealthTimes times_of(Healthcheck check) { return health_times(check); }

TEST(ProbeCommand, is_run_as_it_stands_or_by_the_shell) {
    using Words = std::vector<std::string>;
    EXPECT_EQ(probe_command(config_with({"CMD", "a", "b"})), (Words{"a", "b"}));
    ContainerConfig config = config_with({"CMD-SHELL", "a b"});
    EXPECT_EQ(probe_command(config), (Words{"/bin/sh", "-c", "a b"}));
    config.shell = {"/bin/bash", "-ec"};
    EXPECT_EQ(probe_command(config), (Words{"/bin/bash", "-ec", "a b"}));
}

TEST(ProbeCommand, is_none_without_a_check) {
    EXPECT_TRUE(probe_command({}).empty());
    EXPECT_TRUE(probe_command(config_with({})).empty());
    EXPECT_TRUE(probe_command(config_with({"NONE"})).empty());
    EXPECT_TRUE(probe_command(config_with({"NONE", "x"})).empty());
}

TEST(HealthTimes, have_dockers_defaults) {
    const HealthTimes times = times_of({});
    EXPECT_EQ(times.interval, seconds(30));
    EXPECT_EQ(times.timeout, seconds(30));
    EXPECT_EQ(times.start_period, seconds(0));
    EXPECT_EQ(times.start_interval, seconds(5));
    EXPECT_EQ(times.retries, 3);
}

TEST(HealthTimes, the_start_interval_holds_until_healthy_or_the_start_period_is_over) {
    const HealthTimes times = times_of({.start_period_ns = nanoseconds(seconds(60)).count()});
    Health health;
    EXPECT_EQ(next_probe_in(health, times, seconds(0)), seconds(5));
    EXPECT_EQ(next_probe_in(health, times, seconds(60)), seconds(30));
    health.status = HealthStatus::healthy;
    EXPECT_EQ(next_probe_in(health, times, seconds(0)), seconds(30));
}

TEST(Health, one_success_makes_healthy) {
    const HealthTimes times = times_of({});
    Health health{.status = HealthStatus::unhealthy, .failing_streak = 9, .log = {}};
    health = with_result(health, result_of(0), times, seconds(1));
    EXPECT_EQ(health.status, HealthStatus::healthy);
    EXPECT_EQ(health.failing_streak, 0);
}

TEST(Health, as_many_failures_as_retries_make_unhealthy) {
    const HealthTimes times = times_of({.retries = 2});
    Health health = with_result({}, result_of(1), times, seconds(1));
    EXPECT_EQ(health.status, HealthStatus::starting);
    health = with_result(health, result_of(3), times, seconds(2));
    EXPECT_EQ(health.status, HealthStatus::unhealthy);
    EXPECT_EQ(health.failing_streak, 2);
}

TEST(Health, failures_in_the_start_period_do_not_count) {
    const HealthTimes times =
        times_of({.start_period_ns = nanoseconds(seconds(10)).count(), .retries = 1});
    Health health = with_result({}, result_of(1), times, seconds(9));
    EXPECT_EQ(health.status, HealthStatus::starting);
    EXPECT_EQ(health.failing_streak, 0);
    EXPECT_EQ(health.log.size(), 1U);
    health = with_result(health, result_of(1), times, seconds(10));
    EXPECT_EQ(health.status, HealthStatus::unhealthy);
}

TEST(Health, failures_in_the_start_period_count_once_it_has_been_healthy) {
    const HealthTimes times =
        times_of({.start_period_ns = nanoseconds(seconds(10)).count(), .retries = 1});
    const Health health{.status = HealthStatus::healthy, .failing_streak = 0, .log = {}};
    EXPECT_EQ(with_result(health, result_of(1), times, seconds(1)).status, HealthStatus::unhealthy);
}

TEST(Health, the_newest_five_results_are_kept) {
    Health health;
    for (int code = 1; code <= 7; ++code)
        health = with_result(health, result_of(code), times_of({}), seconds(1));
    ASSERT_EQ(health.log.size(), 5U);
    EXPECT_EQ(health.log.front().exit_code, 3);
    EXPECT_EQ(health.log.back().exit_code, 7);
}

TEST(Health, survives_a_round_trip) {
    Health health{.status = HealthStatus::unhealthy, .failing_streak = 4, .log = {}};
    health.log.push_back({{1'000'000'001}, {2'000'000'000}, -1, "no"});
    const Health read = health_from(to_json(health));
    EXPECT_EQ(read.status, HealthStatus::unhealthy);
    EXPECT_EQ(read.failing_streak, 4);
    ASSERT_EQ(read.log.size(), 1U);
    EXPECT_EQ(read.log[0].start.ns, 1'000'000'001);
    EXPECT_EQ(read.log[0].exit_code, -1);
    EXPECT_THROW(health_from({{"Status", "fine"}}), Error);
}

TEST(Health, is_in_the_status_text_of_a_running_container) {
    State state{.status = Status::running, .started_at = {}};
    state.health.emplace();
    EXPECT_EQ(status_text(state, {5'000'000'000}), "Up 5 seconds (health: starting)");
    state.health->status = HealthStatus::healthy;
    EXPECT_EQ(status_text(state, {5'000'000'000}), "Up 5 seconds (healthy)");
}

TEST(DurationText, is_as_go_writes_it) {
    EXPECT_EQ(duration_text(seconds(30)), "30s");
    EXPECT_EQ(duration_text(seconds(90)), "1m30s");
    EXPECT_EQ(duration_text(seconds(3600)), "1h0m0s");
    EXPECT_EQ(duration_text(milliseconds(1500)), "1.5s");
    EXPECT_EQ(duration_text(milliseconds(500)), "500ms");
    EXPECT_EQ(duration_text(nanoseconds(1500)), "1.5µs");
}

}  // namespace
}  // namespace berth::engine::model
