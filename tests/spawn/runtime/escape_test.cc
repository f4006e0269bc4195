// One known escape a test; the numbers are those of the published flaws.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "container_world.h"
#include "linux/spawn.h"

namespace berth::runtime::test {
namespace {

class RuntimeEscape : public ContainerWorld {
  protected:
    void replace_by_link(const std::string& path, const std::string& to) {
        std::filesystem::remove_all(rootfs(path));
        std::filesystem::create_symlink(to, rootfs(path));
    }
};

TEST_F(RuntimeEscape, cve_2024_21626_working_directory_through_a_descriptor) {
    for (int fd = 3; fd < 20; ++fd) {
        spec_.process->cwd = "/proc/self/fd/" + std::to_string(fd);
        const Outcome outcome = run_shell("pwd; ls");
        EXPECT_NE(outcome.code, 0) << fd;
        EXPECT_EQ(outcome.out, "") << fd;
    }
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeEscape, cve_2024_21626_makes_no_directory_through_a_descriptor) {
    for (int fd = 3; fd < 20; ++fd) {
        spec_.process->cwd = "/proc/self/fd/" + std::to_string(fd) + "/made";
        EXPECT_NE(run_shell("true").code, 0) << fd;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(base_))
            EXPECT_NE(entry.path().filename(), "made") << entry.path();
    }
}

TEST_F(RuntimeEscape, cve_2019_19921_proc_is_a_symbolic_link) {
    replace_by_link("/proc", "/tmp");
    EXPECT_NE(run_shell("true").code, 0);
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeEscape, cve_2023_28642_sys_is_a_symbolic_link) {
    replace_by_link("/sys", "/tmp");
    EXPECT_NE(run_shell("true").code, 0);
}

TEST_F(RuntimeEscape, cve_2019_16884_volume_on_proc) {
    spec_.mounts.push_back({"/proc", "tmpfs", "tmpfs", {}, {}, {}});
    EXPECT_NE(run_shell("true").code, 0);
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeEscape, mount_target_through_a_link_into_proc_is_refused) {
    std::filesystem::create_symlink("/proc", rootfs("/link"));
    for (const char* target : {"/link/sys", "/link"}) {
        spec_.mounts.push_back({target, "tmpfs", "tmpfs", {}, {}, {}});
        const Outcome outcome = run_shell("true");
        EXPECT_NE(outcome.code, 0);
        EXPECT_NE(outcome.err.find("leads into /proc"), std::string::npos) << outcome.err;
        spec_.mounts.pop_back();
    }
}

TEST_F(RuntimeEscape, cve_2026_41579_dev_link_makes_nothing_outside) {
    make_directories(base_ + "/outside");
    replace_by_link("/dev", base_ + "/outside");
    run_shell("true");
    EXPECT_TRUE(std::filesystem::is_empty(base_ + "/outside"));
}

TEST_F(RuntimeEscape, mount_target_through_a_link_stays_inside) {
    make_directories(base_ + "/outside");
    std::filesystem::create_symlink(base_ + "/outside", rootfs("/link"));
    spec_.mounts.push_back({"/link/made", "tmpfs", "tmpfs", {}, {}, {}});
    run_shell("true");
    EXPECT_TRUE(std::filesystem::is_empty(base_ + "/outside"));
}

TEST_F(RuntimeEscape, cve_2019_5736_own_file_is_not_writable_from_inside) {
    const std::string binary = linux_os::find_own_program("berth-runtime");
    const std::string before = read_file(binary);
    replace_file(rootfs("/bin/trick"), "#!/proc/self/exe\n", 0755, Durability::process);
    spec_.process->args = {"/bin/trick"};
    write_config();
    run();
    EXPECT_EQ(read_file(binary), before);
    // The file behind a process that waits for start: readable or not, never writable.
    start();
    const Outcome outcome = runtime({"exec", "c", "/bin/sh", "-c", "echo x > /proc/self/exe"});
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(read_file(binary), before);
    kill_and_reap();
}

TEST_F(RuntimeEscape, default_seccomp_refuses_mounts_and_namespaces) {
    std::filesystem::create_symlink("busybox", rootfs("/bin/unshare"));
    EXPECT_NE(run_shell("unshare -U true").code, 0);
    EXPECT_NE(run_shell("mount -t tmpfs tmpfs /tmp").code, 0);
}

}  // namespace
}  // namespace berth::runtime::test
