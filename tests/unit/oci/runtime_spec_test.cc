#include "oci/runtime_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "oci/default_seccomp.h"
#include "oci/defaults.h"

namespace berth::oci {
namespace {

Spec minimal() {
    Spec spec;
    spec.process = Process{};
    spec.process->args = {"true"};
    spec.linux_part.namespaces = default_namespaces();
    return spec;
}

std::string error_of(const Spec& spec) {
    try {
        parse_spec(dump_json(to_json(spec)));
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

TEST(RuntimeSpec, survives_the_way_through_json) {
    Spec spec = minimal();
    spec.process->user = {7, 8, {9, 10}, 0077};
    spec.process->rlimits = {{"RLIMIT_CORE", 0, ~0ULL}};
    spec.process->console_size = ConsoleSize{24, 80};
    spec.mounts = default_mounts("1m");
    spec.hostname = "box";
    spec.linux_part.resources.memory_limit = -1;
    spec.linux_part.resources.cpu_burst = 1000;
    spec.linux_part.resources.weight_devices = {{8, 0, 300}};
    spec.linux_part.resources.write_iops = {{8, 16, 100}};
    spec.linux_part.resources.hugepage_limits = {{"2MB", 4 << 20}};
    spec.linux_part.resources.rdma = {{"mlx5_1", {3, std::nullopt}}};
    spec.linux_part.sysctl["net.ipv4.ip_forward"] = "1";
    spec.linux_part.seccomp = default_seccomp(default_capabilities());
    spec.hooks.poststop = {{"/bin/hook", {"hook", "a"}, {"A=1"}, 5}};
    const nlohmann::json document = to_json(spec);
    EXPECT_EQ(to_json(parse_spec(dump_json(document))), document);
    EXPECT_EQ(parse_spec(dump_json(document)).process->rlimits[0].hard, ~0ULL);
}

TEST(Defaults, the_heat_of_every_processor_is_masked) {
    const auto& masked = default_masked_paths();
    for (const char* cpu : {"cpu0", "cpu1"}) {
        const std::string heat = fmt::format("/sys/devices/system/cpu/{}/thermal_throttle", cpu);
        EXPECT_EQ(std::count(masked.begin(), masked.end(), heat), exists(heat) ? 1 : 0);
    }
}

TEST(RuntimeSpec, errors_name_the_field) {
    Spec spec = minimal();
    EXPECT_EQ(error_of(spec), "");
    spec.process->cwd = "relative";
    EXPECT_NE(error_of(spec).find("process.cwd"), std::string::npos);
    spec = minimal();
    spec.process->args.clear();
    EXPECT_NE(error_of(spec).find("process.args"), std::string::npos);
    spec = minimal();
    spec.linux_part.namespaces.push_back({"pid", ""});
    EXPECT_EQ(error_of(spec), "linux.namespaces: pid is listed twice");
    spec = minimal();
    spec.linux_part.namespaces.push_back({"moon", ""});
    EXPECT_EQ(error_of(spec), "linux.namespaces: unknown type \"moon\"");
    spec = minimal();
    spec.linux_part.namespaces.push_back({"user", ""});
    EXPECT_NE(error_of(spec).find("linux.uidMappings"), std::string::npos);
}

TEST(RuntimeSpec, wrong_types_name_the_path) {
    try {
        parse_spec(R"({"ociVersion":"1.0.2","process":{"args":7}})");
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(error.message().find("process.args"), std::string::npos);
    }
    EXPECT_THROW(parse_spec("{"), Error);
    EXPECT_THROW(parse_spec(R"({"ociVersion":"2.0"})"), Error);
    EXPECT_THROW(parse_process(R"({"args":["a"],"cwd":"/","user":{"uid":-1}})"), Error);
}

bool allows(const Seccomp& policy, std::string_view name) {
    for (const SeccompRule& rule : policy.rules)
        for (const std::string& entry : rule.names)
            if (entry == name && rule.action == "SCMP_ACT_ALLOW" && rule.args.empty()) return true;
    return false;
}

TEST(DefaultSeccomp, depends_on_the_capabilities) {
    const Seccomp plain = default_seccomp(default_capabilities());
    EXPECT_EQ(plain.default_action, "SCMP_ACT_ERRNO");
    EXPECT_TRUE(allows(plain, "read"));
    EXPECT_TRUE(allows(plain, "chroot"));  // CAP_SYS_CHROOT is among the defaults
    EXPECT_FALSE(allows(plain, "mount"));
    EXPECT_FALSE(allows(plain, "clone3"));
    EXPECT_FALSE(allows(plain, "io_uring_setup"));
    const Seccomp full = default_seccomp(all_capabilities());
    for (const char* name : {"mount", "clone", "clone3", "bpf", "reboot", "unshare"})
        EXPECT_TRUE(allows(full, name)) << name;
}

TEST(DefaultSeccomp, clone3_answers_enosys_without_sys_admin) {
    for (const SeccompRule& rule : default_seccomp({}).rules)
        if (rule.names == std::vector<std::string>{"clone3"}) {
            EXPECT_EQ(rule.errno_ret, 38U);
            return;
        }
    FAIL() << "no rule for clone3";
}

TEST(DockerSeccomp, rules_are_chosen_by_capability_and_architecture) {
    constexpr std::string_view kFile = R"({"defaultAction":"SCMP_ACT_ERRNO",
      "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
      "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"},
       {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
       {"names":["write"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}},
       {"names":["cacheflush"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["mips"]}}]})";
    EXPECT_EQ(parse_docker_seccomp(kFile, {}).rules.size(), 2U);
    EXPECT_TRUE(allows(parse_docker_seccomp(kFile, {"CAP_SYS_ADMIN"}), "mount"));
    EXPECT_FALSE(allows(parse_docker_seccomp(kFile, {"CAP_SYS_ADMIN"}), "write"));
    EXPECT_FALSE(allows(parse_docker_seccomp(kFile, {}), "cacheflush"));
}

TEST(Defaults, are_those_of_docker) {
    EXPECT_EQ(default_capabilities().size(), 14U);
    EXPECT_EQ(all_capabilities().size(), 41U);
    EXPECT_EQ(default_mounts("1m").front().destination, "/proc");
}

}  // namespace
}  // namespace berth::oci
