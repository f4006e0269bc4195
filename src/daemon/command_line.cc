// Flags as pflag reads them (dockerd's parser), daemon.json, and the merge of both.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "daemon/options.h"

namespace berth::daemon {

using nlohmann::json;

namespace {

struct FlagUse final {
    const Option* option;
    std::string text;
};

struct Flags final {
    Action action = Action::run;
    std::vector<FlagUse> uses;
};

std::string flag_title(const Option& option) {
    return option.letter ? fmt::format("-{}, --{}", option.letter, option.flag)
                         : fmt::format("--{}", option.flag);
}

bool takes_no_value(const Option& option) {
    return option.kind == Kind::boolean || option.kind == Kind::choice;
}

class FlagParser final {
  public:
    explicit FlagParser(const std::vector<std::string>& arguments) : arguments_(arguments) {}

    Flags parse() {
        while (next_ < arguments_.size()) {
            const std::string& argument = arguments_[next_++];
            if (argument == "--") break;
            if (argument.starts_with("--")) {
                parse_long(std::string_view(argument).substr(2));
            } else if (argument.size() > 1 && argument[0] == '-') {
                parse_letters(argument);
            } else {
                refuse_argument();
            }
        }
        if (next_ < arguments_.size()) refuse_argument();
        return std::move(flags_);
    }

  private:
    [[noreturn]] static void refuse_argument() {
        throw Error(ErrorKind::invalid, "\"berthd\" accepts no arguments");
    }

    bool take_action(std::string_view name) {
        if (name == "help") flags_.action = Action::help;
        if (name == "version" && flags_.action != Action::help) flags_.action = Action::version;
        if (name == "validate" && flags_.action == Action::run) flags_.action = Action::validate;
        return name == "help" || name == "version" || name == "validate";
    }

    void parse_long(std::string_view text) {
        const auto equals = text.find('=');
        const std::string_view name = text.substr(0, equals);
        const Option* option = find_flag(name);
        if (!option && equals == std::string_view::npos && take_action(name)) return;
        if (!option) throw Error(ErrorKind::invalid, "unknown flag: --{}", name);
        if (equals != std::string_view::npos) return add(*option, text.substr(equals + 1));
        if (takes_no_value(*option)) return add(*option, "true");
        if (next_ == arguments_.size())
            throw Error(ErrorKind::invalid, "flag needs an argument: --{}", name);
        add(*option, arguments_[next_++]);
    }

    void parse_letters(const std::string& argument) {
        for (std::size_t at = 1; at < argument.size(); ++at) {
            const char letter = argument[at];
            if (letter == 'v' || letter == 'h') {
                take_action(letter == 'v' ? "version" : "help");
                continue;
            }
            const Option* option = find_letter(letter);
            if (!option)
                throw Error(ErrorKind::invalid, "unknown shorthand flag: '{}' in {}", letter,
                            argument);
            std::string_view rest = std::string_view(argument).substr(at + 1);
            const bool given = rest.starts_with('=');
            if (takes_no_value(*option) && !given) {
                add(*option, "true");
                continue;
            }
            if (given) rest.remove_prefix(1);
            if (!rest.empty() || given) return add(*option, rest);
            if (next_ == arguments_.size())
                throw Error(ErrorKind::invalid, "flag needs an argument: '{}' in {}", letter,
                            argument);
            return add(*option, arguments_[next_++]);
        }
    }

    void add(const Option& option, std::string_view text) {
        flags_.uses.push_back({&option, std::string(text)});
    }

