#include "daemon/reload.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "daemon/options.h"

namespace berth::daemon {

using nlohmann::json;

namespace {

constexpr std::array<std::string_view, 12> kReloadable{
    "debug",
    "log-level",
    "labels",
    "live-restore",
    "shutdown-timeout",
    "default-stop-timeout",
    "default-shm-size",
    "registry-mirrors",
    "insecure-registries",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
};

bool is_reloadable(const Option& option) {
    return std::ranges::find(kReloadable, option.key) != kReloadable.end();
}

}  // namespace

Reloaded reload_config(const Config& running, const Config& wanted) {
    Reloaded result{running, {}, {}};
    for (const Option& option : options()) {
        if (option.support != Support::full) continue;
        const json value = member_to_json(wanted, option);
        if (value == member_to_json(running, option)) continue;
        const std::string name(option.key.empty() ? option.flag : option.key);
        if (is_reloadable(option)) {
            set_from_json(result.config, option, value);
            result.changed.push_back(name);
        } else {
            result.need_restart.push_back(name);
        }
    }
    return result;
}

std::map<std::string, std::string> reloadable_values(const Config& config) {
    std::map<std::string, std::string> values;
    for (const Option& option : options()) {
        if (option.support != Support::full || !is_reloadable(option)) continue;
        const json value = member_to_json(config, option);
        values[std::string(option.key)] =
            value.is_string() ? value.get<std::string>() : dump_json(value);
    }
    return values;
}

}  // namespace berth::daemon
