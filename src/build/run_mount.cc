#include "build/run_mount.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "base/error.h"
#include "base/number.h"
#include "build/config.h"
#include "build/words.h"

namespace berth::build {

namespace {

template <typename... Arguments>
Error bad(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    return Error::with_text(ErrorKind::invalid,
                            fmt::format(format, std::forward<Arguments>(arguments)...));
}

bool truth(const std::string& key, const std::string& value) {
    const std::string word = to_lower(value);
    if (word.empty() || word == "true" || word == "1" || word == "t") return true;
    if (word == "false" || word == "0" || word == "f") return false;
    throw bad("invalid value for {}: {}", key, value);
}

std::uint32_t number(const std::string& key, const std::string& text, int base) {
    const auto value = whole_number<std::uint32_t>(text, base);
    if (!value) throw bad("invalid value {} for {}", text, key);
    return *value;
}

/// "64m", "1g", "512kb", "100": binary multiples.
std::int64_t bytes(const std::string& text) {
    constexpr std::string_view kUnits = "kmgt";
    constexpr std::int64_t kMost = std::int64_t{1} << 50;
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    std::string unit = to_lower(std::string_view(stop, end));
    if (unit.ends_with('b')) unit.pop_back();
    if (unit.ends_with('i')) unit.pop_back();
    const std::size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
    const bool known = unit.empty() || (unit.size() == 1 && power != 0);
    if (error != std::errc{} || !known || value < 0 || value > (kMost >> (10 * power)))
        throw bad("invalid value for size: {}", text);
    return value << (10 * power);
}

CacheSharing sharing_of(const std::string& value) {
    const std::string word = to_lower(value);
    if (word == "shared") return CacheSharing::shared;
    if (word == "private") return CacheSharing::private_;
    if (word == "locked") return CacheSharing::locked;
    throw bad("unsupported sharing value \"{}\"", value);
}

RunMountType type_of(const std::string& value) {
    static const std::map<std::string, RunMountType> kTypes{{"bind", RunMountType::bind},
                                                            {"cache", RunMountType::cache},
                                                            {"tmpfs", RunMountType::tmpfs},
                                                            {"secret", RunMountType::secret},
                                                            {"ssh", RunMountType::ssh}};
    const auto found = kTypes.find(to_lower(value));
    if (found == kTypes.end()) throw bad("unsupported mount type \"{}\"", value);
    return found->second;
}

/// Other spellings of a key, by their first.
std::string plain_key(const std::string& key) {
    static const std::map<std::string, std::string> kAliases{{"src", "source"},
                                                             {"dst", "target"},
                                                             {"destination", "target"},
                                                             {"ro", "readonly"},
                                                             {"rw", "readwrite"}};
    const auto found = kAliases.find(key);
    return found == kAliases.end() ? key : found->second;
}

bool has_key(RunMountType type, const std::string& key) {
    static const std::map<std::string, std::string> kOwners{
        {"type", "bctsa"},    {"target", "bctsa"},   {"from", "bc"},  {"source", "bcs"},
        {"readonly", "bcts"}, {"readwrite", "bcts"}, {"id", "csa"},   {"sharing", "c"},
        {"required", "sa"},   {"size", "t"},         {"mode", "csa"}, {"uid", "csa"},
        {"gid", "csa"},       {"env", "s"}};
    constexpr std::string_view kLetters = "bctsa";
    const auto found = kOwners.find(key);
    return found != kOwners.end() &&
           found->second.find(kLetters[static_cast<std::size_t>(type)]) != std::string::npos;
}

void take(RunMount& mount, const std::string& key, const std::string& value) {
    if (key == "target") mount.target = value;
    if (key == "from") mount.from = value;
    if (key == "source") mount.source = value;
    if (key == "id") mount.id = value;
    if (key == "env") mount.variable = value;
    if (key == "readonly") mount.read_only = truth(key, value);
    if (key == "readwrite") mount.read_only = !truth(key, value);
    if (key == "required") mount.required = truth(key, value);
    if (key == "sharing") mount.sharing = sharing_of(value);
    if (key == "size") mount.size = bytes(value);
    if (key == "mode") mount.mode = number(key, value, 8);
    if (key == "uid") mount.uid = number(key, value, 10);
    if (key == "gid") mount.gid = number(key, value, 10);
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void complete_secret(RunMount& mount) {
    if (!mount.source.empty() && !mount.id.empty()) throw bad("both source and id can't be set");
    if (mount.id.empty()) mount.id = mount.source;
    if (mount.id.empty() && mount.target.empty())
        throw bad("invalid secret mount. one of source, target required");
    if (mount.id.empty()) mount.id = last_part(mount.target);
    if (mount.target.empty() && mount.variable.empty())
        mount.target = "/run/secrets/" + last_part(mount.id);
}

}  // namespace

RunMount parse_run_mount(const Pairs& keys, const Lookup& lookup, char escape,
                         const std::string& working_directory) {
    RunMount mount;
    Pairs values = keys;
    for (auto& [key, value] : values) {
        key = plain_key(key);
        if (key == "from" && value.find('$') != std::string::npos)
            throw bad("'from' doesn't support variable expansion, define alias stage instead");
        value = expand(value, lookup, escape);
        mount.text += fmt::format("{}{}{}{}", mount.text.empty() ? "" : ",", key,
                                  value.empty() ? "" : "=", value);
        if (key == "type") mount.type = type_of(value);
    }
    mount.read_only = mount.type != RunMountType::cache && mount.type != RunMountType::tmpfs;
    for (const auto& [key, value] : values) {
        if (!has_key(mount.type, key)) throw bad("unexpected key '{}' in '{}'", key, mount.text);
        take(mount, key, value);
    }
    if (mount.type == RunMountType::secret) complete_secret(mount);
    if (mount.type == RunMountType::ssh && mount.id.empty()) mount.id = "default";
    if (mount.target.empty()) {
        if (mount.type == RunMountType::ssh) return mount;
        if (mount.variable.empty()) throw bad("target required in '{}'", mount.text);
        return mount;
    }
    if (mount.type == RunMountType::cache && mount.id.empty())
        mount.id = path_in("/", mount.target);
    mount.target = path_in(working_directory, mount.target);
    if (mount.target == "/") throw bad("invalid mount target \"/\"");
    return mount;
}

}  // namespace berth::build
