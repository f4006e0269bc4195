// Values of options: from the text of a flag, from daemon.json, and back to JSON.
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "base/text.h"
#include "daemon/options.h"

namespace berth::daemon {

using nlohmann::json;

namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};

bool parse_bool(std::string_view text) {
    for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == yes) return true;
    for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == no) return false;
    throw Error(ErrorKind::invalid, "strconv.ParseBool: parsing \"{}\": invalid syntax", text);
}

std::int64_t parse_integer(std::string_view text) {
    if (const auto value = whole_number<std::int64_t>(text)) return *value;
    throw Error(ErrorKind::invalid, "strconv.ParseInt: parsing \"{}\": invalid syntax", text);
}

std::pair<std::string, std::string> split_pair(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0)
        throw Error(ErrorKind::invalid, "bad format '{}': expected name=value", text);
    return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

UlimitDefault parse_ulimit(std::string_view text) {
    const auto colon = text.find(':');
    UlimitDefault limit;
    limit.soft = parse_integer(text.substr(0, colon));
    limit.hard =
        colon == std::string_view::npos ? limit.soft : parse_integer(text.substr(colon + 1));
    return limit;
}

AddressPool parse_pool(std::string_view text) {
    AddressPool pool;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const auto [name, value] = split_pair(text.substr(0, comma));
        if (name == "base") {
            pool.base = value;
        } else if (name == "size") {
            pool.size = parse_integer(value);
        } else {
            throw Error(ErrorKind::invalid, "unexpected key '{}' in '{}'", name, text);
        }
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return pool;
}

[[noreturn]] void wrong_type(const Option& option, std::string_view expected, const json& value) {
    throw Error(ErrorKind::invalid, "{}: expected {}, found {}", option.key, expected,
                value.type_name());
}

// A member list or object is read through JsonReader, which names what is wrong.
JsonReader member_reader(const Option& option, const json& value) {
    if (!value.is_object()) wrong_type(option, "an object", value);
    return {value, std::string(option.key)};
}

std::map<std::string, RuntimeProgram> read_runtimes(const JsonReader& reader) {
    std::map<std::string, RuntimeProgram> result;
    for (auto it = reader.value().begin(); it != reader.value().end(); ++it) {
        const JsonReader runtime = reader.object(it.key());
        if (runtime.has("runtimeType"))
            throw Error(ErrorKind::invalid,
                        "{}: runtimes of a containerd shim are not supported: give a path",
                        reader.path_of(it.key()));
        result[it.key()] = {runtime.string("path"), runtime.strings("runtimeArgs")};
    }
    return result;
}

std::map<std::string, UlimitDefault> read_ulimits(const JsonReader& reader) {
    std::map<std::string, UlimitDefault> result;
    for (auto it = reader.value().begin(); it != reader.value().end(); ++it) {
        const JsonReader limit = reader.object(it.key());
        result[it.key()] = {limit.integer("Soft"), limit.integer("Hard")};
    }
    return result;
}

std::vector<AddressPool> read_pools(const Option& option, const json& value) {
    if (!value.is_array()) wrong_type(option, "a list of {base,size}", value);
    std::vector<AddressPool> result;
    for (const json& element : value) {
        const JsonReader pool(element, std::string(option.key));
        result.push_back({pool.string("base"), pool.integer("size")});
    }
    return result;
}

std::map<std::string, bool> read_features(const JsonReader& reader) {
    std::map<std::string, bool> result;
    for (auto it = reader.value().begin(); it != reader.value().end(); ++it)
        result[it.key()] = reader.boolean(it.key(), false);
    return result;
}

std::int64_t read_integer(const Option& option, const json& value) {
    if (option.kind == Kind::bytes && value.is_string())
        return parse_bytes(value.get<std::string>());
    if (!value.is_number_integer()) wrong_type(option, "an integer", value);
    return value.get<std::int64_t>();
}

bool read_bool(const Option& option, const json& value) {
    if (!value.is_boolean()) wrong_type(option, "true or false", value);
    return value.get<bool>();
}

std::string read_string(const Option& option, const json& value) {
    if (!value.is_string()) wrong_type(option, "a string", value);
    return value.get<std::string>();
}

std::vector<std::string> read_list(const Option& option, const json& value) {
    if (!value.is_array()) wrong_type(option, "a list of strings", value);
    std::vector<std::string> result;
    for (const json& element : value) {
        if (!element.is_string()) wrong_type(option, "a list of strings", element);
        result.push_back(element.get<std::string>());
    }
    return result;
}

// Options without effect still have a type.
void check_type(const Option& option, const json& value) {
    switch (option.kind) {
        case Kind::boolean:
        case Kind::choice:
            read_bool(option, value);
            return;
        case Kind::integer:
        case Kind::bytes:
            read_integer(option, value);
            return;
        case Kind::string:
            read_string(option, value);
            return;
        case Kind::list:
            read_list(option, value);
            return;
        default:
            member_reader(option, value);
    }
}

