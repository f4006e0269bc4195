#include "systemd/cgroup_paths.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::systemd {
namespace {

constexpr const char* kManager = "/user.slice/user-1000.slice/user@1000.service";

std::string below(const std::string& path) { return kManager + path; }

TEST(CgroupPaths, the_version_2_line_is_found_among_those_of_version_1) {
    EXPECT_EQ(unified_path("12:pids:/x\n1:name=systemd:/y\n0::/z/a b\n"), "/z/a b");
    EXPECT_EQ(unified_path("0::/"), "/");
    EXPECT_EQ(unified_path("12:pids:/x\n"), "");
    EXPECT_EQ(unified_path(""), "");
}

TEST(CgroupPaths, the_manager_is_the_part_up_to_its_service) {
    EXPECT_EQ(manager_of(below("/app.slice/berth.service")), kManager);
    EXPECT_EQ(manager_of(kManager), kManager);
    EXPECT_EQ(manager_of("/user.slice/user-1000.slice/session-3.scope"), "");
    EXPECT_EQ(manager_of("/user@1000"), "");
    EXPECT_EQ(manager_of("/"), "");
}

TEST(CgroupPaths, the_unit_is_what_the_slices_lead_to) {
    EXPECT_EQ(unit_of(below("/app.slice/berth.service")), "berth.service");
    EXPECT_EQ(unit_of(below("/a.slice/a-b.slice/x.scope/support")), "x.scope");
    EXPECT_EQ(unit_of(below("/init.scope")), "init.scope");
    EXPECT_EQ(unit_of(below("")), "");
    EXPECT_EQ(unit_of("/user.slice/user-1000.slice/session-3.scope"), "");
}

TEST(CgroupPaths, a_slice_with_dashes_is_inside_of_others) {
    EXPECT_EQ(slice_path("berth.slice"), "/berth.slice");
    EXPECT_EQ(slice_path("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
}

TEST(CgroupPaths, names_that_systemd_refuses_are_refused) {
    for (const char* name : {"", ".slice", "x", "x.scope", "-a.slice", "a-.slice", "a--b.slice",
                             "a/b.slice", "a b.slice"}) {
        EXPECT_FALSE(is_slice_name(name)) << name;
        EXPECT_THROW((void)slice_path(name), Error) << name;
    }
}

}  // namespace
}  // namespace berth::systemd
