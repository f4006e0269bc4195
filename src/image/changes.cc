#include "image/changes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace berth::image {
namespace {

using oci::ContainerDefaults;
using oci::HealthCheck;

constexpr std::string_view kBlank = " \t\r";

std::string_view without_blanks(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string upper(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return result;
}

/// Takes the first blank-separated word off `rest`.
std::string_view take_word(std::string_view& rest) {
    const std::size_t end = std::min(rest.find_first_of(kBlank), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest = without_blanks(rest.substr(end));
    return word;
}

/// Words as the Dockerfile language splits them: quotes group, a backslash quotes one character.
std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> result;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word += text[++i];
            in_word = true;
        } else if (quote != 0) {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '"' || c == '\'') {
            quote = c;
            in_word = true;
        } else if (kBlank.find(c) != std::string_view::npos) {
            if (in_word) result.push_back(std::move(word));
            word.clear();
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quote != 0) throw Error(ErrorKind::invalid, "unterminated quote in '{}'", text);
    if (in_word) result.push_back(std::move(word));
    return result;
}

/// The JSON form ["a","b"], or nothing when the text is not one.
std::optional<std::vector<std::string>> json_form(std::string_view text) {
    if (!text.starts_with('[')) return std::nullopt;
    try {
        const nlohmann::json value = parse_json(text);
        if (!value.is_array()) return std::nullopt;
        std::vector<std::string> result;
        for (const nlohmann::json& item : value) {
            if (!item.is_string()) return std::nullopt;
            result.push_back(item.get<std::string>());
        }
        return result;
    } catch (const Error&) {
        return std::nullopt;
    }
}

/// The JSON form, or the text as one command of the shell.
std::vector<std::string> command(std::string_view text, const ContainerDefaults& defaults) {
    if (auto list = json_form(text)) return *std::move(list);
    std::vector<std::string> result =
        defaults.shell.value_or(std::vector<std::string>{"/bin/sh", "-c"});
    result.emplace_back(text);
    return result;
}

std::vector<std::string> json_or_words(std::string_view text) {
    if (auto list = json_form(text)) return *std::move(list);
    return split_words(text);
}

struct Pair final {
    std::string key;
    std::string value;
};

/// "k=v k2=v2", or the old form "k the rest".
std::vector<Pair> pairs(std::string_view instruction, std::string_view text) {
    const std::vector<std::string> words = split_words(text);
    if (words.empty() || words.front().find('=') == std::string::npos) {
        std::string_view rest = text;
        const std::string_view first = take_word(rest);
        if (rest.empty())
            throw Error(ErrorKind::invalid, "{} must have two arguments", instruction);
        return {{std::string(first), std::string(rest)}};
    }
    std::vector<Pair> result;
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos)
            throw Error(ErrorKind::invalid,
                        "Syntax error - can't find = in \"{}\". Must be of the form: name=value",
                        word);
        if (equals == 0) throw Error(ErrorKind::invalid, "{} names can not be blank", instruction);
        result.push_back({word.substr(0, equals), word.substr(equals + 1)});
    }
    return result;
}

void set_env(ContainerDefaults& defaults, const Pair& pair) {
    const std::string entry = pair.key + "=" + pair.value;
    for (std::string& existing : defaults.env) {
        if (existing.substr(0, existing.find('=')) != pair.key) continue;
        existing = entry;
        return;
    }
    defaults.env.push_back(entry);
}

int parse_port(std::string_view text, std::string_view whole) {
    int port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port < 1 || port > 65535)
        throw Error(ErrorKind::invalid, "Invalid containerPort: {}", whole);
    return port;
}

void expose(ContainerDefaults& defaults, std::string_view word) {
    std::string_view ports = word;
    std::string protocol = "tcp";
    if (const std::size_t slash = word.find('/'); slash != std::string_view::npos) {
        ports = word.substr(0, slash);
        protocol = word.substr(slash + 1);
        std::ranges::transform(protocol, protocol.begin(), ::tolower);
        if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
            throw Error(ErrorKind::invalid, "Invalid proto: {}", protocol);
    }
    const std::size_t dash = ports.find('-');
    const int first = parse_port(ports.substr(0, dash), word);
    const int last =
        dash == std::string_view::npos ? first : parse_port(ports.substr(dash + 1), word);
    if (last < first) throw Error(ErrorKind::invalid, "Invalid containerPort: {}", word);
    for (int port = first; port <= last; ++port)
        defaults.exposed_ports.insert(std::to_string(port) + "/" + protocol);
}

/// A Go duration such as 1m30s or 500ms, in nanoseconds.
std::int64_t parse_duration(std::string_view text) {
    struct Unit {
        std::string_view name;
        double nanoseconds;
    };
    constexpr std::array<Unit, 6> kUnits{
        {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
    double total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        double number = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number,
                                                  std::chars_format::fixed);
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const std::size_t length = std::min(rest.find_first_of("0123456789."), rest.size());
        const std::string_view name = rest.substr(0, length);
        const auto unit = std::ranges::find(kUnits, name, &Unit::name);
        if (error != std::errc{} || number < 0 || unit == kUnits.end())
            throw Error(ErrorKind::invalid, "time: invalid duration \"{}\"", text);
        total += number * unit->nanoseconds;
        rest.remove_prefix(length);
    }
    if (text.empty() || total > 9e18)
        throw Error(ErrorKind::invalid, "time: invalid duration \"{}\"", text);
    return static_cast<std::int64_t>(total);
}

