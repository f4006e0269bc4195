// The judgement of systemd's and the engine's part of `berth doctor`.
#include "cli/doctor.h"

#include <gtest/gtest.h>

#include "cli/doctor_engine.h"
#include "cli/doctor_service.h"

namespace berth::cli {
namespace {

using rootlesskit::Finding;
using rootlesskit::State;

ServiceFacts good_service() {
    ServiceFacts facts;
    facts.user = "joe";
    facts.uid = 1001;
    facts.booted = facts.user_manager = facts.bus_socket = true;
    facts.hierarchy = CgroupHierarchy::unified;
    facts.kernel_controllers = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"};
    facts.manager = systemd::ManagerFacts{};
    facts.manager->version = "252";
    facts.manager->controllers = {"cpu", "cpuset", "io", "memory", "pids"};
    facts.linger = systemd::Linger::on;
    return facts;
}

EngineFacts good_engine() {
    EngineFacts facts;
    facts.own_program = "/usr/bin/berth";
    facts.own_host = "unix:///run/user/1001/docker.sock";
    facts.answers = facts.has_systemd = facts.docker_cli = true;
    facts.units = UnitState::current;
    facts.context = {"berth", facts.own_host};
    return facts;
}

template <typename Facts>
Finding named(const std::string& name, const Facts& facts) {
    for (Finding& finding : examine(facts))
        if (finding.name == name) return finding;
    ADD_FAILURE() << "no finding " << name;
    return {};
}

testing::AssertionResult has(const Finding& finding, State state, std::string_view words) {
    if (finding.state == state && message_of(finding).find(words) != std::string::npos)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << to_string(finding.state) << " " << message_of(finding);
}

TEST(Doctor, a_good_set_up_has_no_trouble) {
    for (const Finding& finding : examine(good_service()))
        EXPECT_EQ(finding.state, State::ok) << message_of(finding);
    for (const Finding& finding : examine(good_engine()))
        EXPECT_EQ(finding.state, State::ok) << message_of(finding);
}

TEST(Doctor, controllers_are_named_with_their_flags) {
    ServiceFacts facts = good_service();
    facts.manager->controllers = {"memory", "pids"};
    EXPECT_TRUE(has(named("delegation", facts), State::degraded,
                    "cpu (--cpus, --cpu-shares); cpuset (--cpuset-cpus); io (--blkio-weight"));
    EXPECT_TRUE(has(named("delegation", facts), State::degraded,
                    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf"));
}

TEST(Doctor, a_controller_that_the_kernel_lacks_is_not_blamed_on_systemd) {
    ServiceFacts facts = good_service();
    std::erase(facts.kernel_controllers, "memory");
    std::erase(facts.manager->controllers, "memory");
    EXPECT_TRUE(has(named("delegation", facts), State::degraded, "cgroup_disable="));
}

TEST(Doctor, what_stands_between_the_user_and_the_bus) {
    ServiceFacts facts = good_service();
    facts.manager.reset();
    facts.manager_problem = "refused";
    EXPECT_EQ(named("user-bus", facts).fix,
              std::vector<std::string>{"systemctl --user start dbus.socket"});
    facts.bus_socket = false;
    EXPECT_TRUE(has(named("user-bus", facts), State::degraded, "install dbus-user-session"));
    facts.user_manager = false;
    EXPECT_TRUE(has(named("user-bus", facts), State::degraded, "sudo loginctl enable-linger joe"));
    facts.booted = false;
    EXPECT_TRUE(has(named("user-bus", facts), State::degraded, "does not run systemd"));
}

TEST(Doctor, version_1_of_cgroups_is_a_matter_of_the_boot) {
    ServiceFacts facts = good_service();
    facts.hierarchy = CgroupHierarchy::hybrid;
    EXPECT_TRUE(has(named("cgroup", facts), State::degraded, "unified_cgroup_hierarchy=1"));
    facts.in_container = true;
    EXPECT_TRUE(named("cgroup", facts).mend.empty());
}

TEST(Doctor, lingering_may_be_set_by_the_user) {
    ServiceFacts facts = good_service();
    facts.linger = systemd::Linger::off;
    const Finding finding = named("lingering", facts);
    EXPECT_EQ(finding.mend, std::vector<std::string>{"sudo loginctl enable-linger joe"});
    EXPECT_EQ(finding.fix, std::vector<std::string>{"loginctl enable-linger"});
}

TEST(Doctor, an_engine_that_hangs_is_told_from_one_that_does_not_run) {
    EngineFacts facts = good_engine();
    facts.answers = false;
    EXPECT_TRUE(has(named("engine", facts), State::degraded, "start berth.socket berth.service"));
    facts.units = UnitState::absent;
    EXPECT_TRUE(has(named("engine", facts), State::degraded, "`/usr/bin/berth setup install`"));
    facts.holder_of_lock = "pid 7, serving x";
    EXPECT_TRUE(has(named("engine", facts), State::broken, "berthd runs (pid 7, serving x), but"));
}

TEST(Doctor, clients_that_talk_to_another_engine) {
    EngineFacts facts = good_engine();
    facts.docker_host = "tcp://elsewhere:2375";
    EXPECT_TRUE(has(named("docker-host", facts), State::degraded,
                    "export DOCKER_HOST=unix:///run/user/1001/docker.sock"));
    facts.docker_host = facts.own_host;
    EXPECT_EQ(named("docker-host", facts).state, State::ok);
    facts.docker_host = "";
    facts.context = {};
    EXPECT_TRUE(has(named("docker-host", facts), State::degraded, "docker context use berth"));
    facts.docker_cli = false;
    EXPECT_EQ(named("docker-host", facts).state, State::ok);
}

TEST(Doctor, the_engines_own_warnings_are_shown) {
    EngineFacts facts = good_engine();
    facts.warnings = {"WARNING: a", "WARNING: b"};
    EXPECT_TRUE(has(named("engine-warnings", facts), State::degraded, "WARNING: a; WARNING: b"));
}

TEST(Doctor, a_finding_as_text) {
    EXPECT_EQ(text_of(trouble(State::degraded, "x", "why", {"sudo a", "b"})),
              "degraded  x: why\n  mend: sudo a\n  mend: b\n");
    EXPECT_EQ(text_of(rootlesskit::fine("x", "well")), "ok        x: well\n");
}

}  // namespace
}  // namespace berth::cli
