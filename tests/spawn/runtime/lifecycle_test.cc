#include <fcntl.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "container_world.h"

namespace berth::runtime::test {
namespace {

class RuntimeLifecycle : public ContainerWorld {
  protected:
    std::string status() const {
        const Outcome outcome = runtime({"state", "c"});
        return outcome.code == 0 ? nlohmann::json::parse(outcome.out)["status"].get<std::string>()
                                 : outcome.err;
    }
};

TEST_F(RuntimeLifecycle, created_running_stopped_gone) {
    spec_.process->args = {"/bin/sleep", "1000"};
    write_config();
    ASSERT_EQ(runtime({"create", "--bundle", bundle_, "--pid-file", base_ + "/pid", "c"}).code, 0);
    pid_ = static_cast<pid_t>(std::stol(read_file(base_ + "/pid")));
    EXPECT_EQ(status(), "created");
    ASSERT_EQ(runtime({"start", "c"}).code, 0);
    EXPECT_EQ(status(), "running");
    EXPECT_NE(runtime({"start", "c"}).code, 0);
    EXPECT_NE(runtime({"delete", "c"}).code, 0);
    kill_and_reap();
    EXPECT_EQ(status(), "stopped");
    EXPECT_EQ(runtime({"kill", "c", "TERM"}).err, "container not running\n");
    EXPECT_EQ(runtime({"delete", "c"}).code, 0);
    EXPECT_EQ(runtime({"delete", "c"}).err, "container \"c\" does not exist\n");
    EXPECT_EQ(runtime({"delete", "--force", "c"}).code, 0);
}

TEST_F(RuntimeLifecycle, a_relative_pid_file_is_the_callers) {
    spec_.process->args = {"/bin/sleep", "1000"};
    write_config();
    const UniqueFd before = open_file(".", O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::chdir(base_.c_str()), 0);
    const Outcome created = runtime({"create", "--bundle", bundle_, "--pid-file", "pid", "c"});
    ASSERT_EQ(::fchdir(before.get()), 0);
    ASSERT_EQ(created.code, 0) << created.err;
    pid_ = static_cast<pid_t>(std::stol(read_file(base_ + "/pid")));
    EXPECT_FALSE(exists(bundle_ + "/pid"));
    kill_and_reap();
    EXPECT_EQ(runtime({"delete", "c"}).code, 0);
}

TEST_F(RuntimeLifecycle, force_ends_a_running_container) {
    start();
    EXPECT_EQ(runtime({"delete", "--force", "c"}).code, 0);
    EXPECT_TRUE(nothing_left());
}

TEST_F(RuntimeLifecycle, an_id_is_taken_once) {
    start();
    EXPECT_NE(runtime({"create", "--bundle", bundle_, "c"}).code, 0);
    EXPECT_EQ(status(), "running");
    kill_and_reap();
}

TEST_F(RuntimeLifecycle, failed_create_leaves_nothing) {
    spec_.mounts.push_back({"/data", "bind", base_ + "/absent", {"rbind"}, {}, {}});
    spec_.process->args = {"/bin/true"};
    write_config();
    const std::string log = base_ + "/log.json";
    const Outcome outcome =
        runtime({"--log", log, "--log-format", "json", "create", "--bundle", bundle_, "c"});
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(nothing_left());
    EXPECT_EQ(nlohmann::json::parse(read_file(log))["level"], "error");
}

TEST_F(RuntimeLifecycle, exec_keeps_exit_code_output_and_namespaces) {
    start();
    const Outcome outcome = runtime(
        {"exec", "c", "/bin/sh", "-c", "hostname; grep Seccomp: /proc/self/status; exit 137"});
    EXPECT_EQ(outcome.code, 137);
    EXPECT_EQ(outcome.out, "box\nSeccomp:\t2\n");
    kill_and_reap();
}

TEST_F(RuntimeLifecycle, exec_of_an_absent_command_has_the_text_for_127) {
    start();
    EXPECT_EQ(runtime({"exec", "c", "nofoo"}).err,
              "exec: \"nofoo\": executable file not found in $PATH\n");
    kill_and_reap();
}

TEST_F(RuntimeLifecycle, exec_user_is_parsed_strictly) {
    start();
    for (const char* user : {"1000:", "0x0", " 0", "-1", ""})
        EXPECT_NE(runtime({"exec", "--user", user, "c", "/bin/true"}).code, 0) << user;
    EXPECT_EQ(runtime({"exec", "--user", "5:6", "c", "/bin/id", "-u"}).out, "5\n");
    kill_and_reap();
}

TEST_F(RuntimeLifecycle, exec_in_a_stopped_container_fails) {
    start();
    kill_and_reap();
    EXPECT_NE(runtime({"exec", "c", "/bin/true"}).code, 0);
}

TEST_F(RuntimeLifecycle, program_that_cannot_be_executed_is_reported_by_start) {
    replace_file(rootfs("/bin/broken"), "#!/no/such/interpreter\n", 0755, Durability::process);
    spec_.process->args = {"/bin/broken"};
    const Outcome outcome = run();
    EXPECT_EQ(outcome.err, "exec /bin/broken: no such file or directory\n");
    EXPECT_NE(outcome.code, 0);
    EXPECT_TRUE(nothing_left());
}

}  // namespace
}  // namespace berth::runtime::test
