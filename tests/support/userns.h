// For tests in tests/spawn: makes this test process root of a user namespace with the caller's
// subordinate ids (0 is the caller, 1..65536 the range) and a private mount namespace.
#pragma once

#include <string>

namespace berth::test {

/// Call it while the process has one thread, before anything else (from a gtest Environment or the
/// first line of a fixture's SetUpTestSuite; further calls return the first answer). Returns an
/// empty text on success, else the reason for GTEST_SKIP.
const std::string& enter_user_namespace();

}  // namespace berth::test
