#include "systemd/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "bus_world.h"

namespace berth::systemd {
namespace {

using std::chrono::milliseconds;
using test::Behaviour;
using test::BusWorld;
using test::Services;

Scope scope() {
    Scope wanted;
    wanted.name = "x.scope";
    wanted.description = "a scope";
    wanted.slice = "berth.slice";
    wanted.pids = {::getpid()};
    return wanted;
}

template <typename Work>
Error error_of(Work work) {
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    return Error(ErrorKind::internal, "no error");
}

class SystemdClient : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::access("/usr/bin/dbus-daemon", X_OK) < 0) GTEST_SKIP() << "no dbus-daemon";
    }
};

TEST_F(SystemdClient, a_machine_without_a_bus_is_told_in_plain_words) {
    ::unsetenv("DBUS_SESSION_BUS_ADDRESS");
    ::setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
    const Error error = error_of([] { (void)manager_facts(); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_EQ(error.message(), "no D-Bus user bus: /nowhere/bus: No such file or directory");
    ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(SystemdClient, a_bus_without_systemd_is_told) {
    const BusWorld world(Services::absent);
    const Error error = error_of([] { (void)start_scope(scope()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.message().find("org.freedesktop.systemd1"), std::string::npos)
        << error.message();
}

TEST_F(SystemdClient, a_scope_is_made_with_its_properties) {
    BusWorld world(Services::present);
    Scope wanted = scope();
    wanted.before = {"berth.service"};
    wanted.memory_max = 1U << 30;
    wanted.tasks_max = kUnlimited;
    wanted.cpu_quota_per_second_us = 500'000;
    EXPECT_EQ(start_scope(wanted), "/user.slice/x");
    auto made = world.scope();
    EXPECT_EQ(made["name"], "x.scope");
    EXPECT_EQ(made["mode"], "fail");
    EXPECT_EQ(made["Description"], "a scope");
    EXPECT_EQ(made["Slice"], "berth.slice");
    EXPECT_EQ(made["Delegate"], "yes");
    EXPECT_EQ(made["CollectMode"], "inactive-or-failed");
    EXPECT_EQ(made["OOMPolicy"], "continue");
    EXPECT_EQ(made["MemoryMax"], std::to_string(1U << 30));
    EXPECT_EQ(made["TasksMax"], std::to_string(kUnlimited));
    EXPECT_EQ(made["CPUQuotaPerSecUSec"], "500000");
    EXPECT_EQ(made["PIDs"], "?au");
    EXPECT_EQ(made["Before"], "?as");
}

TEST_F(SystemdClient, a_systemd_without_oom_policy_for_scopes_makes_them_too) {
    BusWorld world(Services::present, Behaviour{.knows_oom_policy = false});
    EXPECT_EQ(start_scope(scope()), "/user.slice/x");
    EXPECT_FALSE(world.scope().contains("OOMPolicy"));
}

TEST_F(SystemdClient, a_scope_that_goes_away_is_waited_for) {
    const BusWorld world(Services::present, Behaviour{.exists = 1});
    EXPECT_EQ(start_scope(scope()), "/user.slice/x");
}

TEST_F(SystemdClient, a_scope_that_stays_is_a_conflict) {
    const BusWorld world(Services::present, Behaviour{.exists = 9, .removes = false});
    const Error error = error_of([] { (void)start_scope(scope()); });
    EXPECT_EQ(error.kind(), ErrorKind::conflict);
    EXPECT_NE(error.message().find("x.scope already exists"), std::string::npos);
}

TEST_F(SystemdClient, a_job_that_fails_is_an_error) {
    const BusWorld world(Services::present, Behaviour{.job_result = "failed"});
    const Error error = error_of([] { (void)start_scope(scope()); });
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(error.message().find("\"failed\""), std::string::npos) << error.message();
}

TEST_F(SystemdClient, a_manager_that_says_nothing_is_left_at_the_deadline) {
    const BusWorld world(Services::present, Behaviour{.job_result = ""});
    const auto start = std::chrono::steady_clock::now();
    const Error error = error_of([] { (void)start_scope(scope(), milliseconds(200)); });
    EXPECT_EQ(error.message(), "systemd did not answer within 200 ms");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(SystemdClient, a_restart_is_told_from_a_stop) {
    BusWorld world(Services::present, Behaviour{.job_type = "restart"});
    EXPECT_EQ(unit_job(::getpid()), (UnitJob{"berth.service", Job::restart, false}));
    world.behaviour.job_type = "stop";
    world.behaviour.state = "stopping";
    EXPECT_EQ(unit_job(::getpid()), (UnitJob{"berth.service", Job::stop, true}));
    world.behaviour.job_type.clear();
    EXPECT_EQ(unit_job(::getpid()).job, Job::none);
}

TEST_F(SystemdClient, facts_of_the_manager_come) {
    const BusWorld world(Services::present);
    const ManagerFacts facts = manager_facts();
    EXPECT_EQ(facts.version, "252");
    EXPECT_EQ(facts.state, "running");
    EXPECT_EQ(facts.control_group, "/user.slice/x");
}

TEST_F(SystemdClient, a_unit_is_stopped) {
    const BusWorld world(Services::present);
    EXPECT_NO_THROW(stop_unit("x.scope"));
}

TEST_F(SystemdClient, lingering_that_is_refused_is_denied) {
    BusWorld world(Services::present);
    EXPECT_NO_THROW(set_linger(Linger::on));
    world.behaviour.linger_refusal = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
    const Error error = error_of([] { set_linger(Linger::on); });
    EXPECT_EQ(error.kind(), ErrorKind::denied);
    EXPECT_NE(error.message().find("sudo loginctl enable-linger"), std::string::npos)
        << error.message();
}

}  // namespace
}  // namespace berth::systemd
