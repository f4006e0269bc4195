#include "shim/log_options.h"

#include <set>
#include <string_view>

#include "base/error.h"
#include "base/number.h"

namespace berth::shim {
namespace {

using Names = std::set<std::string_view>;
using Options = std::map<std::string, std::string>;

const std::map<std::string, Names>& options_by_driver() {
    static const std::map<std::string, Names> kOptions{
        {"json-file",
         {"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"}},
        {"local", {"max-size", "max-file", "compress"}},
        {"journald", {"labels", "labels-regex", "env", "env-regex", "tag"}},
        {"syslog",
         {"syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert",
          "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify", "labels", "labels-regex",
          "env", "env-regex", "tag"}}};
    return kOptions;
}

/// Null for an unknown driver.
const Names* options_of(const std::string& driver) {
    const auto found = options_by_driver().find(driver);
    return found == options_by_driver().end() ? nullptr : &found->second;
}

void check_names(const std::string& driver, const Options& options) {
    static const Names kCommon{"mode",           "max-buffer-size", "cache-disabled",
                               "cache-max-size", "cache-max-file",  "cache-compress"};
    const Names* known = options_of(driver);
    if (known == nullptr)
        throw Error(ErrorKind::invalid,
                    "error looking up logging plugin {0}: plugin \"{0}\" not found", driver);
    for (const auto& [key, value] : options) {
        if (known->contains(key) || kCommon.contains(key)) continue;
        if (driver == "local")
            throw Error(ErrorKind::invalid, "unknown log opt '{}' for log driver local", key);
        throw Error(ErrorKind::invalid, "unknown log opt '{}' for {} log driver", key, driver);
    }
}

std::string option(const Options& options, const std::string& key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

[[noreturn]] void refuse(const std::string& text) {
    throw Error::with_text(ErrorKind::invalid, text);
}

void check_files(const std::string& driver, const Options& options) {
    const bool one = log_file_count(options, "max-file", driver == "local" ? 5 : 1) < 2;
    const bool compress = option(options, "compress") == "true";
    if (driver == "local" && compress && one)
        refuse("compress cannot be true when max file count is less than 2");
    if (driver != "json-file") return;
    const bool limited = options.contains("max-size");
    if (!one && !limited) refuse("max-file cannot be set when max-size is not set");
    if (compress && (one || !limited))
        refuse("compress cannot be true when max-file is less than 2 or max-size is not set");
}

void check_boolean(const Options& options, const std::string& key) {
    const std::string value = option(options, key);
    if (!value.empty() && value != "true" && value != "false")
        refuse(fmt::format("invalid value for {}: '{}' is neither true nor false", key, value));
}

}  // namespace

std::vector<std::string> log_drivers() {
    std::vector<std::string> names;
    for (const auto& [driver, options] : options_by_driver()) names.push_back(driver);
    return names;
}

void check_log_options(const std::string& driver, const Options& options) {
    check_names(driver, options);
    check_files(driver, options);
    for (const char* key : {"compress", "cache-disabled", "cache-compress"})
        check_boolean(options, key);
    const std::string mode = option(options, "mode");
    if (!mode.empty() && mode != "blocking" && mode != "non-blocking")
        refuse(fmt::format("logger: logging mode not supported: {}", mode));
    if (options.contains("max-buffer-size") && mode != "non-blocking")
        refuse("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
}

int log_file_count(const Options& options, const std::string& key, int fallback) {
    const std::string text = option(options, key);
    if (text.empty()) return fallback;
    const int count = whole_number<int>(text).value_or(0);
    if (count < 1) refuse(fmt::format("invalid value for {}: '{}'", key, text));
    return count;
}

}  // namespace berth::shim