void set_health_option(HealthCheck& check, std::string_view option) {
    const std::size_t equals = std::min(option.find('='), option.size());
    const std::string_view name = option.substr(0, equals);
    const std::string_view value = option.substr(std::min(equals + 1, option.size()));
    if (name == "--interval") {
        check.interval = parse_duration(value);
    } else if (name == "--timeout") {
        check.timeout = parse_duration(value);
    } else if (name == "--start-period") {
        check.start_period = parse_duration(value);
    } else if (name == "--start-interval") {
        check.start_interval = parse_duration(value);
    } else if (name == "--retries") {
        const auto [end, error] =
            std::from_chars(value.data(), value.data() + value.size(), check.retries);
        if (error != std::errc{} || end != value.data() + value.size() || check.retries < 0)
            throw Error(ErrorKind::invalid, "--retries must be at least 0, not '{}'", value);
    } else {
        throw Error(ErrorKind::invalid, "unknown flag of HEALTHCHECK: {}", name);
    }
}

HealthCheck parse_health_check(std::string_view rest) {
    HealthCheck check;
    while (rest.starts_with("--")) set_health_option(check, take_word(rest));
    const std::string type = upper(take_word(rest));
    if (type == "NONE") {
        if (!rest.empty()) throw Error(ErrorKind::invalid, "HEALTHCHECK NONE takes no arguments");
        check.test = {"NONE"};
        return check;
    }
    if (type != "CMD")
        throw Error(ErrorKind::invalid, "Unknown type \"{}\" in HEALTHCHECK (try CMD)", type);
    if (rest.empty()) throw Error(ErrorKind::invalid, "Missing command after HEALTHCHECK CMD");
    if (auto list = json_form(rest)) {
        check.test = {"CMD"};
        check.test.insert(check.test.end(), list->begin(), list->end());
    } else {
        check.test = {"CMD-SHELL", std::string(rest)};
    }
    return check;
}

void on_build(ContainerDefaults& defaults, std::string_view text) {
    std::string_view rest = text;
    const std::string trigger = upper(take_word(rest));
    if (trigger == "ONBUILD")
        throw Error(ErrorKind::invalid, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger == "FROM" || trigger == "MAINTAINER")
        throw Error(ErrorKind::invalid, "{} isn't allowed as an ONBUILD trigger", trigger);
    defaults.on_build.emplace_back(text);
}

std::string work_directory(const std::string& old, std::string_view text) {
    const std::vector<std::string> words = split_words(text);
    if (words.size() != 1) throw Error(ErrorKind::invalid, "WORKDIR requires exactly one argument");
    const std::string& path = words.front();
    return path.starts_with('/') ? path : (old == "/" ? "" : old) + "/" + path;
}

void apply_instruction(ContainerDefaults& defaults, const std::string& name,
                       std::string_view rest) {
    if (rest.empty()) throw Error(ErrorKind::invalid, "{} requires at least one argument", name);
    if (name == "CMD") {
        defaults.cmd = command(rest, defaults);
    } else if (name == "ENTRYPOINT") {
        defaults.entrypoint = command(rest, defaults);
    } else if (name == "ENV") {
        for (const Pair& pair : pairs(name, rest)) set_env(defaults, pair);
    } else if (name == "LABEL") {
        for (Pair& pair : pairs(name, rest)) defaults.labels[pair.key] = std::move(pair.value);
    } else if (name == "EXPOSE") {
        for (const std::string& word : split_words(rest)) expose(defaults, word);
    } else if (name == "VOLUME") {
        for (const std::string& path : json_or_words(rest)) {
            if (path.empty())
                throw Error(ErrorKind::invalid, "VOLUME specified can not be an empty string");
            defaults.volumes.insert(path);
        }
    } else if (name == "USER") {
        defaults.user = rest;
    } else if (name == "WORKDIR") {
        defaults.working_dir = work_directory(defaults.working_dir, rest);
    } else if (name == "STOPSIGNAL") {
        defaults.stop_signal = rest;
    } else if (name == "HEALTHCHECK") {
        defaults.healthcheck = parse_health_check(rest);
    } else if (name == "ONBUILD") {
        on_build(defaults, rest);
    } else if (name == "SHELL") {
        defaults.shell = json_form(rest);
        if (!defaults.shell)
            throw Error(ErrorKind::invalid, "SHELL requires the arguments to be in JSON form");
    } else {
        throw Error(ErrorKind::invalid, "{} is not a valid change command", name);
    }
}

}  // namespace

ContainerDefaults apply_changes(ContainerDefaults base, const std::vector<std::string>& changes) {
    bool has_command = false;
    for (std::string_view text : changes) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size());
            std::string_view line = without_blanks(text.substr(0, end));
            text.remove_prefix(std::min(end + 1, text.size()));
            if (line.empty() || line.starts_with('#')) continue;
            const std::string name = upper(take_word(line));
            apply_instruction(base, name, line);
            // The command was meant for the entrypoint before.
            if (name == "ENTRYPOINT" && !has_command) base.cmd.reset();
            has_command = has_command || name == "CMD";
        }
    }
    return base;
}

}  // namespace berth::image
