#include "systemd/protocol.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "systemd/delegation_advice.h"

namespace berth::systemd {
namespace {

TEST(SystemdProtocol, a_scope_survives_its_json) {
    const Scope scope{.name = "x.scope",
                      .description = "a scope",
                      .slice = "berth.slice",
                      .pids = {12, 34},
                      .before = {"berth.service"},
                      .memory_max = 1U << 30,
                      .tasks_max = kUnlimited,
                      .cpu_quota_per_second_us = std::nullopt};
    EXPECT_EQ(scope_from_json(to_json(scope)), scope);
}

TEST(SystemdProtocol, a_scope_without_processes_is_refused) {
    EXPECT_THROW((void)scope_from_json(to_json(Scope{.name = "x.scope"})), Error);
    nlohmann::json hostile = to_json(Scope{.name = "x.scope", .pids = {1}});
    hostile["tasks_max"] = -1;
    EXPECT_THROW((void)scope_from_json(hostile), Error);
}

TEST(SystemdProtocol, jobs_and_facts_survive_their_json) {
    const UnitJob job{"berth.service", Job::restart, true};
    EXPECT_EQ(unit_job_from_json(to_json(job)), job);
    const ManagerFacts facts{"252", "running", "/user.slice", {"cpu", "pids"}};
    EXPECT_EQ(manager_facts_from_json(to_json(facts)), facts);
}

TEST(SystemdProtocol, what_starts_again_is_a_restart) {
    EXPECT_EQ(job_from_type("restart"), Job::restart);
    EXPECT_EQ(job_from_type("try-restart"), Job::restart);
    EXPECT_EQ(job_from_type("stop"), Job::stop);
    EXPECT_EQ(job_from_type("start"), Job::start);
    EXPECT_EQ(job_from_type(""), Job::none);
}

TEST(DelegationAdvice, names_the_controllers_and_the_drop_in) {
    const std::string text = advice_for_undelegated({"cpuset", "io"}, 1000);
    EXPECT_NE(text.find("controllers cpuset, io"), std::string::npos) << text;
    EXPECT_NE(text.find("/etc/systemd/system/user@.service.d/"), std::string::npos);
    EXPECT_NE(text.find("Delegate=cpu cpuset io memory pids"), std::string::npos);
    EXPECT_NE(text.find("user@1000.service"), std::string::npos);
}

TEST(DelegationAdvice, a_directory_gets_controllers_from_the_one_above) {
    const std::string text = advice_for_directory({"cpu", "io"}, "/sys/fs/cgroup/berth");
    EXPECT_NE(text.find("`echo +cpu +io | sudo tee /sys/fs/cgroup/cgroup.subtree_control`"),
              std::string::npos)
        << text;
}

}  // namespace
}  // namespace berth::systemd
