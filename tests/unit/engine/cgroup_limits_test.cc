// Limits on their way from the request into the cgroup.
#include "engine/cgroup_limits.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace berth::engine {
namespace {

using linux_os::CgroupWrite;

model::Abilities all_abilities() {
    model::Abilities able;
    able.memory_limit = able.swap_limit = able.cpu_limit = able.pids_limit = able.cpuset = true;
    able.io = able.io_weight = able.cgroup = true;
    return able;
}

std::vector<std::string> lines(const std::vector<CgroupWrite>& writes) {
    std::vector<std::string> result;
    for (const CgroupWrite& write : writes) result.push_back(write.file + "=" + write.text);
    return result;
}

using Files = std::vector<std::pair<std::string, std::string>>;

/// A directory with the files of a cgroup.
class FakeCgroup final {
  public:
    explicit FakeCgroup(const Files& files) {
        char pattern[] = "/tmp/berth-cgroup-XXXXXX";
        directory_ = ::mkdtemp(pattern);
        for (const auto& [name, text] : files)
            write_all(open_file(directory_ + "/" + name, O_WRONLY | O_CREAT, 0600), text);
    }
    ~FakeCgroup() { std::filesystem::remove_all(directory_); }
    FakeCgroup(const FakeCgroup&) = delete;
    FakeCgroup& operator=(const FakeCgroup&) = delete;
    void link(const std::string& name, const std::string& target) const {
        std::filesystem::create_symlink(target, directory_ + "/" + name);
    }
    linux_os::Cgroup open() const { return *linux_os::Cgroup::open(directory_); }
    std::string text(const std::string& name) const { return read_file(directory_ + "/" + name); }

  private:
    std::string directory_;
};

TEST(limits, cpus_are_a_quota_of_a_tenth_of_a_second) {
    model::Resources resources;
    resources.nano_cpus = 500'000'000;
    const oci::Resources limits = limits_of(resources, all_abilities(), {});
    EXPECT_EQ(limits.cpu_quota, 50000);
    EXPECT_EQ(limits.cpu_period, 100000U);
}

TEST(limits, what_is_not_delegated_is_left_out) {
    model::Resources resources;
    resources.memory = 64 << 20;
    resources.memory_swap = 128 << 20;
    resources.nano_cpus = 1;
    resources.pids_limit = 20;
    resources.cpuset_cpus = "0";
    resources.blkio_weight = 10;
    resources.read_bps = {{"/dev/sda", 1}};
    const oci::Resources none = limits_of(resources, {}, {});
    EXPECT_FALSE(none.memory_limit || none.memory_swap || none.cpu_quota || none.pids_limit);
    EXPECT_TRUE(none.cpuset_cpus.empty() && none.read_bps.empty() && !none.blkio_weight);
    model::Abilities able = all_abilities();
    able.swap_limit = false;
    EXPECT_FALSE(limits_of(resources, able, {{"/dev/sda", {8, 0}}}).memory_swap.has_value());
}

TEST(limits, rates_name_the_device_by_number) {
    model::Resources resources;
    resources.write_bps = {{"/dev/sdb", 4096}};
    const oci::Resources limits = limits_of(resources, all_abilities(), {{"/dev/sdb", {8, 16}}});
    EXPECT_EQ(limits.write_bps, (std::vector<oci::DeviceRate>{{8, 16, 4096}}));
}

TEST(limits, a_file_that_is_no_device_is_refused) {
    model::Resources resources;
    resources.read_iops = {{"/dev/null", 1}};
    EXPECT_THROW(device_numbers(resources), Error);
    resources.read_iops = {{"/no/such/device", 1}};
    EXPECT_THROW(device_numbers(resources), Error);
}

TEST(limits, an_update_writes_what_changed) {
    oci::Resources before;
    before.memory_limit = 100;
    before.memory_swap = 200;
    before.pids_limit = 20;
    oci::Resources after = before;
    after.memory_limit = 50;
    EXPECT_EQ(lines(limit_changes(before, after)),
              (std::vector<std::string>{"memory.swap.max=150", "memory.max=50"}));
    EXPECT_TRUE(limit_changes(after, after).empty());
    after = before;
    after.pids_limit.reset();
    EXPECT_EQ(lines(limit_changes(before, after)), std::vector<std::string>{"pids.max=max"});
}

TEST(limits, a_failed_update_restores_what_was_written) {
    const FakeCgroup fake(Files{{"pids.max", "20\n"}, {"cpu.weight", "100\n"}});
    const std::vector<CgroupWrite> writes = {{"pids.max", "30", "", CgroupWrite::Absent::refused},
                                             {"io.max", "8:0", "", CgroupWrite::Absent::refused}};
    EXPECT_THROW(apply_or_restore(fake.open(), writes), Error);
    EXPECT_EQ(fake.text("pids.max").substr(0, 2), "20");
}

TEST(limits, what_cannot_be_restored_keeps_nothing_else_from_it) {
    const FakeCgroup fake(Files{{"pids.max", "20\n"}});
    // Read by all, written by nobody.
    fake.link("io.max", "/proc/sys/kernel/osrelease");
    const std::vector<CgroupWrite> writes = {{"pids.max", "30", "", CgroupWrite::Absent::refused},
                                             {"io.max", "8:0", "", CgroupWrite::Absent::refused}};
    EXPECT_THROW(apply_or_restore(fake.open(), writes), Error);
    EXPECT_EQ(fake.text("pids.max").substr(0, 2), "20");
}

TEST(limits, the_second_choice_is_taken_only_without_the_first) {
    const CgroupWrite bfq{"io.bfq.weight", "500", "", CgroupWrite::Absent::ignored};
    const CgroupWrite io{"io.weight", "default 4950", "io.bfq.weight",
                         CgroupWrite::Absent::refused};
    const FakeCgroup without(Files{{"io.weight", ""}});
    apply_or_restore(without.open(), {bfq, io});
    EXPECT_EQ(without.text("io.weight"), "default 4950");
    const FakeCgroup with(Files{{"io.weight", ""}, {"io.bfq.weight", ""}});
    apply_or_restore(with.open(), {bfq, io});
    EXPECT_EQ(with.text("io.bfq.weight"), "500");
    EXPECT_EQ(with.text("io.weight"), "");
}

}  // namespace
}  // namespace berth::engine