    const std::vector<std::string>& arguments_;
    std::size_t next_ = 0;
    Flags flags_;
};

Config defaults_for(const Environment& environment) {
    Config config;
    config.exec_root = environment.runtime_directory + "/berth";
    config.data_root = environment.data_home + "/berth";
    return config;
}

void note_support(const Option& option, const std::string& title,
                  std::vector<std::string>& warnings) {
    if (option.support == Support::refused)
        throw Error(ErrorKind::invalid, "{} is not supported: {}", title, option.reason);
    if (option.support == Support::ignored)
        warnings.push_back(fmt::format("{} has no effect: {}", title, option.reason));
}

// daemon.json as pairs of option and value, nested objects that are not values flattened.
std::vector<std::pair<const Option*, json>> file_options(const json& file) {
    std::vector<std::pair<const Option*, json>> result;
    std::vector<std::string> unknown;
    const auto visit = [&](const std::string& key, const std::string& shown, const json& value) {
        if (const Option* option = find_key(key)) {
            if (!value.is_null()) result.emplace_back(option, value);
        } else {
            unknown.push_back(shown);
        }
    };
    for (auto it = file.begin(); it != file.end(); ++it) {
        if (it.key() != "proxies" || !it->is_object()) {
            visit(it.key(), it.key(), *it);
            continue;
        }
        for (auto nested = it->begin(); nested != it->end(); ++nested)
            visit("proxies." + nested.key(), nested.key(), *nested);
    }
    if (!unknown.empty())
        throw Error(ErrorKind::invalid,
                    "the following directives don't match any configuration option: {}",
                    fmt::join(unknown, ", "));
    return result;
}

std::string shown(const json& value) {
    return value.is_string() ? value.get<std::string>() : dump_json(value);
}

void refuse_conflicts(const std::vector<std::pair<const Option*, json>>& file, const Flags& flags) {
    std::vector<std::string> conflicts;
    for (const auto& [option, value] : file) {
        std::vector<std::string> texts;
        for (const FlagUse& use : flags.uses)
            if (use.option == option) texts.push_back(use.text);
        if (texts.empty() || option->kind == Kind::runtimes) continue;
        const std::string from_flag =
            option->kind == Kind::list ? fmt::format("[{}]", fmt::join(texts, " ")) : texts.back();
        conflicts.push_back(fmt::format("{}: (from flag: {}, from file: {})", option->key,
                                        from_flag, shown(value)));
    }
    if (!conflicts.empty())
        throw Error(ErrorKind::invalid,
                    "the following directives are specified both as a flag and in the "
                    "configuration file: {}",
                    fmt::join(conflicts, ", "));
}

json parse_file(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return json::object();
    json file = parse_json(text);
    if (!file.is_object())
        throw Error(ErrorKind::invalid, "expected an object, found {}", file.type_name());
    return file;
}

void apply_file(CommandLine& line, const std::string& text, const Flags& flags) {
    const auto file = file_options(parse_file(text));
    refuse_conflicts(file, flags);
    for (const auto& [option, value] : file) {
        note_support(*option, std::string(option->key), line.warnings);
        // What flags registered stays beside what the file registers.
        auto runtimes = line.config.runtimes;
        set_from_json(line.config, *option, value);
        if (option->kind == Kind::runtimes) line.config.runtimes.merge(runtimes);
    }
}

void read_config_file(CommandLine& line, const Environment& environment, const Flags& flags,
                      const FileReader& read) {
    const bool named = !line.config.config_file.empty();
    std::vector<std::string> candidates{line.config.config_file};
    if (!named)
        candidates = {environment.config_home + "/berth/daemon.json",
                      environment.config_home + "/docker/daemon.json"};
    for (const std::string& path : candidates) {
        const auto text = read(path);
        if (!text) continue;
        line.config.config_file = path;
        try {
            apply_file(line, *text, flags);
        } catch (Error& error) {
            throw error.while_("unable to configure the daemon with file {}", path);
        }
        return;
    }
    if (named)
        throw Error(ErrorKind::invalid,
                    "unable to configure the daemon with file {}: open {}: no such file or "
                    "directory",
                    candidates[0], candidates[0]);
}

}  // namespace

CommandLine read_command_line(const std::vector<std::string>& arguments,
                              const Environment& environment, const FileReader& read) {
    const Flags flags = FlagParser(arguments).parse();
    CommandLine line{flags.action, defaults_for(environment), {}};
    if (line.action == Action::help || line.action == Action::version) return line;
    for (const FlagUse& use : flags.uses) {
        note_support(*use.option, "--" + std::string(use.option->flag), line.warnings);
        try {
            set_from_text(line.config, *use.option, use.text);
        } catch (const Error& error) {
            throw Error(ErrorKind::invalid, "invalid argument \"{}\" for \"{}\" flag: {}", use.text,
                        flag_title(*use.option), error.message());
        }
    }
    read_config_file(line, environment, flags, read);
    Config& config = line.config;
    if (config.hosts.empty())
        config.hosts = {"unix://" + environment.runtime_directory + "/docker.sock"};
    if (config.pidfile.empty()) config.pidfile = config.exec_root + "/berthd.pid";
    if (config.debug) config.log_level = "debug";
    for (std::string& warning : check_config(config)) line.warnings.push_back(std::move(warning));
    return line;
}

std::string help_text() {
    std::string text =
        "Usage:  berthd [OPTIONS]\n\nA rootless container engine that serves the Docker API\n\n"
        "Options:\n";
    std::vector<std::string> lines{"  -h, --help                         Print usage",
                                   "      --validate                     Validate the "
                                   "configuration and exit",
                                   "  -v, --version                      Print version and quit"};
    for (const Option& option : options()) {
        if (option.flag.empty() || option.support != Support::full) continue;
        const std::string value = takes_no_value(option)         ? ""
                                  : option.kind == Kind::list    ? " list"
                                  : option.kind == Kind::integer ? " int"
                                  : option.kind == Kind::bytes   ? " bytes"
                                  : option.kind == Kind::string  ? " string"
                                                                 : " map";
        const std::string letter = option.letter ? fmt::format("-{},", option.letter) : "   ";
        lines.push_back(fmt::format("  {} {:<30} {}", letter,
                                    fmt::format("--{}{}", option.flag, value), option.help));
    }
    std::sort(lines.begin(), lines.end(),
              [](const std::string& a, const std::string& b) { return a.substr(6) < b.substr(6); });
    for (const std::string& entry : lines) text += entry + "\n";
    return text;
}

}  // namespace berth::daemon
