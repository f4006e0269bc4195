#include "engine/spec_build.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace berth::engine {
namespace {

model::ContainerRecord record() {
    model::ContainerRecord r;
    r.id = std::string(64, 'a');
    r.config.cmd = std::vector<std::string>{"sleep", "1"};
    r.config.hostname = "box";
    r.host_config.network_mode = "bridge";
    r.host_config.ipc_mode = "private";
    r.host_config.shm_size = 64 << 20;
    return r;
}

const oci::Mount* find_mount(const oci::Spec& spec, std::string_view destination) {
    const auto found = std::ranges::find(spec.mounts, destination, &oci::Mount::destination);
    return found == spec.mounts.end() ? nullptr : &*found;
}

bool has(const std::vector<std::string>& list, std::string_view item) {
    return std::ranges::find(list, item) != list.end();
}

TEST(spec_build, defaults_are_dockers) {
    const model::ContainerRecord r = record();
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_EQ(spec.process->args, (std::vector<std::string>{"sleep", "1"}));
    EXPECT_EQ(spec.process->capabilities->bounding.size(), 14U);
    EXPECT_TRUE(spec.linux_part.seccomp.has_value());
    EXPECT_EQ(spec.hostname, "box");
    EXPECT_TRUE(has(spec.process->env, "HOSTNAME=box"));
    EXPECT_TRUE(has(spec.process->env, "HOME=/"));
    EXPECT_EQ(spec.linux_part.sysctl.at("net.ipv4.ip_unprivileged_port_start"), "0");
    EXPECT_FALSE(spec.process->no_new_privileges);
}

TEST(spec_build, an_own_network_does_not_pace_unless_it_was_asked_to) {
    model::ContainerRecord r = record();
    const Settings settings;
    SpecInputs inputs{.record = r, .settings = settings};
    inputs.congestion_control = "reno";
    EXPECT_EQ(build_spec(inputs).linux_part.sysctl.at("net.ipv4.tcp_congestion_control"), "reno");
    r.host_config.sysctls["net.ipv4.tcp_congestion_control"] = "bbr";
    EXPECT_EQ(build_spec(inputs).linux_part.sysctl.at("net.ipv4.tcp_congestion_control"), "bbr");
    r.host_config = {};
    r.host_config.network_mode = "host";
    EXPECT_TRUE(build_spec(inputs).linux_part.sysctl.empty());
}

TEST(spec_build, another_user_than_root_has_no_effective_capabilities) {
    const model::ContainerRecord r = record();
    const Settings settings;
    SpecInputs inputs{.record = r, .settings = settings};
    inputs.user.user.uid = 1000;
    const oci::Spec spec = build_spec(inputs);
    EXPECT_TRUE(spec.process->capabilities->effective.empty());
    EXPECT_FALSE(spec.process->capabilities->bounding.empty());
}

TEST(spec_build, host_network_has_no_namespace_and_binds_sys) {
    model::ContainerRecord r = record();
    r.host_config.network_mode = "host";
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_EQ(spec.linux_part.find_namespace("network"), nullptr);
    EXPECT_EQ(find_mount(spec, "/sys")->type, "bind");
    EXPECT_TRUE(has(find_mount(spec, "/sys")->options, "rro"));
    EXPECT_TRUE(spec.linux_part.sysctl.empty());
}

TEST(spec_build, container_mode_joins_the_other_namespace) {
    model::ContainerRecord r = record();
    r.host_config.network_mode = "container:" + std::string(64, 'b');
    const Settings settings;
    SpecInputs inputs{.record = r, .settings = settings};
    inputs.joined["network"] = "/proc/7/ns/net";
    EXPECT_EQ(build_spec(inputs).linux_part.find_namespace("network")->path, "/proc/7/ns/net");
}

TEST(spec_build, privileged_lifts_seccomp_and_capabilities) {
    model::ContainerRecord r = record();
    r.host_config.privileged = true;
    r.host_config.masked_paths = std::vector<std::string>{};
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_FALSE(spec.linux_part.seccomp.has_value());
    EXPECT_GT(spec.process->capabilities->bounding.size(), 30U);
    EXPECT_TRUE(spec.linux_part.masked_paths.empty());
}

TEST(spec_build, init_goes_in_front_and_is_bound) {
    model::ContainerRecord r = record();
    r.host_config.init = true;
    const Settings settings;
    SpecInputs inputs{.record = r, .settings = settings};
    inputs.init_program = "/opt/berth-init";
    const oci::Spec spec = build_spec(inputs);
    EXPECT_EQ(spec.process->args.front(), "/sbin/docker-init");
    EXPECT_EQ(find_mount(spec, "/sbin/docker-init")->source, "/opt/berth-init");
}

TEST(spec_build, a_users_mount_replaces_the_default_one) {
    model::ContainerRecord r = record();
    r.mounts.push_back(model::parse_tmpfs("/dev/shm", "size=1m"));
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_EQ(std::ranges::count(spec.mounts, "/dev/shm", &oci::Mount::destination), 1);
    EXPECT_TRUE(has(find_mount(spec, "/dev/shm")->options, "size=1m"));
}

TEST(spec_build, read_only_binds_are_recursive) {
    model::ContainerRecord r = record();
    r.mounts.push_back(model::parse_bind("/a:/b:ro"));
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_TRUE(has(find_mount(spec, "/b")->options, "rro"));
}

TEST(spec_build, an_entry_without_a_value_removes_the_variable) {
    model::ContainerRecord r = record();
    r.config.env = {"A=1", "A"};
    const Settings settings;
    const oci::Spec spec = build_spec({.record = r, .settings = settings});
    EXPECT_FALSE(has(spec.process->env, "A=1"));
}

TEST(spec_build, exec_takes_the_containers_environment_and_its_own) {
    model::ContainerRecord r = record();
    r.config.env = {"A=1"};
    r.config.working_dir = "/srv";
    const Settings settings;
    ExecConfig exec;
    exec.cmd = {"sh"};
    exec.env = {"B=2"};
    exec.tty = true;
    const oci::Process process = build_exec_process({.record = r, .settings = settings}, exec);
    EXPECT_TRUE(has(process.env, "A=1"));
    EXPECT_TRUE(has(process.env, "B=2"));
    EXPECT_TRUE(has(process.env, "TERM=xterm"));
    EXPECT_EQ(process.cwd, "/srv");
    EXPECT_TRUE(process.terminal);
}

}  // namespace
}  // namespace berth::engine
