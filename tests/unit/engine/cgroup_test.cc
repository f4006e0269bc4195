// Where the next start of a container puts its cgroup.
#include "engine/containers/cgroup.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"

namespace berth::engine {
namespace {

Settings delegated() {
    Settings settings;
    settings.cgroup.directory = "/sys/fs/cgroup/none/berth-containers.scope";
    settings.cgroup.support = settings.cgroup.directory + "/support";
    settings.cgroup.driver = "cgroupfs";
    return settings;
}

std::string chosen(const std::string& parent, const Settings& settings = delegated()) {
    model::ContainerRecord record;
    record.id = "ID";
    record.host_config.resources.cgroup_parent = parent;
    return choose_cgroup(record, settings);
}

TEST(choose_cgroup, nothing_without_a_delegation) { EXPECT_EQ(chosen("", {}), ""); }

TEST(choose_cgroup, a_directory_of_its_own_in_the_delegation) {
    EXPECT_EQ(chosen(""), "/sys/fs/cgroup/none/berth-containers.scope/ID");
}

TEST(choose_cgroup, a_parent_that_nobody_delegated_is_a_name_in_the_delegation) {
    EXPECT_EQ(chosen("team/one"), "/sys/fs/cgroup/none/berth-containers.scope/team/one/ID");
    EXPECT_EQ(chosen("/no/such/team"),
              "/sys/fs/cgroup/none/berth-containers.scope/no/such/team/ID");
    EXPECT_EQ(chosen("/"), "/sys/fs/cgroup/none/berth-containers.scope/ID");
}

TEST(choose_cgroup, a_parent_outside_or_in_use_is_refused) {
    EXPECT_THROW(chosen("../up"), Error);
    EXPECT_THROW(chosen("/a/../../b"), Error);
    EXPECT_THROW(chosen("support"), Error);
    EXPECT_THROW(chosen("support/below"), Error);
}

TEST(remove_cgroup, takes_the_parents_in_the_delegation_along) {
    char pattern[] = "/tmp/berth-cgroup-XXXXXX";
    CgroupDelegation delegation;
    delegation.directory = ::mkdtemp(pattern);
    const std::string team = delegation.directory + "/team";
    std::filesystem::create_directories(team + "/one/ID");
    std::filesystem::create_directories(team + "/two");
    remove_cgroup(team + "/one/ID", delegation);
    EXPECT_FALSE(std::filesystem::exists(team + "/one"));
    EXPECT_TRUE(std::filesystem::exists(team + "/two"));
    remove_cgroup(team + "/two/gone", delegation);
    EXPECT_FALSE(std::filesystem::exists(team));
    EXPECT_TRUE(std::filesystem::exists(delegation.directory));
    std::filesystem::remove_all(delegation.directory);
}

}  // namespace
}  // namespace berth::engine
