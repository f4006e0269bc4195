#include "daemon/config.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "daemon/options.h"

namespace berth::daemon {

using nlohmann::json;

namespace {

std::string message_key(const Option& option) {
    return std::string(option.key.empty() ? option.flag : option.key);
}

}  // namespace

json to_json(const Config& config) {
    json result = json::object();
    for (const Option& option : options())
        if (option.support == Support::full)
            result[message_key(option)] = member_to_json(config, option);
    return result;
}

Config config_from_json(const json& value) {
    if (!value.is_object())
        throw Error(ErrorKind::invalid, "configuration: expected an object, found {}",
                    value.type_name());
    Config config;
    for (const Option& option : options()) {
        if (option.support != Support::full) continue;
        const auto member = value.find(message_key(option));
        if (member != value.end() && !member->is_null()) set_from_json(config, option, *member);
    }
    return config;
}

}  // namespace berth::daemon
