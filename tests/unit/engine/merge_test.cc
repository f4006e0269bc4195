#include "engine/model/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::engine::model {
namespace {

using Words = std::vector<std::string>;

ContainerConfig image_with(Words entrypoint, Words cmd) {
    ContainerConfig image;
    image.entrypoint = std::move(entrypoint);
    image.cmd = std::move(cmd);
    return image;
}

TEST(merge_image, takes_command_and_entrypoint_of_the_image_when_none_is_given) {
    const auto merged = merge_image({}, image_with({"/init"}, {"serve"}));
    EXPECT_EQ(command_line(merged), (Words{"/init", "serve"}));
}

TEST(merge_image, user_command_keeps_the_images_entrypoint) {
    ContainerConfig config;
    config.cmd = Words{"echo"};
    EXPECT_EQ(command_line(merge_image(config, image_with({"/init"}, {"serve"}))),
              (Words{"/init", "echo"}));
}

TEST(merge_image, user_entrypoint_drops_the_images_command) {
    ContainerConfig config;
    config.entrypoint = Words{"/bin/sh"};
    EXPECT_EQ(command_line(merge_image(config, image_with({"/init"}, {"serve"}))),
              Words{"/bin/sh"});
}

TEST(merge_image, empty_entrypoint_list_keeps_the_images_command) {
    ContainerConfig config;
    config.entrypoint = Words{};
    EXPECT_EQ(command_line(merge_image(config, image_with({"/init"}, {"serve"}))), Words{"serve"});
}

TEST(merge_image, blank_entrypoint_drops_both_and_is_stored_as_null) {
    ContainerConfig config;
    config.entrypoint = Words{""};
    config.cmd = Words{"ls"};
    const auto merged = merge_image(config, image_with({"/init"}, {"serve"}));
    EXPECT_EQ(command_line(merged), Words{"ls"});
    EXPECT_FALSE(merged.entrypoint.has_value());
}

TEST(merge_image, refuses_a_container_without_any_command) {
    EXPECT_THROW(merge_image({}, {}), Error);
}

TEST(merge_image, users_variables_win_over_the_images) {
    ContainerConfig config;
    config.cmd = Words{"x"};
    config.env = {"A=mine"};
    ContainerConfig image;
    image.env = {"A=theirs", "B=theirs"};
    EXPECT_EQ(merge_image(config, image).env, (Words{"A=mine", "B=theirs"}));
}

TEST(apply_defaults, reads_what_the_docker_client_sends_as_not_set) {
    CreateRequest request = CreateRequest::from_json(nlohmann::json::parse(R"({
        "Image":"x","Cmd":["y"],
        "HostConfig":{"NetworkMode":"default","MemorySwappiness":-1,"PidsLimit":0,
                      "OomKillDisable":false,"ShmSize":0,"ConsoleSize":[0,0],
                      "RestartPolicy":{"Name":"","MaximumRetryCount":0}},
        "NetworkingConfig":{"EndpointsConfig":{"default":{}}}})"));
    apply_defaults(request, Settings{}, {.container_id = std::string(64, 'a'), .host_name = "h"});
    const HostConfig& host = request.host_config;
    EXPECT_EQ(host.network_mode, "bridge");
    EXPECT_TRUE(request.networking.endpoints.contains("bridge"));
    EXPECT_FALSE(host.resources.memory_swappiness.has_value());
    EXPECT_FALSE(host.resources.pids_limit.has_value());
    EXPECT_EQ(host.shm_size, 64 << 20);
    EXPECT_EQ(host.restart_policy.name, "no");
    EXPECT_EQ(host.log_config.type, "json-file");
    EXPECT_EQ(request.config.hostname, std::string(12, 'a'));
    EXPECT_FALSE(host.masked_paths->empty());
}

TEST(apply_defaults, a_privileged_container_has_no_masked_paths) {
    CreateRequest request;
    request.host_config.privileged = true;
    apply_defaults(request, Settings{}, {.container_id = std::string(64, 'a'), .host_name = "h"});
    EXPECT_TRUE(request.host_config.masked_paths->empty());
    EXPECT_TRUE(request.host_config.readonly_paths->empty());
}

TEST(apply_defaults, swap_is_twice_the_memory) {
    CreateRequest request;
    request.host_config.resources.memory = 100 << 20;
    apply_defaults(request, Settings{}, {.container_id = std::string(64, 'a'), .host_name = "h"});
    EXPECT_EQ(request.host_config.resources.memory_swap, 200 << 20);
}

TEST(config_json, keys_are_read_in_any_case) {
    const auto config =
        container_config_from(nlohmann::json::parse(R"({"image":"a","CMD":"one","tty":true})"));
    EXPECT_EQ(config.image, "a");
    EXPECT_EQ(config.cmd, Words{"one"});
    EXPECT_TRUE(config.tty);
}

TEST(config_json, host_config_keys_round_trip) {
    const auto sent = nlohmann::json::parse(R"({
        "Binds":["/a:/b:ro"],"CpuRealtimePeriod":7,"StorageOpt":{"size":"1G"},
        "DeviceRequests":[{"Driver":"nvidia","Count":-1}],
        "PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]},
        "Mounts":[{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"NoCopy":true}}],
        "Init":true,"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}]})");
    const nlohmann::json shown = to_json(host_config_from(sent));
    for (const auto& [key, value] : sent.items()) EXPECT_EQ(shown.at(key), value) << key;
}

}  // namespace
}  // namespace berth::engine::model
