#include "engine/model/validate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "engine/model/restart.h"
#include "engine/model/signals.h"
#include "engine/model/user.h"

namespace berth::engine::model {
namespace {

std::string refusal(const ContainerConfig& config, const HostConfig& host) {
    try {
        validate(config, host, {}, Abilities{.cpus = 2, .runtimes = {"berth"}});
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

TEST(validate, memory_has_a_minimum) {
    HostConfig host;
    host.resources.memory = 1 << 20;
    EXPECT_EQ(refusal({}, host), "Minimum memory limit allowed is 6MB");
}

TEST(validate, auto_remove_and_a_restart_policy_exclude_each_other) {
    HostConfig host;
    host.auto_remove = true;
    host.restart_policy.name = "always";
    EXPECT_EQ(refusal({}, host), "can't create 'AutoRemove' container with restart policy");
}

TEST(validate, runtime_and_log_driver_must_be_known) {
    HostConfig host;
    host.runtime = "nope";
    EXPECT_EQ(refusal({}, host), "unknown or invalid runtime name: nope");
    HostConfig other;
    other.log_config.type = "splunk";
    EXPECT_NE(refusal({}, other), "");
}

TEST(validate, security_options_must_be_known) {
    HostConfig host;
    host.security_opt = {"what=ever"};
    EXPECT_NE(refusal({}, host), "");
}

TEST(capabilities, defaults_are_dockers_fourteen) { EXPECT_EQ(capabilities_of({}).size(), 14U); }

TEST(capabilities, dropping_all_leaves_what_is_added) {
    HostConfig host;
    host.cap_drop = {"ALL"};
    host.cap_add = {"net_admin"};
    EXPECT_EQ(capabilities_of(host), std::vector<std::string>{"CAP_NET_ADMIN"});
}

TEST(capabilities, a_dropped_name_beats_adding_all) {
    HostConfig host;
    host.cap_add = {"all"};
    host.cap_drop = {"SYS_ADMIN"};
    const auto names = capabilities_of(host);
    EXPECT_EQ(std::ranges::find(names, "CAP_SYS_ADMIN"), names.end());
    EXPECT_GT(names.size(), 30U);
}

TEST(ports, specifications_and_ranges) {
    EXPECT_EQ(port_spec_from("53/udp"), (PortSpec{53, "udp"}));
    EXPECT_EQ(port_spec_from("80"), (PortSpec{80, "tcp"}));
    EXPECT_THROW(port_spec_from("0/tcp"), Error);
    EXPECT_THROW(port_spec_from("80/x"), Error);
    EXPECT_EQ(host_port_range("8000-8010"), (std::pair<std::uint16_t, std::uint16_t>(8000, 8010)));
    EXPECT_THROW(host_port_range("8010-8000"), Error);
}

TEST(signals, names_numbers_and_real_time) {
    EXPECT_EQ(signal_from("9"), 9);
    EXPECT_EQ(signal_from("sigterm"), 15);
    EXPECT_EQ(signal_from("RTMIN+3"), 37);
    EXPECT_THROW(signal_from("NOPE"), Error);
    EXPECT_THROW(signal_from("0"), Error);
}

TEST(restart, policies_decide_by_exit_and_hand) {
    EXPECT_TRUE(should_restart({"always", 0}, {.exit_code = 0}));
    EXPECT_FALSE(should_restart({"always", 0}, {.manually_stopped = true}));
    EXPECT_FALSE(should_restart({"on-failure", 0}, {.exit_code = 0}));
    EXPECT_TRUE(should_restart({"on-failure", 2}, {.exit_code = 1, .restart_count = 1}));
    EXPECT_FALSE(should_restart({"on-failure", 2}, {.exit_code = 1, .restart_count = 2}));
    EXPECT_FALSE(should_restart({"no", 0}, {.exit_code = 1}));
}

TEST(restart, pause_doubles_up_to_a_minute_and_resets_after_a_long_run) {
    using namespace std::chrono_literals;
    RestartBackoff backoff;
    EXPECT_EQ(backoff.next(1s), 100ms);
    EXPECT_EQ(backoff.next(1s), 200ms);
    for (int i = 0; i < 20; ++i) backoff.next(0s);
    EXPECT_EQ(backoff.next(0s), 60s);
    EXPECT_EQ(backoff.next(10s), 100ms);
}

TEST(restart, unless_stopped_stays_stopped_over_an_engine_restart) {
    ContainerRecord record;
    record.has_been_started = true;
    record.manually_stopped = true;
    EXPECT_TRUE(should_start_with_engine({"always", 0}, record));
    EXPECT_FALSE(should_start_with_engine({"unless-stopped", 0}, record));
}

const UserFiles kFiles{
    .passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
    .group = "root:x:0:\napp:x:1001:\naudio:x:29:app,other\n"};

TEST(user, a_name_brings_its_groups_and_home) {
    const ProcessUser user = resolve_user("app", kFiles, {});
    EXPECT_EQ(user.user.uid, 1000U);
    EXPECT_EQ(user.user.gid, 1001U);
    EXPECT_EQ(user.user.additional_gids, (std::vector<gid_t>{1001, 29}));
    EXPECT_EQ(user.home, "/home/app");
}

TEST(user, numbers_need_no_entry) {
    const ProcessUser user = resolve_user("5:6", {}, {"7"});
    EXPECT_EQ(user.user.uid, 5U);
    EXPECT_EQ(user.user.gid, 6U);
    EXPECT_EQ(user.user.additional_gids, (std::vector<gid_t>{6, 7}));
    EXPECT_EQ(user.home, "/");
}

TEST(user, an_unknown_name_is_an_error_as_docker_words_it) {
    try {
        resolve_user("nobody-here", kFiles, {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(),
                  "unable to find user nobody-here: no matching entries in passwd file");
    }
    EXPECT_THROW(resolve_user("root:nogroup", kFiles, {}), Error);
}

}  // namespace
}  // namespace berth::engine::model
