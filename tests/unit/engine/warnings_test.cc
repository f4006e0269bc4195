// What has no effect is said; what would change the container's meaning is refused.
#include "engine/model/warnings.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine::model {
namespace {

using nlohmann::json;

std::vector<std::string> lines_for(const json& host_config) {
    ContainerRecord record;
    record.host_config = host_config_from(host_config);
    return warnings(record, {});
}

std::string refusal(const json& host_config) {
    Abilities abilities;
    return failure_text([&] { validate({}, host_config_from(host_config), {}, abilities); });
}

TEST(warnings, a_plain_container_has_none) {
    // What the docker CLI sends when nothing was asked for.
    EXPECT_TRUE(lines_for({{"MemorySwappiness", -1},
                           {"PidsLimit", 0},
                           {"OomKillDisable", false},
                           {"CpuCount", 0},
                           {"BlkioWeightDevice", json::array()},
                           {"DeviceRequests", nullptr}})
                    .empty());
}

TEST(warnings, each_limit_without_power_has_a_line) {
    EXPECT_EQ(lines_for({{"Memory", 64 << 20}, {"PidsLimit", 10}, {"NanoCpus", 1}}).size(), 3U);
}

TEST(warnings, each_field_without_effect_is_named) {
    const json fields = {{"BlkioDeviceReadBps", json::array({{{"Path", "/dev/sda"}, {"Rate", 1}}})},
                         {"CpuRealtimeRuntime", 5},
                         {"DeviceCgroupRules", json::array({"c 1:3 rwm"})},
                         {"CpuCount", 1},
                         {"KernelMemoryTCP", 1},
                         {"CgroupParent", "/x"},
                         {"MemorySwappiness", 10}};
    for (const auto& [key, value] : fields.items()) {
        const auto lines = lines_for({{key, value}});
        ASSERT_EQ(lines.size(), 1U) << key;
        EXPECT_NE(lines[0].find(key), std::string::npos) << lines[0];
    }
}

TEST(warnings, profiles_and_labels_are_named_unless_they_switch_off) {
    EXPECT_EQ(lines_for({{"SecurityOpt", json::array({"apparmor=mine", "label=type:x"})}}).size(),
              2U);
    EXPECT_TRUE(lines_for({{"SecurityOpt", json::array({"apparmor=unconfined", "label=disable"})}})
                    .empty());
}

TEST(validate, what_cannot_be_left_out_is_refused) {
    const json gpu = json::array({{{"Driver", ""}, {"Capabilities", {{"gpu"}}}}});
    EXPECT_NE(refusal({{"DeviceRequests", gpu}}).find("could not select device driver"),
              std::string::npos);
    EXPECT_NE(refusal({{"StorageOpt", {{"size", "1G"}}}}).find("--storage-opt"), std::string::npos);
    EXPECT_NE(refusal({{"VolumeDriver", "nfs"}}).find("volume plugin nfs"), std::string::npos);
    EXPECT_NE(refusal({{"NetworkMode", "host"}, {"Sysctls", {{"net.core.somaxconn", "1"}}}}), "");
}

}  // namespace
}  // namespace berth::engine::model
