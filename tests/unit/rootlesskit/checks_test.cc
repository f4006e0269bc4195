// The judgement of `berth doctor` over facts: what a simulated host cannot be made to lack.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "rootlesskit/distribution.h"
#include "rootlesskit/host_facts.h"

namespace berth::rootlesskit {
namespace {

HostFacts good_host() {
    HostFacts facts;
    facts.start.uid = facts.start.gid = 1001;
    facts.start.user = "joe";
    facts.runtime.variable = facts.runtime.directory.path = facts.runtime.directory.nearest =
        "/run/user/1001";
    facts.runtime.directory.owner = facts.data.owner = 1001;
    facts.data.path = facts.data.nearest = "/home/joe/.local/share/berth";
    facts.data.filesystem.name = "ext4";
    facts.data.filesystem.mount_point = "/home";
    facts.data.filesystem.free_bytes = 100ULL << 30;
    facts.network.first_port = 80;
    facts.network.ping_groups = {0, 2147483647};
    facts.network.resolver.servers = {"192.0.2.53"};
    return facts;
}

testing::AssertionResult has(const Finding& finding, State state, std::string_view words) {
    if (finding.state == state && message_of(finding).find(words) != std::string::npos)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << to_string(finding.state) << " " << message_of(finding);
}

TEST(Checks, a_good_host_has_no_trouble) {
    HostFacts facts = good_host();
    for (const auto judge :
         {check_kernel, check_namespaces, check_apparmor, check_nested, check_limits,
          check_runtime_directory, check_data_directory, check_disk_space, check_storage,
          check_ports, check_ping, check_resolver, check_route}) {
        const Finding finding = judge(facts);
        EXPECT_EQ(finding.state, State::ok) << message_of(finding);
        EXPECT_TRUE(finding.mend.empty());
    }
}

TEST(Checks, names_are_unique_and_each_trouble_has_a_cause) {
    HostFacts facts = good_host();
    facts.kernel.missing = {"clone3"};
    facts.network.default_route = false;
    std::vector<std::string> names;
    for (const Finding& finding : examine(facts)) {
        names.push_back(finding.name);
        EXPECT_FALSE(finding.cause.empty()) << finding.name;
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

TEST(Checks, root_gets_one_answer) {
    HostFacts facts = good_host();
    facts.start.host_root = true;
    EXPECT_EQ(examine(facts).size(), 1U);
}

TEST(Checks, network_file_systems_keep_no_data) {
    for (const char* type : {"nfs", "cifs", "9p", "lustre", "vfat"}) {
        HostFacts facts = good_host();
        facts.data.filesystem.name = type;
        EXPECT_TRUE(has(check_data_directory(facts), State::broken, "/var/tmp/berth-1001")) << type;
    }
}

TEST(Checks, what_mends_the_data_directory_keeps_a_configuration_that_is_there) {
    HostFacts facts = good_host();
    facts.data.filesystem.name = "nfs";
    char home[] = "/tmp/berth-checks-XXXXXX";
    ASSERT_NE(::mkdtemp(home), nullptr);
    const std::string file = std::string(home) + "/.config/berth/daemon.json";
    const auto mend = check_data_directory(facts).mend;
    const auto run = [&](const std::string& command) {
        return std::system(
            fmt::format("HOME={} sh -c {} 2>/dev/null", home, shell_word(command)).c_str());
    };
    EXPECT_EQ(run(mend.at(0)), 0);
    EXPECT_EQ(run(mend.at(1)), 0);
    EXPECT_EQ(read_file(file), "{\"data-root\": \"/var/tmp/berth-1001\"}\n");
    replace_file(file, "{\"debug\": true}", 0600, Durability::process);
    EXPECT_NE(run(mend.at(1)), 0);
    EXPECT_EQ(read_file(file), "{\"debug\": true}");
    std::filesystem::remove_all(home);
}

TEST(Checks, a_quota_counts_as_the_disk) {
    HostFacts facts = good_host();
    facts.data.filesystem.quota_bytes = 10 << 20;
    EXPECT_TRUE(has(check_disk_space(facts), State::broken,
                    "10 MiB are left in /home/joe/.local/share/berth by the user's disk quota"));
}

TEST(Checks, a_file_system_without_inode_numbers_is_not_full) {
    HostFacts facts = good_host();
    facts.data.filesystem.inodes = facts.data.filesystem.free_inodes = 0;
    EXPECT_EQ(check_disk_space(facts).state, State::ok);
}

TEST(Checks, apparmor_matters_only_when_the_attempt_failed) {
    HostFacts facts = good_host();
    facts.start.apparmor_restrict = 1;
    EXPECT_TRUE(has(check_apparmor(facts), State::ok, "a profile lets berth through"));
    facts.probes.namespaces = explain({HolderStep::mounts, EACCES, ""}, facts.start);
    EXPECT_TRUE(has(check_apparmor(facts), State::broken,
                    "berth setup apparmor | sudo tee /etc/apparmor.d/berth-1001"));
    EXPECT_TRUE(has(check_namespaces(facts), State::broken, "AppArmor restricts"));
}

TEST(Checks, an_old_kernel_is_told_from_an_old_filter) {
    HostFacts facts = good_host();
    facts.kernel.release = "5.4.0";
    facts.kernel.missing = {"close_range", "openat2"};
    EXPECT_TRUE(has(check_kernel(facts), State::broken,
                    "Linux 5.4.0 lacks close_range, openat2: 5.11 or newer is needed"));
    facts.container.filtered = true;
    EXPECT_TRUE(has(check_kernel(facts), State::broken, "--security-opt seccomp=unconfined"));
}

TEST(Checks, a_container_is_told_what_it_lacks) {
    HostFacts facts = good_host();
    facts.container.kind = "podman";
    EXPECT_TRUE(has(check_nested(facts), State::ok, "inside a podman container"));
    facts.start.tun_errno = ENOENT;
    EXPECT_TRUE(has(check_nested(facts), State::broken,
                    "inside a podman container: no /dev/net/tun: start the outer container so: "
                    "`docker run"));
}

TEST(Checks, storage_says_why_it_is_slow) {
    HostFacts facts = good_host();
    facts.probes.overlay = "no";
    EXPECT_TRUE(has(check_storage(facts), State::degraded,
                    "copies its whole image, which takes long: `sudo apt-get install "
                    "fuse-overlayfs`"));
    facts.probes.fuse_program = "/usr/bin/fuse-overlayfs";
    facts.probes.fuse_errno = ENOENT;
    EXPECT_TRUE(has(check_storage(facts), State::degraded, "`sudo modprobe fuse`"));
    facts.probes.fuse_errno = 0;
    EXPECT_TRUE(has(check_storage(facts), State::degraded, "fuse-overlayfs is used"));
}

TEST(Checks, resolved_is_restarted_and_its_file_restored) {
    HostFacts facts = good_host();
    ResolverFacts& resolver = facts.network.resolver;
    resolver.servers = resolver.silent = {"127.0.0.53"};
    EXPECT_TRUE(has(check_resolver(facts), State::degraded, "restart systemd-resolved"));
    resolver = {.present = true,
                .servers = {},
                .silent = {},
                .other_file = "/run/systemd/resolve/stub-resolv.conf"};
    EXPECT_TRUE(has(check_resolver(facts), State::degraded,
                    "`sudo ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`"));
}

TEST(Checks, one_answering_server_is_enough) {
    HostFacts facts = good_host();
    facts.network.resolver.servers = {"127.0.0.1", "192.0.2.53"};
    facts.network.resolver.silent = {"127.0.0.1"};
    EXPECT_EQ(check_resolver(facts).state, State::ok);
}

TEST(Checks, a_path_too_long_for_a_socket) {
    HostFacts facts = good_host();
    facts.runtime.variable = facts.runtime.directory.path = facts.runtime.directory.nearest =
        "/" + std::string(100, 'x');
    EXPECT_TRUE(has(check_runtime_directory(facts), State::broken, "at most 107 bytes"));
}

TEST(Checks, each_distribution_has_its_command) {
    EXPECT_EQ(install_command("ID=ubuntu\nID_LIKE=debian\n", Package::user_bus),
              "sudo apt-get install dbus-user-session");
    EXPECT_EQ(install_command("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", Package::uidmap),
              "sudo zypper install shadow");
    EXPECT_EQ(install_command("ID=alpine\n", Package::fuse_overlayfs),
              "sudo apk add fuse-overlayfs");
    EXPECT_EQ(install_command("ID=unheard-of\n", Package::uidmap), "sudo apt-get install uidmap");
}

TEST(Findings, a_word_of_the_shell_is_quoted_when_it_must_be) {
    EXPECT_EQ(shell_word("/home/joe"), "/home/joe");
    EXPECT_EQ(shell_word("a b"), "'a b'");
    EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_word(""), "''");
}

class HostTree : public testing::Test {
  protected:
    void SetUp() override {
        root_ = testing::TempDir() + "/berth-host-" + std::to_string(::getpid());
        write("/proc/net/route", "Iface\tDestination\tGateway\neth0\t0001A8C0\t00000000\n");
        write("/etc/resolv.conf", "# comment\nsearch x\nnameserver 127.0.0.53\nnameserver ::1\n");
        write("/proc/sys/net/ipv4/ping_group_range", "1\t0\n");
        write("/proc/self/gid_map",
              "         0       1001          1\n         1     100000      65535\n");
    }
    void TearDown() override { std::filesystem::remove_all(root_); }
    void write(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    std::string root_;
};

TEST_F(HostTree, network_facts_are_read) {
    const NetworkFacts facts = read_network(HostFiles(root_));
    EXPECT_FALSE(facts.default_route);
    EXPECT_EQ(facts.resolver.servers, (std::vector<std::string>{"127.0.0.53", "::1"}));
    EXPECT_EQ(facts.ping_groups, (std::pair<std::int64_t, std::int64_t>{1, 0}));
    EXPECT_EQ(facts.last_group, 65535);
    EXPECT_EQ(facts.first_port, std::nullopt);
}

TEST_F(HostTree, a_default_route_of_either_family_counts) {
    write("/proc/net/ipv6_route",
          "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
          "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n");
    EXPECT_FALSE(read_network(HostFiles(root_)).default_route);
    write("/proc/net/route", "Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0\n");
    EXPECT_TRUE(read_network(HostFiles(root_)).default_route);
}

TEST_F(HostTree, the_kind_of_container_is_read) {
    EXPECT_EQ(read_container(HostFiles(root_)).kind, "");
    write("/run/systemd/container", "lxc\n");
    EXPECT_EQ(read_container(HostFiles(root_)).kind, "lxc");
    write("/.dockerenv", "");
    write("/proc/self/status", "Name:\tx\nSeccomp:\t2\n");
    EXPECT_EQ(read_container(HostFiles(root_)).kind, "docker");
    EXPECT_TRUE(read_container(HostFiles(root_)).filtered);
}

}  // namespace
}  // namespace berth::rootlesskit
