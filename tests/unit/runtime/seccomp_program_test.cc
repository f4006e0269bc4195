#include "runtime/seccomp_program.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "oci/default_seccomp.h"
#include "oci/defaults.h"

namespace berth::runtime {
namespace {

bool same(const SeccompProgram& a, const SeccompProgram& b) {
    return a.instructions.size() == b.instructions.size() &&
           std::memcmp(a.instructions.data(), b.instructions.data(),
                       a.instructions.size() * sizeof(sock_filter)) == 0;
}

class SeccompCache : public testing::Test {
  protected:
    void SetUp() override { ASSERT_NE(::mkdtemp(name_), nullptr); }
    void TearDown() override { remove_tree(name_); }
    char name_[32] = "/tmp/berth-seccomp-XXXXXX";
};

TEST_F(SeccompCache, second_use_gives_the_same_program) {
    const auto policy = oci::default_seccomp(oci::default_capabilities());
    const SeccompProgram first = obtain_seccomp(policy, name_);
    EXPECT_GT(first.instructions.size(), 100U);
    EXPECT_TRUE(same(first, obtain_seccomp(policy, name_)));
    EXPECT_FALSE(same(first, obtain_seccomp(oci::default_seccomp({}), name_)));
}

TEST_F(SeccompCache, a_directory_that_cannot_be_made_does_no_harm) {
    const auto policy = oci::default_seccomp({});
    EXPECT_NO_THROW(obtain_seccomp(policy, "/proc/nowhere"));
}

TEST(SeccompProgram, unknown_words_are_errors) {
    oci::Seccomp policy;
    policy.default_action = "SCMP_ACT_MOON";
    EXPECT_THROW(compile_seccomp(policy), Error);
    policy.default_action = "SCMP_ACT_ALLOW";
    policy.rules = {{{"read"}, "SCMP_ACT_ERRNO", 1, {{0, 1, 0, "SCMP_CMP_MOON"}}}};
    EXPECT_THROW(compile_seccomp(policy), Error);
}

}  // namespace
}  // namespace berth::runtime
