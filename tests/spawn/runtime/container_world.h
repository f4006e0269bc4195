// Fixture of the berth-runtime tests: a bundle with a busybox root file system, and the built
// berth-runtime run as root of a user namespace, as berth-shim runs it. All goes at the end.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "oci/runtime_spec.h"

namespace berth::runtime::test {

struct Outcome final {
    int code = -1;
    std::string out;
    std::string err;
};

class ContainerWorld : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    /// Runs berth-runtime with `--root` and these words.
    Outcome runtime(const std::vector<std::string>& words) const;
    /// Writes config.json and runs the container to its end.
    Outcome run() const;
    /// The same with a shell command line.
    Outcome run_shell(const std::string& script);
    /// create and start of "c"; the pid is in pid_.
    void start();
    void kill_and_reap();
    void write_config() const;
    bool nothing_left() const;
    std::string rootfs(const std::string& path) const { return bundle_ + "/rootfs" + path; }

    oci::Spec spec_;
    std::string base_;
    std::string bundle_;
    std::string root_;
    pid_t pid_ = 0;
};

}  // namespace berth::runtime::test
