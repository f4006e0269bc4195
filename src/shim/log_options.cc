#include "shim/log_options.h"

#include <set>
#include <string_view>

#include "base/error.h"

namespace berth::shim {
namespace {

using Names = std::set<std::string_view>;

/// Null for an unknown driver.
const Names* options_of(const std::string& driver) {
    static const std::map<std::string, Names> kOptions{
        {"json-file",
         {"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"}},
        {"local", {"max-size", "max-file", "compress"}},
        {"journald", {"labels", "labels-regex", "env", "env-regex", "tag"}},
        {"syslog",
         {"syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert",
          "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify", "labels", "labels-regex",
          "env", "env-regex", "tag"}}};
    const auto found = kOptions.find(driver);
    return found == kOptions.end() ? nullptr : &found->second;
}

}  // namespace

void check_log_option_names(const std::string& driver,
                            const std::map<std::string, std::string>& options) {
    static const Names kCommon{"mode",           "max-buffer-size", "cache-disabled",
                               "cache-max-size", "cache-max-file",  "cache-compress"};
    const Names* known = options_of(driver);
    if (known == nullptr)
        throw Error(ErrorKind::invalid, "logger: no log driver named '{}' is registered", driver);
    for (const auto& [key, value] : options) {
        if (known->contains(key) || kCommon.contains(key)) continue;
        if (driver == "local")
            throw Error(ErrorKind::invalid, "unknown log opt '{}' for log driver local", key);
        throw Error(ErrorKind::invalid, "unknown log opt '{}' for {} log driver", key, driver);
    }
}

}  // namespace berth::shim
