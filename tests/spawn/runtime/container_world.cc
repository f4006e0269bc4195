#include "container_world.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "linux/spawn.h"
#include "oci/default_seccomp.h"
#include "oci/defaults.h"
#include "tests/support/userns.h"

namespace berth::runtime::test {
namespace {

oci::Spec docker_like_spec() {
    oci::Spec spec;
    spec.process = oci::Process{};
    spec.process->env = {"PATH=/bin"};
    const auto& names = oci::default_capabilities();
    spec.process->capabilities = oci::Capabilities{names, names, {}, names, {}};
    spec.hostname = "box";
    spec.mounts = oci::default_mounts("65536k");
    spec.linux_part.namespaces = oci::default_namespaces();
    spec.linux_part.masked_paths = oci::default_masked_paths();
    spec.linux_part.readonly_paths = oci::default_readonly_paths();
    spec.linux_part.seccomp = oci::default_seccomp(names);
    return spec;
}

}  // namespace

void ContainerWorld::SetUp() {
    if (const std::string& reason = berth::test::enter_user_namespace(); !reason.empty())
        GTEST_SKIP() << reason;
    if (!exists("/bin/busybox")) GTEST_SKIP() << "/bin/busybox is missing (busybox-static)";
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    char name[] = "/tmp/berth-runtime-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    ASSERT_EQ(::chmod(name, 0755), 0);
    base_ = name;
    bundle_ = base_ + "/bundle";
    root_ = base_ + "/root";
    for (const char* directory : {"/bin", "/proc", "/sys", "/dev", "/etc", "/tmp"})
        make_directories(rootfs(directory));
    std::filesystem::copy_file("/bin/busybox", rootfs("/bin/busybox"));
    for (const char* applet : {"sh", "cat", "ls", "id", "true", "sleep", "grep", "mount", "touch",
                               "hostname", "pwd", "readlink", "wc", "tty", "stty", "env"})
        std::filesystem::create_symlink("busybox", rootfs("/bin/") + applet);
    spec_ = docker_like_spec();
}

void ContainerWorld::TearDown() {
    if (base_.empty()) return;
    runtime({"delete", "--force", "c"});
    while (::waitpid(-1, nullptr, WNOHANG) > 0) continue;
    remove_tree(base_);
}

Outcome ContainerWorld::runtime(const std::vector<std::string>& words) const {
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-runtime");
    request.arguments = {"berth-runtime", "--root", root_};
    request.arguments.insert(request.arguments.end(), words.begin(), words.end());
    constexpr int kFresh = O_RDWR | O_CREAT | O_TRUNC;
    const UniqueFd out = open_file(base_ + "/out", kFresh, 0600);
    const UniqueFd err = open_file(base_ + "/err", kFresh, 0600);
    request.fds = {{out.borrow(), 1}, {err.borrow(), 2}};
    Outcome outcome;
    outcome.code = linux_os::spawn(request).reap().code;
    outcome.out = read_file(base_ + "/out");
    outcome.err = read_file(base_ + "/err");
    return outcome;
}

void ContainerWorld::write_config() const {
    replace_file(bundle_ + "/config.json", dump_json(oci::to_json(spec_)), 0600,
                 Durability::process);
}

Outcome ContainerWorld::run() const {
    write_config();
    return runtime({"run", "--bundle", bundle_, "c"});
}

Outcome ContainerWorld::run_shell(const std::string& script) {
    spec_.process->args = {"/bin/sh", "-c", script};
    return run();
}

void ContainerWorld::start() {
    spec_.process->args = {"/bin/sleep", "1000"};
    write_config();
    const Outcome created =
        runtime({"create", "--bundle", bundle_, "--pid-file", base_ + "/pid", "c"});
    ASSERT_EQ(created.code, 0) << created.err;
    pid_ = static_cast<pid_t>(std::stol(read_file(base_ + "/pid")));
    const Outcome started = runtime({"start", "c"});
    ASSERT_EQ(started.code, 0) << started.err;
}

void ContainerWorld::kill_and_reap() {
    runtime({"kill", "c", "KILL"});
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

bool ContainerWorld::nothing_left() const { return !exists(root_ + "/c"); }

}  // namespace berth::runtime::test
