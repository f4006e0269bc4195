#include "daemon/delegation_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "daemon/cgroup_message.h"
#include "daemon/options.h"

namespace berth::daemon {
namespace {

constexpr const char* kManager = "/user.slice/user-1000.slice/user@1000.service";

Config config() {
    Config c;
    c.data_root = "/data";
    c.pidfile = "/run/user/1000/berth/berthd.pid";
    c.exec_root = "/run/user/1000/berth";
    return c;
}

CgroupPlace in_service() {
    return {.hierarchy = "/sys/fs/cgroup",
            .own = std::string(kManager) + "/app.slice/berth.service",
            .manager_writable = true,
            .uid = 1000,
            .pid = 77};
}

CgroupPlace in_session() {
    CgroupPlace place = in_service();
    place.own = "/user.slice/user-1000.slice/session-3.scope";
    place.manager_writable = false;
    return place;
}

TEST(DelegationPlan, a_service_stays_where_it_is_and_is_stopped_before_the_scope) {
    const DelegationPlan plan = plan_delegation(config(), in_service());
    EXPECT_EQ(plan.driver, CgroupDriver::systemd);
    EXPECT_EQ(plan.slice, "berth.slice");
    EXPECT_EQ(plan.scope, "berth-containers.scope");
    EXPECT_EQ(plan.engine_scope, "");
    EXPECT_EQ(plan.stopped_first, "berth.service");
}

TEST(DelegationPlan, a_login_moves_into_a_scope_first) {
    const DelegationPlan plan = plan_delegation(config(), in_session());
    EXPECT_EQ(plan.engine_scope, "berth-engine-77.scope");
    EXPECT_EQ(plan.stopped_first, "berth-engine-77.scope");
}

TEST(DelegationPlan, another_exec_root_has_a_scope_of_its_own) {
    Config one = config(), two = config();
    one.exec_root = "/run/user/1000/one";
    two.exec_root = "/run/user/1000/two";
    const std::string name = plan_delegation(one, in_service()).scope;
    EXPECT_EQ(name, plan_delegation(one, in_session()).scope);
    EXPECT_NE(name, plan_delegation(two, in_service()).scope);
    EXPECT_NE(name, "berth-containers.scope");
    EXPECT_TRUE(name.starts_with("berth-containers-") && name.ends_with(".scope")) << name;
}

TEST(DelegationPlan, the_slice_of_cgroup_parent_takes_the_scope) {
    Config c = config();
    c.cgroup_parent = "team-a.slice";
    EXPECT_EQ(plan_delegation(c, in_service()).slice, "team-a.slice");
}

TEST(DelegationPlan, a_path_is_a_directory_below_the_hierarchy) {
    Config c = config();
    for (const char* parent : {"/berth", "/sys/fs/cgroup/berth"}) {
        c.cgroup_parent = parent;
        const DelegationPlan plan = plan_delegation(c, in_service());
        EXPECT_EQ(plan.driver, CgroupDriver::directory);
        EXPECT_EQ(plan.directory, "/sys/fs/cgroup/berth");
    }
}

TEST(DelegationPlan, the_last_cgroup_driver_wins) {
    Config c = config();
    c.exec_opts = {"native.cgroupdriver=systemd", "native.cgroupdriver=none"};
    EXPECT_EQ(plan_delegation(c, in_service()).driver, CgroupDriver::none);
    c.exec_opts.push_back("native.cgroupdriver=cgroupfs");
    const DelegationPlan plan = plan_delegation(c, in_service());
    EXPECT_EQ(plan.driver, CgroupDriver::directory);
    EXPECT_EQ(plan.directory, "/sys/fs/cgroup" + in_service().own);
}

TEST(DelegationPlan, a_parent_that_is_neither_slice_nor_path_is_refused) {
    Config c = config();
    for (const char* parent : {"x", "a/b", "/", "/a/../b", "/..", "x.scope"}) {
        c.cgroup_parent = parent;
        EXPECT_THROW((void)check_config(c), Error) << parent;
    }
}

TEST(DelegationPlan, parent_and_driver_must_agree) {
    Config c = config();
    c.cgroup_parent = "/x";
    c.exec_opts = {"native.cgroupdriver=systemd"};
    EXPECT_THROW((void)check_config(c), Error);
    c.cgroup_parent = "x.slice";
    EXPECT_NO_THROW((void)check_config(c));
    c.exec_opts = {"native.cgroupdriver=cgroupfs"};
    EXPECT_THROW((void)check_config(c), Error);
}

TEST(CgroupMessage, a_delegation_survives_its_json) {
    engine::CgroupDelegation cgroup;
    cgroup.directory = "/sys/fs/cgroup/x";
    cgroup.support = "/sys/fs/cgroup/x/support";
    cgroup.controllers = {"cpu", "memory"};
    cgroup.driver = "systemd";
    cgroup.problem = "no io";
    const engine::CgroupDelegation back = cgroup_from_json(cgroup_to_json(cgroup));
    EXPECT_EQ(back.directory, cgroup.directory);
    EXPECT_EQ(back.support, cgroup.support);
    EXPECT_EQ(back.controllers, cgroup.controllers);
    EXPECT_EQ(back.driver, cgroup.driver);
    EXPECT_EQ(back.problem, cgroup.problem);
}

}  // namespace
}  // namespace berth::daemon
