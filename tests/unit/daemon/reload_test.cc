#include "daemon/reload.h"

#include <gtest/gtest.h>

namespace berth::daemon {
namespace {

TEST(Reload, takes_over_what_may_change) {
    Config wanted;
    wanted.labels = {"a=b"};
    wanted.live_restore = true;
    wanted.shutdown_timeout = -1;
    const Reloaded reloaded = reload_config({}, wanted);
    EXPECT_EQ(reloaded.config, wanted);
    EXPECT_EQ(reloaded.changed,
              (std::vector<std::string>{"live-restore", "shutdown-timeout", "labels"}));
    EXPECT_TRUE(reloaded.need_restart.empty());
}

TEST(Reload, names_what_needs_a_restart_and_leaves_it) {
    Config wanted;
    wanted.mtu = 1300;
    wanted.hosts = {"unix:///x"};
    const Reloaded reloaded = reload_config({}, wanted);
    EXPECT_EQ(reloaded.config, Config{});
    EXPECT_EQ(reloaded.need_restart, (std::vector<std::string>{"hosts", "mtu"}));
}

TEST(Reload, an_emptied_list_is_a_change) {
    Config running;
    running.registry_mirrors = {"http://mirror.test"};
    EXPECT_TRUE(reload_config(running, {}).config.registry_mirrors.empty());
}

TEST(Reload, the_event_shows_values_as_json) {
    Config config;
    config.labels = {"a=b"};
    const auto values = reloadable_values(config);
    EXPECT_EQ(values.at("labels"), R"(["a=b"])");
    EXPECT_EQ(values.at("debug"), "false");
    EXPECT_EQ(values.at("log-level"), "info");
    EXPECT_FALSE(values.contains("mtu"));
}

}  // namespace
}  // namespace berth::daemon
