// The seccomp part of the OCI runtime specification (`linux.seccomp`) as plain structs, and its
// JSON. Names stay those of libseccomp ("SCMP_ACT_ERRNO"); src/runtime/seccomp_program.h compiles
// it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth {
class JsonReader;
}

namespace berth::oci {

struct SeccompArg final {
    unsigned index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    std::string op;  // "SCMP_CMP_EQ"

    bool operator==(const SeccompArg&) const = default;
};

struct SeccompRule final {
    std::vector<std::string> names;
    std::string action;  // "SCMP_ACT_ALLOW"
    std::optional<unsigned> errno_ret;
    std::vector<SeccompArg> args;  // all must hold

    bool operator==(const SeccompRule&) const = default;
};

struct Seccomp final {
    std::string default_action;
    std::optional<unsigned> default_errno_ret;
    std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"
    std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG"
    std::vector<SeccompRule> rules;

    bool operator==(const Seccomp&) const = default;
};

Seccomp parse_seccomp(const JsonReader& object);
nlohmann::json to_json(const Seccomp& seccomp);

}  // namespace berth::oci
