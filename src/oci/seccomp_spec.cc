#include "oci/seccomp_spec.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::oci {
namespace {

using nlohmann::json;

std::optional<unsigned> optional_errno(const JsonReader& object, std::string_view key) {
    const auto value = object.optional_integer(key);
    if (!value) return std::nullopt;
    if (*value < 0 || *value > 4095)
        throw Error(ErrorKind::invalid, "{}: {} is no errno value", object.path_of(key), *value);
    return static_cast<unsigned>(*value);
}

/// Values are unsigned 64-bit numbers and may not fit a signed one.
std::uint64_t unsigned_value(const JsonReader& object, std::string_view key) {
    const json* member = object.find(key);
    if (member && member->is_number_unsigned()) return member->get<std::uint64_t>();
    return static_cast<std::uint64_t>(object.integer(key));
}

SeccompArg parse_arg(const JsonReader& object) {
    SeccompArg arg;
    const auto index = object.integer("index");
    if (index < 0 || index > 5)
        throw Error(ErrorKind::invalid, "{}: {} is no argument of a system call",
                    object.path_of("index"), index);
    arg.index = static_cast<unsigned>(index);
    arg.value = unsigned_value(object, "value");
    arg.value_two = unsigned_value(object, "valueTwo");
    arg.op = object.string("op");
    return arg;
}

SeccompRule parse_rule(const JsonReader& object) {
    SeccompRule rule;
    rule.names = object.strings("names");
    if (object.has("name")) rule.names.push_back(object.string("name"));
    rule.action = object.string("action");
    if (rule.names.empty())
        throw Error(ErrorKind::invalid, "{}: at least one name is needed", object.path_of("names"));
    if (rule.action.empty())
        throw Error(ErrorKind::invalid, "{}: an action is needed", object.path_of("action"));
    rule.errno_ret = optional_errno(object, "errnoRet");
    for (const JsonReader& arg : object.objects("args")) rule.args.push_back(parse_arg(arg));
    return rule;
}

}  // namespace

Seccomp parse_seccomp(const JsonReader& object) {
    Seccomp seccomp;
    seccomp.default_action = object.string("defaultAction");
    if (seccomp.default_action.empty())
        throw Error(ErrorKind::invalid, "{}: an action is needed", object.path_of("defaultAction"));
    seccomp.default_errno_ret = optional_errno(object, "defaultErrnoRet");
    seccomp.architectures = object.strings("architectures");
    seccomp.flags = object.strings("flags");
    for (const JsonReader& rule : object.objects("syscalls"))
        seccomp.rules.push_back(parse_rule(rule));
    return seccomp;
}

json to_json(const Seccomp& seccomp) {
    json object{{"defaultAction", seccomp.default_action}};
    if (seccomp.default_errno_ret) object["defaultErrnoRet"] = *seccomp.default_errno_ret;
    if (!seccomp.architectures.empty()) object["architectures"] = seccomp.architectures;
    if (!seccomp.flags.empty()) object["flags"] = seccomp.flags;
    json rules = json::array();
    for (const SeccompRule& rule : seccomp.rules) {
        json entry{{"names", rule.names}, {"action", rule.action}};
        if (rule.errno_ret) entry["errnoRet"] = *rule.errno_ret;
        for (const SeccompArg& arg : rule.args)
            entry["args"].push_back({{"index", arg.index},
                                     {"value", arg.value},
                                     {"valueTwo", arg.value_two},
                                     {"op", arg.op}});
        rules.push_back(std::move(entry));
    }
    object["syscalls"] = std::move(rules);
    return object;
}

}  // namespace berth::oci