// Of an option that is refused or ignored only the form of its text matters.
void check_text(const Option& option, std::string_view text) {
    if (option.kind == Kind::boolean) parse_bool(text);
    if (option.kind == Kind::integer) parse_integer(text);
}

}  // namespace

std::int64_t parse_bytes(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    const std::string lower = to_lower(unit);
    constexpr std::string_view kUnits = "bkmgtp";
    const auto power = lower.empty() ? 0 : kUnits.find(lower[0]);
    const std::string_view rest = std::string_view(lower).substr(lower.empty() ? 0 : 1);
    const bool known = power != std::string_view::npos &&
                       (rest.empty() || (power > 0 && (rest == "b" || rest == "ib")));
    const int shift = known ? static_cast<int>(power) * 10 : 0;
    if (error != std::errc{} || value < 0 || !known || value > (INT64_MAX >> shift))
        throw Error(ErrorKind::invalid, "invalid size: '{}'", text);
    return value << shift;
}

void set_from_text(Config& config, const Option& option, std::string_view text) {
    const auto visitor = Overloaded{
        [&](std::monostate) { check_text(option, text); },
        [&](bool Config::*member) { config.*member = parse_bool(text); },
        [&](Choice Config::*member) {
            config.*member = parse_bool(text) ? Choice::yes : Choice::no;
        },
        [&](std::int64_t Config::*member) {
            config.*member = option.kind == Kind::bytes ? parse_bytes(text) : parse_integer(text);
        },
        [&](std::string Config::*member) { config.*member = std::string(text); },
        [&](std::vector<std::string> Config::*member) { (config.*member).emplace_back(text); },
        [&](std::map<std::string, std::string> Config::*member) {
            const auto [name, value] = split_pair(text);
            (config.*member)[name] = value;
        },
        [&](std::map<std::string, RuntimeProgram> Config::*member) {
            const auto [name, value] = split_pair(text);
            (config.*member)[name] = {value, {}};
        },
        [&](std::map<std::string, UlimitDefault> Config::*member) {
            const auto [name, value] = split_pair(text);
            (config.*member)[name] = parse_ulimit(value);
        },
        [&](std::vector<AddressPool> Config::*member) {
            (config.*member).push_back(parse_pool(text));
        },
        [&](std::map<std::string, bool> Config::*member) {
            const auto equals = text.find('=');
            (config.*member)[std::string(text.substr(0, equals))] =
                equals == std::string_view::npos || parse_bool(text.substr(equals + 1));
        },
    };
    std::visit(visitor, option.member);
}

void set_from_json(Config& config, const Option& option, const json& value) {
    const auto visitor = Overloaded{
        [&](std::monostate) { check_type(option, value); },
        [&](bool Config::*member) { config.*member = read_bool(option, value); },
        [&](Choice Config::*member) {
            config.*member = read_bool(option, value) ? Choice::yes : Choice::no;
        },
        [&](std::int64_t Config::*member) { config.*member = read_integer(option, value); },
        [&](std::string Config::*member) { config.*member = read_string(option, value); },
        [&](std::vector<std::string> Config::*member) {
            config.*member = read_list(option, value);
        },
        [&](std::map<std::string, std::string> Config::*member) {
            member_reader(option, value);
            config.*member = JsonReader(json{{option.key, value}}).string_map(option.key);
        },
        [&](std::map<std::string, RuntimeProgram> Config::*member) {
            config.*member = read_runtimes(member_reader(option, value));
        },
        [&](std::map<std::string, UlimitDefault> Config::*member) {
            config.*member = read_ulimits(member_reader(option, value));
        },
        [&](std::vector<AddressPool> Config::*member) {
            config.*member = read_pools(option, value);
        },
        [&](std::map<std::string, bool> Config::*member) {
            config.*member = read_features(member_reader(option, value));
        },
    };
    std::visit(visitor, option.member);
}

json member_to_json(const Config& config, const Option& option) {
    const auto visitor = Overloaded{
        [&](std::monostate) { return json(); },
        [&](Choice Config::*member) {
            return config.*member == Choice::unset ? json() : json(config.*member == Choice::yes);
        },
        [&](std::map<std::string, RuntimeProgram> Config::*member) {
            json result = json::object();
            for (const auto& [name, runtime] : config.*member)
                result[name] = {{"path", runtime.path}, {"runtimeArgs", runtime.arguments}};
            return result;
        },
        [&](std::map<std::string, UlimitDefault> Config::*member) {
            json result = json::object();
            for (const auto& [name, limit] : config.*member)
                result[name] = {{"Name", name}, {"Soft", limit.soft}, {"Hard", limit.hard}};
            return result;
        },
        [&](std::vector<AddressPool> Config::*member) {
            json result = json::array();
            for (const AddressPool& pool : config.*member)
                result.push_back({{"base", pool.base}, {"size", pool.size}});
            return result;
        },
        [&](auto Config::*member) { return json(config.*member); },
    };
    return std::visit(visitor, option.member);
}

}  // namespace berth::daemon
