#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "container_world.h"

namespace berth::runtime::test {
namespace {

using testing::Test;
class RuntimeRun : public ContainerWorld {};

TEST_F(RuntimeRun, exit_code_is_that_of_the_process) {
    EXPECT_EQ(run_shell("exit 3").code, 3);
    EXPECT_EQ(run_shell("kill -9 $$; exit 0").code, 0);  // process 1 ignores what it sends itself
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeRun, absent_command_has_the_text_for_127) {
    spec_.process->args = {"nofoo"};
    const Outcome outcome = run();
    EXPECT_EQ(outcome.err, "exec: \"nofoo\": executable file not found in $PATH\n");
    EXPECT_NE(outcome.code, 0);
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeRun, absent_path_has_the_text_for_127) {
    spec_.process->args = {"/x"};
    EXPECT_EQ(run().err, "exec: \"/x\": stat /x: no such file or directory\n");
}

TEST_F(RuntimeRun, directory_and_plain_file_have_the_texts_for_126) {
    spec_.process->args = {"/etc"};
    EXPECT_EQ(run().err, "exec: \"/etc\": is a directory\n");
    replace_file(rootfs("/etc/plain"), "text", 0644, Durability::process);
    spec_.process->args = {"/etc/plain"};
    EXPECT_EQ(run().err, "exec: \"/etc/plain\": permission denied\n");
}

TEST_F(RuntimeRun, seccomp_and_capabilities_are_those_of_docker) {
    const std::string out = run_shell("grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status").out;
    EXPECT_NE(out.find("CapInh:\t0000000000000000"), std::string::npos) << out;
    EXPECT_NE(out.find("CapEff:\t00000000a80425fb"), std::string::npos) << out;
    EXPECT_NE(out.find("CapBnd:\t00000000a80425fb"), std::string::npos) << out;
    EXPECT_NE(out.find("Seccomp:\t2"), std::string::npos) << out;
    EXPECT_NE(out.find("NoNewPrivs:\t0"), std::string::npos) << out;
}

TEST_F(RuntimeRun, no_new_privileges_are_set_when_asked_for) {
    spec_.process->no_new_privileges = true;
    EXPECT_EQ(run_shell("grep NoNewPrivs /proc/self/status").out, "NoNewPrivs:\t1\n");
}

TEST_F(RuntimeRun, only_the_three_standard_streams_are_open) {
    EXPECT_EQ(run_shell("ls /proc/1/fd | wc -l").out, "3\n");
}

TEST_F(RuntimeRun, masked_files_are_empty_and_masked_directories_too) {
    replace_file(rootfs("/etc/secret"), "secret", 0644, Durability::process);
    make_directories(rootfs("/etc/hidden"));
    replace_file(rootfs("/etc/hidden/file"), "secret", 0644, Durability::process);
    make_directories(rootfs("/etc/more"));
    replace_file(rootfs("/etc/more/file"), "secret", 0644, Durability::process);
    spec_.linux_part.masked_paths = {"/etc/secret", "/etc/hidden", "/etc/more", "/etc/absent"};
    const Outcome outcome =
        run_shell("cat /etc/secret; ls /etc/hidden /etc/more; touch /etc/hidden/x || exit 5");
    EXPECT_EQ(outcome.out.find("secret"), std::string::npos);
    EXPECT_EQ(outcome.out.find("file"), std::string::npos);
    EXPECT_EQ(outcome.code, 5);
}

TEST_F(RuntimeRun, a_joined_pid_namespace_of_the_host_shows_its_proc) {
    for (oci::Namespace& space : spec_.linux_part.namespaces)
        if (space.type == "pid") space.path = "/proc/self/ns/pid";
    const Outcome outcome = run_shell("test \"$(readlink /proc/self/ns/pid)\"");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(RuntimeRun, home_is_whole_without_a_last_newline_in_passwd) {
    replace_file(rootfs("/etc/passwd"), "a:x:5:5::/a\nroot:x:0:0::/root", 0644,
                 Durability::process);
    EXPECT_EQ(run_shell("echo $HOME").out, "/root\n");
}

TEST_F(RuntimeRun, a_recursively_read_only_sys_is_so_below_as_well) {
    for (oci::Mount& mount : spec_.mounts)
        if (mount.destination == "/sys")
            mount = {"/sys", "bind", "/sys", {"rbind", "nosuid", "rro"}, {}, {}};
    const Outcome outcome = run_shell("cat /proc/self/mountinfo");
    EXPECT_NE(outcome.out.find(" /sys ro,"), std::string::npos) << outcome.err;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);)
        if (line.find(" /sys") != std::string::npos) {
            EXPECT_LT(line.find(" ro,"), line.find(" - ")) << line;
        }
}

TEST_F(RuntimeRun, read_only_paths_cannot_be_written) {
    EXPECT_EQ(run_shell("echo 1 > /proc/sys/vm/swappiness || exit 6").code, 6);
}

TEST_F(RuntimeRun, read_only_root_cannot_be_written_but_its_tmpfs_can) {
    spec_.root.readonly = true;
    spec_.mounts.push_back({"/tmp", "tmpfs", "tmpfs", {"nosuid"}, {}, {}});
    EXPECT_EQ(run_shell("touch /tmp/x || exit 4; touch /x && exit 5; exit 0").code, 0);
}

TEST_F(RuntimeRun, sysctl_is_set_in_the_network_namespace) {
    spec_.linux_part.sysctl["net.ipv4.ip_unprivileged_port_start"] = "0";
    EXPECT_EQ(run_shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start").out, "0\n");
}

TEST_F(RuntimeRun, bind_mount_of_a_file_and_a_directory) {
    make_directories(base_ + "/volume");
    replace_file(base_ + "/volume/file", "hello", 0644, Durability::process);
    spec_.mounts.push_back({"/data", "bind", base_ + "/volume", {"rbind"}, {}, {}});
    spec_.mounts.push_back({"/etc/file", "bind", base_ + "/volume/file", {"rbind", "ro"}, {}, {}});
    const Outcome outcome = run_shell(
        "cat /data/file /etc/file; touch /data/made; echo x > /etc/file && exit 5; exit 0");
    EXPECT_EQ(outcome.out, "hellohello");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(exists(base_ + "/volume/made"));
}

TEST_F(RuntimeRun, user_groups_home_and_working_directory) {
    replace_file(rootfs("/etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:7:8::/home/u:/bin/sh\n",
                 0644, Durability::process);
    spec_.process->user = {7, 8, {9}, std::nullopt};
    spec_.process->cwd = "/made/here";
    EXPECT_EQ(run_shell("id -u; id -g; id -G; echo $HOME; pwd").out,
              "7\n8\n8 9\n/home/u\n/made/here\n");
}

TEST_F(RuntimeRun, hostname_is_set) { EXPECT_EQ(run_shell("hostname").out, "box\n"); }

TEST_F(RuntimeRun, resource_limits_are_applied) {
    spec_.process->rlimits = {{"RLIMIT_NOFILE", 100, 200}};
    EXPECT_EQ(run_shell("ulimit -Sn; ulimit -Hn").out, "100\n200\n");
}

TEST_F(RuntimeRun, nothing_of_the_host_is_mounted) {
    const std::string out = run_shell("mount").out;
    EXPECT_EQ(out.find(base_), std::string::npos) << out;
    EXPECT_EQ(out.find("/work"), std::string::npos) << out;
}

}  // namespace
}  // namespace berth::runtime::test
